"""From a change to frames: what is shared, what is whose own, and what a hook may do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from parse_clone.cloud.registration import Cloud
from parse_clone.cloud.requests import (
    ConnectionEventRequest,
    ConnectRequest,
    LiveQueryEventRequest,
    SubscribeRequest,
)
from parse_clone.core.operations import Set
from parse_clone.core.query import object_id_is
from parse_clone.core.schema import SetPermissions
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.services.changes import Listeners, ObjectChange
from parse_clone.services.livequery import hub as hub_module
from parse_clone.services.livequery.client import LiveQueryClient
from parse_clone.services.livequery.feed import decode_message, live_classes
from parse_clone.services.livequery.hub import LiveQueryHub, encode_error
from parse_clone.services.triggers import AuditEvent
from tests.unit.services.clinic import Clinic, master, open_clinic

Frame = dict[str, Any]
CLASS = "LabResult"


@dataclass(eq=False)
class Line:
    """A connection that keeps what it is given."""

    frames: list[Frame] = field(default_factory=list)

    held: list[str] = field(default_factory=list)
    is_lost: bool = False

    def deliver(self, frame: str) -> None:
        self.held.append(frame)
        self.flush()

    def hold(self, frame: str) -> bool:
        self.held.append(frame)
        return len(self.held) == 1

    def flush(self) -> None:
        self.frames += map(orjson.loads, self.held)
        self.held.clear()

    def lose(self) -> None:
        self.is_lost = True

    @property
    def events(self) -> list[Frame]:
        return [frame for frame in self.frames if "object" in frame]


@dataclass
class Ward:
    """A server whose changes reach the hub, and clients of it."""

    clinic: Clinic
    hub: LiveQueryHub
    changes: list[ObjectChange] = field(default_factory=list)

    async def client(self, token: str | None = None) -> tuple[LiveQueryClient, Line]:
        line = Line()
        client = LiveQueryClient(self.clinic.toolbox, self.hub, line, "https://host/parse", "127.0.0.1")
        await client.connect({}, token, None)
        return client, line

    async def watcher(
        self, where: Frame | None = None, *, token: str | None = None, class_name: str = CLASS, **more: Any
    ) -> Line:
        client, line = await self.client(token)
        members = {"keys": None, "watch": None, "session_token": None, "is_update": False, **more}
        await client.subscribe(1, class_name, where or {}, **members)
        return line

    async def save(self, body: Frame, object_id: str | None = None, class_name: str = CLASS) -> str:
        answer = await self.clinic.save(master(), class_name, body, object_id)
        await self.settle()
        return object_id or str(answer.body["objectId"])

    async def settle(self) -> None:
        while self.changes:
            await self.hub.deliver(self.changes.pop(0))


@asynccontextmanager
async def open_ward(**options: Any) -> AsyncIterator[Ward]:
    async with open_clinic(**options) as clinic:
        ward = Ward(clinic, LiveQueryHub(clinic.toolbox))

        async def keep(change: ObjectChange) -> None:
            ward.changes.append(change)

        assert isinstance(clinic.toolbox.changes, Listeners)
        clinic.toolbox.changes.add(lambda name: True, keep)
        await ward.save({"label": "first"})
        yield ward


# --- Sharing ---------------------------------------------------------------------------------------------


async def test_equal_queries_are_matched_once_and_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []
    encode_body = hub_module.encode_body

    def counting(*arguments: Any) -> str:
        encoded.append(arguments)
        return encode_body(*arguments)

    monkeypatch.setattr(hub_module, "encode_body", counting)
    async with open_ward() as ward:
        users = [await ward.clinic.sign_up(name) for name in ("ada", "bob")]
        tokens = [None, None, *(user["sessionToken"] for user in users)]
        lines = [await ward.watcher({"room": 7}, token=token) for token in tokens]
        before = ward.hub.metrics.matched
        await ward.save({"room": 7})
    assert [len(line.events) for line in lines] == [1, 1, 1, 1]
    assert ward.hub.metrics.matched == before + 1
    assert len(encoded) == 1


async def test_only_those_who_see_the_same_share_a_frame() -> None:
    """Of one query and one change: who saw the object before, who sees it after, which fields, which keys."""
    async with open_ward() as ward:
        users = [await ward.clinic.sign_up(name) for name in ("ada", "bob")]
        ada, bob = ({user["objectId"]: {"read": True}} for user in users)
        await ward.save({"room": 1, "secret": "x"})
        await set_permissions(
            ward, {"find": {"*": True}, "protectedFields": {"*": ["secret"], "authenticated": []}}
        )
        tokens = [user["sessionToken"] for user in users]
        lines = [await ward.watcher({"room": 7}, token=token) for token in (*tokens, None)]
        lines.append(await ward.watcher({"room": 7}, token=tokens[0], keys=("room",)))

        def told() -> list[Any]:
            """What each heard: the event, the room now and before, and whether the secret was there."""
            heard: list[Any] = []
            for line in lines:
                frame = line.events[-1] if line.events else None
                line.frames.clear()
                heard.append(
                    frame
                    and (
                        frame["op"],
                        frame["object"]["room"],
                        frame.get("original", {}).get("room"),
                        "secret" in frame["object"],
                    )
                )
            return heard

        thing = await ward.save({"room": 1, "secret": "x", "ACL": ada})
        await ward.save({"room": 7, "ACL": ada | bob}, thing)
        assert told() == [
            ("enter", 7, 1, True),
            ("enter", 7, None, True),
            None,
            ("enter", 7, 1, False),
        ]
        await ward.save({"ACL": ada | bob | {"*": {"read": True}}}, thing)
        assert told() == [
            ("update", 7, 7, True),
            ("update", 7, 7, True),
            ("enter", 7, None, False),
            ("update", 7, 7, False),
        ]
        await ward.save({"room": 2, "ACL": ada}, thing)
        assert told() == [
            ("leave", 2, 7, True),
            ("leave", 7, 7, True),
            ("leave", 7, 7, False),
            ("leave", 2, 7, False),
        ]


async def test_nobody_is_told_who_leaves_while_a_frame_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_ward() as ward:
        client, line = await ward.client()
        await client.subscribe(1, CLASS, {}, keys=None, watch=None, session_token=None, is_update=False)
        visible_states = hub_module.Sight.visible_states

        async def leaving(sight: hub_module.Sight) -> Any:
            await client.unsubscribe(1)
            return await visible_states(sight)

        monkeypatch.setattr(hub_module.Sight, "visible_states", leaving)
        await ward.save({"room": 7})
    assert line.frames[-1]["op"] == "unsubscribed"


async def test_more_than_a_portion_of_subscribers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "PORTION", 3)
    async with open_ward() as ward:
        lines = [await ward.watcher() for _ in range(8)]
        await ward.save({"room": 7})
    assert [len(line.events) for line in lines] == [1] * 8
    assert ward.hub.metrics.delivered == 8


async def test_what_was_known_about_an_audience_goes_with_its_last_subscription() -> None:
    async with open_ward() as ward:
        user = await ward.clinic.sign_up()
        client, _ = await ward.client(user["sessionToken"])
        members: Frame = {"keys": None, "watch": None, "session_token": None, "is_update": False}
        for request_id in (1, 2):
            await client.subscribe(request_id, CLASS, {}, **members)
        await ward.save({"room": 7})
        assert len(ward.hub._eyes) == 1
        await client.unsubscribe(1)
        assert len(ward.hub._eyes) == 1
        client.close()
        assert (ward.hub._eyes, ward.hub.metrics.connections) == ({}, 0)


class RecordingLog:
    """Keeps what is told to people."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def error(self, text: str, **members: Any) -> None:
        self.errors.append(text)


