"""The current class schemas, in memory. Reads cost nothing; changes go through here to the storage.

Another process may change schemas, too: it says so by the change listener, and an unknown class or a refused
change makes this catalog look again.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping

from parse_clone.core.names import is_class_name, join_table
from parse_clone.core.schema import AddFields, ClassSchema, CreateClass, Field, SchemaChange
from parse_clone.core.system_classes import VOLATILE_CLASSES, join_schema, system_schema, with_system_fields
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.ports import Storage

RELOAD_INTERVAL = 0.5
"""Seconds between two looks at the storage because of unknown class names: clients choose the names."""


class SchemaCatalog:
    """Class schemas by name. A schema is replaced, never changed: whoever holds one may cache by identity."""

    def __init__(self, storage: Storage, lifetime: float | None = None) -> None:
        """`lifetime`: seconds after which schemas are read again, for changes that nobody tells of."""
        self._storage = storage
        self._lifetime = lifetime
        self._classes: dict[str, ClassSchema] = {}
        self._looked_at = -RELOAD_INTERVAL
        self._looks = 0
        self._shown = 0  # the look that `_classes` is from
        self._is_ahead = False
        self._listeners: list[Callable[[], Awaitable[None]]] = []

    def on_change(self, listener: Callable[[], Awaitable[None]]) -> None:
        """Call `listener` after every change made here (to tell the other processes)."""
        self._listeners.append(listener)

    @property
    def classes(self) -> Mapping[str, ClassSchema]:
        """Every class that exists in the storage."""
        return self._classes

    async def load(self, storage: Storage | None = None) -> None:
        """Read all schemas, as a transaction sees them where its storage is given. Unchanged ones keep their
        identity, and with it what is cached for them. A slow look does not undo a later one."""
        self._looked_at = time.monotonic()
        self._looks += 1
        look, is_own = self._looks, storage is None or storage is self._storage
        loaded = {}
        for schema in await (storage or self._storage).load_schemas():
            complete = with_system_fields(schema)
            known = self._classes.get(complete.name)
            loaded[complete.name] = known if known == complete else complete
        if look > self._shown or not is_own:
            self._shown, self._classes = max(look, self._shown), loaded

    async def catch_up(self) -> None:
        """After a transaction: if it changed classes, see whether it did so for good, and tell the others."""
        if self._is_ahead:
            self._is_ahead = False
            await self.load()
            await self._tell()

    async def get(self, name: str) -> ClassSchema | None:
        """The schema of a class, built-in and join classes included; None if there is no such class."""
        if self._lifetime is not None and time.monotonic() - self._looked_at > self._lifetime:
            await self.load()
        found = self._classes.get(name)
        if found is not None:
            return found
        if name in VOLATILE_CLASSES:
            return system_schema(name)
        table = join_table(name)
        if table is not None:
            return join_schema(table)
        if is_class_name(name) and time.monotonic() - self._looked_at > RELOAD_INTERVAL:
            await self.load()
        return self._classes.get(name)

    async def create_class(self, storage: Storage, schema: ClassSchema) -> ClassSchema:
        """Create a class, or take the one that another request made meanwhile."""
        try:
            await self.apply(storage, CreateClass(schema))
        except ParseError as error:
            if error.code != ErrorCode.INVALID_CLASS_NAME:
                raise
            await self.load(storage)
        return self._classes[schema.name]

    async def add_fields(self, storage: Storage, class_name: str, fields: Mapping[str, Field]) -> ClassSchema:
        """Add fields, or take those that another request added meanwhile: the caller checks types again.
        The fields of classes that are never stored are fixed (105)."""
        if class_name in VOLATILE_CLASSES:
            text = f"field {next(iter(fields))} cannot be added to {class_name}"
            raise ParseError(ErrorCode.INVALID_KEY_NAME, text)
        await self.apply(storage, AddFields(class_name, fields))
        return self._classes[class_name]

    async def apply(
        self,
        storage: Storage,
        *changes: SchemaChange,
        progress: Callable[[SchemaChange], None] = lambda change: None,
    ) -> None:
        """Make changes in order, all of them or none, and look at the result. `progress` is told of each one
        before it is made."""
        self._is_ahead = self._is_ahead or storage is not self._storage
        try:
            if len(changes) == 1:
                progress(changes[0])
                await storage.change_schema(changes[0])
            else:
                async with storage.schema_changes() as together:
                    for change in changes:
                        progress(change)
                        await together.change_schema(change)
        finally:
            await self.load(storage)
        await self._tell()

    async def _tell(self) -> None:
        for listener in self._listeners:
            await listener()
