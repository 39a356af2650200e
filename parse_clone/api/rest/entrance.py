"""The gates behind the front door, in their order: keys, rate limits, allow-list, session. A room that reads
its bodies by itself sends its visits through the same gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from parse_clone.api.rest.middleware.rate_limit import RateLimiter
from parse_clone.api.rest.middleware.route_allow_list import RouteAllowList
from parse_clone.api.rest.request import Caller, Receive, Scope
from parse_clone.api.rest.responses import Headers
from parse_clone.core.context import Auth, Privilege, RequestContext
from parse_clone.immutable import immutable
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.users.authentication import authenticate, authenticate_session


@immutable()
class Visit:
    """A request on its way in: what is known before its body is read."""

    scope: Scope
    receive: Receive
    toolbox: Toolbox
    method: str
    segments: Sequence[str]
    headers: Mapping[str, str]
    ip: str
    base_url: str
    request_id: str

    @property
    def path(self) -> str:
        return "/" + "/".join(self.segments)


@immutable()
class Entrance:
    """The gates of one server."""

    toolbox: Toolbox
    allowed: RouteAllowList
    limits: RateLimiter

    async def admit(
        self, visit: Visit, caller: Caller, method: str, path: str
    ) -> tuple[RequestContext, Headers]:
        """Pass all gates; answers who came in, and the headers that tell of rate limits."""
        context = await self._identify(visit, caller, path)
        methods = ("GET", method) if method == "HEAD" else (method,)  # the same route answers both
        headers = self.limits.check(methods, path, context)
        self.allowed.check(method, path, context.auth)
        return await self._resolve_session(context, method, path), headers

    async def _identify(self, visit: Visit, caller: Caller, path: str) -> RequestContext:
        """Check the keys. The session token is looked up later, after the rate limits."""
        credentials = caller.credentials
        if path == "/login":
            credentials = replace(credentials, session_token=None)  # a stale token never blocks a login
        auth = await authenticate(self.toolbox, credentials, resolve_session=self.limits.needs_user)
        installation_id = caller.installation_id
        if installation_id is None and caller.is_key_in_header and is_internal(auth):
            installation_id = "cloud"
        return RequestContext(
            auth=auth,
            installation_id=installation_id,
            ip=visit.ip,
            headers=visit.headers,
            cloud_context=caller.cloud_context,
            request_id=visit.request_id,
            base_url=visit.base_url,
        )

    async def _resolve_session(self, context: RequestContext, method: str, path: str) -> RequestContext:
        auth = context.auth
        if auth.session_token is None or auth.user is not None or auth.is_privileged:
            return context
        if resolves_session_itself(method, path, auth.session_token):
            return context
        return replace(context, auth=await authenticate_session(self.toolbox, auth.session_token))


def is_internal(auth: Auth) -> bool:
    """Does the caller hold a key that makes the request count as made by the server itself?"""
    return auth.privilege in (Privilege.MASTER, Privilege.MAINTENANCE)


def resolves_session_itself(method: str, path: str, token: str) -> bool:
    """Does the route look the session up by itself, because it has a use even for an old one?"""
    if path == "/upgradeToRevocableSession":
        return not token.startswith("r:")
    return method == "GET" and path == "/sessions/me"
