"""What the doors ask of the object services, and what they get back."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from parse_clone.core.json_types import JsonObject
from parse_clone.immutable import immutable

LARGE_BODY = 256 * 1024
"""Bytes of a body from which on decoding it would hold the event loop too long."""


@immutable()
class FindRequest:
    """A query in wire form. `parameters` holds `where`, `limit`, `order`, ... as the client sent them, values
    already JSON-decoded where they came as text. With `object_id` it is a get of one object. `purpose` tells
    a caller's own query from those that answering it needs: they have no default limit; includes and holders
    of files are objects that are got by their ids. `depth` counts the
    subqueries around this one. A caller that can pass rows on as text says so with `accepts_encoded`."""

    class_name: str
    parameters: JsonObject = field(default_factory=dict)
    object_id: str | None = None
    max_limit: int | None = None  # the door's cap (server option maxLimit); None: none
    purpose: Literal["client", "subquery", "include", "holder"] = "client"
    depth: int = 0
    accepts_encoded: bool = False

    @property
    def is_get(self) -> bool:
        return self.object_id is not None


@immutable()
class FindAnswer:
    """`results` as the caller may see them. A get answers exactly one. `encoded` holds the rows as JSON text
    instead, when nobody needed to look into them; then `results` is empty."""

    results: list[JsonObject]
    count: int | None = None
    encoded: list[bytes] | None = None
    plan: object = None  # the engine's explanation, if it was asked for one


@immutable()
class SaveRequest:
    """Create (`object_id` None) or update; `body` is the wire JSON with its `__op`s. `expected` are values
    that the stored object must have when it is written: 251 if it has others. `size`: bytes of the body, or
    of what it came in."""

    class_name: str
    object_id: str | None
    body: JsonObject
    expected: JsonObject = field(default_factory=dict)
    size: int = 0


@immutable()
class SaveAnswer:
    """`body` is what the client reads. `created` tells 201 from 200. `location` is the path below the mount
    (`/classes/Patient/x`) where the client cannot know it: of a new object, of a user found by identity."""

    body: JsonObject
    created: bool
    location: str = ""


@immutable()
class DeleteRequest:
    class_name: str
    object_id: str
