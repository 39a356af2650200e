"""Changes between processes, on parse-server's channels and in its form, so that either can serve the other.

A message carries the object before and after, and the class-level permissions at the time of the write.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import orjson

from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.schema_json import encode_schema
from parse_clone.ports import PubSub
from parse_clone.services.changes import ObjectChange
from parse_clone.services.livequery.hub import LiveQueryHub
from parse_clone.services.toolbox import Toolbox


def live_classes(names: tuple[str, ...]) -> Callable[[str], bool]:
    """Which classes may be watched: names, or regular expressions of whole names."""
    if not names:
        return lambda class_name: False
    is_live = re.compile("|".join(f"(?:{name})" for name in names)).fullmatch
    return lambda class_name: is_live(class_name) is not None


class ChangeChannels:
    """Publishes this process's changes and receives everybody's."""

    def __init__(self, toolbox: Toolbox, pubsub: PubSub) -> None:
        self._toolbox = toolbox
        self._pubsub = pubsub
        self._saved = f"{toolbox.settings.app_id}afterSave"
        self._deleted = f"{toolbox.settings.app_id}afterDelete"

    async def publish(self, change: ObjectChange) -> None:
        """Send a change to every process."""
        channel = self._deleted if change.after is None else self._saved
        await self._pubsub.publish(channel, encode_change(change, await self._permissions(change)))

    async def _permissions(self, change: ObjectChange) -> Json:
        schema = await self._toolbox.catalog.get(change.class_name)
        return None if schema is None else encode_schema(schema)["classLevelPermissions"]

    async def listen(self, hub: LiveQueryHub) -> None:
        """Hand every process's changes to the hub."""

        async def saved(message: str) -> None:
            change = decode_change(message, deleted=False)
            if change is not None:
                await hub.receive(change)

        async def deleted(message: str) -> None:
            change = decode_change(message, deleted=True)
            if change is not None:
                await hub.receive(change)

        await self._pubsub.subscribe(self._saved, saved)
        await self._pubsub.subscribe(self._deleted, deleted)


def encode_change(change: ObjectChange, permissions: Json) -> str:
    """Write a change as a message. Internal members stay here."""
    current = change.before if change.after is None else change.after
    message: JsonObject = {"currentParseObject": _full(change.class_name, current or {})}
    if change.after is not None and change.before is not None:
        message["originalParseObject"] = _full(change.class_name, change.before)
    message["classLevelPermissions"] = permissions
    return orjson.dumps(message).decode()


def _full(class_name: str, obj: JsonObject) -> JsonObject:
    visible = {name: value for name, value in obj.items() if not name.startswith("_")}
    return {**visible, "__type": "Object", "className": class_name}


def decode_change(message: str, *, deleted: bool) -> ObjectChange | None:
    """Read a message; None if it is none."""
    try:
        content: Json = orjson.loads(message)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(content, dict):
        return None
    current, original = content.get("currentParseObject"), content.get("originalParseObject")
    if not isinstance(current, dict):
        return None
    class_name = str(current.get("className"))
    before = _stored(original) if isinstance(original, dict) else None
    if deleted:
        return ObjectChange(class_name, _stored(current), None)
    return ObjectChange(class_name, before, _stored(current))


def _stored(obj: JsonObject) -> JsonObject:
    return {name: value for name, value in obj.items() if name not in ("__type", "className")}
