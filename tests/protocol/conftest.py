"""A running server on each engine, for tests that only need one that answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from parse_clone.settings import S3Options
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


@pytest.fixture(scope="session")
def bucket() -> Iterator[S3Options]:
    """How a bucket is reached; it is called `files`."""
    moto = ThreadedMotoServer(port=0)
    moto.start()
    host, port = moto.get_host_and_port()
    options = S3Options(endpoint_url=f"http://{host}:{port}", access_key="a", secret_key="b")
    client = boto3.client(
        "s3",
        endpoint_url=options.endpoint_url,
        region_name=options.region,
        aws_access_key_id=options.access_key,
        aws_secret_access_key=options.secret_key,
    )
    client.create_bucket(Bucket="files")
    client.close()
    yield options
    moto.stop()
