"""What tests of several folders share."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
import structlog

from tests.servers import mongo_server


@pytest.fixture(autouse=True)
def log_to_the_end() -> Iterator[None]:
    """Let servers that outlive a test write their log to a file that does, too: the command line, run within
    a test, chooses one that is closed after it."""
    log_to_standard_error()
    yield
    log_to_standard_error()


def log_to_standard_error() -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.__stderr__),
    )


@pytest.fixture(scope="session")
def mongo_uri() -> Iterator[str]:
    """A MongoDB for tests that run a server on it; started when the first of them asks."""
    with mongo_server() as uri:
        yield uri
