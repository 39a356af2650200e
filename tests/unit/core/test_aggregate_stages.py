from __future__ import annotations

from random import Random

import pytest

from parse_clone.core import aggregate_stages
from parse_clone.core.aggregate_stages import Sources, compile_pipeline
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.errors import ErrorCode, ParseError

SALES: list[JsonObject] = [
    {"_id": 1, "item": "a", "price": 10, "tags": ["x", "y"], "size": {"h": 1, "w": 2}},
    {"_id": 2, "item": "b", "price": 20, "tags": [], "size": {"h": 3}},
    {"_id": 3, "item": "a", "price": 5, "parts": [{"n": 1, "m": 2}, {"n": 3}, 7]},
]
STOCK: list[JsonObject] = [
    {"_id": "s1", "sku": "a", "left": 1},
    {"_id": "s2", "sku": "a", "left": 9},
    {"_id": "s3"},
]
SOURCES = Sources(lambda name: STOCK if name == "Stock" else [], Random(1))


def run(*stages: Json) -> list[JsonObject]:
    return compile_pipeline(list(stages), SOURCES)([dict(row) for row in SALES], {})


def ids(*stages: Json) -> list[Json]:
    return [row["_id"] for row in run(*stages)]


def first(*stages: Json) -> JsonObject:
    return run(*stages)[0]


# --- Which documents -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stages", "found"),
    [
        ([{"$match": {"item": "a"}}], [1, 3]),
        ([{"$skip": 1}, {"$limit": 1}], [2]),
        ([{"$limit": 2.0}], [1, 2]),
        ([{"$sort": {"price": 1}}], [3, 1, 2]),
        ([{"$sort": {"item": -1, "price": 1}}], [2, 3, 1]),
        ([{"$sort": {"size.h": 1}}], [3, 1, 2]),
        ([{"$sort": {"score": {"$meta": "textScore"}}}], [1, 2, 3]),
        ([{"$match": {"_id": 2}}, {"$unionWith": "Stock"}], [2, "s1", "s2", "s3"]),
        (
            [{"$match": {"_id": 2}}, {"$unionWith": {"coll": "Stock", "pipeline": [{"$limit": 1}]}}],
            [2, "s1"],
        ),
    ],
)
def test_selecting(stages: list[Json], found: list[Json]) -> None:
    assert ids(*stages) == found


def test_sample_takes_at_most_what_there_is() -> None:
    assert sorted(map(str, ids({"$sample": {"size": 10}}))) == ["1", "2", "3"]
    assert len(run({"$sample": {"size": 2}})) == 2


# --- What documents hold ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "document"),
    [
        ({"$project": {"item": 1}}, {"_id": 1, "item": "a"}),
        ({"$project": {"_id": 0, "item": 1}}, {"item": "a"}),
        ({"$project": {"_id": 1}}, {"_id": 1}),
        ({"$project": {"_id": 0}}, {k: v for k, v in SALES[0].items() if k != "_id"}),
        ({"$project": {"tags": 0, "size.h": False}}, {"_id": 1, "item": "a", "price": 10, "size": {"w": 2}}),
        ({"$project": {"_id": 1, "tags": 0, "size": 0, "price": 0}}, {"_id": 1, "item": "a"}),
        ({"$project": {"size.h": 1, "x.y": 1}}, {"_id": 1, "size": {"h": 1}}),
        ({"$project": {"size": {"w": 1}}}, {"_id": 1, "size": {"w": 2}}),
        ({"$project": {"item": {"z": 1}}}, {"_id": 1}),
        ({"$project": {"item": {"z": "$price"}}}, {"_id": 1, "item": {"z": 10}}),
        ({"$project": {"double": {"$multiply": ["$price", 2]}, "no": "$no"}}, {"_id": 1, "double": 20}),
        ({"$project": {"a.b": "$item", "_id": 0}}, {"a": {"b": "a"}}),
        ({"$project": {"_id": "$item"}}, {"_id": "a"}),
        ({"$project": {"item": {}}}, {"_id": 1, "item": {}}),
        (
            {"$set": {"size.d": 3, "no": "$$REMOVE", "item": "$$REMOVE"}},
            {"_id": 1, "price": 10, "tags": ["x", "y"], "size": {"h": 1, "w": 2, "d": 3}},
        ),
        ({"$addFields": {"item.new": "$price"}}, {**SALES[0], "item": {"new": 10}}),
        ({"$unset": ["tags", "size.h", "no.no"]}, {"_id": 1, "item": "a", "price": 10, "size": {"w": 2}}),
        ({"$unset": "size"}, {"_id": 1, "item": "a", "price": 10, "tags": ["x", "y"]}),
        ({"$replaceRoot": {"newRoot": "$size"}}, {"h": 1, "w": 2}),
        ({"$replaceWith": {"i": "$item"}}, {"i": "a"}),
    ],
)
def test_shaping(stage: JsonObject, document: JsonObject) -> None:
    assert first({"$limit": 1}, stage) == document


