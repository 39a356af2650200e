"""The npm parse-server and this storage own one database in turn: each reads, queries and updates what the
other wrote. Rows are compared as they lie there, byte for byte but for ids and times.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import bcrypt
import pytest
from pymongo import MongoClient

from parse_clone.adapters.storage.mongo.storage import MongoStorage
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.names import JoinTable
from parse_clone.core.operations import Add, AddUnique, Delete, Increment, Remove, Set, SetOnInsert
from parse_clone.core.query import (
    WHOLE,
    Compare,
    ContainsAll,
    Exists,
    In,
    NotIn,
    PolygonContains,
    ReadableBy,
    Regex,
    WithinSphere,
    object_id_is,
)
from parse_clone.core.query import GeoPoint as Place
from parse_clone.core.schema import AddFields, AddIndexes, ClassSchema, CreateClass, Field, FieldType
from parse_clone.core.system_classes import (
    DEFAULT_FIELDS,
    DEFAULT_INDEXES,
    auth_data_index,
    system_schema,
)
from tests import parse_server
from tests.parse_server import Client

NOW = "2026-03-01T12:00:00.250Z"
FIELD_TYPES = {
    "code": FieldType("String"),
    "value": FieldType("Number"),
    "final": FieldType("Boolean"),
    "takenAt": FieldType("Date"),
    "meta": FieldType("Object"),
    "tags": FieldType("Array"),
    "site": FieldType("GeoPoint"),
    "area": FieldType("Polygon"),
    "scan": FieldType("File"),
    "raw": FieldType("Bytes"),
    "patient": FieldType("Pointer", "Patient"),
    "orderedBy": FieldType("Pointer", "_User"),
    "panels": FieldType("Relation", "Panel"),
}
PATIENT: Json = {"__type": "Pointer", "className": "Patient", "objectId": "p1"}
MOMENT: Json = {"__type": "Date", "iso": "2026-01-05T10:00:00.123Z"}

VALUES: list[JsonObject] = [
    {
        "code": "HB",
        "value": 13.5,
        "final": True,
        "takenAt": MOMENT,
        "meta": {"unit": "g/dl", "at": MOMENT, "by": PATIENT, "levels": [1, 2.5, {"big": 10000000000}]},
        "tags": ["a", 1, 2.5, MOMENT, PATIENT, {"deep": [True, None]}],
        "site": {"__type": "GeoPoint", "latitude": 48.2, "longitude": 16.37},
        "area": {"__type": "Polygon", "coordinates": [[0, 0], [0, 4], [4, 4], [4, 0], [0, 0]]},
        "scan": {"__type": "File", "name": "labs/scan.pdf"},
        "raw": {"__type": "Bytes", "base64": "AAEC"},
        "patient": PATIENT,
        "orderedBy": {"__type": "Pointer", "className": "_User", "objectId": "u1"},
        "ACL": {"*": {"read": True}, "u1": {"read": True, "write": True}, "role:lab": {"write": True}},
    },
    {"code": "NA", "value": -3, "tags": [], "meta": {}, "ACL": {}},
    {
        "code": None,
        "value": 3000000000,
        "final": False,
        "meta": {"point": {"__type": "GeoPoint", "latitude": 1, "longitude": 2}},
    },
    {
        "value": 2147483647,
        "tags": ["b", "é"],
        "takenAt": {"__type": "Date", "iso": "1969-12-31T23:59:59.999Z"},
    },
]
"""Objects with a value of every type, at the first level and nested."""


@pytest.fixture(scope="module")
def database_uri(mongo_uri: str) -> str:
    """An empty database."""
    return f"{mongo_uri}/interop_{uuid4().hex[:12]}"


@pytest.fixture
async def storage(database_uri: str) -> AsyncIterator[MongoStorage]:
    """This server's storage on the shared database."""
    opened = MongoStorage(database_uri)
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
def other(database_uri: str) -> Iterator[Client]:
    """The npm parse-server on the shared database, which this storage prepared."""
    asyncio.run(prepare(database_uri))
    with parse_server.running(database_uri) as running:
        yield running


