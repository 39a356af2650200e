"""Finding, saving and deleting objects: lists of steps over frozen values."""
