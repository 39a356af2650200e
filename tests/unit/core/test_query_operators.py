"""Every operator: what it becomes, and the code and text of each refusal."""

from __future__ import annotations

from datetime import UTC, datetime
from math import pi

import pytest

from parse_clone.core.context import MASTER, NOBODY
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.query import (
    AllOf,
    AnyOf,
    Compare,
    ContainedBy,
    ContainsAll,
    ContainsAllPrefixes,
    Exists,
    GeoPoint,
    In,
    InQuery,
    Near,
    NotIn,
    PolygonContains,
    Regex,
    Select,
    TextSearch,
    Where,
    WithinBox,
    WithinPolygon,
    WithinSphere,
)
from parse_clone.core.query_json import decode_where
from parse_clone.core.query_limits import QueryLimits
from parse_clone.errors import ParseError
from tests.strategies import SCHEMA, date, geo_point, pointer

NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)
ISO = "2026-01-05T10:00:00.000Z"
NURSE = pointer("n1", "Nurse")
RING: list[Json] = [geo_point(0, 0), geo_point(0, 2), geo_point(2, 0)]


def decode(where: JsonObject, limits: QueryLimits | None = None) -> Where:
    return decode_where(where, SCHEMA, NOBODY, limits or QueryLimits(), now=NOW)


DIRECT: list[tuple[str, Json, Where]] = [
    ("name", "a", In("name", ("a",))),
    ("name", None, In("name", (None,))),
    ("age", 5, In("age", (5,))),
    ("active", True, In("active", (True,))),
    ("unknown", "a", In("unknown", ("a",))),
    ("bornAt", date("2026-01-05T11:00:00+01:00"), In("bornAt", (date(ISO),))),
    ("bornAt", ISO, In("bornAt", (ISO,))),
    ("createdAt", ISO, In("createdAt", (date(ISO),))),
    ("createdAt", "never", In("createdAt", ())),
    ("expiresAt", "2026-01-05T10:00:00Z", In("expiresAt", (date(ISO),))),
    ("ward", {**pointer("w1"), "name": "North"}, In("ward", (pointer("w1"),))),
    ("ward", "w1", In("ward", ("w1",))),
    ("site", geo_point(1, 2), In("site", (geo_point(1, 2),))),
    (
        "scan",
        {"__type": "File", "name": "a", "url": "http://x"},
        In("scan", ({"__type": "File", "name": "a"},)),
    ),
    ("raw", {"__type": "Bytes", "base64": "AA=="}, In("raw", ({"__type": "Bytes", "base64": "AA=="},))),
    ("tags", {"a": 1}, In("tags", ({"a": 1},))),
    ("vitals.deep", {"er": 1}, In("vitals.deep", ({"er": 1},))),
    ("vitals.list", [1, 2], In("vitals.list", ([1, 2],))),
    ("nurses", NURSE, In("nurses", (NURSE,))),
    ("nurses", None, In("nurses", ())),
    ("nurses", "n1", In("nurses", ())),
    ("name", {}, In("name", ())),
    ("name", [], In("name", ())),
    ("vitals", {}, In("vitals", ({},))),
    ("vitals", [], In("vitals", ({},))),
    ("tags", {}, In("tags", ({},))),
    ("unknown", {}, In("unknown", ({},))),
    ("nurses", {}, In("nurses", ())),
]


@pytest.mark.parametrize(("key", "value", "expected"), DIRECT)
def test_plain_values(key: str, value: Json, expected: Where) -> None:
    assert decode({key: value}) == expected


