from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.matcher import apply_page, compile_matcher, matches, sort_objects
from parse_clone.core.query import (
    EVERYTHING,
    NOTHING,
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
    all_of,
)
from tests.strategies import (
    NEAR,
    PATHS,
    TEXT_SEARCH,
    TIMESTAMPS,
    conditions,
    date,
    geo_point,
    object_lists,
    objects,
    pages,
    paths,
    pointer,
    polygon,
    scalars,
)

OLD, NEW = TIMESTAMPS[:2]


def matching(condition: Condition, rows: dict[str, JsonObject]) -> str:
    """The names of the rows that match, joined."""
    test = compile_matcher(condition)
    return "".join(name for name, row in rows.items() if test(row))


NOTES: dict[str, JsonObject] = {"A": {"note": "x"}, "B": {"note": None}, "C": {}}


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (In("note", (None,)), "BC"),
        (NotIn("note", (None,)), "A"),
        (NotIn("note", ("x",)), "BC"),
        (NoneOf((In("note", ("x",)),)), "BC"),
        (Exists("note", True), "AB"),
        (Exists("note", False), "C"),
        (Compare("note", ">", ""), "A"),
        (Compare("note", ">=", None), ""),
        (Regex("note", "."), "A"),
        (In("note", ()), ""),
        (NotIn("note", ()), "ABC"),
        (In("note", ("x", None)), "ABC"),
        (EVERYTHING, "ABC"),
        (NOTHING, ""),
        (NoneOf(()), "ABC"),
    ],
)
def test_null_and_missing(condition: Condition, found: str) -> None:
    assert matching(condition, NOTES) == found


TAGS: dict[str, JsonObject] = {"A": {"tags": ["a", "b"]}, "B": {"tags": ["b"]}, "C": {"tags": []}, "D": {}}


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (In("tags", ("a",)), "A"),
        (In("tags", ("a", "z")), "A"),
        (In("tags", (["b"],)), "B"),
        (In("tags", ([],)), "C"),
        (In("tags", (None,)), "D"),
        (ContainsAll("tags", ("a", "b")), "A"),
        (ContainsAll("tags", ()), ""),
        (NotIn("tags", ("a",)), "BCD"),
        (ContainedBy("tags", ("b", "c")), "BCD"),
        (ContainedBy("tags", ()), "CD"),
        (Compare("tags", ">", "a"), "AB"),
        (In("tags.0", ("b",)), "B"),
        (Exists("tags.1", True), "A"),
        (Regex("tags", "^a$"), "A"),
        (ContainsAllPrefixes("tags", ("a", "b")), "A"),
        (ContainsAllPrefixes("tags", ("b",)), "AB"),
        (ContainsAllPrefixes("tags", ()), ""),
    ],
)
def test_arrays(condition: Condition, found: str) -> None:
    assert matching(condition, TAGS) == found


VISITS: dict[str, JsonObject] = {
    "A": {"visits": [{"code": "a", "n": 1}, {"code": "b", "n": 2}]},
    "B": {"visits": [{"n": 3}]},
    "C": {"visits": []},
    "D": {"visits": {"code": "a"}},
    "E": {},
}


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (In("visits.code", ("a",)), "AD"),
        (NotIn("visits.code", ("a",)), "BCE"),
        (In("visits.code", (None,)), "BE"),
        (Exists("visits.code", True), "AD"),
        (Exists("visits.code", False), "BCE"),
        (Compare("visits.n", ">=", 2), "AB"),
        (In("visits.1.code", ("b",)), "A"),
        (ContainsAll("visits.code", ("a", "b")), "A"),
        (In("visits", ({"code": "a", "n": 1},)), "A"),
    ],
)
def test_paths_through_arrays(condition: Condition, found: str) -> None:
    assert matching(condition, VISITS) == found


