"""Two server processes on one port, a Redis between them, and one of them killed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import process_tree
from tests.protocol.live_clients import redis_server
from tests.sdk.test_sdk import HERE
from tests.servers import APP_ID, JAVASCRIPT_KEY, MASTER_KEY, end, free_port, wait_for_port

WORKERS = 2


def test_clients_survive_a_killed_process(node: str, mongo_uri: str, tmp_path: Path) -> None:
    with redis_server() as redis_url:
        options = {
            "appId": APP_ID,
            "masterKey": MASTER_KEY,
            "javascriptKey": JAVASCRIPT_KEY,
            "port": free_port(),
            "host": "127.0.0.1",
            "mountPath": "/parse",
            "databaseURI": f"{mongo_uri}/killed_{time.time_ns()}",
            "allowClientClassCreation": True,
            "liveQuery": {"classNames": ["LiveMessage"], "redisURL": redis_url},
            "logLevel": "warn",
        }
        config = tmp_path / "config.json"
        config.write_text(json.dumps(options))
        with served_by_workers(config, int(str(options["port"]))) as workers:
            environment = {
                "PATH": str(Path(node).parent),
                "PARSE_SERVER_URL": f"http://127.0.0.1:{options['port']}/parse",
                "PARSE_APP_ID": APP_ID,
                "PARSE_JAVASCRIPT_KEY": JAVASCRIPT_KEY,
                "PARSE_MASTER_KEY": MASTER_KEY,
                "WORKERS": ",".join(map(str, workers)),
            }
            command = [node, "--test", "--test-reporter=spec", str(HERE / "processes" / "kill.mjs")]
            ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
            log = config.with_suffix(".log").read_text()
            assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:] + log[-2000:]


@contextmanager
def served_by_workers(config: Path, port: int) -> Iterator[list[int]]:
    """Run the command line with several processes; yields their ids when all of them serve."""
    command = [
        sys.executable,
        "-m",
        "parse_clone",
        "serve",
        "--config",
        str(config),
        "--workers",
        str(WORKERS),
    ]
    log = config.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        wait_for_port(port)
        yield serving_processes(process.pid, port)
    finally:
        end(process)


def serving_processes(pid: int, port: int) -> list[int]:
    """Wait until every process has connected to the database and to Redis."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        children = [child for child in process_tree(pid) if "spawn_main" in command_line(child)]
        if len(children) == WORKERS and all(connections(child) > 4 for child in children):
            return children
        time.sleep(0.1)
    raise TimeoutError("the processes do not serve")


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def connections(pid: int) -> int:
    """The sockets of a process."""
    return sum("socket:" in str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir())
