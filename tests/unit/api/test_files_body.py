"""Bodies of uploads: counted, and waited for only so long."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

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


async def read(*messages: dict[str, object], limit: int = 10) -> Sequence[bytes]:
    too_large = HttpError(413, "too large")
    return [content async for content in files.pieces(receiving(*messages), limit, too_large)]


async def test_a_body_is_passed_on_piece_by_piece() -> None:
    assert await read(piece(b"12345"), piece(b""), piece(b"67890", more=False)) == [b"12345", b"67890"]


async def test_bytes_are_counted() -> None:
    with pytest.raises(HttpError, match="too large"):
        await read(piece(b"12345"), piece(b"678901", more=False))


async def test_a_client_that_leaves_ends_its_upload() -> None:
    with pytest.raises(ClientGone):
        await read(piece(b"12345"), {"type": "http.disconnect"})


async def test_a_client_that_sends_nothing_more_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "IDLE_SECONDS", 0.01)
    with pytest.raises(HttpError) as refusal:
        await read(piece(b"12345"))
    assert refusal.value.status == 408