async def prepare(database_uri: str) -> None:
    """Make the classes and indexes of a first start."""
    storage = MongoStorage(database_uri)
    for name in ("_User", "_Role"):
        await storage.change_schema(CreateClass(system_schema(name)))
    await storage.change_schema(AddIndexes(DEFAULT_INDEXES))
    await storage.close()


@pytest.fixture
def rows(database_uri: str) -> Iterator[Any]:
    """The database as it lies there."""
    with MongoClient[dict[str, Any]](database_uri) as client:
        yield client.get_default_database()


@pytest.fixture
def class_name() -> str:
    """A class of its own for a test."""
    return f"LabResult{uuid4().hex[:8]}"


@pytest.fixture
async def schema(storage: MongoStorage, other: Client, class_name: str) -> ClassSchema:
    """A class with a field of every type, made by this storage."""
    made = ClassSchema(class_name, {**DEFAULT_FIELDS, **{n: Field(t) for n, t in FIELD_TYPES.items()}})
    await storage.change_schema(CreateClass(made))
    return made


def field_json(field_type: FieldType) -> JsonObject:
    return {"type": field_type.name, **({"targetClass": field_type.target} if field_type.target else {})}


def stored(values: JsonObject, object_id: str = "ours1") -> JsonObject:
    return {"objectId": object_id, "createdAt": NOW, "updatedAt": NOW, **values}


def without_extras(answer: JsonObject) -> JsonObject:
    """A REST answer as the port's stored object: without relations and file URLs, which services add."""
    plain = {}
    for name, value in answer.items():
        kind = value.get("__type") if isinstance(value, dict) else None
        if kind == "File":
            value = {"__type": "File", "name": value["name"]}  # type: ignore[index,call-overload]
        if kind != "Relation":
            plain[name] = value
    return plain


def comparable(row: dict[str, Any]) -> dict[str, tuple[type, Any]]:
    """A row without what differs between any two objects; BSON types count."""
    chance = {"_id", "_created_at", "_updated_at"}
    return {name: typed(value) for name, value in row.items() if name not in chance}


def typed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: typed(item) for name, item in value.items()}
    return [typed(item) for item in value] if isinstance(value, list) else (type(value), value)


def ids(objects: list[JsonObject]) -> list[str]:
    return sorted(str(obj["objectId"]) for obj in objects)


# --- Objects ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", VALUES)
async def test_both_write_the_same_row(
    storage: MongoStorage, other: Client, rows: Any, schema: ClassSchema, values: JsonObject
) -> None:
    theirs = other.post(f"/classes/{schema.name}", values)["objectId"]
    await storage.insert(schema, [stored(values)])
    found = {row["_id"]: comparable(row) for row in rows[schema.name].find()}
    assert found["ours1"] == found[theirs]


@pytest.mark.parametrize("values", VALUES)
async def test_each_reads_what_the_other_wrote(
    storage: MongoStorage, other: Client, schema: ClassSchema, values: JsonObject
) -> None:
    theirs = other.post(f"/classes/{schema.name}", values)["objectId"]
    await storage.insert(schema, [stored(values)])
    for object_id in ("ours1", theirs):
        [ours] = await storage.find(schema, object_id_is(object_id), WHOLE)
        answer = other.get(f"/classes/{schema.name}/{object_id}")
        assert ours == without_extras(answer)
        assert {name: ours.get(name) for name in values if values[name] is not None} == {
            name: value for name, value in values.items() if value is not None
        }


