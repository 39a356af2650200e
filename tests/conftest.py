"""What tests of several folders share, and what holds for each of them."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Generator, Iterator

import pytest
import structlog

from tests.servers import mongo_server

for name in [name for name in os.environ if name.startswith("PARSE_SERVER_")]:
    del os.environ[name]  # the settings of the one who runs the tests are not those of their servers

# All that tests call over HTTP is on this machine: no client need spend milliseconds on the certificates of
# those that it would trust. In place of a file, a folder is read only when one is looked for.
os.environ.pop("SSL_CERT_FILE", None)
os.environ["SSL_CERT_DIR"] = os.devnull

SERVERS = logging.getLogger("parse_clone")
SERVERS.setLevel(logging.DEBUG)
SERVERS.addHandler(logging.NullHandler())  # between two tests nobody listens


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """The whole suite runs in several processes; a part that somebody asks for does not wait for them."""
    return None if config.args_source is pytest.Config.ArgsSource.TESTPATHS else 0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI nothing may be left out."""
    report = yield
    if report.skipped and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"left out: {call.excinfo and call.excinfo.value}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell in one line for each reason how many tests were left out."""
    reasons = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", ()))
    for reason, count in reasons.items():
        terminalreporter.write_line(f"{count} left out: {reason.removeprefix('Skipped: ')}")


@pytest.fixture(autouse=True)
def log_into_the_report() -> Iterator[None]:
    """Let pytest keep what the servers log, and show it where a test fails; the command line, run within a
    test, sends it elsewhere."""
    root = logging.getLogger()
    of_pytest = list(root.handlers)
    send_log_to_pytest()
    yield
    root.handlers[:] = of_pytest
    send_log_to_pytest()


def send_log_to_pytest() -> None:
    structlog.configure(
        processors=[
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
        ],
        logger_factory=lambda *_: SERVERS,
    )


@pytest.fixture(scope="session")
def mongo_uri() -> Iterator[str]:
    """A MongoDB for tests that run a server on it; started when the first of them asks."""
    with mongo_server() as uri:
        yield uri
