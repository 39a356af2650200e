"""The served process: it starts, says where it is, and ends without dropping what it has begun."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from benchmarks.processes import process_tree
from tests.servers import free_port, stand_in_process, wait_for_port

SLOW = """
import asyncio
from parse_clone.cloud import Cloud, FunctionRequest

def register(cloud: Cloud) -> None:
    @cloud.function("slow")
    async def slow(request: FunctionRequest):
        print("begun", flush=True)
        await asyncio.sleep(0.5)
        return "done"
"""


@contextmanager
def serve(folder: Path, *arguments: str, port: int, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A server with its data in a folder; it does not outlive the block, whatever happens there."""
    command = [sys.executable, "-m", "parse_clone", "serve", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(
        [*command, *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_stopped_server_finishes_what_it_has_begun(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(SLOW)
    port = free_port()
    url = f"http://127.0.0.1:{port}/parse"
    answers: list[Any] = []
    with serve(tmp_path, "--cloud", "main.py", port=port) as process:
        wait_for_port(port)
        headers = {"X-Parse-Application-Id": "parse-clone"}
        calls = threading.Thread(
            target=lambda: answers.append(httpx.post(f"{url}/functions/slow", headers=headers).json())
        )
        calls.start()
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        calls.join()
        _, told = process.communicate(timeout=30)
    assert answers == [{"result": "done"}]
    assert url in told
    assert "keys.json" in told
    assert (tmp_path / "data" / "parse.sqlite3").exists()


def test_several_processes_finish_what_they_have_begun(tmp_path: Path, mongo_uri: str) -> None:
    (tmp_path / "main.py").write_text(SLOW)
    port = free_port()
    answers: list[Any] = []
    keys = {"PARSE_SERVER_APPLICATION_ID": "clinic", "PARSE_SERVER_MASTER_KEY": "master"}
    uri = f"{mongo_uri}/test_{uuid4().hex}"
    options = ("--workers", "2", "--cloud", "main.py", "--database-uri", uri)

    def call() -> None:
        url = f"http://127.0.0.1:{port}/parse/functions/slow"
        answers.append(httpx.post(url, headers={"X-Parse-Application-Id": "clinic"}, timeout=60).json())

    with serve(tmp_path, *options, port=port, **keys) as process:
        wait_for_port(port)
        calls = [threading.Thread(target=call) for _ in range(6)]
        for started in calls:
            started.start()
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in calls] == ["begun\n"] * 6
        process.send_signal(signal.SIGTERM)
        for started in calls:
            started.join()
        _, told = process.communicate(timeout=30)
    assert answers == [{"result": "done"}] * 6
    assert process.returncode == 0
    assert "Without redisURL" in told


def test_a_database_that_is_lost_is_an_error_until_it_is_back(tmp_path: Path) -> None:
    port, database_port = free_port(), free_port()
    environment = {
        "PARSE_SERVER_APPLICATION_ID": "clinic",
        "PARSE_SERVER_MASTER_KEY": "master",
        "PARSE_SERVER_DATABASE_URI": f"mongodb://127.0.0.1:{database_port}/clinic",
        "PARSE_SERVER_DATABASE_SERVER_SELECTION_TIMEOUT_MS": "200",
    }
    lost = {"code": 1, "error": "Database error"}
    with ExitStack() as stack:
        database = stack.enter_context(stand_in_process(database_port))
        process = stack.enter_context(serve(tmp_path, port=port, **environment))
        wait_for_port(port)
        headers = {"X-Parse-Application-Id": "clinic", "X-Parse-Master-Key": "master"}
        client = stack.enter_context(
            httpx.Client(base_url=f"http://127.0.0.1:{port}/parse", headers=headers, timeout=30)
        )
        assert client.post("/classes/Note", json={"n": 1}).status_code == 201
        database.kill()
        database.wait()
        for method, path in (("GET", "/classes/Note"), ("POST", "/classes/Note"), ("GET", "/schemas")):
            answer = client.request(method, path, json={} if method == "POST" else None)
            assert (answer.status_code, answer.json()) == (500, lost)
        assert client.get("/health").json() == {"status": "ok"}
        stack.enter_context(stand_in_process(database_port))
        assert client.post("/classes/Note", json={"n": 2}).status_code == 201
        assert [row["n"] for row in client.get("/classes/Note").json()["results"]] == [2]
        process.terminate()
        _, told = process.communicate(timeout=30)
    assert "Traceback" not in told
    assert "cause=AutoReconnect" in told or "cause=ServerSelectionTimeoutError" in told


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"PARSE_SERVER_CLOUD": "absent.py"}, "cloud code: there is no file absent.py"),
        ({"PARSE_SERVER_SESSION_LENGTH": "-1"}, "Session length must be a value greater than 0."),
        (
            {
                "PARSE_SERVER_DATABASE_URI": "mongodb://u:hidden@127.0.0.1:1/clinic?serverSelectionTimeoutMS=100",
                "PARSE_SERVER_APPLICATION_ID": "clinic",
                "PARSE_SERVER_MASTER_KEY": "master",
            },
            "The database 127.0.0.1:1/clinic?serverSelectionTimeoutMS=100 cannot be used",
        ),
    ],
)
def test_a_server_that_cannot_start_says_why(
    tmp_path: Path, environment: dict[str, str], sentence: str
) -> None:
    with serve(tmp_path, port=free_port(), **environment) as process:
        _, told = process.communicate(timeout=60)
    assert process.returncode != 0
    assert sentence in told
    assert "Traceback" not in told
    assert "hidden" not in told


