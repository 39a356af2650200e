"""The npm parse-server as a separate process: the other owner of the database."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from tests.programs import PARSE_SERVER, node_for_parse_server
from tests.servers import APP_ID, MASTER_KEY, REST_KEY, free_port

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Client:
    """Speaks REST to a server, with the master key or in the name of a user. Refusals are answers, too."""

    http: httpx.Client
    headers: Mapping[str, str] = field(default_factory=lambda: {"X-Parse-Master-Key": MASTER_KEY})

    def as_user(self, session_token: str) -> Client:
        return replace(self, headers={"X-Parse-Session-Token": session_token})

    def as_nobody(self) -> Client:
        return replace(self, headers={})

    @property
    def all_headers(self) -> dict[str, str]:
        return {"X-Parse-Application-Id": APP_ID, "X-Parse-REST-API-Key": REST_KEY, **self.headers}

    def request(self, method: str, path: str, **arguments: Any) -> Any:
        return self.http.request(method, path, headers=self.all_headers, **arguments).json()

    def get(self, path: str, **params: Any) -> Any:
        """GET; parameters that are not texts travel as JSON."""
        texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in params.items()}
        return self.request("GET", path, params=texts)

    def post(self, path: str, body: Any) -> Any:
        return self.request("POST", path, json=body)

    def put(self, path: str, body: Any) -> Any:
        return self.request("PUT", path, json=body)


@contextmanager
def client(url: str) -> Iterator[Client]:
    """Speak to the server at a URL, with the master key."""
    with httpx.Client(base_url=url, timeout=30) as http:
        yield Client(http)


@contextmanager
def running(database_uri: str, redis_url: str = "", encryption_key: str = "") -> Iterator[Client]:
    """Run it on a database; with a Redis, LiveQuery too; with a key it encrypts files."""
    node = node_for_parse_server()
    port = free_port()
    command = [node, str(_HERE / "serve.cjs"), str(PARSE_SERVER), str(port), database_uri, redis_url]
    command.append(encryption_key)
    process = subprocess.Popen(
        command, cwd=PARSE_SERVER, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )  # it writes a folder of logs where it stands
    assert process.stdout is not None
    given_up = threading.Timer(60, process.kill)
    given_up.daemon = True
    given_up.start()
    try:
        output = []
        for line in process.stdout:
            output.append(line)
            if line == "ready\n":
                break
        else:
            raise AssertionError("".join(output))
        given_up.cancel()
        with client(f"http://127.0.0.1:{port}/parse") as speaking:
            yield speaking
    finally:
        process.kill()  # with LiveQuery it does not end when asked to
        process.communicate()
