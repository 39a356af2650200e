"""How objects, classes and indexes lie in MongoDB. Values only: the server is asked in `tests/adapters`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64, ObjectId
from bson.datetime_ms import DatetimeMS
from hypothesis import given

from parse_clone.adapters.storage.mongo.codec import NO_OPERAND, RowCodec, encode_nested, rest_path
from parse_clone.adapters.storage.mongo.schema_codec import (
    added_field,
    changed_options,
    decode_index,
    decode_schema,
    encode_schema,
    index_model,
)
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.names import JoinTable
from parse_clone.core.schema import ClassSchema, Field, FieldType, Index
from parse_clone.core.system_classes import (
    DEFAULT_FIELDS,
    DEFAULT_INDEXES,
    auth_data_index,
    join_schema,
    system_schema,
    with_system_fields,
)
from parse_clone.errors import ParseError
from tests.strategies import SCHEMA, objects

CODEC = RowCodec(SCHEMA)
MOMENT = datetime(2026, 1, 5, 10, 0, 0, 123000)
ISO = "2026-01-05T10:00:00.123Z"
DATE: Json = {"__type": "Date", "iso": ISO}
WARD: Json = {"__type": "Pointer", "className": "Ward", "objectId": "w1"}
FROM_BSON: bson.CodecOptions[Any] = bson.CodecOptions(
    datetime_conversion=bson.codec_options.DatetimeConversion.DATETIME_AUTO
)


def through_bson(row: dict[str, Any]) -> dict[str, Any]:
    return bson.decode(bson.encode(row), FROM_BSON)


@given(objects())
def test_objects_come_back_from_their_rows(obj: JsonObject) -> None:
    without_null_pointer = {name: value for name, value in obj.items() if (name, value) != ("ward", None)}
    assert CODEC.decode(through_bson(CODEC.encode(obj))) == without_null_pointer


def test_members_lie_under_parse_servers_names() -> None:
    row = CODEC.encode(
        {
            "objectId": "o1",
            "createdAt": ISO,
            "updatedAt": ISO,
            "ACL": {"*": {"read": True}, "u1": {"read": True, "write": True}, "x": {}, "y": {"read": False}},
            "ward": WARD,
            "name": "n",
            "nurses": {"__type": "Relation", "className": "Nurse"},
        }
    )
    moment = row["_created_at"]
    assert moment.replace(tzinfo=None) == MOMENT
    assert row == {
        "_id": "o1",
        "_created_at": moment,
        "_updated_at": moment,
        "_rperm": ["*", "u1"],
        "_wperm": ["u1"],
        "_acl": {"*": {"r": True}, "u1": {"r": True, "w": True}, "x": {}, "y": {}},
        "_p_ward": "Ward$w1",
        "name": "n",
    }


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("site", {"__type": "GeoPoint", "latitude": 1.5, "longitude": 2.0}, [2, 1.5]),
        ("scan", {"__type": "File", "name": "a.pdf", "url": "http://x/a.pdf"}, "a.pdf"),
        ("raw", {"__type": "Bytes", "base64": "AAEC"}, b"\0\1\2"),
        (
            "area",
            {"__type": "Polygon", "coordinates": [[0, 1], [0, 5], [5, 5]]},
            {"type": "Polygon", "coordinates": [[[1, 0], [5, 0], [5, 5], [1, 0]]]},
        ),
        ("age", 3000000000, 3e9),
        ("age", 7.0, 7),
        ("tags", [WARD | {"more": 1}], [WARD]),  # type: ignore[operator]
        (
            "vitals",
            {"at": {"__type": "GeoPoint", "latitude": 1, "longitude": 2}},
            {"at": {"__type": "GeoPoint", "latitude": 1, "longitude": 2}},
        ),
    ],
)
def test_values_have_parse_servers_form(name: str, value: Json, stored: Any) -> None:
    row = CODEC.encode({name: value})
    assert row == {name: stored}
    assert type(row[name]) is type(stored)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(5.0, int), (0.0, int), (-0.0, float), (2**31 - 1, int), (2**31, float), (-(2**31), int), (1.5, float)],
)
def test_numbers_are_int32_where_they_can_be(value: float, expected: type) -> None:
    stored = encode_nested(value)
    assert (type(stored), stored) == (expected, value)


def test_no_acl_is_no_member() -> None:
    assert CODEC.encode({"ACL": None}) == {}


def test_a_polygon_without_area_is_refused() -> None:
    with pytest.raises(ParseError) as refusal:
        CODEC.encode({"area": {"__type": "Polygon", "coordinates": [[0, 0], [1, 1], [0, 0]]}})
    assert refusal.value.code == 107


@pytest.mark.parametrize(
    "value",
    [
        {"__type": "Date", "iso": "yesterday"},
        {"__type": "Date"},
        {"__type": "Bytes", "base64": "A"},
        {"__type": "Pointer", "className": "Ward"},
        {"__type": "Unheard"},
    ],
)
def test_nested_values_that_are_none_of_their_type_stay_as_they_are(value: JsonObject) -> None:
    assert CODEC.encode({"vitals": {"x": value}}) == {"vitals": {"x": value}}


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (5.0, 5),
        (1e300, 1e300),
        (Int64(2**40), 2**40),
        (Decimal128("1.5"), 1.5),
        (ObjectId("5f0000000000000000000001"), "5f0000000000000000000001"),
        (b"\0\1\2", {"__type": "Bytes", "base64": "AAEC"}),
        (bson.Binary(b"\0\1\2", 5), {"__type": "Bytes", "base64": "AAEC"}),
        (MOMENT, DATE),
        (DatetimeMS(8640000000000000), {"__type": "Date", "iso": "9999-12-31T23:59:59.999Z"}),
        (DatetimeMS(-8640000000000000), {"__type": "Date", "iso": "0001-01-01T00:00:00.000Z"}),
    ],
)
def test_whatever_lies_in_a_row_is_read_as_json(stored: Any, expected: Json) -> None:
    row = through_bson({"vitals": {"x": stored, "list": [stored]}, "unknown": stored})
    assert CODEC.decode(row) == {"vitals": {"x": expected, "list": [expected]}, "unknown": expected}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"createdAt": MOMENT}, {"createdAt": ISO}),
        ({"_created_at": DatetimeMS(8640000000000000)}, {"createdAt": "9999-12-31T23:59:59.999Z"}),
        ({"_updated_at": ISO}, {"updatedAt": ISO}),
        ({"_p_ward": None}, {}),
        ({"_p_ward": "w1"}, {"ward": WARD}),
        ({"_p_ward": 5}, {"ward": 5}),
        ({"_p_gone": "Ward$w1"}, {}),
        ({"_rperm": ["u1"]}, {"ACL": {"u1": {"read": True}}}),
        ({"_wperm": ["u1"], "_rperm": None}, {"ACL": {"u1": {"write": True}}}),
        ({"_rperm": [], "_wperm": [], "_acl": {}}, {"ACL": {}}),
        ({"raw": "AAEC"}, {"raw": {"__type": "Bytes", "base64": "AAEC"}}),
        ({"site": [1]}, {"site": [1]}),
        ({"area": {"type": "Point"}}, {"area": {"type": "Point"}}),
        ({"scan": 5}, {"scan": 5}),
        ({"_internal": MOMENT}, {"_internal": DATE}),
        ({"": 1}, {"": 1}),
    ],
)
def test_rows_of_other_hands_are_read(row: dict[str, Any], expected: JsonObject) -> None:
    assert CODEC.decode(row) == expected


# --- Special classes -------------------------------------------------------------------------------------


def test_auth_data_is_a_member_per_provider_with_values_as_they_are() -> None:
    codec = RowCodec(system_schema("_User"))
    auth_data: JsonObject = {"ldap": {"id": "1", "at": DATE, "list": [1.0]}, "gone": None}
    row = codec.encode({"authData": auth_data, "_hashed_password": "$2b$"})
    assert row == {"_auth_data_ldap": {"id": "1", "at": DATE, "list": [1]}, "_hashed_password": "$2b$"}
    row |= {"_auth_data_old": None, "authData": "ignored"}
    assert codec.decode(row) == {
        "authData": {"ldap": {"id": "1", "at": DATE, "list": [1]}},
        "_hashed_password": "$2b$",
    }
    assert codec.encode({"authData": None}) == {}
    assert codec.column("authData.ldap.id").name == "_auth_data_ldap.id"


def test_sessions_and_audiences_have_renamed_members() -> None:
    session = RowCodec(system_schema("_Session"))
    row = session.encode({"sessionToken": "r:1", "expiresAt": DATE})
    assert row.keys() == {"_session_token", "expiresAt"}
    assert session.decode({"_session_token": "r:1", "_expiresAt": MOMENT}) == {
        "sessionToken": "r:1",
        "expiresAt": DATE,
    }
    audience = RowCodec(system_schema("_Audience"))
    assert audience.encode({"lastUsed": None, "timesUsed": 1}) == {"_last_used": None, "times_used": 1}


def test_config_keeps_its_values_as_they_are_under_a_number() -> None:
    codec = RowCodec(system_schema("_GlobalConfig"))
    config: JsonObject = {"objectId": "1", "params": {"when": DATE}, "createdAt": ISO, "updatedAt": ISO}
    row = codec.encode(config)
    assert row == {"_id": 1, "params": {"when": DATE}}
    assert codec.decode(row) == {"objectId": "1", "params": {"when": DATE}}
    assert codec.column("params.when").encode(DATE) == DATE


def test_hooks_and_links_may_have_ids_of_the_database() -> None:
    text = "5f0000000000000000000001"
    for schema in (system_schema("_Hooks"), join_schema(JoinTable(class_name="Ward", field="nurses"))):
        codec = RowCodec(schema)
        assert codec.decode({"_id": ObjectId(text)}) == {"objectId": text}
        assert codec.encode({"objectId": text}) == {"_id": ObjectId(text)}
        assert codec.encode({"objectId": "short"}) == {"_id": "short"}


# --- Paths -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "stored"),
    [
        ("objectId", "_id"),
        ("createdAt", "_created_at"),
        ("ward", "_p_ward"),
        ("vitals.pulse", "vitals.pulse"),
        ("unknown.x", "unknown.x"),
        ("_rperm", "_rperm"),
        ("site.0", "_id.absent"),
        ("area.type", "_id.absent"),
        ("$where", "_id.absent"),
        ("vitals.$x", "_id.absent"),
        ("a\0b", "_id.absent"),
    ],
)
def test_paths_lead_to_columns(path: str, stored: str) -> None:
    assert CODEC.column(path).name == stored


@pytest.mark.parametrize(
    ("path", "value", "operand"),
    [
        ("ward", WARD, "Ward$w1"),
        ("ward", "Ward$w1", NO_OPERAND),
        ("ward", None, None),
        ("name", WARD, WARD),
        ("site", 1, NO_OPERAND),
        ("createdAt", ISO, ISO),
        ("scan", "a.pdf", "a.pdf"),
        (
            "tags",
            {"__type": "GeoPoint", "latitude": 1, "longitude": 2},
            {"__type": "GeoPoint", "latitude": 1, "longitude": 2},
        ),
    ],
)
def test_values_are_compared_only_with_their_kind(path: str, value: Json, operand: Any) -> None:
    assert CODEC.column(path).operand(value) == operand


def test_projections_name_what_always_comes_along() -> None:
    always = {"_id", "_created_at", "_updated_at", "_rperm", "_wperm"}
    assert CODEC.projection(frozenset({"ward", "ACL", "name"})) == dict.fromkeys(
        always | {"_p_ward", "name"}, 1
    )
    assert RowCodec(system_schema("_User")).projection(frozenset({"authData"})) is None


# --- Classes and indexes ---------------------------------------------------------------------------------

CLASS = ClassSchema(
    "Ward",
    {
        **DEFAULT_FIELDS,
        "code": Field(FieldType("String"), {"required": True, "defaultValue": "HB"}),
        "head": Field(FieldType("Pointer", "_User")),
        "staff": Field(FieldType("Relation", "Nurse")),
        "area": Field(FieldType("Polygon")),
    },
    permissions={"find": {"*": True}},
)


def test_classes_are_rows_of_types_and_metadata() -> None:
    assert encode_schema(CLASS) == {
        "_id": "Ward",
        "objectId": "string",
        "createdAt": "date",
        "updatedAt": "date",
        "code": "string",
        "head": "*_User",
        "staff": "relation<Nurse>",
        "area": "polygon",
        "_metadata": {
            "class_permissions": {"find": {"*": True}},
            "fields_options": {"code": {"required": True, "defaultValue": "HB"}},
        },
    }
    assert "_metadata" not in encode_schema(ClassSchema("Plain", DEFAULT_FIELDS))
    assert {"password", "ACL"}.isdisjoint(encode_schema(with_system_fields(system_schema("_User"))))
    door = ClassSchema("Door", {**DEFAULT_FIELDS, "password": Field(FieldType("Number"))})
    assert decode_schema(encode_schema(door)) == door


def test_classes_are_read_with_every_operation() -> None:
    loaded = decode_schema(encode_schema(CLASS))
    assert loaded.fields == CLASS.fields
    assert loaded.permissions == {
        "find": {"*": True},
        "count": {},
        "get": {},
        "create": {},
        "update": {},
        "delete": {},
        "addField": {},
        "protectedFields": {},
    }
    assert decode_schema({"_id": "Open"}).permissions is None


def test_odd_rows_of_classes_are_read_as_far_as_they_go() -> None:
    row = {
        "_id": "Old",
        "createdAt": "string",
        "meta": "map",
        "odd": "no such type",
        "worse": {"type": "string"},
        "_client_permissions": {},
        "_metadata": {"indexes": {"_id_": {"_id": 1.0}, "byWard": {"_p_ward": -1}}},
    }
    loaded = decode_schema(row)
    assert loaded.fields == {**DEFAULT_FIELDS, "meta": Field(FieldType("Object"))}
    assert loaded.indexes == {"_id_": {"objectId": 1}, "byWard": {"ward": -1}}


def test_options_are_replaced_or_removed() -> None:
    required = Field(FieldType("String"), {"required": True})
    assert added_field("a", required) == {
        "$set": {"a": "string", "_metadata.fields_options.a": {"required": True}}
    }
    assert changed_options({"a": required, "b": Field(FieldType("Number"))}) == {
        "$set": {"_metadata.fields_options.a": {"required": True}},
        "$unset": {"_metadata.fields_options.b": ""},
    }


def test_indexes_are_described_in_stored_names() -> None:
    plain = index_model(CODEC, Index("Patient", "byWard", (("ward", 1), ("createdAt", -1)))).document
    assert plain == {"name": "byWard", "key": {"_p_ward": 1, "_created_at": -1}}
    unique = index_model(RowCodec(system_schema("_User")), auth_data_index("ldap")).document
    assert unique == {
        "name": "_auth_data_ldap_id",
        "key": {"_auth_data_ldap.id": 1},
        "unique": True,
        "background": True,
        "sparse": True,
    }


def test_indexes_of_the_system_are_sparse() -> None:
    models = {index.name: index_model(CODEC, index).document for index in DEFAULT_INDEXES}
    assert all(model["sparse"] for model in models.values())
    assert models["case_insensitive_email"]["collation"] == {"locale": "en_US", "strength": 2}
    assert models["ttl"]["expireAfterSeconds"] == 0


def test_described_indexes_are_read_in_rest_names() -> None:
    text = {"name": "words", "key": {"_fts": "text", "_ftsx": 1}, "weights": {"note": 1}}
    assert decode_index("Patient", text) == Index("Patient", "words", (("note", "text"),))
    login = {
        "name": "u",
        "key": {"username": 1},
        "unique": True,
        "collation": {"locale": "en_US", "strength": 2},
    }
    assert decode_index("_User", login) == Index(
        "_User", "u", (("username", 1),), unique=True, case_insensitive=True
    )


@pytest.mark.parametrize(
    ("stored", "path"),
    [
        ("_id", "objectId"),
        ("_p_ward", "ward"),
        ("_auth_data_ldap.id", "authData.ldap.id"),
        ("_updated_at", "updatedAt"),
        ("_email_verify_token", "_email_verify_token"),
    ],
)
def test_stored_names_tell_the_path(stored: str, path: str) -> None:
    assert rest_path(stored) == path
