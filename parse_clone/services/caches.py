"""Small caches in front of the database: bounded, time-limited, dropped by the writes that outdate them."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from parse_clone.core.json_types import JsonObject

Value = TypeVar("Value")


class TimedCache(Generic[Value]):
    """Least recently stored goes first; an entry lives `ttl` seconds. Values are shared: never change one.

    `drops` counts what was forgotten. Whoever reads the database to fill the cache notes it before, and hands
    it to `put`: a value read before a drop may be the outdated one, and is not stored. Entries of one `group`
    are forgotten together. While paused it stores nothing.
    """

    def __init__(self, ttl: float, max_size: int) -> None:
        self._ttl = ttl
        self._max_size = max_size
        self._entries: OrderedDict[str, tuple[float, Value, str]] = OrderedDict()
        self._groups: dict[str, set[str]] = {}
        self.drops = 0
        self.is_paused = False

    def get(self, key: str) -> Value | None:
        """The value, or None if it is absent or too old."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] < time.monotonic():
            self._forget(key)
            return None
        return entry[1]

    def put(self, key: str, value: Value, drops: int | None = None, group: str = "") -> None:
        """Store a value, unless something was dropped since `drops` was noted."""
        if self.is_paused or (drops is not None and drops != self.drops):
            return
        self._forget(key)
        self._entries[key] = (time.monotonic() + self._ttl, value, group)
        if group:
            self._groups.setdefault(group, set()).add(key)
        if len(self._entries) > self._max_size:
            self._forget(next(iter(self._entries)))

    def drop(self, key: str) -> None:
        """Forget one value."""
        self.drops += 1
        self._forget(key)

    def drop_group(self, group: str) -> None:
        """Forget every value of a group."""
        self.drops += 1
        for key in tuple(self._groups.get(group, ())):
            self._forget(key)

    def clear(self) -> None:
        """Forget everything."""
        self.drops += 1
        self._entries.clear()
        self._groups.clear()

    def _forget(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None and entry[2]:
            keys = self._groups[entry[2]]
            keys.discard(key)
            if not keys:
                del self._groups[entry[2]]


class Caches:
    """Session token to (session, user), grouped by user id; user id to role names; the global config.

    `invalidate_...` forgets here and tells the listeners, who tell the other processes; there `forget` is
    called with the same message.
    """

    def __init__(self, ttl: float, max_size: int) -> None:
        self._size = ttl, max_size
        self.sessions: TimedCache[tuple[JsonObject, JsonObject]] = TimedCache(ttl, max_size)
        self.roles: TimedCache[tuple[str, ...]] = TimedCache(ttl, max_size)
        self.config: TimedCache[JsonObject] = TimedCache(ttl, 1)
        self._listeners: list[Callable[[str], Awaitable[None]]] = []

    def on_invalidation(self, listener: Callable[[str], Awaitable[None]]) -> None:
        """Call `listener` with a message for every invalidation made here."""
        self._listeners.append(listener)

    async def invalidate_user(self, user_id: str) -> None:
        """A user, or what he may do, has changed: his sessions and his roles."""
        await self.invalidate(f"user {user_id}")

    async def invalidate_roles(self) -> None:
        """Some role has changed."""
        await self.invalidate("roles")

    async def invalidate_config(self) -> None:
        """The global config has changed."""
        await self.invalidate("config")

    async def invalidate_hooks(self) -> None:
        """The webhooks have changed: nothing is remembered here, but other processes have them in a table."""
        await self.invalidate("hooks")

    async def invalidate_all(self) -> None:
        """Users, roles or sessions have changed, nobody knows which."""
        await self.invalidate("all")

    async def invalidate(self, message: str) -> None:
        """Forget what a message names, and tell the listeners."""
        self.forget(message)
        for listener in self._listeners:
            await listener(message)

    def forget(self, message: str) -> None:
        """Forget what an invalidation names: `user <id>`, `roles`, `config` or `all`."""
        subject, _, name = message.partition(" ")
        match subject:
            case "user":
                self.drop_user(name)
            case "roles":
                self.roles.clear()
            case "config":
                self.config.clear()
            case "all":
                self.clear()

    def drop_user(self, user_id: str) -> None:
        """Forget what is known about a user: his sessions and his roles."""
        self.sessions.drop_group(user_id)
        self.roles.drop(user_id)

    def clear(self) -> None:
        """Forget everything."""
        for cache in self._all():
            cache.clear()

    def pause(self, paused: bool) -> None:
        """Remember nothing as long as nobody could say what is outdated: other processes are out of reach."""
        for cache in self._all():
            cache.is_paused = paused
        self.clear()

    def _all(self) -> tuple[TimedCache[Any], ...]:
        return self.sessions, self.roles, self.config

    def held_back(self) -> HeldBackCaches:
        """The caches of a transaction: what is read there stays there; nobody is told before the commit."""
        return HeldBackCaches(self, *self._size)


class HeldBackCaches(Caches):
    """The caches inside of a transaction: keep invalidations until `release`."""

    def __init__(self, outside: Caches, ttl: float, max_size: int) -> None:
        super().__init__(ttl, max_size)
        self._outside = outside
        self._held: dict[str, None] = {}

    async def invalidate(self, message: str) -> None:
        """Forget within the transaction only, for now."""
        self.forget(message)
        self._held[message] = None

    async def release(self) -> None:
        """Forget, and tell, after the commit."""
        for message in self._held:
            await self._outside.invalidate(message)
