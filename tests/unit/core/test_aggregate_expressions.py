from __future__ import annotations

import pytest

from parse_clone.core.aggregate_expressions import compile_expression
from parse_clone.core.comparison import MISSING, Found
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.errors import ErrorCode, ParseError
from tests.strategies import date

DOCUMENT: JsonObject = {
    "n": 5,
    "f": 2.5,
    "text": "Ada",
    "flag": False,
    "none": None,
    "array": [1, 2, 3],
    "visits": [{"code": "a", "n": 1}, {"code": "b"}, 7],
    "at": date("2026-01-05T10:20:30.456Z"),
    "inner": {"a": {"b": 1}},
}


def evaluate(source: Json, **variables: Json) -> Found:
    return compile_expression(source)(DOCUMENT, variables)


VALUES: list[tuple[Json, Found]] = [
    ("$n", 5),
    ("$", "$"),
    ("text", "text"),
    ("$inner.a.b", 1),
    ("$inner.x.b", MISSING),
    ("$visits.code", ["a", "b"]),
    ("$visits.n", [1]),
    ("$array.0", []),
    ("$$ROOT.n", 5),
    ("$$CURRENT.n", 5),
    ("$$REMOVE", MISSING),
    ("$$v", 1),
    (5, 5),
    (None, None),
    (["$n", "$missing"], [5, None]),
    ({"a": "$n", "b": "$missing"}, {"a": 5}),
    (date("2026-01-05T10:20:30.456Z"), date("2026-01-05T10:20:30.456Z")),
    ({"$literal": "$n"}, "$n"),
    ({"$add": ["$n", 1]}, 6),
    ({"$abs": -3}, 3),
    ({"$abs": ["$n"]}, 5),
    ({"$cond": ["$flag", 1, 2]}, 2),
    ({"$cond": {"if": "$n", "then": "yes", "else": "no"}}, "yes"),
    ({"$switch": {"branches": [{"case": "$flag", "then": 1}, {"case": True, "then": 2}]}}, 2),
    ({"$switch": {"branches": [], "default": 3}}, 3),
    ({"$let": {"vars": {"x": "$n"}, "in": {"$add": ["$$x", 1]}}}, 6),
    ({"$map": {"input": "$array", "in": {"$multiply": ["$$this", 2]}}}, [2, 4, 6]),
    ({"$map": {"input": "$visits", "as": "visit", "in": "$$visit.n"}}, [1, None, None]),
    ({"$map": {"input": "$missing", "in": 1}}, None),
    ({"$filter": {"input": "$array", "cond": {"$gt": ["$$this", 1]}}}, [2, 3]),
    ({"$filter": {"input": None, "cond": True}}, None),
    ({"$reduce": {"input": "$array", "initialValue": 0, "in": {"$add": ["$$value", "$$this"]}}}, 6),
    ({"$reduce": {"input": None, "initialValue": 0, "in": 1}}, None),
    ({"$trim": {"input": " a "}}, "a"),
    ({"$ltrim": {"input": "xxa", "chars": "x"}}, "a"),
    ({"$rtrim": {"input": "$missing"}}, None),
    ({"$replaceOne": {"input": "aa", "find": "a", "replacement": "b"}}, "ba"),
    ({"$replaceAll": {"input": "aa", "find": "a", "replacement": "b"}}, "bb"),
    ({"$replaceAll": {"input": None, "find": "a", "replacement": "b"}}, None),
    ({"$regexMatch": {"input": "$text", "regex": "^a", "options": "i"}}, True),
    ({"$regexMatch": {"input": "$missing", "regex": "a"}}, False),
    ({"$year": "$at"}, 2026),
    ({"$month": ["$at"]}, 1),
    ({"$dayOfMonth": {"date": "$at", "timezone": "Pacific/Auckland"}}, 5),
    ({"$hour": {"date": "$at", "timezone": "+05:30"}}, 15),
    ({"$hour": {"date": "$at", "timezone": "-02"}}, 8),
    ({"$minute": "$at"}, 20),
    ({"$second": "$at"}, 30),
    ({"$millisecond": "$at"}, 456),
    ({"$dayOfYear": "$at"}, 5),
    ({"$dayOfWeek": "$at"}, 2),
    ({"$week": "$at"}, 1),
    ({"$isoWeek": "$at"}, 2),
    ({"$isoWeekYear": "$at"}, 2026),
    ({"$isoDayOfWeek": "$at"}, 1),
    ({"$year": "$missing"}, None),
    ({"$dateToString": {"date": "$at"}}, "2026-01-05T10:20:30.456Z"),
    (
        {"$dateToString": {"date": "$at", "format": "%Y/%m/%d %H:%M:%S.%L %j %w %u %U %V %G %z %Z %% x"}},
        "2026/01/05 10:20:30.456 005 2 1 01 02 2026 +0000 0 % x",
    ),
    ({"$dateToString": {"date": "$missing", "onNull": "never"}}, "never"),
    ({"$dateFromString": {"dateString": "2026-01-05T10:20:30.456Z"}}, date("2026-01-05T10:20:30.456Z")),
]


