"""Two servers over one database: what one does over REST, the other sees, in both directions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from time import sleep
from typing import Any
from uuid import uuid4

import pytest

from parse_clone.core.json_types import Json, JsonObject
from parse_clone.settings import DatabaseOptions
from tests import parse_server
from tests.parse_server import Client
from tests.servers import running_server

MOMENT: Json = {"__type": "Date", "iso": "2026-01-05T10:00:00.123Z"}
POINTER: Json = {"__type": "Pointer", "className": "Patient", "objectId": "p1"}
FIELDS: JsonObject = {
    "code": "HB",
    "value": 13.5,
    "final": True,
    "takenAt": MOMENT,
    "meta": {"unit": "g/dl", "at": MOMENT, "by": POINTER, "levels": [1, 2.5]},
    "tags": ["a", 1, MOMENT, POINTER],
    "site": {"__type": "GeoPoint", "latitude": 48.2, "longitude": 16.37},
    "area": {"__type": "Polygon", "coordinates": [[0, 0], [0, 4], [4, 4], [4, 0], [0, 0]]},
    "raw": {"__type": "Bytes", "base64": "AAEC"},
    "patient": POINTER,
    "nothing": None,
}


@dataclass(frozen=True)
class Pair:
    """Two servers: one acts first, the other has to make sense of it."""

    first: Client
    second: Client


@pytest.fixture(scope="module")
def servers(mongo_uri: str) -> Iterator[tuple[Client, Client]]:
    """This server and parse-server, on one database; both look at the schemas again all the time."""
    database_uri = f"{mongo_uri}/shared_{uuid4().hex[:12]}"
    options = DatabaseOptions(schema_cache_ttl=1)
    with (
        running_server("mongo", database_uri=database_uri, database_options=options, files_url=None) as ours,
        parse_server.client(ours.url) as speaking,
        parse_server.running(database_uri) as theirs,
    ):
        yield speaking, theirs


@pytest.fixture(params=["ours first", "theirs first"])
def pair(servers: tuple[Client, Client], request: pytest.FixtureRequest) -> Pair:
    return Pair(*servers) if request.param == "ours first" else Pair(*reversed(servers))


@pytest.fixture
def class_name() -> str:
    return f"Lab{uuid4().hex[:8]}"


def eventually(look: Callable[[], Any], expected: Any) -> None:
    """Schemas are kept for a moment: look until the answer is the expected one."""
    for _ in range(30):
        if (found := look()) == expected:
            return
        sleep(0.1)
    assert found == expected


def create(client: Client, class_name: str, fields: JsonObject) -> str:
    answer = client.post(f"/classes/{class_name}", fields)
    assert "objectId" in answer, answer
    return str(answer["objectId"])


def sign_up(client: Client, **fields: Json) -> JsonObject:
    """A user without a session, as the master key makes them."""
    user: JsonObject = {"username": f"user-{uuid4().hex}", "password": "secret", **fields}
    answer = client.post("/users", user)
    assert "objectId" in answer, answer
    return {**user, **answer}


def log_in(client: Client, user: JsonObject) -> Any:
    return client.as_nobody().post("/login", {name: user[name] for name in ("username", "password")})


def found_ids(client: Client, class_name: str, where: JsonObject) -> list[str]:
    answer = client.get(f"/classes/{class_name}", where=where)
    return sorted(row["objectId"] for row in answer["results"])


# --- Objects ---------------------------------------------------------------------------------------------


def test_an_object_is_the_same_to_both(pair: Pair, class_name: str) -> None:
    object_id = create(pair.first, class_name, FIELDS)
    path = f"/classes/{class_name}/{object_id}"
    shown = pair.first.get(path)
    assert {name: shown[name] for name in FIELDS} == FIELDS
    eventually(lambda: pair.second.get(path), shown)


def test_both_find_the_objects_of_both(pair: Pair, class_name: str) -> None:
    ids = sorted(create(client, class_name, FIELDS) for client in (pair.first, pair.second))
    other = create(pair.first, class_name, {"code": "K", "value": 1, "tags": []})
    eventually(lambda: found_ids(pair.second, class_name, {}), sorted([*ids, other]))
    questions: list[JsonObject] = [
        {"code": "HB"},
        {"value": {"$gt": 5}},
        {"takenAt": {"$lte": MOMENT}},
        {"patient": POINTER},
        {"tags": {"$all": ["a", POINTER]}},
        {"meta.at": MOMENT},
        {"meta.levels": 2.5},
        {"site": {"$nearSphere": FIELDS["site"], "$maxDistance": 0.1}},
        {"area": {"$geoIntersects": {"$point": {"__type": "GeoPoint", "latitude": 1, "longitude": 2}}}},
        {"raw": FIELDS["raw"]},
        {"code": {"$regex": "^h", "$options": "i"}},
        {"code": {"$nin": ["K"]}},
        {"patient": {"$exists": True}},
        {"$or": [{"code": "nobody"}, {"final": True}]},
    ]
    for where in questions:
        for client in (pair.first, pair.second):
            assert found_ids(client, class_name, where) == ids, where


def test_each_changes_what_the_other_made(pair: Pair, class_name: str) -> None:
    object_id = create(pair.first, class_name, FIELDS)
    path = f"/classes/{class_name}/{object_id}"
    eventually(lambda: pair.second.get(path)["code"], "HB")
    changes: list[JsonObject] = [
        {"value": {"__op": "Increment", "amount": 2}},
        {"tags": {"__op": "AddUnique", "objects": ["a", POINTER, "new"]}},
        {"tags": {"__op": "Remove", "objects": [MOMENT]}},
        {"meta.unit": "mmol"},
        {"patient": None},
        {"code": {"__op": "Delete"}},
        {"ACL": {"u1": {"read": True}}},
    ]
    for change in changes:
        for client in (pair.second, pair.first):
            assert "updatedAt" in client.put(path, change), change
    shown = pair.first.get(path)
    assert shown == pair.second.get(path)
    assert shown["value"] == 17.5
    assert shown["tags"] == ["a", 1, POINTER, "new"]
    assert {"patient", "code"}.isdisjoint(shown)


def test_relations_are_shared(pair: Pair, class_name: str) -> None:
    staff = [create(pair.first, f"{class_name}Nurse", {}) for _ in range(2)]
    pointers: list[Json] = [
        {"__type": "Pointer", "className": f"{class_name}Nurse", "objectId": one} for one in staff
    ]
    owner_id = create(pair.first, class_name, {"staff": {"__op": "AddRelation", "objects": pointers}})
    owner: JsonObject = {"__type": "Pointer", "className": class_name, "objectId": owner_id}
    members: JsonObject = {"$relatedTo": {"object": owner, "key": "staff"}}
    eventually(lambda: found_ids(pair.second, f"{class_name}Nurse", members), sorted(staff))
    assert found_ids(pair.second, class_name, {"staff": pointers[0]}) == [owner_id]
    removal = {"staff": {"__op": "RemoveRelation", "objects": pointers[:1]}}
    assert "updatedAt" in pair.second.put(f"/classes/{class_name}/{owner_id}", removal)
    assert found_ids(pair.first, f"{class_name}Nurse", members) == staff[1:]


def test_pipelines_answer_alike(pair: Pair, class_name: str) -> None:
    for client, value in ((pair.first, 1), (pair.first, 2), (pair.second, 4)):
        create(client, class_name, {"value": value, "patient": POINTER})
    stages = [{"$match": {"value": {"$lt": 9}}}, {"$group": {"_id": "$patient", "sum": {"$sum": "$value"}}}]
    answer = {"results": [{"objectId": "p1", "sum": 7}]}
    for client in (pair.first, pair.second):
        eventually(partial(client.get, f"/aggregate/{class_name}", pipeline=stages), answer)


# --- Classes ---------------------------------------------------------------------------------------------


def test_a_class_is_the_same_to_both(pair: Pair, class_name: str) -> None:
    definition: JsonObject = {
        "className": class_name,
        "fields": {
            "code": {"type": "String", "required": True},
            "owner": {"type": "Pointer", "targetClass": "_User"},
            "staff": {"type": "Relation", "targetClass": "Nurse"},
            "area": {"type": "Polygon"},
            "level": {"type": "Number", "defaultValue": 3},
        },
        "classLevelPermissions": {
            "find": {"*": True},
            "get": {"requiresAuthentication": True},
            "count": {},
            "create": {"role:lab": True},
            "update": {"pointerFields": ["owner"]},
            "delete": {},
            "addField": {},
            "protectedFields": {"*": ["code"]},
        },
        "indexes": {"byCode": {"code": 1}},
    }
    assert "error" not in pair.first.post(f"/schemas/{class_name}", definition)
    shown = pair.first.get(f"/schemas/{class_name}")
    eventually(lambda: pair.second.get(f"/schemas/{class_name}"), shown)
    assert pair.second.as_nobody().post(f"/classes/{class_name}", {"code": "x"})["code"] == 119
    assert pair.second.post(f"/classes/{class_name}", {})["code"] == 142
    assert pair.second.post(f"/classes/{class_name}", {"code": 5})["code"] == 111
    object_id = create(pair.second, class_name, {"code": "x"})
    [row] = pair.first.as_nobody().get(f"/classes/{class_name}")["results"]
    assert (row["objectId"], row["level"], "code" in row) == (object_id, 3, False)


# --- Users -----------------------------------------------------------------------------------------------


def test_users_log_in_at_either(pair: Pair) -> None:
    user = sign_up(pair.first, email=f"{uuid4().hex}@example.org")
    session = log_in(pair.second, user)["sessionToken"]
    for client in (pair.first, pair.second):
        me = client.as_user(session).get("/users/me")
        assert (me.get("objectId"), me.get("email")) == (user["objectId"], user["email"]), me
    assert log_in(pair.second, {**user, "password": "wrong"})["code"] == 101
    pair.second.as_user(session).put(f"/users/{user['objectId']}", {"password": "changed"})
    assert log_in(pair.first, user)["code"] == 101
    assert "sessionToken" in log_in(pair.first, {**user, "password": "changed"})


def test_names_and_addresses_are_taken_for_both(pair: Pair) -> None:
    user = sign_up(pair.first, email=f"{uuid4().hex}@example.org")
    again = {"username": str(user["username"]).upper(), "password": "x"}
    assert pair.second.as_nobody().post("/users", again)["code"] == 202
    again = {"username": uuid4().hex, "password": "x", "email": user["email"]}  # type: ignore[dict-item]
    assert pair.second.as_nobody().post("/users", again)["code"] == 203


def test_an_anonymous_user_is_known_to_both(pair: Pair) -> None:
    auth_data = {"authData": {"anonymous": {"id": str(uuid4())}}}
    user = pair.first.as_nobody().post("/users", auth_data)
    assert pair.second.as_nobody().post("/users", auth_data)["objectId"] == user["objectId"]


def test_sessions_are_listed_and_ended_by_either(pair: Pair) -> None:
    user = sign_up(pair.first)
    session = log_in(pair.first, user)["sessionToken"]
    [row] = pair.second.as_user(session).get("/sessions")["results"]
    assert row["sessionToken"] == session
    assert row["createdWith"] == {"action": "login", "authProvider": "password"}
    pair.second.as_user(session).post("/logout", {})
    assert pair.second.as_user(session).get("/users/me")["code"] == 209


def test_roles_and_acls_hold_at_either(pair: Pair, class_name: str) -> None:
    member, outsider = sign_up(pair.first), sign_up(pair.first)
    pointer = {"__type": "Pointer", "className": "_User", "objectId": member["objectId"]}
    name = f"lab{uuid4().hex[:6]}"
    role = pair.first.post(
        "/roles",
        {"name": name, "ACL": {"*": {"read": True}}, "users": {"__op": "AddRelation", "objects": [pointer]}},
    )
    parent = pair.first.post(
        "/roles",
        {
            "name": f"{name}parent",
            "ACL": {},
            "roles": {
                "__op": "AddRelation",
                "objects": [{"__type": "Pointer", "className": "_Role", "objectId": role["objectId"]}],
            },
        },
    )
    assert "objectId" in parent, parent
    acl: Json = {f"role:{name}parent": {"read": True}}
    object_id = create(pair.first, class_name, {"code": "x", "ACL": acl})
    path = f"/classes/{class_name}/{object_id}"
    eventually(lambda: pair.second.get(path).get("ACL"), acl)
    for client in (pair.first, pair.second):
        insider = client.as_user(log_in(client, member)["sessionToken"])
        assert insider.get(path)["code"] == "x"
        assert insider.put(path, {"code": "y"})["code"] == 101
        assert client.as_user(log_in(client, outsider)["sessionToken"]).get(path)["code"] == 101


# --- The rest --------------------------------------------------------------------------------------------


def test_config_is_shared(pair: Pair) -> None:
    name = f"p{uuid4().hex[:6]}"
    pair.first.put("/config", {"params": {name: MOMENT}, "masterKeyOnly": {name: True}})
    eventually(lambda: pair.second.get("/config")["params"].get(name), MOMENT)
    assert name not in pair.second.as_nobody().get("/config")["params"]


def test_installations_are_shared(pair: Pair) -> None:
    installation: JsonObject = {
        "installationId": str(uuid4()),
        "deviceType": "ios",
        "deviceToken": uuid4().hex * 2,
        "channels": ["news"],
    }
    made = pair.first.post("/installations", installation)
    again = pair.second.post("/installations", {**installation, "badge": 3})
    assert "updatedAt" in again, again
    shown = pair.first.get(f"/installations/{made['objectId']}")
    assert (shown["badge"], shown["channels"]) == (3, ["news"])


def test_files_are_shared(pair: Pair, class_name: str) -> None:
    headers = {**pair.first.all_headers, "Content-Type": "text/plain"}
    file = pair.first.http.post("/files/note.txt", content=b"hello", headers=headers).json()
    object_id = create(pair.first, class_name, {"scan": {"__type": "File", "name": file["name"]}})
    path = f"/classes/{class_name}/{object_id}"
    eventually(lambda: pair.second.get(path).get("scan", {}).get("name"), file["name"])
    shown = pair.second.get(path)["scan"]
    assert shown["url"].startswith(str(pair.second.http.base_url))
    assert pair.second.http.get(shown["url"]).content == b"hello"
