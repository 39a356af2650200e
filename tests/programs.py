"""The programs that tests drive, and the packages of npm that come with them.

`python -m tests.programs` installs ahead what is missing, and tells in one line each what it cannot. Tests
that miss something are left out; in CI nothing may be.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).parent

PROGRAMS = {
    "node": ("node",),
    "npm": ("npm",),
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "redis-server": ("redis-server",),
}
"""Under which names each is found."""

DEBIAN = ("chromium", "redis-server")
"""Packages of Debian, named like the programs; its Node is too old."""

DRIVERS = {
    "node": "those of the JavaScript SDK, in the browser, and beside the npm parse-server",
    "npm": "those of the JavaScript SDK, in the browser, and beside the npm parse-server",
    "chromium": "those in the browser",
    "redis-server": "those of several processes that talk through Redis",
}
"""Which tests need it."""


def find_program(name: str) -> str:
    """The path of a program. A test that asks in vain is skipped, in CI failed."""
    found = path_of(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def path_of(name: str) -> str | None:
    return next(filter(None, map(shutil.which, PROGRAMS[name])), None)


def node_for_sdk() -> str:
    """The node program, the JavaScript SDK installed beside its tests."""
    return _node_with_packages(HERE / "sdk")


def node_for_browser() -> str:
    """The node program, with the dashboard and what drives a browser."""
    return _node_with_packages(HERE / "browser", "--ignore-scripts")


def _node_with_packages(folder: Path, *options: str) -> str:
    node, npm = find_program("node"), find_program("npm")
    lock, installed = folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"
    with _only_one(folder):
        if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
            command = [npm, "ci", "--no-audit", "--no-fund", "--loglevel=error", *options]
            subprocess.run(command, cwd=folder, check=True)
            installed.touch()
    return node


PARSE_SERVER = HERE.parent / ".cache" / "parse-server"


def node_for_parse_server() -> str:
    """The node program, the npm parse-server installed in `PARSE_SERVER`."""
    node, npm = find_program("node"), find_program("npm")
    wanted = (HERE / "parse_server" / "package.json").read_bytes()
    complete = PARSE_SERVER / ".complete"
    with _only_one(HERE / "parse_server"):
        if not complete.exists() or complete.read_bytes() != wanted:
            PARSE_SERVER.mkdir(parents=True, exist_ok=True)
            (PARSE_SERVER / "package.json").write_bytes(wanted)
            options = ["--omit=dev", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
            subprocess.run([npm, "install", *options], cwd=PARSE_SERVER, check=True)
            complete.write_bytes(wanted)
    return node


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Let one process at a time install the packages of a folder."""
    with (folder / "package.json").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def install() -> list[str]:
    """Install what is missing; the names of the programs that still are."""
    packages = [name for name in DEBIAN if path_of(name) is None]
    if packages and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {"stdout": subprocess.DEVNULL, "check": False}
        subprocess.run(["apt-get", "update", "-qq"], **quiet)
        subprocess.run(["apt-get", "install", "-y", "-qq", *packages], **quiet)
    missing = [name for name in PROGRAMS if path_of(name) is None]
    if not {"node", "npm"} & set(missing):
        node_for_sdk()
        node_for_browser()
        node_for_parse_server()
    return missing


def main() -> None:
    missing = install()
    for name in missing:
        print(f"{name} is not installed; left out: {DRIVERS[name]}.", file=sys.stderr)
    if missing and os.environ.get("CI"):
        sys.exit("In CI nothing may be left out.")


if __name__ == "__main__":
    main()