async def test_a_change_that_cannot_be_delivered_does_not_stop_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = RecordingLog()
    monkeypatch.setattr(hub_module, "log", log)
    async with open_ward() as ward:
        line = await ward.watcher()
        running = asyncio.create_task(ward.hub.run())
        await ward.hub.receive(ObjectChange(CLASS, None, {"objectId": 5, "bad": object()}))  # type: ignore[dict-item]
        await ward.hub.receive(ObjectChange(CLASS, None, {"objectId": "good"}))
        while not line.events:
            await asyncio.sleep(0)
        running.cancel()
    assert [event["object"]["objectId"] for event in line.events] == ["good"]
    assert log.errors == ["a change was not delivered"]
    assert ward.hub.waiting == 0


async def test_a_query_that_cannot_be_matched_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = RecordingLog()
    monkeypatch.setattr(hub_module, "log", log)
    async with open_ward() as ward:
        bad, good = await ward.watcher({"n": {"$gt": 0}}), await ward.watcher({"n": {"$gt": 1}})
        (query, _) = ward.hub.subscriptions.candidates(CLASS, [{"n": 5}])

        def fail(state: Any) -> bool:
            raise ZeroDivisionError

        query.matches = fail
        await ward.save({"n": 5})
    assert (len(bad.events), len(good.events)) == (0, 1)
    assert log.errors == ["a change was not delivered"]


