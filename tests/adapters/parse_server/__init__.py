"""The npm parse-server as a separate process: the other owner of the database."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

APP_ID = "tests"
MASTER_KEY = "tests-master-key"

_HERE = Path(__file__).parent
_INSTALLED = Path(__file__).parents[3] / ".cache" / "parse-server"


class Missing(Exception):
    """This machine cannot run it."""


@dataclass(frozen=True)
class ParseServer:
    """A running parse-server, spoken to with the master key, or in the name of a user."""

    http: httpx.Client
    headers: Mapping[str, str] = field(default_factory=lambda: {"X-Parse-Master-Key": MASTER_KEY})

    def as_user(self, session_token: str) -> ParseServer:
        return replace(self, headers={"X-Parse-Session-Token": session_token})

    def request(self, method: str, path: str, **arguments: Any) -> Any:
        headers = {"X-Parse-Application-Id": APP_ID, **self.headers}
        return self.http.request(method, path, headers=headers, **arguments).json()

    def get(self, path: str, **params: Any) -> Any:
        """GET; parameters that are not texts travel as JSON."""
        texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in params.items()}
        return self.request("GET", path, params=texts)

    def post(self, path: str, body: Any) -> Any:
        return self.request("POST", path, json=body)

    def put(self, path: str, body: Any) -> Any:
        return self.request("PUT", path, json=body)


@contextmanager
def running(database_uri: str) -> Iterator[ParseServer]:
    """Run it on a database, with the master key."""
    node = _install()
    port = _free_port()
    command = [node, str(_HERE / "serve.cjs"), str(_INSTALLED), str(port), database_uri]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        output = []
        for line in process.stdout:
            output.append(line)
            if line == "ready\n":
                break
        else:
            raise AssertionError("".join(output))
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/parse") as http:
            yield ParseServer(http)
    finally:
        process.terminate()
        process.communicate(timeout=20)


def _install() -> str:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise Missing("parse-server needs Node")
    wanted = (_HERE / "package.json").read_bytes()
    complete = _INSTALLED / ".complete"
    if not complete.exists() or complete.read_bytes() != wanted:
        _INSTALLED.mkdir(parents=True, exist_ok=True)
        (_INSTALLED / "package.json").write_bytes(wanted)
        command = [
            npm,
            "install",
            "--omit=dev",
            "--no-audit",
            "--no-fund",
            "--no-package-lock",
            "--loglevel=error",
        ]
        subprocess.run(command, cwd=_INSTALLED, check=True)
        complete.write_bytes(wanted)
    return node


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
