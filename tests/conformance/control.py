"""The server under test behind the control protocol of the conformance harness.

    python -m tests.conformance.control --engine sqlite|mongo --port P --control-port C [--mongo-uri URI]

One process: the harness's requests go to port P (mount path `/1`), its control requests (status, reset,
reconfigure) to port C. A reconfigured server is a new application over the same data; nothing else changes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import signal
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pymongo
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from parse_clone.api.livequery.protocol import LiveQueryProtocol
from parse_clone.app import create_app
from parse_clone.logs import configure_logs
from parse_clone.serving import protocol_options
from tests.conformance.cloud import Refused, RemoteCloud
from tests.conformance.options import read_adapters, read_settings
from tests.conformance.wire import RemoteFunction, decode_options, encode_error

CAPABILITIES = ["reset", "reconfigure", "cloud", "remote"]

Action = Callable[[dict[str, Any]], Awaitable[None]]


class Lifespan:
    """Starts and stops an ASGI application as a server would."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._outgoing: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())
        await self._say("lifespan.startup")

    async def stop(self) -> None:
        if self._task is not None:
            await self._say("lifespan.shutdown")
            await self._task

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        await self._app(scope, self._incoming.get, self._outgoing.put)

    async def _say(self, kind: str) -> None:
        await self._incoming.put({"type": kind})
        answer = asyncio.ensure_future(self._outgoing.get())
        assert self._task is not None
        await asyncio.wait({answer, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            self._task.result()
            raise RuntimeError(f"the application ended at {kind}")
        if answer.result()["type"].endswith(".failed"):
            await asyncio.wait({self._task}, timeout=1)
            raise RuntimeError(answer.result().get("message", kind))


class Data:
    """Where the data of the server under test lie, and how they are dropped."""

    def __init__(self, engine: str, mongo_uri: str | None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="conformance-"))
        self._mongo = None
        if engine == "mongo":
            assert mongo_uri is not None, "--mongo-uri is needed"
            self.uri = f"{mongo_uri.rstrip('/')}/conformance_{self._folder.name[-8:].lower()}"
            self._mongo = pymongo.MongoClient[dict[str, Any]](mongo_uri)
        else:
            self.uri = f"sqlite:///{self._folder}/parse.sqlite3"

    def drop(self) -> None:
        """Forget everything; the server must be stopped."""
        if self._mongo is not None:
            self._mongo.drop_database(self.uri.rsplit("/", 1)[1])
        for path in self._folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def close(self) -> None:
        self.drop()
        self._folder.rmdir()


class ServerUnderTest:
    """The current application; every connection goes to it."""

    def __init__(self, data: Data, port: int) -> None:
        self._data = data
        self._port = port
        self.config = uvicorn.Config(
            self, host="localhost", port=port, ws=LiveQueryProtocol, lifespan="off", log_level="warning"
        )
        self._client = httpx.AsyncClient(timeout=30)
        self._options: dict[str, Any] | None = None
        self._callback = ""
        self._app: ASGIApp | None = None
        self._lifespan: Lifespan | None = None
        self._lock = asyncio.Lock()
        self._cloud = RemoteCloud(self._client, self._remote)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is not None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await Response("not configured", 503)(scope, receive, send)

    async def reconfigure(self, body: dict[str, Any]) -> None:
        """Serve with other options, over the same data."""
        async with self._lock:
            self._options, self._callback = body["options"], body["callback"]
            await self._stop()
            await self._start(declares_classes=True)

    async def reset(self) -> None:
        """Serve with the same options, over no data."""
        async with self._lock:
            was_serving = self._app is not None
            await self._stop()
            await asyncio.to_thread(self._data.drop)
            self._cloud.clear()
            if was_serving:
                await self._start()

    async def cloud(self, body: dict[str, Any]) -> None:
        """Register or forget handlers of the test process."""
        async with self._lock:
            if await self._cloud.handle(body):
                await self._stop()
                await self._start()

    async def close(self) -> None:
        async with self._lock:
            await self._stop()
            await asyncio.to_thread(self._data.close)
            await self._client.aclose()

    async def _start(self, *, declares_classes: bool = False) -> None:
        options = decode_options(self._options, self._remote)
        settings = read_settings(options, self._data.uri, self._port)
        if not declares_classes:
            undeclared = replace(settings.schema, definitions=(), before_migration=None, after_migration=None)
            settings = replace(settings, schema=undeclared)
        configure_logs(settings)
        for name, value in protocol_options(settings).items():
            setattr(self.config, name, value)  # each new connection asks
        app = create_app(settings, read_adapters(options), self._cloud.register)
        lifespan = Lifespan(app)
        await lifespan.start()
        self._app, self._lifespan = app, lifespan

    async def _stop(self) -> None:
        lifespan, self._app, self._lifespan = self._lifespan, None, None
        if lifespan is not None:
            await lifespan.stop()

    def _remote(self, identifier: str) -> RemoteFunction:
        return RemoteFunction(self._client, self._callback, identifier)


def control_app(server: ServerUnderTest) -> Starlette:
    """The control endpoints."""

    def endpoint(
        action: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                await action(orjson.loads(await request.body() or b"{}"))
            except Refused as error:
                return Response(orjson.dumps({"error": str(error)}), 400)
            except NotImplementedError as error:
                return Response(orjson.dumps({"error": {"message": str(error)}}), 501)
            except Exception as error:  # every failure is an answer of the protocol
                return Response(orjson.dumps({"error": encode_error(error)}), 400)
            return Response(b"{}")

        return answer

    async def status(request: Request) -> Response:
        answer = {"name": "parse_clone", "version": "0", "capabilities": CAPABILITIES}
        return Response(orjson.dumps(answer))

    return Starlette(
        routes=[
            Route("/status", status),
            Route("/reset", endpoint(lambda body: server.reset()), methods=["POST"]),
            Route("/reconfigure", endpoint(server.reconfigure), methods=["POST"]),
            Route("/cloud", endpoint(server.cloud), methods=["POST"]),
        ]
    )


class Served(uvicorn.Server):
    """One of two servers in a process: signals are the business of `serve`, which ends both and cleans up."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(engine: str, port: int, control_port: int, mongo_uri: str | None) -> None:
    """Serve until interrupted."""
    server = ServerUnderTest(Data(engine, mongo_uri), port)
    configs = [
        server.config,
        uvicorn.Config(
            control_app(server), host="127.0.0.1", port=control_port, lifespan="off", log_level="warning"
        ),
    ]
    servers = [Served(config) for config in configs]

    def stop() -> None:
        for each in servers:
            each.should_exit = each.force_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        await asyncio.gather(*(each.serve() for each in servers))
    finally:
        await server.close()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=["sqlite", "mongo"], default="sqlite")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--control-port", type=int, required=True)
    parser.add_argument("--mongo-uri")
    chosen = parser.parse_args()
    asyncio.run(serve(chosen.engine, chosen.port, chosen.control_port, chosen.mongo_uri))


if __name__ == "__main__":
    main()
