"""Nobody's request is without an end: it is answered or refused, and others are served meanwhile."""

# ruff: noqa: UP031
from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any
from uuid import uuid4

import httpx
import pytest

from parse_clone.api.rest import protocol, request
from parse_clone.settings import RateLimit
from tests.protocol.live_clients import live_client
from tests.protocol.secured import Stage, set_the_stage
from tests.servers import APP_ID, MASTER_KEY, REST_KEY, RunningServer

PATIENCE = 20
"""Seconds. What has no end takes minutes; what has one takes milliseconds, even on a busy machine."""

CLIENT = {
    "X-Parse-Application-Id": APP_ID,
    "X-Parse-REST-API-Key": REST_KEY,
    "Content-Type": "application/json",
}
MASTER = {**CLIENT, "X-Parse-Master-Key": MASTER_KEY}


@pytest.fixture(scope="module")
def stage(start_server: Callable[..., RunningServer]) -> Iterator[Stage]:
    with closing(set_the_stage(start_server)) as stage:
        yield stage


@contextmanager
def heartbeat(stage: Stage) -> Iterator[None]:
    """Ask for something small all the time; every answer must come."""
    stopped, failures = threading.Event(), []

    def beat() -> None:
        with httpx.Client(base_url=stage.server.url, headers=CLIENT, timeout=PATIENCE) as client:
            while not stopped.is_set():
                try:
                    answer = client.get("/classes/Open", params={"limit": "1"})
                    assert answer.status_code == 200
                except (httpx.HTTPError, AssertionError) as error:
                    failures.append(error)
                time.sleep(0.01)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
    assert failures == []


# --- Depth and breadth -----------------------------------------------------------------------------------


def nested(opening: str, levels: int, closing: str, inner: str = "1") -> str:
    return opening * levels + inner + closing * levels


def deep(levels: int) -> str:
    return nested('{"a":', levels, "}")


def disjunction(levels: int) -> str:
    return nested('{"$or":[', levels, "]}", '{"n":1}')


def subquery(levels: int) -> str:
    return nested('{"p":{"$inQuery":{"className":"Open","where":', levels, "}}}", "{}")


@pytest.mark.parametrize("build", [deep, disjunction, subquery, lambda n: '{"a":%s}' % nested("[", n, "]")])
def test_deep_live_queries_are_refused(stage: Stage, build: Callable[[int], str]) -> None:
    with live_client(stage.server) as client:
        where = json.loads(build(300))
        query = {"className": "Open", "where": where}
        answer = client.ask({"op": "subscribe", "requestId": 1, "query": query})
        assert (answer["op"], answer["code"]) == ("error", 107)
        client.subscribe(1, "Open", {"nested.a": [[1]]})


FIND, AGGREGATE = '{"_method":"GET","where":%s}', '{"_method":"GET","pipeline":%s}'
MANY = 100_000
DEEP: tuple[tuple[str, str, Callable[[int], str]], ...] = (
    ("POST", "/classes/Open", deep),
    ("POST", "/classes/Open", lambda n: '{"list":%s}' % nested("[", n, "]")),
    (
        "POST",
        "/classes/Open",
        lambda n: '{"list":{"__op":"AddUnique","objects":[%s,%s]}}' % (deep(n), deep(n)),
    ),
    ("POST", "/classes/Open", lambda n: FIND % ('{"nested":%s}' % deep(n))),
    ("POST", "/classes/Open", lambda n: FIND % ('{"list":{"$in":[%s]}}' % nested("[", n, "]"))),
    ("POST", "/classes/Open", lambda n: FIND % disjunction(n)),
    ("POST", "/classes/Open", lambda n: FIND % subquery(n)),
    ("POST", "/users", lambda n: '{"username":"deep","password":"p","note":%s}' % deep(n)),
    ("POST", "/users", lambda n: '{"authData":{"anonymous":{"id":"deep","note":%s}}}' % deep(n)),
    ("POST", "/functions/find", deep),
    (
        "POST",
        "/batch",
        lambda n: '{"requests":[{"method":"POST","path":"/parse/classes/Open","body":%s}]}' % deep(n),
    ),
    ("PUT", "/config", lambda n: '{"params":{"a":%s}}' % deep(n)),
    ("POST", "/schemas/Deep", lambda n: '{"fields":{"a":{"type":"Object","defaultValue":%s}}}' % deep(n)),
    ("POST", "/schemas/Deep", lambda n: '{"classLevelPermissions":{"find":%s}}' % deep(n)),
    ("POST", "/aggregate/Open", lambda n: AGGREGATE % ('[{"$match":%s}]' % deep(n))),
    (
        "POST",
        "/aggregate/Open",
        lambda n: AGGREGATE % ('[{"$project":{"x":%s}}]' % nested('{"$add":[', n, "]}")),
    ),
)


