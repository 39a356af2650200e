"""The servers under measurement, each started fresh on an empty database."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.client import APP_ID, MASTER_KEY, REST_KEY
from benchmarks.processes import free_port, running

ROOT = Path(__file__).parents[1]
PEER = Path(__file__).parent / "parse_server"


@dataclass(frozen=True)
class Subject:
    """A running server: where it answers, whose CPU time is counted, and how long its start took."""

    url: str
    pid: int
    start_seconds: float


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="parse-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def wire_server() -> Iterator[str]:
    """A MongoDB stand-in with an empty database; its CPU time is not counted."""
    with scratch_folder() as folder:
        port = free_port()
        command = [sys.executable, "-m", "benchmarks.wire_store", str(port)]
        with running(command, port, folder, PYTHONPATH=str(ROOT)):
            yield f"mongodb://127.0.0.1:{port}/bench"


@contextmanager
def our_server(database_uri: str | None = None, *options: str, **settings: str) -> Iterator[Subject]:
    """This project's server; without a database URI on SQLite, in a file."""
    with scratch_folder() as folder:
        port = free_port()
        environment = {
            "PORT": str(port),
            "PARSE_SERVER_HOST": "127.0.0.1",
            "PARSE_SERVER_DATABASE_URI": database_uri or f"sqlite:///{folder}/bench.sqlite3",
            "PARSE_SERVER_APPLICATION_ID": APP_ID,
            "PARSE_SERVER_MASTER_KEY": MASTER_KEY,
            "PARSE_SERVER_REST_API_KEY": REST_KEY,
            "PARSE_SERVER_ALLOW_CLIENT_CLASS_CREATION": "1",
            "PARSE_SERVER_LIVE_QUERY": '{"classNames": ["LiveMessage"]}',
            "PARSE_SERVER_LOG_LEVEL": "warning",
            "PYTHONPATH": str(ROOT),
            **settings,
        }
        command = [sys.executable, "-m", "parse_clone", "serve", *options]
        with running(command, port, folder, **environment) as program:
            yield Subject(f"http://127.0.0.1:{port}/parse", program.pid, program.start_seconds)


@contextmanager
def our_server_audited() -> Iterator[Subject]:
    """This project's server on SQLite, which records every read and write in the audit log."""
    cloud, schema = ROOT / "benchmarks" / "audited.py", ROOT / "schemas" / "audit_log.json"
    with our_server(None, "--cloud", str(cloud), "--schemas", str(schema)) as subject:
        yield subject


@contextmanager
def our_server_on_mongo() -> Iterator[Subject]:
    """This project's server on the MongoDB stand-in."""
    with wire_server() as uri, our_server(uri) as subject:
        yield subject


@contextmanager
def npm_parse_server(database_uri: str | None = None, **settings: str) -> Iterator[Subject]:
    """The npm parse-server; without a database URI on the MongoDB stand-in."""
    install_peer()
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_folder())
        port = free_port()
        environment = {
            "PORT": str(port),
            "DATABASE_URI": database_uri or stack.enter_context(wire_server()),
            "APP_ID": APP_ID,
            "MASTER_KEY": MASTER_KEY,
            "REST_KEY": REST_KEY,
            **settings,
        }
        command = ["node", str(PEER / "server.cjs")]
        program = stack.enter_context(running(command, port, folder, **environment))
        yield Subject(f"http://127.0.0.1:{port}/parse", program.pid, program.start_seconds)


def install_peer() -> None:
    """Install the npm packages once; without Node to run them the program ends."""
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        sys.exit(f"The npm parse-server needs {' and '.join(missing)}; --server measures the others alone.")
    if not (PEER / "node_modules" / "@parse" / "fs-files-adapter").is_dir():
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
        subprocess.run(command, cwd=PEER, check=True)


Start = Callable[[], AbstractContextManager[Subject]]

PEER_NAME, SQLITE, AUDITED, MONGO = "parse-server 9.10", "SQLite", "SQLite, audited", "MongoDB"

SUBJECTS: dict[str, Start] = {
    PEER_NAME: npm_parse_server,
    SQLITE: our_server,
    AUDITED: our_server_audited,
    MONGO: our_server_on_mongo,
}
"""Ours are compared with the npm parse-server, the audited one with that on SQLite."""
