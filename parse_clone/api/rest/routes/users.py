"""Users and how they come in: `/users/...`, `/login`, `/logout` and what belongs to passwords."""

from __future__ import annotations

from parse_clone.api.rest.query_string import decode_form
from parse_clone.api.rest.request import Request
from parse_clone.api.rest.responses import Answer, ok
from parse_clone.api.rest.router import Route
from parse_clone.api.rest.routes.classes import class_routes
from parse_clone.core.json_types import JsonObject
from parse_clone.services.users.challenge import challenge
from parse_clone.services.users.login import log_in, log_in_as, log_out, read_me, verify_password


async def login(request: Request) -> Answer:
    """Open a session."""
    return ok(await log_in(request.toolbox, request.context, credentials(request)))


async def verify(request: Request) -> Answer:
    """Say whether a password is right."""
    return ok(await verify_password(request.toolbox, request.context, credentials(request)))


async def login_as(request: Request) -> Answer:
    """Open a session for any user."""
    return ok(await log_in_as(request.toolbox, request.context, request.parameters))


async def me(request: Request) -> Answer:
    """Answer the user of the session."""
    return ok(await read_me(request.toolbox, request.context))


async def challenges(request: Request) -> Answer:
    """Answer what providers want to be proven."""
    return ok(await challenge(request.toolbox, request.context, request.body))


async def logout(request: Request) -> Answer:
    """End the session."""
    return ok(await log_out(request.toolbox, request.context))


def credentials(request: Request) -> JsonObject:
    """The parameters of a login: the body's, or the URL's (texts) if only that names the user. What providers
    want to see is no text: it comes in bodies."""
    if not request.query_string or any(request.body.get(name) for name in ("username", "email")):
        return request.body
    parameters = decode_form(request.query_string)
    parameters.pop("authData", None)
    return parameters


ROUTES = (
    *class_routes("/users", "_User", idempotent=True),
    Route("GET", "/users/me", me),
    Route("GET", "/login", login),
    Route("POST", "/login", login),
    Route("POST", "/loginAs", login_as),
    Route("POST", "/logout", logout),
    Route("POST", "/challenge", challenges),
    Route("GET", "/verifyPassword", verify),
    Route("POST", "/verifyPassword", verify),
)
