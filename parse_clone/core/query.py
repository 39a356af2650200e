"""The typed query model. One meaning, written down once; the matcher states it, the engines compile it.

`Where` is what a client asks and may hold subqueries. `Condition` is what an engine answers and never does:
`services/objects/subqueries.py` turns one into the other. Values inside conditions are REST JSON
(`{"__type": "Date", ...}`); paths are dotted REST names (`vitals.pulse`, `tags.0`).

To add an operator: a class here, its line in `query_json.py`, then mypy names matcher and both compilers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from typing import Generic, Literal, TypeAlias, TypeVar

from parse_clone.core.json_types import Json, JsonObject
from parse_clone.immutable import immutable

Node = TypeVar("Node", covariant=True)


# --- Logic -----------------------------------------------------------------------------------------------


@immutable()
class AllOf(Generic[Node]):
    """Every part matches. No parts: matches everything."""

    parts: tuple[Node, ...] = ()


@immutable()
class AnyOf(Generic[Node]):
    """At least one part matches. No parts: matches nothing."""

    parts: tuple[Node, ...] = ()


@immutable()
class NoneOf(Generic[Node]):
    """No part matches."""

    parts: tuple[Node, ...] = ()


# --- Values ----------------------------------------------------------------------------------------------


@immutable()
class In:
    """`$eq` (one value), `$in`: the value, or an element of the array, equals one of `values`.
    A null among the values matches missing and null."""

    path: str
    values: tuple[Json, ...]


@immutable()
class NotIn:
    """`$ne` (one value), `$nin`: the exact negation of `In`; so missing matches unless null is listed."""

    path: str
    values: tuple[Json, ...]


@immutable()
class Compare:
    """`$lt`, `$lte`, `$gt`, `$gte`: same-type comparison, strings by code point, any element of an array.
    Missing, null and values of another type never match. `value` is a number, text, boolean or Date JSON."""

    path: str
    operator: Literal["<", "<=", ">", ">="]
    value: Json


@immutable()
class Exists:
    """`$exists`: present (a stored null counts) or absent."""

    path: str
    present: bool


@immutable()
class ContainsAll:
    """`$all`: the array holds every value (a scalar field counts as an array of one). Empty: nothing."""

    path: str
    values: tuple[Json, ...]


@immutable()
class ContainsAllPrefixes:
    """`$all` of starts-with expressions: for each prefix some element of the array begins with it."""

    path: str
    prefixes: tuple[str, ...]


@immutable()
class ContainedBy:
    """`$containedBy`: every element of the array is among `values`; missing and empty arrays match."""

    path: str
    values: tuple[Json, ...]


@immutable()
class Regex:
    """`$regex`: unanchored search in the text or in any element of an array. `flags` is a subset of "imsux".
    `pattern` is PCRE as the client sent it (`\\Q...\\E` included)."""

    path: str
    pattern: str
    flags: str = ""


@immutable()
class TextSearch:
    """`$text`: full-text search, where the engine has it."""

    path: str
    term: str
    language: str | None = None
    case_sensitive: bool = False
    diacritic_sensitive: bool = False


# --- Places ----------------------------------------------------------------------------------------------


@immutable()
class GeoPoint:
    """Degrees."""

    latitude: float
    longitude: float


@immutable()
class Near:
    """`$nearSphere`: has the point field; within `max_distance` radians if given; an engine sorts by distance
    unless the page names an order."""

    path: str
    point: GeoPoint
    max_distance: float | None = None


@immutable()
class WithinBox:
    """`$within.$box`: planar rectangle, edges included, does not wrap the date line."""

    path: str
    southwest: GeoPoint
    northeast: GeoPoint


@immutable()
class WithinPolygon:
    """`$geoWithin.$polygon`: planar polygon over a point field."""

    path: str
    ring: tuple[GeoPoint, ...]


@immutable()
class WithinSphere:
    """`$geoWithin.$centerSphere`: within `radius` radians of the point."""

    path: str
    center: GeoPoint
    radius: float


@immutable()
class PolygonContains:
    """`$geoIntersects.$point`: the polygon field contains the point."""

    path: str
    point: GeoPoint


# --- Rights ----------------------------------------------------------------------------------------------


@immutable()
class ReadableBy:
    """The object has no ACL, or its ACL grants one of the principals (`*`, a user id, `role:Name`) read."""

    principals: frozenset[str]


@immutable()
class WritableBy:
    """The same for write."""

    principals: frozenset[str]


# --- Subqueries: only in a Where -------------------------------------------------------------------------


@immutable()
class InQuery:
    """`$inQuery` / `$notInQuery` (negated): the pointer (or an element of an array of pointers) points to a
    row that the subquery finds."""

    path: str
    class_name: str
    where: JsonObject = field(hash=False)
    negated: bool = False
    redirect_key: str | None = None


@immutable()
class Select:
    """`$select` / `$dontSelect` (negated): the value occurs among `key` of the subquery's rows."""

    path: str
    class_name: str
    where: JsonObject = field(hash=False)
    key: str
    negated: bool = False
    redirect_key: str | None = None


