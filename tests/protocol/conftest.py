"""A running server on each engine, for tests that only need one that answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.servers import ENGINES, RunningServer, running_server


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
