"""The healthcare application: who may do what, lifecycles, audit, on each engine."""
