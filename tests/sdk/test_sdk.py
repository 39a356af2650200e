"""Every `*.test.mjs` file passes with the unchanged JavaScript SDK, on each engine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.servers import RunningServer

HERE = Path(__file__).parent


def files(pattern: str) -> list[Path]:
    return sorted(HERE.glob(pattern))


@pytest.mark.parametrize("file", files("*.test.mjs"), ids=lambda file: file.name.split(".")[0])
def test_sdk(file: Path, server: RunningServer, node: str) -> None:
    run_node_tests(node, file, server)


@pytest.mark.parametrize("file", files("templates/*.test.mjs"), ids=lambda file: file.name.split(".")[0])
def test_template(file: Path, template_server: RunningServer, node: str) -> None:
    run_node_tests(node, file, template_server)


def run_node_tests(node: str, file: Path, server: RunningServer) -> None:
    """Run one file with node's test runner."""
    settings = server.settings
    environment = {
        **os.environ,
        "PARSE_SERVER_URL": server.url,
        "PARSE_APP_ID": settings.app_id,
        "PARSE_JAVASCRIPT_KEY": settings.javascript_key or "",
        "PARSE_MASTER_KEY": settings.master_key,
    }
    command = [node, "--test", "--test-reporter=spec", str(file)]
    finished = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, timeout=100)
    assert finished.returncode == 0, finished.stdout[-8000:] + finished.stderr[-2000:]
