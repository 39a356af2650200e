"""Schema changes that can be taken back, for a database whose schemas no transaction holds.

Before each change is noted what would undo it. What deletes data cannot be undone; callers make it last.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import groupby

from parse_clone.adapters.storage.mongo.schema_collection import SchemaCollection
from parse_clone.core.schema import (
    AddFields,
    AddIndexes,
    ClassSchema,
    CreateClass,
    DropIndexes,
    SchemaChange,
    SetFieldOptions,
    SetPermissions,
)

Undo = Callable[[], Awaitable[None]]


class RevocableSchemas(SchemaCollection):
    """Remembers how to undo its changes."""

    def __init__(self, schemas: SchemaCollection) -> None:
        super().__init__(schemas.collection)
        self._undos: list[Undo] = []

    async def change(self, change: SchemaChange, *, in_transaction: bool) -> None:
        """Make a change; one that fails half-way is undone with the others."""
        known = {schema.name: schema for schema in await self.load()}
        self._undos += await self._undos_of(change, known)
        await super().change(change, in_transaction=in_transaction)

    async def take_back(self) -> None:
        """Undo the changes, the last one first."""
        while self._undos:
            await self._undos.pop()()

    async def _undos_of(self, change: SchemaChange, known: dict[str, ClassSchema]) -> list[Undo]:
        match change:
            case CreateClass(schema) if schema.name not in known:
                return [lambda: self.forget_class(schema)]
            case AddFields(class_name, fields) if class_name in known:
                new = [name for name in fields if name not in known[class_name].fields]
                return [lambda: self.forget_fields(class_name, new)]
            case SetFieldOptions(class_name, fields) if class_name in known:
                before = {name: field for name, field in known[class_name].fields.items() if name in fields}
                return [self._making(SetFieldOptions(class_name, before))]
            case SetPermissions(class_name, _) if class_name in known:
                return [self._making(SetPermissions(class_name, known[class_name].permissions))]
            case AddIndexes(indexes):
                undos = []
                for class_name, group in groupby(indexes, key=lambda index: index.class_name):
                    real = {index.name for index in await self.list_indexes(class_name)}
                    added = tuple(index.name for index in group if index.name not in real)
                    undos.append(self._making(DropIndexes(class_name, added)))
                return undos
            case DropIndexes(class_name, names):
                dropped = [index for index in await self.list_indexes(class_name) if index.name in names]
                return [self._making(AddIndexes(tuple(dropped)))]
            case _:
                return []

    def _making(self, change: SchemaChange) -> Undo:
        return lambda: super(RevocableSchemas, self).change(change, in_transaction=False)
