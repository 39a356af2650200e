from __future__ import annotations

import pytest

from parse_clone.core.aggregate_functions import FOLDS, FUNCTIONS, LONGEST_TEXT, is_true, type_name
from parse_clone.core.comparison import MISSING, Found
from parse_clone.core.json_types import JsonObject
from parse_clone.errors import ErrorCode, ParseError
from tests.strategies import date, pointer

AT = date("2026-01-05T10:00:00.000Z")
LATER = date("2026-01-05T10:00:01.000Z")
BYTES: JsonObject = {"__type": "Bytes", "base64": "AA=="}


def call(name: str, *arguments: Found) -> Found:
    return FUNCTIONS[name][0](*arguments)


RESULTS: list[tuple[str, tuple[Found, ...], Found]] = [
    ("$add", (1, 2.5), 3.5),
    ("$add", (1, None), None),
    ("$add", (AT, 1000), LATER),
    ("$subtract", (5, 2), 3),
    ("$subtract", (LATER, AT), 1000),
    ("$subtract", (LATER, 1000), AT),
    ("$subtract", (MISSING, 1), None),
    ("$multiply", (2, 3, 0.5), 3),
    ("$multiply", (2, None), None),
    ("$multiply", (2**62, 4), float(2**64)),
    ("$divide", (10, 4), 2.5),
    ("$divide", (10, 5), 2),
    ("$divide", (None, 5), None),
    ("$mod", (-7, 3), -1),
    ("$mod", (None, 3), None),
    ("$pow", (2, 10), 1024),
    ("$pow", (2, None), None),
    ("$log", (8, 2), 3),
    ("$log", (None, 2), None),
    ("$ceil", (1.2,), 2),
    ("$floor", (-1.2,), -2),
    ("$sqrt", (9,), 3),
    ("$sqrt", (None,), None),
    ("$exp", (0,), 1),
    ("$ln", (1,), 0),
    ("$log10", (100,), 2),
    ("$round", (1.25, 1), 1.2),
    ("$round", (1234, -2), 1200),
    ("$round", (None,), None),
    ("$trunc", (-1.7,), -1),
    ("$cmp", (1, 2), -1),
    ("$cmp", (2, 1), 1),
    ("$cmp", (None, MISSING), 1),
    ("$eq", (1, 1.0), True),
    ("$eq", (None, MISSING), False),
    ("$eq", (MISSING, MISSING), True),
    ("$ne", ("a", 1), True),
    ("$gt", ("a", 1), True),
    ("$gte", (AT, AT), True),
    ("$lt", (AT, LATER), True),
    ("$lte", (True, False), False),
    ("$and", (1, True), True),
    ("$and", (1, 0), False),
    ("$or", (0, "x"), True),
    ("$or", (), False),
    ("$not", (0,), True),
    ("$ifNull", (None, MISSING, 3), 3),
    ("$ifNull", (1, 2), 1),
    ("$concat", ("a", "b"), "ab"),
    ("$concat", ("a", None), None),
    ("$toLower", ("É",), "é"),
    ("$toUpper", (None,), ""),
    ("$strLenCP", ("é",), 1),
    ("$strLenBytes", ("é",), 2),
    ("$substr", ("Ward$w1", 5, -1), "w1"),
    ("$substrCP", ("abc", 1, 1), "b"),
    ("$substr", ("abc", -1, 1), ""),
    ("$substr", (1234.0, 0, 2), "12"),
    ("$substr", (AT, 0, 4), "2026"),
    ("$split", ("a-b", "-"), ["a", "b"]),
    ("$split", (None, "-"), None),
    ("$indexOfCP", ("abab", "b", 2), 3),
    ("$indexOfCP", ("abab", "b", 2, 3), -1),
    ("$indexOfCP", (None, "b"), None),
    ("$strcasecmp", ("A", "a"), 0),
    ("$size", ([1, 2],), 2),
    ("$arrayElemAt", ([1, 2], -1), 2),
    ("$arrayElemAt", ([1, 2], 5), MISSING),
    ("$arrayElemAt", (None, 5), None),
    ("$in", (pointer("w1"), [pointer("w1")]), True),
    ("$in", (True, [1]), False),
    ("$slice", ([1, 2, 3], 2), [1, 2]),
    ("$slice", ([1, 2, 3], -2), [2, 3]),
    ("$slice", ([1, 2, 3], 1, 1), [2]),
    ("$slice", ([1, 2, 3], -2, 1), [2]),
    ("$slice", (None, 1), None),
    ("$concatArrays", ([1], [2]), [1, 2]),
    ("$concatArrays", ([1], None), None),
    ("$reverseArray", ([1, 2],), [2, 1]),
    ("$reverseArray", (None,), None),
    ("$range", (0, 5, 2), [0, 2, 4]),
    ("$first", ([1, 2],), 1),
    ("$last", ([1, 2],), 2),
    ("$first", (None,), None),
    ("$last", (MISSING,), None),
    ("$isArray", ([],), True),
    ("$setUnion", ([1, 2], [2, 1.0, True]), [1, 2, True]),
    ("$setUnion", ([1], None), None),
    ("$setIntersection", ([1, 2, 2], [2, 3]), [2]),
    ("$setIntersection", ([1], None), None),
    ("$setDifference", ([1, 2], [2]), [1]),
    ("$setDifference", (None, [2]), None),
    ("$mergeObjects", ({"a": 1}, None, {"a": 2, "b": 3}), {"a": 2, "b": 3}),
    ("$mergeObjects", ([{"a": 1}, {"b": 2}],), {"a": 1, "b": 2}),
    ("$objectToArray", ({"a": 1},), [{"k": "a", "v": 1}]),
    ("$objectToArray", (None,), None),
    ("$arrayToObject", ([{"k": "a", "v": 1}, ["b", 2]],), {"a": 1, "b": 2}),
    ("$arrayToObject", (None,), None),
    ("$isNumber", (1.5,), True),
    ("$isNumber", (MISSING,), False),
    ("$toString", (True,), "true"),
    ("$toString", (1.0,), "1"),
    ("$toString", (AT,), "2026-01-05T10:00:00.000Z"),
    ("$toString", (None,), None),
    ("$toInt", ("12",), 12),
    ("$toInt", (1.9,), 1),
    ("$toInt", (None,), None),
    ("$toLong", (date("1970-01-01T00:00:01.000Z"),), 1000),
    ("$toDouble", ("1.5",), 1.5),
    ("$toDecimal", (True,), 1),
    ("$toBool", ("",), True),
    ("$toBool", (None,), None),
    ("$toDate", ("2026-01-05T10:00:00Z",), AT),
    ("$toDate", (AT,), AT),
    ("$toDate", (1000,), date("1970-01-01T00:00:01.000Z")),
    ("$toDate", (None,), None),
    ("$sum", (1, "x", 2), 3),
    ("$sum", ([1, 2],), 3),
    ("$avg", ([],), None),
    ("$max", (1, None, 3), 3),
]


