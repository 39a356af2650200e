"""Messages between processes and machines through Redis. The connection comes back by itself; what is
published meanwhile is lost, as it is for every subscriber of Redis."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = structlog.get_logger("pubsub")

Listener = Callable[[str], Awaitable[None]]
RETRY_SECONDS = 0.5


class RedisPubSub:
    """Publishes and subscribes with channel names as they are given."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url)
        self._listeners: dict[str, list[Listener]] = defaultdict(list)
        self._pubsub = self._redis.pubsub()
        self._reader: asyncio.Task[None] | None = None

    async def publish(self, channel: str, message: str) -> None:
        """Send a message. A Redis that is away is logged: the write behind the message stands."""
        try:
            await self._redis.publish(channel, message)
        except RedisError as error:
            log.error("a message was not published", channel=channel, error=str(error))

    async def subscribe(self, channel: str, listener: Listener) -> None:
        """Listen to a channel; answered when Redis has confirmed nothing stands in between."""
        self._listeners[channel].append(listener)
        await self._pubsub.subscribe(channel)
        if self._reader is None:
            self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while True:
            try:
                async for entry in self._pubsub.listen():
                    if entry["type"] == "message":
                        await self._hand_out(entry["channel"].decode(), entry["data"].decode())
            except RedisError as error:
                log.warning("Redis is away", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def _hand_out(self, channel: str, message: str) -> None:
        for listener in list(self._listeners[channel]):
            try:
                await listener(message)
            except Exception as error:
                log.error("a message was not understood", channel=channel, exc_info=error)

    async def close(self) -> None:
        """Close the connections."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]
        await self._redis.aclose()