QUERIES = [
    ({"code": "HB"}, In("code", ("HB",))),
    ({"code": {"$ne": "HB"}}, NotIn("code", ("HB",))),
    ({"code": None}, In("code", (None,))),
    ({"value": {"$gt": 3}}, Compare("value", ">", 3)),
    ({"takenAt": {"$gte": MOMENT}}, Compare("takenAt", ">=", MOMENT)),
    (
        {"createdAt": {"$lt": {"__type": "Date", "iso": "2999-01-01T00:00:00.000Z"}}},
        Compare("createdAt", "<", {"__type": "Date", "iso": "2999-01-01T00:00:00.000Z"}),
    ),
    ({"patient": PATIENT}, In("patient", (PATIENT,))),
    ({"patient": {"$exists": False}}, Exists("patient", False)),
    ({"tags": PATIENT}, In("tags", (PATIENT,))),
    ({"tags": {"$all": ["a", 1]}}, ContainsAll("tags", ("a", 1))),
    ({"tags": {"$in": [MOMENT]}}, In("tags", (MOMENT,))),
    ({"meta.levels": 2.5}, In("meta.levels", (2.5,))),
    ({"meta.at": MOMENT}, In("meta.at", (MOMENT,))),
    ({"meta.by": PATIENT}, In("meta.by", (PATIENT,))),
    (
        {"scan": {"__type": "File", "name": "labs/scan.pdf"}},
        In("scan", ({"__type": "File", "name": "labs/scan.pdf"},)),
    ),
    ({"raw": {"__type": "Bytes", "base64": "AAEC"}}, In("raw", ({"__type": "Bytes", "base64": "AAEC"},))),
    ({"site": VALUES[0]["site"]}, In("site", (VALUES[0]["site"],))),
    (
        {"site": {"$geoWithin": {"$centerSphere": [VALUES[0]["site"], 0.01]}}},
        WithinSphere("site", Place(48.2, 16.37), 0.01),
    ),
    (
        {"area": {"$geoIntersects": {"$point": {"__type": "GeoPoint", "latitude": 1, "longitude": 2}}}},
        PolygonContains("area", Place(1, 2)),
    ),
    ({"code": {"$regex": "^h", "$options": "i"}}, Regex("code", "^h", "i")),
]


@pytest.mark.parametrize(("where", "condition"), QUERIES)
async def test_both_answer_a_query_alike(
    storage: MongoStorage, other: Client, schema: ClassSchema, where: JsonObject, condition: Any
) -> None:
    await storage.insert(schema, [stored(values, f"ours{n}") for n, values in enumerate(VALUES)])
    for values in VALUES:
        other.post(f"/classes/{schema.name}", values)
    found = await storage.find(schema, condition, WHOLE)
    assert ids(found) == ids(other.get(f"/classes/{schema.name}", where=where)["results"])
    assert len(found) % 2 == 0, "an object of one origin is found without its twin"
    assert found


UPDATES: list[tuple[JsonObject, dict[str, Any]]] = [
    ({"value": 7, "code": "K"}, {"value": Set(7), "code": Set("K")}),
    ({"value": {"__op": "Increment", "amount": 1.5}}, {"value": Increment(1.5)}),
    ({"count": {"__op": "Increment", "amount": 1}}, {"count": Increment(1)}),
    ({"code": {"__op": "Delete"}, "patient": {"__op": "Delete"}}, {"code": Delete(), "patient": Delete()}),
    ({"patient": None}, {"patient": Set(None)}),
    ({"tags": {"__op": "Add", "objects": ["z", PATIENT]}}, {"tags": Add(("z", PATIENT))}),
    ({"tags": {"__op": "AddUnique", "objects": ["a", MOMENT, 9]}}, {"tags": AddUnique(("a", MOMENT, 9))}),
    ({"tags": {"__op": "Remove", "objects": ["a", MOMENT]}}, {"tags": Remove(("a", MOMENT))}),
    ({"value": {"__op": "SetOnInsert", "amount": 1}}, {"value": SetOnInsert(1)}),
    ({"meta.unit": "mmol", "meta.deep.er": 5}, {"meta.unit": Set("mmol"), "meta.deep.er": Set(5)}),
    ({"meta.unit": {"__op": "Delete"}}, {"meta.unit": Delete()}),
    (
        {"site": {"__type": "GeoPoint", "latitude": -1, "longitude": 2.5}},
        {"site": Set({"__type": "GeoPoint", "latitude": -1, "longitude": 2.5})},
    ),
    ({"ACL": {"u2": {"read": True}}}, {"ACL": Set({"u2": {"read": True}})}),
]


