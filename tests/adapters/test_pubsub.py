"""What every way between processes does; and how Redis tells that it was away."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from redis.asyncio import Redis

from parse_clone.adapters.pubsub import redis as redis_adapter
from parse_clone.adapters.pubsub.in_process import InProcessPubSub
from parse_clone.adapters.pubsub.redis import RedisPubSub
from parse_clone.errors import SettingsError
from parse_clone.ports import PubSub
from tests.protocol.live_clients import redis_server
from tests.servers import free_port


class Mailbox:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[str] = asyncio.Queue()

    async def __call__(self, message: str) -> None:
        await self.messages.put(message)

    async def next(self) -> str:
        return await asyncio.wait_for(self.messages.get(), 10)


@pytest.fixture(scope="module")
def redis_url() -> object:
    with redis_server() as url:
        yield url


@pytest.fixture(params=["in process", "redis"])
async def pubsub(request: pytest.FixtureRequest) -> AsyncIterator[PubSub]:
    if request.param == "redis":
        opened: PubSub = RedisPubSub(request.getfixturevalue("redis_url"))
    else:
        opened = InProcessPubSub()
    yield opened
    await opened.close()


async def test_messages_arrive_in_order_at_every_listener_of_their_channel(pubsub: PubSub) -> None:
    one, two, other = Mailbox(), Mailbox(), Mailbox()
    await pubsub.subscribe("a", one)
    await pubsub.subscribe("a", two)
    await pubsub.subscribe("b", other)
    texts = [f"Grüße {number}" for number in range(20)]
    for text in texts:
        await pubsub.publish("a", text)
    await pubsub.publish("b", "last")
    assert [await one.next() for _ in texts] == texts
    assert [await two.next() for _ in texts] == texts
    assert await other.next() == "last"
    assert other.messages.empty()


async def test_nobody_listening_is_no_error(pubsub: PubSub) -> None:
    await pubsub.publish("nobody", "hello")


async def test_processes_hear_each_other_through_redis(redis_url: str) -> None:
    one, two, mailbox = RedisPubSub(redis_url), RedisPubSub(redis_url), Mailbox()
    await one.subscribe("shared", mailbox)
    await two.publish("shared", "hello")
    assert await mailbox.next() == "hello"
    await one.close()
    await two.close()


async def test_a_lost_connection_is_a_gap_that_is_told(redis_url: str) -> None:
    pubsub, mailbox, gaps = RedisPubSub(redis_url), Mailbox(), asyncio.Queue[bool]()
    pubsub.on_gap(gaps.put)
    await pubsub.subscribe("shared", mailbox)
    async with Redis.from_url(redis_url) as master:
        await master.client_kill_filter(_type="pubsub")
    assert await asyncio.wait_for(gaps.get(), 10) is True
    assert await asyncio.wait_for(gaps.get(), 10) is False
    await pubsub.publish("shared", "after")
    assert await mailbox.next() == "after"
    await pubsub.close()


async def test_a_redis_that_is_away_fails_no_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_adapter, "RETRY_SECONDS", 0.05)
    with redis_server() as url:
        pubsub, mailbox, gaps = RedisPubSub(url), Mailbox(), asyncio.Queue[bool]()
        pubsub.on_gap(gaps.put)
        await pubsub.subscribe("shared", mailbox)
        async with Redis.from_url(url) as master:
            with suppress(Exception):
                await master.shutdown(nosave=True)
        assert await asyncio.wait_for(gaps.get(), 10) is True
        await pubsub.publish("shared", "lost")
        port = url.rpartition(":")[2].removesuffix("/0")
        again = subprocess.Popen(["redis-server", "--port", port, "--save", ""], stdout=subprocess.DEVNULL)
        try:
            assert await asyncio.wait_for(gaps.get(), 10) is False
            await pubsub.publish("shared", "found")
            assert await mailbox.next() == "found"
        finally:
            again.kill()
            again.wait()
        await pubsub.close()


async def test_a_redis_that_is_not_there_is_a_sentence() -> None:
    pubsub = RedisPubSub(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(SettingsError, match="Redis cannot be reached: "):
        await pubsub.subscribe("shared", Mailbox())
    await pubsub.close()
