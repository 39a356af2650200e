"""The served process: it starts, says where it is, and ends without dropping what it has begun."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers import free_port, wait_for_port

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


def serve(folder: Path, *arguments: str, port: int, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "parse_clone", "serve", "--host", "127.0.0.1", "--port", str(port)]
    return subprocess.Popen(
        [*command, *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


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
    assert keys["masterKey"] not in told
    assert "hidden" not in told
