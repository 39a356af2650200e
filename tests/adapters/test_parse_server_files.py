"""The npm parse-server and this file store share a database: each reads the files that the other wrote, in
the clear and encrypted."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from uuid import uuid4

import pytest

from parse_clone.adapters.files.gridfs import GridFsFiles
from parse_clone.adapters.files.parse_server_encryption import ParseServerEncryption
from parse_clone.ports import FileStore
from tests import parse_server
from tests.parse_server import Client
from tests.servers import APP_ID

CONTENT = bytes(range(256)) * 3000
KEYS = ("", "a secret of the settings")


@pytest.fixture(scope="module", params=KEYS, ids=["in the clear", "encrypted"])
def key(request: pytest.FixtureRequest) -> str:
    """The encryption key of both servers."""
    return str(request.param)


@pytest.fixture(scope="module")
def database_uri(mongo_uri: str, key: str) -> str:
    """An empty database."""
    return f"{mongo_uri}/files_{uuid4().hex[:12]}"


@pytest.fixture(scope="module")
def other(database_uri: str, key: str) -> Iterator[Client]:
    """The npm parse-server."""
    with parse_server.running(database_uri, encryption_key=key) as running:
        yield running


@pytest.fixture
async def files(database_uri: str, key: str) -> AsyncIterator[FileStore]:
    """This server's file store on the shared database."""
    opened: FileStore = GridFsFiles(database_uri)
    if key:
        opened = ParseServerEncryption(opened, key)
    yield opened
    await opened.close()


async def in_pieces(content: bytes) -> AsyncGenerator[bytes, None]:
    for at in range(0, len(content), 100_000):
        yield content[at : at + 100_000]


async def test_a_file_of_this_store_is_read_by_parse_server(other: Client, files: FileStore) -> None:
    await files.write("labs/ours.bin", in_pieces(CONTENT), "application/octet-stream", {"ward": "7"}, {})
    answer = other.http.get(f"/files/{APP_ID}/labs/ours.bin")
    assert answer.content == CONTENT
    metadata = other.http.get(f"/files/{APP_ID}/metadata/labs/ours.bin").json()
    assert metadata == {"metadata": {"ward": "7"}}


async def test_a_file_of_parse_server_is_read_by_this_store(other: Client, files: FileStore) -> None:
    headers = {**other.all_headers, "Content-Type": "application/octet-stream"}
    name = other.http.post("/files/theirs.bin", content=CONTENT, headers=headers).json()["name"]
    found = await files.stat(name)
    assert found is not None
    assert (found.size, found.metadata) == (len(CONTENT), {})
    assert b"".join([piece async for piece in files.read(name, 0, found.size)]) == CONTENT
    part = b"".join([piece async for piece in files.read(name, 300_001, 300_101)])
    assert part == CONTENT[300_001:300_101]


async def test_a_file_deleted_by_parse_server_is_gone(other: Client, files: FileStore) -> None:
    await files.write("gone.txt", in_pieces(b"x"), "text/plain", {}, {})
    assert other.http.delete("/files/gone.txt", headers=other.all_headers).status_code == 200
    assert await files.stat("gone.txt") is None
