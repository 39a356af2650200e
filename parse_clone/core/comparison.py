"""When are two values equal, which comes first, and what does a path find? As the document database sees
stored objects.

- A path fans out over arrays of objects; a numeric segment also names an array's element. What a path finds
  are its leaves. An absent key is the leaf `MISSING`; an array without objects on the way gives no leaf.
- Values of different types are never equal. `createdAt` and `updatedAt` are dates, though objects hold them
  as texts; a File is the text of its name; a number is no boolean; an embedded object is its pointer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from parse_clone.core import geo
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.names import is_array_index
from parse_clone.core.values import moment_of

# --- Paths -----------------------------------------------------------------------------------------------


class Missing:
    """The leaf of a path that an object does not have."""


MISSING: Final = Missing()
Found: TypeAlias = "Json | Missing"

TIMESTAMPS: Final = frozenset({"createdAt", "updatedAt"})
_OPAQUE_WITHIN = frozenset({"Date", "Bytes"})  # the engine's own types, without members


def compile_path(path: str) -> Callable[[JsonObject], list[Found]]:
    """Compile a dotted path to a function that lists an object's leaves."""
    root, *rest = path.split(".")
    if path in TIMESTAMPS:
        return lambda obj: [_as_date(obj.get(path, MISSING))]
    if not rest:
        return lambda obj: [obj.get(root, MISSING)]

    def find(obj: JsonObject) -> list[Found]:
        value = obj.get(root)
        # Typed values of the first level are columns of their own kind: nothing lies below them.
        if isinstance(value, dict) and "__type" in value:
            return [MISSING]
        found: list[Found] = [value]
        for segment in rest:
            found = [leaf for value in found for leaf in _descend(value, segment)]
        return found

    return find


def _descend(value: Found, segment: str) -> Iterator[Found]:
    if isinstance(value, list):
        for element in value:
            if isinstance(element, dict):
                yield _member(element, segment)
        if is_array_index(segment) and int(segment) < len(value):
            yield value[int(segment)]
    else:
        yield _member(value, segment)


def _member(value: Found, name: str) -> Found:
    if not isinstance(value, dict) or value.get("__type") in _OPAQUE_WITHIN:
        return MISSING
    return value.get(name, MISSING)


def _as_date(value: Found) -> Found:
    return {"__type": "Date", "iso": value} if isinstance(value, str) else value


# --- Equality --------------------------------------------------------------------------------------------

Key: TypeAlias = "str | int | float | tuple[object, ...] | None"
"""A value's identity, hashable: two values are equal if and only if their keys are."""

_TRUE, _FALSE = ("Boolean", True), ("Boolean", False)
_DEEPEST = 100  # no stored object is nested deeper; what is, equals nothing


def equality_key(value: Found, depth: int = 0) -> Key:
    """Give the identity of a value; missing and null share one."""
    match value:
        case str() | None:
            return value
        case bool():
            return _TRUE if value else _FALSE
        case int() | float():
            return value
        case Missing():
            return None
        case _ if depth > _DEEPEST:
            return (object(),)
        case list():
            return ("Array", *(equality_key(element, depth + 1) for element in value))
        case _:
            type_name = value.get("__type")
            typed_key = _TYPED_KEYS.get(type_name) if isinstance(type_name, str) else None
            # The order of members counts, as it does in the document database.
            return (typed_key and typed_key(value)) or (
                ("Object", *((name, equality_key(member, depth + 1)) for name, member in value.items()))
            )


def _pointer_key(value: JsonObject) -> Key:
    class_name, object_id = value.get("className"), value.get("objectId")
    if isinstance(class_name, str) and isinstance(object_id, str):
        return ("Pointer", class_name, object_id)
    return None


def _date_key(value: JsonObject) -> Key:
    moment = moment_of(value)
    return None if moment is None else ("Date", moment)


def _point_key(value: JsonObject) -> Key:
    point = geo.as_geo_point(value)
    return None if point is None else ("GeoPoint", point)


def _ring_key(value: JsonObject) -> Key:
    ring = geo.as_ring(value)
    return None if ring is None else ("Polygon", ring)


def _file_key(value: JsonObject) -> Key:
    name = value.get("name")
    return name if isinstance(name, str) else None


def _bytes_key(value: JsonObject) -> Key:
    encoded = value.get("base64")
    return ("Bytes", encoded) if isinstance(encoded, str) else None


_TYPED_KEYS: dict[str, Callable[[JsonObject], Key]] = {
    "Pointer": _pointer_key,
    "Object": _pointer_key,
    "Date": _date_key,
    "GeoPoint": _point_key,
    "Polygon": _ring_key,
    "File": _file_key,
    "Bytes": _bytes_key,
}
"""The identity of typed values; None for those that do not hold what their type promises."""


# --- Order -----------------------------------------------------------------------------------------------


SortableKey: TypeAlias = "tuple[int, object]"
"""A type's rank, and what orders values within that type."""

_EMPTY_ARRAY, _NULL, _NUMBER, _TEXT, _OBJECT, _ARRAY, _BYTES, _BOOLEAN, _DATE = range(9)
COMPARABLE_RANKS: Final = frozenset({_NUMBER, _TEXT, _BOOLEAN, _DATE})
"""Types with `<` and `>`; the others have an order only when sorted."""


def sortable_key(value: Found, depth: int = 0) -> SortableKey:
    """Rank a value among all values of all types: null, numbers, texts, objects, arrays, bytes, booleans,
    dates."""
    match value:
        case None | Missing():
            return _NULL, 0
        case bool():
            return _BOOLEAN, value
        case int() | float():
            return _NUMBER, value
        case str():
            return _TEXT, value
        case list():
            return _ARRAY, tuple(sortable_key(part, depth + 1) for part in value) if depth < _DEEPEST else ()
        case {"__type": "Date"} if moment := moment_of(value):
            return _DATE, moment
        case {"__type": "Bytes", "base64": str(encoded)}:
            return _BYTES, (len(encoded), encoded)
        case {"__type": "File", "name": str(name)}:
            return _TEXT, name
        case {"__type": "Pointer", "className": str(name), "objectId": str(object_id)} if depth == 0:
            return _TEXT, f"{name}${object_id}"
        case _ if depth < _DEEPEST:
            members = ((name, sortable_key(member, depth + 1)) for name, member in value.items())
            return _OBJECT, tuple((rank, name, order) for name, (rank, order) in members)
        case _:
            return _OBJECT, ()


def leaves_sortable_key(leaves: list[Found], descending: bool) -> SortableKey:
    """Rank what a path found: by its least element ascending, by its greatest descending."""
    keys: list[SortableKey] = []
    for leaf in leaves:
        if isinstance(leaf, list):
            keys.extend([sortable_key(element, 1) for element in leaf] or [(_EMPTY_ARRAY, 0)])
        else:
            keys.append(sortable_key(leaf))
    if not keys:
        return _NULL, 0
    return max(keys) if descending else min(keys)