@pytest.mark.parametrize("levels", [500, 20_000])
@pytest.mark.parametrize(("method", "path", "body"), DEEP)
def test_deep_json_is_refused(
    stage: Stage, method: str, path: str, body: Callable[[int], str], levels: int
) -> None:
    for headers in (CLIENT, MASTER):
        answer = httpx.request(
            method, stage.server.url + path, content=body(levels), headers=headers, timeout=PATIENCE
        )
        assert answer.status_code < 500, answer.text
        assert answer.status_code >= 400 or "success" not in answer.text  # a batch tells it of its part
        assert '"error"' in answer.text


BROAD: tuple[dict[str, Any], ...] = (
    {"a" + ".b" * MANY: 1},
    {"_method": "GET", "where": {"a" + ".b" * MANY: 1}},
    {"_method": "GET", "include": "a" + ".b" * MANY},
    {"_method": "GET", "keys": "a" + ".b" * MANY},
    {"_method": "GET", "order": "a" + ".b" * MANY},
    {"_method": "GET", "include": ",".join(f"a{i}" for i in range(MANY))},
    {"_method": "GET", "order": ",".join(f"a{i}" for i in range(MANY))},
    {"_method": "GET", "where": {f"a{i}": 1 for i in range(MANY)}},
    {"_method": "GET", "where": {"$or": [{"n": i} for i in range(MANY)]}},
    {"_method": "GET", "where": {"title": {"$in": [str(i) for i in range(MANY + 1)]}}},
    {"_method": "GET", "where": {"title": {"$regex": "(a+)+$" * 1000}}},
    {"nested": [{}] * 300_000},
    {"x" * MANY + "!": 1},
)


@pytest.mark.parametrize("body", BROAD, ids=lambda body: json.dumps(body)[:60])
def test_broad_requests_end(stage: Stage, body: dict[str, Any]) -> None:
    with heartbeat(stage):
        answer = httpx.post(
            f"{stage.server.url}/classes/Open", content=json.dumps(body), headers=CLIENT, timeout=PATIENCE
        )
        # Unknown fields to sort by are ignored; whatever else is too much is refused.
        assert answer.status_code == 200 if "order" in body else 400 <= answer.status_code < 500, answer.text


def test_what_is_large_but_not_too_large_is_served(stage: Stage) -> None:
    nobody = stage.nobody
    nobody.post(
        "/classes/Open", {"nested": {"list": [{"n": i} for i in range(1_000)]}, "title": "x" * 100_000}
    )
    where = {"$or": [{"title": str(i)} for i in range(500)]}
    assert nobody.post("/classes/Open", {"_method": "GET", "where": where}, 200)["results"] == []
    assert nobody.get("/classes/Open", include=",".join(f"a{i}" for i in range(90)), limit=1)["results"]
    assert nobody.ask("GET", "/classes/Open", where={"title": {"$regex": "^x+$"}}).status_code == 200


# --- Numbers, texts, bytes -------------------------------------------------------------------------------

