"""LiveQuery under load: subscribers on one class, saves over REST, and what a save or a delivery costs."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from benchmarks.client import APP_ID, REST_KEY, Api
from benchmarks.measure import Figures
from benchmarks.processes import cpu_seconds, memory_mb
from benchmarks.scenarios import cheaper

CLASS_NAME = "LiveMessage"
NUMBER = re.compile(rb'"number":(\d+)').search
MANY = 5_000
"""Connections that weigh more than what the server needs for the first ones."""
SAVERS = 8
IDLE_SECONDS = 2.0
"""After that a connection is opened anew: a server may be about to close one that it has not heard from."""
QUIET_SECONDS = 5.0
"""How long a delivery may be on its way before it counts as lost."""


@dataclass(frozen=True)
class LiveScenario:
    """`room_of` names the room that a subscriber watches; every save goes to one of the rooms. `per`: what
    the cost is divided by; `targets`: how many times cheaper than the npm parse-server, by server."""

    name: str
    room_of: Callable[[int], str]
    per: str
    targets: Mapping[str, float] = field(default_factory=dict)
    subscribers: int = 500
    saves: int = 200
    is_read: bool = False


LIVE_SCENARIOS = (
    LiveScenario(
        "LiveQuery, 500 equal queries, per delivery", lambda number: "ward-7", "delivery", cheaper(3.9, 3.9)
    ),
    LiveScenario(
        "LiveQuery, 500 different queries, per save", lambda number: f"room-{number}", "save", cheaper(19, 17)
    ),
    LiveScenario(
        "LiveQuery, 5,000 equal queries, per delivery",
        lambda number: "ward-7",
        "delivery",
        cheaper(3, 3),
        subscribers=MANY,
        saves=20,
    ),
)


class Deliveries:
    """Counts what arrives, and how long after its save."""

    def __init__(self) -> None:
        self.sent: dict[int, float] = {}
        self.delays: list[float] = []
        self.last = 0.0

    def arrived(self, frame: bytes) -> None:
        """Take note of one frame; to decode it all would take this side longer than the server's."""
        found = NUMBER(frame)
        sent = None if found is None else self.sent.get(int(found[1]))
        if sent is not None:
            self.last = time.perf_counter()
            self.delays.append(self.last - sent)

    async def settle(self, expected: int) -> None:
        """Wait until everything has arrived. Raises RuntimeError if nothing more does."""
        self.last = time.perf_counter()
        while len(self.delays) < expected:
            if time.perf_counter() - self.last > QUIET_SECONDS:
                raise RuntimeError(f"{len(self.delays)} of {expected} deliveries arrived")
            await asyncio.sleep(0.002)


async def subscribe(stack: AsyncExitStack, url: str, room: str) -> ClientConnection:
    """Open a connection with one subscription."""
    socket = await stack.enter_async_context(
        connect(url, compression=None, max_queue=None, ping_interval=None)
    )
    await socket.send(json.dumps({"op": "connect", "applicationId": APP_ID, "restAPIKey": REST_KEY}))
    await expect(socket, "connected")
    query = {"className": CLASS_NAME, "where": {"room": room}}
    await socket.send(json.dumps({"op": "subscribe", "requestId": 1, "query": query}))
    await expect(socket, "subscribed")
    return socket


async def expect(socket: ClientConnection, op: str) -> None:
    """Read the answer that must come next."""
    message = json.loads(await socket.recv())
    if message["op"] != op:
        raise RuntimeError(f"expected {op}, got {message}")


async def listen(socket: ClientConnection, deliveries: Deliveries) -> None:
    """Read frames until the connection is closed."""
    with suppress(ConnectionClosed):
        while True:
            deliveries.arrived(await socket.recv(decode=False))


def live_message(room: str, number: int) -> dict[str, Any]:
    """An object of about 400 bytes."""
    return {
        "room": room,
        "number": number,
        "author": "Amara Okafor",
        "text": "Critical potassium value reported by phone; read back and confirmed by the ward staff.",
        "priority": 3,
        "tags": ["critical", "phone"],
        "at": {"__type": "Date", "iso": "2026-11-20T10:11:12.345Z"},
        "meta": {"device": "XN-1000", "lot": 77, "qc": True},
        "ACL": {"*": {"read": True}},
    }


async def measure_live(api: Api, scenario: LiveScenario, pid: int) -> Figures:
    """Subscribe; what deliveries cost under load; how long one save after the other is on its way."""
    chance = random.Random(5)
    url = f"ws://{api.host}:{api.port}{api.path}"
    async with AsyncExitStack() as stack:
        rooms = [scenario.room_of(number) for number in range(scenario.subscribers)]
        idle = memory_mb(pid)
        sockets = [await subscribe(stack, url, room) for room in rooms]
        connection_kb = (memory_mb(pid) - idle) * 1024 / scenario.subscribers
        deliveries = Deliveries()
        tasks = [asyncio.create_task(listen(socket, deliveries)) for socket in sockets]
        targets = [chance.choice(rooms) for _ in range(scenario.saves)]
        expected = sum(rooms.count(room) for room in targets)
        started, before = time.perf_counter(), cpu_seconds(pid)
        await save_all(api, SAVERS, targets, deliveries)
        await deliveries.settle(expected)
        cpu, seconds = cpu_seconds(pid) - before, deliveries.last - started
        deliveries.delays.clear()
        expected_one_by_one = 0
        for room in targets[: scenario.saves // 2]:
            expected_one_by_one += rooms.count(room)
            await save_all(api, 1, [room], deliveries)
            await deliveries.settle(expected_one_by_one)
        for task in tasks:
            task.cancel()
    delays = sorted(deliveries.delays)
    units = expected if scenario.per == "delivery" else scenario.saves
    return Figures(
        cpu_us=cpu / units * 1e6,
        requests_per_second=units / seconds,
        p50_ms=delays[len(delays) // 2] * 1e3,
        p99_ms=delays[int(len(delays) * 0.99)] * 1e3,
        connection_kb=connection_kb if scenario.subscribers >= MANY else 0.0,
    )


async def save_all(api: Api, workers: int, targets: Sequence[str], deliveries: Deliveries) -> None:
    """Save an object for each target; each worker one after the other."""
    remaining = iter(enumerate(targets))

    async def work() -> None:
        connection, used = await api.connect(), time.perf_counter()
        for number, room in remaining:
            if time.perf_counter() - used > IDLE_SECONDS:
                connection.close()
                connection = await api.connect()
            deliveries.sent[number] = used = time.perf_counter()
            body = live_message(room, number)
            await api.call(connection, api.request("POST", f"/classes/{CLASS_NAME}", body))
        connection.close()

    await asyncio.gather(*(work() for _ in range(workers)))
