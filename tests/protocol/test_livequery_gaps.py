"""When events may have been missed, clients are told in the way that their SDKs understand: the connection
ends, they come back, and fetch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

from redis import Redis

from parse_clone.ports import StoredChange
from parse_clone.services.livequery import database_feed
from parse_clone.services.livequery.database_feed import DatabaseFeed
from parse_clone.services.livequery.hub import LiveQueryHub
from parse_clone.settings import LiveQuery
from tests.protocol.callers import Caller
from tests.protocol.live_clients import live_client, redis_server
from tests.servers import running_server
from tests.unit.services.clinic import open_clinic


def test_a_gap_in_redis_ends_the_connections_of_live_queries() -> None:
    with redis_server() as redis_url:
        options = LiveQuery(class_names=("LiveGap",), redis_url=redis_url)
        with (
            running_server("sqlite", live_query=options) as server,
            closing(Caller(server, master=True)) as master,
        ):
            with live_client(server) as client, Redis.from_url(redis_url) as redis:
                client.subscribe(1, "LiveGap")
                redis.client_kill_filter(_type="pubsub")
                assert client.wait_closed() == (1012, "events may have been missed")
            with live_client(server) as client:
                client.subscribe(1, "LiveGap")
                master.post("/classes/LiveGap", {})
                assert client.next()["op"] == "create"


class BrittleDatabase:
    """Tells of its changes through a stream that breaks at once, and is opened again."""

    def __init__(self) -> None:
        self.opened = 0

    @asynccontextmanager
    async def changes(self, *_: Any) -> AsyncIterator[AsyncIterator[StoredChange]]:
        self.opened += 1
        yield self._read()

    async def _read(self) -> AsyncIterator[StoredChange]:
        yield "LabResult", None, {"objectId": str(self.opened)}
        raise OSError("the stream breaks")


async def test_a_change_stream_that_is_opened_again_is_a_gap(monkeypatch: Any) -> None:
    monkeypatch.setattr(database_feed, "RETRY_SECONDS", 0)
    async with open_clinic() as clinic:
        database, hub, losses = BrittleDatabase(), LiveQueryHub(clinic.toolbox), list[int]()
        hub.on_loss(lambda: losses.append(database.opened))
        feed = DatabaseFeed(clinic.toolbox, database, hub, lambda name: True)
        following = asyncio.create_task(feed.run())
        while database.opened < 4:
            await asyncio.sleep(0)
        following.cancel()
        assert losses[:2] == [2, 3]


def test_a_server_that_stops_says_goodbye() -> None:
    with running_server("sqlite", live_query=LiveQuery(class_names=("LiveGap",))) as server:
        opened = live_client(server)
        client = opened.__enter__()
        client.subscribe(1, "LiveGap")
    assert client.wait_closed()[0] in (1001, 1012)
    opened.__exit__(None, None, None)
