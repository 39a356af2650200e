"""Every change reaches those who may see it, and nobody else: what each subscriber hears of each write is
compared with what the same caller finds over REST right before and right after it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import httpx
import pytest

from parse_clone.settings import LiveQuery
from tests.protocol.live_clients import Frame, LiveClient, live_client, redis_server
from tests.servers import APP_ID, MASTER_KEY, REST_KEY, RunningServer, running_server

State = dict[str, Any] | None
Json = dict[str, Any]

OPEN = {"*": True}
AUTHENTICATED = {"requiresAuthentication": True}
WATCHED = {"status": "open"}

CLASSES: dict[str, Json] = {
    "ByAcl": {"find": OPEN, "get": OPEN},
    "ByLogin": {"find": AUTHENTICATED, "get": AUTHENTICATED},
    "ByRole": {"find": {"role:team": True}, "get": {"role:team": True}},
    "ByPointer": {"find": {}, "get": {}, "readUserFields": ["owner"]},
    "Protected": {
        "find": OPEN,
        "get": OPEN,
        "protectedFields": {"*": ["note"], "role:team": [], "userField:owner": []},
    },
}

VIEWERS = (
    "anonymous",
    "owner",
    "heir",
    "stranger",
    "member",
    "intern",
    "leaver",
    "leaver in a transaction",
    "intern who leaves",
    "temp",
    "trainee",
    "logged out",
    "with another password",
    "without a session",
    "deleted",
)
MEMBERS = ("member", "leaver", "leaver in a transaction", "logged out", "with another password")
INTERNS = ("intern", "intern who leaves", "without a session", "deleted")


def read(*principals: str) -> Json:
    return {principal: {"read": True} for principal in principals}


Write = tuple[str, Callable[[dict[str, str]], Json]]
"""A name for a write, and its body, given everybody's id."""

WRITES_TO_ALL: tuple[Write, ...] = (
    ("create for all", lambda ids: {"status": "open", "note": "thirteenth", "ACL": read("*")}),
    ("update for all", lambda ids: {"value": 5, "note": "fourteenth"}),
    ("delete for all", lambda ids: {}),
)

WRITES: tuple[Write, ...] = (
    (
        "create",
        lambda ids: {"status": "open", "value": 1, "note": "first", "ACL": read(ids["owner"], "role:team")},
    ),
    ("update", lambda ids: {"value": 2, "note": "second"}),
    ("leave by the query", lambda ids: {"status": "closed", "note": "third"}),
    ("change unseen", lambda ids: {"value": 3, "note": "fourth"}),
    ("enter by the query", lambda ids: {"status": "open", "note": "fifth"}),
    ("leave by the ACL", lambda ids: {"ACL": read(ids["owner"]), "note": "sixth"}),
    ("enter by the ACL", lambda ids: {"ACL": read(ids["owner"], "role:team"), "note": "seventh"}),
    ("leave by both", lambda ids: {"status": "closed", "ACL": read(ids["owner"])}),
    ("enter by both", lambda ids: {"status": "open", "ACL": read(ids["owner"], "role:team")}),
    ("open to all", lambda ids: {"ACL": read("*"), "note": "eighth"}),
    ("hand over", lambda ids: {"owner": pointer("_User", ids["heir"])}),
    ("hand back", lambda ids: {"owner": pointer("_User", ids["owner"])}),
    ("close to all", lambda ids: {"ACL": {}, "note": "ninth"}),
    ("change behind closed doors", lambda ids: {"value": 4, "note": "tenth"}),
    ("open to all and delete", lambda ids: {"ACL": read("*")}),
    ("delete", lambda ids: {}),
    ("create for the owner", lambda ids: {"status": "open", "note": "eleventh", "ACL": read(ids["owner"])}),
    ("delete it", lambda ids: {}),
    ("create for the team", lambda ids: {"status": "open", "note": "twelfth", "ACL": read("role:team")}),
    ("delete that", lambda ids: {}),
    *WRITES_TO_ALL,
)

EVENTS = {"create", "enter", "update", "leave", "delete"}

NEW_PERMISSIONS: dict[str, Json] = {
    "ByAcl": {"find": {}, "get": {}},
    "ByLogin": {"find": {"role:interns": True}, "get": {"role:interns": True}},
    "ByRole": {"find": {"role:interns": True}, "get": {"role:interns": True}},
    "ByPointer": {"find": {}, "get": {}},
    "Protected": {"find": OPEN, "get": OPEN, "protectedFields": {"*": ["status"], "role:interns": []}},
}


@dataclass
class Viewer:
    """A caller who watches every class, and can ask over REST."""

    id: str
    token: str
    live: LiveClient

    def finds(self, rest: httpx.Client, class_name: str, object_id: str) -> State:
        """What a query for the object answers now. Without a good token he is nobody."""
        where = json.dumps({"objectId": {"$in": [object_id]}})
        for token in (self.token, ""):
            headers = {"X-Parse-Session-Token": token} if token else {}
            answer = rest.get(f"/classes/{class_name}", params={"where": where}, headers=headers)
            if answer.status_code == 200:
                results = answer.json()["results"]
                return results[0] if results else None
            if answer.json()["code"] != 209:
                break
        return None


