from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.values import (
    MAX_DEPTH,
    KeywordDenylist,
    bytes_value,
    check_file_domains,
    closed_ring,
    date_value,
    decode_bytes,
    decode_date,
    encode_date,
    file_value,
    geo_point,
    is_number,
    is_pointer,
    is_typed,
    moment_of,
    normal_value,
    pointer,
    relation,
)
from parse_clone.errors import ParseError

TEN = datetime(2026, 1, 5, 10, 0, 0, 123_000, tzinfo=UTC)
ISO = "2026-01-05T10:00:00.123Z"


def typed(type_name: str, /, **members: Json) -> JsonObject:
    return {"__type": type_name, **members}


def nested(depth: int) -> Json:
    value: Json = 1
    for _ in range(depth):
        value = [value]
    return value


# --- Dates ---


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (TEN, ISO),
        (TEN.replace(tzinfo=None), ISO),
        (TEN.replace(microsecond=0), "2026-01-05T10:00:00.000Z"),
        (TEN.replace(microsecond=123_999), ISO),
        (TEN.astimezone(timezone(timedelta(hours=2))), ISO),
        (datetime(33, 1, 1, tzinfo=UTC), "0033-01-01T00:00:00.000Z"),
    ],
)
def test_dates_are_written_with_milliseconds_and_z(moment: datetime, text: str) -> None:
    assert encode_date(moment) == text


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (ISO, TEN),
        ("2026-01-05T10:00:00.123999Z", TEN),
        ("2026-01-05T12:00:00.123+02:00", TEN),
        ("2026-01-05T10:00:00.123", TEN),
        ("2026-01-05", datetime(2026, 1, 5, tzinfo=UTC)),
    ],
)
def test_dates_are_read_in_utc(text: str, moment: datetime) -> None:
    assert decode_date(text) == moment
    assert decode_date(text).tzinfo is UTC


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-05T10:00:00.000Z", "0001-01-01T00:00:00+14:00"])
def test_what_is_no_date_is_not_read(text: str) -> None:
    with pytest.raises(ValueError):
        decode_date(text)


def test_dates_are_wrapped_and_unwrapped() -> None:
    assert date_value(TEN) == typed("Date", iso=ISO)
    assert moment_of(date_value(TEN)) == TEN
    no_dates: list[Json] = [
        None,
        ISO,
        typed("Date"),
        typed("Date", iso=5),
        typed("Date", iso="x"),
        typed("File"),
    ]
    assert [moment_of(value) for value in no_dates] == [None] * len(no_dates)


# --- Builders and recognisers ---


def test_values_are_built_in_wire_form() -> None:
    assert pointer("Ward", "w1") == typed("Pointer", className="Ward", objectId="w1")
    assert relation("Ward") == typed("Relation", className="Ward")
    assert geo_point(1, 2.5) == typed("GeoPoint", latitude=1, longitude=2.5)
    assert bytes_value(b"\x00\x01\x02") == typed("Bytes", base64="AAEC")
    assert file_value("a.txt") == typed("File", name="a.txt")
    assert file_value("a.txt", "https://x/a.txt") == typed("File", name="a.txt", url="https://x/a.txt")


def test_pointers_are_recognised() -> None:
    assert is_pointer(pointer("Ward", "w1"))
    assert is_pointer(pointer("Ward", "w1"), "Ward")
    assert not is_pointer(pointer("Ward", "w1"), "_User")
    others: list[Json] = [
        None,
        "Ward$w1",
        typed("Pointer"),
        typed("Pointer", objectId="w1"),
        relation("Ward"),
    ]
    assert not any(is_pointer(value) for value in others)
    assert is_typed(relation("Ward"), "Relation")
    assert not is_typed([], "Relation")


def test_booleans_and_infinities_are_no_numbers() -> None:
    assert is_number(1)
    assert is_number(1.5)
    assert not any(is_number(value) for value in (True, "1", None, float("inf"), float("nan")))


def test_bytes_are_read_leniently() -> None:
    assert decode_bytes(typed("Bytes", base64="AAEC")) == b"\x00\x01\x02"
    assert decode_bytes(typed("Bytes", base64="AA")) == b"\x00"
    for value in (typed("Bytes"), typed("Bytes", base64="A")):
        with pytest.raises(ValueError):
            decode_bytes(value)