NUMBERS = (
    "1e400",
    "-1e400",
    "1" * 400,
    "NaN",
    "Infinity",
    "18446744073709551616",
    "-9223372036854775809",
    "1e-400",
)


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_that_no_program_holds_do_no_harm(stage: Stage, number: str) -> None:
    for body in (
        '{"nested":{"n":%s}}',
        '{"nested":{"__op":"Increment","amount":%s}}',
        '{"_method":"GET","limit":%s}',
        '{"_method":"GET","where":{"title":{"$gt":%s}}}',
        '{"_method":"GET","where":{"place":{"$nearSphere":{"__type":"GeoPoint","latitude":%s,"longitude":1}}}}',
    ):
        content = body % number
        answer = httpx.post(
            f"{stage.server.url}/classes/Open", content=content, headers=CLIENT, timeout=PATIENCE
        )
        assert answer.status_code < 500, answer.text
    for name in ("limit", "skip"):
        assert stage.nobody.ask("GET", "/classes/Open", **{name: number}).status_code < 500


BYTES = (
    *(b'{"title":"\xff\xfe"}', b'{"title":"\\ud800"}', b'{"title":"\xed\xa0\x80"}', b'{"\\udc00":1}'),
    *(b'{"a\\u0000b":1}', b'{"nested":{"a\\u0000b":1}}', b'{"":1}', b"[1]", b'"x"', b"null", b"{}x", b"\x00"),
)


@pytest.mark.parametrize("content", BYTES)
@pytest.mark.parametrize("path", ["/classes/Open", "/users", "/login", "/functions/find", "/batch"])
def test_bytes_that_are_no_text_do_no_harm(stage: Stage, path: str, content: bytes) -> None:
    answer = httpx.post(stage.server.url + path, content=content, headers=CLIENT, timeout=PATIENCE)
    assert 400 <= answer.status_code < 500, answer.text


@pytest.mark.parametrize("text", ["a\x00b", "\x00", "ä€😀", "x" * 10_000])
def test_texts_come_back_as_they_were(stage: Stage, text: str) -> None:
    created = stage.nobody.post("/classes/Open", {"title": text})["objectId"]
    assert stage.nobody.get(f"/classes/Open/{created}")["title"] == text
    assert stage.nobody.ask("POST", "/login", {"username": text, "password": text}).status_code == 404
    where = {"title": text, "objectId": created}
    assert len(stage.nobody.post("/classes/Open", {"_method": "GET", "where": where}, 200)["results"]) == 1


@pytest.mark.parametrize(
    "path", ["/classes/Open/%00", "/classes/%00", "/functions/%00", "/%ff", "/classes/Open/%ed%a0%80"]
)
def test_paths_are_bytes_from_anywhere(stage: Stage, path: str) -> None:
    for headers in (CLIENT, MASTER):
        answer = httpx.get(stage.server.url + path, headers=headers, timeout=PATIENCE)
        assert answer.status_code < 500


@pytest.mark.parametrize("email", ["@" * MANY + "\n", "a" * MANY + "\n", "@" * MANY + "\u2028"])
def test_addresses_are_looked_at_once(stage: Stage, email: str) -> None:
    with heartbeat(stage):
        assert (
            stage.nobody.refusal("POST", "/users", {"username": "x", "password": "y", "email": email}) == 125
        )
    legal = {"username": uuid4().hex, "password": "y", "email": f"{uuid4().hex}@x"}
    assert stage.nobody.post("/users", legal)["objectId"]


def test_classes_do_not_grow_without_end(stage: Stage) -> None:
    with heartbeat(stage):
        assert stage.nobody.refusal("POST", "/classes/Wide", {f"a{i}": i for i in range(MANY)}) == 116
        assert stage.nobody.post("/classes/Wide", {f"a{i}": i for i in range(900)})["objectId"]
        assert stage.nobody.refusal("POST", "/classes/Wide", {f"b{i}": i for i in range(100)}) == 116
    assert len(stage.master.get("/schemas/Wide")["fields"]) == 904
    assert stage.nobody.post("/classes/Wide", {"a0": 1, "b0": 1, "nested": {f"c{i}": i for i in range(MANY)}})


