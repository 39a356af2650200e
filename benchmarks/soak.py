"""Does memory stay flat while clients come, subscribe, hear of saves and go?

    python -m benchmarks.soak [--minutes 30] [--clients 200]

A line each half minute: rounds, deliveries, memory of the server. The last line compares the end with the
state after a third of the time, when caches are filled; more than a tenth above it is a failure.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from contextlib import AsyncExitStack

import uvloop

from benchmarks.client import Api
from benchmarks.livequery import CLASS_NAME, live_message, subscribe
from benchmarks.processes import memory_mb
from benchmarks.subjects import our_server

REPORT_SECONDS = 30
SAVES = 20


class Soak:
    """One server, and what was done to it."""

    def __init__(self, api: Api, clients: int) -> None:
        self.api = api
        self.clients = clients
        self.rounds = 0
        self.delivered = 0

    async def round(self, chance: random.Random) -> None:
        """Everybody comes; half watch one room, the others each their own; saves; everybody goes. On a busy
        machine a round takes longer than a server keeps a silent connection open: each saves over its own."""
        url = f"ws://{self.api.host}:{self.api.port}{self.api.path}"
        async with AsyncExitStack() as stack:
            rooms = ["ward" if number % 2 else f"room {chance.random()}" for number in range(self.clients)]
            sockets = [await subscribe(stack, url, room) for room in rooms]
            rest = await self.api.connect()
            stack.callback(rest.close)
            for number in range(SAVES):
                body = live_message("ward", number)
                created = await self.api.call(rest, self.api.request("POST", f"/classes/{CLASS_NAME}", body))
                path = f"/classes/{CLASS_NAME}/{created['objectId']}"
                await self.api.call(rest, self.api.request("DELETE", path, master=True))
            for socket, room in zip(sockets, rooms, strict=True):
                for _ in range(2 * SAVES if room == "ward" else 0):
                    json.loads(await socket.recv())
                    self.delivered += 1
        self.rounds += 1


async def soak(api: Api, pid: int, minutes: float, clients: int) -> bool:
    """Go on for some minutes; answer whether memory stayed flat."""
    work, chance = Soak(api, clients), random.Random(3)
    started = reported = time.monotonic()
    settled = 0.0
    while (now := time.monotonic()) - started < minutes * 60:
        await work.round(chance)
        if not settled and now - started > minutes * 20:
            settled = memory_mb(pid)
        if now - reported > REPORT_SECONDS:
            reported = now
            figures = f"{work.rounds} rounds  {work.delivered} delivered  {memory_mb(pid):.1f} MB"
            print(f"{now - started:6.0f} s  {figures}", flush=True)
    await asyncio.sleep(1)
    final = memory_mb(pid)
    print(f"{work.rounds} rounds, {work.delivered} deliveries: from {settled:.1f} MB to {final:.1f} MB")
    return final <= settled * 1.1


def main() -> None:
    """Read the command line and soak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--clients", type=int, default=200)
    chosen = parser.parse_args()
    with our_server() as subject:
        is_flat = uvloop.run(soak(Api(subject.url), subject.pid, chosen.minutes, chosen.clients))
    sys.exit(0 if is_flat else 1)


if __name__ == "__main__":
    main()
