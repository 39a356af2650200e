"""From a `Condition` to a MongoDB filter that means what `core.matcher` means.

No text of a client becomes an operator: paths are checked by the codec, and documents stand behind an
operator of ours, where MongoDB takes them literally.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from math import pi
from typing import Any, TypeAlias, assert_never

from parse_clone.adapters.storage.mongo.codec import NO_OPERAND, READERS, WRITERS, Column, Row, RowCodec
from parse_clone.core.json_types import Json
from parse_clone.core.query import (
    AllOf,
    AnyOf,
    Compare,
    Condition,
    ContainedBy,
    ContainsAll,
    ContainsAllPrefixes,
    Exists,
    GeoPoint,
    In,
    Near,
    NoneOf,
    NotIn,
    PolygonContains,
    ReadableBy,
    Regex,
    SortKey,
    TextSearch,
    WithinBox,
    WithinPolygon,
    WithinSphere,
    WritableBy,
)

Filter: TypeAlias = Row

_NOTHING: Filter = {"_id": {"$in": []}}
_COMPARISONS = {"<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte"}
_FLAGS = frozenset("imsx")  # `u` goes without saying: all texts are Unicode


def compile_filter(codec: RowCodec, where: Condition, *, nearest_first: bool = False) -> Filter:
    """Compile a condition. `nearest_first`: let `Near` sort the answer, as a find without an order wants."""
    match where:
        case In(path, values):
            return _compile_in(codec.column(path), values)
        case AllOf(parts):
            return _merge([compile_filter(codec, part, nearest_first=nearest_first) for part in parts])
        case ReadableBy(principals):
            return {READERS: {"$in": [None, *sorted(principals)]}}
        case WritableBy(principals):
            return {WRITERS: {"$in": [None, *sorted(principals)]}}
        case AnyOf(parts):
            return {"$or": [compile_filter(codec, part) for part in parts]} if parts else _NOTHING
        case NoneOf(parts):
            return {"$nor": [compile_filter(codec, part) for part in parts]} if parts else {}
        case NotIn(path, values):
            return _compile_not_in(codec.column(path), values)
        case Compare(path, operator, value):
            return _compile_compare(codec.column(path), _COMPARISONS[operator], value)
        case Exists(path, present):
            return {codec.column(path).name: {"$exists": present}}
        case ContainsAll(path, values):
            column = codec.column(path)
            return _merge([_compile_in(column, (value,)) for value in values]) if values else _NOTHING
        case ContainedBy(path, values):
            return _compile_contained_by(codec.column(path), values)
        case ContainsAllPrefixes(path, prefixes):
            column = codec.column(path)
            patterns = [_compile_regex(column, f"^{_quote(prefix)}", "") for prefix in prefixes]
            return _merge(patterns) if patterns else _NOTHING
        case Regex(path, pattern, flags):
            return _compile_regex(codec.column(path), unquoted(pattern), flags)
        case TextSearch():
            return {"$text": _compile_text(where)}
        case Near(path, point, radius):
            return _compile_near(codec.column(path), point, radius, nearest_first)
        case WithinSphere(path, center, radius):
            return _compile_sphere(codec.column(path), center, radius)
        case WithinBox(path, southwest, northeast):
            return _compile_area(codec.column(path), {"$box": [_place(southwest), _place(northeast)]})
        case WithinPolygon(path, ring):
            return _compile_area(codec.column(path), {"$polygon": _widen([_place(p) for p in ring])})
        case PolygonContains(path, point):
            geometry = {"type": "Point", "coordinates": _place(point)}
            return {codec.column(path).name: {"$geoIntersects": {"$geometry": geometry}}}
        case _:
            assert_never(where)


def compile_sort(codec: RowCodec, order: Iterable[SortKey]) -> list[tuple[str, Any]]:
    """Compile an order. `$score` is the rank that a text search gives."""
    return [
        ("score", {"$meta": "textScore"})
        if key.path == "$score"
        else (codec.column(key.path).name, -1 if key.descending else 1)
        for key in order
    ]


# --- Logic -----------------------------------------------------------------------------------------------


def _merge(parts: Sequence[Filter]) -> Filter:
    """Join filters by AND: flat where no member is named twice, so that the log stays readable."""
    merged: Filter = {}
    for part in parts:
        if not merged.keys().isdisjoint(part):
            return {"$and": list(parts)}
        merged |= part
    return merged


# --- Values ----------------------------------------------------------------------------------------------


def _operands(column: Column, values: Iterable[Json]) -> list[Any]:
    return [operand for value in values if (operand := column.operand(value)) is not NO_OPERAND]


def _compile_in(column: Column, values: Sequence[Json]) -> Filter:
    operands = _operands(column, values)
    if not operands:
        return _NOTHING
    if len(operands) > 1:
        return {column.name: {"$in": operands}}
    # A document could be taken for operators.
    return {column.name: {"$eq": operands[0]} if isinstance(operands[0], dict) else operands[0]}


def _compile_not_in(column: Column, values: Sequence[Json]) -> Filter:
    operands = _operands(column, values)
    if not operands:
        return {}
    return {column.name: {"$ne": operands[0]} if len(operands) == 1 else {"$nin": operands}}


def _compile_compare(column: Column, operator: str, value: Json) -> Filter:
    if column.is_opaque or value is None or isinstance(value, list):
        return _NOTHING
    operand = column.operand(value)
    # Only Dates, among the values with a `__type`, have an order.
    return _NOTHING if isinstance(operand, dict | bytes) else {column.name: {operator: operand}}


def _compile_contained_by(column: Column, values: Sequence[Json]) -> Filter:
    if column.is_opaque:
        return {}
    return {"$nor": [{column.name: {"$elemMatch": {"$nin": _operands(column, values)}}}]}


# --- Texts -----------------------------------------------------------------------------------------------

_QUOTED = re.compile(r"\\Q(.*?)(?:\\E|\Z)|\\(?!E).|\\E", re.DOTALL)


def unquoted(pattern: str) -> str:
    r"""Replace the `\Q...\E` passages of a pattern by escaped text: not every engine knows them."""
    return _QUOTED.sub(_unquote, pattern) if "\\Q" in pattern or "\\E" in pattern else pattern


def _unquote(found: re.Match[str]) -> str:
    if found[1] is not None:
        return _quote(found[1])
    return "" if found[0] == "\\E" else found[0]


def _quote(text: str) -> str:
    return "".join(c if c.isalnum() or c == "_" or not c.isascii() else f"\\{c}" for c in text)


def _compile_regex(column: Column, pattern: str, flags: str) -> Filter:
    if column.is_opaque:
        return _NOTHING
    options = "".join(sorted(_FLAGS.intersection(flags)))
    return {column.name: {"$regex": pattern, "$options": options} if options else {"$regex": pattern}}


def _compile_text(search: TextSearch) -> Row:
    text: Row = {
        "$search": search.term,
        "$caseSensitive": search.case_sensitive,
        "$diacriticSensitive": search.diacritic_sensitive,
    }
    return text if search.language is None else text | {"$language": search.language}


# --- Places ----------------------------------------------------------------------------------------------


def _place(point: GeoPoint) -> list[float]:
    return [point.longitude, point.latitude]


def _compile_near(column: Column, point: GeoPoint, radius: float | None, nearest_first: bool) -> Filter:
    if not nearest_first or column.type != "GeoPoint":
        return _compile_sphere(column, point, pi if radius is None else radius)
    near: Row = {"$nearSphere": _place(point)}
    return {column.name: near if radius is None else near | {"$maxDistance": radius}}


def _compile_sphere(column: Column, center: GeoPoint, radius: float) -> Filter:
    if radius >= pi:  # the whole earth, which MongoDB refuses as a circle
        return {column.name: {"$ne": None}} if column.type == "GeoPoint" else _NOTHING
    return _compile_area(column, {"$centerSphere": [_place(center), radius]})


_HAIR = 1e-9


def _widen(ring: list[list[float]]) -> list[list[float]]:
    """Move the corners away from the middle by a hair. So places on the edge are inside, as for the matcher;
    MongoDB by itself takes the eastern and northern edges for inside, the others for outside."""
    middle = [sum(axis) / len(ring) for axis in zip(*ring, strict=True)]
    return [[c + (c - m) * _HAIR for c, m in zip(place, middle, strict=True)] for place in ring]


def _compile_area(column: Column, area: Row) -> Filter:
    # Two numbers in an ordinary array are no point.
    return {column.name: {"$geoWithin": area}} if column.type == "GeoPoint" else _NOTHING
