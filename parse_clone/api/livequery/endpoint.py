"""One WebSocket: messages are read one after the other, frames are written at once or from a bounded line.

A client that does not keep up is disconnected with a reason, never waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Any

import structlog

from parse_clone.api.livequery.messages import Connect, InvalidFrame, Message, Subscribe, decode_message
from parse_clone.api.rest.request import client_address, decode_headers, request_scheme
from parse_clone.core.networks import Networks
from parse_clone.errors import ParseError
from parse_clone.services.livequery.client import LiveQueryClient
from parse_clone.services.livequery.hub import LiveQueryHub, encode_error
from parse_clone.services.toolbox import Toolbox

log = structlog.get_logger("livequery")

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

SEND_MANY = "websocket.send.many"
"""A message with `texts`, where the ASGI server offers it among the extensions of the scope."""
INVALID_FRAME = 1
STOPPING = (1001, "the server stops")
MISSED = (1012, "events may have been missed")
TOO_SLOW = (1013, "the client does not keep up")
TOO_LARGE = (1009, "the frame is too large")
TOO_MANY = (1013, "too many connections from this address")
LARGEST_LINE = 8_000_000
"""Characters that may wait for one client."""
FAREWELL_SECONDS = 5


class Socket:
    """The server's end of one connection: frames go out at once, or wait in line behind those before them.

    `stop` ends the reading of messages, and with it the connection; `sends_many`: the ASGI server takes
    several messages at once.
    """

    def __init__(
        self, send: Send, most_frames: int, stop: Callable[[], object], *, sends_many: bool = False
    ) -> None:
        self._send = send
        self._most_frames = most_frames
        self._stop = stop
        self._sends_many = sends_many
        self._held: list[str] = []
        self._line: deque[str] = deque()
        self._line_size = 0
        self._writer: asyncio.Task[None] | None = None
        self.is_open = True
        self.farewell: tuple[int, str] | None = None

    def deliver(self, frame: str) -> None:
        """Send a frame, behind those that are held."""
        self._held.append(frame)
        self.flush()

    def hold(self, frame: str) -> bool:
        """Keep a frame until `flush`: what follows closely goes out with it. Answers whether it is the first
        one."""
        self._held.append(frame)
        return len(self._held) == 1

    def flush(self) -> None:
        """Send what is held; if it must wait and there is no room, give the client up."""
        frames, self._held = self._held, []
        if not self.is_open or not frames:
            return
        if self._writer is None:
            try:
                rest = begin(self._send_all(frames))
            except Exception:  # the client is gone: the reader hears of it, too
                self.is_open = False
                return
            if rest is not None:
                self._writer = asyncio.create_task(self._write(rest))
            return
        self._line_size += sum(map(len, frames))
        self._line.extend(frames)
        if len(self._line) > self._most_frames or self._line_size > LARGEST_LINE:
            self.close(*TOO_SLOW)

    async def _send_all(self, frames: list[str]) -> None:
        if self._sends_many and len(frames) > 1:
            await self._send({"type": SEND_MANY, "texts": frames})
            return
        for frame in frames:
            await self._send({"type": "websocket.send", "text": frame})

    async def _write(self, rest: Awaitable[None]) -> None:
        with contextlib.suppress(Exception):  # the client is gone: the reader hears of it, too
            await rest
            while self._line:
                frame = self._line.popleft()
                self._line_size -= len(frame)
                await self._send({"type": "websocket.send", "text": frame})
            self._writer = None
            return
        self.is_open = False

    def lose(self) -> None:
        """End the connection: events may have been missed."""
        self.close(*MISSED)

    def close(self, code: int, reason: str) -> None:
        """Ask for the end of the connection."""
        if self.is_open:
            self.is_open = False
            self.farewell = (code, reason)
            self._stop()

    async def end(self) -> None:
        """Send the farewell, if there is one, behind what is on its way."""
        self.is_open = False
        self._held.clear()
        self._line.clear()
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        if self.farewell is not None:
            code, reason = self.farewell
            with contextlib.suppress(Exception):
                async with asyncio.timeout(FAREWELL_SECONDS):
                    await self._send({"type": "websocket.close", "code": code, "reason": reason})


class LiveQueryEndpoint:
    """The ASGI application behind every WebSocket, whatever its path."""

    def __init__(self, toolbox: Toolbox, hub: LiveQueryHub) -> None:
        self._toolbox = toolbox
        self._hub = hub
        self._options = toolbox.settings.live_query_server_options
        self._proxies = Networks(toolbox.settings.trust_proxy)
        self._per_address: Counter[str] = Counter()
        self._open: set[Socket] = set()
        hub.on_loss(lambda: self.close(*MISSED))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        address, base_url = self._place_of(scope)
        if self._per_address[address] >= self._options.max_connections_per_address:
            await send({"type": "websocket.close", "code": TOO_MANY[0], "reason": TOO_MANY[1]})
            return
        self._per_address[address] += 1
        try:
            sends_many = SEND_MANY in scope.get("extensions", ())
            await self._serve(receive, send, address, base_url, sends_many=sends_many)
        finally:
            self._per_address[address] -= 1
            if not self._per_address[address]:
                del self._per_address[address]

    def _place_of(self, scope: Scope) -> tuple[str, str]:
        """Where a client is, and at what URL he sees this server. The headers are not kept."""
        peer = str((scope.get("client") or ("127.0.0.1", 0))[0])
        headers = decode_headers(scope["headers"])
        return client_address(peer, headers, self._proxies), self._base_url(scope, peer, headers)

    def _base_url(self, scope: Scope, peer: str, headers: Mapping[str, str]) -> str:
        settings = self._toolbox.settings
        if isinstance(settings.public_server_url, str):
            return settings.public_server_url.rstrip("/")
        scheme = request_scheme(scope, peer, headers, self._proxies)
        scheme = {"ws": "http", "wss": "https"}.get(scheme, scheme)
        return f"{scheme}://{headers.get('host', 'localhost')}{settings.mount_path}".rstrip("/")

    async def _serve(
        self, receive: Receive, send: Send, address: str, base_url: str, *, sends_many: bool
    ) -> None:
        reader = asyncio.current_task()
        assert reader is not None
        socket = Socket(send, self._options.max_backlog, reader.cancel, sends_many=sends_many)
        client = LiveQueryClient(self._toolbox, self._hub, socket, base_url, address)
        self._open.add(socket)
        try:
            await client.tell_opened()
            await self._read(receive, socket, client)
        except asyncio.CancelledError:
            if socket.farewell is None:
                raise
            reader.uncancel()
        finally:
            self._open.discard(socket)
            was_client = client.close()
            if socket.farewell == TOO_SLOW:
                self._hub.metrics.dropped += 1
            await socket.end()
            await client.tell_closed(was_client=was_client)

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
            else:
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

    def close(self, code: int, reason: str) -> None:
        """Close every connection; clients come back by themselves."""
        for socket in list(self._open):
            socket.close(code, reason)


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
        await client.unsubscribe(message.request_id)


# --- Sending without a task of its own ----------------------------------------------------------------------


def begin(work: Awaitable[None]) -> Awaitable[None] | None:
    """Run a coroutine at once, up to its first wait. None if it did not have to; otherwise its rest."""
    steps = work.__await__()
    try:
        waits_for = steps.send(None)
    except StopIteration:
        return None
    return Rest(steps, waits_for)


class Rest:
    """The rest of a coroutine that has begun: as an eager task of newer Pythons, without the task."""

    def __init__(self, steps: Generator[Any, Any, None], waits_for: Any) -> None:
        self._steps = steps
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        waits_for = self._waits_for
        try:
            while True:
                try:
                    answer = yield waits_for
                except BaseException as interruption:
                    waits_for = self._steps.throw(interruption)
                else:
                    waits_for = self._steps.send(answer)
        except StopIteration:
            return