# --- Rights ----------------------------------------------------------------------------------------------


async def set_permissions(ward: Ward, permissions: Frame) -> None:
    toolbox = ward.clinic.toolbox
    await toolbox.catalog.apply(toolbox.storage, SetPermissions(CLASS, permissions))


async def test_a_query_that_has_become_forbidden_tells_nothing() -> None:
    """Else the events would tell which objects have the value."""
    async with open_ward() as ward:
        lines = [
            await ward.watcher({"secret": 7}),
            await ward.watcher({"$or": [{"a": 1}, {"secret": {"$gt": 5}}]}),
            await ward.watcher({"label": "x"}, watch=("secret",)),
        ]
        open_to_all = {"find": {"*": True}, "get": {"*": True}, "create": {"*": True}, "update": {"*": True}}
        await set_permissions(ward, {**open_to_all, "protectedFields": {"*": ["secret"]}})
        object_id = await ward.save({"secret": 7, "label": "x"})
        await ward.save({"secret": 8}, object_id)
        assert [line.events for line in lines] == [[], [], []]


async def test_a_session_that_ends_by_its_time_ends_the_events() -> None:
    async with open_ward(session_length=3600) as ward:
        user = await ward.clinic.sign_up()
        line = await ward.watcher(token=user["sessionToken"])
        acl = {user["objectId"]: {"read": True}}
        await ward.save({"ACL": acl})
        ward.clinic.clock.advance(hours=2)
        await ward.save({"ACL": acl})
        assert len(line.events) == 1


async def test_a_class_that_is_closed_later_tells_nothing() -> None:
    async with open_ward() as ward:
        line = await ward.watcher()
        await set_permissions(ward, {"find": {}, "get": {"*": True}})
        await ward.save({"label": "x"})
        assert line.frames[-1]["op"] == "subscribed"


class Provider:
    """Shows only part of what it stores."""

    policy = "default"

    async def before_find(self, auth_data: Frame) -> Frame:
        return auth_data

    async def validate(self, auth_data: Frame, request: Any) -> Any:
        raise NotImplementedError

    async def after_find(self, auth_data: Frame, request: Any) -> Frame:
        return {"status": "enabled"}

    async def challenge(self, *arguments: Any) -> None:
        return None


async def test_users_see_of_their_identities_what_the_provider_shows() -> None:
    async with open_ward(providers={"mfa": Provider()}) as ward:
        user = await ward.clinic.sign_up()
        await ward.settle()
        schema = await ward.clinic.toolbox.catalog.get("_User")
        assert schema is not None
        secret = Set({"mfa": {"secret": "JBSWY3DP"}})
        await ward.clinic.toolbox.storage.update(schema, object_id_is(user["objectId"]), {"authData": secret})
        line = await ward.watcher(token=user["sessionToken"], class_name="_User")
        await ward.save({"nickname": "Ada"}, user["objectId"], "_User")
        (event,) = line.events
        assert event["object"]["authData"] == event["original"]["authData"] == {"mfa": {"status": "enabled"}}


