"""Files when things go wrong: a server killed in the middle, bodies that lie, and many slow clients."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from parse_clone.adapters.files.encrypted import EncryptedFiles
from parse_clone.adapters.files.local import LocalFiles
from parse_clone.app import opened_toolbox
from parse_clone.configuration import load_settings
from parse_clone.core.sealed_chunks import HEADER, read_key_id
from parse_clone.ports import FileStore
from parse_clone.services.file_cleaning import clean_files
from parse_clone.settings import FileUpload, S3Options
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

Start = Callable[..., tuple[subprocess.Popen[bytes], str]]
MASTER = {"X-Parse-Application-Id": APP_ID, "X-Parse-Master-Key": MASTER_KEY}


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[Start]:
    """Serve from a process that can be killed, each time over the same data."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(**environment: str) -> tuple[subprocess.Popen[bytes], str]:
        port = free_port()
        command = [sys.executable, "-m", "parse_clone", "serve", "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(command, env=environment_of(tmp_path, environment))
        processes.append(process)
        wait_for_port(port)
        return process, f"http://127.0.0.1:{port}/parse"

    yield start
    for process in processes:
        process.kill()
        process.wait()


def environment_of(tmp_path: Path, more: Mapping[str, str]) -> dict[str, str]:
    """The settings of a process over the data of a test."""
    return {
        **os.environ,
        "PARSE_SERVER_APPLICATION_ID": APP_ID,
        "PARSE_SERVER_MASTER_KEY": MASTER_KEY,
        "PARSE_SERVER_DATABASE_URI": f"sqlite:///{tmp_path}/parse.sqlite3",
        "SILENT": "1",
        **more,
    }


@contextmanager
def uploading(url: str, sizes: tuple[int, ...], answered: dict[str, int]) -> Iterator[None]:
    """Upload files of these sizes again and again, until the server is gone or the block ends."""
    began, over = threading.Event(), threading.Event()

    def upload(size: int) -> None:
        while not over.is_set():
            try:
                answer = httpx.post(
                    f"{url}/files/{size}.bin", content=bytes(size), headers=MASTER, timeout=60
                )
            except httpx.HTTPError:
                return
            answered[answer.json()["name"]] = size
            began.set()
            time.sleep(0.01)

    with ThreadPoolExecutor(len(sizes)) as pool:
        uploads = [pool.submit(upload, size) for size in sizes]
        try:
            assert began.wait(30)
            yield
        finally:
            over.set()
        for done in uploads:
            done.result()


async def check_whole(files: FileStore, name: str, size: int) -> None:
    """A file is there, whole."""
    content = b"".join([piece async for piece in files.read(name, 0, size)])
    found = await files.stat(name)
    assert (found is not None and found.size, content) == (size, bytes(size)), name


@pytest.mark.parametrize("store", ["encrypted directory", "gridfs", "s3"])
async def test_a_killed_server_keeps_what_it_answered_and_shows_no_half_file(
    start_process: Start, tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    environment: dict[str, str] = {}
    if store == "gridfs":
        uri = request.getfixturevalue("mongo_uri")
        environment["PARSE_SERVER_DATABASE_URI"] = f"{uri}/killed_{free_port()}"
    elif store == "s3":
        bucket: S3Options = request.getfixturevalue("bucket")
        environment = {
            "PARSE_SERVER_FILES_URL": "s3://files/app/",
            "S3_ENDPOINT_URL": str(bucket.endpoint_url),
            "S3_ACCESS_KEY": str(bucket.access_key),
            "S3_SECRET_KEY": str(bucket.secret_key),
        }
    else:
        environment["PARSE_SERVER_FILE_ENCRYPTION_KEYS"] = '{"1": "a secret"}'
    process, url = start_process(**environment)
    answered: dict[str, int] = {}
    with uploading(url, (100, 200_000, 900_000, 6_000_000), answered):
        time.sleep(0.7)
        process.send_signal(signal.SIGKILL)
    process.wait()
    async with opened_toolbox(load_settings({}, environment_of(tmp_path, environment), None)) as toolbox:
        files = toolbox.files
        assert answered
        assert files is not None
        names = {name async for name, _ in files.list_names()}
        assert answered.keys() <= names
        for name in names:
            await check_whole(files, name, int(name.rpartition("_")[2].removesuffix(".bin")))
        cleaning = await clean_files(toolbox, timedelta(seconds=-5))
        assert set(cleaning.orphans) == names
        assert await files.sweep(datetime.now(UTC) + timedelta(hours=1)) == 0
    left = [path for path in (tmp_path / "files").rglob("*") if path.is_file() and path.name != ".lock"]
    assert left == []


async def test_keys_are_rotated_while_the_server_serves_even_when_that_is_killed(
    start_process: Start, tmp_path: Path
) -> None:
    below = LocalFiles(tmp_path / "files")
    answered = {f"old_{number}.bin": 1000 * number for number in range(150)}
    for name, size in answered.items():
        content = blocks_of(bytes(size))
        await EncryptedFiles(below, {"1": "one"}).write(name, content, "image/png", {"size": size}, {})
    old = sorted(answered)
    environment = environment_of(tmp_path, {"PARSE_SERVER_FILE_ENCRYPTION_KEYS": '{"2": "two", "1": "one"}'})
    command = [sys.executable, "-m", "parse_clone", "files", "rotate-key"]
    _, url = start_process(**environment)
    with uploading(url, (200_000,), answered):
        rotation = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        while not any(is_sealed_with("2", tmp_path / "files" / name) for name in old):
            assert rotation.poll() is None
            time.sleep(0.02)
        rotation.kill()
        rotation.wait()
        keys = {"2": "two", "1": "one"}
        for name in old:
            await check_whole(EncryptedFiles(below, keys), name, answered[name])
        ended = await asyncio.to_thread(
            subprocess.run, command, env=environment, capture_output=True, text=True
        )
        assert (ended.returncode, ", 0 failed" in ended.stderr) == (0, True), ended.stderr
    alone = EncryptedFiles(below, {"2": "two"})
    assert {name async for name, _ in alone.list_names()} >= answered.keys()
    for name, size in answered.items():
        await check_whole(alone, name, size)
    found = await alone.stat("old_7.bin")
    assert found is not None
    assert found.metadata == {"size": 7000}


async def blocks_of(content: bytes) -> AsyncGenerator[bytes, None]:
    yield content


def is_sealed_with(key_id: str, path: Path) -> bool:
    """Does the header of a file name this key?"""
    with path.open("rb") as file:
        return read_key_id(file.read(HEADER)) == key_id


# --- Memory ----------------------------------------------------------------------------------------------


def resident(process: subprocess.Popen[bytes], kind: str = "VmHWM") -> int:
    """Memory of a process in bytes: the most it had."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(kind)).split()[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_a_large_file_costs_little_memory(start_process: Start) -> None:
    process, url = start_process(PARSE_SERVER_FILE_ENCRYPTION_KEYS='{"1": "a secret"}')
    headers = MASTER
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
