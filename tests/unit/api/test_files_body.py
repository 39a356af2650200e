"""Bodies of uploads: counted, and waited for only so long."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Callable, Sequence

import pytest

from parse_clone.api.rest import request
from parse_clone.api.rest.request import ClientGone, Receive
from parse_clone.api.rest.responses import HttpError
from parse_clone.api.rest.routes import files


def receiving(*messages: dict[str, object]) -> Receive:
    """A client that sends these messages and then nothing, without leaving."""
    waiting = list(messages)

    async def receive() -> dict[str, object]:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    return receive


def piece(content: bytes, *, more: bool = True) -> dict[str, object]:
    return {"type": "http.request", "body": content, "more_body": more}


async def read(*messages: dict[str, object], limit: int = 10, encoding: str | None = None) -> Sequence[bytes]:
    too_large = HttpError(413, "too large")
    content = files.plain_pieces(receiving(*messages), encoding, limit, too_large)
    return [part async for part in content]


async def test_a_body_is_passed_on_piece_by_piece() -> None:
    assert await read(piece(b"12345"), piece(b""), piece(b"67890", more=False)) == [b"12345", b"67890"]


async def test_bytes_are_counted() -> None:
    with pytest.raises(HttpError, match="too large"):
        await read(piece(b"12345"), piece(b"678901", more=False))


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_what_is_compressed_is_inflated_piece_by_piece(
    encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    content = bytes(range(256)) * 1000 + b"\0" * 300_000
    small = [compress(content)[at : at + 7000] for at in range(0, len(compress(content)), 7000)]
    sent = [*(piece(part) for part in small), piece(b"", more=False)]
    plain = await read(*sent, limit=len(content), encoding=encoding)
    assert b"".join(plain) == content
    assert max(map(len, plain)) <= files.CHUNK


async def test_bytes_are_counted_as_they_come_out() -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    assert len(bomb) < 20_000
    with pytest.raises(HttpError, match="too large"):
        await read(piece(bomb, more=False), limit=1_000_000, encoding="gzip")


@pytest.mark.parametrize(
    "content",
    [b"plain", gzip.compress(b"cut")[:-9], b"", gzip.compress(b"twice") * 2],
    ids=["plain", "cut", "nothing", "twice"],  # what is compressed names the second it was made in
)
async def test_what_is_not_compressed_as_it_says_is_refused(content: bytes) -> None:
    for pieces in ([content], [content[: len(content) // 2], content[len(content) // 2 :]]):
        sent = [piece(part) for part in pieces]
        with pytest.raises(HttpError) as refusal:
            await read(*sent, piece(b"", more=False), limit=100, encoding="gzip")
        assert refusal.value.status == 400


async def test_an_encoding_that_nobody_knows_is_refused() -> None:
    with pytest.raises(HttpError) as refusal:
        await read(piece(b"x", more=False), encoding="br")
    assert refusal.value.status == 415


async def test_a_client_that_leaves_ends_its_upload() -> None:
    with pytest.raises(ClientGone):
        await read(piece(b"12345"), {"type": "http.disconnect"})


async def test_a_client_that_sends_nothing_more_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "IDLE_SECONDS", 0.01)
    with pytest.raises(HttpError) as refusal:
        await read(piece(b"12345"))
    assert refusal.value.status == 408
