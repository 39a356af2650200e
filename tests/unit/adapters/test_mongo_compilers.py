"""What MongoDB is asked, and what its refusals mean. Values only: answers are tested in `tests/adapters`."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from math import pi
from typing import Any

import pytest
from bson import ObjectId
from bson.errors import InvalidDocument
from hypothesis import given
from hypothesis import strategies as st
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DocumentTooLarge,
    DuplicateKeyError,
    ExecutionTimeout,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from parse_clone.adapters.storage.mongo.codec import RowCodec
from parse_clone.adapters.storage.mongo.driver_errors import DRIVER_ERRORS, parse_error_of
from parse_clone.adapters.storage.mongo.pipelines import PipelineCodec
from parse_clone.adapters.storage.mongo.query_compiler import compile_filter, compile_sort, unquoted
from parse_clone.adapters.storage.mongo.update_compiler import compile_update, refusal_of
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.operations import (
    Add,
    AddUnique,
    Delete,
    FieldOperation,
    Increment,
    Remove,
    Set,
    SetOnInsert,
)
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
    object_id_is,
)
from parse_clone.core.system_classes import system_schema
from parse_clone.errors import DuplicateValue, ParseError
from tests.strategies import SCHEMA, conditions

CODEC = RowCodec(SCHEMA)
USER = RowCodec(system_schema("_User"))
ISO = "2026-01-05T10:00:00.123Z"
MOMENT = datetime(2026, 1, 5, 10, 0, 0, 123000, tzinfo=UTC)
DATE: Json = {"__type": "Date", "iso": ISO}
WARD: Json = {"__type": "Pointer", "className": "Ward", "objectId": "w1"}
NONE: JsonObject = {"_id": {"$in": []}}
HERE = GeoPoint(latitude=48, longitude=16)

# --- Conditions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (EVERYTHING, {}),
        (NOTHING, NONE),
        (NoneOf(()), {}),
        (object_id_is("o1"), {"_id": "o1"}),
        (In("name", ("a", None)), {"name": {"$in": ["a", None]}}),
        (In("name", ()), NONE),
        (In("ward", (WARD,)), {"_p_ward": "Ward$w1"}),
        (In("ward", ("Ward$w1",)), NONE),
        (In("tags", (WARD,)), {"tags": {"$eq": WARD}}),
        (In("createdAt", (DATE,)), {"_created_at": MOMENT}),
        (In("vitals.at", (DATE,)), {"vitals.at": MOMENT}),
        (NotIn("name", ("a",)), {"name": {"$ne": "a"}}),
        (NotIn("name", ("a", "b")), {"name": {"$nin": ["a", "b"]}}),
        (NotIn("ward", ("Ward$w1",)), {}),
        (Compare("age", ">=", 5), {"age": {"$gte": 5}}),
        (Compare("bornAt", "<", DATE), {"bornAt": {"$lt": MOMENT}}),
        (Compare("age", "<=", None), NONE),
        (Compare("ward", ">", "a"), NONE),
        (Compare("vitals", ">", {"a": 1}), NONE),
        (Exists("ward", False), {"_p_ward": {"$exists": False}}),
        (ContainsAll("tags", ("a", WARD)), {"$and": [{"tags": "a"}, {"tags": {"$eq": WARD}}]}),
        (ContainsAll("tags", ()), NONE),
        (ContainedBy("tags", ("a",)), {"$nor": [{"tags": {"$elemMatch": {"$nin": ["a"]}}}]}),
        (ContainedBy("site", ("a",)), {}),
        (ContainsAllPrefixes("tags", ("a.",)), {"tags": {"$regex": "^a\\."}}),
        (ContainsAllPrefixes("tags", ()), NONE),
        (Regex("name", "^a", "uxi"), {"name": {"$regex": "^a", "$options": "ix"}}),
        (Regex("ward", "^W"), NONE),
        (ReadableBy(frozenset({"u1", "*"})), {"_rperm": {"$in": [None, "*", "u1"]}}),
        (WritableBy(frozenset({"*"})), {"_wperm": {"$in": [None, "*"]}}),
        (
            TextSearch("note", "a b", "en"),
            {
                "$text": {
                    "$search": "a b",
                    "$language": "en",
                    "$caseSensitive": False,
                    "$diacriticSensitive": False,
                }
            },
        ),
        (WithinBox("site", HERE, HERE), {"site": {"$geoWithin": {"$box": [[16, 48], [16, 48]]}}}),
        (WithinPolygon("site", (HERE,) * 3), {"site": {"$geoWithin": {"$polygon": [[16, 48]] * 3}}}),
        (WithinSphere("site", HERE, 0.5), {"site": {"$geoWithin": {"$centerSphere": [[16, 48], 0.5]}}}),
        (WithinSphere("site", HERE, 4), {"site": {"$ne": None}}),
        (WithinSphere("tags", HERE, 0.5), NONE),
        (WithinSphere("tags", HERE, pi), NONE),
        (
            PolygonContains("area", HERE),
            {"area": {"$geoIntersects": {"$geometry": {"type": "Point", "coordinates": [16, 48]}}}},
        ),
        (Near("site", HERE, 0.5), {"site": {"$geoWithin": {"$centerSphere": [[16, 48], 0.5]}}}),
        (Near("site", HERE), {"site": {"$ne": None}}),
    ],
)
def test_conditions_become_filters(condition: Condition, expected: JsonObject) -> None:
    assert compile_filter(CODEC, condition) == expected


def test_only_a_sorting_find_asks_for_the_nearest() -> None:
    near = Near("site", HERE, 0.5)
    nearest = {"site": {"$nearSphere": [16, 48], "$maxDistance": 0.5}}
    assert compile_filter(CODEC, all_of(near, In("name", ("a",))), nearest_first=True) == {
        **nearest,
        "name": "a",
    }
    assert compile_filter(CODEC, Near("site", HERE), nearest_first=True) == {
        "site": {"$nearSphere": [16, 48]}
    }
    alternatives = compile_filter(CODEC, AnyOf((near, near)), nearest_first=True)
    assert "$nearSphere" not in str(alternatives)


def test_the_edge_of_a_polygon_belongs_to_it() -> None:
    square = [GeoPoint(0, 0), GeoPoint(0, 4), GeoPoint(4, 4), GeoPoint(4, 0)]
    ring = compile_filter(CODEC, WithinPolygon("site", tuple(square)))["site"]["$geoWithin"]["$polygon"]
    assert all(
        abs(asked - given) < 1e-8 and (asked > given) == (given > 2)
        for place, point in zip(ring, square, strict=True)
        for asked, given in zip(place, (point.longitude, point.latitude), strict=True)
    )


def test_conditions_are_joined_flat_unless_they_meet() -> None:
    a, b = In("name", ("a",)), In("age", (1,))
    assert compile_filter(CODEC, AllOf((a, b))) == {"name": "a", "age": 1}
    assert compile_filter(CODEC, AllOf((a, a))) == {"$and": [{"name": "a"}, {"name": "a"}]}
    assert compile_filter(CODEC, AnyOf((a, b))) == {"$or": [{"name": "a"}, {"age": 1}]}
    assert compile_filter(CODEC, NoneOf((a, b))) == {"$nor": [{"name": "a"}, {"age": 1}]}


def test_auth_data_is_asked_where_it_lies() -> None:
    assert compile_filter(USER, In("authData.ldap.id", ("1",))) == {"_auth_data_ldap.id": "1"}


OPERATORS = {"$and", "$or", "$nor", "$in", "$nin", "$eq", "$ne", "$lt", "$lte", "$gt", "$gte", "$exists"} | {
    "$elemMatch",
    "$regex",
    "$options",
    "$geoWithin",
    "$box",
    "$polygon",
    "$centerSphere",
    "$geoIntersects",
    "$geometry",
}


@given(conditions(), st.sampled_from(["$where", "$expr", "vitals.$ne", "$or"]))
def test_no_text_of_a_client_becomes_an_operator(condition: Condition, name: str) -> None:
    hostile: Json = {name: "x"}
    named = AnyOf((condition, In(name, ("x",)), NotIn("vitals", (hostile,)), In("tags", (hostile, "a"))))
    for place, value in operators(compile_filter(CODEC, named)):
        assert place in OPERATORS, value


def operators(query: Any) -> list[tuple[str, Any]]:
    """The operators of a filter, without what MongoDB takes as a value."""
    if isinstance(query, list):
        return [found for item in query for found in operators(item)]
    if not isinstance(query, dict):
        return []
    found = [(name, value) for name, value in query.items() if name.startswith("$")]
    literal = {"$eq", "$ne", "$in", "$nin"}
    return found + [
        place for name, value in query.items() if name not in literal for place in operators(value)
    ]


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^\\Qa.b\\E", "^a\\.b"),
        ("\\Qa.b", "a\\.b"),
        ("\\Qa\\E.\\Qb c\\E$", "a.b\\ c$"),
        ("\\\\Qa", "\\\\Qa"),
        ("a\\Eb", "ab"),
        ("\\Q\\\\E", "\\\\"),
        ("\\Qäß_1\\E", "äß_1"),
        ("a\\.b", "a\\.b"),
    ],
)
def test_quoted_passages_become_escaped_text(pattern: str, text: str) -> None:
    assert unquoted(pattern) == text


@given(st.text().filter(lambda text: "\\E" not in text))
def test_quoted_text_matches_itself(text: str) -> None:
    assert re.fullmatch(unquoted(f"\\Q{text}\\E"), text, re.DOTALL | re.VERBOSE)


def test_orders_name_stored_members() -> None:
    order = (SortKey("createdAt", descending=True), SortKey("ward"), SortKey("$score"))
    assert compile_sort(CODEC, order) == [
        ("_created_at", -1),
        ("_p_ward", 1),
        ("score", {"$meta": "textScore"}),
    ]


# --- Operations ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ({}, {}),
        (
            {"name": Set("a"), "ward": Set(WARD), "updatedAt": Set(ISO), "vitals.at": Set(DATE)},
            {"$set": {"name": "a", "_p_ward": "Ward$w1", "_updated_at": MOMENT, "vitals.at": MOMENT}},
        ),
        ({"ward": Set(None)}, {"$set": {"_p_ward": None}}),
        ({"ward": Delete(), "name": Delete()}, {"$unset": {"_p_ward": "", "name": ""}}),
        (
            {"ACL": Set({"u": {"read": True}})},
            {"$set": {"_rperm": ["u"], "_wperm": [], "_acl": {"u": {"r": True}}}},
        ),
        ({"ACL": Delete()}, {"$unset": {"_rperm": "", "_wperm": "", "_acl": ""}}),
        ({"age": Increment(2.0)}, {"$inc": {"age": 2}}),
        ({"tags": Add(("a", DATE))}, {"$push": {"tags": {"$each": ["a", MOMENT]}}}),
        ({"tags": AddUnique((WARD,))}, {"$addToSet": {"tags": {"$each": [WARD]}}}),
        ({"tags": Remove((1.0,))}, {"$pullAll": {"tags": [1]}}),
        ({"createdAt": SetOnInsert(ISO)}, {"$setOnInsert": {"_created_at": MOMENT}}),
        ({"nurses": Set({"__type": "Relation", "className": "Nurse"})}, {}),
    ],
)
def test_operations_become_an_update(operations: dict[str, FieldOperation], expected: JsonObject) -> None:
    assert compile_update(CODEC, operations) == expected


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        (
            {"authData": Set({"ldap": {"id": "1"}, "x": None})},
            {"$set": {"_auth_data_ldap": {"id": "1"}}, "$unset": {"_auth_data_x": ""}},
        ),
        ({"authData": Set(None)}, {}),
        (
            {"authData": SetOnInsert({"ldap": {"id": "1"}})},
            {"$setOnInsert": {"_auth_data_ldap": {"id": "1"}}},
        ),
        ({"authData.ldap.at": Set(DATE)}, {"$set": {"_auth_data_ldap.at": DATE}}),
        ({"authData.ldap": Delete()}, {"$unset": {"_auth_data_ldap": ""}}),
        ({"authData.mfa.recovery": Remove(("x",))}, {"$pullAll": {"_auth_data_mfa.recovery": ["x"]}}),
    ],
)
def test_auth_data_is_changed_by_provider(
    operations: dict[str, FieldOperation], expected: JsonObject
) -> None:
    assert compile_update(USER, operations) == expected


@pytest.mark.parametrize("path", ["$set", "vitals.$[]", "tags.$", "a\0b"])
def test_positions_and_operators_are_no_paths(path: str) -> None:
    with pytest.raises(ParseError) as refusal:
        compile_update(CODEC, {path: Set(1)})
    assert refusal.value.code == 105


@pytest.mark.parametrize(
    ("code", "text", "operations", "message"),
    [
        (
            14,
            "Cannot apply $inc ... has the field 'b' of",
            {"a": Increment(1), "x.b": Increment(1)},
            "x.b is not a number",
        ),
        (14, "unheard of", {"a": Increment(1), "b": Set(1)}, "a is not a number"),
        (2, "The field 't' must be an array", {"s": Set(1), "t": Add(())}, "t is not an array"),
        (
            28,
            "Cannot create field 'er' in element {deep: 1}",
            {"vitals.deep.er": Set(1)},
            "vitals.deep is not an object",
        ),
    ],
)
def test_a_refused_operation_is_named(
    code: int, text: str, operations: dict[str, FieldOperation], message: str
) -> None:
    refusal = refusal_of(OperationFailure(text, code), operations)
    assert refusal is not None
    assert (refusal.code, refusal.message) == (111, f"The value of {message}.")


def test_other_refusals_name_no_operation() -> None:
    assert refusal_of(OperationFailure("x", 2), {"a": Set(1)}) is None
    assert refusal_of(OperationFailure("x", 99), {"a": Increment(1)}) is None


# --- Pipelines -------------------------------------------------------------------------------------------


def test_pipelines_hold_stored_values() -> None:
    codec = PipelineCodec(SCHEMA, {})
    stages: list[JsonObject] = [
        {"$match": {"ward": "w1", "createdAt": {"$gt": ISO}, "bornAt": DATE}},
        {"$group": {"_id": "$ward", "n": {"$sum": 1}}},
    ]
    assert codec.encode(stages) == [
        {"$match": {"_p_ward": "Ward$w1", "_created_at": {"$gt": MOMENT}, "bornAt": MOMENT}},
        {"$group": {"_id": "$_p_ward", "n": {"$sum": 1}}},
    ]
    assert codec.decode({"_id": "Ward$w1", "n": 2.0}) == {"objectId": "w1", "n": 2}


def test_raw_pipelines_are_extended_json() -> None:
    codec = PipelineCodec(SCHEMA, {"rawValues": True, "rawFieldNames": True})
    oid = "5f0000000000000000000001"
    stages: list[JsonObject] = [{"$match": {"_id": {"$oid": oid}, "_created_at": {"$date": ISO}}}]
    [stage] = codec.encode(stages)
    assert stage == {"$match": {"_id": ObjectId(oid), "_created_at": MOMENT.replace(tzinfo=None)}}
    assert codec.decode({"_id": ObjectId(oid), "_created_at": MOMENT}) == {
        "_id": {"$oid": oid},
        "_created_at": {"$date": ISO},
    }


# --- Errors ----------------------------------------------------------------------------------------------


def labelled(error: PyMongoError, label: str) -> PyMongoError:
    error._add_error_label(label)
    return error


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (AutoReconnect("secret host"), 1, "Database error"),
        (ServerSelectionTimeoutError("secret host"), 1, "Database error"),
        (OperationFailure("secret", 8000), 1, "An internal server error occurred"),
        (InvalidOperation("secret"), 1, "An internal server error occurred"),
        (ExecutionTimeout("secret", 50), 124, "The query took too long."),
        (DocumentTooLarge("secret"), 116, "The object is too large."),
        (InvalidDocument("secret"), 107, "The object cannot be stored."),
        (OverflowError("secret"), 107, "The object cannot be stored."),
        (OperationFailure("secret", 51091), 102, "Bad $regex value: invalid"),
        (OperationFailure("secret", 16755), 107, "The place is not valid on a sphere."),
        (OperationFailure("secret", 20), 108, "Transactions need a MongoDB replica set or sharded cluster."),
        (
            labelled(OperationFailure("secret", 112), "TransientTransactionError"),
            251,
            "The transaction met a concurrent write, please retry.",
        ),
        (
            BulkWriteError({"writeErrors": [{"code": 16755}]}),
            107,
            "The place is not valid on a sphere.",
        ),
        (BulkWriteError({"writeErrors": []}), 1, "An internal server error occurred"),
    ],
)
def test_errors_never_carry_the_drivers_words(error: Exception, code: int, message: str) -> None:
    found = parse_error_of(error)
    assert (found.code, found.message, found.detail) == (code, message, None)


@pytest.mark.parametrize(
    ("error", "field"),
    [
        (DuplicateKeyError("E11000", 11000, {"keyPattern": {"username": 1}}), "username"),
        (DuplicateKeyError("E11000", 11000, {"keyPattern": {"_auth_data_ldap.id": 1}}), "authData.ldap.id"),
        (DuplicateKeyError("E11000", 11000, {}), None),
        (BulkWriteError({"writeErrors": [{"code": 11000, "keyPattern": {"_id": 1}}]}), "objectId"),
    ],
)
def test_duplicate_values_name_their_field(error: Exception, field: str | None) -> None:
    found = parse_error_of(error)
    assert isinstance(found, DuplicateValue)
    assert found.field == field


def test_errors_of_others_pass_through() -> None:
    with pytest.raises(ParseError, match="ours"), DRIVER_ERRORS:
        raise ParseError(1, "ours")
    with pytest.raises(ParseError, match="Database error") as refusal, DRIVER_ERRORS:
        raise AutoReconnect("theirs")
    assert isinstance(refusal.value.__cause__, AutoReconnect)
