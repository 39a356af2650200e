"""What the GraphQL API shows: `/graphql-config`."""

from __future__ import annotations

from parse_clone.api.rest.request import Request
from parse_clone.api.rest.responses import Answer, ok
from parse_clone.api.rest.router import Route
from parse_clone.services.graphql_config import read_graphql_config, update_graphql_config


async def read(request: Request) -> Answer:
    """Answer the config."""
    return ok(await read_graphql_config(request.toolbox))


async def update(request: Request) -> Answer:
    """Replace the config."""
    await update_graphql_config(request.toolbox, request.context, request.body.get("params"))
    return ok({"response": {"result": True}})  # Parse quirk: the dashboard reads it like this


ROUTES = (
    Route("GET", "/graphql-config", read, master=True),
    Route("PUT", "/graphql-config", update, master=True),
)
