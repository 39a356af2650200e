"""Changes between processes, on parse-server's channels and in its form, so that either can serve the other.

A message carries the object before and after, and the class-level permissions at the time of the write.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import orjson

from parse_clone.core.context import RequestContext
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.schema import ClassSchema
from parse_clone.core.schema_json import encode_schema
from parse_clone.ports import PubSub
from parse_clone.services.changes import ObjectChange
from parse_clone.services.livequery.hub import LiveQueryHub
from parse_clone.services.objects.present import with_url
from parse_clone.services.toolbox import Toolbox


def live_classes(names: tuple[str, ...]) -> Callable[[str], bool]:
    """Which classes may be watched: names, or regular expressions of whole names."""
    if not names:
        return lambda class_name: False
    is_live = re.compile("|".join(f"(?:{name})" for name in names)).fullmatch
    return lambda class_name: is_live(class_name) is not None


@dataclass(frozen=True, slots=True)
class Message:
    """A change, and who might do what with the class when it was made."""

    change: ObjectChange
    permissions: Json


class ChangeChannels:
    """Publishes this process's changes and receives everybody's."""

    def __init__(self, toolbox: Toolbox, pubsub: PubSub, hub: LiveQueryHub) -> None:
        self._toolbox = toolbox
        self._pubsub = pubsub
        self._hub = hub
        self._saved = f"{toolbox.settings.app_id}afterSave"
        self._deleted = f"{toolbox.settings.app_id}afterDelete"
        self._encoded: dict[str, tuple[ClassSchema, orjson.Fragment]] = {}
        self._heeded: dict[str, Json] = {}

    # --- Out ---

    async def publish(self, change: ObjectChange) -> None:
        """Send a change to every process."""
        schema = await self._toolbox.catalog.get(change.class_name)
        if schema is not None:
            channel = self._deleted if change.after is None else self._saved
            await self._pubsub.publish(
                channel, encode_message(self._toolbox, schema, change, self._permissions(schema))
            )

    def _permissions(self, schema: ClassSchema) -> orjson.Fragment:
        known = self._encoded.get(schema.name)
        if known is None or known[0] is not schema:
            text = orjson.Fragment(orjson.dumps(encode_schema(schema)["classLevelPermissions"]))
            known = self._encoded[schema.name] = (schema, text)
        return known[1]

    # --- In ---

    async def listen(self) -> None:
        """Hand every process's changes to the hub."""
        self._pubsub.on_gap(self._mind_gap)
        await self._pubsub.subscribe(self._saved, self._hear_saved)
        await self._pubsub.subscribe(self._deleted, self._hear_deleted)

    async def _mind_gap(self, is_away: bool) -> None:
        if not is_away:
            self._hub.tell_loss()

    async def _hear_saved(self, text: str) -> None:
        await self._hear(decode_message(text, deleted=False))

    async def _hear_deleted(self, text: str) -> None:
        await self._hear(decode_message(text, deleted=True))

    async def _hear(self, message: Message | None) -> None:
        if message is not None:
            await self._heed(message.change.class_name, message.permissions)
            await self._hub.receive(message.change)

    async def _heed(self, class_name: str, permissions: Json) -> None:
        """Look at the schemas again when a process that says nothing else has changed permissions."""
        if self._heeded.get(class_name) == permissions:
            return
        self._heeded[class_name] = permissions
        schema = await self._toolbox.catalog.get(class_name)
        if schema is None or encode_schema(schema)["classLevelPermissions"] != permissions:
            await self._toolbox.catalog.load()


def encode_message(
    toolbox: Toolbox, schema: ClassSchema, change: ObjectChange, permissions: orjson.Fragment
) -> str:
    """Write a change as a message. Internal members stay here; files get a URL if it is the same for all."""
    current = change.before if change.after is None else change.after
    message: dict[str, object] = {"currentParseObject": _full(toolbox, schema, current or {})}
    if change.after is not None and change.before is not None:
        message["originalParseObject"] = _full(toolbox, schema, change.before)
    message["classLevelPermissions"] = permissions
    return orjson.dumps(message).decode()


def _full(toolbox: Toolbox, schema: ClassSchema, obj: JsonObject) -> JsonObject:
    full = {name: value for name, value in obj.items() if not name.startswith("_")}
    base_url = toolbox.settings.public_server_url
    if isinstance(base_url, str):
        context = replace(RequestContext(), base_url=base_url.rstrip("/"))
        for name in schema.file_fields:
            if name in full:
                full[name] = with_url(toolbox, context, full[name])
    return {**full, "__type": "Object", "className": schema.name}


def decode_message(text: str, *, deleted: bool) -> Message | None:
    """Read a message; None if it is none."""
    try:
        content: Json = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(content, dict):
        return None
    current, original = content.get("currentParseObject"), content.get("originalParseObject")
    if not isinstance(current, dict) or not isinstance(current.get("className"), str):
        return None
    after = None if deleted else _stored(current)
    before = _stored(current) if deleted else _stored(original) if isinstance(original, dict) else None
    change = ObjectChange(str(current["className"]), before, after)
    return Message(change, content.get("classLevelPermissions"))


_is_field_name = re.compile(r"[A-Za-z]\w*", re.ASCII).fullmatch


def _stored(obj: JsonObject) -> JsonObject:
    return {name: value for name, value in obj.items() if _is_field_name(name) and name != "className"}