MIXED: JsonObject = {
    "createdAt": OLD,
    "age": 5,
    "active": True,
    "bornAt": date(OLD),
    "ward": pointer("w1"),
    "scan": {"__type": "File", "name": "ecg.pdf", "url": "http://x/ecg.pdf"},
    "name": "Ada",
}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (In("age", (5.0,)), True),
        (In("age", ("5",)), False),
        (In("active", (1,)), False),
        (In("age", (True,)), False),
        (Compare("age", ">", "4"), False),
        (Compare("age", "<", 5.5), True),
        (Compare("active", ">", False), True),
        (Compare("active", ">", 0), False),
        (In("createdAt", (date(OLD),)), True),
        (In("createdAt", (OLD,)), False),
        (Compare("createdAt", "<", date(NEW)), True),
        (Compare("createdAt", "<=", NEW), False),
        (Compare("bornAt", "<=", date(OLD)), True),
        (Compare("bornAt", "<", date(OLD)), False),
        (Compare("bornAt", "<", date("never")), False),
        (Regex("bornAt", "2026"), False),
        (Regex("createdAt", "2026"), False),
        (In("ward", (pointer("w1"),)), True),
        (In("ward", ("w1",)), False),
        (In("ward", (pointer("w1", "Room"),)), False),
        (Compare("ward", ">", ""), False),
        (In("ward.objectId", ("w1",)), False),
        (In("scan", ("ecg.pdf",)), True),
        (In("scan", ({"__type": "File", "name": "ecg.pdf"},)), True),
        (Regex("scan", "\\.pdf$"), True),
        (Compare("scan", ">", "e"), True),
        (Regex("name", "^ad", "i"), True),
        (Regex("age", "5"), False),
    ],
)
def test_types_are_strict(condition: Condition, expected: bool) -> None:
    assert matches(condition, MIXED) is expected


def test_case_may_be_ignored_in_texts() -> None:
    test = compile_matcher(AllOf((In("name", ("ADA",)), NotIn("age", ("x",)))), case_insensitive=True)
    assert test(MIXED)
    assert not test({"name": "Bob"})


PLACES: dict[str, JsonObject] = {
    "A": {"site": geo_point(0, 0), "area": polygon((0, 0), (0, 4), (4, 4), (4, 0))},
    "B": {"site": geo_point(10, 20)},
    "C": {"site": None, "area": None},
    "D": {},
    "E": {"site": "0,0", "area": geo_point(1, 1)},
}


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (Near("site", GeoPoint(0, 1)), "AB"),
        (Near("site", GeoPoint(0, 1), 0.1), "A"),
        (WithinSphere("site", GeoPoint(10, 20), 0), "B"),
        (WithinBox("site", GeoPoint(-1, -1), GeoPoint(1, 1)), "A"),
        (WithinBox("site", GeoPoint(1, 1), GeoPoint(-1, -1)), ""),
        (WithinPolygon("site", (GeoPoint(9, 19), GeoPoint(9, 21), GeoPoint(11, 20))), "B"),
        (PolygonContains("area", GeoPoint(1, 1)), "A"),
        (PolygonContains("area", GeoPoint(5, 5)), ""),
        (In("site", (geo_point(0, 0),)), "A"),
    ],
)
def test_places(condition: Condition, found: str) -> None:
    assert matching(condition, PLACES) == found


ACLS: dict[str, JsonObject] = {
    "A": {"ACL": {"u1": {"read": True}}},
    "B": {"ACL": {"*": {"read": True}, "u1": {"write": True}}},
    "C": {"ACL": {}},
    "D": {},
    "E": {"ACL": {"u1": {"read": "yes"}, "*": True}},
}


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (ReadableBy(frozenset({"*"})), "BD"),
        (ReadableBy(frozenset({"*", "u1"})), "ABD"),
        (WritableBy(frozenset({"*", "u1"})), "BD"),
        (WritableBy(frozenset({"*", "role:x"})), "D"),
    ],
)
def test_rights(condition: Condition, found: str) -> None:
    assert matching(condition, ACLS) == found


def test_text_search_looks_for_words() -> None:
    assert matches(TextSearch("note", "coffee"), {"note": "Coffee and cream"})
    assert not matches(TextSearch("note", "coffee"), {"note": 5})


# --- Laws ------------------------------------------------------------------------------------------------

values_lists = st.lists(scalars, max_size=3).map(tuple)
any_condition = st.one_of(conditions(), NEAR, TEXT_SEARCH)
odd_json = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner)
)


@given(objects(), paths, values_lists)
def test_not_in_is_the_negation_of_in(row: JsonObject, path: str, values: tuple[Json, ...]) -> None:
    assert matches(NotIn(path, values), row) is not matches(In(path, values), row)


@given(objects(), paths, values_lists, values_lists)
def test_in_is_any_of_its_values(
    row: JsonObject, path: str, a: tuple[Json, ...], b: tuple[Json, ...]
) -> None:
    assert matches(In(path, a + b), row) is matches(AnyOf((In(path, a), In(path, b))), row)


@given(objects(), paths, values_lists)
def test_contains_all_is_each_of_its_values(row: JsonObject, path: str, values: tuple[Json, ...]) -> None:
    each = AllOf(tuple(In(path, (value,)) for value in values))
    assert matches(ContainsAll(path, values), row) is (bool(values) and matches(each, row))


