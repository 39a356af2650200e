"""The LiveQuery protocol, frame by frame: texts and codes are what SDKs know."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from socket import AF_INET, SO_RCVBUF, SOCK_STREAM, SOL_SOCKET, socket
from typing import Any
from uuid import uuid4

import pytest

from parse_clone.api.livequery import endpoint, protocol
from parse_clone.cloud.registration import Cloud
from parse_clone.cloud.requests import LiveQueryEventRequest
from parse_clone.services.livequery import hub
from parse_clone.settings import LiveQuery, LiveQueryServer
from tests.protocol.callers import Caller
from tests.protocol.live_clients import Frame, LiveClient, live_client
from tests.servers import APP_ID, MASTER_KEY, RunningServer, running_server

StartServer = Callable[..., RunningServer]


@pytest.fixture(scope="session")
def engine() -> str:
    """Frames are the same on every engine."""
    return "sqlite"


@pytest.fixture(scope="module")
def live_server(start_server: StartServer) -> RunningServer:
    names = ("Live.*", "_User", "_Session")
    return start_server(live_query=LiveQuery(class_names=names), public_server_url=None)


@pytest.fixture
def live(live_server: RunningServer) -> Iterator[LiveClient]:
    with live_client(live_server) as client:
        yield client


@pytest.fixture(scope="module")
def master(live_server: RunningServer) -> Iterator[Caller]:
    caller = Caller(live_server, master=True)
    yield caller
    caller.close()


def sign_up(server: RunningServer, **fields: Any) -> dict[str, Any]:
    caller = Caller(server)
    body = {"username": uuid4().hex, "password": "correct horse 9", **fields}
    user: dict[str, Any] = caller.post("/users", body)
    caller.close()
    return user


# --- Messages --------------------------------------------------------------------------------------------

SUBSCRIBE = {"op": "subscribe", "requestId": 1, "query": {"className": "LiveA", "where": {}}}

REFUSED_MESSAGES: tuple[tuple[Any, str], ...] = (
    ("null", "Invalid type: null (expected object)"),
    ("[]", "Invalid type: array (expected object)"),
    ("5", "Invalid type: number (expected object)"),
    ({}, "Missing required property: op"),
    ({"op": "foo"}, 'No enum match for: "foo"'),
    ({"op": 5}, "Invalid type: number (expected string)"),
    ({"op": "connect"}, "Missing required property: applicationId"),
    ({"op": "connect", "applicationId": 5}, "Invalid type: number (expected string)"),
    ({"op": "connect", "applicationId": "a", "color": "red"}, "Additional properties not allowed"),
    ({"op": "subscribe"}, "Missing required property: requestId"),
    ({**SUBSCRIBE, "requestId": "1"}, "Invalid type: string (expected number)"),
    ({"op": "subscribe", "requestId": 1}, "Missing required property: query"),
    ({**SUBSCRIBE, "query": {"className": "LiveA"}}, "Missing required property: where"),
    ({**SUBSCRIBE, "query": {"where": {}}}, "Missing required property: className"),
    ({**SUBSCRIBE, "query": {**SUBSCRIBE["query"], "limit": 1}}, "Additional properties not allowed"),
    ({**SUBSCRIBE, "query": {**SUBSCRIBE["query"], "keys": []}}, "Array is too short (0), minimum 1"),
    (
        {**SUBSCRIBE, "query": {**SUBSCRIBE["query"], "watch": ["a", "a"]}},
        "Array items are not unique (indices 0 and 1)",
    ),
    ({"op": "unsubscribe"}, "Missing required property: requestId"),
)


@pytest.mark.parametrize(("message", "text"), REFUSED_MESSAGES)
def test_a_message_that_breaks_the_protocol_is_refused(live: LiveClient, message: Any, text: str) -> None:
    assert live.ask(message) == {
        "op": "error",
        "error": text,
        "code": 1,
        "reconnect": True,
        "requestId": None,
    }


def test_what_is_no_json_or_no_text_is_ignored(live: LiveClient) -> None:
    live.send("{nonsense")
    live.send(b"\x00\x01")
    live.subscribe(1, "LiveA")


def test_nothing_works_before_connect(live_server: RunningServer) -> None:
    with live_client(live_server, connects=False) as stranger:
        for message, action in (
            (SUBSCRIBE, "subscribing"),
            ({"op": "unsubscribe", "requestId": 1}, "unsubscribing"),
        ):
            answer = stranger.ask(message)
            assert answer["code"] == 2
            assert answer["error"].endswith(f"make sure you connect to server before {action}")
        stranger.send({**SUBSCRIBE, "op": "update"})
        errors = [stranger.next()["error"] for _ in range(2)]
        assert [error.rpartition(" ")[2] for error in errors] == ["unsubscribing", "subscribing"]


def test_the_installation_id_comes_back_in_every_frame(live_server: RunningServer, master: Caller) -> None:
    with live_client(live_server, connects=False) as client:
        connect = {"op": "connect", "applicationId": APP_ID, "installationId": "phone"}
        connected = client.ask(connect)
        client.subscribe(7, "LiveInstallation")
        master.post("/classes/LiveInstallation", {})
        event = client.next()
    assert {connected["installationId"], event["installationId"]} == {"phone"}
    assert connected["clientId"] == event["clientId"]


def test_a_second_connect_begins_anew(live: LiveClient, master: Caller) -> None:
    live.subscribe(1, "LiveAnew")
    assert live.ask({"op": "connect", "applicationId": APP_ID})["op"] == "connected"
    master.post("/classes/LiveAnew", {})
    live.subscribe(2, "LiveAnew")
    master.post("/classes/LiveAnew", {})
    assert live.next()["requestId"] == 2


def test_one_of_the_key_pairs_is_asked_for(start_server: StartServer) -> None:
    options = LiveQueryServer(key_pairs={"javascriptKey": "js", "masterKey": MASTER_KEY})
    server = start_server(live_query_server_options=options)
    with live_client(server, connects=False) as client:
        for keys in ({}, {"javascriptKey": "wrong"}, {"clientKey": "js"}):
            answer = client.ask({"op": "connect", "applicationId": APP_ID, **keys})
            assert (answer["code"], answer["error"]) == (4, "Key in request is not valid")
        assert (
            client.ask({"op": "connect", "applicationId": APP_ID, "javascriptKey": "js"})["op"] == "connected"
        )
    caller = Caller(server, master=True)
    with (
        live_client(server, javascriptKey="js") as client,
        live_client(server, masterKey=MASTER_KEY) as chief,
    ):
        client.subscribe(1, "LiveMessage")
        chief.subscribe(1, "LiveMessage")
        caller.post("/classes/LiveMessage", {"ACL": {}, "n": 1})
        caller.post("/classes/LiveMessage", {"n": 2})
        assert [chief.next()["object"]["n"], chief.next()["object"]["n"]] == [1, 2]
        assert client.next()["object"]["n"] == 2
    caller.close()


def test_the_master_key_opens_nothing_from_a_foreign_address(start_server: StartServer) -> None:
    options = LiveQueryServer(key_pairs={"masterKey": MASTER_KEY})
    server = start_server(live_query_server_options=options, master_key_ips=("10.0.0.1",))
    with live_client(server, connects=False) as client:
        answer = client.ask({"op": "connect", "applicationId": APP_ID, "masterKey": MASTER_KEY})
        assert answer["code"] == 4


# --- Subscriptions ---------------------------------------------------------------------------------------


def test_update_replaces_the_query_and_answers_subscribed(live: LiveClient, master: Caller) -> None:
    live.subscribe(1, "LiveUpdate", {"n": 1})
    answer = live.ask(
        {"op": "update", "requestId": 1, "query": {"className": "LiveUpdate", "where": {"n": 2}}}
    )
    assert answer["op"] == "subscribed"
    master.post("/classes/LiveUpdate", {"n": 1})
    master.post("/classes/LiveUpdate", {"n": 2})
    assert live.next()["object"]["n"] == 2


def test_update_of_nothing_is_an_error_and_a_subscription(live: LiveClient) -> None:
    live.send({**SUBSCRIBE, "op": "update", "requestId": 9})
    assert [live.next()["op"], live.next()["op"]] == ["error", "subscribed"]


def test_the_same_request_id_replaces_the_subscription(live: LiveClient, master: Caller) -> None:
    live.subscribe(1, "LiveSame", {"n": 1})
    live.subscribe(1, "LiveSame", {"n": 2})
    for n in (1, 2, 2):
        master.post("/classes/LiveSame", {"n": n})
    assert [live.next()["object"]["n"], live.next()["object"]["n"]] == [2, 2]


def test_unsubscribe_ends_the_events(live: LiveClient, master: Caller) -> None:
    live.subscribe(1, "LiveEnd")
    live.subscribe(2, "LiveEnd")
    assert live.ask({"op": "unsubscribe", "requestId": 1})["op"] == "unsubscribed"
    master.post("/classes/LiveEnd", {})
    assert live.next()["requestId"] == 2
    answer = live.ask({"op": "unsubscribe", "requestId": 1})
    assert answer["code"] == 2
    assert answer["error"].startswith("Cannot find subscription with clientId ")


def test_equal_values_of_different_fields_are_different_queries(live: LiveClient, master: Caller) -> None:
    live.subscribe(1, "LiveHash", {"a": 1, "b": 2})
    live.subscribe(2, "LiveHash", {"a": 2, "b": 1})
    master.post("/classes/LiveHash", {"a": 2, "b": 1})
    master.post("/classes/LiveHash", {"a": 1, "b": 2})
    assert [live.next()["requestId"], live.next()["requestId"]] == [2, 1]


@pytest.mark.parametrize(
    ("class_name", "where", "code"),
    [
        ("LiveA", {"a": {"$or": 1}}, 107),
        ("LiveA", {"$or": {"0": {}, "length": 1}}, 102),
        ("LiveA", {"a": {"$regex": "("}}, 102),
        ("LiveA", {"a": {"$nonsense": 1}}, 107),
        ("_Session", {}, 209),
        ("_PushStatus", {}, 119),
        ("_Installation", {}, 119),
        ("_User", {"email": "ada@example.org"}, 119),
        ("_User", {"$or": [{"$and": [{"email": {"$gt": ""}}]}]}, 119),
        ("_User", {"_hashed_password": {"$regex": "^a"}}, 105),
    ],
)
def test_a_query_is_refused_as_over_rest(live: LiveClient, class_name: str, where: Any, code: int) -> None:
    answer = live.ask({"op": "subscribe", "requestId": 3, "query": {"className": class_name, "where": where}})
    assert (answer["op"], answer["code"], answer["requestId"]) == ("error", code, 3), answer
    assert answer["reconnect"] is False


def test_a_protected_field_cannot_be_watched(live: LiveClient) -> None:
    for name in ("email", "email.x"):
        query = {"className": "_User", "where": {}, "watch": [name]}
        assert live.ask({"op": "subscribe", "requestId": 1, "query": query})["code"] == 119


# --- Events ----------------------------------------------------------------------------------------------


def test_keys_select_fields_and_watch_selects_updates(live: LiveClient, master: Caller) -> None:
    live.subscribe(1, "LiveKeys", {"on": True}, keys=["a"], watch=["b"])
    object_id = master.post("/classes/LiveKeys", {"on": True, "a": 1})["objectId"]  # b is not set: no event
    master.put(f"/classes/LiveKeys/{object_id}", {"a": 2})
    master.put(f"/classes/LiveKeys/{object_id}", {"b": 1})
    master.put(f"/classes/LiveKeys/{object_id}", {"on": False})
    update, leave = live.next(), live.next()
    assert (update["op"], leave["op"]) == ("update", "leave")
    assert set(update["object"]) == {"className", "objectId", "createdAt", "updatedAt", "a"}
    assert set(update["original"]) == set(update["object"])


def test_an_event_shows_what_rest_shows(live: LiveClient, master: Caller) -> None:
    body = {
        "at": {"__type": "Date", "iso": "2026-01-05T10:00:00.000Z"},
        "place": {"__type": "GeoPoint", "latitude": 47.0, "longitude": 8.0},
        "scan": {"__type": "File", "name": "scan.pdf"},
        "friends": {
            "__op": "AddRelation",
            "objects": [{"__type": "Pointer", "className": "LiveShow", "objectId": "x"}],
        },
        "ACL": {"*": {"read": True}},
    }
    live.subscribe(1, "LiveShow")
    created = master.post("/classes/LiveShow", body)
    shown = master.get(f"/classes/LiveShow/{created['objectId']}")
    assert live.next()["object"] == {"className": "LiveShow", **shown}


def test_a_transaction_that_fails_is_never_heard_of(live: LiveClient, master: Caller) -> None:
    live.subscribe(1, "LiveTransaction")
    path = "/parse/classes/LiveTransaction"
    good = {"method": "POST", "path": path, "body": {"n": 1}}
    bad = {"method": "PUT", "path": f"{path}/missing", "body": {"n": 2}}
    master.refusal("POST", "/batch", {"requests": [good, bad], "transaction": True})
    master.ask("POST", "/batch", {"requests": [{**good, "body": {"n": 3}}], "transaction": True})
    assert live.next()["object"]["n"] == 3


def test_users_see_their_own_row_whole_and_others_without_secrets(
    live_server: RunningServer, master: Caller
) -> None:
    user = sign_up(live_server, email=f"{uuid4().hex}@example.org", ACL={"*": {"read": True}})
    with ExitStack() as stack:
        own = stack.enter_context(live_client(live_server, sessionToken=user["sessionToken"]))
        other = stack.enter_context(live_client(live_server))
        for client in (own, other):
            client.subscribe(1, "_User", {"objectId": user["objectId"]})
        master.put(f"/users/{user['objectId']}", {"nickname": "Ada"})
        mine, theirs = own.next(), other.next()
    assert "email" in mine["object"]
    assert "email" not in theirs["object"]
    assert "email" not in theirs["original"]
    for frame in (mine, theirs):
        assert not {"password", "_hashed_password", "sessionToken", "authData"} & frame["object"].keys()


def test_a_revoked_session_hears_nothing_of_the_sessions_of_its_user(
    live_server: RunningServer, master: Caller
) -> None:
    name = uuid4().hex
    user = sign_up(live_server, username=name)
    login = {"username": name, "password": "correct horse 9"}
    with (
        live_client(live_server, sessionToken=user["sessionToken"]) as client,
        closing(Caller(live_server, user["sessionToken"])) as caller,
    ):
        client.subscribe(1, "_Session")
        client.subscribe(2, "LiveMark")
        caller.post("/login", login, status=200)
        assert client.next()["op"] == "create"
        caller.post("/logout", {}, status=200)
        master.post("/login", login, status=200)
        master.post("/classes/LiveMark", {})
        assert client.next()["requestId"] == 2


def test_one_token_may_stand_at_a_subscription(live_server: RunningServer, master: Caller) -> None:
    user = sign_up(live_server)
    with live_client(live_server) as client:
        client.subscribe(1, "LiveToken")
        client.subscribe(2, "LiveToken", sessionToken=user["sessionToken"])
        master.post("/classes/LiveToken", {"ACL": {user["objectId"]: {"read": True}}})
        assert client.next()["requestId"] == 2


# --- Limits ----------------------------------------------------------------------------------------------


def narrow(start_server: StartServer, **limits: int) -> RunningServer:
    return start_server(live_query_server_options=LiveQueryServer(**limits))


def test_a_connection_has_room_for_so_many_subscriptions(start_server: StartServer) -> None:
    with live_client(narrow(start_server, max_subscriptions=2)) as client:
        client.subscribe(1, "LiveMessage")
        client.subscribe(2, "LiveMessage")
        client.subscribe(2, "LiveMessage", {"a": 1})
        assert client.ask({**SUBSCRIBE, "requestId": 3})["code"] == 119


def test_the_queries_of_a_connection_have_room_for_so_many_characters(start_server: StartServer) -> None:
    """Else one client could fill the memory with a thousand long lists."""
    with live_client(narrow(start_server, max_frame_size=2_000)) as client:
        large = {"n": {"$in": list(range(1_000, 1_200))}}
        query = {"className": "LiveMessage", "where": large}
        client.subscribe(1, "LiveMessage", large)
        client.subscribe(1, "LiveMessage", large)
        answer = client.ask({"op": "subscribe", "requestId": 2, "query": query})
        assert (answer["code"], answer["requestId"]) == (119, 2)
        assert client.ask({"op": "unsubscribe", "requestId": 1})["op"] == "unsubscribed"
        client.subscribe(2, "LiveMessage", large)


LARGE: tuple[dict[str, Any], ...] = (
    {"query": {"className": "LiveMessage", "where": {}, "keys": [f"field{i}" for i in range(150)]}},
    {"query": {"className": "LiveMessage", "where": {}, "watch": [f"field{i}" for i in range(150)]}},
    {"query": {"className": "C" * 1_200, "where": {}}},
    {"query": {"className": "LiveMessage", "where": {}}, "sessionToken": "r:" + "0" * 1_200},
)


@pytest.mark.parametrize("large", LARGE, ids=lambda large: str(large)[:60])
def test_all_that_is_kept_of_a_subscription_takes_room(
    start_server: StartServer, large: dict[str, Any]
) -> None:
    with live_client(narrow(start_server, max_frame_size=2_000)) as client:
        assert client.ask({"op": "subscribe", "requestId": 1, **large})["op"] == "subscribed"
        assert client.ask({"op": "subscribe", "requestId": 1, **large})["op"] == "subscribed"
        answer = client.ask({"op": "subscribe", "requestId": 2, **large})
        assert (answer["code"], answer["requestId"]) == (119, 2)
        assert client.ask({"op": "unsubscribe", "requestId": 1})["op"] == "unsubscribed"
        assert client.ask({"op": "subscribe", "requestId": 2, **large})["op"] == "subscribed"


def test_what_is_written_into_each_frame_takes_room_with_each(start_server: StartServer) -> None:
    with live_client(narrow(start_server, max_frame_size=2_000), installationId="x" * 1_200) as client:
        client.subscribe(1, "LiveMessage")
        assert client.ask({**SUBSCRIBE, "requestId": 2})["code"] == 119


def test_an_address_has_room_for_so_many_connections(start_server: StartServer) -> None:
    server = narrow(start_server, max_connections_per_address=2)
    with live_client(server), live_client(server), live_client(server, connects=False) as third:
        assert third.wait_closed() == (1013, "too many connections from this address")


def test_a_message_that_is_too_large_ends_the_connection(start_server: StartServer) -> None:
    with live_client(narrow(start_server, max_frame_size=2_000)) as client:
        client.send({**SUBSCRIBE, "sessionToken": "x" * 3_000})
        assert client.wait_closed()[0] == 1009


def test_what_breaks_the_frames_ends_the_connection_at_once_and_leaves_the_log_clean(
    live_server: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    too_long_ping, no_text = bytes((0x89, 0xFE)), bytes((0x81, 0x81)) + bytes(4) + b"\xff"
    for broken, code in ((too_long_ping, 1002), (no_text, 1007)):
        with raw_client(live_server) as client:
            client.sendall(broken)
            heard = client.recv(4096)
            assert (heard[0], int.from_bytes(heard[2:4])) == (0x88, code)
    assert caplog.records == []


def test_a_client_that_does_not_read_is_given_up(start_server: StartServer) -> None:
    server = narrow(start_server, max_backlog=3)
    with (
        closing(Caller(server, master=True)) as master,
        idle_subscriber(server),
        live_client(server) as diligent,
    ):
        diligent.subscribe(1, "LiveMessage")
        for _ in range(400):
            master.post("/classes/LiveMessage", {"text": "x" * 50_000})
            diligent.next()
            if master.get("/livequery/metrics")["dropped"]:
                return
        pytest.fail("the client that does not read is still there")


def test_a_client_that_is_given_up_is_cut_off(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what he never reads would be kept for him as long as he likes."""
    monkeypatch.setattr(protocol, "LINGER_SECONDS", 0.2)
    monkeypatch.setattr(endpoint, "FAREWELL_SECONDS", 0.2)
    server = narrow(start_server, max_backlog=3)
    with closing(Caller(server, master=True)) as master, idle_subscriber(server) as lazy:
        while not master.get("/livequery/metrics")["dropped"]:
            master.post("/classes/LiveMessage", {"text": "x" * 50_000})
        assert is_cut_off(lazy)


