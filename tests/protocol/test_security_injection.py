"""A value is a value: no client's JSON becomes an operator, a path, a program's own name or a member of the
server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.protocol.callers import Caller
from tests.protocol.live_clients import live_client
from tests.protocol.secured import PASSWORD, SECRET, Stage, new_row, set_the_stage, sign_up
from tests.servers import APP_ID, JAVASCRIPT_KEY, RunningServer


@pytest.fixture(scope="module")
def stage(start_server: Callable[..., RunningServer]) -> Iterator[Stage]:
    with closing(set_the_stage(start_server)) as stage:
        yield stage


# --- Objects where texts are expected --------------------------------------------------------------------

NOT_TEXT: tuple[Any, ...] = (
    {"$regex": "^o"},
    {"$ne": None},
    {"$gt": ""},
    {"$in": ["owner"]},
    {"__op": "Delete"},
    {"length": 1, "0": "owner"},
    ["owner"],
    [["owner"]],
    7,
    True,
    {},
    [],
)

LOGINS = ("/login", "/verifyPassword")


@pytest.mark.parametrize("wrong", NOT_TEXT, ids=repr)
@pytest.mark.parametrize("path", LOGINS)
def test_credentials_are_texts(stage: Stage, path: str, wrong: Any) -> None:
    good = {"username": "owner", "password": PASSWORD}
    for name in ("username", "password"):
        answer = stage.nobody.ask("POST", path, {**good, name: wrong})
        assert answer.status_code in (400, 404), answer.text
        assert "objectId" not in answer.text
        part = {"method": "POST", "path": f"/parse{path}", "body": {**good, name: wrong}}
        assert "error" in stage.nobody.post("/batch", {"requests": [part]}, 200)[0]
    email = {"email": wrong, "password": PASSWORD}
    assert stage.nobody.ask("POST", path, email).status_code in (400, 404)
    assert stage.nobody.post(path, good, 200)["username"] == "owner"


@pytest.mark.parametrize("wrong", NOT_TEXT, ids=repr)
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/requestPasswordReset", "email"),
        ("/requestPasswordReset", "token"),
        ("/verificationEmailRequest", "email"),
        ("/loginAs", "userId"),
        ("/users", "username"),
        ("/users", "password"),
        ("/users", "email"),
        ("/installations", "installationId"),
        ("/installations", "deviceToken"),
        ("/installations", "deviceType"),
        ("/jobs", "jobName"),
        ("/cloud_code/jobs", "job_schedule"),
    ],
)
def test_other_texts_are_texts(stage: Stage, path: str, name: str, wrong: Any) -> None:
    good = {
        "/users": {"username": "u", "password": "p"},
        "/installations": {"installationId": "i", "deviceType": "ios"},
    }
    caller = stage.master if path in ("/loginAs", "/jobs", "/cloud_code/jobs") else stage.nobody
    if wrong == {"__op": "Delete"} or (name == "job_schedule" and wrong == {}):
        return  # on a create this says "without", as anywhere else; a schedule without members is one
    answer = caller.ask("POST", path, {**good.get(path, {}), name: wrong})
    assert answer.status_code >= 400, answer.text


@pytest.mark.parametrize("wrong", [w for w in NOT_TEXT if w not in ([], {})], ids=repr)
@pytest.mark.parametrize(
    "name",
    ["_SessionToken", "_MasterKey", "_ApplicationId", "_InstallationId", "_JavaScriptKey", "_ContentType"],
)
def test_keys_in_a_body_are_texts(stage: Stage, name: str, wrong: Any) -> None:
    good = {"_ApplicationId": APP_ID, "_JavaScriptKey": JAVASCRIPT_KEY, "_method": "GET"}
    assert httpx.post(f"{stage.server.url}/classes/Open", json=good).status_code == 200
    answer = httpx.post(f"{stage.server.url}/classes/Open", json={**good, name: wrong})
    assert answer.status_code in (400, 403), answer.text


@pytest.mark.parametrize("wrong", [w for w in NOT_TEXT if w not in ([], {})], ids=repr)
def test_a_method_is_a_text(stage: Stage, wrong: Any) -> None:
    row = new_row(stage, "Open")
    answer = stage.nobody.ask("POST", f"/classes/Open/{row}", {"_method": wrong})
    assert answer.status_code >= 400
    assert stage.nobody.get(f"/classes/Open/{row}")["objectId"] == row


AUTH_DATA: tuple[Any, ...] = (
    *({"anonymous": {"id": wrong}} for wrong in NOT_TEXT),
    *(
        {"anonymous": wrong}
        for wrong in NOT_TEXT
        if not isinstance(wrong, dict) or wrong.keys().isdisjoint({"length", "__op"})
    ),
    *NOT_TEXT,
    {"anonymous.id": "x"},
    {"__proto__": {"id": "x"}},
    {"constructor": {"id": "x"}},
    {"toString": {"id": "x"}},
    {"$or": [{"id": "x"}]},
    {"a.b": {"id": "x"}},
    {"": {"id": "x"}},
)


@pytest.mark.parametrize("auth_data", AUTH_DATA, ids=repr)
def test_identities_are_texts_of_known_providers(stage: Stage, auth_data: Any) -> None:
    for path in ("/users", "/challenge"):
        answer = stage.nobody.ask("POST", path, {"authData": auth_data})
        assert answer.status_code >= 400, answer.text
        assert "sessionToken" not in answer.text
    legal = {"authData": {"anonymous": {"id": uuid4().hex}}}
    assert stage.nobody.post("/users", legal)["sessionToken"].startswith("r:")


# --- Paths that reach below what is protected ------------------------------------------------------------

PROBES: tuple[dict[str, Any], ...] = (
    {"secret": SECRET},
    {"secret": {"$regex": "^only"}},
    {"secret": {"$exists": True}},
    {"nested.secret": SECRET},
    {"nested.secret.deeper": SECRET},
    {"$or": [{"secret": SECRET}]},
    {"$or": [{"title": "x"}, {"$and": [{"nested.secret": {"$ne": "x"}}]}]},
    {"$nor": [{"secret": "x"}]},
    {"$and": [{"$nor": [{"$or": [{"secret": {"$lt": "z"}}]}]}]},
    {"secret": {"$select": {"query": {"className": "Open", "where": {}}, "key": "secret"}}},
    {"secret": {"$inQuery": {"className": "Open", "where": {}}}},
    {"title": {"$select": {"query": {"className": "Shielded", "where": {"secret": SECRET}}, "key": "title"}}},
    {"owner": {"$inQuery": {"className": "Shielded", "where": {"nested.secret": SECRET}}}},
)
SHAPES: tuple[Any, ...] = (
    {"0": {"secret": SECRET}, "length": 1},
    {"secret": SECRET},
    "secret",
    [["secret"]],
    1,
    None,
)


@pytest.mark.parametrize("where", PROBES, ids=repr)
def test_protected_fields_cannot_be_asked_for(stage: Stage, where: dict[str, Any]) -> None:
    for who in ("nobody", "stranger", "member"):
        caller = stage.callers[who]
        for extra in ({}, {"count": 1, "limit": 0}):
            assert caller.refusal("GET", "/classes/Shielded", where=where, **extra) in (102, 107, 119)
        inner = {"owner": {"$inQuery": {"className": "Shielded", "where": where}}}
        assert caller.refusal("GET", "/classes/Open", where=inner) in (102, 107, 119)
        with live_client(stage.server) as client:
            query = {"className": "Shielded", "where": where}
            frame = client.ask({"op": "subscribe", "requestId": 1, "query": query})
            assert frame["op"] == "error" or is_dead(client, stage)
    assert stage.nobody.get("/classes/Shielded", where={"title": {"$exists": True}})["results"] != []


def is_dead(client: Any, stage: Stage) -> bool:
    """Does a subscription that was accepted stay silent? Subqueries match nothing in live queries."""
    row = stage.rows["Shielded"]
    stage.master.put(f"/classes/Shielded/{row}", {"title": "again"})
    answer = client.ask({"op": "unsubscribe", "requestId": 1})
    return bool(answer["op"] == "unsubscribed")


def test_protected_fields_tell_nothing_as_the_key_of_a_subquery(stage: Stage) -> None:
    known = stage.nobody.post("/classes/Open", {"title": SECRET})["objectId"]
    for operator, is_found in (("$select", False), ("$dontSelect", True)):
        query = {"className": "Shielded", "where": {}}
        for key in ("secret", "nested.secret"):
            where = {"objectId": known, "title": {operator: {"query": query, "key": key}}}
            assert bool(stage.nobody.get("/classes/Open", where=where)["results"]) is is_found
            assert bool(stage.master.get("/classes/Open", where=where)["results"]) is not is_found


@pytest.mark.parametrize("operator", ["$or", "$and", "$nor"])
@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_logical_operators_take_arrays_only(stage: Stage, operator: str, shape: Any) -> None:
    for caller in (stage.nobody, stage.master):
        assert caller.ask("GET", "/classes/Shielded", where={operator: shape}).status_code == 400
        assert caller.ask("GET", "/classes/Open", where={"$and": [{operator: shape}]}).status_code == 400
    legal = {operator: [{"title": {"$exists": True}}]}
    assert stage.nobody.ask("GET", "/classes/Open", where=legal).status_code == 200


@pytest.mark.parametrize(
    "order", ["secret", "-secret", "nested.secret", "title,-nested.secret", "-nested", " secret"]
)
def test_protected_fields_cannot_be_sorted_by(stage: Stage, order: str) -> None:
    assert stage.nobody.refusal("GET", "/classes/Shielded", order=order) == 119
    assert stage.master.ask("GET", "/classes/Shielded", order=order).status_code == 200
    assert stage.nobody.ask("GET", "/classes/Shielded", order="-title").status_code == 200


@pytest.mark.parametrize("keys", ["secret", "nested.secret", "title,secret", "nested.secret.x"])
def test_protected_fields_cannot_be_selected(stage: Stage, keys: str) -> None:
    for parameters in ({"keys": keys}, {"include": keys}, {"excludeKeys": "title"}, {"includeAll": 1}):
        for path in ("/classes/Shielded", f"/classes/Shielded/{stage.rows['Shielded']}"):
            assert SECRET not in stage.nobody.ask("GET", path, **parameters).text
    assert SECRET in stage.master.ask("GET", "/classes/Shielded", keys=keys).text


SECRETS_OF_USERS: tuple[dict[str, Any], ...] = (
    {"authData.anonymous.id": {"$regex": "^0"}},
    {"authData.anonymous.id": {"$gt": ""}},
    {"authData.anonymous.id": {"$ne": "x"}},
    {"authData.anonymous.id": None},
    {"authData.anonymous.id": {"$in": ["x", None]}},
    {"authData.anonymous": {"$exists": True}},
    {"authData": {"$exists": True}},
    {"authData.mfa.secret": {"$regex": "^A"}},
    {"authData.mfa.secret": "A"},
    {"$or": [{"username": "x"}, {"$nor": [{"authData.anonymous.id": {"$regex": "^0"}}]}]},
    {"password": {"$exists": False}},
    {"sessionToken": {"$exists": False}},
)


@pytest.mark.parametrize("where", SECRETS_OF_USERS, ids=repr)
def test_what_nobody_sees_of_other_users_cannot_be_asked_for(stage: Stage, where: dict[str, Any]) -> None:
    identity = {"anonymous": {"id": f"0{uuid4().hex}"}}
    known = stage.nobody.post("/users", {"authData": identity, "ACL": {"*": {"read": True}}})["objectId"]
    exact = {"authData.anonymous.id": identity["anonymous"]["id"]}
    for who in ("nobody", "stranger"):
        caller = stage.callers[who]
        for extra in ({}, {"objectId": known}):
            assert caller.refusal("GET", "/users", where={**where, **extra}, count=1, limit=0) == 119
        assert caller.refusal("GET", "/users", order="authData") == 119
        inner = {"owner": {"$inQuery": {"className": "_User", "where": where}}}
        assert caller.refusal("GET", "/classes/Open", where=inner) == 119
        # Whoever knows an identity whole learns nothing by asking whose it is.
        assert caller.get("/users", where=exact)["results"][0]["objectId"] == known
    mine = {**where, "objectId": stage.ids["stranger"]}
    assert stage.callers["stranger"].ask("GET", "/users", where=mine).status_code == 200
    assert stage.master.ask("GET", "/users", where=where).status_code == 200


@pytest.mark.parametrize("watch", [["secret"], ["nested.secret"], ["title", "nested"]])
def test_protected_fields_cannot_be_watched(stage: Stage, watch: list[str]) -> None:
    with live_client(stage.server) as client:
        query = {"className": "Shielded", "where": {}, "watch": watch}
        assert client.ask({"op": "subscribe", "requestId": 1, "query": query})["op"] == "error"
        query = {"className": "Shielded", "where": {}, "watch": ["title"]}
        assert client.ask({"op": "subscribe", "requestId": 1, "query": query})["op"] == "subscribed"


def test_writes_do_not_tell_protected_fields(stage: Stage) -> None:
    row = new_row(stage, "Shielded")
    for body in ({"title": "x"}, {"title": {"__op": "Delete"}}, {}):
        assert SECRET not in stage.nobody.ask("PUT", f"/classes/Shielded/{row}", body).text


# --- Names that programs use themselves ------------------------------------------------------------------

NAMES = (
    *(
        "constructor",
        "__proto__",
        "toString",
        "prototype",
        "hasOwnProperty",
        "valueOf",
        "__class__",
        "__dict__",
    ),
    *(
        "__init__",
        "__getattr__",
        "find.__globals__",
        "__proto__.find",
        "constructor.prototype",
        "find ",
        "",
        "{0}",
    ),
)


@pytest.mark.parametrize("name", NAMES)
def test_functions_and_jobs_are_found_by_their_names_only(stage: Stage, name: str) -> None:
    if name:
        answer = stage.nobody.ask("POST", f"/functions/{name}", {})
        assert (answer.status_code, answer.json()["code"]) == (400, 141), answer.text
        assert stage.master.refusal("POST", f"/jobs/{name}", {}) == 141
    assert stage.master.ask("POST", "/jobs", {"jobName": name}).status_code == 400
    assert stage.nobody.post("/functions/find", {"className": "Open"}, 200)["result"] != []


@pytest.mark.parametrize("name", NAMES)
def test_classes_and_hooks_are_found_by_their_names_only(stage: Stage, name: str) -> None:
    for method in ("GET", "POST"):
        answer = stage.nobody.ask(method, f"/classes/{name or 'x.y'}", {"a": 1} if method == "POST" else None)
        assert answer.status_code < 500
    hooks = stage.master.ask("GET", f"/hooks/functions/{name or 'x'}")
    assert hooks.status_code in (200, 400)
    with live_client(stage.server) as client:
        frame = client.ask({"op": "subscribe", "requestId": 1, "query": {"className": name, "where": {}}})
        assert frame["op"] in ("error", "subscribed")
        client.send({"op": name, "requestId": 2})
        assert client.ask({"op": "unsubscribe", "requestId": 99})["op"] == "error"


@pytest.mark.parametrize("key", ["__proto__", "constructor", "_bsontype", "prototype"])
def test_denied_keys_are_found_at_any_depth(stage: Stage, key: str) -> None:
    denied = {"_bsontype": "Code", "constructor": {"a": 1}, "__proto__": {"a": 1}}.get(key, {"a": 1})
    expected = 105 if key != "prototype" else None
    for body in (
        {"title": "x", key: denied},
        {"nested": {key: denied}},
        {"nested": {"deep": [{"list": [{key: denied}]}]}},
        {"nested": {"__op": "Add", "objects": [{key: denied}]}},
        {"nested": {"__op": "SetOnInsert", "amount": {key: denied}}},
        {f"nested.{key}": denied},
    ):
        answer = stage.nobody.ask("POST", "/classes/Open", body)
        assert answer.status_code in ((400,) if expected else (200, 201, 400)), (body, answer.text)
    if expected:
        metadata = {"_ApplicationId": APP_ID, "_JavaScriptKey": JAVASCRIPT_KEY, "base64": "YQ==",
                    "fileData": {"metadata": {key: denied}}}  # fmt: skip
        assert httpx.post(f"{stage.server.url}/files/a.txt", json=metadata).status_code >= 400
        assert stage.master.ask("PUT", "/config", {"params": {"a": {key: denied}}}).status_code == 400


# --- What belongs to the server --------------------------------------------------------------------------

MINE: dict[str, tuple[str, ...]] = {
    "_User": (
        *(
            "_hashed_password",
            "_perishable_token",
            "_email_verify_token",
            "_failed_login_count",
            "_tombstone",
        ),
        *(
            "_account_lockout_expires_at",
            "_password_history",
            "_password_changed_at",
            "_rperm",
            "_wperm",
            "_acl",
        ),
        *("_session_token", "_auth_data_anonymous", "_email_verify_token_expires_at", "_id", "_created_at"),
        "emailVerified",
    ),
    "Open": ("_rperm", "_wperm", "_acl", "_id", "_created_at", "_updated_at", "__type", "_p_owner", "$set"),
}


def forms(name: str) -> list[dict[str, Any]]:
    """A member in every form that a body can have."""
    return [
        {name: "x"},
        {name: None},
        {name: True},
        {name: ["*"]},
        {name: {"__op": "Delete"}},
        {name: {"__op": "Add", "objects": ["*"]}},
        {name: {"__op": "SetOnInsert", "amount": "x"}},
        {f"{name}.x": "x"},
        {f"{name}.0": "*"},
    ]


@pytest.mark.parametrize(("class_name", "member"), [(c, m) for c, members in MINE.items() for m in members])
def test_members_of_the_server_cannot_be_written(stage: Stage, class_name: str, member: str) -> None:
    row = stage.ids["owner"] if class_name == "_User" else stage.rows["Open"]
    path, caller = f"/classes/{class_name}/{row}", stage.callers["owner"]
    before = stage.master.get(path)
    for body in forms(member):
        answer = caller.ask("PUT", path, body)
        assert answer.status_code >= 400, (body, answer.text)
        part = {"method": "PUT", "path": f"/parse{path}", "body": body}
        assert "error" in caller.post("/batch", {"requests": [part]}, 200)[0], body
        if class_name == "_User":
            fresh = {"username": f"made-{member}", "password": PASSWORD, **body}
            assert stage.nobody.ask("POST", "/users", fresh).status_code >= 400, body
    assert stage.master.get(path) == before
    assert stage.nobody.post("/login", {"username": "owner", "password": PASSWORD}, 200)


@pytest.mark.parametrize("name", ["sessionToken", "expiresAt", "createdWith", "user"])
def test_members_of_a_session_cannot_be_written(stage: Stage, name: str) -> None:
    owner = stage.callers["owner"]
    mine = owner.get("/sessions/me")
    for body in forms(name):
        assert owner.refusal("PUT", f"/sessions/{mine['objectId']}", body) == 105
        created = owner.ask("POST", "/sessions", body)
        if created.status_code == 201:
            fresh = stage.master.get(f"/classes/_Session/{created.json()['objectId']}")
            assert fresh["user"]["objectId"] == stage.ids["owner"]
            assert fresh["sessionToken"].startswith("r:")
            assert fresh["createdWith"] == {"action": "create"}
            assert fresh["expiresAt"]["iso"] > mine["createdAt"]
    assert owner.get("/sessions/me") == mine
    assert owner.put(f"/sessions/{mine['objectId']}", {"note": "mine"})


@pytest.mark.parametrize("name", ["createdAt", "updatedAt", "objectId"])
def test_what_every_object_has_cannot_be_written(stage: Stage, name: str) -> None:
    row = new_row(stage, "Open")
    before = stage.master.get(f"/classes/Open/{row}")
    for body in forms(name):
        stage.nobody.ask("PUT", f"/classes/Open/{row}", body)
    after = stage.master.get(f"/classes/Open/{row}")
    assert after["objectId"] == row
    assert after["createdAt"] == before["createdAt"]
    assert after["updatedAt"] >= before["updatedAt"]


def test_users_cannot_take_over_others(stage: Stage) -> None:
    other = stage.ids["owner"]
    stranger = stage.callers["stranger"]
    for body in (
        {"password": "mine now"},
        {"username": "x"},
        {"authData": {"anonymous": {"id": "z" * 32}}},
        {"ACL": {}},
    ):
        assert stranger.refusal("PUT", f"/users/{other}", body) in (101, 119, 206)
    assert stranger.refusal("DELETE", f"/users/{other}") in (101, 119, 206)
    mine = sign_up(stage.nobody, "itself")
    with closing(Caller(stage.server, mine["sessionToken"])) as caller:
        assert caller.put(f"/users/{mine['objectId']}", {"nick": "me"})


@pytest.mark.parametrize("kind", ["GeoPoint", "Bytes", "Date", "File", "Pointer", "Polygon", "Relation", "?"])
@pytest.mark.parametrize("member", [None, {}, [], "x", 7])
def test_parameters_that_only_look_typed_crash_no_function(stage: Stage, kind: str, member: Any) -> None:
    names = ("latitude", "longitude", "base64", "iso", "name", "url", "className", "objectId", "coordinates")
    for odd in ({"__type": kind}, {"__type": kind, **dict.fromkeys(names, member)}):
        answer = stage.nobody.ask("POST", "/functions/find", {"className": "Open", "odd": odd})
        assert answer.status_code == 200, answer.text