@pytest.mark.parametrize(("source", "expected"), VALUES)
def test_values(source: Json, expected: Found) -> None:
    assert evaluate(source, v=1) == expected


REFUSED: list[tuple[Json, str]] = [
    ("$$unknown", "Use of undefined variable: unknown"),
    ({"$foo": 1}, "Unrecognized expression '$foo'"),
    (
        {"$add": 1, "x": 2},
        "an expression specification must contain exactly one field, the name of the expression.",
    ),
    ({"$divide": [1]}, "Expression $divide takes exactly 2 arguments. 1 were passed in."),
    ({"$round": [1, 2, 3]}, "Expression $round takes at least 1 and at most 2 arguments. 3 were passed in."),
    ({"$ifNull": [1]}, "Expression $ifNull takes at least 2 arguments. 1 were passed in."),
    ({"$cond": [1]}, "$cond needs 'if', 'then' and 'else'"),
    ({"$switch": 1}, "$switch requires at least one branch."),
    ({"$switch": {}}, "$switch requires at least one branch."),
    ({"$switch": {"branches": [1]}}, "$switch requires each branch have a 'case' and a 'then' expression"),
    (
        {"$switch": {"branches": []}},
        "$switch could not find a matching branch for an input, and no default was specified.",
    ),
    ({"$let": {"vars": 1, "in": 1}}, "invalid parameter: expected an object (vars)"),
    ({"$map": 1}, "$map only supports an object as its argument"),
    ({"$map": {"input": "$array"}}, "Missing 'in' parameter to $map"),
    ({"$map": {"input": "$n", "in": 1}}, "$map requires an array, found: int"),
    ({"$regexMatch": {"input": "a", "regex": 1}}, "$regexMatch needs 'regex' and 'options' to be strings"),
    ({"$year": "$text"}, "can't convert from BSON type string to Date in $year"),
    ({"$year": {"date": "$at", "timezone": "Mars"}}, 'unrecognized time zone identifier: "Mars"'),
    ({"$dateToString": {"date": "$at", "format": 1}}, "$dateToString requires that 'format' be a string"),
    ({"$dateToString": {"date": "$at", "format": "%Q"}}, "Invalid format character '%Q' in format string"),
    ({"$dateFromString": {"dateString": "never"}}, "Error parsing date string 'never'"),
]


@pytest.mark.parametrize(("source", "text"), REFUSED)
def test_refusals(source: Json, text: str) -> None:
    with pytest.raises(ParseError) as caught:
        evaluate(source)
    assert (caught.value.code, caught.value.message) == (ErrorCode.INVALID_QUERY, text)


def test_depth_is_limited() -> None:
    source: Json = 1
    for _ in range(60):
        source = {"$not": [source]}
    with pytest.raises(ParseError, match=r"^The pipeline is nested too deep\.$"):
        compile_expression(source)
