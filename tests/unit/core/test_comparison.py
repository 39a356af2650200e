from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given

from parse_clone.core.comparison import (
    MISSING,
    Found,
    compile_path,
    equality_key,
    leaves_sortable_key,
    sortable_key,
)
from parse_clone.core.json_types import Json, JsonObject
from tests.strategies import VALUES, date, geo_point, pointer, polygon, scalars

ROW: JsonObject = {
    "createdAt": "2026-01-05T10:00:00.000Z",
    "vitals": {"pulse": 72, "at": date("2026-01-05T10:00:00.000Z"), "ward": pointer("w1")},
    "visits": [{"code": "a", "tags": ["x", "y"]}, {"other": 1}, 5, [{"code": "nested"}], None],
    "grid": [[1, 2], [3, 4]],
    "ward": pointer("w1"),
    "site": geo_point(1, 2),
    "note": None,
    "name": "Ada",
}


@pytest.mark.parametrize(
    ("path", "leaves"),
    [
        ("name", ["Ada"]),
        ("note", [None]),
        ("unknown", [MISSING]),
        ("createdAt", [date("2026-01-05T10:00:00.000Z")]),
        ("vitals.pulse", [72]),
        ("vitals.unknown", [MISSING]),
        ("vitals.pulse.rate", [MISSING]),
        ("vitals.at.iso", [MISSING]),
        ("vitals.ward.objectId", ["w1"]),
        ("ward.objectId", [MISSING]),
        ("site.latitude", [MISSING]),
        ("note.x", [MISSING]),
        ("name.0", [MISSING]),
        ("unknown.a.b", [MISSING]),
        ("visits.code", ["a", MISSING]),
        ("visits.tags", [["x", "y"], MISSING]),
        ("visits.0.code", [MISSING, MISSING, "a"]),
        ("visits.2", [MISSING, MISSING, 5]),
        ("visits.9.code", [MISSING, MISSING]),
        ("grid.1", [[3, 4]]),
        ("grid.1.0", [3]),
        ("grid.code", []),
        ("grid.²", []),
    ],
)
def test_paths_find_leaves_as_the_document_database_does(path: str, leaves: list[Found]) -> None:
    assert compile_path(path)(ROW) == leaves


def test_missing_timestamps_are_missing() -> None:
    assert compile_path("updatedAt")({}) == [MISSING]


EQUAL: list[tuple[Json, Json]] = [
    (1, 1.0),
    (date("2026-01-05T10:00:00.000Z"), date("2026-01-05T11:00:00+01:00")),
    (date("2026-01-05T10:00:00.0009Z"), date("2026-01-05T10:00:00")),
    (pointer("w1"), {"__type": "Object", "className": "Ward", "objectId": "w1", "name": "North"}),
    (geo_point(1, 2), geo_point(1.0, 2.0)),
    ({"__type": "File", "name": "a.png", "url": "http://x/a.png"}, "a.png"),
    ({"__type": "Bytes", "base64": "AA=="}, {"__type": "Bytes", "base64": "AA==", "x": 1}),
    (polygon((0, 0), (0, 1), (1, 1)), {"__type": "Polygon", "coordinates": [[0, 0], [0, 1], [1, 1]]}),
    ({"a": [1, {"b": True}]}, {"a": [1.0, {"b": True}]}),
    ([], []),
]

DIFFERENT: list[tuple[Json, Json]] = [
    (1, True),
    (0, False),
    (0, None),
    ("1", 1),
    ("", None),
    ("2026-01-05T10:00:00.000Z", date("2026-01-05T10:00:00.000Z")),
    ("w1", pointer("w1")),
    (pointer("w1"), pointer("w2")),
    (pointer("w1"), pointer("w1", "Room")),
    ([], {}),
    ([1], 1),
    ([1, 2], [2, 1]),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({"a": None}, {}),
    (date("never"), date("ever")),
    ({"__type": ["odd"]}, {"__type": "odd"}),
]

ODD_TYPED: list[JsonObject] = [
    {"__type": "Pointer"},
    {"__type": "Date", "iso": 5},
    {"__type": "GeoPoint"},
    {"__type": "Polygon", "coordinates": 1},
    {"__type": "File", "name": 1},
    {"__type": "Bytes"},
]


@pytest.mark.parametrize(("a", "b"), EQUAL)
def test_equal_values(a: Json, b: Json) -> None:
    assert equality_key(a) == equality_key(b)
    assert hash(equality_key(a)) == hash(equality_key(b))


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_different_values(a: Json, b: Json) -> None:
    assert equality_key(a) != equality_key(b)


@pytest.mark.parametrize("value", ODD_TYPED)
def test_incomplete_typed_values_are_plain_objects(value: JsonObject) -> None:
    assert equality_key(value) == equality_key(dict(value))
    assert equality_key(value) != equality_key(None)
    assert sortable_key(value)[0] == sortable_key({})[0]


def test_values_nested_too_deep_equal_nothing() -> None:
    deep: Json = 1
    for _ in range(5_000):
        deep = [deep]
    assert equality_key(deep) != equality_key(deep)
    assert sortable_key(deep) == sortable_key(deep)
    deep = {}
    for _ in range(5_000):
        deep = {"a": deep}
    assert sortable_key(deep) == sortable_key(deep)


def test_types_have_an_order() -> None:
    ascending: list[list[Found]] = [
        [[]],
        [None],
        [-1],
        [0.5],
        [1],
        [""],
        ["B"],
        [{"__type": "File", "name": "C"}],
        [pointer("w1")],
        ["a"],
        [{"a": 1}],
        [{"a": 2}],
        [{"a": "x"}],
        [[[1]]],
        [{"__type": "Bytes", "base64": "AA=="}],
        [False],
        [True],
        [date("2026-01-05T10:00:00.000Z")],
        [date("2026-01-05T10:00:00.001Z")],
    ]
    keys = [leaves_sortable_key(leaves, descending=False) for leaves in ascending]
    assert all(a < b for a, b in pairwise(keys))


def test_arrays_are_sorted_by_their_least_or_greatest_element() -> None:
    leaves: list[Found] = [[2, 3], 5]
    assert leaves_sortable_key(leaves, descending=False) == sortable_key(2)
    assert leaves_sortable_key(leaves, descending=True) == sortable_key(5)


def test_finding_nothing_sorts_like_null() -> None:
    assert leaves_sortable_key([], descending=False) == sortable_key(None) == sortable_key(MISSING)


@given(scalars, scalars)
def test_equal_keys_mean_equal_order(a: Json, b: Json) -> None:
    if equality_key(a) == equality_key(b):
        assert sortable_key(a) == sortable_key(b)


@given(VALUES["vitals"], VALUES["visits"])
def test_all_values_can_be_sorted(a: Json, b: Json) -> None:
    assert (sortable_key(a) < sortable_key(b)) is not (sortable_key(a) >= sortable_key(b))
