"""The schema API: `/schemas`, and emptying a class by `/purge`."""

from __future__ import annotations

from parse_clone.api.rest.request import Request
from parse_clone.api.rest.responses import EMPTY, Answer, ok
from parse_clone.api.rest.router import Route
from parse_clone.services.schemas import (
    create_schema,
    delete_schema,
    list_schemas,
    purge_class,
    read_schema,
    update_schema,
)


async def find(request: Request) -> Answer:
    """Answer all classes."""
    return ok({"results": await list_schemas(request.toolbox)})


async def get(request: Request, class_name: str) -> Answer:
    """Answer one class."""
    return ok(await read_schema(request.toolbox, class_name))


async def create(request: Request, class_name: str | None = None) -> Answer:
    """Create a class."""
    return ok(await create_schema(request.toolbox, request.context, class_name, request.body))


async def update(request: Request, class_name: str) -> Answer:
    """Change a class."""
    return ok(await update_schema(request.toolbox, request.context, class_name, request.body))


async def delete(request: Request, class_name: str) -> Answer:
    """Delete a class without rows."""
    await delete_schema(request.toolbox, request.context, class_name)
    return EMPTY


async def purge(request: Request, class_name: str) -> Answer:
    """Delete every row of a class."""
    await purge_class(request.toolbox, request.context, class_name)
    return EMPTY


ROUTES = (
    Route("GET", "/schemas", find, master=True),
    Route("POST", "/schemas", create, master=True),
    Route("GET", "/schemas/:className", get, master=True),
    Route("POST", "/schemas/:className", create, master=True),
    Route("PUT", "/schemas/:className", update, master=True),
    Route("DELETE", "/schemas/:className", delete, master=True),
    Route("DELETE", "/purge/:className", purge, master=True),
)
