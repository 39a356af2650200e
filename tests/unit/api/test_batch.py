"""Which parts of a batch may run at once."""

from __future__ import annotations

from typing import Any

import pytest

from parse_clone.api.rest.router import Route, Router
from parse_clone.api.rest.routes.batch import AT_ONCE, Part, side_by_side


async def answer(*_: Any) -> Any:
    """Stands for an endpoint; nobody calls it here."""


ROUTER = Router(
    [Route(method, "/classes/:className", answer) for method in ("GET", "POST")],
    [Route(method, "/classes/:className/:objectId", answer) for method in ("GET", "PUT", "DELETE")],
    [Route("POST", "/functions/:name", answer)],
)


def part(text: str) -> Part:
    method, path, *object_id = text.split()
    found = ROUTER.find(method, path.strip("/").split("/"))
    assert found is not None
    return Part(method, path, {"objectId": object_id[0]} if object_id else {}, found)


@pytest.mark.parametrize(
    ("parts", "sizes"),
    [
        ([], []),
        (["POST /classes/A", "POST /classes/A", "PUT /classes/A/1", "DELETE /classes/B/1"], [4]),
        (["PUT /classes/A/1", "PUT /classes/A/1"], [1, 1]),
        (["PUT /classes/A/1", "DELETE /classes/A/1", "PUT /classes/A/2"], [1, 2]),
        (["POST /classes/A", "GET /classes/A", "POST /classes/A"], [1, 1, 1]),
        (["POST /classes/A", "POST /functions/f", "POST /functions/f"], [1, 1, 1]),
        (["POST /classes/_User", "POST /classes/_User"], [1, 1]),
        (["POST /classes/A x", "PUT /classes/A/x", "POST /classes/A y"], [1, 2]),
        (["POST /classes/A"] * (AT_ONCE + 1), [AT_ONCE, 1]),
    ],
)
def test_writes_of_different_objects_run_side_by_side(parts: list[str], sizes: list[int]) -> None:
    groups = list(side_by_side([part(text) for text in parts]))
    assert [len(group) for group in groups] == sizes
    assert [p for group in groups for p in group] == [part(text) for text in parts]
