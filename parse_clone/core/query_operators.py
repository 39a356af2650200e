"""One constraint of a `where`: what the client may write for a field, operator by operator.

A table at the end names every operator; what is not in it is refused. `query_json.py` builds the trees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal, TypeAlias

from parse_clone.core import geo
from parse_clone.core.javascript import is_truthy, json_of, text_of
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.query import (
    AnyOf,
    Compare,
    ContainedBy,
    ContainsAll,
    ContainsAllPrefixes,
    Exists,
    GeoPoint,
    In,
    InQuery,
    Leaf,
    Near,
    NotIn,
    PolygonContains,
    Regex,
    Select,
    Subquery,
    TextSearch,
    Where,
    WithinBox,
    WithinPolygon,
    WithinSphere,
)
from parse_clone.core.query_limits import QueryLimits
from parse_clone.core.regex import FLAGS, compile_regex, quoted_prefix
from parse_clone.core.relative_time import decode_relative_time
from parse_clone.core.schema import FieldType
from parse_clone.core.values import (
    date_value,
    decode_date,
    is_number,
    is_pointer,
    is_typed,
    normal_value,
    pointer,
)
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.immutable import immutable


def invalid_query(text: str) -> ParseError:
    return ParseError(ErrorCode.INVALID_QUERY, text)


def invalid_json(text: str) -> ParseError:
    return ParseError(ErrorCode.INVALID_JSON, text)


# --- Values ----------------------------------------------------------------------------------------------

_ATOMS = ("Pointer", "Date", "Bytes", "GeoPoint", "Polygon", "File")  # a tuple: clients name unhashable types
_NORMALISED_WITHIN = ("Pointer", "Date", "Bytes")  # inside of a field the others lie as they came
_DATES_AS_TEXT = frozenset(
    {
        "createdAt",
        "updatedAt",
        "expiresAt",
        "lastUsed",
        "_account_lockout_expires_at",
        "_email_verify_token_expires_at",
        "_password_changed_at",
        "_perishable_token_expires_at",
    }
)
_LONGEST_QUOTE = 1_000


@immutable()
class QueryField:
    """What a constraint is about. `type` is None for unknown fields and for dotted paths."""

    path: str
    type: FieldType | None
    limits: QueryLimits
    now: datetime

    @property
    def is_interior(self) -> bool:
        """May values here be any JSON? So it is inside of objects and arrays."""
        return "." in self.path or (self.type is not None and self.type.name == "Array")

    @property
    def reads_dates(self) -> bool:
        """May a plain text stand for a date here?"""
        return self.path in _DATES_AS_TEXT and (self.type is None or self.type.name == "Date")

    @property
    def nothing(self) -> Leaf:
        """A constraint that nothing meets, which still tells what it is about."""
        return In(self.path, ())

    @property
    def memberless(self) -> Leaf:
        """What `{}` and `[]` ask for: an object without members, so nothing where no object can be."""
        holds_objects = self.is_interior or self.type is None or self.type.name == "Object"
        return In(self.path, ({},)) if holds_objects else self.nothing

    def accepts(self, value: Json) -> bool:
        """Is this a value that an object could have here?"""
        if isinstance(value, dict) and value.get("__type") in _ATOMS:
            return _normal(value) is not None
        return self.is_interior or not isinstance(value, dict | list)

    def atom(self, value: Json) -> Json:
        """Read a value inside of an operator; there, a bare id names an object of a pointer's class."""
        if not self.accepts(value):
            raise invalid_json(f"bad atom: {json_of(value)[:_LONGEST_QUOTE]}")
        return self.element(value)

    def atoms(self, values: Json, refusal: str) -> tuple[Json, ...]:
        return tuple(self.atom(value) for value in self.array(values, refusal))

    def element(self, value: Json) -> Json:
        """Bring a value into its stored form, where it has one."""
        if isinstance(value, str) and self.type is not None and self.type.target is not None:
            return pointer(self.type.target, value)
        if isinstance(value, dict | list):
            type_name = value.get("__type") if isinstance(value, dict) else None
            if type_name is None or not self.is_interior or type_name in _NORMALISED_WITHIN:
                found = _normal(value)
                return value if found is None else found
        return value

    def array(self, value: Json, refusal: str) -> list[Json]:
        if not isinstance(value, list):
            raise invalid_json(refusal)
        if len(value) > self.limits.values:
            raise invalid_query(f"A list in a query may have at most {self.limits.values} values")
        return value

    def on_relation(self, part: Where) -> Where:
        """Let a constraint on a relation field ask for linked objects only; anything else matches nothing."""
        if self.type is None or self.type.name != "Relation":
            return part
        match part:
            case In(path, values):
                return In(path, _only_pointers(values))
            case NotIn(path, values) if pointers := _only_pointers(values):
                return NotIn(path, pointers)
            case InQuery() | Select() | AnyOf():
                return part
            case _:
                return self.nothing


