"""Send a scenario's requests in a closed loop and read what they cost the server."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.client import Api, Connection
from benchmarks.processes import cpu_seconds


@dataclass(frozen=True)
class Figures:
    """What one scenario cost: CPU of the server's process tree per request, and what clients saw."""

    cpu_us: float
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    connection_kb: float = 0.0
    """By how much the server grew for each connection, where that was measured."""


@dataclass(frozen=True)
class Round:
    """One closed loop: latencies in seconds, in ascending order, and how long it took."""

    latencies: list[float]
    seconds: float


async def drive(api: Api, requests: Sequence[bytes], connections: int, seconds: float) -> Round:
    """Keep one request in flight on each connection until the time is over; each sends one at least."""
    latencies: list[float] = []
    refused: list[tuple[int, bytes]] = []
    opened = [await api.connect() for _ in range(connections)]
    started = time.perf_counter()

    async def keep_busy(number: int, connection: Connection) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        position = number * 7919

        def send() -> None:
            nonlocal position
            position += connections
            sent = time.perf_counter()

            def answered(status: int, body: bytes) -> None:
                now = time.perf_counter()
                latencies.append(now - sent)
                if not 200 <= status < 300:
                    refused.append((status, body[:200]))
                if refused or now - started >= seconds:
                    done.set_result(None)
                else:
                    send()

            connection.send(requests[position % len(requests)], answered)

        send()
        await done
        connection.close()

    await asyncio.gather(*(keep_busy(number, connection) for number, connection in enumerate(opened)))
    if refused:
        raise RuntimeError(f"answered {refused[0][0]}: {refused[0][1]!r}")
    return Round(sorted(latencies), time.perf_counter() - started)


async def measure(api: Api, requests: Sequence[bytes], connections: int, pid: int, seconds: float) -> Figures:
    """Measure one closed loop."""
    before = cpu_seconds(pid)
    done = await drive(api, requests, connections, seconds)
    cpu = cpu_seconds(pid) - before
    count = len(done.latencies)
    return Figures(
        cpu_us=cpu / count * 1e6,
        requests_per_second=count / done.seconds,
        p50_ms=done.latencies[count // 2] * 1e3,
        p99_ms=done.latencies[min(count - 1, int(count * 0.99))] * 1e3,
    )


def medians(found: Sequence[Figures]) -> Figures:
    """The median of each figure."""
    return Figures(
        cpu_us=statistics.median(figures.cpu_us for figures in found),
        requests_per_second=statistics.median(figures.requests_per_second for figures in found),
        p50_ms=statistics.median(figures.p50_ms for figures in found),
        p99_ms=statistics.median(figures.p99_ms for figures in found),
        connection_kb=max(
            figures.connection_kb for figures in found
        ),  # later ones find room left by the first
    )
