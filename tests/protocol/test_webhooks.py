"""Hooks behind a URL: what they are sent, what their answers do, and where they may live."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers import APP_ID, MASTER_KEY, REST_KEY, RunningServer

CLIENT = {"X-Parse-Application-Id": APP_ID, "X-Parse-REST-API-Key": REST_KEY}
MASTER = {"X-Parse-Application-Id": APP_ID, "X-Parse-Master-Key": MASTER_KEY}


class HookServer(ThreadingHTTPServer):
    """A program that somebody else wrote: answers by path, remembers what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HookRequest)
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.received: list[tuple[dict[str, str], Any]] = []

    def at(self, path: str, answer: Any, status: int = 200) -> str:
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.answers[path] = (status, content)
        return f"http://127.0.0.1:{self.server_port}{path}"


class HookRequest(BaseHTTPRequestHandler):
    server: HookServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.received.append((headers, body))
        status, content = self.server.answers[self.path]
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def hooks() -> Iterator[HookServer]:
    with HookServer() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def client(start_server: Callable[..., RunningServer]) -> Iterator[httpx.Client]:
    server = start_server(webhook_key="hook-secret", webhook_allow_private_addresses=True)
    with httpx.Client(base_url=server.url, headers=CLIENT, timeout=30) as client:
        yield client


def declare(client: httpx.Client, **hook: str) -> None:
    kind = "functions" if "functionName" in hook else "triggers"
    answer = client.post(f"/hooks/{kind}", json=hook, headers=MASTER)
    assert answer.status_code == 200, answer.text
    assert answer.json() == hook


def call(client: httpx.Client, name: str, params: Any = None) -> tuple[int, Any]:
    answer = client.post(f"/functions/{name}", json=params or {})
    return answer.status_code, answer.json()


def test_a_function_is_sent_the_request_with_the_key_and_without_secrets(
    client: httpx.Client, hooks: HookServer
) -> None:
    declare(client, functionName="remote", url=hooks.at("/remote", {"success": {"sum": 3}}))
    date = {"__type": "Date", "iso": "2026-01-05T10:00:00.000Z"}
    answer = client.post("/functions/remote", json={"when": date}, headers=MASTER)
    assert answer.json() == {"result": {"sum": 3}}
    headers, body = hooks.received[-1]
    assert headers["x-parse-webhook-key"] == "hook-secret"
    assert (body["functionName"], body["params"], body["master"]) == ("remote", {"when": date}, True)
    assert MASTER_KEY not in json.dumps(body)


@pytest.mark.parametrize(
    ("answer", "status", "error"),
    [
        ({"error": "not today"}, 200, "not today"),
        ({"error": {"message": "by object"}}, 200, "by object"),
        ({"error": {"code": 7}}, 200, {"code": 7}),
        ({"anything": 1}, 500, "Webhook failed."),
        ({"success": 1}, 302, "Webhook failed."),
    ],
)
def test_failures_are_141(
    client: httpx.Client, hooks: HookServer, answer: Any, status: int, error: Any
) -> None:
    name = f"fails{abs(hash(str(answer)))}"
    declare(client, functionName=name, url=hooks.at(f"/{name}", answer, status))
    assert call(client, name) == (400, {"code": 141, "error": error})


def test_an_answer_that_is_no_json_is_an_empty_success(client: httpx.Client, hooks: HookServer) -> None:
    declare(client, functionName="garbage", url=hooks.at("/garbage", b"<html>"))
    assert call(client, "garbage") == (200, {})


def test_before_save_replaces_the_data(client: httpx.Client, hooks: HookServer) -> None:
    success = {"success": {"title": "changed", "className": "Hooked"}}
    declare(client, className="Hooked", triggerName="beforeSave", url=hooks.at("/before", success))
    created = client.post("/classes/Hooked", json={"title": "mine", "dropped": 1}).json()
    assert created["title"] == "changed"
    stored = client.get(f"/classes/Hooked/{created['objectId']}").json()
    assert (stored["title"], "dropped" in stored) == ("changed", False)
    hooks.at("/before", {"success": True})
    untouched = client.post("/classes/Hooked", json={"title": "mine"}).json()
    assert client.get(f"/classes/Hooked/{untouched['objectId']}").json()["title"] == "mine"
    hooks.at("/before", {"error": "closed"})
    assert client.post("/classes/Hooked", json={}).json() == {"code": 141, "error": "closed"}