def _only_pointers(values: Sequence[Json]) -> tuple[Json, ...]:
    return tuple(value for value in values if is_pointer(value))


def _normal(value: Json) -> Json:
    try:
        return normal_value(value)
    except ParseError:
        return None


def decode_direct(field: QueryField, value: Json) -> Leaf:
    """Decode a constraint that is a plain value."""
    if (isinstance(value, list) and "." not in field.path) or not field.accepts(value):
        raise invalid_json(f"You cannot use {text_of(value)[:_LONGEST_QUOTE]} as a query parameter.")
    if isinstance(value, str):
        # Parse quirk: only here a date may be a text, and an id never becomes a pointer.
        return _date_text(field, value) if field.reads_dates else In(field.path, (value,))
    return In(field.path, (field.element(value),))


def _date_text(field: QueryField, text: str) -> Leaf:
    try:
        return In(field.path, (date_value(decode_date(text)),))
    except ValueError:
        return field.nothing


# --- Operators -------------------------------------------------------------------------------------------

_UNION = frozenset({"$in", "$inQuery", "$select"})


def decode_operators(field: QueryField, constraint: JsonObject) -> list[Where]:
    """Decode operators, all of which must hold; `$in` and subqueries that add to it count as one list."""
    union: list[Where] = []
    parts: list[Where] = []
    for name, value in constraint.items():
        decode = _OPERATORS.get(name)
        if decode is None:
            raise invalid_json(f"bad constraint: {name}")
        part = decode(field, value, constraint)
        if part is not None:
            (union if name in _UNION else parts).append(part)
    if len(union) > 1:
        union = [AnyOf(tuple(union))]
    return union + parts


def _equal(field: QueryField, value: Json, constraint: JsonObject) -> Leaf:
    _check_no_relative_time(field, value)
    return In(field.path, (field.atom(value),))


def _not_equal(field: QueryField, value: Json, constraint: JsonObject) -> Leaf:
    _check_no_relative_time(field, value)
    return NotIn(field.path, (field.atom(value),))


def _exists(field: QueryField, value: Json, constraint: JsonObject) -> Leaf:
    _check_no_relative_time(field, value)
    return Exists(field.path, is_truthy(field.atom(value)))


def _in(field: QueryField, value: Json, constraint: JsonObject) -> Leaf:
    return In(field.path, tuple(_flat_atoms(field, value, "bad $in value")))


def _not_in(field: QueryField, value: Json, constraint: JsonObject) -> Leaf:
    return NotIn(field.path, tuple(_flat_atoms(field, value, "bad $nin value")))


def _flat_atoms(field: QueryField, values: Json, refusal: str) -> Iterator[Json]:
    # There may be a hundred thousand: those that `atom` would leave as they are need not go through it.
    has_target = field.type is not None and field.type.target is not None
    plain = _NUMBERS_AND_SO_ON if has_target else {*_NUMBERS_AND_SO_ON, str}
    for value in field.array(values, refusal):
        if type(value) in plain:
            yield value
        else:
            for atom in value if isinstance(value, list) else (value,):
                yield field.atom(atom)


_NUMBERS_AND_SO_ON = frozenset({int, float, bool, type(None)})


