"""Does this object satisfy this condition? The reference meaning of every operator; engines must agree.

The meaning is the document database's over stored objects (paths, equality and order: `comparison.py`). A
test of values looks at what the path finds and, where that is an array, at its elements. A condition is
compiled once to closures, because LiveQuery asks thousands of them about each change. Matching never raises,
whatever the object holds. At the end: the order, the part and the fields of matches that a `Page` asks for.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import TypeAlias, assert_never

from parse_clone.core import geo
from parse_clone.core.acl import Right, grants
from parse_clone.core.comparison import (
    COMPARABLE_RANKS,
    MISSING,
    TIMESTAMPS,
    Found,
    Key,
    Missing,
    SortableKey,
    compile_path,
    equality_key,
    leaves_sortable_key,
    sortable_key,
)
from parse_clone.core.json_types import Json, JsonObject
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
    Page,
    PolygonContains,
    ReadableBy,
    Regex,
    SortKey,
    TextSearch,
    WithinBox,
    WithinPolygon,
    WithinSphere,
    WritableBy,
    leaves,
)
from parse_clone.core.regex import compile_regex
from parse_clone.core.text_search import compile_text_score

Matcher: TypeAlias = Callable[[JsonObject], bool]


def matches(condition: Condition, obj: JsonObject) -> bool:
    """Tell whether an object satisfies a condition. For many objects, compile once."""
    return compile_matcher(condition)(obj)


def compile_matcher(condition: Condition, *, case_insensitive: bool = False) -> Matcher:
    """Compile a condition to a test of objects. `case_insensitive`: equality of texts ignores case."""
    match condition:
        case AllOf(parts):
            return _all([compile_matcher(part, case_insensitive=case_insensitive) for part in parts])
        case AnyOf(parts):
            return _any([compile_matcher(part, case_insensitive=case_insensitive) for part in parts])
        case NoneOf(parts):
            return _not(_any([compile_matcher(part, case_insensitive=case_insensitive) for part in parts]))
        case In(path, values):
            return _is_in(path, values, case_insensitive)
        case NotIn(path, values):
            return _not(_is_in(path, values, case_insensitive))
        case ContainsAll(path, values):
            return (
                _all([_is_in(path, (value,), case_insensitive) for value in values]) if values else _nothing
            )
        case Compare(path, comparison, value):
            return _compare(path, comparison, value)
        case Exists(path, present):
            found = _exists(path)
            return found if present else _not(found)
        case ContainsAllPrefixes(path, prefixes):
            return (
                _all([_some_text(path, _starts_with(prefix)) for prefix in prefixes])
                if prefixes
                else _nothing
            )
        case ContainedBy(path, values):
            return _contained_by(path, values)
        case Regex(path, pattern, flags):
            return _some_text(path, compile_regex(pattern, flags))
        case TextSearch(path):
            score = compile_text_score(condition)
            return _some_text(path, lambda text: score(text) > 0)
        case Near(path, point, radius):
            return _within_distance(path, point, inf if radius is None else radius)
        case WithinSphere(path, center, radius):
            return _within_distance(path, center, radius)
        case WithinBox(path, southwest, northeast):
            return _some_point(path, lambda found: geo.is_in_box(found, southwest, northeast))
        case WithinPolygon(path, ring):
            return _some_point(path, lambda found: geo.is_in_polygon(found, ring))
        case PolygonContains(path, point):
            return _some_polygon(path, lambda found: geo.is_in_polygon(point, found))
        case ReadableBy(principals):
            return _granted("read", principals)
        case WritableBy(principals):
            return _granted("write", principals)
        case _:
            assert_never(condition)


# --- Logic -----------------------------------------------------------------------------------------------


def _nothing(obj: JsonObject) -> bool:
    return False


def _not(test: Matcher) -> Matcher:
    return lambda obj: not test(obj)


def _all(tests: Sequence[Matcher]) -> Matcher:
    if len(tests) == 1:
        return tests[0]

    return lambda obj: all(test(obj) for test in tests)


def _any(tests: Sequence[Matcher]) -> Matcher:
    if len(tests) == 1:
        return tests[0]

    return lambda obj: any(test(obj) for test in tests)


# --- Equality --------------------------------------------------------------------------------------------


def _is_in(path: str, values: Sequence[Json], case_insensitive: bool) -> Matcher:
    key = _folded_key if case_insensitive else equality_key
    keys = frozenset(key(value) for value in values)
    has_arrays = any(isinstance(value, list) for value in values)

    def test_leaf(leaf: Found) -> bool:
        if type(leaf) is str and not case_insensitive:  # the usual case
            return leaf in keys
        if isinstance(leaf, list):
            return any(key(element) in keys for element in leaf) or (has_arrays and key(leaf) in keys)
        return key(leaf) in keys

    return _some_leaf(path, test_leaf)


def _folded_key(value: Found) -> Key:
    key = equality_key(value)
    return key.casefold() if isinstance(key, str) else key


def _some_leaf(path: str, test_leaf: Callable[[Found], bool]) -> Matcher:
    """Test whether one of the path's leaves passes."""
    if "." not in path and path not in TIMESTAMPS:
        return lambda obj: test_leaf(obj.get(path, MISSING))
    find = compile_path(path)
    return lambda obj: any(test_leaf(leaf) for leaf in find(obj))