@pytest.mark.parametrize(
    "where",
    [
        {"ward": {"$inQuery": {"className": "Ward", "where": {}}}},
        {"ward": {"$notInQuery": {"className": "Ward", "where": {}}}},
        {"$nor": [{"ward": {"$inQuery": {"className": "Ward", "where": {}}}}]},
        {"label": {"$text": {"$search": {"$term": "x"}}}},
    ],
)
async def test_what_live_queries_cannot_match_matches_nothing(where: Frame) -> None:
    async with open_ward() as ward:
        line = await ward.watcher(where)
        await ward.save({"label": "x"})
        assert line.events == []


# --- Hooks -----------------------------------------------------------------------------------------------


async def test_a_hook_changes_its_own_copy_to_the_last_value() -> None:
    async with open_ward() as ward:
        cloud, seen = Cloud(ward.clinic.toolbox), []

        @cloud.after_live_query_event(CLASS)
        async def spoil(request: LiveQueryEventRequest) -> None:
            seen.append(list(request.object["tags"]))
            request.object["tags"].append("spoiled")
            request.object["nested"]["deep"].append(1)
            request.object["extra"] = len(seen)

        lines = [await ward.watcher() for _ in range(2)]
        await ward.save({"tags": ["a"], "nested": {"deep": []}})
        assert seen == [["a"], ["a"]]
        assert sorted(line.events[0]["object"]["extra"] for line in lines) == [1, 2]


async def test_a_hook_keeps_an_event_back_renames_it_or_fails() -> None:
    async with open_ward() as ward:
        cloud = Cloud(ward.clinic.toolbox)

        @cloud.after_live_query_event(CLASS)
        async def judge(request: LiveQueryEventRequest) -> None:
            match request.object["label"]:
                case "hidden":
                    request.send_event = False
                case "renamed":
                    request.event = "enter"
                case "nonsense":
                    request.event = "explode"
                case "refused":
                    raise ParseError(ErrorCode.VALIDATION_ERROR, "not for you")

        line = await ward.watcher()
        for label in ("hidden", "renamed", "nonsense", "refused"):
            await ward.save({"label": label})
        assert [event["op"] for event in line.events] == ["enter"]
        error = {"op": "error", "code": 142, "error": "not for you", "reconnect": False, "requestId": 1}
        assert line.frames[-1] == error


@asynccontextmanager
async def slow_hook(ward: Ward) -> AsyncIterator[None]:
    """A hook has been told of an event, and ends when this does; then the event is delivered or not."""
    begun, ended = asyncio.Event(), asyncio.Event()

    @Cloud(ward.clinic.toolbox).after_live_query_event(CLASS)
    async def wait(request: LiveQueryEventRequest) -> None:
        begun.set()
        await ended.wait()

    await ward.settle()
    await ward.clinic.save(master(), CLASS, {"label": "x"})
    delivery = asyncio.create_task(ward.hub.deliver(ward.changes.pop()))
    await begun.wait()
    yield
    ended.set()
    await delivery


async def test_nothing_comes_after_unsubscribed_however_long_a_hook_takes() -> None:
    async with open_ward() as ward:
        client, line = await ward.client()
        members: Frame = {"keys": None, "watch": None, "session_token": None}
        await client.subscribe(1, CLASS, {}, is_update=False, **members)
        await client.subscribe(2, CLASS, {}, is_update=False, **members)
        await client.subscribe(3, CLASS, {}, is_update=False, **members)
        async with slow_hook(ward):
            await client.unsubscribe(1)
            await client.subscribe(2, CLASS, {"label": "y"}, is_update=True, **members)
        assert [event["requestId"] for event in line.events] == [3]
        assert line.frames[-1] is line.events[-1]


async def test_nothing_comes_after_unsubscribed_when_many_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "PORTION", 3)
    async with open_ward() as ward:
        clients = [await ward.client() for _ in range(9)]
        for client, _ in clients:
            await client.subscribe(1, CLASS, {}, keys=None, watch=None, session_token=None, is_update=False)
        await ward.clinic.save(master(), CLASS, {"label": "x"})
        delivery = asyncio.create_task(ward.hub.deliver(ward.changes.pop()))
        await asyncio.sleep(0)
        for client, _ in clients:
            await client.unsubscribe(1)
        await delivery
        assert 0 < ward.hub.metrics.delivered < 9
        assert {line.frames[-1]["op"] for _, line in clients} == {"unsubscribed"}


