"""Which function answers which path: dictionaries on the segments, no list of patterns to try.

Literal segments match in any case, parameters (`:name`) anything that is not empty.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from parse_clone.api.rest.responses import Answer

Endpoint = Callable[..., Awaitable[Answer]]
"""Takes the request and the values of the path's parameters, in order."""


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path below the mount. `master` refuses every other caller before the endpoint runs;
    `idempotent` honours request ids; `in_batch` may be part of a batch."""

    method: str
    path: str
    endpoint: Endpoint
    master: bool = False
    idempotent: bool = False
    in_batch: bool = True


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
            for route in table:
                self._add(route)

    def _add(self, route: Route) -> None:
        node = self._root
        for segment in route.path.strip("/").split("/"):
            if segment.startswith(":"):
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment.lower(), _Node())
        node.routes[route.method] = route

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