@pytest.mark.parametrize(
    ("stage", "parts"),
    [
        ({"$project": {"parts.n": 1}}, [{"n": 1}, {"n": 3}]),
        ({"$project": {"parts.n": 0}}, [{"m": 2}, {}, 7]),
        ({"$unset": "parts.m"}, [{"n": 1}, {"n": 3}, 7]),
        ({"$set": {"parts.z": 0}}, [{"n": 1, "m": 2, "z": 0}, {"n": 3, "z": 0}, {"z": 0}]),
    ],
)
def test_shaping_reaches_into_arrays(stage: JsonObject, parts: Json) -> None:
    assert first({"$match": {"_id": 3}}, stage)["parts"] == parts


def test_unwind() -> None:
    assert [(row["_id"], row["tags"]) for row in run({"$unwind": "$tags"})] == [(1, "x"), (1, "y")]
    stage: JsonObject = {"path": "$tags", "preserveNullAndEmptyArrays": True, "includeArrayIndex": "i"}
    rows = run({"$unwind": stage})
    assert [(row["_id"], row.get("tags"), row["i"]) for row in rows] == [
        (1, "x", 0),
        (1, "y", 1),
        (2, None, None),
        (3, None, None),
    ]
    assert ids({"$unwind": "$item"}) == [1, 2, 3]
    assert ids({"$unwind": {"path": "$parts"}}) == [3, 3, 3]


# --- Groups ----------------------------------------------------------------------------------------------


def test_accumulators() -> None:
    group: JsonObject = {
        "_id": "$item",
        "sum": {"$sum": "$price"},
        "avg": {"$avg": "$price"},
        "min": {"$min": "$price"},
        "max": {"$max": "$price"},
        "first": {"$first": "$_id"},
        "last": {"$last": "$tags"},
        "all": {"$push": "$tags"},
        "set": {"$addToSet": "$item"},
        "n": {"$count": {}},
        "merged": {"$mergeObjects": "$size"},
    }
    assert run({"$group": group}, {"$sort": {"_id": 1}}) == [
        {
            "_id": "a",
            "sum": 15,
            "avg": 7.5,
            "min": 5,
            "max": 10,
            "first": 1,
            "last": None,
            "all": [["x", "y"]],
            "set": ["a"],
            "n": 2,
            "merged": {"h": 1, "w": 2},
        },
        {
            "_id": "b",
            "sum": 20,
            "avg": 20,
            "min": 20,
            "max": 20,
            "first": 2,
            "last": [],
            "all": [[]],
            "set": ["b"],
            "n": 1,
            "merged": {"h": 3},
        },
    ]


def test_counting() -> None:
    assert run({"$count": "n"}) == [{"n": 3}]
    assert run({"$match": {"_id": 9}}, {"$count": "n"}) == []
    assert run({"$sortByCount": "$item"}) == [{"_id": "a", "count": 2}, {"_id": "b", "count": 1}]


def test_buckets() -> None:
    assert run({"$bucket": {"groupBy": "$price", "boundaries": [0, 10, 30]}}) == [
        {"_id": 0, "count": 1},
        {"_id": 10, "count": 2},
    ]
    stage: JsonObject = {
        "groupBy": "$price",
        "boundaries": [0, 10],
        "default": "other",
        "output": {"items": {"$push": "$item"}},
    }
    assert run({"$bucket": stage}) == [{"_id": 0, "items": ["a"]}, {"_id": "other", "items": ["a", "b"]}]


# --- Other pipelines -------------------------------------------------------------------------------------


def test_facets_run_side_by_side() -> None:
    assert run({"$facet": {"one": [{"$limit": 1}, {"$project": {"_id": 1}}], "n": [{"$count": "n"}]}}) == [
        {"one": [{"_id": 1}], "n": [{"n": 3}]}
    ]


def test_lookup_by_fields() -> None:
    stage: JsonObject = {"from": "Stock", "localField": "item", "foreignField": "sku", "as": "stock"}
    rows = run({"$lookup": stage})
    assert [[found["_id"] for found in row["stock"]] for row in rows] == [["s1", "s2"], [], ["s1", "s2"]]  # type: ignore[union-attr, index, call-overload]
    by_tags: JsonObject = {"from": "Stock", "localField": "tags", "foreignField": "sku", "as": "stock"}
    assert [len(row["stock"]) for row in run({"$lookup": by_tags})] == [0, 0, 1]  # type: ignore[arg-type]