SLOW_TO_START = """
import sys, time
if "spawn_main" in " ".join(sys.orig_argv):
    time.sleep(6)
"""


def test_processes_that_start_slowly_are_not_given_up(tmp_path: Path, mongo_uri: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW_TO_START)
    port = free_port()
    environment = {
        "PYTHONPATH": str(tmp_path),
        "PARSE_SERVER_DATABASE_URI": f"{mongo_uri}/slow_{time.time_ns()}",
        "PARSE_SERVER_APPLICATION_ID": "clinic",
        "PARSE_SERVER_MASTER_KEY": "master",
    }
    with serve(tmp_path, "--workers", "2", port=port, **environment) as process:
        while len(first := started(process)) < 2:
            time.sleep(0.1)
        wait_for_port(port)
        assert started(process) == first
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 0


def started(process: subprocess.Popen[str]) -> set[int]:
    """The processes that serve, or are about to."""
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in process_tree(process.pid)}
    return {pid for pid, command in commands.items() if b"spawn_main" in command}


def test_the_log_names_requests_and_keeps_secrets(tmp_path: Path) -> None:
    port = free_port()
    with serve(tmp_path, port=port, VERBOSE="true", JSON_LOGS="true") as process:
        wait_for_port(port)
        keys = json.loads((tmp_path / "data" / "keys.json").read_text())
        headers = {
            "X-Parse-Application-Id": keys["appId"],
            "X-Parse-Master-Key": keys["masterKey"],
            "X-Request-Id": "trace-1",
        }
        url = f"http://127.0.0.1:{port}/parse"
        assert httpx.get(f"{url}/schemas?password=hidden", headers=headers).status_code == 200
        hook = f"http://hidden:hidden@127.0.0.1:{free_port()}/hook?key=hidden"
        allowed = {"functionName": "call", "url": hook}
        assert httpx.post(f"{url}/hooks/functions", headers=headers, json=allowed).status_code == 200
        assert httpx.post(f"{url}/functions/call", headers=headers).json()["code"] == 141
        token = "r:" + "0123456789abcdef" * 2
        assert httpx.get(f"{url}/sessions/{token}", headers=headers).status_code == 404
        in_body = {"_ApplicationId": keys["appId"], "_MasterKey": keys["masterKey"], "_method": "GET"}
        assert "results" in httpx.post(f"{url}/schemas?_SessionToken={token}", json=in_body).json()
        login = {"username": "ada", "password": "hidden"}
        assert httpx.get(f"{url}/login", headers=headers, params=login).json()["code"] == 101
        refused = {**headers, "X-Parse-Master-Key": "wrong", "X-Request-Id": "bad\tid"}
        body = {"username": "ada", "password": "hidden"}
        assert httpx.post(f"{url}/classes/_Hooks", headers=refused, json=body).status_code == 400
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=30)
    lines = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    served = next(line for line in lines if line.get("path") == "/parse/schemas")
    assert (served["method"], served["status"], served["request"]) == ("GET", 200, "trace-1")
    refusal = next(line for line in lines if line["event"] == "refused")
    assert refusal["code"] == 119
    assert "bad" not in refusal["request"]
    assert "a webhook could not be called" in told
    assert keys["masterKey"] not in told
    assert token not in told
    assert "hidden" not in told
