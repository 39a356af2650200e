from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parse_clone.core.context import MASTER, NOBODY, Auth
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.matcher import matches
from parse_clone.core.query import (
    EVERYTHING,
    AllOf,
    AnyOf,
    Exists,
    GeoPoint,
    In,
    InQuery,
    Near,
    NoneOf,
    NotIn,
    ReadableBy,
    RelatedTo,
    Select,
    SortKey,
    Where,
    WithinSphere,
)
from parse_clone.core.query_json import (
    FindParameters,
    decode_find_parameters,
    decode_get_parameters,
    decode_order,
    decode_where,
    where_paths,
)
from parse_clone.core.query_limits import QueryLimits
from parse_clone.errors import ParseError
from tests.strategies import SCHEMA, geo_point, objects

NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)
A, B = In("name", ("a",)), In("age", (1,))


def decode(where: JsonObject, auth: Auth = NOBODY, limits: QueryLimits | None = None) -> Where:
    return decode_where(where, SCHEMA, auth, limits or QueryLimits(), now=NOW)


def nested(depth: int, key: str = "$or") -> JsonObject:
    where: JsonObject = {"name": "a"}
    for _ in range(depth):
        where = {key: [where]}
    return where


# --- Trees -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, EVERYTHING),
        ({"name": "a"}, A),
        ({"name": "a", "age": 1}, AllOf((A, B))),
        ({"$or": [{"name": "a"}, {"age": 1}]}, AnyOf((A, B))),
        ({"$and": [{"name": "a"}, {}]}, AllOf((A, EVERYTHING))),
        ({"$nor": [{"name": "a"}], "age": 1}, AllOf((NoneOf((A,)), B))),
        ({"_rperm": {"$in": ["*"]}, "_wperm": "x", "name": "a"}, A),
        ({"ACL": None, "name": "a"}, A),
        (
            {
                "$relatedTo": {
                    "object": {"__type": "Pointer", "className": "Ward", "objectId": "w1"},
                    "key": "staff",
                }
            },
            RelatedTo("Ward", "w1", "staff"),
        ),
        ({"authData.facebook.id": "1"}, In("authData.facebook.id", ("1",))),
    ],
)
def test_trees(where: JsonObject, expected: Where) -> None:
    assert decode(where) == expected


def test_near_decides_the_order_only_where_it_has_no_alternative() -> None:
    near: JsonObject = {"site": {"$nearSphere": geo_point(1, 2), "$maxDistance": 0.5}}
    somewhere: JsonObject = {"site": {"$nearSphere": geo_point(1, 2)}}
    assert decode({"$and": [near]}) == AllOf((Near("site", GeoPoint(1, 2), 0.5),))
    assert decode({"$or": [near, {"$and": [somewhere, {"name": "a"}]}]}) == AnyOf(
        (WithinSphere("site", GeoPoint(1, 2), 0.5), AllOf((NotIn("site", (None,)), A)))
    )


@pytest.mark.parametrize(
    ("where", "code", "text"),
    [
        ({"a b": 1}, 105, "Invalid key name: a b"),
        ({"1a": 1}, 105, "Invalid key name: 1a"),
        ({"": 1}, 105, "Invalid key name: "),
        ({"$where": "x"}, 105, "Invalid key name: $where"),
        ({"$comment": "x"}, 105, "Invalid key name: $comment"),
        ({"_hashed_password": "x"}, 105, "Invalid key name: _hashed_password"),
        ({"_perishable_token": "x"}, 105, "Invalid key name: _perishable_token"),
        ({"$or": [{"_x": 1}]}, 105, "Invalid key name: _x"),
        ({"ACL": {"*": 1}}, 102, "Cannot query on ACL."),
        ({"ACL.u1.read": True}, 102, "Cannot query on ACL."),
        ({"$or": {}}, 102, "Permission denied"),
        ({"$and": 5}, 102, "Permission denied"),
        ({"$or": {"0": {"name": "a"}, "length": 1}}, 102, "Permission denied"),
        ({"$or": []}, 102, "Bad $or format - use an array of at least 1 value."),
        ({"$nor": []}, 102, "Bad $nor format - use an array of at least 1 value."),
        ({"$or": ["a"]}, 105, "Invalid key name: 0"),
        ({"$or": [1]}, 102, "Bad $or format - use an array of objects."),
        ({"$or": [None]}, 102, "Bad $or format - use an array of objects."),
        ({"$relatedTo": {"key": "staff"}}, 102, "improper usage of $relatedTo"),
        ({"$relatedTo": 1}, 102, "improper usage of $relatedTo"),
        ({".".join("a" * 31): 1}, 102, "Paths may have at most 30 segments"),
    ],
)
def test_refused_trees(where: JsonObject, code: int, text: str) -> None:
    with pytest.raises(ParseError) as caught:
        decode(where)
    assert (caught.value.code, caught.value.message) == (code, text)


def test_master_is_told_what_is_wrong_with_a_logical_operator() -> None:
    with pytest.raises(ParseError, match=r"^Bad \$or format - use an array value\.$"):
        decode({"$or": {}}, MASTER)


