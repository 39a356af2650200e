"""The table of contents of the REST API."""

from __future__ import annotations

from parse_clone.api.rest.router import Router
from parse_clone.api.rest.routes import classes


def all_routes() -> Router:
    """Every route of the REST API."""
    return Router(classes.ROUTES)