PART = b'--x\r\nContent-Disposition: form-data; name="className"%b\r\n\r\nOpen\r\n'


@pytest.mark.parametrize("kind", [b"", b'; filename="f"'])
def test_forms_have_a_greatest_number_of_parts(stage: Stage, kind: bytes) -> None:
    headers = {**CLIENT, "Content-Type": "multipart/form-data; boundary=x"}
    url = f"{stage.server.url}/functions/find"
    with heartbeat(stage):
        answer = httpx.post(url, content=PART % kind * MANY + b"--x--", headers=headers, timeout=PATIENCE)
    assert (answer.status_code, answer.json()["code"]) == (400, 116)
    answer = httpx.post(url, content=PART % b"" + PART % kind * 900 + b"--x--", headers=headers)
    assert answer.status_code == 200


def test_forms_have_a_greatest_size(stage: Stage) -> None:
    headers = {**CLIENT, "Content-Type": "application/x-www-form-urlencoded"}
    url = f"{stage.server.url}/functions/find"
    for body, status in ((b"className=Open&a=" + b"%41" * 10 * MANY, 413), (b"className=Op%65n", 200)):
        with heartbeat(stage):
            assert httpx.post(url, content=body, headers=headers, timeout=PATIENCE).status_code == status


# --- Before there is a request ---------------------------------------------------------------------------

HEAD = b"POST /parse/functions/find HTTP/1.1\r\nHost: x\r\n" + b"".join(
    f"{name}: {value}\r\n".encode() for name, value in CLIENT.items()
)
CHUNKED = HEAD + b'Transfer-Encoding: chunked\r\n\r\n14\r\n{"className":"Open"}\r\n'
SHORT = b"GET /parse/health HTTP/1.1\r\nHost: x\r\n\r\n"
ENDLESS: tuple[tuple[bytes, bytes], ...] = (
    (HEAD + b"X-One: ", b"y" * 1_000),
    (HEAD, b"X-Many: y\r\n" * 100),
    (b"GET /parse/", b"y" * 1_000),
    (b"GET /parse/classes/Open?", b"y=1&" * 250),
    (CHUNKED + b"0\r\n", b"X-Trailer: y\r\n" * 100),
    (CHUNKED + b"2;", b"y" * 1_000),
    (CHUNKED, b"0" * 1_000),
    (b"", SHORT * 1_000),
)


def connect(stage: Stage) -> socket.socket:
    return socket.create_connection(("127.0.0.1", stage.server.settings.port), PATIENCE)


@pytest.mark.parametrize(("begin", "more"), ENDLESS, ids=lambda sent: repr(sent[-20:]))
def test_heads_without_an_end_are_cut_off(stage: Stage, begin: bytes, more: bytes) -> None:
    with connect(stage) as client:
        client.sendall(begin)
        with pytest.raises(OSError, match=r"reset|pipe|abort"):
            client.sendall(more * 10_000)


def test_heads_that_are_long_but_not_too_long_are_served(stage: Stage) -> None:
    headers = {**CLIENT, "X-One": "y" * 30_000}
    answer = httpx.get(f"{stage.server.url}/classes/Open", params={"comment": "y" * 30_000}, headers=headers)
    assert answer.status_code == 200
    with connect(stage) as client:
        client.sendall(CHUNKED + b"0\r\nX-Trailer: y\r\n\r\n" + SHORT * 50)
        received = b""
        while received.count(b"HTTP/1.1 200 OK") < 51:
            piece = client.recv(100_000)
            assert piece, received
            received += piece


