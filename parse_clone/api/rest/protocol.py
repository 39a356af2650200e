"""uvicorn's HTTP protocol with an end to its patience: whoever sends a head that does not end, or none, is
sent away. Without it a client could fill the memory, or hold all connections, before a request exists. And a
short answer leaves in one packet instead of two."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LONGEST_HEAD = 64 * 1024
"""Bytes of a request before its body, or behind it. What arrives in one piece may be somewhat more."""
HEAD_SECONDS = 60.0
"""How long a client may take for them."""

MOST_WAITING = 100
"""Requests of one connection that may wait for the one before them."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class OneWrite:
    """Where the answers of a connection are written: a head waits for the first piece of its body, so that
    both leave by one system call, in one packet."""

    __slots__ = ("_head", "_is_behind_head", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""
        self._is_behind_head = False

    def write(self, data: bytes) -> None:
        """Take the head of an answer, or a piece of its body."""
        if self._is_behind_head or data == CONTINUE:
            self._transport.write(data)
        elif self._head:
            self._is_behind_head = True
            self._transport.writelines((self._head, data))
        else:
            self._head = data

    def end(self) -> None:
        """An answer is complete, perhaps without a body."""
        if self._head and not self._is_behind_head:
            self._transport.write(self._head)
        self._head, self._is_behind_head = b"", False

    def is_closing(self) -> bool:
        """Is the connection at its end?"""
        return self._transport.is_closing()

    def close(self) -> None:
        """Close the connection behind what was written."""
        self.end()
        self._transport.close()


class HttpProtocol(HttpToolsProtocol):
    """Counts the bytes that have come since the parser last made something of them."""

    unread = 0
    patience: asyncio.TimerHandle | None = None
    answers: OneWrite

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Greet a client, who has to say something."""
        super().connection_made(transport)
        self.answers = OneWrite(transport)
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
        if self.cycle is not None:
            self.cycle.transport = self.answers  # type: ignore[assignment]  # it asks for no more
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

    def on_response_complete(self) -> None:
        """The answer is written."""
        self.answers.end()
        super().on_response_complete()

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
