"""Objects: `/classes/...`, and the classes that have a path of their own."""

from __future__ import annotations

from parse_clone.api.rest.request import Request
from parse_clone.api.rest.responses import Answer, found, found_one, ok, saved
from parse_clone.api.rest.router import Route
from parse_clone.services.classes import delete_object, find_objects, save_object
from parse_clone.services.objects.requests import DeleteRequest, FindRequest, SaveRequest


async def find(request: Request, class_name: str) -> Answer:
    """Answer a query."""
    # Parse quirk: `maxLimit` does not count for installations (test_max_limit_spares_installations).
    limit = None if class_name == "_Installation" else request.toolbox.settings.max_limit
    query = FindRequest(class_name, request.parameters, max_limit=limit, accepts_encoded=True)
    return found(await find_objects(request.toolbox, request.context, query))


async def get(request: Request, class_name: str, object_id: str) -> Answer:
    """Answer one object."""
    query = FindRequest(class_name, request.parameters, object_id=object_id, accepts_encoded=True)
    return found_one(await find_objects(request.toolbox, request.context, query))


async def create(request: Request, class_name: str) -> Answer:
    """Create an object."""
    wish = SaveRequest(class_name, None, request.body, size=len(request.raw_body))
    return saved(await save_object(request.toolbox, request.context, wish), request.context.base_url)


async def update(request: Request, class_name: str, object_id: str) -> Answer:
    """Change an object."""
    wish = SaveRequest(class_name, object_id, request.body, size=len(request.raw_body))
    return saved(await save_object(request.toolbox, request.context, wish), request.context.base_url)


async def delete(request: Request, class_name: str, object_id: str) -> Answer:
    """Delete an object."""
    return ok(await delete_object(request.toolbox, request.context, DeleteRequest(class_name, object_id)))


def class_routes(
    path: str, class_name: str, *, master: bool = False, idempotent: bool = False
) -> tuple[Route, ...]:
    """The five routes of a class that has a path of its own."""

    async def find_these(request: Request) -> Answer:
        return await find(request, class_name)

    async def get_this(request: Request, object_id: str) -> Answer:
        return await get(request, class_name, object_id)

    async def create_this(request: Request) -> Answer:
        return await create(request, class_name)

    async def update_this(request: Request, object_id: str) -> Answer:
        return await update(request, class_name, object_id)

    async def delete_this(request: Request, object_id: str) -> Answer:
        return await delete(request, class_name, object_id)

    return (
        Route("GET", path, find_these, master=master),
        Route("GET", f"{path}/:objectId", get_this, master=master),
        Route("POST", path, create_this, master=master, idempotent=idempotent),
        Route("PUT", f"{path}/:objectId", update_this, master=master, idempotent=idempotent),
        Route("DELETE", f"{path}/:objectId", delete_this, master=master),
    )


ROUTES = (
    Route("GET", "/classes/:className", find),
    Route("GET", "/classes/:className/:objectId", get),
    Route("POST", "/classes/:className", create, idempotent=True),
    Route("PUT", "/classes/:className/:objectId", update, idempotent=True),
    Route("DELETE", "/classes/:className/:objectId", delete),
    *class_routes("/roles", "_Role"),
    *class_routes("/installations", "_Installation", idempotent=True),
)