async def test_who_loses_his_rights_while_a_hook_runs_hears_nothing() -> None:
    async with open_ward() as ward:
        user = await ward.clinic.sign_up()
        line = await ward.watcher(token=user["sessionToken"])
        await set_permissions(ward, {"find": {"requiresAuthentication": True}, "get": {"*": True}})
        async with slow_hook(ward):
            (session,) = await ward.clinic.rows("_Session")
            await ward.clinic.delete(master(), "_Session", session["objectId"])
        assert line.events == []


async def test_many_queries_do_not_hold_the_others_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "PORTION", 10)
    async with open_ward() as ward:
        for number in range(60):
            await ward.watcher({"value": {"$gt": number}})
        await ward.clinic.save(master(), CLASS, {"value": 30})
        turns = 0
        delivery = asyncio.create_task(ward.hub.deliver(ward.changes.pop()))
        while not delivery.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns > 6


async def test_frames_of_changes_that_wait_go_out_together(monkeypatch: pytest.MonkeyPatch) -> None:
    flushes = 0
    flush = Line.flush

    def counting(line: Line) -> None:
        nonlocal flushes
        flushes += 1
        flush(line)

    async with open_ward() as ward:
        line = await ward.watcher()
        monkeypatch.setattr(Line, "flush", counting)
        for number in range(5):
            await ward.hub.receive(ObjectChange(CLASS, None, {"objectId": str(number)}))
        running = asyncio.create_task(ward.hub.run())
        while not line.events:
            await asyncio.sleep(0)
        assert [event["object"]["objectId"] for event in line.events] == list("01234")
        assert flushes == 1
        running.cancel()


async def test_an_auditor_that_hangs_holds_up_its_class_alone() -> None:
    async with open_ward() as ward:
        recorded: list[str] = []
        await ward.save({}, class_name="Audited")

        @Cloud(ward.clinic.toolbox).audit("Audited")
        async def record(event: AuditEvent) -> None:
            if event.action == "deliver":
                recorded.append(event.object_ids[0])
                await asyncio.Event().wait()

        audited = await ward.watcher(class_name="Audited")
        line = await ward.watcher()
        running = asyncio.create_task(ward.hub.run())
        await ward.hub.receive(ObjectChange("Audited", None, {"objectId": "one"}))
        await ward.hub.receive(ObjectChange(CLASS, None, {"objectId": "two"}))
        while not (recorded and line.events):
            await asyncio.sleep(0)
        running.cancel()
    assert (recorded, audited.events, line.events[0]["object"]["objectId"]) == (["one"], [], "two")


