"""Where webhooks may not reach, and what they may not do to the server that calls them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from parse_clone.adapters.http import MOST_BYTES, HttpxSender

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def program(answer: bytes | None) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A program that answers everybody with the same bytes, or never; its port and what it was sent."""
    received: list[bytes] = []
    connections: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        received.append(await reader.readuntil(b"\r\n\r\n"))
        if answer is not None:
            with suppress(OSError):  # the caller may have heard enough
                writer.write(answer)
                await writer.drain()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], received
    finally:
        server.close()
        for writer in connections:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()


@asynccontextmanager
async def sender(*, allow_private: bool = False, timeout: float = 5) -> AsyncIterator[HttpxSender]:
    opened = HttpxSender(timeout, allow_private=allow_private)
    yield opened
    await opened.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:10.0.0.8]",
        "[64:ff9b::7f00:1]",
        "[fe80::1]",
        "10.0.0.8",
        "169.254.169.254",
        "localhost",
    ],
)
async def test_addresses_that_are_not_of_the_public_internet_are_refused(host: str) -> None:
    async with program(OK) as (port, received), sender() as calls:
        with pytest.raises(OSError, match=r"public internet|getaddrinfo|Name or service|No address|family"):
            await calls.post(f"http://{host}:{port}/", {}, b"{}")
    assert received == []


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://example.org/x", "http://", "nonsense", "http://[::1"]
)
async def test_what_is_no_web_address_is_refused(url: str) -> None:
    async with sender(allow_private=True) as calls:
        with pytest.raises(OSError, match=r"Error|Invalid|Unsupported"):
            await calls.post(url, {}, b"{}")


async def test_the_address_that_was_checked_is_the_one_that_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name server that answers a second question otherwise is not asked one."""
    asked: list[str] = []
    connected: list[str] = []
    loop = asyncio.get_running_loop()

    async def resolve(host: str, port: int, **options: object) -> list[tuple[object, ...]]:
        asked.append(host)
        address = "203.0.114.7" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    async def connect(sock: socket.socket, address: tuple[str, int]) -> None:
        connected.append(address[0])
        raise OSError("unreachable")

    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    monkeypatch.setattr(loop, "sock_connect", connect)
    async with sender() as calls:
        with pytest.raises(OSError, match=r"Error|Invalid|Unsupported"):
            await calls.post("http://rebinding.example.org/", {}, b"{}")
    assert asked[0] == "rebinding.example.org"
    assert "rebinding.example.org" not in asked[1:]
    assert set(connected) <= {"203.0.114.7"}


async def test_redirects_are_not_followed() -> None:
    async with program(OK) as (secret, received):
        moved = f"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:{secret}/\r\nContent-Length: 0\r\n\r\n"
        async with program(moved.encode()) as (port, _), sender(allow_private=True) as calls:
            assert await calls.post(f"http://127.0.0.1:{port}/", {}, b"{}") == (307, b"")
    assert received == []


async def test_the_whole_call_has_a_time_limit() -> None:
    async with program(None) as (port, received), sender(allow_private=True, timeout=0.1) as calls:
        with pytest.raises(OSError, match="Timeout"):
            await calls.post(f"http://127.0.0.1:{port}/", {}, b"{}")
        assert len(received) == 1


async def test_an_answer_may_not_fill_the_memory() -> None:
    huge = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MOST_BYTES + 1) + b"x" * (MOST_BYTES + 1)
    async with program(huge) as (port, _), sender(allow_private=True, timeout=30) as calls:
        with pytest.raises(OSError, match="too large"):
            await calls.post(f"http://127.0.0.1:{port}/", {}, b"{}")
