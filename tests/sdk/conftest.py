"""The JavaScript SDK, installed beside the tests, and a server on each engine for it to talk to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.programs import node_for_sdk
from tests.protocol.clinic import SCHEMAS, import_schemas
from tests.servers import ENGINES, RunningServer, running_server


@pytest.fixture(scope="session")
def node() -> str:
    """The node program, with the packages of `package-lock.json` installed."""
    return node_for_sdk()


@pytest.fixture(scope="session", params=ENGINES)
def server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    """A running server, one per engine."""
    engine: str = request.param
    uri = request.getfixturevalue("mongo_uri") if engine == "mongo" else ""
    with running_server(engine, uri) as running:
        yield running


@pytest.fixture(scope="session", params=ENGINES)
def template_server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    """A running server, one per engine, with the classes of all templates together."""
    engine: str = request.param
    uri = request.getfixturevalue("mongo_uri") if engine == "mongo" else ""
    prepare = lambda settings: import_schemas(settings, SCHEMAS)  # noqa: E731
    with running_server(engine, uri, prepare, allow_client_class_creation=False) as running:
        yield running
