"""uvicorn's WebSocket protocol with a short way out: a text frame is a header and the text, nothing else has
to be asked when the connection is open and not congested."""

from __future__ import annotations

import struct

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

WHOLE_TEXT = 0x81
"""The first byte of a frame that is a whole text message."""


class LiveQueryProtocol(WebSocketsSansIOProtocol):
    """Writes text frames without the detour through the state machine."""

    async def send(self, message: ASGISendEvent) -> None:
        """Send a message of the ASGI application."""
        text = message.get("text")
        if (
            text is None
            or message["type"] != "websocket.send"
            or not self.handshake_complete
            or self.close_sent
            or self.disconnected
            or self.initial_response is not None
            or not self.writable.is_set()
            or self.transport.is_closing()
        ):
            await super().send(message)
        else:
            self.transport.write(text_frame(str(text)))


def text_frame(text: str) -> bytes:
    """A whole text message as one frame, unmasked as servers send it."""
    payload = text.encode()
    size = len(payload)
    if size < 126:
        return bytes((WHOLE_TEXT, size)) + payload
    if size < 65_536:
        return struct.pack("!BBH", WHOLE_TEXT, 126, size) + payload
    return struct.pack("!BBQ", WHOLE_TEXT, 127, size) + payload
