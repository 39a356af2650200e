"""Cloud code as a person runs it: `parse-clone serve` in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers import end, free_port, mongo_server, wait_for_port

MASTER_KEY = "a-master-key-of-some-length"
MASTER = {"X-Parse-Application-Id": "processes", "X-Parse-Master-Key": MASTER_KEY}
PROGRAM = str(Path(sys.executable).with_name("parse-clone"))


def command(port: int, database: str, cloud: Path, *further: str) -> list[str]:
    options = ["--port", str(port), "--host", "127.0.0.1", "--database-uri", database, "--cloud", str(cloud)]
    return [PROGRAM, "serve", *options, *further]


ENVIRONMENT = {
    **os.environ,
    "PARSE_SERVER_APPLICATION_ID": "processes",
    "PARSE_SERVER_MASTER_KEY": MASTER_KEY,
}


@contextmanager
def served(*arguments: Any) -> Iterator[str]:
    """A server in a process of its own; yields its URL."""
    process = subprocess.Popen(
        command(*arguments), env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for_port(arguments[0])
        yield f"http://127.0.0.1:{arguments[0]}/parse"
    finally:
        end(process)


def wait_until(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError("it did not come to pass")


def test_a_mistake_stops_the_start_and_names_its_line(tmp_path: Path) -> None:
    cloud = tmp_path / "main.py"
    cloud.write_text("def register(cloud):\n    cloud.function('x'\n")
    done = subprocess.run(
        command(free_port(), f"sqlite:///{tmp_path}/parse.sqlite3", cloud),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert f"{cloud}:2: '(' was never closed" in done.stderr
    assert "Traceback" not in done.stderr


def test_reload_takes_over_changed_cloud_code(tmp_path: Path) -> None:
    cloud = tmp_path / "code" / "main.py"
    cloud.parent.mkdir()
    text = "def register(cloud):\n    @cloud.function('version')\n    async def version(request):\n"
    cloud.write_text(f"{text}        return 'first'\n")

    def answers(expected: str) -> bool:
        reply = httpx.post(f"{url}/functions/version", headers=MASTER, json={})
        return bool(reply.json().get("result") == expected)

    with served(free_port(), f"sqlite:///{tmp_path}/parse.sqlite3", cloud, "--reload") as url:
        wait_until(lambda: answers("first"))
        cloud.write_text(f"{text}        return 'second'\n")
        wait_until(lambda: answers("second"))


@pytest.mark.timeout(90)
def test_each_occurrence_of_a_schedule_runs_in_one_of_several_processes(tmp_path: Path) -> None:
    cloud = tmp_path / "main.py"
    cloud.write_text(
        "from datetime import timedelta\n"
        "def register(cloud):\n"
        "    @cloud.job('tick', every=timedelta(seconds=1))\n"
        "    async def tick(request):\n"
        "        await request.client.create('Tick')\n"
    )
    with mongo_server() as mongo:
        database = f"{mongo}/schedule"
        with (
            served(free_port(), database, cloud) as url,
            served(free_port(), database, cloud),
            served(free_port(), database, cloud),
        ):

            def rows(class_name: str) -> list[Any]:
                answer = httpx.get(f"{url}/classes/{class_name}", params={"limit": "1000"}, headers=MASTER)
                return list(answer.json()["results"])

            wait_until(lambda: len(rows("Tick")) >= 4, 40)
            claims = [row["reqId"] for row in rows("_Idempotency")]
            statuses = [row for row in rows("_JobStatus") if row["source"] == "schedule"]
        assert len(set(claims)) == len(claims)
        assert abs(len(claims) - len(statuses)) <= 1
