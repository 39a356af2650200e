"""Small caches in front of the database: bounded, time-limited, dropped by the writes that outdate them."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from parse_clone.core.json_types import JsonObject

Value = TypeVar("Value")


class TimedCache(Generic[Value]):
    """Least recently stored goes first; an entry lives `ttl` seconds. Values are shared: never change one."""

    def __init__(self, ttl: float, max_size: int) -> None:
        self._ttl = ttl
        self._max_size = max_size
        self._entries: OrderedDict[str, tuple[float, Value]] = OrderedDict()

    def get(self, key: str) -> Value | None:
        """The value, or None if it is absent or too old."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] < time.monotonic():
            del self._entries[key]
            return None
        return entry[1]

    def put(self, key: str, value: Value) -> None:
        """Store a value."""
        self._entries[key] = (time.monotonic() + self._ttl, value)
        self._entries.move_to_end(key)
        if len(self._entries) > self._max_size:
            self._entries.popitem(last=False)

    def drop(self, key: str) -> None:
        """Forget one value."""
        self._entries.pop(key, None)

    def drop_where(self, outdated: Callable[[Value], bool]) -> None:
        """Forget every value that the test names."""
        for key in [key for key, (_, value) in self._entries.items() if outdated(value)]:
            del self._entries[key]

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()


class Caches:
    """Session token to (session, user); user id to role names; the global config."""

    def __init__(self, ttl: float, max_size: int) -> None:
        self.sessions: TimedCache[tuple[JsonObject, JsonObject]] = TimedCache(ttl, max_size)
        self.roles: TimedCache[tuple[str, ...]] = TimedCache(ttl, max_size)
        self.config: TimedCache[JsonObject] = TimedCache(ttl, 1)

    def drop_user(self, user_id: str) -> None:
        """Forget what is known about a user: his sessions and his roles."""
        self.sessions.drop_where(lambda entry: entry[1]["objectId"] == user_id)
        self.roles.drop(user_id)

    def clear(self) -> None:
        """Forget everything."""
        self.sessions.clear()
        self.roles.clear()
        self.config.clear()