OPERATORS: list[tuple[str, JsonObject, Where]] = [
    ("name", {"$eq": "a"}, In("name", ("a",))),
    ("name", {"$ne": None}, NotIn("name", (None,))),
    ("ward", {"$eq": "w1"}, In("ward", (pointer("w1"),))),
    ("ward", {"$ne": "w1"}, NotIn("ward", (pointer("w1"),))),
    ("ward", {"$in": ["w1", pointer("w2"), None]}, In("ward", (pointer("w1"), pointer("w2"), None))),
    ("ward", {"$nin": ["w1"]}, NotIn("ward", (pointer("w1"),))),
    ("ward", {"$all": ["w1"]}, ContainsAll("ward", (pointer("w1"),))),
    ("ward", {"$gt": "w1"}, In("ward", ())),
    ("age", {"$in": [1, [2, 3], []]}, In("age", (1, 2, 3))),
    ("age", {"$nin": []}, NotIn("age", ())),
    ("age", {"$gt": 1, "$lte": 5}, AllOf((Compare("age", ">", 1), Compare("age", "<=", 5)))),
    ("age", {"$lt": None}, In("age", ())),
    ("bornAt", {"$gte": date(ISO)}, Compare("bornAt", ">=", date(ISO))),
    (
        "bornAt",
        {"$lt": {"$relativeTime": "1 day ago"}},
        Compare("bornAt", "<", date("2026-01-04T10:00:00.000Z")),
    ),
    ("unknown", {"$gt": {"$relativeTime": "now"}}, Compare("unknown", ">", date(ISO))),
    ("name", {"$exists": "x"}, Exists("name", True)),
    ("name", {"$exists": 0}, Exists("name", False)),
    ("name", {"$exists": None}, Exists("name", False)),
    ("tags", {"$eq": ["a"]}, In("tags", (["a"],))),
    ("tags", {"$all": ["a", {"x": 1}, date(ISO)]}, ContainsAll("tags", ("a", {"x": 1}, date(ISO)))),
    (
        "tags",
        {"$in": [{"__type": "File", "name": "a", "url": "http://x"}]},
        In("tags", ({"__type": "File", "name": "a", "url": "http://x"},)),
    ),
    ("tags", {"$all": [{"$unknown": "x"}]}, ContainsAll("tags", ({"$unknown": "x"},))),
    ("tags", {"$all": [{"$regex": "^\\Qab\\E"}]}, ContainsAllPrefixes("tags", ("ab",))),
    ("tags", {"$all": []}, ContainsAll("tags", ())),
    ("tags", {"$containedBy": ["a", pointer("w1")]}, ContainedBy("tags", ("a", pointer("w1")))),
    ("name", {"$regex": "^a"}, Regex("name", "^a")),
    ("name", {"$regex": "^a", "$options": "mi"}, Regex("name", "^a", "im")),
    (
        "name",
        {
            "$text": {
                "$search": {
                    "$term": "a",
                    "$language": "en",
                    "$caseSensitive": True,
                    "$diacriticSensitive": False,
                }
            }
        },
        TextSearch("name", "a", "en", True, False),
    ),
    ("name", {"$text": {"$search": {"$term": "a", "$language": ""}}}, TextSearch("name", "a")),
    ("site", {"$nearSphere": geo_point(1, 2)}, Near("site", GeoPoint(1, 2))),
    ("site", {"$nearSphere": {"latitude": 1, "longitude": 2}}, Near("site", GeoPoint(1, 2))),
    ("site", {"$nearSphere": geo_point(1, 2), "$maxDistance": 1}, Near("site", GeoPoint(1, 2), 1)),
    ("site", {"$maxDistanceInRadians": 2, "$nearSphere": geo_point(1, 2)}, Near("site", GeoPoint(1, 2), 2)),
    ("site", {"$nearSphere": geo_point(1, 2), "$maxDistanceInMiles": 3959}, Near("site", GeoPoint(1, 2), 1)),
    (
        "site",
        {"$nearSphere": geo_point(1, 2), "$maxDistanceInMiles": 1, "$maxDistanceInKilometers": 12742},
        Near("site", GeoPoint(1, 2), 2),
    ),
    (
        "site",
        {"$within": {"$box": [geo_point(0, 0), geo_point(1, 1)]}},
        WithinBox("site", GeoPoint(0, 0), GeoPoint(1, 1)),
    ),
    (
        "site",
        {"$geoWithin": {"$polygon": RING}},
        WithinPolygon("site", (GeoPoint(0, 0), GeoPoint(0, 2), GeoPoint(2, 0))),
    ),
    (
        "site",
        {"$geoWithin": {"$polygon": [[10, 0], [12, 0], [10, 2]]}},
        WithinPolygon("site", (GeoPoint(0, 10), GeoPoint(0, 12), GeoPoint(2, 10))),
    ),
    (
        "site",
        {"$geoWithin": {"$polygon": {"__type": "Polygon", "coordinates": [[10, 0], [12, 0], [10, 2]]}}},
        WithinPolygon("site", (GeoPoint(0, 10), GeoPoint(0, 12), GeoPoint(2, 10))),
    ),
    (
        "site",
        {"$geoWithin": {"$centerSphere": [geo_point(1, 2), 0.5]}},
        WithinSphere("site", GeoPoint(1, 2), 0.5),
    ),
    ("site", {"$geoWithin": {"$centerSphere": [[2, 1], pi]}}, WithinSphere("site", GeoPoint(1, 2), pi)),
    ("site", {"$geoWithin": {}}, AllOf()),
    ("area", {"$geoIntersects": {"$point": geo_point(1, 2)}}, PolygonContains("area", GeoPoint(1, 2))),
    (
        "ward",
        {"$inQuery": {"className": "Ward", "where": {"a": 1}, "limit": 1}},
        InQuery("ward", "Ward", {"a": 1}),
    ),
    (
        "ward",
        {"$notInQuery": {"className": "Ward", "where": {}, "redirectClassNameForKey": "staff"}},
        InQuery("ward", "Ward", {}, negated=True, redirect_key="staff"),
    ),
    ("name", {"$select": {"query": {"className": "Ward"}, "key": "a.b"}}, Select("name", "Ward", {}, "a.b")),
    (
        "name",
        {"$dontSelect": {"query": {"className": "Ward", "where": {"a": 1}}, "key": "a"}},
        Select("name", "Ward", {"a": 1}, "a", negated=True),
    ),
    (
        "ward",
        {"$inQuery": {"className": "Ward", "where": {}}, "$in": ["w1"], "$exists": True},
        AllOf((AnyOf((InQuery("ward", "Ward", {}), In("ward", (pointer("w1"),)))), Exists("ward", True))),
    ),
    ("ward", {**pointer("w1"), "$exists": True}, AllOf((Exists("ward", True), In("ward", (pointer("w1"),))))),
    ("nurses", {"$in": [NURSE, None, "n2"]}, In("nurses", (NURSE, pointer("n2", "Nurse")))),
    ("nurses", {"$ne": NURSE}, NotIn("nurses", (NURSE,))),
    ("nurses", {"$ne": None}, In("nurses", ())),
    ("nurses", {"$exists": True}, In("nurses", ())),
    ("nurses", {"$inQuery": {"className": "Nurse", "where": {}}}, InQuery("nurses", "Nurse", {})),
]


