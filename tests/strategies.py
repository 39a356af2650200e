"""Random objects of one fixed class, and random conditions about them that have a fair chance to match.

The class has a field of every type. Values come from small pools shared by objects and conditions. The
matcher's laws are tested with these, and that every storage engine answers as the matcher does. What engines
cannot be asked at any place is left to the caller: `NEAR` and `TEXT_SEARCH` conditions stand apart.

`PARSE_TEST_EXAMPLES=5000` tries so many examples each, in place of the few that every run has time for.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

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
    Leaf,
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
)
from parse_clone.core.schema import ClassSchema, Field, FieldType

SCHEMA = ClassSchema(
    "Patient",
    {
        name: Field(field_type)
        for name, field_type in {
            "objectId": FieldType("String"),
            "createdAt": FieldType("Date"),
            "updatedAt": FieldType("Date"),
            "ACL": FieldType("ACL"),
            "name": FieldType("String"),
            "note": FieldType("String"),
            "age": FieldType("Number"),
            "active": FieldType("Boolean"),
            "bornAt": FieldType("Date"),
            "vitals": FieldType("Object"),
            "tags": FieldType("Array"),
            "visits": FieldType("Array"),
            "site": FieldType("GeoPoint"),
            "area": FieldType("Polygon"),
            "scan": FieldType("File"),
            "raw": FieldType("Bytes"),
            "ward": FieldType("Pointer", "Ward"),
            "nurses": FieldType("Relation", "Nurse"),
        }.items()
    },
)


def examples(few: int) -> settings:
    """How a test of the storage tries examples; `few` are tried in every run."""
    return settings(
        max_examples=int(os.environ.get("PARSE_TEST_EXAMPLES", few)),
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


# --- Values ----------------------------------------------------------------------------------------------


def date(iso: str) -> JsonObject:
    return {"__type": "Date", "iso": iso}


def pointer(object_id: str, class_name: str = "Ward") -> JsonObject:
    return {"__type": "Pointer", "className": class_name, "objectId": object_id}


def geo_point(latitude: float, longitude: float) -> JsonObject:
    return {"__type": "GeoPoint", "latitude": latitude, "longitude": longitude}


def polygon(*pairs: tuple[float, float]) -> JsonObject:
    closed = pairs if pairs[0] == pairs[-1] else (*pairs, pairs[0])
    return {"__type": "Polygon", "coordinates": [list(pair) for pair in closed]}


PRINCIPALS = ["*", "u1", "u2", "role:nurse"]
TIMESTAMPS = [
    "2026-01-05T10:00:00.000Z",
    "2026-01-05T10:00:00.001Z",
    "2027-03-01T00:00:00.000Z",
    "1969-12-31T23:59:59.999Z",
    "0001-01-01T00:00:00.000Z",
    "9999-12-31T23:59:59.999Z",
]
PLACES = [(0.0, 0.0), (1.0, 1.0), (10.0, 20.0), (48.2, 16.4), (-33.9, 151.2), (10.0, -179.0)]
RINGS = [
    ((0.0, 0.0), (0.0, 4.0), (4.0, 4.0), (4.0, 0.0)),
    ((5.0, 10.0), (5.0, 30.0), (15.0, 30.0), (15.0, 10.0)),
    ((-40.0, 140.0), (-30.0, 160.0), (-20.0, 140.0)),
]

PLAIN_TEXTS = ["", "a", "b", "ab", "A", "é", "0", "a.b", "u1", "2026-01-05T10:00:00.000Z"]
ODD_TEXTS = ["a\0b", "\0", "e\u0301", "\U0001f600", "\uffff", "a\nb", "'\"\\", "%_$", "x" * 5_000]
texts = st.sampled_from([*PLAIN_TEXTS, *ODD_TEXTS])
PLAIN_NUMBERS = [-1, 0, 1, 1.5, 2, 10**9]
ODD_NUMBERS = [-0.0, 0.1, 5e-324, -1e300, 2**31, 2**53, 2**53 - 1, -(2**53), 2.0**70]
numbers: st.SearchStrategy[Json] = st.sampled_from([*PLAIN_NUMBERS, *ODD_NUMBERS])
booleans = st.booleans()
dates = st.sampled_from(TIMESTAMPS).map(date)
wards = st.sampled_from(["w1", "w2", "a"]).map(pointer)
geo_points = st.sampled_from(PLACES).map(lambda place: geo_point(*place))
polygons = st.sampled_from(RINGS).map(lambda ring: polygon(*ring))
files: st.SearchStrategy[Json] = st.sampled_from(["a", "b", "scan.pdf"]).map(
    lambda name: {"__type": "File", "name": name}
)
all_bytes: st.SearchStrategy[Json] = st.sampled_from(["AAEC", "AQ=="]).map(
    lambda text: {"__type": "Bytes", "base64": text}
)

compounds: st.SearchStrategy[Json] = st.sampled_from(
    [{}, {"a": 1}, {"a": None}, {"b": "a", "a": 1}, [], [1], ["a", "b"], [[1]], [None]]
)
scalars: st.SearchStrategy[Json] = st.one_of(st.none(), texts, numbers, booleans, dates, wards)
members: st.SearchStrategy[Json] = st.one_of(scalars, scalars, scalars, compounds, geo_points)


def _member_of(values: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    return st.one_of(st.none(), values)


visits: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {}, optional={"code": members, "count": numbers, "at": dates}
)
vitals: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {},
    optional={
        "pulse": members,
        "device": wards,
        "history": st.lists(members, max_size=3),
        "parts": st.lists(visits, max_size=2),
        "deep": st.fixed_dictionaries({}, optional={"er": members}),
    },
)

VALUES: dict[str, st.SearchStrategy[Json]] = {
    "name": texts,
    "note": texts,
    "age": numbers,
    "active": booleans,
    "bornAt": dates,
    "vitals": vitals,
    "tags": st.lists(members, max_size=3),
    "visits": st.lists(st.one_of(visits, visits, scalars), max_size=3),
    "site": geo_points,
    "area": polygons,
    "scan": files,
    "raw": all_bytes,
    "ward": wards,
}
"""What each field of the class may hold, besides null."""

acls: st.SearchStrategy[Json] = st.dictionaries(
    st.sampled_from(PRINCIPALS),
    st.sampled_from([{"read": True}, {"write": True}, {"read": True, "write": True}]),
    max_size=2,
)


def objects(object_id: str = "o1") -> st.SearchStrategy[JsonObject]:
    """One stored object: any field may be missing or null."""
    return st.fixed_dictionaries(
        {
            "objectId": st.just(object_id),
            "createdAt": st.sampled_from(TIMESTAMPS),
            "updatedAt": st.sampled_from(TIMESTAMPS),
        },
        optional={"ACL": acls, **{name: _member_of(values) for name, values in VALUES.items()}},
    )


def object_lists(max_size: int = 6) -> st.SearchStrategy[list[JsonObject]]:
    """Stored objects with ids `o0`, `o1`, ..."""
    return st.integers(0, max_size).flatmap(
        lambda size: st.tuples(*(objects(f"o{n}") for n in range(size))).map(list)
    )


# --- Conditions ------------------------------------------------------------------------------------------

PATHS: dict[str, st.SearchStrategy[Json]] = {
    **VALUES,
    "objectId": st.sampled_from(["o0", "o1", "o2"]),
    "createdAt": dates,
    "updatedAt": dates,
    "unknown": scalars,
    "tags": scalars,
    "visits": scalars,
    "vitals": scalars,
    "vitals.pulse": scalars,
    "vitals.device": wards,
    "vitals.history": scalars,
    "vitals.history.1": scalars,
    "vitals.deep.er": scalars,
    "vitals.parts.code": scalars,
    "vitals.missing.er": scalars,
    "visits.code": scalars,
    "visits.at": dates,
    "tags.0": scalars,
    "name.first": scalars,
    "unknown.member": scalars,
}
"""Paths that conditions ask about, with values that may occur there."""

paths = st.sampled_from(sorted(PATHS))
prefixes = st.sampled_from(["", "a", "ab", "é", "a."])
patterns = st.sampled_from(["a", "^a", "b$", "^\\Qa.\\E", "\\Qb\\E", "^$", "A", "[ab]{2}", "é|0", "a.b"])
flags = st.sampled_from(["", "i", "m", "s", "im"])
principals = st.frozensets(st.sampled_from(PRINCIPALS), min_size=1)
points = st.sampled_from(PLACES).map(lambda place: GeoPoint(*place))
radii = st.sampled_from([0.01, 0.05, 0.5, 3.2])


@st.composite
def value_conditions(draw: st.DrawFn) -> Leaf:
    """A condition on values: mostly of the path's own type, sometimes of another."""
    path = draw(paths)
    values = st.one_of(PATHS[path], PATHS[path], PATHS[path], scalars)
    some = draw(st.lists(values, max_size=3).map(tuple))
    operator = draw(st.sampled_from(["in", "not in", "all", "contained", "compare", "equal", "not equal"]))
    match operator:
        case "in":
            return In(path, some)
        case "not in":
            return NotIn(path, some)
        case "all":
            return ContainsAll(path, some)
        case "contained":
            return ContainedBy(path, some)
        case "equal":
            return In(path, (draw(values),))
        case "not equal":
            return NotIn(path, (draw(values),))
        case _:
            ordered = st.one_of(texts, numbers, booleans, dates)
            fitting = values.filter(_has_order) if path not in _UNORDERED else ordered
            return Compare(path, draw(st.sampled_from(["<", "<=", ">", ">="])), draw(fitting))


