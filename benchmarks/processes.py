"""CPU time and memory of a process and its descendants, and the programs under measurement (Linux)."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import Any

_SCHEDULED = 2
"""The clock of a process that Linux keeps to the nanosecond; /proc tells hundredths of a second."""


def process_tree(pid: int) -> set[int]:
    """A process and all its living descendants."""
    found = {pid}
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            listed = children.read_text().split()
        except OSError:  # the thread ended meanwhile
            continue
        for child in listed:
            found |= process_tree(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process tree, threads that ended included."""
    seconds = 0.0
    for member in process_tree(pid):
        with suppress(OSError):  # it ended meanwhile
            seconds += time.clock_gettime(~member << 3 | _SCHEDULED)
    return seconds


def memory_mb(pid: int) -> float:
    """Proportional memory of a process tree in megabytes."""
    kilobytes = 0
    for member in process_tree(pid):
        try:
            rollup = Path(f"/proc/{member}/smaps_rollup").read_text()
        except OSError:
            continue
        kilobytes += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return kilobytes / 1024


def peak_mb(pid: int) -> float:
    """The most memory that the members of a process tree had, in megabytes. What they have in the end says
    less: the machine may have taken back what lay idle while others were measured."""
    kilobytes = 0
    for member in process_tree(pid):
        with suppress(OSError):
            lines = Path(f"/proc/{member}/status").read_text().splitlines()
            kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    return kilobytes / 1024


def free_port() -> int:
    """A port that nobody listens on at the moment; not one of those that systems give to connections, which
    somebody may have before it is used."""
    while True:
        port = SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass(frozen=True)
class Program:
    """A running program, and how many seconds it took until it listened."""

    pid: int
    start_seconds: float


@contextmanager
def running(command: Sequence[str], port: int, cwd: Path, **environment: str) -> Iterator[Program]:
    """Run a program until the block ends; yields as soon as it listens on the port."""
    log, started = cwd / "output.log", time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=cwd, stdout=output, stderr=output, env={**os.environ, **environment}
        )
    try:
        while not listens(port):
            if process.poll() is not None or time.monotonic() > started + 60:
                raise RuntimeError(f"{command[0]} does not serve:\n{log.read_text()[-2000:]}")
            time.sleep(0.01)
        yield Program(process.pid, time.monotonic() - started)
    finally:
        end(process)


def end(process: subprocess.Popen[Any]) -> None:
    """Ask a process to end; one that does not is killed: nobody waits for ever for one that hangs."""
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    """Does anybody listen on a port of this machine?"""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