@pytest.mark.parametrize(("body", "operations"), UPDATES)
async def test_both_update_to_the_same_row(
    storage: MongoStorage,
    other: Client,
    rows: Any,
    schema: ClassSchema,
    body: JsonObject,
    operations: dict[str, Any],
) -> None:
    """Each updates an object that the other wrote."""
    theirs = other.post(f"/classes/{schema.name}", VALUES[0])["objectId"]
    await storage.insert(schema, [stored(VALUES[0])])
    await storage.change_schema(AddFields(schema.name, {"count": Field(FieldType("Number"))}))
    assert "error" not in other.put(f"/classes/{schema.name}/ours1", body)
    assert await storage.update(schema, object_id_is(theirs), {**operations, "updatedAt": Set(NOW)})
    found = {row["_id"]: comparable(row) for row in rows[schema.name].find()}
    assert found[theirs] == found["ours1"]


# --- Relations -------------------------------------------------------------------------------------------


async def test_links_are_shared(storage: MongoStorage, other: Client, rows: Any, schema: ClassSchema) -> None:
    table = JoinTable(class_name=schema.name, field="panels")
    panel = other.post("/classes/Panel", {})["objectId"]
    second = other.post("/classes/Panel", {})["objectId"]
    await storage.insert(schema, [stored({})])
    add = {"__op": "AddRelation", "objects": [{"__type": "Pointer", "className": "Panel", "objectId": panel}]}
    other.put(f"/classes/{schema.name}/ours1", {"panels": add})
    await storage.link(table, "ours1", [panel, second])
    assert rows[table.name].count_documents({}) == 2
    assert await storage.related_ids(table, ["ours1"]) == [panel, second]

    owner = {"__type": "Pointer", "className": schema.name, "objectId": "ours1"}
    where = {"$relatedTo": {"object": owner, "key": "panels"}}
    assert ids(other.get("/classes/Panel", where=where)["results"]) == sorted([panel, second])
    await storage.unlink(table, "ours1", [panel])
    assert ids(other.get("/classes/Panel", where=where)["results"]) == [second]
    remove = {
        **add,
        "__op": "RemoveRelation",
        "objects": [{**owner, "className": "Panel", "objectId": second}],
    }
    other.put(f"/classes/{schema.name}/ours1", {"panels": remove})
    assert await storage.related_ids(table, ["ours1"]) == []


# --- Users, sessions, roles ------------------------------------------------------------------------------


async def test_a_user_of_parse_server_is_read_whole(storage: MongoStorage, other: Client) -> None:
    name = f"user-{uuid4().hex}"
    body = {"username": name, "password": "secret", "email": f"{name}@example.org", "emailVerified": True}
    signed_up = other.post("/users", {**body, "authData": {"trusting": {"id": name, "at": MOMENT}}})
    schema = system_schema("_User")
    [user] = await storage.find(schema, In("authData.trusting.id", (name,)), WHOLE)
    assert user["objectId"] == signed_up["objectId"]
    assert user["authData"] == {"trusting": {"id": name, "at": MOMENT}}
    assert bcrypt.checkpw(b"secret", str(user["_hashed_password"]).encode())
    assert user["ACL"] == {user["objectId"]: {"read": True, "write": True}}

    session_token = other.post("/login", {"username": name, "password": "secret"})["sessionToken"]
    [session] = await storage.find(system_schema("_Session"), In("sessionToken", (session_token,)), WHOLE)
    assert session["user"] == {"__type": "Pointer", "className": "_User", "objectId": user["objectId"]}
    assert session["createdWith"] == {"action": "login", "authProvider": "password"}
    assert session["expiresAt"]["__type"] == "Date"  # type: ignore[index,call-overload]


async def test_a_user_and_a_session_of_this_storage_are_accepted(
    storage: MongoStorage, other: Client
) -> None:
    name = uuid4().hex[:10]
    user: JsonObject = {
        "username": name,
        "email": f"{name}@example.org",
        "_hashed_password": bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode(),
        "_password_changed_at": MOMENT,
        "_failed_login_count": 0,
        "authData": {"trusting": {"id": name}},
        "ACL": {name: {"read": True, "write": True}},
    }
    session: JsonObject = {
        "sessionToken": f"r:{uuid4().hex}",
        "user": {"__type": "Pointer", "className": "_User", "objectId": name},
        "createdWith": {"action": "login", "authProvider": "password"},
        "expiresAt": {"__type": "Date", "iso": "2999-01-01T00:00:00.000Z"},
    }
    await storage.insert(system_schema("_User"), [stored(user, name)])
    await storage.insert(system_schema("_Session"), [stored(session, f"s{name}")])
    assert other.post("/login", {"username": name, "password": "secret"})["objectId"] == name
    assert other.post("/users", {"authData": {"trusting": {"id": name}}})["objectId"] == name
    me = other.as_user(str(session["sessionToken"])).get("/users/me")
    assert (me["objectId"], me["email"]) == (name, f"{name}@example.org")


