"""How uvicorn serves the application: with what makes it fast, in one process or in several.

Several processes are told what the first one was told by an environment variable, `HANDED_DOWN`.
"""

from __future__ import annotations

import gc
import json
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvicorn

from parse_clone.api.livequery.protocol import LiveQueryProtocol
from parse_clone.api.rest.protocol import HttpProtocol
from parse_clone.app import Asgi, create_app
from parse_clone.configuration import load_settings
from parse_clone.errors import SettingsError
from parse_clone.logs import configure_logs
from parse_clone.settings import Settings

SHUTDOWN_SECONDS = 30
"""How long requests in flight may take once the server is told to stop."""
SILENCE_SECONDS = 60
"""How long one of several processes may say nothing, as it does while it imports, before another takes its
place: on a busy machine a shorter time lets none of them ever start."""

HANDED_DOWN = "PARSE_CLONE_HANDED_DOWN"


class _Server(uvicorn.Server):
    """Tells when it serves."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_start()


def serve_here(settings: Settings, on_start: Callable[[], None]) -> None:
    """Serve in this process until it is interrupted; requests in flight are finished before it ends."""
    relieve_collector()
    config = uvicorn.Config(create_app(settings), **server_options(settings))
    server = _Server(config, on_start)
    check_address(settings)
    with suppress(KeyboardInterrupt):  # it has ended in good order, and hands the signal on
        server.run()


def serve_in_processes(
    settings: Settings, options: Mapping[str, Any], config_file: Path | None, workers: int, *, reload: bool
) -> None:
    """Serve in several processes, or in one that starts again when code changes. `options`: those of the
    command line, which every process reads anew."""
    check_address(settings)
    os.environ[HANDED_DOWN] = json.dumps({"options": options, "config": str(config_file or "")})
    uvicorn.run(
        "parse_clone.serving:handed_down_app",
        factory=True,
        workers=workers,
        reload=reload,
        reload_dirs=watched_folders(settings) if reload else None,
        **server_options(settings),
    )


def handed_down_app() -> Asgi:
    """Build the application in a process of its own, from what the first process was told."""
    handed_down = json.loads(os.environ[HANDED_DOWN])
    config_file = Path(handed_down["config"]) if handed_down["config"] else None
    settings = load_settings(handed_down["options"], os.environ, config_file)
    configure_logs(settings)
    relieve_collector()
    return create_app(settings)


def check_address(settings: Settings) -> None:
    """Refuse an address that cannot be listened on, before anything is opened or told."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((settings.host, settings.port))
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsError(f"Cannot listen on {settings.host}, port {settings.port}: {reason}") from None


def watched_folders(settings: Settings) -> list[str]:
    """Where a change of code starts the server again: the server's own folder, and that of the cloud code."""
    cloud = [] if settings.cloud is None else [Path(settings.cloud).resolve()]
    folders = [path if path.is_dir() else path.parent for path in cloud]
    return [str(folder) for folder in (Path(__file__).parent, *folders)]


def relieve_collector() -> None:
    """Let the garbage collector pass over what the server is made of, and come less often: a large request
    makes many thousands of objects at once, each look at which would hold the event loop."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def server_options(settings: Settings) -> dict[str, Any]:
    """What uvicorn is told, however many processes there are."""
    return {
        "host": settings.host,
        "port": settings.port,
        "lifespan": "on",
        "access_log": False,
        "log_config": None,  # `logs.py` has set it up
        "proxy_headers": False,  # whom to believe is the business of `trustProxy`
        "server_header": False,
        "timeout_graceful_shutdown": SHUTDOWN_SECONDS,
        "timeout_worker_healthcheck": SILENCE_SECONDS,
        **protocol_options(settings),
    }


def protocol_options(settings: Settings) -> dict[str, Any]:
    """How uvicorn speaks HTTP and WebSocket. Compression costs more CPU time and memory than the small
    frames save."""
    server = settings.live_query_server_options
    return {
        "http": HttpProtocol,
        "ws": LiveQueryProtocol,
        "ws_ping_interval": server.websocket_timeout / 1000,
        "ws_ping_timeout": server.websocket_timeout / 1000,
        "ws_max_size": server.max_frame_size,
        "ws_per_message_deflate": False,
    }