def test_master_may_query_internal_fields_but_never_the_password() -> None:
    assert decode({"_failed_login_count": 3}, MASTER) == In("_failed_login_count", (3,))
    with pytest.raises(ParseError, match=r"^Invalid key name: _hashed_password$"):
        decode({"_hashed_password": "x"}, MASTER)


def test_depth_is_limited_for_clients_and_farther_for_master() -> None:
    limits = QueryLimits(query_depth=2)
    assert decode(nested(2), limits=limits)
    with pytest.raises(ParseError) as caught:
        decode(nested(3), limits=limits)
    assert caught.value.code == 102
    assert caught.value.message == "Query condition nesting depth exceeds maximum allowed depth of 2"
    assert decode(nested(3), MASTER, limits)
    for auth in (MASTER, NOBODY):
        with pytest.raises(ParseError, match=r"maximum allowed depth of 100$"):
            decode(nested(100_000), auth, QueryLimits(query_depth=1_000_000))


def test_the_deepest_legal_query_can_be_matched() -> None:
    where = decode(nested(100, "$nor"), MASTER)
    assert isinstance(where, NoneOf)
    assert matches(where, {"name": "a"}) is True  # type: ignore[arg-type]


def test_breadth_is_limited_over_the_whole_tree() -> None:
    limits = QueryLimits(constraints=4)
    assert decode({"$or": [{"name": {"$gt": "a", "$lt": "b"}}], "age": 1}, limits=limits)
    with pytest.raises(ParseError, match=r"^A query may have at most 4 constraints$"):
        decode({"$or": [{"name": {"$gt": "a", "$lt": "b"}}, {"name": "a"}]}, limits=limits)


def test_paths_are_found_at_every_depth() -> None:
    where = decode(
        {
            "$or": [{"vitals.pulse": 1}, {"$nor": [{"secret": {"$gt": None}}]}],
            "ward": {"$inQuery": {"className": "Ward", "where": {"other": 1}}},
            "note": {"$select": {"query": {"className": "Ward"}, "key": "foreign"}},
            "$relatedTo": {"object": {"className": "Ward", "objectId": "w1"}, "key": "staff"},
            "nurses": {"$exists": True},
        }
    )
    assert where_paths(where) == {"vitals", "secret", "ward", "note", "nurses"}
    assert where_paths(
        AllOf((ReadableBy(frozenset()), InQuery("a.b", "C", {}), Select("d", "C", {}, "e")))
    ) == {"a", "d"}


QUERY_WORDS = """$eq $in $or $and $all $regex $options $exists $gt $geoWithin $polygon $nearSphere $within
    $box $select query className where key name __type $text""".split()  # noqa: SIM905

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(QUERY_WORDS),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["name", "tags", "ward", "nurses", "site", "$or", "$relatedTo"]), json_values
    ),
    objects(),
)
def test_any_json_is_decoded_or_refused(where: JsonObject, row: JsonObject) -> None:
    try:
        decoded = decode(where)
    except ParseError as error:
        refused = error.code
        assert refused in (102, 105, 107)
        return
    if not any(name in json.dumps(where) for name in ("$select", "$relatedTo")):
        assert matches(decoded, row) in (True, False)  # type: ignore[arg-type]


# --- Order -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "keys"),
    [
        (None, ()),
        ("", ()),
        ("name", (SortKey("name"),)),
        (" -name , age", (SortKey("name", True), SortKey("age"))),
        (["name", "-age"], (SortKey("name"), SortKey("age", True))),
        ("name,-name", (SortKey("name", True),)),
        ("vitals.pulse", (SortKey("vitals.pulse"),)),
        ("unknown,name", (SortKey("name"),)),
        ("-_created_at,_updated_at", (SortKey("createdAt", True), SortKey("updatedAt"))),
        ("-$score", (SortKey("$score", True),)),
    ],
)
def test_orders(order: Json, keys: tuple[SortKey, ...]) -> None:
    assert decode_order(order, SCHEMA) == keys


def test_without_a_schema_every_field_counts() -> None:
    assert decode_order("unknown", None) == (SortKey("unknown"),)


@pytest.mark.parametrize(
    ("order", "code", "text"),
    [
        ("bad-name", 105, "Invalid field name: bad-name."),
        ("-", 105, "Invalid field name: ."),
        ("name,", 105, "Invalid field name: ."),
        ("_hashed_password", 105, "Invalid field name: _hashed_password."),
        ("$where", 105, "Invalid field name: $where."),
        ("vitals..pulse", 105, "Invalid field name: vitals..pulse."),
        ("-authData.facebook.id", 105, "Cannot sort by authData.facebook.id"),
        (5, 105, "Invalid field name: 5."),
        (",".join(f"vitals.a{n}" for n in range(33)), 102, "A query may have at most 32 sort keys"),
    ],
)
def test_refused_orders(order: Json, code: int, text: str) -> None:
    with pytest.raises(ParseError) as caught:
        decode_order(order, SCHEMA)
    assert (caught.value.code, caught.value.message) == (code, text)