@pytest.mark.parametrize("begin", [b"", HEAD[:-9], CHUNKED + b"0", HEAD + b"Content-Length: 9\r\n\r\n"])
def test_clients_that_say_nothing_more_are_sent_away(
    stage: Stage, begin: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(request, "IDLE_SECONDS", 0.2)
    with connect(stage) as client:
        client.sendall(begin)
        while client.recv(1_000):
            pass


def test_a_client_that_leaves_before_its_body_has_asked_for_nothing(stage: Stage) -> None:
    head = HEAD.replace(b"functions/find", b"classes/Left")
    with connect(stage) as client:
        client.sendall(head + b"Content-Length: 20\r\n\r\n")
    assert stage.master.get("/classes/Left")["results"] == []
    assert stage.master.post("/classes/Left", {})["objectId"]


def test_bodies_have_a_greatest_size(stage: Stage) -> None:
    limit = stage.server.settings.max_upload_size
    url = f"{stage.server.url}/classes/Open"
    assert httpx.post(url, content=b"x" * (limit + 1), headers=CLIENT, timeout=PATIENCE).status_code == 413
    pieces = (b"x" * 1_000_000 for _ in range(limit // 1_000_000 + 2))
    with suppress(httpx.TransportError):  # the server may close before all is sent
        assert httpx.post(url, content=pieces, headers=CLIENT, timeout=PATIENCE).status_code == 413


def test_slow_bodies_keep_nobody_waiting(stage: Stage) -> None:
    def slowly() -> Iterator[bytes]:
        for piece in (b'{"title"', b":", b'"slow"', b"}"):
            time.sleep(0.1)
            yield piece

    with heartbeat(stage):
        answer = httpx.post(
            f"{stage.server.url}/classes/Open", content=slowly(), headers=CLIENT, timeout=PATIENCE
        )
    assert answer.status_code == 201


def test_batches_of_refusals_keep_nobody_waiting(stage: Stage) -> None:
    parts = [{"method": "GET", "path": "/parse/schemas"}] * 500
    with heartbeat(stage):
        answers = stage.nobody.post("/batch", {"requests": parts}, 200)
    assert all("error" in answer for answer in answers)
    assert stage.nobody.refusal("POST", "/batch", {"requests": [parts[0]] * 1_001}) == 107


# --- Rates, and who is counted ---------------------------------------------------------------------------


def test_addresses_are_believed_from_trusted_proxies_only(start_server: Callable[..., RunningServer]) -> None:
    limit = RateLimit(
        request_path="/classes/*path",
        request_time_window=60_000,
        request_count=2,
        include_internal_requests=True,
    )
    spoofed = [
        {"X-Forwarded-For": f"8.8.8.{i}", "X-Real-IP": f"8.8.8.{i}", "Forwarded": f"for=8.8.8.{i}"}
        for i in range(4)
    ]
    for proxies, expected in (((), [200, 200, 429, 429]), (("127.0.0.1",), [200, 200, 200, 200])):
        server = start_server(rate_limit=(limit,), trust_proxy=proxies)
        found = [
            httpx.get(f"{server.url}/classes/Open", headers={**CLIENT, **given}).status_code
            for given in spoofed
        ]
        assert found == expected
        inside = httpx.get(f"{server.url}/schemas", headers={**MASTER, "X-Forwarded-For": "8.8.8.8"})
        assert inside.status_code == (200 if not proxies else 403)


@pytest.mark.parametrize("path", ["/login", "/LOGIN", "/login/", "//login", "/log%69n"])
def test_no_way_of_writing_a_path_evades_its_limit(
    start_server: Callable[..., RunningServer], path: str
) -> None:
    limit = RateLimit(
        request_path="/login",
        request_time_window=60_000,
        request_count=1,
        include_internal_requests=True,
        request_methods=("GET", "POST"),
    )
    server = start_server(rate_limit=(limit,))
    body = {"username": "x", "password": "y"}
    assert httpx.post(f"{server.url}/login", json=body, headers=CLIENT).status_code == 404
    assert httpx.post(server.url + path, json=body, headers=CLIENT).status_code == 429
    assert httpx.head(server.url + path, params=body, headers=CLIENT).status_code == 429
    part = {"method": "POST", "path": f"/parse{path}", "body": body}
    assert httpx.post(f"{server.url}/batch", json={"requests": [part]}, headers=CLIENT).status_code == 400
