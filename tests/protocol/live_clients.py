"""LiveQuery clients for tests, frame by frame; and a Redis for servers that share one."""

from __future__ import annotations

import json
import queue
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.programs import find_program
from tests.servers import APP_ID, RunningServer, free_port, wait_for_port

Frame = dict[str, Any]


class LiveClient:
    """One connection: sends messages, keeps what comes back in order."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._frames: queue.Queue[Frame | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            for text in self._socket:
                self._frames.put(json.loads(text))
        except ConnectionClosed:
            pass
        self._frames.put(None)

    def send(self, message: Any) -> None:
        """Send a message; a text goes out as it is."""
        self._socket.send(message if isinstance(message, str | bytes) else json.dumps(message))

    def next(self, seconds: float = 10) -> Frame:
        """The next frame."""
        frame = self._frames.get(timeout=seconds)
        assert frame is not None, "the server closed the connection"
        return frame

    def ask(self, message: Any) -> Frame:
        """Send a message and wait for the next frame."""
        self.send(message)
        return self.next()

    def subscribe(self, request_id: int, class_name: str, where: Frame | None = None, **members: Any) -> None:
        """Watch a query; keys and watch belong to it, a session token stands beside it."""
        query = {"className": class_name, "where": where or {}}
        query.update({name: members.pop(name) for name in ("keys", "watch") if name in members})
        answer = self.ask({"op": "subscribe", "requestId": request_id, "query": query, **members})
        assert answer["op"] == "subscribed", answer

    def until(self, request_id: int) -> list[Frame]:
        """The frames that come before the next event of a subscription."""
        frames = []
        while (frame := self.next()).get("requestId") != request_id:
            frames.append(frame)
        return frames

    def wait_closed(self, seconds: float = 10) -> tuple[int, str]:
        """Wait for the end; the code and the reason that the server gave."""
        self._reader.join(seconds)
        assert self._socket.protocol.close_rcvd is not None, "no farewell"
        return self._socket.protocol.close_rcvd.code, self._socket.protocol.close_rcvd.reason


@contextmanager
def live_client(server: RunningServer, *, connects: bool = True, **members: Any) -> Iterator[LiveClient]:
    """Connect to a server; `members` go into the connect message."""
    with connect("ws" + server.url.removeprefix("http"), proxy=None) as socket:
        client = LiveClient(socket)
        if connects:
            answer = client.ask({"op": "connect", "applicationId": APP_ID, **members})
            assert answer["op"] == "connected", answer
        yield client


@contextmanager
def redis_server() -> Iterator[str]:
    """The URL of a Redis of its own."""
    program = find_program("redis-server")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            wait_for_port(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.kill()
            process.wait()