@given(objects(), paths)
def test_what_is_missing_equals_null(row: JsonObject, path: str) -> None:
    if matches(NotIn(path, (None,)), row) and "." not in path:
        assert matches(Exists(path, True), row)
    assert matches(Exists(path, True), row) is not matches(Exists(path, False), row)


@given(objects(), conditions(), conditions())
def test_de_morgan(row: JsonObject, a: Condition, b: Condition) -> None:
    assert matches(NoneOf((a, b)), row) is matches(AllOf((NoneOf((a,)), NoneOf((b,)))), row)
    assert matches(AllOf((a, b)), row) is matches(NoneOf((NoneOf((a,)), NoneOf((b,)))), row)
    assert matches(AnyOf((a, b)), row) is not matches(NoneOf((a, b)), row)
    assert matches(all_of(a, b), row) is matches(AllOf((a, b)), row)


@given(objects(), st.sampled_from([path for path in sorted(PATHS) if "." not in path]), scalars)
def test_comparisons_agree_on_scalars(row: JsonObject, path: str, bound: Json) -> None:
    def compare(comparison: str) -> bool:
        return matches(Compare(path, comparison, bound), row)  # type: ignore[arg-type]

    if not isinstance(row.get(path), list):
        assert not (compare("<") and compare(">"))
        assert compare("<=") is (compare("<") or (compare("<=") and compare(">=")))
        assert compare(">=") is (compare(">") or (compare("<=") and compare(">=")))


@given(
    st.dictionaries(
        st.sampled_from(["name", "tags", "vitals", "ACL", "site", "ward", "createdAt"]), odd_json
    ),
    any_condition,
)
def test_no_object_makes_a_matcher_fail(row: JsonObject, condition: Condition) -> None:
    assert matches(condition, row) in (True, False)


# --- Pages -----------------------------------------------------------------------------------------------


def test_sort_puts_missing_values_first_and_keeps_ties() -> None:
    rows: list[JsonObject] = [
        {"id": 1, "n": 2},
        {"id": 2},
        {"id": 3, "n": 1},
        {"id": 4, "n": None},
        {"id": 5, "n": 2},
    ]
    assert [row["id"] for row in sort_objects(rows, [SortKey("n")])] == [2, 4, 3, 1, 5]
    assert [row["id"] for row in sort_objects(rows, [SortKey("n", descending=True)])] == [1, 5, 3, 2, 4]
    by_two = [SortKey("n", descending=True), SortKey("id", descending=True)]
    assert [row["id"] for row in sort_objects(rows, by_two)] == [5, 1, 3, 4, 2]


def test_nearest_come_first_unless_an_order_is_given() -> None:
    rows: list[JsonObject] = [
        {"objectId": "far", "site": geo_point(40, 40)},
        {"objectId": "near", "site": geo_point(1, 1)},
        {"objectId": "nearer", "site": [geo_point(80, 0), geo_point(0, 0.5)]},
        {"objectId": "nowhere"},
    ]
    where = all_of(Near("site", GeoPoint(0, 0)), Exists("objectId", True))
    assert [row["objectId"] for row in apply_page(rows, where, Page())] == [
        "nearer",
        "near",
        "far",
        "nowhere",
    ]
    ordered = apply_page(rows, where, Page(order=(SortKey("objectId"),)))
    assert [row["objectId"] for row in ordered] == ["far", "near", "nearer", "nowhere"]


def test_score_sorts_the_best_match_first_and_can_be_selected() -> None:
    rows: list[JsonObject] = [
        {"objectId": "long", "note": "coffee and cream"},
        {"objectId": "short", "note": "coffee"},
    ]
    where = TextSearch("note", "coffee")
    for descending in (False, True):
        page = Page(order=(SortKey("$score", descending),), keys=frozenset({"$score"}))
        found = apply_page(rows, where, page)
        assert [row["objectId"] for row in found] == ["short", "long"]
        assert all(set(row) == {"objectId", "score"} for row in found)
    assert apply_page(rows, EVERYTHING, Page(keys=frozenset({"$score"}))) == [
        {"objectId": "long"},
        {"objectId": "short"},
    ]


@given(object_lists(), pages())
def test_a_page_is_a_slice_of_the_sorted_rows(rows: list[JsonObject], page: Page) -> None:
    found = apply_page(rows, EVERYTHING, page)
    end = None if page.limit is None else page.skip + page.limit
    whole = sort_objects(rows, page.order)[page.skip : end]
    assert [row["objectId"] for row in found] == [row["objectId"] for row in whole]
    if page.keys is not None:
        always = {"objectId", "createdAt", "updatedAt", "ACL"}
        for part, row in zip(found, whole, strict=True):
            assert part == {name: value for name, value in row.items() if name in page.keys | always}
