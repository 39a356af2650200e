"""uvicorn's HTTP protocol with an end to its patience: whoever sends a head that does not end, or none, is
sent away. Without it a client could fill the memory, or hold all connections, before a request exists."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LONGEST_HEAD = 64 * 1024
"""Bytes of a request before its body, or behind it. What arrives in one piece may be somewhat more."""
HEAD_SECONDS = 60.0
"""How long a client may take for them."""

MOST_WAITING = 100
"""Requests of one connection that may wait for the one before them."""

TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class HttpProtocol(HttpToolsProtocol):
    """Counts the bytes that have come since the parser last made something of them."""

    unread = 0
    patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Greet a client, who has to say something."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._go_on()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; a head may come in pieces, but not in ever more of them."""
        self.unread += len(data)
        super().data_received(data)
        if not self.unread:
            self._go_on()
        elif self.unread > LONGEST_HEAD:
            self._refuse()
        elif self.patience is None:
            self._wait()

    def on_headers_complete(self) -> None:
        """The head is read."""
        self.unread = 0
        super().on_headers_complete()
        if len(self.pipeline) > MOST_WAITING:
            self.transport.close()

    def on_body(self, body: bytes) -> None:
        """A piece of the body is read."""
        self.unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The whole request is read."""
        self.unread = 0
        super().on_message_complete()

    def _refuse(self) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(TOO_LONG)
        self.transport.close()

    def _wait(self) -> None:
        self.patience = self.loop.call_later(HEAD_SECONDS, self.timeout_keep_alive_handler)

    def _go_on(self) -> None:
        if self.patience is not None:
            self.patience.cancel()
            self.patience = None
