"""What every file store promises: whole files or none, ranges, names, times, and nothing left over."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import boto3
import httpx
import pytest
from bson import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer
from pymongo import AsyncMongoClient

from parse_clone.adapters.files.encrypted import EncryptedFiles
from parse_clone.adapters.files.gridfs import GridFsFiles
from parse_clone.adapters.files.local import LocalFiles
from parse_clone.adapters.files.parse_server_encryption import ParseServerEncryption
from parse_clone.adapters.files.s3 import PART, S3Files
from parse_clone.ports import FileStore

STORES = ("local", "s3", "gridfs", "encrypted directory", "encrypted gridfs", "gridfs of parse-server")
LONG = bytes(range(256)) * 4000  # four chunks of GridFS, and a bit


@pytest.fixture(params=STORES)
async def files(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[FileStore]:
    """An empty file store."""
    opened: FileStore
    match request.param:
        case "local":
            opened = LocalFiles(tmp_path / "files")
        case "s3":
            opened = open_bucket(request.getfixturevalue("s3_url"))
        case "encrypted directory":
            opened = EncryptedFiles(LocalFiles(tmp_path / "files"), {"1": "a secret"})
        case kind:
            opened = GridFsFiles(f"{request.getfixturevalue('mongo_uri')}/files_{uuid4().hex}")
            if kind == "encrypted gridfs":
                opened = EncryptedFiles(opened, {"1": "a secret"})
            elif kind == "gridfs of parse-server":
                opened = ParseServerEncryption(opened, "a secret")
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """A server that speaks the protocol of S3."""
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def open_bucket(url: str, **options: Any) -> S3Files:
    """A store in a new bucket."""
    bucket = f"files-{uuid4().hex}"
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_bucket(Bucket=bucket)
    client.close()
    return S3Files(bucket, "app/", endpoint_url=url, access_key="test", secret_key="test", **options)


async def stream(*pieces: bytes, failure: Exception | None = None) -> AsyncGenerator[bytes, None]:
    for piece in pieces:
        yield piece
    if failure is not None:
        raise failure


async def write(files: FileStore, name: str, *pieces: bytes) -> int:
    return await files.write(name, stream(*pieces), "application/octet-stream", {}, {})


async def read(files: FileStore, name: str, start: int = 0, end: int | None = None) -> bytes:
    if end is None:
        found = await files.stat(name)
        assert found is not None
        end = found.size
    return b"".join([piece async for piece in files.read(name, start, end)])


async def names(files: FileStore) -> set[str]:
    return {name async for name, _ in files.list_names()}


async def test_a_file_is_read_as_it_was_written(files: FileStore) -> None:
    assert await write(files, "a.bin", LONG[:7], b"", LONG[7:300_000], LONG[300_000:]) == len(LONG)
    assert await read(files, "a.bin") == LONG


async def test_a_directory_is_part_of_the_name(files: FileStore) -> None:
    await write(files, "labs/2026/a.txt", b"one")
    await write(files, "labs/a.txt", b"two")
    assert await read(files, "labs/2026/a.txt") == b"one"
    assert await names(files) == {"labs/2026/a.txt", "labs/a.txt"}


@pytest.mark.parametrize("start", [0, 1, 261_119, 261_120, 261_121, 700_000])
@pytest.mark.parametrize("size", [1, 2, 261_120, 300_001])
async def test_a_range_is_read(files: FileStore, start: int, size: int) -> None:
    await write(files, "a.bin", LONG)
    end = min(len(LONG), start + size)
    assert await read(files, "a.bin", start, end) == LONG[start:end]


async def test_metadata_are_kept_and_replaced(files: FileStore) -> None:
    await files.write("a.txt", stream(b"x"), "text/plain", {"owner": "ward", "n": 1}, {"tag": "v"})
    found = await files.stat("a.txt")
    assert found is not None
    assert {key.lower(): str(value) for key, value in found.metadata.items()} == {
        "owner": "ward",
        "n": "1",
    }
    await write(files, "a.txt", b"longer")
    found = await files.stat("a.txt")
    assert found is not None
    assert (found.size, found.metadata) == (6, {})


async def test_the_time_of_the_last_write_is_told(files: FileStore) -> None:
    await write(files, "a.txt", b"x")
    found = await files.stat("a.txt")
    listed = [moment async for _, moment in files.list_names()]
    assert found is not None
    assert [moment.replace(microsecond=0) for moment in listed] == [found.modified.replace(microsecond=0)]
    assert abs(datetime.now(UTC) - found.modified) < timedelta(minutes=5)


async def test_what_is_not_there_is_not_there(files: FileStore) -> None:
    assert await files.stat("none.txt") is None
    assert await files.delete("none.txt") is False
    assert await names(files) == set()
    with pytest.raises(FileNotFoundError):
        await read(files, "none.txt", 0, 1)


async def test_a_deleted_file_is_gone_with_all_its_states(files: FileStore) -> None:
    await write(files, "a.txt", b"one")
    await write(files, "a.txt", b"two")
    assert await files.delete("a.txt") is True
    assert await files.stat("a.txt") is None
    assert await files.delete("a.txt") is False


async def test_a_failed_write_leaves_what_was_there(files: FileStore) -> None:
    await write(files, "a.txt", b"before")
    for name in ("a.txt", "b.txt"):
        with pytest.raises(RuntimeError, match="the client hung up"):
            await files.write(
                name, stream(LONG, failure=RuntimeError("the client hung up")), "text/plain", {"n": 1}, {}
            )
    assert await read(files, "a.txt") == b"before"
    assert await files.stat("b.txt") is None
    assert await names(files) == {"a.txt"}


async def test_a_reader_sees_one_state_of_a_file(files: FileStore) -> None:
    await write(files, "a.bin", LONG)
    reading = files.read("a.bin", 0, len(LONG))
    first = await anext(reading)
    await write(files, "a.bin", b"x" * len(LONG))
    assert first + b"".join([piece async for piece in reading]) == LONG
    assert await read(files, "a.bin") == b"x" * len(LONG)


async def test_a_sweep_leaves_files_alone(files: FileStore) -> None:
    await write(files, "a.bin", b"old")
    await write(files, "a.bin", LONG)
    await files.sweep(datetime.now(UTC) + timedelta(hours=1))
    assert await read(files, "a.bin") == LONG
    assert await files.sweep(datetime.now(UTC) + timedelta(hours=1)) == 0


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 200_000), max_size=5), st.integers(0, 10**6), st.integers(0, 10**6))
async def test_any_part_of_any_pieces(files: FileStore, cuts: list[int], one: int, other: int) -> None:
    edges = [0, *sorted(min(cut * 5, len(LONG)) for cut in cuts), len(LONG)]
    await write(files, "a.bin", *[LONG[a:b] for a, b in pairwise(edges)])
    start, end = sorted((min(one, len(LONG)), min(other, len(LONG))))
    assert await read(files, "a.bin", start, end) == LONG[start:end]


# --- Encryption ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 3 * 65_536, len(LONG)])
async def test_nothing_readable_is_stored(tmp_path: Path, size: int) -> None:
    below = LocalFiles(tmp_path)
    files = EncryptedFiles(below, {"1": "a secret"})
    content = (b"patient Doe " * (size // 12 + 1))[:size]
    assert await write(files, "a.txt", content) == size
    stored = await read(below, "a.txt")
    assert b"patient" not in stored
    assert len(stored) == 64 + size + 16 * max(1, -(-size // 65_536))
    assert await read(files, "a.txt") == content


@pytest.mark.parametrize("damage", ["bit", "cut", "swapped chunks", "other name", "header", "longer"])
async def test_what_was_altered_is_not_read(tmp_path: Path, damage: str) -> None:
    files = EncryptedFiles(LocalFiles(tmp_path), {"1": "a secret"})
    await write(files, "a.txt", LONG)
    path = tmp_path / "a.txt"
    stored = bytearray(path.read_bytes())
    chunk, name = 65_552, "a.txt"
    match damage:
        case "bit":
            stored[64 + chunk + 100] ^= 1
        case "cut":
            del stored[64 + 2 * chunk :]
        case "swapped chunks":
            one, two = stored[64 : 64 + chunk], stored[64 + chunk : 64 + 2 * chunk]
            stored[64 : 64 + 2 * chunk] = two + one
        case "other name":
            name = "b.txt"
        case "header":
            stored[60] ^= 1
        case "longer":
            stored += b"x" * 30
    (tmp_path / name).write_bytes(stored)
    with pytest.raises(OSError, match="not authentic"):
        await read(files, name)


async def test_a_file_of_an_unknown_key_is_not_read(tmp_path: Path) -> None:
    await write(EncryptedFiles(LocalFiles(tmp_path), {"1": "a secret"}), "a.txt", LONG)
    with pytest.raises(OSError, match="do not have: 1"):
        await read(EncryptedFiles(LocalFiles(tmp_path), {"2": "another"}), "a.txt")
    with pytest.raises(OSError, match="not authentic"):
        await read(EncryptedFiles(LocalFiles(tmp_path), {"1": "another"}), "a.txt")


async def test_renewing_takes_every_older_form_to_the_current_key(tmp_path: Path) -> None:
    below = LocalFiles(tmp_path)
    await below.write("plain.txt", stream(b"plain"), "text/plain", {"n": 1}, {})
    await write(EncryptedFiles(below, {"1": "a secret"}), "old.txt", LONG)
    files = EncryptedFiles(below, {"2": "another", "1": "a secret"})
    assert await read(files, "plain.txt") == b"plain"
    assert await read(files, "old.txt") == LONG
    assert [await files.renew(name) for name in ("plain.txt", "old.txt", "old.txt", "none.txt")] == [
        True,
        True,
        False,
        False,
    ]
    alone = EncryptedFiles(below, {"2": "another"})
    assert await read(alone, "old.txt") == LONG
    found = await alone.stat("plain.txt")
    assert found is not None
    assert (found.size, found.metadata) == (5, {"n": 1})


async def test_renewing_takes_parse_servers_encryption_to_the_current_key(mongo_uri: str) -> None:
    below = GridFsFiles(f"{mongo_uri}/files_{uuid4().hex}")
    theirs = ParseServerEncryption(below, "their secret")
    await theirs.write("old.bin", stream(LONG), "text/plain", {"n": 1}, {})
    files = EncryptedFiles(below, {"1": "a secret"}, theirs)
    assert await read(files, "old.bin", 300_000, 300_010) == LONG[300_000:300_010]
    assert [await files.renew("old.bin") for _ in range(2)] == [True, False]
    alone = EncryptedFiles(below, {"1": "a secret"})
    found = await alone.stat("old.bin")
    assert found is not None
    assert (found.size, found.metadata) == (len(LONG), {"n": 1})
    assert await read(alone, "old.bin") == LONG
    assert await files.sweep(datetime.now(UTC) + timedelta(hours=1)) == 1  # what it was before
    assert await read(alone, "old.bin") == LONG
    await below.close()


@pytest.mark.parametrize("kind", ["local", "gridfs"])
async def test_what_is_deleted_while_it_is_renewed_stays_deleted(
    request: pytest.FixtureRequest, kind: str, tmp_path: Path
) -> None:
    below: FileStore
    if kind == "local":
        below = LocalFiles(tmp_path)
    else:
        below = GridFsFiles(f"{request.getfixturevalue('mongo_uri')}/files_{uuid4().hex}")
    await write(below, "a.txt", LONG)
    found = await below.stat("a.txt")

    async def deleting() -> AsyncGenerator[bytes, None]:
        yield LONG
        await below.delete("a.txt")

    with pytest.raises(FileNotFoundError):
        await below.write("a.txt", deleting(), "text/plain", {}, {}, replacing=found)
    assert await below.stat("a.txt") is None
    await below.close()


async def test_a_file_can_be_read_while_it_is_renewed(tmp_path: Path) -> None:
    await write(EncryptedFiles(LocalFiles(tmp_path), {"1": "a secret"}), "a.txt", LONG)
    files = EncryptedFiles(LocalFiles(tmp_path), {"2": "another", "1": "a secret"})
    reading = files.read("a.txt", 0, len(LONG))
    first = await anext(reading)
    assert await files.renew("a.txt") is True
    assert first + b"".join([piece async for piece in reading]) == LONG


# --- S3 --------------------------------------------------------------------------------------------------


async def test_a_large_file_goes_in_parts(s3_url: str) -> None:
    files = open_bucket(s3_url, server_side_encryption="AES256")
    content = b"0123456789abcdef" * (PART // 16 * 2 + 1000)
    pieces = [content[at : at + 100_000] for at in range(0, len(content), 100_000)]
    assert await write(files, "scan.dcm", *pieces) == len(content)
    assert await read(files, "scan.dcm") == content
    assert await read(files, "scan.dcm", PART - 5, PART + 5) == content[PART - 5 : PART + 5]
    await files.close()


async def test_an_upload_in_parts_that_fails_leaves_nothing(s3_url: str) -> None:
    files = open_bucket(s3_url)
    with pytest.raises(RuntimeError):
        await files.write(
            "scan.dcm", stream(bytes(PART), b"more", failure=RuntimeError("gone")), "image/x", {}, {}
        )
    assert await names(files) == set()
    assert await files.sweep(datetime.now(UTC) + timedelta(hours=1)) == 0
    await files.close()


async def test_tags_and_metadata_are_those_of_the_bucket(s3_url: str) -> None:
    files = open_bucket(s3_url)
    tags, metadata = {"kind": "lab report", "ward": "7=8"}, {"n": 1}
    await files.write("a.txt", stream(b"x"), "text/plain", metadata, tags)
    place = {"Bucket": files._bucket, "Key": "app/a.txt"}
    found = files._client.get_object_tagging(**place)["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in found} == tags
    head = files._client.head_object(**place)
    assert (head["Metadata"], head["ContentType"]) == ({"n": "1"}, "text/plain")
    await files.close()


async def test_a_presigned_url_leads_to_the_bucket(s3_url: str) -> None:
    files = open_bucket(s3_url, presigned_seconds=60)
    await write(files, "labs/a b.txt", b"content")
    headers = {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Disposition": "attachment;filename=a.txt",
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
    }
    url = await files.location("labs/a b.txt", headers)
    assert url is not None
    query = parse_qs(urlsplit(url).query)
    assert int(query["Expires"][0]) <= time.time() + 61
    wishes = {
        name.removeprefix("response-"): value[0] for name, value in query.items() if "response-" in name
    }
    del headers["X-Content-Type-Options"]
    assert wishes == {name.lower(): value for name, value in headers.items()}
    async with httpx.AsyncClient() as client:
        assert (await client.get(url)).content == b"content"
    await files.close()


# --- A directory -----------------------------------------------------------------------------------------


async def test_nobody_else_reads_the_directory(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path / "files")
    await files.write("labs/2026/a.txt", stream(b"x"), "text/plain", {"n": 1}, {})
    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "files").rglob("*")}
    assert modes == {0}


async def test_what_was_left_behind_is_swept(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    for name in ("labs/a.txt", "b.txt"):
        await files.write(name, stream(b"x"), "text/plain", {"n": 1}, {})
    (tmp_path / ".incoming" / "interrupted").write_bytes(b"half")
    (tmp_path / "b.txt").unlink()
    assert await files.sweep(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert await files.sweep(datetime.now(UTC) + timedelta(hours=1)) == 2
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"labs/a.txt", ".metadata/labs/a.txt.json"}


async def test_a_folder_and_a_file_of_one_name_are_a_failure_of_the_system(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    await write(files, "labs", b"x")
    with pytest.raises(OSError):
        await write(files, "labs/a.txt", b"x")
    assert await files.stat("labs/a.txt") is None
    assert await read(files, "labs") == b"x"
    assert [path.name for path in (tmp_path / ".incoming").glob("[!.]*")] == []


# --- GridFS ----------------------------------------------------------------------------------------------


async def test_chunks_without_a_file_are_swept(mongo_uri: str) -> None:
    uri = f"{mongo_uri}/files_{uuid4().hex}"
    files = GridFsFiles(uri)
    await write(files, "a.bin", LONG)
    client: AsyncMongoClient[Any] = AsyncMongoClient(uri)
    chunks = client.get_default_database()["fs.chunks"]
    await chunks.insert_one({"files_id": ObjectId(), "n": 0, "data": b"half"})
    assert await files.sweep(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert await files.sweep(datetime.now(UTC) + timedelta(hours=1)) == 1
    assert await chunks.count_documents({}) == 4
    assert await read(files, "a.bin") == LONG
    await client.close()
    await files.close()


async def test_a_bucket_that_cannot_be_reached_is_a_failure_of_the_system() -> None:
    files = S3Files("none", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")
    with pytest.raises(OSError, match="S3 failed"):
        await files.stat("a.txt")
    await files.close()
