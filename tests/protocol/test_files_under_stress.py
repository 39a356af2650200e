"""Files when things go wrong: a server killed in the middle, bodies that lie, and many slow clients."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from parse_clone.settings import FileUpload
from tests.servers import APP_ID, MASTER_KEY, REST_KEY, RunningServer, free_port, wait_for_port

KEYS = {"X-Parse-Application-Id": APP_ID, "X-Parse-REST-API-Key": REST_KEY}


@pytest.fixture(scope="module")
def server(start_server: Callable[..., RunningServer]) -> RunningServer:
    return start_server(file_upload=FileUpload(enable_for_public=True))


def connect(server: RunningServer, length: int) -> socket.socket:
    """Begin an upload on a bare socket."""
    address = urlsplit(server.url)
    connection = socket.create_connection((str(address.hostname), address.port or 80), timeout=20)
    lines = [f"POST {address.path}/files/slow.bin HTTP/1.1", f"Host: {address.netloc}"]
    lines += [f"{name}: {value}" for name, value in KEYS.items()]
    lines += ["Content-Type: application/octet-stream", f"Content-Length: {length}", "", ""]
    connection.sendall("\r\n".join(lines).encode())
    return connection


def test_slow_uploads_do_not_slow_down_others(server: RunningServer) -> None:
    with ExitStack() as stack, httpx.Client(headers=KEYS) as client:
        slow = [stack.enter_context(connect(server, 1000)) for _ in range(50)]
        for connection in slow:
            connection.sendall(b"x" * 10)
        answers = [client.get(f"{server.url}/classes/Nothing").status_code for _ in range(20)]
        assert answers == [200] * 20
        assert client.post(f"{server.url}/files/fast.txt", content=b"fast").status_code == 201
        for connection in slow:
            connection.sendall(b"x" * 990)
        for connection in slow:
            assert connection.recv(100).startswith(b"HTTP/1.1 201")


def test_a_client_that_hangs_up_leaves_nothing(server: RunningServer) -> None:
    folder = Path(str(server.settings.files_url).removeprefix("file://"))
    with connect(server, 1_000_000) as connection:
        connection.sendall(b"x" * 500_000)
        time.sleep(0.2)
    deadline = time.monotonic() + 10
    while any(path.suffix == "" for path in folder.glob(".incoming/[!.]*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(folder.glob(".incoming/[!.]*")) == []
    assert not list(folder.glob("*slow.bin*")) or all(
        path.stat().st_size == 1000 for path in folder.glob("*slow.bin*")
    )


def test_bytes_beyond_the_length_are_no_part_of_the_file(server: RunningServer) -> None:
    folder = Path(str(server.settings.files_url).removeprefix("file://"))
    with connect(server, 5) as connection:
        connection.sendall(b"12345GARBAGE-NO-REQUEST\r\n\r\n")
        assert connection.recv(4096).startswith((b"HTTP/1.1 400", b"HTTP/1.1 201"))
    assert not any(b"GARBAGE" in path.read_bytes() for path in folder.glob("*slow.bin"))


# --- Killed in the middle --------------------------------------------------------------------------------


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[Callable[[], tuple[subprocess.Popen[bytes], str]]]:
    """Serve from a process that can be killed, each time over the same data."""
    processes: list[subprocess.Popen[bytes]] = []

    def start() -> tuple[subprocess.Popen[bytes], str]:
        port = free_port()
        environment = {
            **os.environ,
            "PARSE_SERVER_APPLICATION_ID": APP_ID,
            "PARSE_SERVER_MASTER_KEY": MASTER_KEY,
            "PARSE_SERVER_DATABASE_URI": f"sqlite:///{tmp_path}/parse.sqlite3",
            "PARSE_SERVER_SILENT": "1",
        }
        command = [sys.executable, "-m", "parse_clone", "serve", "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(command, env=environment)
        processes.append(process)
        wait_for_port(port)
        return process, f"http://127.0.0.1:{port}/parse"

    yield start
    for process in processes:
        process.kill()
        process.wait()


def test_a_killed_server_keeps_what_it_answered_and_shows_no_half_file(
    start_process: Callable[[], tuple[subprocess.Popen[bytes], str]], tmp_path: Path
) -> None:
    headers = {"X-Parse-Application-Id": APP_ID, "X-Parse-Master-Key": MASTER_KEY}
    process, url = start_process()
    answered: dict[str, int] = {}
    began = threading.Event()

    def upload(number: int) -> None:
        size = 200_000 + number * 1000
        for round_number in range(100):
            try:
                answer = httpx.post(
                    f"{url}/files/{number}x{round_number}.bin", content=bytes(size), headers=headers
                )
            except httpx.HTTPError:
                return
            answered[answer.json()["name"]] = size
            began.set()

    with ThreadPoolExecutor(6) as pool:
        uploads = [pool.submit(upload, number) for number in range(6)]
        assert began.wait(20)
        time.sleep(0.5)
        process.send_signal(signal.SIGKILL)
        for done in uploads:
            done.result()
    process.wait()
    _, url = start_process()
    assert answered
    with httpx.Client() as client:
        for name, size in answered.items():
            assert len(client.get(f"{url}/files/{APP_ID}/{name}").content) == size
        for path in (tmp_path / "files").glob("*.bin"):
            number = int(path.name.partition("_")[2].partition("x")[0])
            assert path.stat().st_size == 200_000 + number * 1000


# --- Memory ----------------------------------------------------------------------------------------------


def resident(process: subprocess.Popen[bytes], kind: str = "VmHWM") -> int:
    """Memory of a process in bytes: the most it had."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(kind)).split()[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_a_large_file_costs_little_memory(start_process: Any) -> None:
    process, url = start_process()
    headers = {"X-Parse-Application-Id": APP_ID, "X-Parse-Master-Key": MASTER_KEY}
    httpx.post(f"{url}/files/warm.bin", content=b"warm", headers=headers)
    before, size = resident(process), 60_000_000
    pieces = (bytes(100_000) for _ in range(size // 100_000))
    more = {"X-Parse-File-Max-Upload-Size": "100mb"}
    answer = httpx.post(f"{url}/files/large.bin", content=pieces, headers={**headers, **more}, timeout=60)
    assert answer.status_code == 201, answer.text
    received = 0
    with httpx.stream("GET", answer.json()["url"]) as stream:
        for piece in stream.iter_bytes():
            received += len(piece)
    assert received == size
    assert resident(process) - before < 12_000_000