@pytest.mark.parametrize("key", ["__proto__", "constructor"])
def test_an_answer_brings_no_denied_keyword(client: httpx.Client, hooks: HookServer, key: str) -> None:
    name = f"Denied{key.strip('_')}"
    url = hooks.at(f"/{name}", {"success": {}})
    declare(client, className=name, triggerName="beforeSave", url=url)
    for value in ({key: 1}, [{"a": {key: 1}}]):
        for answer in (
            {"list": value},
            {"list": {"__op": "Add", "objects": [value]}},
            {"list": {"__op": "AddUnique", "objects": [value]}},
            {"list": {"__op": "SetOnInsert", "amount": value}},
        ):
            hooks.at(f"/{name}", {"success": answer})
            assert client.post(f"/classes/{name}", json={}).json()["code"] == 105, answer
    hooks.at(f"/{name}", {"success": {"list": {"__op": "Add", "objects": [{"a": 1}]}}})
    assert client.post(f"/classes/{name}", json={}).json()["list"] == [{"a": 1}]


def test_after_find_chooses_the_objects(client: httpx.Client, hooks: HookServer) -> None:
    client.post("/classes/Listed", json={"n": 1})
    chosen = {"success": [{"className": "Listed", "objectId": "x", "n": 9}]}
    declare(client, className="Listed", triggerName="afterFind", url=hooks.at("/found", chosen))
    assert [row["n"] for row in client.get("/classes/Listed").json()["results"]] == [9]
    hooks.at("/found", {"success": "nonsense"})
    assert client.get("/classes/Listed").json()["code"] == 141


def test_hooks_are_declared_once_moved_and_deleted(client: httpx.Client, hooks: HookServer) -> None:
    url = hooks.at("/once", {"success": 1})
    declare(client, functionName="once", url=url)
    again = client.post("/hooks/functions", json={"functionName": "once", "url": url}, headers=MASTER)
    assert again.json() == {"code": 143, "error": "function name: once already exists"}
    moved = {"url": hooks.at("/moved", {"success": 2})}
    assert client.put("/hooks/functions/once", json=moved, headers=MASTER).status_code == 200
    assert call(client, "once") == (200, {"result": 2})
    assert client.put("/hooks/functions/once", json={"__op": "Delete"}, headers=MASTER).json() == {}
    assert call(client, "once")[1]["code"] == 141
    unknown = client.get("/hooks/functions/once", headers=MASTER).json()
    assert unknown == {"code": 143, "error": "no function named: once is defined"}
    assert client.get("/hooks/functions").status_code == 403


def test_what_cloud_code_does_no_webhook_takes_over(
    start_server: Callable[..., RunningServer], tmp_path: Path
) -> None:
    """Whoever holds the master key cannot open what the application's own hooks keep closed."""
    cloud = tmp_path / "main.py"
    cloud.write_text(
        "from parse_clone.cloud import ParseError\n"
        "def register(cloud):\n"
        "    @cloud.before_save('Closed')\n"
        "    async def refuse(request):\n"
        "        raise ParseError(119, 'closed')\n"
        "    @cloud.function('own')\n"
        "    async def own(request):\n"
        "        return 'own'\n"
    )
    server = start_server(cloud=str(cloud), webhook_allow_private_addresses=True)
    with httpx.Client(base_url=server.url, headers=MASTER, timeout=30) as client:
        trigger = {"className": "Closed", "triggerName": "beforeSave", "url": "http://127.0.0.1:9/"}
        answer = client.post("/hooks/triggers", json=trigger)
        assert answer.json() == {"code": 143, "error": "class Closed already has trigger beforeSave"}
        function = {"functionName": "own", "url": "http://127.0.0.1:9/"}
        answer = client.post("/hooks/functions", json=function)
        assert answer.json() == {"code": 143, "error": "function name: own already exists"}
        client.put("/hooks/triggers/Closed/beforeSave", json={"__op": "Delete"})
        client.put("/hooks/functions/own", json={"__op": "Delete"})
        assert client.post("/classes/Closed", json={}).json() == {"code": 119, "error": "closed"}
        assert call(client, "own") == (200, {"result": "own"})


def test_private_addresses_are_refused_by_default(
    start_server: Callable[..., RunningServer], hooks: HookServer
) -> None:
    hooks.received.clear()
    with httpx.Client(base_url=start_server().url, headers=CLIENT, timeout=30) as client:
        for number, host in enumerate(("127.0.0.1", "localhost", "[::1]", "0.0.0.0")):
            url = f"http://{host}:{hooks.server_port}/remote"
            declare(client, functionName=f"private{number}", url=url)
            refused = call(client, f"private{number}")
            assert refused == (400, {"code": 141, "error": "Webhook failed."})
    assert hooks.received == []