async def test_auth_data_is_linked_and_unlinked_by_either(storage: MongoStorage, other: Client) -> None:
    schema = system_schema("_User")
    name = uuid4().hex[:10]
    await storage.insert(
        schema, [stored({"username": name, "ACL": {name: {"read": True, "write": True}}}, name)]
    )
    await storage.update(schema, object_id_is(name), {"authData.trusting": Set({"id": name})})
    assert other.get(f"/users/{name}")["authData"] == {"trusting": {"id": name}}
    other.put(f"/users/{name}", {"authData": {"trusting": None}})
    [user] = await storage.find(schema, object_id_is(name), WHOLE)
    assert "authData" not in user
    other.put(f"/users/{name}", {"authData": {"trusting": {"id": name}}})
    await storage.update(schema, object_id_is(name), {"authData": Set({"trusting": None})})
    assert "authData" not in other.get(f"/users/{name}")


async def test_a_role_of_this_storage_opens_objects(
    storage: MongoStorage, other: Client, schema: ClassSchema
) -> None:
    user = other.post("/users", {"username": uuid4().hex, "password": "secret"})
    member = other.as_user(user["sessionToken"]) if "sessionToken" in user else None
    role = f"lab{uuid4().hex[:6]}"
    for name in ("child", "parent"):
        values: JsonObject = {"name": f"{role}-{name}", "ACL": {"*": {"read": True}}}
        await storage.insert(system_schema("_Role"), [stored(values, f"{role}{name}")])
    await storage.link(JoinTable(class_name="_Role", field="users"), f"{role}child", [user["objectId"]])
    await storage.link(JoinTable(class_name="_Role", field="roles"), f"{role}parent", [f"{role}child"])
    await storage.insert(schema, [stored({"ACL": {f"role:{role}-parent": {"read": True}}})])

    if member is None:
        credentials = {"username": other.get(f"/users/{user['objectId']}")["username"], "password": "secret"}
        member = other.as_user(other.post("/login", credentials)["sessionToken"])
    assert member.get(f"/classes/{schema.name}/ours1")["objectId"] == "ours1"
    principals = frozenset({"*", f"role:{role}-parent"})
    assert len(await storage.find(schema, ReadableBy(principals), WHOLE)) == 1


# --- Schemas ---------------------------------------------------------------------------------------------

PERMISSIONS: JsonObject = {
    "find": {"*": True},
    "get": {"requiresAuthentication": True},
    "count": {},
    "create": {"role:lab": True},
    "update": {"pointerFields": ["orderedBy"]},
    "delete": {},
    "addField": {},
    "protectedFields": {"*": ["meta"], "userField:orderedBy": []},
}
OPTIONS: JsonObject = {"required": True, "defaultValue": "HB"}


def fields_with_options() -> dict[str, Field]:
    return {name: Field(field, OPTIONS if name == "code" else {}) for name, field in FIELD_TYPES.items()}


async def test_both_keep_a_schema_in_the_same_row(
    storage: MongoStorage, other: Client, rows: Any, class_name: str
) -> None:
    theirs = f"Theirs{class_name}"
    json_fields = {n: {**field_json(f.type), **f.options} for n, f in fields_with_options().items()}
    body = {"className": theirs, "fields": json_fields, "classLevelPermissions": PERMISSIONS}
    assert "error" not in other.post(f"/schemas/{theirs}", body)
    made = ClassSchema(class_name, {**DEFAULT_FIELDS, **fields_with_options()}, PERMISSIONS)
    await storage.change_schema(CreateClass(made))

    found = {row.pop("_id"): row for row in rows["_SCHEMA"].find()}
    theirs_row, ours_row = found[theirs], found[class_name]
    theirs_row["_metadata"].pop("indexes", None)
    assert ours_row == theirs_row
    loaded = {schema.name: schema for schema in await storage.load_schemas()}
    assert loaded[theirs].fields == loaded[class_name].fields == made.fields
    assert loaded[theirs].permissions == loaded[class_name].permissions == PERMISSIONS


