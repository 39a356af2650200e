"""Pipelines as clients send them, from the wire's checks to the results."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from random import Random

import pytest

from parse_clone.core.aggregation import check_pipeline, run_pipeline, to_document
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.errors import ErrorCode, ParseError
from tests.strategies import SCHEMA, date, geo_point, pointer, polygon

NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)
WARDS: list[JsonObject] = [{"objectId": "w1", "name": "North"}, {"objectId": "w2", "name": "South"}]

PATIENTS: list[JsonObject] = [
    {
        "objectId": "p1",
        "createdAt": "2026-01-05T10:00:00.000Z",
        "updatedAt": "2026-02-05T10:00:00.000Z",
        "ACL": {"u1": {"read": True}, "u2": {"write": True}},
        "_hashed_password": "secret",
        "name": "Ada",
        "age": 40,
        "ward": pointer("w1"),
        "bornAt": date("1990-12-01T00:00:00.000Z"),
        "tags": ["a", "b"],
        "site": geo_point(1, 2),
        "area": polygon((0, 1), (2, 3), (4, 5)),
        "scan": {"__type": "File", "name": "a.png"},
        "raw": {"__type": "Bytes", "base64": "AA=="},
    },
    {
        "objectId": "p2",
        "createdAt": "2026-01-06T10:00:00.000Z",
        "updatedAt": "2026-02-05T10:00:00.000Z",
        "name": "Bob",
        "age": 40,
        "ward": pointer("w2"),
        "bornAt": date("1990-06-01T00:00:00.000Z"),
        "tags": [],
    },
    {
        "objectId": "p3",
        "createdAt": "2026-01-07T10:00:00.000Z",
        "updatedAt": "2026-02-05T10:00:00.000Z",
        "name": None,
        "age": 20,
        "ward": pointer("w1"),
    },
]


def run(*stages: JsonObject, **options: bool) -> list[JsonObject]:
    return run_pipeline(
        PATIENTS,
        check_pipeline(list(stages)),
        SCHEMA,
        options=dict(options),
        other_class=lambda name: WARDS if name == "Ward" else [],
        now=NOW,
        random=Random(1),
    )


def ids(*stages: JsonObject) -> list[Json]:
    return [row["objectId"] for row in run(*stages)]


# --- Checks ----------------------------------------------------------------------------------------------


def test_a_pipeline_is_an_array_or_an_object_of_stages() -> None:
    assert check_pipeline([{"$limit": 1}, {"where": {}}]) == [{"$limit": 1}]
    assert check_pipeline({"$match": {}, "$limit": 1, "distinct": "a"}) == [{"$match": {}}, {"$limit": 1}]


@pytest.mark.parametrize(
    ("pipeline", "text"),
    [
        ([{"$match": {}, "$sort": {}}], "Pipeline stages should only have one key but found $match, $sort."),
        ([{}], "Pipeline stages should only have one key but found ."),
        ([1], "Pipeline stages should be objects."),
        (1, "A pipeline must be an array or an object."),
        ({"group": {}}, "Invalid aggregate stage 'group'."),
        ([{"$group": {"objectId": "$a"}}], "Cannot use 'objectId' in aggregation stage $group."),
        ([{"$group": {}}], "Invalid parameter for query: group. Missing key _id"),
        ([{"$group": 1}], "Invalid parameter for query: group. Missing key _id"),
        ([{"$out": "Other"}], "Aggregate stage $out is not allowed."),
        ([{"$merge": {}}], "Aggregate stage $merge is not allowed."),
        ([{"$facet": {"a": [{"$out": "Other"}]}}], "Aggregate stage $out is not allowed."),
        (
            [{"$lookup": {"from": "A", "as": "b", "pipeline": [{"$merge": {"into": "Other"}}]}}],
            "Aggregate stage $merge is not allowed.",
        ),
    ],
)
def test_refused_pipelines(pipeline: Json, text: str) -> None:
    with pytest.raises(ParseError) as caught:
        check_pipeline(pipeline)
    assert (caught.value.code, caught.value.message) == (ErrorCode.INVALID_QUERY, text)


@pytest.mark.parametrize(
    ("stage", "text"),
    [
        ({"$geoNear": {}}, "Unrecognized pipeline stage name: '$geoNear'"),
        ({"$limit": 0}, "the limit must be positive"),
    ],
)
def test_stages_that_cannot_run_are_refused(stage: JsonObject, text: str) -> None:
    with pytest.raises(ParseError) as caught:
        run(stage)
    assert (caught.value.code, caught.value.message) == (ErrorCode.INVALID_QUERY, text)


# --- Objects and results ---------------------------------------------------------------------------------


def test_objects_come_back_as_they_were_without_acl_and_secrets() -> None:
    for row, patient in zip(run({"$match": {}}), PATIENTS, strict=True):
        assert row == {k: v for k, v in patient.items() if k != "ACL" and not k.startswith("_")}


def test_documents_have_the_names_of_the_document_database() -> None:
    document = to_document(PATIENTS[0])
    assert document["_id"] == "p1"
    assert document["_created_at"] == date("2026-01-05T10:00:00.000Z")
    assert document["_p_ward"] == "Ward$w1"
    assert (document["_rperm"], document["_wperm"]) == (["u1"], ["u2"])
    assert document["site"] == [2, 1]
    assert document["scan"] == "a.png"
    assert document["area"] == {"type": "Polygon", "coordinates": [[[1, 0], [3, 2], [5, 4], [1, 0]]]}
    assert "_hashed_password" not in document
    assert "_rperm" not in to_document(PATIENTS[1])
    assert to_document({"ACL": None}) == {"_rperm": [], "_wperm": []}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"objectId": "p1"}, ["p1"]),
        ({"_id": "p1"}, ["p1"]),
        ({"ward": "w1"}, ["p1", "p3"]),
        ({"ward": pointer("w2")}, ["p2"]),
        ({"ward": {"$in": [pointer("w2")]}}, ["p2"]),
        ({"ward": {"$exists": False}}, []),
        ({"_p_ward": "Ward$w1"}, ["p1", "p3"]),
        ({"createdAt": {"$gte": "2026-01-06T10:00:00Z"}}, ["p2", "p3"]),
        ({"createdAt": date("2026-01-06T10:00:00.000Z")}, ["p2"]),
        ({"bornAt": {"$lt": "1990-12-01T00:00:00.000Z"}}, ["p2"]),
        ({"bornAt": {"$in": ["1990-12-01", "no date", None]}}, ["p1", "p3"]),
        ({"$or": [{"objectId": "p2"}, {"ward": "w1", "age": {"$gt": 30}}]}, ["p1", "p2"]),
        ({"name": {"$in": [None, "Bob"]}}, ["p2", "p3"]),
        ({"_rperm": "u1"}, ["p1"]),
    ],
)
def test_match_understands_parse_names_and_values(query: JsonObject, found: list[str]) -> None:
    assert ids({"$match": query}) == found


def test_project_keeps_parse_names() -> None:
    assert run({"$project": {"createdAt": 1, "ward": 1}}, {"$limit": 1}) == [
        {"objectId": "p1", "createdAt": "2026-01-05T10:00:00.000Z", "ward": pointer("w1")}
    ]
    assert run({"$project": {"objectId": 0, "updatedAt": 1}}, {"$limit": 1}) == [
        {"updatedAt": "2026-02-05T10:00:00.000Z"}
    ]


GROUPS: list[tuple[Json, list[Json]]] = [
    ("$age", [40, 20]),
    ("$ward", ["w1", "w2"]),
    (None, [None]),
    ({}, [None]),
    ("", [None]),
    ([], [None]),
    ("$objectId", [None]),
    ("$_id", ["p1", "p2", "p3"]),
    ("$bornAt", [date("1990-12-01T00:00:00.000Z"), date("1990-06-01T00:00:00.000Z"), None]),
    ({"age": "$age"}, [{"age": 40}, {"age": 20}]),
    ({"year": {"$year": "$createdAt"}, "month": {"$month": "$_updated_at"}}, [{"year": 2026, "month": 2}]),
    ([{"$month": "$updatedAt"}], [[2]]),
]


@pytest.mark.parametrize(("group_id", "found"), GROUPS)
def test_group_ids(group_id: Json, found: list[Json]) -> None:
    assert ids({"$group": {"_id": group_id}}) == found


def test_a_whole_report() -> None:
    rows = run(
        {"$match": {"age": {"$gte": 20}}},
        {
            "$group": {
                "_id": "$ward",
                "n": {"$sum": 1},
                "oldest": {"$max": "$age"},
                "last": {"$max": "$createdAt"},
            }
        },
        {"$sort": {"n": -1}},
    )
    assert rows == [
        {"objectId": "w1", "n": 2, "oldest": 40, "last": date("2026-01-07T10:00:00.000Z")},
        {"objectId": "w2", "n": 1, "oldest": 40, "last": date("2026-01-06T10:00:00.000Z")},
    ]


def test_lookup_joins_by_the_id_in_a_pointer_column() -> None:
    rows = run(
        {"$project": {"temp": {"$substr": ["$_p_ward", 5, -1]}}},
        {"$lookup": {"from": "Ward", "localField": "temp", "foreignField": "_id", "as": "found"}},
        {"$unwind": {"path": "$found"}},
        {"$match": {"found.name": "South"}},
    )
    assert [row["objectId"] for row in rows] == ["p2"]
    assert rows[0]["found"] == {"_id": "w2", "name": "South"}
    assert ids({"$lookup": {"from": "Ghost", "as": "found", "pipeline": []}}, {"$unwind": "$found"}) == []


def test_pointers_that_are_no_longer_pointers_are_left_out() -> None:
    assert run({"$project": {"_id": 0, "_p_ward": {"$literal": None}, "_p_name": "x"}}, {"$limit": 1}) == [{}]


def test_odd_names_are_dropped() -> None:
    assert run({"$group": {"_id": None, "1a": {"$sum": 1}, "ok": {"$sum": 1}}}) == [
        {"objectId": None, "ok": 3}
    ]


def test_values_of_another_type_than_their_field_stay_as_they_are() -> None:
    rows = run({"$project": {"_id": 0, "site": "$name", "createdAt": "$age"}}, {"$limit": 1})
    assert rows == [{"site": "Ada", "createdAt": 40}]


def test_now_is_what_the_caller_says() -> None:
    assert run({"$project": {"_id": 0, "x": "$$NOW"}}, {"$limit": 1}) == [
        {"x": date("2026-01-05T10:00:00.000Z")}
    ]


def test_raw_values_are_extended_json() -> None:
    stages: tuple[JsonObject, ...] = (
        {
            "$match": {
                "createdAt": {
                    "$in": [{"$date": "2026-01-05T10:00:00.000Z"}, {"$oid": "x"}, {"$numberLong": "x"}]
                }
            }
        },
        {"$match": {"age": {"$gt": {"$numberInt": "39"}}}},
    )
    (row,) = run(*stages, rawValues=True)
    assert row["objectId"] == "p1"
    assert row["_created_at"] == {"$date": "2026-01-05T10:00:00.000Z"}
    assert row["_p_ward"] == "Ward$w1"
    assert row["raw"] == {"$binary": {"base64": "AA==", "subType": "00"}}
    assert row["tags"] == ["a", "b"]
    assert row["area"] == {"type": "Polygon", "coordinates": [[[1, 0], [3, 2], [5, 4], [1, 0]]]}


def test_raw_field_names_are_those_of_the_database() -> None:
    assert [row["_id"] for row in run({"$match": {"objectId": "p1"}}, rawFieldNames=True)] == []
    (row,) = run({"$match": {"_p_ward": "Ward$w2"}}, {"$project": {"_p_ward": 1}}, rawFieldNames=True)
    assert row == {"_id": "p2", "_p_ward": "Ward$w2"}
    assert run({"$group": {"_id": "$ward"}}, rawFieldNames=True) == [{"_id": None}]


def test_deep_data_is_refused_not_crashed_on() -> None:
    deep: Json = 1
    for _ in range(sys.getrecursionlimit()):
        deep = [deep]
    rows: list[JsonObject] = [{"objectId": "p", "tags": deep}]
    with pytest.raises(ParseError, match="nested too deep"):
        run_pipeline(
            rows,
            [{"$unset": "tags.a"}],
            SCHEMA,
            options={},
            other_class=lambda _: [],
            now=NOW,
            random=Random(1),
        )
