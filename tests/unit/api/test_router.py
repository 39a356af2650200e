"""Which route a path leads to."""

from __future__ import annotations

from typing import Any

import pytest

from parse_clone.api.rest.router import Route, Router


async def answer(*_: Any) -> Any:
    """Stands for an endpoint; nobody calls it here."""


ROUTER = Router(
    [
        Route("GET", "/users", answer),
        Route("GET", "/users/me", answer),
        Route("GET", "/users/:objectId", answer),
        Route("PUT", "/users/:objectId", answer),
        Route("GET", "/hooks/triggers/:className/:trigger", answer),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("GET", "users", ("/users", ())),
        ("GET", "USERS", ("/users", ())),
        ("HEAD", "users", ("/users", ())),
        ("GET", "users/me", ("/users/me", ())),
        ("GET", "users/ME", ("/users/me", ())),
        ("PUT", "users/me", ("/users/:objectId", ("me",))),
        ("GET", "users/Me2", ("/users/:objectId", ("Me2",))),
        (
            "GET",
            "hooks/triggers/Note/beforeSave",
            ("/hooks/triggers/:className/:trigger", ("Note", "beforeSave")),
        ),
        ("GET", "hooks/triggers/Note", None),
        ("GET", "users/", None),
        ("GET", "users/a/b", None),
        ("POST", "users", None),
        ("GET", "", None),
    ],
)
def test_paths_lead_to_the_most_literal_route(method: str, path: str, found: tuple[str, Any] | None) -> None:
    match = ROUTER.find(method, path.split("/"))
    assert (None if match is None else (match[0].path, match[1])) == found


def test_no_segments_lead_nowhere() -> None:
    assert ROUTER.find("GET", []) is None
