"""Messages between processes and machines through Redis. The connection comes back by itself; what is
published meanwhile is lost, as it is for every subscriber of Redis: listeners of gaps are told."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from parse_clone.errors import SettingsError

log = structlog.get_logger("pubsub")

Listener = Callable[[str], Awaitable[None]]
GapListener = Callable[[bool], Awaitable[None]]

RETRY_SECONDS = 0.5
PATIENCE_SECONDS = 5.0
"""How long Redis may take to answer; half of it without a word, and the connection is tested."""


class RedisPubSub:
    """Publishes and subscribes with channel names as they are given."""

    def __init__(self, url: str) -> None:
        self._publisher = Redis.from_url(
            url, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS
        )
        self._subscriber = Redis.from_url(
            url,
            socket_connect_timeout=PATIENCE_SECONDS,
            health_check_interval=PATIENCE_SECONDS / 2,
            retry=Retry(NoBackoff(), 0),  # a connection that comes back silently would hide a gap
        )
        self._listeners: dict[str, list[Listener]] = defaultdict(list)
        self._gap_listeners: list[GapListener] = []
        self._pubsub = self._subscriber.pubsub()
        self._confirmed: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._reader: asyncio.Task[None] | None = None

    async def publish(self, channel: str, message: str) -> None:
        """Send a message. A Redis that is away is logged: the write behind the message stands."""
        try:
            await self._publisher.publish(channel, message)
        except (RedisError, OSError) as error:
            log.error("a message was not published", channel=channel, error=str(error))

    async def subscribe(self, channel: str, listener: Listener) -> None:
        """Listen to a channel; when this returns, Redis has confirmed it."""
        self._listeners[channel].append(listener)
        try:
            await self._pubsub.subscribe(channel)
        except (RedisError, OSError) as error:
            raise SettingsError(f"Redis cannot be reached: {error}") from error
        if self._reader is None:
            self._reader = asyncio.create_task(self._read())
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._confirmed[channel].wait()

    def on_gap(self, listener: GapListener) -> None:
        """Tell when messages cannot arrive (True), and when they can again (False)."""
        self._gap_listeners.append(listener)

    async def _read(self) -> None:
        is_away = False
        while True:
            try:
                entry = await self._pubsub.get_message(timeout=PATIENCE_SECONDS / 2)
                if is_away:
                    is_away = False
                    log.warning("Redis is back")
                    await self._tell_gap(False)
                match entry:
                    case {"type": "message", "channel": bytes(channel), "data": bytes(message)}:
                        await self._hand_out(channel.decode(), message.decode())
                    case {"type": "subscribe", "channel": bytes(channel)}:
                        self._confirmed[channel.decode()].set()
            except (RedisError, OSError) as error:
                if not is_away:
                    is_away = True
                    log.warning("Redis is away", error=str(error))
                    await self._tell_gap(True)
                await asyncio.sleep(RETRY_SECONDS)

    async def _tell_gap(self, is_away: bool) -> None:
        for listener in self._gap_listeners:
            try:
                await listener(is_away)
            except Exception as error:
                log.error("a gap was not dealt with", exc_info=error)

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
        await self._subscriber.aclose()
        await self._publisher.aclose()