_UNORDERED = frozenset({"site", "area", "raw", "ward", "vitals", "vitals.device", "scan"})


def _has_order(value: Json) -> bool:
    if isinstance(value, dict):
        return value.get("__type") == "Date"
    return isinstance(value, bool | int | float | str)


def place_conditions() -> st.SearchStrategy[Leaf]:
    """A condition on places that may stand anywhere in a tree."""
    rings = st.sampled_from(RINGS).map(lambda ring: tuple(GeoPoint(*pair) for pair in ring))
    return st.one_of(
        st.builds(WithinBox, st.just("site"), points, points),
        st.builds(WithinPolygon, st.just("site"), rings),
        st.builds(WithinSphere, st.just("site"), points, radii),
        st.builds(PolygonContains, st.just("area"), points),
    )


def leaf_conditions() -> st.SearchStrategy[Leaf]:
    """One condition of any kind that may stand anywhere in a tree."""
    return st.one_of(
        value_conditions(),
        value_conditions(),
        st.builds(Exists, paths, booleans),
        st.builds(Regex, paths, patterns, flags),
        st.builds(ContainsAllPrefixes, paths, st.lists(prefixes, max_size=2).map(tuple)),
        st.builds(ReadableBy, principals),
        st.builds(WritableBy, principals),
        place_conditions(),
    )


