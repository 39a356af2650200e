"""Push notifications and their audiences."""

from __future__ import annotations

from parse_clone.api.rest.request import Request
from parse_clone.api.rest.responses import Answer
from parse_clone.api.rest.router import Route
from parse_clone.api.rest.routes.classes import class_routes
from parse_clone.errors import ErrorCode, ParseError, permission_denied


async def send(request: Request) -> Answer:
    """Send a push."""
    if request.auth.is_read_only:
        raise permission_denied("read-only masterKey isn't allowed to send push notifications.")
    raise ParseError(ErrorCode.PUSH_MISCONFIGURED, "Push controller is not set")


ROUTES = (
    Route("POST", "/push", send, master=True),
    *class_routes("/push_audiences", "_Audience", master=True),
)