class Ward:
    """Writes go to `writer`, subscriptions and queries to `reader`: one server, or two on one database."""

    def __init__(self, writer: RunningServer, reader: RunningServer, stack: ExitStack) -> None:
        keys = {"X-Parse-Application-Id": APP_ID, "X-Parse-REST-API-Key": REST_KEY}
        master = {**keys, "X-Parse-Master-Key": MASTER_KEY}
        self.rest = stack.enter_context(httpx.Client(base_url=reader.url, headers=keys, timeout=30))
        self.client = stack.enter_context(httpx.Client(base_url=writer.url, headers=keys, timeout=30))
        self.master = stack.enter_context(httpx.Client(base_url=writer.url, headers=master, timeout=30))
        self.mount = httpx.URL(writer.url).path
        fields = {
            "status": {"type": "String"},
            "value": {"type": "Number"},
            "note": {"type": "String"},
            "owner": {"type": "Pointer", "targetClass": "_User"},
        }
        for name, permissions in CLASSES.items():
            self.write("POST", f"/schemas/{name}", {"fields": fields, "classLevelPermissions": permissions})
        self.viewers = {name: self._viewer(name, reader, stack) for name in VIEWERS}
        self.roles = {
            "interns": self._role("interns", INTERNS, ()),
            "temps": self._role("temps", ("temp",), ()),
            "trainees": self._role("trainees", ("trainee",), ()),
        }
        self.roles["team"] = self._role("team", MEMBERS, tuple(self.roles.values()))
        for viewer in self.viewers.values():
            for request_id, name in enumerate(CLASSES, 1):
                where = {"className": name, "where": WATCHED}
                viewer.live.ask({"op": "subscribe", "requestId": request_id, "query": where})
            viewer.live.subscribe(0, "Marker")

    def _viewer(self, name: str, reader: RunningServer, stack: ExitStack) -> Viewer:
        if name == "anonymous":
            return Viewer("", "", stack.enter_context(live_client(reader)))
        username = f"{name} {uuid4().hex[:6]}"
        answer = self.client.post("/users", json={"username": username, "password": "correct horse 9"})
        user = answer.json()
        live = stack.enter_context(live_client(reader, sessionToken=user["sessionToken"]))
        return Viewer(user["objectId"], user["sessionToken"], live)

    def _role(self, name: str, members: tuple[str, ...], children: tuple[str, ...] = ()) -> str:
        users = [pointer("_User", self.viewers[member].id) for member in members]
        body: Json = {"name": name, "ACL": {}, "users": {"__op": "AddRelation", "objects": users}}
        if children:
            roles = [pointer("_Role", child) for child in children]
            body["roles"] = {"__op": "AddRelation", "objects": roles}
        return str(self.write("POST", "/roles", body)["objectId"])

    def write(self, method: str, path: str, body: Json | None = None, **headers: str) -> Json:
        """Write with the master key."""
        answer = self.master.request(method, path, json=body, headers=headers)
        assert answer.status_code < 300, answer.text
        written: Json = answer.json()
        return written

    def set_permissions(self, permissions: dict[str, Json]) -> None:
        """Change what the classes allow, through the server that nobody watches."""
        for name, allowed in permissions.items():
            self.write("PUT", f"/schemas/{name}", {"classLevelPermissions": allowed})

    def without(self, *members: str) -> Json:
        """The operation that removes people from a role."""
        users = [pointer("_User", self.viewers[member].id) for member in members]
        return {"users": {"__op": "RemoveRelation", "objects": users}}

    def take_rights_away(self) -> None:
        """Every way in which somebody loses what he had, through the server that nobody watches."""
        self.write("PUT", f"/roles/{self.roles['team']}", self.without("leaver"))
        removal = {
            "method": "PUT",
            "path": f"{self.mount}/roles/{self.roles['team']}",
            "body": self.without("leaver in a transaction"),
        }
        self.write("POST", "/batch", {"requests": [removal], "transaction": True})
        self.write("PUT", f"/roles/{self.roles['interns']}", self.without("intern who leaves"))
        self.write("DELETE", f"/roles/{self.roles['temps']}")
        trainees = {"__op": "RemoveRelation", "objects": [pointer("_Role", self.roles["trainees"])]}
        self.write("PUT", f"/roles/{self.roles['team']}", {"roles": trainees})
        logout = {"X-Parse-Session-Token": self.viewers["logged out"].token}
        assert self.client.post("/logout", headers=logout).status_code == 200
        other = self.viewers["with another password"]
        self.write("PUT", f"/users/{other.id}", {"password": "another horse 9"})
        where = {"user": pointer("_User", self.viewers["without a session"].id)}
        sessions = self.master.get("/sessions", params={"where": json.dumps(where)}).json()["results"]
        for session in sessions:
            self.write("DELETE", f"/sessions/{session['objectId']}")
        self.write("DELETE", f"/users/{self.viewers['deleted'].id}")


