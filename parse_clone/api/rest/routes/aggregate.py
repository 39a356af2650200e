"""Aggregation: `/aggregate/...`."""

from __future__ import annotations

from parse_clone.api.rest.request import Request
from parse_clone.api.rest.responses import Answer, ok
from parse_clone.api.rest.router import Route
from parse_clone.services.classes import aggregate_objects


async def aggregate(request: Request, class_name: str) -> Answer:
    """Answer a pipeline, or distinct values."""
    rows = await aggregate_objects(request.toolbox, request.context, class_name, request.parameters)
    return ok({"results": rows})


ROUTES = (Route("GET", "/aggregate/:className", aggregate, master=True),)