async def test_parse_server_obeys_a_schema_of_this_storage(
    storage: MongoStorage, other: Client, class_name: str
) -> None:
    made = ClassSchema(class_name, {**DEFAULT_FIELDS, **fields_with_options()}, PERMISSIONS)
    await storage.change_schema(CreateClass(made))
    shown = other.get(f"/schemas/{class_name}")
    assert shown["classLevelPermissions"] == PERMISSIONS
    assert shown["fields"] == {
        **{name: field_json(field.type) for name, field in DEFAULT_FIELDS.items()},
        **{
            name: {**field_json(field.type), **field.options} for name, field in fields_with_options().items()
        },
    }
    assert other.post(f"/classes/{class_name}", {"value": 1})["code"] == "HB"
    assert other.post(f"/classes/{class_name}", {"value": "1"})["code"] == 111
    assert other.as_nobody().post(f"/classes/{class_name}", {"value": 1})["code"] == 119


async def test_fields_of_both_stand_side_by_side(
    storage: MongoStorage, other: Client, schema: ClassSchema
) -> None:
    other.post(f"/classes/{schema.name}", {"theirs": 1})
    await storage.change_schema(AddFields(schema.name, {"ours": Field(FieldType("String"))}))
    await storage.change_schema(AddFields(schema.name, {"theirs": Field(FieldType("String"))}))
    [loaded] = [found for found in await storage.load_schemas() if found.name == schema.name]
    assert (str(loaded.type_of("theirs")), str(loaded.type_of("ours"))) == ("Number", "String")
    assert other.post(f"/classes/{schema.name}", {"ours": 5})["code"] == 111


async def test_system_indexes_are_the_same(storage: MongoStorage, other: Client, rows: Any) -> None:
    def described() -> dict[str, Any]:
        names = ("_User", "_Role", "_Idempotency")
        return {name: list(rows[name].list_indexes()) for name in names}

    before = described()
    await storage.change_schema(AddIndexes((*DEFAULT_INDEXES, auth_data_index("trusting"))))
    assert described() == before
    names = [index.name for index in await storage.list_indexes("_User")]
    assert {index.name for index in DEFAULT_INDEXES if index.class_name == "_User"} <= set(names)


# --- Config and hooks ------------------------------------------------------------------------------------


async def test_config_is_shared(storage: MongoStorage, other: Client) -> None:
    schema = system_schema("_GlobalConfig")
    other.put("/config", {"params": {"a": 1, "when": MOMENT}, "masterKeyOnly": {"a": True}})
    [config] = await storage.find(schema, object_id_is("1"), WHOLE)
    master_key_only = {"a": True, "when": False}
    assert config == {"objectId": "1", "params": {"a": 1, "when": MOMENT}, "masterKeyOnly": master_key_only}
    await storage.update(schema, object_id_is("1"), {"params.b": Set(MOMENT)}, upsert=True)
    assert other.get("/config")["params"] == {"a": 1, "when": MOMENT, "b": MOMENT}


async def test_hooks_are_shared(storage: MongoStorage, other: Client) -> None:
    schema = system_schema("_Hooks")
    other.post("/hooks/functions", {"functionName": "theirs", "url": "http://127.0.0.1:1/theirs"})
    [hook] = await storage.find(schema, In("functionName", ("theirs",)), WHOLE)
    assert hook["url"] == "http://127.0.0.1:1/theirs"
    assert await storage.delete(schema, object_id_is(str(hook["objectId"]))) == 1
    await storage.insert(
        schema, [stored({"functionName": "ours", "url": "http://127.0.0.1:1/ours"}, "hook1")]
    )
    assert {"functionName": "ours", "url": "http://127.0.0.1:1/ours"} in other.get("/hooks/functions")
