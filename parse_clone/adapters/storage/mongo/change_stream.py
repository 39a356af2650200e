"""MongoDB's change stream: every write of whichever program, with the row before and after, in the order of
the database's log. It needs a replica set; MongoDB 6 keeps the former states of rows where it is asked to."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
from pymongo.asynchronous.change_stream import AsyncChangeStream
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from parse_clone.adapters.storage.mongo.codec import Row, RowCodec
from parse_clone.adapters.storage.mongo.driver_errors import DRIVER_ERRORS, Code
from parse_clone.core.json_types import JsonObject
from parse_clone.core.schema import ClassSchema
from parse_clone.ports import StoredChange

log = structlog.get_logger("storage")

SCHEMAS = "_SCHEMA"
WRITES = ["insert", "update", "replace", "delete"]
FORMER_STATES: Row = {"changeStreamPreAndPostImages": {"enabled": True}}

SchemaOf = Callable[[str], Awaitable[ClassSchema | None]]


class DatabaseChanges:
    """Follows one database. `wants` names the classes whose rows are decoded, with their former states."""

    def __init__(self, database: AsyncDatabase[Row], prefix: str) -> None:
        self._database = database
        self._prefix = prefix
        self._kept: set[str] = set()

    @asynccontextmanager
    async def open(
        self, schema_of: SchemaOf, wants: Callable[[str], bool]
    ) -> AsyncGenerator[AsyncIterator[StoredChange]]:
        """Open the stream: what is written from now on is told."""
        with DRIVER_ERRORS:
            for name in await self._database.list_collection_names():
                if self._is_wanted(name, wants):
                    await self._keep_former_states(name)
            stream = await self._database.watch(
                [{"$match": {"operationType": {"$in": WRITES}}}],
                full_document="whenAvailable",
                full_document_before_change="whenAvailable",
            )
        async with stream:
            yield self._read(stream, schema_of, wants)

    async def _read(
        self, stream: AsyncChangeStream[Row], schema_of: SchemaOf, wants: Callable[[str], bool]
    ) -> AsyncIterator[StoredChange]:
        async for event in stream:
            collection: str = event["ns"]["coll"]
            if not collection.startswith(self._prefix):
                continue
            name = collection.removeprefix(self._prefix)
            if name == SCHEMAS and wants(class_name := str(event["documentKey"]["_id"])):
                self._kept.discard(self._prefix + class_name)  # the class may be one made anew
                await self._keep_former_states(self._prefix + class_name)
            if not wants(name):
                yield name, None, None
                continue
            await self._keep_former_states(collection)
            schema = await schema_of(name)
            if schema is not None:
                yield (name, *_states(RowCodec(schema), event))

    def _is_wanted(self, collection: str, wants: Callable[[str], bool]) -> bool:
        return collection.startswith(self._prefix) and wants(collection.removeprefix(self._prefix))

    async def _keep_former_states(self, collection: str) -> None:
        """Ask the database to keep former states, once there is such a collection. To make it is up to those
        who write: a transaction that makes it, too, would fail."""
        if collection in self._kept:
            return
        self._kept.add(collection)
        try:
            await self._database.command({"collMod": collection, **FORMER_STATES})
        except OperationFailure as error:
            self._kept.discard(collection)
            if error.code != Code.NAMESPACE_NOT_FOUND:
                log.warning("former states are not kept", collection=collection, error=str(error.details))


def _states(codec: RowCodec, event: Row) -> tuple[JsonObject | None, JsonObject | None]:
    """The row before and after. A former state that the database has not kept is taken for the new one: that
    shows nobody anything; a deletion without it is nothing at all, as nobody knows who might hear of it."""
    former, new = event.get("fullDocumentBeforeChange"), event.get("fullDocument")
    after = None if new is None else codec.decode(new)
    before = None if former is None else codec.decode(former)
    if before is None and event["operationType"] in ("update", "replace"):
        before = after
    return before, after
