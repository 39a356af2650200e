"""A headless Chromium, the packages that drive it, and a server on each engine for it to talk to."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.programs import find_program, node_for_browser
from tests.servers import ENGINES, RunningServer, running_server

HERE = Path(__file__).parent
SCREENSHOTS = HERE.parent.parent / "build" / "screenshots"


@pytest.fixture(scope="session")
def node() -> str:
    """The node program, with the packages of `package-lock.json` installed."""
    return node_for_browser()


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program."""
    return find_program("chromium")


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The engine below the server."""
    return str(request.param)


@pytest.fixture(scope="session")
def start_server(engine: str, request: pytest.FixtureRequest) -> Iterator[Callable[..., RunningServer]]:
    """Start a server on a new database with further settings; it runs until the session ends."""
    uri = request.getfixturevalue("mongo_uri") if engine == "mongo" else ""
    with ExitStack() as stack:

        def start(**options: Any) -> RunningServer:
            return stack.enter_context(running_server(engine, uri, **options))

        yield start


@pytest.fixture(scope="session")
def server(start_server: Callable[..., RunningServer]) -> RunningServer:
    """A server with the settings that tests share; nobody may rely on it being empty."""
    return start_server()


@pytest.fixture
def run_in_browser(node: str, chromium: str) -> Callable[..., None]:
    """Run the tests of one `.test.mjs` file, which opens the browser by `browser.mjs`, against a server."""

    def run(file: str, server: RunningServer, **variables: str) -> None:
        settings = server.settings
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            "BROWSER": chromium,
            "SCREENSHOTS": str(SCREENSHOTS),
            "PARSE_SERVER_URL": server.url,
            "PARSE_APP_ID": settings.app_id,
            "PARSE_JAVASCRIPT_KEY": settings.javascript_key or "",
            "PARSE_MASTER_KEY": settings.master_key,
            **variables,
        }
        command = [node, "--test", "--test-reporter=spec", str(HERE / file)]
        ended = subprocess.run(command, env=environment, timeout=110, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout[-8000:] + ended.stderr[-2000:]

    return run