async def test_writers_wait_for_the_server_but_not_for_cloud_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever watches a class whose hook hangs is told that he missed events, and nobody else is."""
    monkeypatch.setattr(hub_module, "BACKLOG", 2)
    async with open_ward() as ward:
        Cloud(ward.clinic.toolbox).after_live_query_event("Hooked")(lambda request: None)
        hooked = await ward.watcher(class_name="Hooked")
        line = await ward.watcher()
        for number in range(2):
            await ward.hub.receive(ObjectChange(CLASS, None, {"objectId": str(number)}))
            await ward.hub.receive(ObjectChange("Hooked", None, {"objectId": str(number)}))
        assert (ward.hub.waiting, hooked.is_lost) == (4, False)
        writer = asyncio.create_task(ward.hub.receive(ObjectChange(CLASS, None, {"objectId": "2"})))
        await ward.hub.receive(ObjectChange("Hooked", None, {"objectId": "2"}))
        assert (ward.hub.waiting, hooked.is_lost, line.is_lost) == (2, True, False)
        assert not writer.done()
        running = asyncio.create_task(ward.hub.run())
        await writer
        running.cancel()


async def test_held_frames_go_out_when_they_are_many_or_have_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "PORTION", 2)
    monkeypatch.setattr(hub_module, "HOLD_SECONDS", 0.01)
    outbox, lines = hub_module.Outbox(), [Line() for _ in range(5)]
    for line in lines:
        outbox.put(line, "{}")
    assert not any(line.frames for line in lines)
    while not all(line.frames for line in lines):
        await asyncio.sleep(0.001)
    monkeypatch.setattr(hub_module, "HOLD_SIZE", 3)
    outbox.put(lines[0], "{}")
    assert len(lines[0].frames) == 1
    outbox.put(lines[0], "{}")
    assert len(lines[0].frames) == 3


async def test_hooks_decide_who_connects_and_what_is_watched() -> None:
    async with open_ward() as ward:
        cloud = Cloud(ward.clinic.toolbox)

        @cloud.before_connect()
        async def door(request: ConnectRequest) -> None:
            if request.clients:
                raise ParseError(ErrorCode.OPERATION_FORBIDDEN, "full")

        @cloud.before_subscribe(CLASS)
        async def narrow(request: SubscribeRequest) -> None:
            assert request.watch == ["label"]
            request.where["room"] = 7
            request.keys = ["label"]

        line = await ward.watcher(watch=("label",), keys=("room", "label"))
        _, refused = await ward.client()
        await ward.save({"room": 8, "label": "x"})
        await ward.save({"room": 7, "label": "y"})
        assert (refused.frames[0]["code"], refused.frames[0]["error"]) == (119, "full")
        (event,) = line.events
        assert set(event["object"]) == {"className", "objectId", "createdAt", "updatedAt", "label"}


async def test_a_hook_hears_of_connections_and_changes_nothing() -> None:
    heard: list[tuple[str, str | None, int, int]] = []
    async with open_ward() as ward:
        user = await ward.clinic.sign_up()
        cloud = Cloud(ward.clinic.toolbox)

        @cloud.on_live_query_event()
        async def note(request: ConnectionEventRequest) -> None:
            heard.append(
                (request.event, request.session_token, request.clients, request.subscriptions),
            )
            raise ParseError(ErrorCode.OPERATION_FORBIDDEN, "nobody hears this")

        client, line = await ward.client(user["sessionToken"])
        members: Frame = {"keys": None, "watch": None, "session_token": None, "is_update": False}
        await client.subscribe(1, CLASS, {}, **members)
        await client.subscribe(1, CLASS, {"room": 7}, **{**members, "is_update": True})
        await client.unsubscribe(1)
        await client.subscribe(2, "_Session", {}, **{**members, "session_token": "r:unknown"})
        await client.tell_closed(was_client=client.close())
        await client.tell_closed(was_client=client.close())
    token = user["sessionToken"]
    assert heard == [
        ("connect", token, 1, 0),
        ("subscribe", token, 1, 1),
        ("unsubscribe", token, 1, 0),
        ("subscribe", token, 1, 1),
        ("unsubscribe", token, 1, 0),
        ("ws_disconnect", token, 0, 0),
        ("ws_disconnect_error", token, 0, 0),
    ]
    assert [frame["op"] for frame in line.frames] == [
        "connected",
        "subscribed",
        "subscribed",
        "unsubscribed",
        "error",
    ]


def test_an_error_without_a_text_has_no_error_member() -> None:
    frame = orjson.loads(encode_error(ParseError(ErrorCode.SCRIPT_FAILED), 1))
    assert frame == {"op": "error", "code": 141, "reconnect": False, "requestId": 1}


# --- Between processes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"currentParseObject": 5}', '{"currentParseObject": {}}'])
def test_what_is_no_change_is_passed_over(text: str) -> None:
    assert decode_message(text, deleted=False) is None


def test_odd_members_of_a_message_stay_outside() -> None:
    odd = {"className": "A", "__type": "Object", "_rperm": [], "a-b": 1, "a": 1, "objectId": "x"}
    message = decode_message(orjson.dumps({"currentParseObject": odd}).decode(), deleted=True)
    assert message is not None
    assert message.change == ObjectChange("A", {"a": 1, "objectId": "x"}, None)


def test_class_names_are_whole_names_or_expressions() -> None:
    is_live = live_classes(("Lab.*", "Message"))
    assert [is_live(name) for name in ("LabResult", "Message", "Messages", "ALab")] == [
        True,
        True,
        False,
        False,
    ]
    assert not live_classes(())("LabResult")
