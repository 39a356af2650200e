"""Object changes on their way out: announced after the write, held back until a transaction commits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from parse_clone.core.json_types import JsonObject
from parse_clone.immutable import immutable


@immutable()
class ObjectChange:
    """One write: `before` is None for a create, `after` is None for a delete. Full stored objects, shared:
    a listener copies what it wants to change."""

    class_name: str
    before: JsonObject | None
    after: JsonObject | None


ChangeListener = Callable[[ObjectChange], Awaitable[None]]


class ChangeFeed(Protocol):
    """Where writes announce themselves."""

    def wants(self, class_name: str) -> bool:
        """Is anybody interested? If so, writes of the class load the object's former state."""
        ...

    async def announce(self, change: ObjectChange) -> None: ...


class Listeners:
    """The open feed: tells every listener whose classes match, in order."""

    def __init__(self) -> None:
        self._listeners: list[tuple[Callable[[str], bool], ChangeListener]] = []

    def add(self, wants: Callable[[str], bool], listener: ChangeListener) -> None:
        """Register a listener for the classes that `wants` accepts."""
        self._listeners.append((wants, listener))

    def wants(self, class_name: str) -> bool:
        return any(wants(class_name) for wants, _ in self._listeners)

    async def announce(self, change: ObjectChange) -> None:
        for wants, listener in self._listeners:
            if wants(change.class_name):
                await listener(change)


class HeldBack:
    """The feed inside of a transaction: keeps changes until `release`."""

    def __init__(self, feed: ChangeFeed) -> None:
        self._feed = feed
        self._held: list[ObjectChange] = []

    def wants(self, class_name: str) -> bool:
        return self._feed.wants(class_name)

    async def announce(self, change: ObjectChange) -> None:
        self._held.append(change)

    async def release(self) -> Sequence[ObjectChange]:
        """Announce everything, after the commit."""
        held, self._held = self._held, []
        for change in held:
            await self._feed.announce(change)
        return held