# --- Parameters ------------------------------------------------------------------------------------------


def test_nothing_given_means_defaults() -> None:
    assert decode_find_parameters({}) == FindParameters(where={})
    assert decode_get_parameters({}) == FindParameters(where={})


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"where": {"a": 1}}, FindParameters({"a": 1})),
        ({"where": '{"a": 1}'}, FindParameters({"a": 1})),
        ({"where": []}, FindParameters({})),
        ({"limit": 10, "skip": 2.0}, FindParameters({}, limit=10, skip=2)),
        ({"limit": 0}, FindParameters({}, limit=0)),
        ({"limit": "5", "skip": " 3 "}, FindParameters({}, limit=5, skip=3)),
        ({"limit": None, "skip": ""}, FindParameters({})),
        ({"limit": False, "skip": True}, FindParameters({}, skip=1)),
        ({"limit": 10**15}, FindParameters({}, limit=2**31 - 1)),
        ({"order": "-a"}, FindParameters({}, order="-a")),
        ({"order": ["a", "-b"]}, FindParameters({}, order="a,-b")),
        ({"keys": "a,b,,a"}, FindParameters({}, keys=("a", "b"))),
        ({"keys": ["a", "b.c.d"]}, FindParameters({}, keys=("a", "b.c.d"), include=("b.c",))),
        ({"keys": ""}, FindParameters({}, keys=())),
        ({"keys": None}, FindParameters({})),
        ({"excludeKeys": "a,b.c"}, FindParameters({}, exclude_keys=("a", "b.c"), include=("b",))),
        ({"include": "a.b,c"}, FindParameters({}, include=("a.b", "c"))),
        ({"include": ["*", "a"]}, FindParameters({}, include=("a",), include_all=True)),
        ({"includeAll": True}, FindParameters({}, include_all=True)),
        ({"includeAll": False, "count": 0}, FindParameters({})),
        ({"count": 1}, FindParameters({}, count=True)),
        ({"count": "no"}, FindParameters({}, count=True)),
        ({"redirectClassNameForKey": "staff"}, FindParameters({}, redirect_key="staff")),
        ({"hint": "_id_", "comment": "why"}, FindParameters({}, hint="_id_", comment="why")),
        ({"hint": {"a": 1}, "comment": 5}, FindParameters({}, hint={"a": 1})),
        ({"hint": 5}, FindParameters({})),
        ({"explain": True}, FindParameters({}, explain="queryPlanner")),
        ({"explain": "executionStats"}, FindParameters({}, explain="executionStats")),
        ({"explain": False}, FindParameters({})),
        (
            {
                "readPreference": "nearest",
                "includeReadPreference": "PRIMARY",
                "subqueryReadPreference": "Secondary",
            },
            FindParameters(
                {},
                read_preference="NEAREST",
                include_read_preference="PRIMARY",
                subquery_read_preference="SECONDARY",
            ),
        ),
        ({"readPreference": 5}, FindParameters({})),
    ],
)
def test_find_parameters(parameters: JsonObject, expected: FindParameters) -> None:
    assert decode_find_parameters(parameters) == expected


@pytest.mark.parametrize(
    ("parameters", "code", "text"),
    [
        ({"distinct": "a"}, 102, "Invalid parameter for query: distinct"),
        ({"watch": "a"}, 102, "Invalid parameter for query: watch"),
        *(
            ({"where": where}, 107, "where parameter is not valid JSON")
            for where in ("", "x", '"x"', '"{}"', "5", 5, None, True, [1])
        ),
        ({"limit": -1}, 102, "limit must be a non-negative integer"),
        ({"limit": "abc"}, 102, "limit must be a non-negative integer"),
        ({"limit": [1]}, 102, "limit must be a non-negative integer"),
        ({"skip": 1.5}, 102, "skip must be a non-negative integer"),
        ({"skip": "-1"}, 102, "skip must be a non-negative integer"),
        ({"explain": "all"}, 102, "Invalid value for explain"),
        ({"explain": 1}, 102, "Invalid value for explain"),
        ({"readPreference": "FASTEST"}, 102, "Not supported read preference."),
    ],
)
def test_refused_find_parameters(parameters: JsonObject, code: int, text: str) -> None:
    with pytest.raises(ParseError) as caught:
        decode_find_parameters(parameters)
    assert (caught.value.code, caught.value.message) == (code, text)


def test_get_parameters() -> None:
    decoded = decode_get_parameters({"keys": "a,b.c", "include": "*", "readPreference": "PRIMARY"})
    assert decoded == FindParameters(
        {}, keys=("a", "b.c"), include=("b",), include_all=True, read_preference="PRIMARY"
    )


@pytest.mark.parametrize("name", ["includeAll", "count", "limit", "where", "order", "explain"])
def test_get_refuses_parameters_of_a_find(name: str) -> None:
    with pytest.raises(ParseError, match=r"^Improper encode of parameter$"):
        decode_get_parameters({name: 1})


def test_exists_is_a_where_and_a_condition() -> None:
    assert decode({"name": {"$exists": True}}) == Exists("name", True)
