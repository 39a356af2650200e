"""Upload and download files, here and with the npm parse-server and its file-system adapter.

    python -m benchmarks.files [--server NAME]

CPU time is the server's own; memory is the most that its process ever had.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import httpx

from benchmarks.client import APP_ID, MASTER_KEY
from benchmarks.processes import cpu_seconds, peak_mb
from benchmarks.subjects import Subject, npm_parse_server, our_server

HEADERS = {
    "X-Parse-Application-Id": APP_ID,
    "X-Parse-Master-Key": MASTER_KEY,
    "Content-Type": "application/octet-stream",
}
KEYS = {"PARSE_SERVER_FILE_ENCRYPTION_KEYS": '{"1": "a secret"}'}
LIMIT = {"PARSE_SERVER_MAX_UPLOAD_SIZE": "200mb"}
SUBJECTS: dict[str, Callable[[], AbstractContextManager[Subject]]] = {
    "parse-server 9.10.0, file system": lambda: npm_parse_server(FILES="1"),
    "ours, directory": lambda: our_server(**LIMIT),
    "ours, directory, encrypted": lambda: our_server(**LIMIT, **KEYS),
}
MEGABYTE = bytes(range(256)) * 4096
RUNS = ((1, 40), (100, 3))


@dataclass(frozen=True)
class Cost:
    """What one upload or download cost: milliseconds of CPU and of waiting."""

    cpu_ms: float
    wall_ms: float


def measure(subject: Subject, count: int, work: Callable[[], None]) -> Cost:
    """Do something a few times and take the mean."""
    work()
    cpu, began = cpu_seconds(subject.pid), time.perf_counter()
    for _ in range(count):
        work()
    wall = time.perf_counter() - began
    return Cost((cpu_seconds(subject.pid) - cpu) * 1000 / count, wall * 1000 / count)


def rows(name: str, subject: Subject) -> Iterator[str]:
    """Measure a server; yields the rows of its table."""
    with httpx.Client(headers=HEADERS, timeout=120) as client:
        for megabytes, count in RUNS:
            content = MEGABYTE * megabytes
            urls: list[str] = []

            def upload(content: bytes = content, urls: list[str] = urls) -> None:
                answer = client.post(f"{subject.url}/files/a.bin", content=content)
                answer.raise_for_status()
                urls.append(answer.json()["url"])

            def download(urls: list[str] = urls) -> None:
                with client.stream("GET", urls[0]) as answer:
                    for _ in answer.iter_raw(1 << 20):
                        pass

            for kind, work in (("upload", upload), ("download", download)):
                cost = measure(subject, count, work)
                memory = peak_mb(subject.pid)
                figures = f"{cost.cpu_ms:,.1f} | {cost.wall_ms:,.1f} | {memory:,.0f}"
                yield f"| {name} | {kind} {megabytes} MB | {figures} |"


def main() -> None:
    """Measure server after server and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--server", action="append", choices=list(SUBJECTS), help="default: all")
    chosen = parser.parse_args()
    print("| server | | CPU ms | wall ms | peak MB |\n|---|---|---|---|---|")
    for name, start in SUBJECTS.items():
        if not chosen.server or name in chosen.server:
            with start() as subject:
                for row in rows(name, subject):
                    print(row, flush=True)


if __name__ == "__main__":
    main()