@pytest.mark.parametrize(("name", "arguments", "expected"), RESULTS)
def test_results(name: str, arguments: tuple[Found, ...], expected: Found) -> None:
    result = call(name, *arguments)
    assert result == expected
    assert type(result) is type(expected)


REFUSED: list[tuple[str, tuple[Found, ...], str]] = [
    ("$add", ("a", 1), "$add only supports numeric types, not string"),
    ("$add", (AT, LATER), "only one date allowed in an $add expression"),
    ("$add", (AT, 10**30), "date overflow"),
    ("$divide", (1, 0), "can't $divide by zero"),
    ("$mod", (1, 0), "can't $mod by zero"),
    ("$sqrt", (-1,), "The result is not a number."),
    ("$pow", (10, 1000), "The result is not a number."),
    ("$multiply", tuple([2**62] * 20), "The result is not a number."),
    ("$multiply", (1e308, 10), "The result is not a number."),
    ("$round", (1, 200), "cannot apply $round with precision value 200"),
    ("$concat", ("a", 1), "$concat only supports strings, not int"),
    ("$concat", ("a" * (LONGEST_TEXT + 1),), f"A text may have at most {LONGEST_TEXT} characters."),
    ("$toLower", (True,), "$toLower requires a string argument, found: bool"),
    ("$toLower", ({},), "$toLower requires a string argument, found: object"),
    ("$split", ("a", ""), "$split requires a non-empty separator"),
    ("$size", (MISSING,), "The argument to $size must be an array. It requires an array, found: missing"),
    ("$in", (1, None), "$in requires an array, found: null"),
    ("$range", (0, 10**9), "An array may have at most 1000000 elements."),
    ("$range", (0, 1, 0), "$range requires a non-zero step value"),
    ("$mergeObjects", (1, {}), "$mergeObjects requires object inputs, but input is of type int"),
    ("$objectToArray", (1,), "$objectToArray requires a document input, found: int"),
    ("$arrayToObject", ([1],), "$arrayToObject requires an array of key-value pairs"),
    ("$toInt", ("x",), "Failed to parse number 'x' in $toInt"),
    ("$toInt", ([],), "Unsupported conversion from array in $toInt"),
    ("$toDate", ("x",), "Error parsing date string 'x'"),
    ("$toDate", (True,), "$toDate only supports numeric types, not bool"),
]


@pytest.mark.parametrize(("name", "arguments", "text"), REFUSED)
def test_refusals(name: str, arguments: tuple[Found, ...], text: str) -> None:
    with pytest.raises(ParseError) as caught:
        call(name, *arguments)
    assert (caught.value.code, caught.value.message) == (ErrorCode.INVALID_QUERY, text)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (MISSING, "missing"),
        (None, "null"),
        (True, "bool"),
        (1, "int"),
        (2**40, "long"),
        (1.5, "double"),
        ("a", "string"),
        ([], "array"),
        ({}, "object"),
        (AT, "date"),
        (BYTES, "binData"),
    ],
)
def test_type_names(value: Found, name: str) -> None:
    assert type_name(value) == name


def test_truth() -> None:
    false: list[Found] = [None, MISSING, False, 0, 0.0]
    true: list[Found] = [True, 1, "", [], {}, AT]
    assert not any(map(is_true, false))
    assert all(map(is_true, true))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("$sum", 7), ("$avg", 3.5), ("$min", 2), ("$max", "x"), ("$stdDevPop", 1.5), ("$stdDevSamp", 4.5**0.5)],
)
def test_folds_skip_what_they_cannot_count(name: str, expected: Found) -> None:
    values: list[Found] = [2, MISSING, None, "x", 5]
    result = FOLDS[name](values)
    assert result == expected if isinstance(expected, str) else result == pytest.approx(expected)
    assert FOLDS[name]([]) == (0 if name == "$sum" else None)