def test_lookup_by_pipeline() -> None:
    stage: JsonObject = {
        "from": "Stock",
        "let": {"item": "$item", "least": "$price"},
        "pipeline": [
            {"$match": {"$expr": {"$and": [{"$eq": ["$sku", "$$item"]}, {"$gt": ["$left", "$$least"]}]}}},
            {"$project": {"_id": 0, "left": 1}},
        ],
        "as": "found.stock",
    }
    rows = run({"$lookup": stage})
    assert [row["found"] for row in rows] == [{"stock": []}, {"stock": []}, {"stock": [{"left": 9}]}]


# --- Refusals --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "text"),
    [
        (1, "A pipeline stage specification object must contain exactly one field."),
        ({"$foo": 1}, "Unrecognized pipeline stage name: '$foo'"),
        ({"$sort": 1}, "the $sort stage specification must be an object"),
        ({"$sort": {"a": 2}}, "$sort key ordering must be 1 (for ascending) or -1 (for descending)"),
        ({"$sort": {"a": True}}, "$sort key ordering must be 1 (for ascending) or -1 (for descending)"),
        ({"$limit": -1}, "invalid argument to $limit stage: Expected a non-negative number"),
        ({"$limit": 0}, "the limit must be positive"),
        ({"$skip": "1"}, "invalid argument to $skip stage: Expected a non-negative number"),
        ({"$project": {}}, "$project specification must have at least one field"),
        (
            {"$project": {"a..b": 1}},
            "FieldPath must be a non-empty string without empty or too many segments.",
        ),
        ({"$unset": [1]}, "FieldPath must be a non-empty string without empty or too many segments."),
        (
            {"$set": {".".join("a" * 99): 1}},
            "FieldPath must be a non-empty string without empty or too many segments.",
        ),
        ({"$replaceRoot": {"newRoot": "$item"}}, "'newRoot' expression must evaluate to an object"),
        ({"$unwind": "tags"}, "path option to $unwind stage should be prefixed with a '$'"),
        ({"$group": {"n": {"$sum": 1}}}, "a group specification must include an _id"),
        ({"$group": {"_id": 1, "n": 1}}, "The field must specify one accumulator"),
        ({"$group": {"_id": 1, "n": {"$foo": 1}}}, "unknown group operator '$foo'"),
        ({"$count": "$n"}, "the count field must be a non-empty string without '$' or '.'"),
        (
            {"$bucket": {"boundaries": [1]}},
            "The $bucket 'boundaries' field must be an array with at least 2 values",
        ),
        (
            {"$bucket": {"groupBy": "$price", "boundaries": [0, 1]}},
            "$switch could not find a matching branch for an input, and no default was specified.",
        ),
        ({"$unionWith": 1}, "$unionWith needs a collection"),
        ({"$facet": {"a": 1}}, "A pipeline must be an array."),
        ({"$lookup": {"as": "x"}}, "$lookup needs 'from' to be a string"),
        (
            {"$lookup": {"from": "Stock", "as": "x", "localField": "a"}},
            "$lookup requires both 'localField' and 'foreignField' to be strings",
        ),
    ],
)
def test_refusals(stage: Json, text: str) -> None:
    with pytest.raises(ParseError) as caught:
        run(stage)
    assert (caught.value.code, caught.value.message) == (ErrorCode.INVALID_QUERY, text)


@pytest.mark.parametrize(
    "fields",
    [{"a": 1, "a.b": 1}, {"a": "$x", "a.b": {"c": 1}}, {"a.b": 1, "a": {"b": {"c": 1}}}, {"a.b": 1, "a": 1}],
)
def test_a_projection_names_a_path_once(fields: JsonObject) -> None:
    with pytest.raises(ParseError, match=r"^Invalid \$project: path collision at [ab]$"):
        run({"$project": fields})


def test_length_and_depth_are_limited() -> None:
    stage: Json = {"$limit": 1}
    for _ in range(60):
        stage = {"$facet": {"a": [stage]}}
    too_many: list[Json] = [{"$limit": 1}] * 101
    for stages in ([stage], too_many):
        with pytest.raises(ParseError, match=r"^The pipeline is too long or nested too deep\.$"):
            compile_pipeline(stages, SOURCES)


def test_the_number_of_documents_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregate_stages, "MOST_DOCUMENTS", 5)
    with pytest.raises(ParseError, match=r"^A stage may yield at most 5 documents\.$"):
        run({"$unionWith": "Stock"})
