"""Servers for tests that speak over the wire: a MongoDB or its stand-in, and our own on any engine.

A reachable MongoDB is named by `PARSE_TEST_MONGODB_URI`; without it the stand-in among the dev dependencies
starts.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from benchmarks.processes import end as end
from benchmarks.processes import free_port as free_port
from parse_clone.adapters.passwords import BcryptHasher
from parse_clone.app import Adapters, Register, create_app
from parse_clone.serving import protocol_options
from parse_clone.settings import LiveQuery, Settings

ENGINES = ("sqlite", "mongo")

APP_ID = "tests"
MASTER_KEY = "tests-master-key"
REST_KEY = "tests-rest-key"
JAVASCRIPT_KEY = "tests-javascript-key"


@dataclass(frozen=True)
class RunningServer:
    """A server that answers at `url` until its test is over."""

    url: str
    settings: Settings


@contextmanager
def mongo_server() -> Iterator[str]:
    """The URI of a MongoDB, without a database name."""
    given = os.environ.get("PARSE_TEST_MONGODB_URI")
    if given:
        yield given.rstrip("/")
        return
    with mongo_stand_in() as uri:
        yield uri


@contextmanager
def mongo_stand_in(*options: str) -> Iterator[str]:
    """The URI of the stand-in for MongoDB, started with these options."""
    port = free_port()
    with stand_in_process(port, *options):
        yield f"mongodb://127.0.0.1:{port}"


@contextmanager
def stand_in_process(port: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """The stand-in for MongoDB, empty, at a port."""
    program = Path(sys.executable).with_name("secantusd-py")
    place = ["--host", "127.0.0.1", "--port", str(port), "--storage-path", ":memory:"]
    place += ["--cache-size", "4G"]  # all that the tests write stays there; beyond it, nothing can be written
    command = [str(program), *place, *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port)
        yield process
    finally:
        end(process)


def wait_for_port(port: int, seconds: float = 60) -> None:
    """Wait until something listens."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}")


@contextmanager
def running_server(
    engine: str,
    mongo_uri: str = "",
    prepare: Callable[[Settings], None] = lambda settings: None,
    register: Register | None = None,
    adapters: Adapters | None = None,
    **options: Any,
) -> Iterator[RunningServer]:
    """Run a server on a new database of an engine. `prepare` runs before the server does, `register`
    defines its hooks; `options` are fields of `Settings`. Hashes of passwords are cheap unless `adapters` are
    given: tests sign up many people."""
    folder = Path(tempfile.mkdtemp(prefix="parse-test-"))
    port = free_port()
    database = (
        f"{mongo_uri}/test_{uuid.uuid4().hex[:12]}"
        if engine == "mongo"
        else f"sqlite:///{folder}/parse.sqlite3"
    )
    url = f"http://127.0.0.1:{port}/parse"
    chosen: dict[str, Any] = {
        "app_id": APP_ID,
        "master_key": MASTER_KEY,
        "rest_api_key": REST_KEY,
        "javascript_key": JAVASCRIPT_KEY,
        "host": "127.0.0.1",
        "port": port,
        "mount_path": "/parse",
        "public_server_url": url,
        "database_uri": database,
        "files_url": f"file://{folder}/files",
        "allow_client_class_creation": True,
        "live_query": LiveQuery(class_names=("LiveMessage",)),
        "silent": True,
    }
    settings = Settings(**{**chosen, **options})
    prepare(settings)
    app = create_app(settings, adapters or Adapters(passwords=BcryptHasher(cost=4)), register)
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        log_config=None,  # into the report of the test
        proxy_headers=False,
        **protocol_options(settings),
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)  # a server that hangs keeps no process of tests
    thread.start()
    try:
        wait_for_port(port)
        yield RunningServer(url, settings)
    finally:
        server.should_exit = True
        thread.join(timeout=30)
        assert not thread.is_alive(), f"the server at {url} does not end"
        shutil.rmtree(folder)
