"""Live queries: who watches what, and what each change means for each of them."""