def test_a_client_that_answers_no_ping_is_cut_off_whatever_waits_for_him(start_server: StartServer) -> None:
    server = narrow(start_server, websocket_timeout=500)
    with closing(Caller(server, master=True)) as master, idle_subscriber(server) as lazy:
        for _ in range(100):
            master.post("/classes/LiveMessage", {"text": "x" * 50_000})
        assert is_cut_off(lazy)
        figures = master.get("/livequery/metrics")
        assert (figures["connections"], figures["dropped"]) == (0, 0)


def test_pings_are_not_answered_to_a_client_that_does_not_read(start_server: StartServer) -> None:
    pings = 80_000
    with idle_subscriber(narrow(start_server)) as lazy:
        for _ in range(pings // 1000):
            lazy.sendall((bytes((0x89, 0x80 | 125)) + bytes(4) + b"x" * 125) * 1000)
        lazy.sendall(masked({"op": "unsubscribe", "requestId": 1}))
        heard = b""
        while b'"unsubscribed"' not in heard[-1000:]:
            heard += lazy.recv(1_000_000)
    assert 1000 < heard.count(bytes((0x8A, 125))) < pings


def test_a_hook_that_hangs_holds_up_its_own_class_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "BACKLOG", 3)

    def register(cloud: Cloud) -> None:
        @cloud.after_live_query_event("LiveHanging")
        async def hang(request: LiveQueryEventRequest) -> None:
            await asyncio.Event().wait()

    names = LiveQuery(class_names=("Live.*",))
    with (
        running_server("sqlite", register=register, live_query=names) as server,
        closing(Caller(server, master=True)) as master,
        live_client(server) as patient,
        live_client(server) as other,
    ):
        patient.subscribe(1, "LiveHanging")
        patient.subscribe(2, "LiveMessage")
        other.subscribe(3, "LiveMessage")
        master.post("/classes/LiveHanging", {})
        master.post("/classes/LiveMessage", {})
        assert patient.next()["requestId"] == 2
        for _ in range(5):
            master.post("/classes/LiveHanging", {})
        assert patient.wait_closed() == (1012, "events may have been missed")
        master.post("/classes/LiveMessage", {})
        assert [other.next()["op"] for _ in range(2)] == ["create", "create"]


