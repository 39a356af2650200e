from __future__ import annotations

import pytest

from parse_clone.core.aggregate_match import compile_match
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.errors import ErrorCode, ParseError

ROWS: list[JsonObject] = [
    {
        "id": "a",
        "n": 1,
        "tags": ["x", "y"],
        "visits": [{"code": "p", "n": 1}, {"code": "q", "n": 9}],
        "note": None,
    },
    {"id": "b", "n": 5, "tags": ["y"], "visits": [{"code": "p", "n": 9}], "note": "Hello"},
    {"id": "c", "n": 2.5, "tags": "x", "visits": [7], "scores": [1, 8]},
]


def found(query: Json) -> str:
    test = compile_match(query)
    return "".join(str(row["id"]) for row in ROWS if test(row, {}))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "abc"),
        ({"n": 1}, "a"),
        ({"n": {"$eq": 1}}, "a"),
        ({"n": {"$ne": 1}}, "bc"),
        ({"n": {"$gt": 1, "$lte": 5}}, "bc"),
        ({"n": {"$lt": 2, "$gte": 1}}, "a"),
        ({"n": {"$in": [1, 5]}}, "ab"),
        ({"n": {"$nin": [1, 5]}}, "c"),
        ({"tags": "x"}, "ac"),
        ({"tags": {"$all": ["x", "y"]}}, "a"),
        ({"tags": {"$size": 1}}, "b"),
        ({"note": {"$exists": True}}, "ab"),
        ({"note": {"$exists": 0}}, "c"),
        ({"note": None}, "ac"),
        ({"note": {"$regex": "^h", "$options": "i"}}, "b"),
        ({"note": {"$not": {"$regex": "^H"}}}, "ac"),
        ({"n": {"$type": "double"}}, "c"),
        ({"n": {"$type": ["number"]}}, "abc"),
        ({"n": {"$mod": [5, 0]}}, "b"),
        ({"visits": {"$elemMatch": {"code": "p", "n": {"$gt": 5}}}}, "b"),
        ({"visits": {"$elemMatch": {"$or": [{"n": 1}, {"code": "z"}]}}}, "a"),
        ({"scores": {"$elemMatch": {"$gt": 5, "$lt": 10}}}, "c"),
        ({"visits.code": "q"}, "a"),
        ({"$or": [{"n": 1}, {"n": 5}], "$comment": "why"}, "ab"),
        ({"$and": [{"n": 1}, {"n": 5}]}, ""),
        ({"$nor": [{"n": 1}]}, "bc"),
        ({"$expr": {"$gt": ["$n", 2]}}, "bc"),
        ({"visits": [{"code": "p", "n": 9}]}, "b"),
        ({"visits": {"code": "p", "n": 9}}, "b"),
    ],
)
def test_queries(query: Json, expected: str) -> None:
    assert found(query) == expected


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (1, "the match filter must be an expression in an object"),
        ({"$where": "x"}, "unknown top level operator: $where"),
        ({"$or": []}, "$or must be a nonempty array"),
        ({"$or": {}}, "$or must be a nonempty array"),
        ({"n": {"$foo": 1}}, "unknown operator: $foo"),
        ({"n": {"$in": 1}}, "$in needs an array"),
        ({"n": {"$regex": 1}}, "$regex and $options have to be strings"),
        ({"n": {"$not": 1}}, "$not needs an object"),
        ({"n": {"$mod": [0, 1]}}, "malformed mod, needs to be an array with two numbers"),
        ({"n": {"$elemMatch": 1}}, "$elemMatch needs an Object"),
    ],
)
def test_refusals(query: Json, text: str) -> None:
    with pytest.raises(ParseError) as caught:
        compile_match(query)
    assert (caught.value.code, caught.value.message) == (ErrorCode.INVALID_QUERY, text)


@pytest.mark.parametrize("name", ["$or", "$not", "$elemMatch"])
def test_depth_is_limited(name: str) -> None:
    query: Json = {"n": 1}
    for _ in range(60):
        query = (
            {"$or": [query]}
            if name == "$or"
            else {"n": {name: query if name == "$elemMatch" else _inner(query)}}
        )
    with pytest.raises(ParseError, match=r"^The query is nested too deep\.$"):
        compile_match(query)


def _inner(query: Json) -> Json:
    return query["n"] if isinstance(query, dict) and isinstance(query["n"], dict) else {"$gt": 1}