def pointer(class_name: str, object_id: str) -> Json:
    return {"__type": "Pointer", "className": class_name, "objectId": object_id}


@pytest.fixture(
    params=["one process", "two processes and Redis", "two processes and change streams"], scope="module"
)
def ward(request: pytest.FixtureRequest) -> Iterator[Ward]:
    options: Json = {"live_query": LiveQuery(class_names=(*CLASSES, "Marker")), "cache_ttl": 60_000}
    with ExitStack() as stack:
        if request.param == "one process":
            server = stack.enter_context(running_server("sqlite", **options))
            yield Ward(server, server, stack)
            return
        if "Redis" in request.param:
            options["redis_url"] = stack.enter_context(redis_server())
        else:
            options["live_query"] = replace(options["live_query"], change_streams=True)
        options["database_uri"] = f"{request.getfixturevalue('mongo_uri')}/leaks_{uuid4().hex[:8]}"
        writer = stack.enter_context(running_server("mongo", **options))
        reader = stack.enter_context(running_server("mongo", **options))
        yield Ward(writer, reader, stack)


Heard = dict[str, set[tuple[str, str, str]]]
"""By viewer: class, write, event."""


def test_nothing_appears_in_a_frame_that_its_reader_cannot_read_over_rest(ward: Ward) -> None:
    heard = watch_all(ward, WRITES)
    for name in VIEWERS:
        assert {event for _, _, event in heard[name]} == EVENTS, name
    for name in (*MEMBERS, *INTERNS, "temp", "trainee"):
        assert heard[name] == heard["member"], name
    assert len(heard["member"]) > len(heard["stranger"]) > len(heard["anonymous"])

    ward.take_rights_away()
    heard_after = watch_all(ward, WRITES)
    leavers = ("leaver", "leaver in a transaction", "intern who leaves", "temp", "trainee")
    equals = dict.fromkeys(leavers, "stranger")
    nobodies = ("logged out", "with another password", "without a session", "deleted")
    equals |= dict.fromkeys(nobodies, "anonymous")
    for name in VIEWERS:
        assert heard_after[name] == heard[equals.get(name, name)], name

    ward.set_permissions(NEW_PERMISSIONS)
    for name, events in watch_all(ward, WRITES_TO_ALL).items():
        classes = {"ByLogin", "ByRole", "Protected"} if name == "intern" else set()
        assert {class_name for class_name, _, _ in events} == classes, name


def watch_all(ward: Ward, writes: tuple[Write, ...]) -> Heard:
    """Make every write in every class; returns who heard which events of which writes."""
    heard: Heard = {name: set() for name in VIEWERS}
    ids = {name: viewer.id for name, viewer in ward.viewers.items()}
    for request_id, class_name in enumerate(CLASSES, 1):
        object_id, known = "", dict[str, State]()
        for label, body in writes:
            if label.startswith("delete"):
                ward.write("DELETE", f"/classes/{class_name}/{object_id}")
            elif label.startswith("create"):
                fields = {**body(ids), "owner": pointer("_User", ids["owner"])}
                object_id = ward.write("POST", f"/classes/{class_name}", fields)["objectId"]
                known = dict.fromkeys(VIEWERS)
            else:
                ward.write("PUT", f"/classes/{class_name}/{object_id}", body(ids))
            ward.write("POST", "/classes/Marker", {})
            for name, viewer in ward.viewers.items():
                is_gone = label.startswith("delete")
                after = None if is_gone else viewer.finds(ward.rest, class_name, object_id)
                before = known[name]
                frames = viewer.live.until(0)
                place = f"{class_name}: {label}, heard by {name}"
                check_frames(place, request_id, frames, before, after, label)
                heard[name] |= {(class_name, label, frame["op"]) for frame in frames}
                known[name] = after
    return heard


def check_frames(
    place: str, request_id: int, frames: list[Frame], before: State, after: State, label: str
) -> None:
    """Compare what was heard with what REST answers."""
    if label.startswith("delete"):
        expected = "delete" if is_watched(before) else None
    else:
        expected = expected_event(before, after, is_new=label.startswith("create"))
    assert [frame["op"] for frame in frames] == ([expected] if expected else []), place
    for frame in frames:
        assert frame["requestId"] == request_id, place
        shown = before if after is None else after
        assert without_class(frame["object"]) == shown, place
        has_original = expected in ("update", "enter", "leave")
        assert without_class(frame.get("original")) == (before if has_original else None), place


def expected_event(before: State, after: State, *, is_new: bool) -> str | None:
    """The event for somebody who could read the one state and can read the other."""
    was, matches = is_watched(before), is_watched(after)
    if was:
        return "update" if matches else "leave"
    return None if not matches else "create" if is_new else "enter"


def is_watched(state: State) -> bool:
    return state is not None and state.get("status") == WATCHED["status"]


def without_class(state: State) -> State:
    return None if state is None else {key: value for key, value in state.items() if key != "className"}