def is_cut_off(client: socket) -> bool:
    """Does the server's end of the connection go away, though the client reads nothing?"""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            client.sendall(masked({"op": "unsubscribe", "requestId": 5}))
        except OSError:
            return True
        time.sleep(0.02)
    return False


@contextmanager
def idle_subscriber(server: RunningServer) -> Iterator[socket]:
    """A client that subscribes to everything and reads nothing."""
    with raw_client(server) as lazy:
        lazy.sendall(masked({"op": "connect", "applicationId": APP_ID}))
        lazy.sendall(masked({**SUBSCRIBE, "query": {"className": "LiveMessage", "where": {}}}))
        yield lazy


@contextmanager
def raw_client(server: RunningServer) -> Iterator[socket]:
    """A client after its handshake, which writes its frames byte by byte."""
    host, _, port = server.url.removeprefix("http://").partition("/")[0].partition(":")
    handshake = (
        f"GET /parse HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket(AF_INET, SOCK_STREAM) as client:
        client.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)
        client.connect((host, int(port)))
        client.sendall(handshake.encode())
        assert b" 101 " in client.recv(4096)  # frames come after the handshake, not with it
        client.settimeout(30)
        yield client


def masked(message: Frame) -> bytes:
    """A client's frame; the mask is zero."""
    text = json.dumps(message).encode()
    return bytes((0x81, 0x80 | 126)) + len(text).to_bytes(2, "big") + bytes(4) + text


def test_metrics_are_for_the_master_key(live_server: RunningServer, master: Caller) -> None:
    figures = master.get("/livequery/metrics")
    assert figures["delivered"] <= figures["matched"] * 10
    assert set(figures) == {
        "connections",
        "subscriptions",
        "changes",
        "matched",
        "delivered",
        "dropped",
        "lag",
        "waiting",
    }
    visitor = Caller(live_server)
    assert visitor.ask("GET", "/livequery/metrics").status_code == 403
    visitor.close()