# --- Normal forms ---

TRIANGLE: list[Json] = [[0, 0], [0, 1], [1, 1]]


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (None, None),
        ("text", "text"),
        (1.5, 1.5),
        (1e300, 1e300),
        (True, True),
        ({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
        ({"__type": ""}, {"__type": ""}),
        (typed("Date", iso="2026-01-05"), typed("Date", iso="2026-01-05T00:00:00.000Z")),
        (typed("Pointer", className="W", objectId="w", name="x"), pointer("W", "w")),
        (typed("Relation", className="W", extra=1), relation("W")),
        (typed("GeoPoint", latitude=100, longitude=0, extra=1), geo_point(100, 0)),
        (typed("Polygon", coordinates=TRIANGLE), typed("Polygon", coordinates=[*TRIANGLE, [0, 0]])),
        (
            typed("Polygon", coordinates=[*TRIANGLE, [0, 0]]),
            typed("Polygon", coordinates=[*TRIANGLE, [0, 0]]),
        ),
        (typed("File", name="a.txt", url="https://x"), file_value("a.txt")),
        (typed("Bytes", base64="AA"), typed("Bytes", base64="AA==")),
        ([typed("Date", iso="2026-01-05")], [typed("Date", iso="2026-01-05T00:00:00.000Z")]),
        ([typed("Date", iso="never")], [typed("Date", iso="never")]),
        ({"w": typed("Pointer", className="W", objectId="w", name="x")}, {"w": pointer("W", "w")}),
        ([typed("Pointer", className="W")], [typed("Pointer", className="W")]),
        (typed("Pointer", className="_GlobalConfig", objectId=1), pointer("_GlobalConfig", "1")),
        ([typed("File", name="a", url="https://x")], [typed("File", name="a", url="https://x")]),
    ],
)
def test_values_are_stored_in_normal_form(given: Json, stored: Json) -> None:
    assert normal_value(given) == stored


@pytest.mark.parametrize(
    "value",
    [
        typed("Date"),
        typed("Date", iso="never"),
        typed("Pointer"),
        typed("Pointer", className="W"),
        typed("Pointer", className="W", objectId=["w"]),
        typed("Relation"),
        typed("GeoPoint", latitude=1),
        typed("GeoPoint", latitude="1", longitude=2),
        typed("Polygon"),
        typed("Polygon", coordinates=[[0, 0], [0, "1"], [1, 1]]),
        typed("Polygon", coordinates=[[0, 0], [0], [1, 1]]),
        typed("File"),
        typed("Bytes", base64=""),
        typed("Bytes", base64="A"),
        typed("Object", className="W"),
        typed("__proto__"),
    ],
)
def test_a_bad_type_is_named(value: JsonObject) -> None:
    with pytest.raises(ParseError) as caught:
        normal_value(value)
    assert (caught.value.code, caught.value.message) == (111, f"This is not a valid {value['__type']}")


@pytest.mark.parametrize("outside", [[90.5, 0], [-91, 0], [0, 180.5], [0, -181]])
def test_a_polygon_lies_on_the_earth(outside: list[float]) -> None:
    with pytest.raises(ParseError) as caught:
        normal_value(typed("Polygon", coordinates=[[0, 0], [0, 1], outside]))
    text = f"GeoJSON: coordinates out of bounds: [{outside[0]}, {outside[1]}]"
    assert (caught.value.code, caught.value.message) == (107, text)


def test_a_polygon_needs_three_corners() -> None:
    with pytest.raises(ParseError) as caught:
        closed_ring([[0, 0], [1, 1], [0, 0]])
    assert (caught.value.code, caught.value.message) == (
        107,
        "GeoJSON: Loop must have at least 3 different vertices",
    )


