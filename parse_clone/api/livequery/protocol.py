"""uvicorn's WebSocket protocol with a short way out, and without patience for clients that do not read.

A text frame is a header and the text; nothing else has to be asked when the connection is open and not
congested. Several messages leave in one write: the system call is
most of what a frame costs.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterable
from typing import Any, cast

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from parse_clone.api.livequery.endpoint import SEND_MANY

WHOLE_TEXT = 0x81
"""The first byte of a frame that is a whole text message."""
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
