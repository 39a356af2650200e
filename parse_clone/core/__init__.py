"""What Parse means: pure rules. No `await`, no clock, no randomness, no I/O."""
