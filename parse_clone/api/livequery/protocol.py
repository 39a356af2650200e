"""uvicorn's WebSocket protocol with a short way out, and without patience for clients that do not read.

A text frame is a header and the text; nothing else has to be asked when the connection is open and not
congested. Several messages leave in one write: the system call is
most of what a frame costs.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Generator, Iterable
from typing import Any, cast

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import ProtocolError
from websockets.frames import CloseCode
from websockets.http11 import Request
from websockets.streams import StreamReader

from parse_clone.api.livequery.endpoint import SEND_MANY

WHOLE_TEXT = 0x81
"""The first byte of a frame that is a whole text message."""
FIRST_CONTROL = 8
"""Opcodes from here on are control frames."""
LARGEST_CONTROL = 125
LINGER_SECONDS = 10.0
"""How long a client may take to read what was sent before the end; then the connection is cut."""


class LiveQueryProtocol(WebSocketsSansIOProtocol):
    """Writes text frames without the detour through the state machine."""

    cut: asyncio.TimerHandle | None = None

    def handle_connect(self, event: Request) -> None:
        """Greet a client; the application starts in its own task, after the extension is in the scope."""
        super().handle_connect(event)
        if not self.close_sent:
            cast(dict[str, Any], self.scope["extensions"])[SEND_MANY] = {}

    async def send(self, message: ASGISendEvent) -> None:
        """Send a message of the ASGI application."""
        kind: str = message["type"]
        if kind == SEND_MANY:
            texts: Iterable[str] = cast(Any, message)["texts"]
        elif kind == "websocket.send" and (text := cast(Any, message).get("text")) is not None:
            texts = (text,)
        else:
            await super().send(message)
            if kind == "websocket.accept":
                del self.request, self.response  # 2 KB of each connection, for nobody
            return
        if self._flows:
            self.transport.write(text_frames(texts))
            return
        for text in texts:
            await super().send({"type": "websocket.send", "text": text})

    @property
    def _flows(self) -> bool:
        return (
            self.handshake_complete
            and not self.close_sent
            and not self.disconnected
            and self.initial_response is None
            and self.writable.is_set()
            and not self.transport.is_closing()
        )

    # --- Clients that break the protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is here: read anew, with our reader."""
        super().connection_made(transport)
        self.conn.reader = FrameReader()
        self.conn.parser = self.conn.parse()
        next(self.conn.parser)

    def send_receive_event_to_app(self) -> None:
        """Hand a message over. A text that is none ends the connection, and is nothing for the log: no server
        can help it."""
        if self.curr_msg_data_type == "text" and not self.close_sent and not is_utf8(self.frames):
            self.frames = []
            self.conn.send_close(CloseCode.INVALID_DATA)
            self.handle_parser_exception()
        else:
            super().send_receive_event_to_app()

    # --- Clients that do not read ---

    def handle_ping(self) -> None:
        """Answer a ping, unless the answers to the last ones still wait to be read."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def keepalive_timeout(self) -> None:
        """Cut the connection to a client that does not answer: what waits for him would keep it open."""
        super().keepalive_timeout()
        self.transport.abort()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """The application is done; the client has some time to read the rest."""
        super().on_task_complete(task)
        if not self.disconnected:
            self.cut = self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        super().connection_lost(exc)
        if self.cut is not None:
            self.cut.cancel()


class FrameReader(StreamReader):
    """Refuses a control frame that is too long by its header (RFC 6455, 5.5). The rest may never come, and
    what does come would be taken for it."""

    def __init__(self) -> None:
        super().__init__()
        self._parts = 0

    def read_exact(self, n: int) -> Generator[None, None, bytearray]:
        """Read the next part of a frame: header, long size if there is one, mask, payload."""
        part = yield from super().read_exact(n)
        if self._parts:
            self._parts -= 1
            return part
        size = part[1] & 0x7F
        if part[0] & 0x0F >= FIRST_CONTROL and size > LARGEST_CONTROL:
            raise ProtocolError("control frame too long")
        self._parts = 2 if size <= LARGEST_CONTROL else 3
        return part


def is_utf8(parts: list[bytes]) -> bool:
    """Are the parts of a message a text?"""
    try:
        b"".join(parts).decode()
    except UnicodeDecodeError:
        return False
    return True


def text_frames(texts: Iterable[str]) -> bytes:
    """Whole text messages as one frame each, unmasked as servers send them."""
    parts: list[bytes] = []
    for text in texts:
        payload = text.encode()
        parts += (_header(len(payload)), payload)
    return b"".join(parts)


def _header(size: int) -> bytes:
    if size < 126:
        return bytes((WHOLE_TEXT, size))
    if size < 65_536:
        return struct.pack("!BBH", WHOLE_TEXT, 126, size)
    return struct.pack("!BBQ", WHOLE_TEXT, 127, size)