def conditions(max_leaves: int = 6) -> st.SearchStrategy[Condition]:
    """A tree of conditions."""
    return st.recursive(
        leaf_conditions(),
        lambda parts: st.one_of(
            st.builds(AllOf, _few(parts)), st.builds(AnyOf, _few(parts)), st.builds(NoneOf, _few(parts))
        ),
        max_leaves=max_leaves,
    )


def _few(parts: st.SearchStrategy[Condition]) -> st.SearchStrategy[tuple[Condition, ...]]:
    return st.lists(parts, max_size=3).map(tuple)


NEAR: st.SearchStrategy[Leaf] = st.builds(Near, st.just("site"), points, st.one_of(st.none(), radii))
TEXT_SEARCH: st.SearchStrategy[Leaf] = st.builds(
    TextSearch, st.just("note"), st.sampled_from(["a", "b", "a b"]), st.none(), booleans, booleans
)


# --- Pages -----------------------------------------------------------------------------------------------

orders = st.lists(
    st.builds(
        SortKey,
        st.sampled_from(["name", "age", "active", "bornAt", "createdAt", "tags", "vitals.pulse"]),
        booleans,
    ),
    max_size=2,
    unique_by=lambda key: key.path,
).map(lambda keys: (*keys, SortKey("objectId")))
"""Total orders: the last key is unique."""


def pages() -> st.SearchStrategy[Page]:
    """A page of a total order."""
    return st.builds(
        Page,
        limit=st.one_of(st.none(), st.integers(1, 4)),
        skip=st.integers(0, 2),
        order=orders,
        keys=st.one_of(
            st.none(), st.frozensets(st.sampled_from(["name", "age", "vitals", "ward", "unknown"]))
        ),
    )