def _some_value(path: str, test_value: Callable[[Found], bool]) -> Matcher:
    """Test whether one of the path's leaves, or an element of an array there, passes."""

    def test_leaf(leaf: Found) -> bool:
        return any(map(test_value, leaf)) if isinstance(leaf, list) else test_value(leaf)

    return _some_leaf(path, test_leaf)


# --- Presence, order, arrays -----------------------------------------------------------------------------


def _exists(path: str) -> Matcher:
    return _some_leaf(path, lambda leaf: leaf is not MISSING)


_COMPARISONS: dict[str, Callable[[SortableKey, SortableKey], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _compare(path: str, comparison: str, value: Json) -> Matcher:
    operand = sortable_key(value, depth=1)  # below the first level a pointer is no text, but an object
    if operand[0] not in COMPARABLE_RANKS:
        return _nothing
    compare = _COMPARISONS[comparison]

    def test_value(candidate: Found) -> bool:
        key = sortable_key(candidate, depth=1)
        return key[0] == operand[0] and compare(key, operand)

    return _some_value(path, test_value)


def _contained_by(path: str, values: Sequence[Json]) -> Matcher:
    keys = frozenset(map(equality_key, values))

    def has_stranger(leaf: Found) -> bool:
        return isinstance(leaf, list) and any(equality_key(element) not in keys for element in leaf)

    return _not(_some_leaf(path, has_stranger))


# --- Texts -----------------------------------------------------------------------------------------------


def _starts_with(prefix: str) -> Callable[[str], bool]:
    return lambda text: text.startswith(prefix)


def _some_text(path: str, test_text: Callable[[str], bool]) -> Matcher:
    def test_value(value: Found) -> bool:
        match value:
            case str():
                return test_text(value)
            case {"__type": "File", "name": str(name)}:
                return test_text(name)
            case _:
                return False

    return _some_value(path, test_value)


# --- Places ----------------------------------------------------------------------------------------------


def _within_distance(path: str, center: GeoPoint, radius: float) -> Matcher:
    return _some_point(path, lambda point: geo.distance(center, point) <= radius)


def _some_point(path: str, test_point: Callable[[GeoPoint], bool]) -> Matcher:
    def test_value(value: Found) -> bool:
        point = None if isinstance(value, Missing) else geo.as_geo_point(value)
        return point is not None and test_point(point)

    return _some_value(path, test_value)


def _some_polygon(path: str, test_ring: Callable[[Sequence[GeoPoint]], bool]) -> Matcher:
    def test_value(value: Found) -> bool:
        ring = None if isinstance(value, Missing) else geo.as_ring(value)
        return ring is not None and test_ring(ring)

    return _some_value(path, test_value)


# --- Rights ----------------------------------------------------------------------------------------------


def _granted(right: Right, principals: frozenset[str]) -> Matcher:
    return lambda obj: grants(obj.get("ACL"), principals, right)


# --- Pages -----------------------------------------------------------------------------------------------

_ALWAYS_SELECTED = frozenset({"objectId", "createdAt", "updatedAt", "ACL"})
_SCORE = "$score"


def sort_objects(objects: Iterable[JsonObject], order: Sequence[SortKey]) -> list[JsonObject]:
    """Sort by several keys, values of all types in the document database's order; ties keep their order."""
    result = list(objects)
    for key in reversed(order):
        result.sort(key=_sortable_by(key), reverse=key.descending)
    return result


def apply_page(objects: Iterable[JsonObject], where: Condition, page: Page) -> list[JsonObject]:
    """Cut a page out of all matches of a condition: sort, skip, limit, select fields."""
    order, keys = page.order, page.keys
    if any(key.path == _SCORE for key in order) or (keys is not None and _SCORE in keys):
        objects = _with_scores(objects, where)
        # Parse quirk: the best match comes first, whichever direction was asked for.
        order = tuple(SortKey("score", True) if key.path == _SCORE else key for key in order)
    result = sort_objects(objects, order)
    if not order and (near := next((leaf for leaf in leaves(where) if isinstance(leaf, Near)), None)):
        result.sort(key=_distance_from(near))
    end = None if page.limit is None else page.skip + page.limit
    return [_select(obj, keys) for obj in result[page.skip : end]]


def _sortable_by(key: SortKey) -> Callable[[JsonObject], SortableKey]:
    find = compile_path(key.path)
    return lambda obj: leaves_sortable_key(find(obj), key.descending)


def _distance_from(near: Near) -> Callable[[JsonObject], float]:
    find = compile_path(near.path)

    def distance(obj: JsonObject) -> float:
        values = [value for leaf in find(obj) for value in (leaf if isinstance(leaf, list) else [leaf])]
        points = (None if isinstance(value, Missing) else geo.as_geo_point(value) for value in values)
        return min((geo.distance(near.point, point) for point in points if point), default=inf)

    return distance


def _with_scores(objects: Iterable[JsonObject], where: Condition) -> Iterable[JsonObject]:
    search = next((leaf for leaf in leaves(where) if isinstance(leaf, TextSearch)), None)
    if search is None:
        return objects
    find, score = compile_path(search.path), compile_text_score(search)
    return [
        {**obj, "score": max((score(leaf) for leaf in find(obj) if isinstance(leaf, str)), default=0.0)}
        for obj in objects
    ]


def _select(obj: JsonObject, keys: frozenset[str] | None) -> JsonObject:
    if keys is None:
        return obj
    wanted = keys | _ALWAYS_SELECTED | ({"score"} if _SCORE in keys else frozenset())
    return {name: value for name, value in obj.items() if name in wanted}
