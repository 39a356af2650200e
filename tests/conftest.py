"""What tests of several folders share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import mongo_server


@pytest.fixture(scope="session")
def mongo_uri() -> Iterator[str]:
    """A MongoDB for tests that run a server on it; started when the first of them asks."""
    with mongo_server() as uri:
        yield uri