def _contains_all(field: QueryField, value: Json, constraint: JsonObject) -> Leaf:
    values = field.array(value, "bad $all value")
    if not any(isinstance(item, dict) and "$regex" in item for item in values):
        return ContainsAll(field.path, tuple(map(field.element, values)))
    prefixes = tuple(prefix for item in values if (prefix := _prefix(item)) is not None)
    if len(prefixes) < len(values):
        found = ",".join(map(_regex_text, values))[:_LONGEST_QUOTE]
        raise invalid_json(f"All $all values must be of regex type or none: {found}")
    return ContainsAllPrefixes(field.path, prefixes)


def _prefix(item: Json) -> str | None:
    match item:
        case {"$regex": str(pattern)}:
            return quoted_prefix(pattern)
        case _:
            return None


def _regex_text(item: Json) -> str:
    if isinstance(item, dict) and "$regex" in item:
        return f"/{text_of(item['$regex'])}/"
    return "" if item is None else text_of(item)


def _contained_by(field: QueryField, value: Json, constraint: JsonObject) -> Leaf:
    return ContainedBy(field.path, field.atoms(value, "bad $containedBy: should be an array"))


_Comparison: TypeAlias = Literal["<", "<=", ">", ">="]
_Decode: TypeAlias = Callable[["QueryField", Json, JsonObject], "Leaf | Subquery | None"]


def _compare(name: str, comparison: _Comparison) -> _Decode:
    def decode(field: QueryField, value: Json, constraint: JsonObject) -> Leaf:
        if _is_relative_time(value):
            value = _relative_time(field, name, value)
        atom = field.atom(value)
        if isinstance(atom, str | bool | int | float) or is_typed(atom, "Date"):
            return Compare(field.path, comparison, atom)
        return field.nothing

    return decode


def _is_relative_time(value: Json) -> bool:
    return isinstance(value, dict) and is_truthy(value.get("$relativeTime"))


def _relative_time(field: QueryField, name: str, value: Json) -> JsonObject:
    _check_date_field(field)
    text = value.get("$relativeTime") if isinstance(value, dict) else None
    try:
        return date_value(decode_relative_time(text if isinstance(text, str) else "", field.now))
    except ValueError as error:
        raise invalid_json(f"bad $relativeTime ({name}) value. {error}") from error


def _check_no_relative_time(field: QueryField, value: Json) -> None:
    if _is_relative_time(value):
        _check_date_field(field)
        raise invalid_json("$relativeTime can only be used with the $lt, $lte, $gt, and $gte operators")


def _check_date_field(field: QueryField) -> None:
    if field.type is not None and field.type.name != "Date":
        raise invalid_json("$relativeTime can only be used with Date field")


# --- Operators on texts ----------------------------------------------------------------------------------


def _regex(field: QueryField, pattern: Json, constraint: JsonObject) -> Leaf:
    if not field.limits.allow_regex:
        raise invalid_query("$regex operator is not allowed")
    if not isinstance(pattern, str):
        raise invalid_query("$regex value must be a string")
    options = constraint.get("$options", "")
    if not isinstance(options, str):
        raise invalid_query("$options value must be a string")
    if "$options" in constraint and (not options or not FLAGS.issuperset(options)):
        raise invalid_query(f"Bad $options value for query: {options}")
    if len(pattern) > field.limits.regex_length:
        raise invalid_query(f"$regex may have at most {field.limits.regex_length} characters")
    flags = "".join(sorted(set(options)))
    compile_regex(pattern, flags)
    return Regex(field.path, pattern, flags)


def _text_search(field: QueryField, value: Json, constraint: JsonObject) -> Leaf:
    search = value.get("$search") if isinstance(value, dict) else None
    if not isinstance(search, dict):
        raise invalid_json("bad $text: $search, should be object")
    term, language = search.get("$term"), search.get("$language")
    if not term or not isinstance(term, str):
        raise invalid_json("bad $text: $term, should be string")
    if language and not isinstance(language, str):
        raise invalid_json("bad $text: $language, should be string")
    for name in ("$caseSensitive", "$diacriticSensitive"):
        if search.get(name) and not isinstance(search[name], bool):
            raise invalid_json(f"bad $text: {name}, should be boolean")
    return TextSearch(
        field.path,
        term,
        language if language and isinstance(language, str) else None,
        bool(search.get("$caseSensitive")),
        bool(search.get("$diacriticSensitive")),
    )