@immutable()
class RelatedTo:
    """`$relatedTo`: members of the relation `key` of one owning object."""

    class_name: str
    object_id: str
    key: str


Leaf: TypeAlias = (
    In
    | NotIn
    | Compare
    | Exists
    | ContainsAll
    | ContainsAllPrefixes
    | ContainedBy
    | Regex
    | TextSearch
    | Near
    | WithinBox
    | WithinPolygon
    | WithinSphere
    | PolygonContains
    | ReadableBy
    | WritableBy
)
Subquery: TypeAlias = InQuery | Select | RelatedTo

Condition: TypeAlias = "AllOf[Condition] | AnyOf[Condition] | NoneOf[Condition] | Leaf"
Where: TypeAlias = "AllOf[Where] | AnyOf[Where] | NoneOf[Where] | Leaf | Subquery"

EVERYTHING: AllOf[Condition] = AllOf()
NOTHING: AnyOf[Condition] = AnyOf()


def all_of(*parts: Condition) -> Condition:
    """Join conditions by AND, without needless nesting: what nothing meets stays `NOTHING`."""
    flat: list[Condition] = []
    for part in parts:
        if isinstance(part, AnyOf) and not part.parts:
            return NOTHING
        if isinstance(part, AllOf):
            flat.extend(part.parts)
        else:
            flat.append(part)
    return flat[0] if len(flat) == 1 else AllOf(tuple(flat))


def object_id_is(object_id: str) -> Condition:
    """Name one object."""
    return In("objectId", (object_id,))


def leaves(where: Where) -> Iterator[Leaf | Subquery]:
    """Walk all leaves of a tree, iteratively: a client decides the depth."""
    stack: list[Where] = [where]
    while stack:
        node = stack.pop()
        if isinstance(node, AllOf | AnyOf | NoneOf):
            stack.extend(node.parts)
        else:
            yield node


# --- Page ------------------------------------------------------------------------------------------------


@immutable()
class SortKey:
    """One key of an order. Missing and null come first ascending, last descending."""

    path: str
    descending: bool = False


@immutable()
class Page:
    """Which part of the matches, in which order, with which fields.

    `limit` None: all. `keys` None: all fields; otherwise the root field names to return (`objectId`,
    `createdAt`, `updatedAt` and `ACL` always come along). Engines may ignore what they do not have
    (`hint`, `comment`, `read_preference`).
    """

    limit: int | None = None
    skip: int = 0
    order: tuple[SortKey, ...] = ()
    keys: frozenset[str] | None = None
    hint: str | JsonObject | None = None
    comment: str | None = None
    read_preference: str | None = None
    case_insensitive: bool = False  # text equality by the engine's case-insensitive collation (usernames)


WHOLE = Page()
