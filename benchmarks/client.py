"""A Parse client that costs next to nothing: prepared requests on keep-alive connections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import urlsplit

APP_ID = "bench"
MASTER_KEY = "bench-master-key"
REST_KEY = "bench-rest-key"

Answered = Callable[[int, bytes], None]


class Connection(asyncio.Protocol):
    """One connection, one request in flight."""

    def __init__(self) -> None:
        self._received = b""
        self._answered: Answered | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._answer(0, b"connection lost")

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def send(self, request: bytes, answered: Answered) -> None:
        """Send a request; `answered` gets status and body."""
        if self._transport is None:
            answered(0, b"connection lost")
            return
        self._answered = answered
        self._transport.write(request)

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def _answer(self, status: int, body: bytes) -> None:
        answered, self._answered = self._answered, None
        if answered is not None:
            answered(status, body)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        body = read_body(self._received[:end].lower(), self._received[end + 4 :])
        if body is not None:
            status = int(self._received[9:12])
            self._received = b""
            self._answer(status, body)


def read_body(head: bytes, received: bytes) -> bytes | None:
    """The body of an answer, or None as long as it is not complete."""
    _, found, rest = head.partition(b"\r\ncontent-length:")
    if found:
        length = int(rest.split(b"\r\n", 1)[0])
        return received[:length] if len(received) >= length else None
    if b"transfer-encoding: chunked" not in head:
        return b""
    if not received.endswith(b"0\r\n\r\n"):
        return None
    body = b""
    while received:
        size, _, received = received.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        body += received[:length]
        received = received[length + 2 :]
    return body


class Api:
    """Builds requests for one server, and makes single calls."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port, self.path = parts.hostname or "", parts.port or 80, parts.path

    def request(
        self, method: str, path: str, body: Any = None, *, master: bool = False, session: str = ""
    ) -> bytes:
        """Write a request."""
        key = f"X-Parse-Master-Key: {MASTER_KEY}" if master else f"X-Parse-REST-API-Key: {REST_KEY}"
        lines = [
            f"{method} {self.path}{path} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            f"X-Parse-Application-Id: {APP_ID}",
            key,
        ]
        if session:
            lines.append(f"X-Parse-Session-Token: {session}")
        payload = b""
        if body is not None:
            payload = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
            lines += ["Content-Type: application/json", f"Content-Length: {len(payload)}"]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + payload

    async def connect(self) -> Connection:
        """Open a connection."""
        _, connection = await asyncio.get_running_loop().create_connection(Connection, self.host, self.port)
        return connection

    async def call(self, connection: Connection, request: bytes) -> Any:
        """Make one call that has to succeed; returns the decoded answer."""
        done: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        connection.send(request, lambda status, body: done.set_result((status, body)))
        status, body = await done
        if status not in (200, 201):
            raise RuntimeError(f"{request[:100]!r} was answered {status}: {body[:400]!r}")
        return json.loads(body)
