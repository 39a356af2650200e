"""Sessions: `/sessions/...` and the exchange of old tokens."""

from __future__ import annotations

from parse_clone.api.rest.request import Request
from parse_clone.api.rest.responses import Answer, ok
from parse_clone.api.rest.router import Route
from parse_clone.api.rest.routes.classes import class_routes
from parse_clone.services.users.session_class import read_current_session, upgrade_to_revocable_session


async def current(request: Request) -> Answer:
    """Answer the session of the request's token."""
    return ok(await read_current_session(request.toolbox, request.context))


async def upgrade(request: Request) -> Answer:
    """Open a further session, also for a token of the old kind."""
    return ok(await upgrade_to_revocable_session(request.toolbox, request.context))


ROUTES = (
    *class_routes("/sessions", "_Session"),
    Route("GET", "/sessions/me", current),
    Route("POST", "/upgradeToRevocableSession", upgrade),
)
