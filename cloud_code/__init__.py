"""The healthcare application: rules for the classes in `schemas/`, on `parse_clone.cloud` alone."""