@pytest.mark.parametrize(
    "value", [{"a.b": 1}, {"$a": 1}, {"a": {"b$": 1}}, [{"a.b": 1}], {"a": [[{"$": 1}]]}]
)
def test_nested_keys_have_no_dollar_and_no_dot(value: Json) -> None:
    with pytest.raises(ParseError) as caught:
        normal_value(value)
    assert (caught.value.code, caught.value.message) == (
        121,
        "Nested keys should not contain the '$' or '.' characters",
    )


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (5.0, "5"),
        (-0.0, "0"),
        ([1.0, {"a": 2.0}], '[1, {"a": 2}]'),
        (typed("GeoPoint", latitude=1.0, longitude=2.5), None),
        (5.5, "5.5"),
        (2.0**60, "1.152921504606847e+18"),
    ],
)
def test_whole_numbers_have_no_fraction(given: Json, written: str | None) -> None:
    text = json.dumps(normal_value(given))
    assert text == written or (written is None and '"latitude": 1,' in text)


def test_values_are_copied() -> None:
    given: JsonObject = {"a": [{"b": 1}]}
    stored = normal_value(given)
    assert stored == given
    assert isinstance(stored, dict)
    assert stored["a"] is not given["a"]


def test_values_have_a_greatest_depth() -> None:
    assert normal_value(nested(MAX_DEPTH)) == nested(MAX_DEPTH)
    with pytest.raises(ParseError) as caught:
        normal_value(nested(MAX_DEPTH + 1))
    assert caught.value.code == 107


# --- Scans ---


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ({"constructor": 1}, '{"key":"constructor"}'),
        ({"myconstructorx": 1}, '{"key":"constructor"}'),
        ({"a": [{"b": {"__proto__": {}}}]}, '{"key":"__proto__"}'),
        ({"_bsontype": "Code"}, '{"key":"_bsontype","value":"Code"}'),
        ({"x": {"_bsontype": "BarCode"}}, '{"key":"_bsontype","value":"Code"}'),
    ],
)
def test_denied_keywords_are_found_at_any_depth(value: Json, rule: str) -> None:
    with pytest.raises(ParseError) as caught:
        KeywordDenylist().check(value)
    assert (caught.value.code, caught.value.message) == (105, f"Prohibited keyword in request data: {rule}.")


@pytest.mark.parametrize(
    "value", [{"a": "constructor"}, {"_bsontype": "Binary"}, {"_bsontype": 1}, [], "x", None]
)
def test_other_keywords_pass(value: Json) -> None:
    KeywordDenylist().check(value)


@pytest.mark.parametrize(
    ("rule", "value", "denied"),
    [
        ({"value": "bad"}, {"a": "so bad"}, True),
        ({"value": "bad"}, ["bad"], True),
        ({"value": "bad"}, {"bad": 1}, False),
        ({"value": 1}, {"a": [1]}, True),
        ({"value": 1}, {"a": [True]}, False),
        ({"key": "^a$", "value": True}, {"a": True}, True),
        ({"key": "^a$", "value": True}, {"ab": True}, False),
    ],
)
def test_rules_may_name_keys_values_or_both(rule: JsonObject, value: Json, denied: bool) -> None:
    denylist = KeywordDenylist((rule,))
    if not denied:
        denylist.check(value)
        return
    with pytest.raises(ParseError):
        denylist.check(value)


def test_an_empty_denylist_denies_nothing() -> None:
    KeywordDenylist(()).check({"constructor": 1})


def test_scans_do_not_recurse() -> None:
    KeywordDenylist().check(nested(50_000))


@pytest.mark.parametrize(
    ("allowed", "url", "text"),
    [
        (["*"], "https://evil.example/x", None),
        ([], "", None),
        (["good.example"], "https://good.example/x", None),
        (["*.good.example"], "https://cdn.good.example/x", None),
        (
            ["*.good.example"],
            "https://evilgood.example/x",
            "File URL domain 'evilgood.example' is not allowed.",
        ),
        ([], "https://good.example/x", "File URL domain 'good.example' is not allowed."),
        (["good.example"], "not a url", "Invalid file URL."),
        (["good.example"], "https://[bad/x", "Invalid file URL."),
    ],
)
def test_file_urls_point_to_allowed_hosts(allowed: list[str], url: str, text: str | None) -> None:
    body: JsonObject = {"scans": [typed("File", name="a", url=url)], "x": typed("File", name="b")}
    if text is None:
        check_file_domains(body, allowed)
        return
    with pytest.raises(ParseError) as caught:
        check_file_domains(body, allowed)
    assert (caught.value.code, caught.value.message) == (130, text)