# --- Operators on places ---------------------------------------------------------------------------------

_RADIUS_UNITS = {  # the first one present counts; what one radian measures in the unit
    "$maxDistance": 1.0,
    "$maxDistanceInKilometers": geo.EARTH_RADIUS_IN_KILOMETERS,
    "$maxDistanceInMiles": geo.EARTH_RADIUS_IN_MILES,
    "$maxDistanceInRadians": 1.0,
}


def _near(field: QueryField, value: Json, constraint: JsonObject) -> Leaf:
    point = _degrees(value)
    if point is None:
        raise invalid_json("bad $nearSphere value; should be GeoPoint")
    _check_on_earth(point, "bad $nearSphere value")
    unit = next((name for name in _RADIUS_UNITS if name in constraint), None)
    if unit is None:
        return Near(field.path, point)
    distance = constraint[unit]
    if not is_number(distance) or distance < 0:
        raise invalid_json(f"bad {unit} value; should be a distance")
    return Near(field.path, point, distance / _RADIUS_UNITS[unit])


def _degrees(value: Json) -> GeoPoint | None:
    """Read a point, whether or not it says that it is one."""
    return geo.as_geo_point({**value, "__type": "GeoPoint"}) if isinstance(value, dict) else None


def _check_on_earth(point: GeoPoint, refusal: str) -> None:
    if not -90 <= point.latitude <= 90:
        raise invalid_json(f"{refusal}; GeoPoint latitude out of bounds: {text_of(point.latitude)}.")
    if not -180 <= point.longitude <= 180:
        raise invalid_json(f"{refusal}; GeoPoint longitude out of bounds: {text_of(point.longitude)}.")


def _within(field: QueryField, value: Json, constraint: JsonObject) -> Leaf:
    match value:
        case {"$box": [southwest, northeast]}:
            corners = _degrees(southwest), _degrees(northeast)
            if corners[0] is not None and corners[1] is not None:
                return WithinBox(field.path, corners[0], corners[1])
    raise invalid_json("malformatted $within arg")


_GEO_WITHIN = "bad $geoWithin value"


def _geo_within(field: QueryField, value: Json, constraint: JsonObject) -> Leaf | None:
    match value:
        case {"$polygon": area}:
            return WithinPolygon(field.path, tuple(_corner(corner) for corner in _corners(area)))
        case {"$centerSphere": circle}:
            return _circle(field, circle)
        case dict():
            return None
        case _:
            raise invalid_json(_GEO_WITHIN)


def _corners(area: Json) -> list[Json]:
    match area:
        case {"__type": "Polygon", "coordinates": [_, _, _, *_] as coordinates}:
            return coordinates
        case {"__type": "Polygon"}:
            text = "Polygon.coordinates should contain at least 3 lon/lat pairs"
            raise invalid_json(f"{_GEO_WITHIN}; {text}")
        case [_, _, _, *_]:
            return area
        case list():
            raise invalid_json(f"{_GEO_WITHIN}; $polygon should contain at least 3 GeoPoints")
        case _:
            text = "$polygon should be Polygon object or Array of Parse.GeoPoint's"
            raise invalid_json(f"{_GEO_WITHIN}; {text}")


def _corner(corner: Json) -> GeoPoint:
    point = _pair(corner) or geo.as_geo_point(corner)
    if point is None:
        raise invalid_json(_GEO_WITHIN)
    _check_on_earth(point, _GEO_WITHIN)
    return point


def _pair(value: Json) -> GeoPoint | None:
    """Read a pair. Parse quirk: longitude comes first here, also in the coordinates of a Polygon."""
    match value:
        case [longitude, latitude] if is_number(longitude) and is_number(latitude):
            return GeoPoint(float(latitude), float(longitude))
        case _:
            return None


