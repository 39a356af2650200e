"""Messages within one process: what is published reaches every listener of the channel, in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable

Listener = Callable[[str], Awaitable[None]]


class InProcessPubSub:
    """The bus of a server that stands alone."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[Listener]] = defaultdict(list)

    async def publish(self, channel: str, message: str) -> None:
        """Hand a message to the listeners."""
        for listener in list(self._listeners[channel]):
            await listener(message)

    async def subscribe(self, channel: str, listener: Listener) -> None:
        """Listen to a channel."""
        self._listeners[channel].append(listener)

    def on_gap(self, listener: Callable[[bool], Awaitable[None]]) -> None:
        """Within a process nothing is lost."""

    async def close(self) -> None:
        """Forget the listeners."""
        self._listeners.clear()
