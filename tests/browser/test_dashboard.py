"""The npm parse-dashboard, unchanged, manages a server of ours: browse, edit, filter, create, permissions."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import RunningServer, end, free_port, wait_for_port

DASHBOARD = Path(__file__).parent / "node_modules" / "parse-dashboard" / "bin" / "parse-dashboard"


def test_the_dashboard_manages_the_server(
    start_server: Callable[..., RunningServer], node: str, run_in_browser: Callable[..., None]
) -> None:
    server = start_server()
    with running_dashboard(node, server) as url:
        run_in_browser("dashboard.test.mjs", server, DASHBOARD_URL=url)


@contextmanager
def running_dashboard(node: str, server: RunningServer) -> Iterator[str]:
    """The dashboard of one server, without a login of its own."""
    port = free_port()
    options = {
        "appId": server.settings.app_id,
        "appName": "tests",
        "masterKey": server.settings.master_key,
        "serverURL": server.url,
        "host": "127.0.0.1",
        "port": str(port),
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", value)]
    command = [node, str(DASHBOARD), "--dev", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        end(process)