def _circle(field: QueryField, circle: Json) -> Leaf:
    if not isinstance(circle, list) or len(circle) < 2:
        text = "$centerSphere should be an array of Parse.GeoPoint and distance"
        raise invalid_json(f"{_GEO_WITHIN}; {text}")
    center, radius = _pair(circle[0]) or geo.as_geo_point(circle[0]), circle[1]
    if center is None:
        raise invalid_json(f"{_GEO_WITHIN}; $centerSphere geo point invalid")
    _check_on_earth(center, _GEO_WITHIN)
    if not is_number(radius) or radius < 0:
        raise invalid_json(f"{_GEO_WITHIN}; $centerSphere distance invalid")
    return WithinSphere(field.path, center, radius)


def _geo_intersects(field: QueryField, value: Json, constraint: JsonObject) -> Leaf:
    point = geo.as_geo_point(value.get("$point")) if isinstance(value, dict) else None
    if point is None:
        raise invalid_json("bad $geoIntersect value; $point should be GeoPoint")
    _check_on_earth(point, "bad $geoIntersect value")
    return PolygonContains(field.path, point)


# --- Subqueries ------------------------------------------------------------------------------------------


def _in_query(name: str, negated: bool) -> _Decode:
    def decode(field: QueryField, value: Json, constraint: JsonObject) -> Subquery:
        class_name, where, redirect_key = _subquery(value)
        if not class_name or where is None:
            raise invalid_query(f"improper usage of {name}")
        return InQuery(field.path, class_name, where, negated, redirect_key)

    return decode


def _select(name: str, negated: bool) -> _Decode:
    def decode(field: QueryField, value: Json, constraint: JsonObject) -> Subquery:
        key = value.get("key") if isinstance(value, dict) else None
        class_name, where, redirect_key = _subquery(value.get("query") if isinstance(value, dict) else None)
        if not class_name or not isinstance(key, str) or not key or not _has_two_members(value):
            raise invalid_query(f"improper usage of {name}")
        return Select(field.path, class_name, where or {}, key, negated, redirect_key)

    return decode


def _has_two_members(value: Json) -> bool:
    return isinstance(value, dict) and len(value) == 2


def _subquery(value: Json) -> tuple[str, JsonObject | None, str | None]:
    """Read class, `where` and redirect key of a subquery; nothing else of it counts."""
    if not isinstance(value, dict):
        return "", None, None
    class_name, where, key = (value.get(name) for name in ("className", "where", "redirectClassNameForKey"))
    return (
        class_name if isinstance(class_name, str) else "",
        where if isinstance(where, dict) else None,
        key if key and isinstance(key, str) else None,
    )


def _modifier(name: str, modified: str, refuse: Callable[[str], ParseError]) -> _Decode:
    """Decode what only changes another operator, and is refused without it."""

    def decode(field: QueryField, value: Json, constraint: JsonObject) -> None:
        if modified not in constraint:
            raise refuse(f"{name} needs {modified}")

    return decode


_OPERATORS: Mapping[str, _Decode] = {
    "$eq": _equal,
    "$ne": _not_equal,
    "$lt": _compare("$lt", "<"),
    "$lte": _compare("$lte", "<="),
    "$gt": _compare("$gt", ">"),
    "$gte": _compare("$gte", ">="),
    "$exists": _exists,
    "$in": _in,
    "$nin": _not_in,
    "$all": _contains_all,
    "$containedBy": _contained_by,
    "$regex": _regex,
    "$options": _modifier("$options", "$regex", invalid_query),
    "$text": _text_search,
    "$nearSphere": _near,
    **{unit: _modifier(unit, "$nearSphere", invalid_json) for unit in _RADIUS_UNITS},
    "$within": _within,
    "$geoWithin": _geo_within,
    "$geoIntersects": _geo_intersects,
    "$inQuery": _in_query("$inQuery", negated=False),
    "$notInQuery": _in_query("$notInQuery", negated=True),
    "$select": _select("$select", negated=False),
    "$dontSelect": _select("$dontSelect", negated=True),
}
