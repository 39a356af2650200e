"""The global config: `/config`."""

from __future__ import annotations

from parse_clone.api.rest.request import Request
from parse_clone.api.rest.responses import Answer, ok
from parse_clone.api.rest.router import Route
from parse_clone.services.global_config import read_config, update_config


async def read(request: Request) -> Answer:
    """Answer the parameters."""
    return ok(await read_config(request.toolbox, request.context))


async def update(request: Request) -> Answer:
    """Change parameters."""
    return ok(await update_config(request.toolbox, request.context, request.body))


ROUTES = (Route("GET", "/config", read), Route("PUT", "/config", update, master=True))
