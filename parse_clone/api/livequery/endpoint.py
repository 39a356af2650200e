"""One WebSocket: frames are read one after the other, written from a bounded queue.

A client that does not keep up is disconnected with a reason, never waited for.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from parse_clone.api.livequery.messages import Connect, InvalidFrame, Message, Subscribe, decode_message
from parse_clone.errors import ParseError
from parse_clone.services.livequery.client import LiveQueryClient
from parse_clone.services.livequery.hub import LiveQueryHub, encode_error
from parse_clone.services.toolbox import Toolbox

log = structlog.get_logger("livequery")

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

INVALID_FRAME = 1
TOO_SLOW = (1013, "the client does not keep up")
TOO_LARGE = (1009, "the frame is too large")
TOO_MANY = (1013, "too many connections from this address")


class Socket:
    """The server's end of one connection: hands frames to a queue that a task empties."""

    def __init__(self, send: Send, backlog: int) -> None:
        self._send = send
        self._frames: asyncio.Queue[bytes] = asyncio.Queue(backlog)
        self.closing: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    def deliver(self, frame: bytes) -> None:
        """Queue a frame; if there is no room, give the client up."""
        if self.closing.done():
            return
        try:
            self._frames.put_nowait(frame)
        except asyncio.QueueFull:
            self.close(*TOO_SLOW)

    def close(self, code: int, reason: str) -> None:
        """Ask for the end of the connection."""
        if not self.closing.done():
            self.closing.set_result((code, reason))

    async def write(self) -> None:
        """Send queued frames until cancelled."""
        while True:
            frame = await self._frames.get()
            await self._send({"type": "websocket.send", "text": frame.decode()})


class LiveQueryEndpoint:
    """The ASGI application behind every WebSocket, whatever its path."""

    def __init__(self, toolbox: Toolbox, hub: LiveQueryHub) -> None:
        self._toolbox = toolbox
        self._hub = hub
        self._options = toolbox.settings.live_query_server_options
        self._per_address: Counter[str] = Counter()
        self._open: set[Socket] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        address = (scope.get("client") or ("",))[0]
        if self._per_address[address] >= self._options.max_connections_per_address:
            await send({"type": "websocket.close", "code": TOO_MANY[0], "reason": TOO_MANY[1]})
            return
        self._per_address[address] += 1
        try:
            await self._serve(scope, receive, send, address)
        finally:
            self._per_address[address] -= 1
            if not self._per_address[address]:
                del self._per_address[address]

    async def _serve(self, scope: Scope, receive: Receive, send: Send, address: str) -> None:
        socket = Socket(send, self._options.max_backlog)
        client = LiveQueryClient(self._toolbox, self._hub, socket, base_url(self._toolbox, scope), address)
        self._open.add(socket)
        writer = asyncio.create_task(socket.write())
        reader = asyncio.create_task(self._read(receive, socket, client))
        try:
            await asyncio.wait({writer, reader, socket.closing}, return_when=asyncio.FIRST_COMPLETED)
            if socket.closing.done() and not reader.done():
                code, reason = socket.closing.result()
                await send({"type": "websocket.close", "code": code, "reason": reason})
        finally:
            self._open.discard(socket)
            socket.close(1000, "")
            client.close()
            for task in (writer, reader):
                task.cancel()
            await asyncio.gather(writer, reader, return_exceptions=True)

    async def _read(self, receive: Receive, socket: Socket, client: LiveQueryClient) -> None:
        while True:
            event = await receive()
            if event["type"] == "websocket.disconnect":
                return
            text = event.get("text")
            if text is None:
                continue  # Parse quirk: binary frames and texts that are not JSON are ignored
            if len(text) > self._options.max_frame_size:
                socket.close(*TOO_LARGE)
                return
            await self._answer(text, socket, client)

    async def _answer(self, text: str, socket: Socket, client: LiveQueryClient) -> None:
        try:
            message = decode_message(text)
            if message is not None:
                await dispatch(client, message)
        except InvalidFrame as error:
            socket.deliver(encode_error(ParseError(INVALID_FRAME, str(error)), None, reconnect=True))
        except Exception as error:
            log.error("a LiveQuery message failed", exc_info=error)
            socket.deliver(encode_error(ParseError(1, "Internal server error."), None))

    def close(self) -> None:
        """Close every connection: the server stops."""
        for socket in list(self._open):
            socket.close(1001, "the server stops")


async def dispatch(client: LiveQueryClient, message: Message) -> None:
    """Let the client do what a message asks for."""
    if isinstance(message, Connect):
        await client.connect(message.keys, message.session_token, message.installation_id)
    elif isinstance(message, Subscribe):
        await client.subscribe(
            message.request_id,
            message.class_name,
            message.where,
            keys=message.keys,
            watch=message.watch,
            session_token=message.session_token,
            is_update=message.is_update,
        )
    else:
        client.unsubscribe(message.request_id)


def base_url(toolbox: Toolbox, scope: Scope) -> str:
    """The prefix of file URLs in events: the configured one, or the address that the client called."""
    settings = toolbox.settings
    if isinstance(settings.public_server_url, str):
        return settings.public_server_url.rstrip("/")
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "localhost")
    scheme = "https" if scope.get("scheme") == "wss" else "http"
    return f"{scheme}://{host}{settings.mount_path}"