@pytest.mark.parametrize(("key", "constraint", "expected"), OPERATORS)
def test_operators(key: str, constraint: JsonObject, expected: Where) -> None:
    assert decode({key: constraint}) == expected


REFUSED: list[tuple[str, Json, int, str]] = [
    ("vitals", {"pulse": 1}, 107, "You cannot use [object Object] as a query parameter."),
    ("tags", ["a", "b"], 107, "You cannot use a,b as a query parameter."),
    ("name", {"__type": "Ward"}, 107, "You cannot use [object Object] as a query parameter."),
    ("vitals", {"$eq": {"pulse": 1}}, 107, 'bad atom: {"pulse":1}'),
    ("vitals", {"pulse": 1, "$exists": True}, 107, 'bad atom: {"pulse":1}'),
    ("name", {"$in": [{"a": 1}]}, 107, 'bad atom: {"a":1}'),
    ("name", {"$eq": [1]}, 107, "bad atom: [1]"),
    ("bornAt", {"$gt": date("never")}, 107, 'bad atom: {"__type":"Date","iso":"never"}'),
    ("tags", {"$in": [{"__type": "Pointer"}]}, 107, 'bad atom: {"__type":"Pointer"}'),
    ("name", {"$in": "a"}, 107, "bad $in value"),
    ("name", {"$nin": None}, 107, "bad $nin value"),
    ("name", {"$all": {}}, 107, "bad $all value"),
    ("name", {"$containedBy": 1}, 107, "bad $containedBy: should be an array"),
    (
        "tags",
        {"$all": [{"$regex": "^\\Qthe\\E"}, {"$unknown": "x"}, "a", None]},
        107,
        "All $all values must be of regex type or none: /^\\Qthe\\E/,[object Object],a,",
    ),
    ("tags", {"$all": [{"$regex": "a"}]}, 107, "All $all values must be of regex type or none: /a/"),
    ("tags", {"$all": [{"$regex": 1}]}, 107, "All $all values must be of regex type or none: /1/"),
    ("name", {"$regex": 1}, 102, "$regex value must be a string"),
    ("name", {"$regex": "("}, 102, "Bad $regex value: missing ): ("),
    ("name", {"$regex": "a", "$options": 1}, 102, "$options value must be a string"),
    ("name", {"$regex": "a", "$options": "g"}, 102, "Bad $options value for query: g"),
    ("name", {"$regex": "a", "$options": ""}, 102, "Bad $options value for query: "),
    ("name", {"$regex": "a" * 1_001}, 102, "$regex may have at most 1000 characters"),
    ("name", {"$options": "i"}, 102, "$options needs $regex"),
    ("name", {"$size": 2}, 107, "bad constraint: $size"),
    ("name", {"$where": "x"}, 107, "bad constraint: $where"),
    (
        "bornAt",
        {"$eq": {"$relativeTime": "now"}},
        107,
        "$relativeTime can only be used with the $lt, $lte, $gt, and $gte operators",
    ),
    (
        "bornAt",
        {"$exists": {"$relativeTime": "now"}},
        107,
        "$relativeTime can only be used with the $lt, $lte, $gt, and $gte operators",
    ),
    ("name", {"$ne": {"$relativeTime": "now"}}, 107, "$relativeTime can only be used with Date field"),
    ("name", {"$gt": {"$relativeTime": "now"}}, 107, "$relativeTime can only be used with Date field"),
    (
        "bornAt",
        {"$gt": {"$relativeTime": "1.5 days ago"}},
        107,
        "bad $relativeTime ($gt) value. '1.5' is not an integer.",
    ),
    (
        "bornAt",
        {"$gt": {"$relativeTime": 5}},
        107,
        "bad $relativeTime ($gt) value. Time should either start with 'in' or end with 'ago'",
    ),
    ("bornAt", {"$gt": {"$relativeTime": ""}}, 107, 'bad atom: {"$relativeTime":""}'),
    ("name", {"$text": 1}, 107, "bad $text: $search, should be object"),
    ("name", {"$text": {"$search": True}}, 107, "bad $text: $search, should be object"),
    ("name", {"$text": {"$search": {}}}, 107, "bad $text: $term, should be string"),
    ("name", {"$text": {"$search": {"$term": 1}}}, 107, "bad $text: $term, should be string"),
    (
        "name",
        {"$text": {"$search": {"$term": "a", "$language": 1}}},
        107,
        "bad $text: $language, should be string",
    ),
    (
        "name",
        {"$text": {"$search": {"$term": "a", "$caseSensitive": "x"}}},
        107,
        "bad $text: $caseSensitive, should be boolean",
    ),
    (
        "name",
        {"$text": {"$search": {"$term": "a", "$diacriticSensitive": "x"}}},
        107,
        "bad $text: $diacriticSensitive, should be boolean",
    ),
    ("site", {"$nearSphere": "here"}, 107, "bad $nearSphere value; should be GeoPoint"),
    ("site", {"$nearSphere": {}}, 107, "bad $nearSphere value; should be GeoPoint"),
    (
        "site",
        {"$nearSphere": geo_point(91, 0)},
        107,
        "bad $nearSphere value; GeoPoint latitude out of bounds: 91.",
    ),
    (
        "site",
        {"$nearSphere": geo_point(0, 0), "$maxDistance": -1},
        107,
        "bad $maxDistance value; should be a distance",
    ),
    (
        "site",
        {"$nearSphere": geo_point(0, 0), "$maxDistanceInMiles": "1"},
        107,
        "bad $maxDistanceInMiles value; should be a distance",
    ),
    ("site", {"$maxDistance": 1}, 107, "$maxDistance needs $nearSphere"),
    ("site", {"$within": {"$box": [geo_point(0, 0)]}}, 107, "malformatted $within arg"),
    ("site", {"$within": {"$box": [geo_point(0, 0), 1]}}, 107, "malformatted $within arg"),
    ("site", {"$within": 1}, 107, "malformatted $within arg"),
    ("site", {"$geoWithin": 1}, 107, "bad $geoWithin value"),
    (
        "site",
        {"$geoWithin": {"$polygon": 1234}},
        107,
        "bad $geoWithin value; $polygon should be Polygon object or Array of Parse.GeoPoint's",
    ),
    (
        "site",
        {"$geoWithin": {"$polygon": RING[:2]}},
        107,
        "bad $geoWithin value; $polygon should contain at least 3 GeoPoints",
    ),
    (
        "site",
        {"$geoWithin": {"$polygon": {"__type": "Polygon", "coordinates": [[0, 0]]}}},
        107,
        "bad $geoWithin value; Polygon.coordinates should contain at least 3 lon/lat pairs",
    ),
    ("site", {"$geoWithin": {"$polygon": [{}, {}, {}]}}, 107, "bad $geoWithin value"),
    ("site", {"$geoWithin": {"$polygon": [*RING, ["a", 1]]}}, 107, "bad $geoWithin value"),
    (
        "site",
        {"$geoWithin": {"$polygon": [[0, 91], *RING]}},
        107,
        "bad $geoWithin value; GeoPoint latitude out of bounds: 91.",
    ),
    (
        "site",
        {"$geoWithin": {"$polygon": [[-180.5, 0], *RING]}},
        107,
        "bad $geoWithin value; GeoPoint longitude out of bounds: -180.5.",
    ),
    (
        "site",
        {"$geoWithin": {"$centerSphere": [geo_point(0, 0)]}},
        107,
        "bad $geoWithin value; $centerSphere should be an array of Parse.GeoPoint and distance",
    ),
    (
        "site",
        {"$geoWithin": {"$centerSphere": ["a", 1]}},
        107,
        "bad $geoWithin value; $centerSphere geo point invalid",
    ),
    (
        "site",
        {"$geoWithin": {"$centerSphere": [[0, 0], -1]}},
        107,
        "bad $geoWithin value; $centerSphere distance invalid",
    ),
    ("area", {"$geoIntersects": {"$point": 1}}, 107, "bad $geoIntersect value; $point should be GeoPoint"),
    ("area", {"$geoIntersects": 1}, 107, "bad $geoIntersect value; $point should be GeoPoint"),
    ("ward", {"$inQuery": {"className": "Ward"}}, 102, "improper usage of $inQuery"),
    ("ward", {"$inQuery": {"className": "", "where": {}}}, 102, "improper usage of $inQuery"),
    ("ward", {"$notInQuery": "Ward"}, 102, "improper usage of $notInQuery"),
    ("ward", {"$select": {"query": {"className": "Ward"}}}, 102, "improper usage of $select"),
    ("ward", {"$select": {"query": {}, "key": "a"}}, 102, "improper usage of $select"),
    ("ward", {"$select": 1}, 102, "improper usage of $select"),
    (
        "ward",
        {"$dontSelect": {"query": {"className": "Ward"}, "key": "a", "more": 1}},
        102,
        "improper usage of $dontSelect",
    ),
]


@pytest.mark.parametrize(("key", "value", "code", "text"), REFUSED)
def test_refusals(key: str, value: Json, code: int, text: str) -> None:
    with pytest.raises(ParseError) as caught:
        decode({key: value})
    assert (caught.value.code, caught.value.message) == (code, text)


def test_without_a_schema_any_field_may_hold_anything() -> None:
    where = decode_where({"ward": {"$in": ["w1", pointer("w1")]}}, None, MASTER, now=NOW)
    assert where == In("ward", ("w1", pointer("w1")))


def test_regular_expressions_may_be_switched_off() -> None:
    with pytest.raises(ParseError, match=r"^\$regex operator is not allowed$"):
        decode({"name": {"$regex": "a"}}, QueryLimits(allow_regex=False))
    assert decode_where({"name": {"$regex": "a"}}, SCHEMA, MASTER, QueryLimits(allow_regex=False), now=NOW)


def test_lists_are_limited() -> None:
    with pytest.raises(ParseError, match=r"^A list in a query may have at most 2 values$"):
        decode({"name": {"$in": [1, 2, 3]}}, QueryLimits(values=2))
