"""One contract, every engine: a test that takes `storage` runs on each of them.

`sqlite` always runs. `mongo` runs against PARSE_TEST_MONGODB_URI if that is set, else against a server that
is started here as its own process; where it cannot start, its tests are skipped, and fail when CI is set.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from parse_clone.ports import Storage

ENGINES = ("sqlite", "mongo")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The engine under test."""
    return str(request.param)


@pytest.fixture
async def storage(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    """An empty storage of the engine under test."""
    opened: Storage
    if engine == "sqlite":
        from parse_clone.adapters.storage.sqlite.storage import SqliteStorage

        opened = SqliteStorage(str(tmp_path / "data.db"))
    else:
        server: str = request.getfixturevalue("mongodb_server")
        from parse_clone.adapters.storage.mongo.storage import MongoStorage

        opened = MongoStorage(f"{server.rstrip('/')}/test_{uuid4().hex}")
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def mongodb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of a MongoDB server, without a database's name."""
    given = os.environ.get("PARSE_TEST_MONGODB_URI")
    if given:
        yield given
        return
    launcher = shutil.which("secantusd-py", path=str(Path(sys.executable).parent)) or shutil.which(
        "secantusd-py"
    )
    if launcher is None:
        raise _cannot_run("no MongoDB server: set PARSE_TEST_MONGODB_URI or install secantusdb")
    port = _free_port()
    log = tmp_path_factory.mktemp("mongodb") / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [launcher, "--host", "127.0.0.1", "--port", str(port), "--storage-path", ":memory:"],
            stdout=output,
            stderr=output,
            cwd=log.parent,
        )
    try:
        if not _listens(port, process):
            raise _cannot_run(f"the MongoDB server did not start: {log.read_text(errors='replace')[-300:]}")
        yield f"mongodb://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def _cannot_run(reason: str) -> BaseException:
    outcome = pytest.fail.Exception if os.environ.get("CI") else pytest.skip.Exception
    return outcome(reason)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int, process: subprocess.Popen[bytes], patience: float = 30) -> bool:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.1)
    return False
