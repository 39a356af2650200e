"""Changes as the database tells them: all writes of all processes and programs, after their commit, in order.

What outdates sessions, roles, schemas or webhooks comes in the same order, and is forgotten before the next
change is delivered. While the database tells nothing, nothing is remembered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from parse_clone.core.json_types import JsonObject
from parse_clone.ports import ChangeSource
from parse_clone.services.changes import ObjectChange
from parse_clone.services.livequery.hub import LiveQueryHub
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.users.sessions import user_id_of
from parse_clone.services.webhooks import reload_webhooks

log = structlog.get_logger("livequery")

RETRY_SECONDS = 0.5
OF_RIGHTS = frozenset({"_User", "_Session"})
"""Classes whose rows say whose rights have changed."""


class DatabaseFeed:
    """Hands the database's changes to the hub."""

    def __init__(
        self, toolbox: Toolbox, source: ChangeSource, hub: LiveQueryHub, is_live: Callable[[str], bool]
    ) -> None:
        self._toolbox = toolbox
        self._source = source
        self._hub = hub
        self._is_live = is_live
        self.opened = asyncio.Event()

    async def run(self) -> None:
        """Follow the database until cancelled."""
        while True:
            try:
                await self._follow()
            except Exception as error:
                log.warning("the database tells no changes", error=str(error))
            self._toolbox.caches.pause(True)
            await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self) -> None:
        async with self._source.changes(self._toolbox.catalog.get, self._wants) as changes:
            await self._toolbox.catalog.load()
            self._toolbox.caches.pause(False)
            if self.opened.is_set():
                self._hub.tell_loss()
            self.opened.set()
            async for class_name, before, after in changes:
                await self._forget(class_name, before, after)
                if self._is_live(class_name) and (before is not None or after is not None):
                    await self._hub.receive(ObjectChange(class_name, before, after))

    def _wants(self, class_name: str) -> bool:
        return class_name in OF_RIGHTS or self._is_live(class_name)

    async def _forget(self, class_name: str, before: JsonObject | None, after: JsonObject | None) -> None:
        caches = self._toolbox.caches
        match class_name:
            case "_SCHEMA":
                await self._toolbox.catalog.load()
            case "_Hooks":
                await reload_webhooks(self._toolbox)
            case "_GlobalConfig":
                caches.forget("config")
            case "_User" if before is not None:
                caches.drop_user(str(before["objectId"]))
            case "_Session" if before is not None:
                for session in (before, after):
                    user_id = None if session is None else user_id_of(session)
                    if user_id is not None:
                        caches.drop_user(user_id)
            case "_User" | "_Session" if after is None:
                caches.clear()  # a deletion whose former state is unknown
            case _ if class_name == "_Role" or class_name.endswith(":_Role"):
                caches.forget("roles")
