"""Which function answers which path: dictionaries on the segments, no list of patterns to try.

Literal segments match in any case, parameters (`:name`) anything that is not empty.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from parse_clone.api.rest.middleware.idempotency import check_first_time
from parse_clone.api.rest.request import Request
from parse_clone.api.rest.responses import Answer, master_key_required

Endpoint = Callable[..., Awaitable[Answer]]
"""Takes the request and the values of the path's parameters, in order."""


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path below the mount. `master` refuses every other caller before the endpoint runs;
    `idempotent` honours request ids."""

    method: str
    path: str
    endpoint: Endpoint
    master: bool = False
    idempotent: bool = False


@dataclass(slots=True)
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    parameter: _Node | None = None
    routes: dict[str, Route] = field(default_factory=dict)


Found = tuple[Route, tuple[str, ...]]


class Router:
    """All routes of one server."""

    def __init__(self, *tables: Sequence[Route]) -> None:
        self._root = _Node()
        for table in tables:
            self.add(*table)

    def add(self, *routes: Route) -> None:
        """Add routes; of two with the same method and path the last counts."""
        for route in routes:
            self._node(route.path).routes[route.method] = route

    def _node(self, path: str) -> _Node:
        node = self._root
        for segment in path.strip("/").split("/"):
            if segment.startswith(":"):
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment.lower(), _Node())
        return node

    def find(self, method: str, segments: Sequence[str]) -> Found | None:
        """The route of a path, with the values of its parameters; None if there is none."""
        return _find(self._root, "GET" if method == "HEAD" else method, segments, 0, ())


def _find(
    node: _Node, method: str, segments: Sequence[str], position: int, values: tuple[str, ...]
) -> Found | None:
    if position == len(segments):
        route = node.routes.get(method)
        return None if route is None else (route, values)
    segment = segments[position]
    literal = node.literals.get(segment.lower())
    if literal is not None:
        # `GET /users/me` is a route of its own, `PUT /users/me` an update of the object "me".
        found = _find(literal, method, segments, position + 1, values)
        if found is not None:
            return found
    if node.parameter is None or not segment:
        return None
    return _find(node.parameter, method, segments, position + 1, (*values, segment))


async def run_route(found: Found, request: Request, *, in_batch: bool = False) -> Answer:
    """Run a route's endpoint, if the caller may enter and does not repeat himself."""
    route, values = found
    if route.master and not request.auth.is_master:
        raise master_key_required()
    if route.idempotent and not in_batch:
        await check_first_time(request)
    return await route.endpoint(request, *values)
