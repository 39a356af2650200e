"""MongoDB as a `ports.Storage`, through PyMongo's asyncio API. One round trip per call.

What objects look like there is in `codec.py`, what conditions and operations become in the compilers; here is
only what is asked of the server, and when.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from copy import copy
from typing import Any

import orjson
from pymongo import AsyncMongoClient, ReturnDocument, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, ConfigurationError, OperationFailure, PyMongoError
from pymongo.read_preferences import (
    Nearest,
    Primary,
    PrimaryPreferred,
    Secondary,
    SecondaryPreferred,
)

from parse_clone.adapters.storage.mongo.change_stream import DatabaseChanges
from parse_clone.adapters.storage.mongo.codec import Row, RowCodec, decode_nested
from parse_clone.adapters.storage.mongo.driver_errors import DRIVER_ERRORS, Code
from parse_clone.adapters.storage.mongo.grouped_inserts import GroupedInserts
from parse_clone.adapters.storage.mongo.pipelines import PipelineCodec
from parse_clone.adapters.storage.mongo.query_compiler import compile_filter, compile_sort
from parse_clone.adapters.storage.mongo.revocable_schemas import RevocableSchemas
from parse_clone.adapters.storage.mongo.schema_codec import CASE_INSENSITIVE
from parse_clone.adapters.storage.mongo.schema_collection import SchemaCollection
from parse_clone.adapters.storage.mongo.update_compiler import compile_update, refusal_of
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.matcher import apply_page
from parse_clone.core.names import JoinTable
from parse_clone.core.operations import Operations
from parse_clone.core.query import WHOLE, Condition, Near, Page, Regex, TextSearch, leaves
from parse_clone.core.schema import ClassSchema, Index, SchemaChange
from parse_clone.errors import ErrorCode, ParseError, SettingsError
from parse_clone.ports import EncodedRow, StoredChange

_READ_PREFERENCES = {
    "PRIMARY": Primary(),
    "PRIMARY_PREFERRED": PrimaryPreferred(),
    "SECONDARY": Secondary(),
    "SECONDARY_PREFERRED": SecondaryPreferred(),
    "NEAREST": Nearest(),
}
_REGEX_TIME_MS = 10_000
_FIRST_BATCH = 101  # rows that MongoDB sends at once unless told otherwise
_COMMIT_ATTEMPTS = 5
_SCORE: Row = {"$meta": "textScore"}


class MongoStorage:
    """A database of MongoDB, the one that the URI names. Pools, timeouts and TLS are the URI's options."""

    def __init__(self, uri: str, *, prefix: str = "", max_time_ms: int | None = None, **options: Any) -> None:
        """`prefix` begins every collection's name; a query is ended after `max_time_ms`; `options` are the
        driver's."""
        self._client = _open_client(uri, options)
        self._database = self._client.get_default_database("test")
        self._prefix = prefix
        self._max_time_ms = max_time_ms
        self._session: AsyncClientSession | None = None
        self._collections: dict[str, AsyncCollection[Row]] = {}
        self._codecs: dict[str, RowCodec] = {}
        self._schemas = SchemaCollection(self._collection)
        self._inserts = GroupedInserts()

    def _collection(self, name: str, read_preference: str | None = None) -> AsyncCollection[Row]:
        found = self._collections.get(name)
        if found is None:
            found = self._collections[name] = self._database[self._prefix + name]
        if read_preference is None or self._session is not None:
            return found
        return found.with_options(read_preference=_READ_PREFERENCES.get(read_preference.upper()))

    def _codec(self, schema: ClassSchema) -> RowCodec:
        found = self._codecs.get(schema.name)
        if found is None or found.schema is not schema:
            found = self._codecs[schema.name] = RowCodec(schema)
        return found

    def _time_limit(self, where: Condition) -> int | None:
        """Milliseconds that a query may take: an expression's author must not choose how many."""
        return self._max_time_ms or (_REGEX_TIME_MS if _asks(where, Regex) else None)

    # --- Read ---------------------------------------------------------------------------------------------

    async def find(self, schema: ClassSchema, where: Condition, page: Page) -> list[JsonObject]:
        """Answer a page of the matches."""
        if page.limit == 0:
            return []
        codec = self._codec(schema)
        query = self._query(codec, where, page)
        with DRIVER_ERRORS:
            try:
                rows = await self._run(schema, page, query)
            except OperationFailure as error:
                if not await self._create_missing_index(codec, where, error):
                    raise
                rows = await self._run(schema, page, query)
        objects = [codec.decode(row) for row in rows]
        if not page.order and not page.skip and len(rows) != page.limit and _asks(where, Near):
            # Not every server that speaks MongoDB's protocol sorts by distance; whole answers we can.
            objects = apply_page(objects, where, WHOLE)
        if page.keys is None or query["projection"] is not None:
            return objects
        wanted = page.keys | {"objectId", "createdAt", "updatedAt", "ACL"}
        return [{name: value for name, value in obj.items() if name in wanted} for obj in objects]

    async def find_json(self, schema: ClassSchema, where: Condition, page: Page) -> list[EncodedRow]:
        """Answer a page of the matches, each as its id and its encoded JSON."""
        return [(str(obj["objectId"]), orjson.dumps(obj)) for obj in await self.find(schema, where, page)]

    def _query(self, codec: RowCodec, where: Condition, page: Page) -> Row:
        keys, order = page.keys, page.order
        if not _asks(where, TextSearch):  # no text was searched: there is no score
            keys = None if keys is None else keys - {"$score"}
            order = tuple(key for key in order if key.path != "$score")
        return {
            "filter": compile_filter(codec, where, nearest_first=not page.order),
            "projection": None if keys is None else _projection(codec, keys),
            "sort": compile_sort(codec, order) or None,
            "skip": page.skip,
            "limit": page.limit or 0,
            "batch_size": page.limit if page.limit and page.limit > _FIRST_BATCH else 0,
            "collation": CASE_INSENSITIVE if page.case_insensitive else None,
            "hint": page.hint,
            "comment": page.comment,
            "max_time_ms": self._time_limit(where),
        }

    async def _run(self, schema: ClassSchema, page: Page, query: Row) -> list[Row]:
        collection = self._collection(schema.name, page.read_preference)
        return await collection.find(**query, session=self._session).to_list()

    async def _create_missing_index(self, codec: RowCodec, where: Condition, error: OperationFailure) -> bool:
        """Make the index that a query for places or words needs, if that is what the server misses."""
        if (
            error.code not in (Code.INDEX_NOT_FOUND, Code.NO_QUERY_EXECUTION_PLANS)
            or self._session is not None
        ):
            return False
        leaf = next((leaf for leaf in leaves(where) if isinstance(leaf, Near | TextSearch)), None)
        if leaf is None:
            return False
        member, kind = codec.column(leaf.path).name, "2d" if isinstance(leaf, Near) else "text"
        await self._schemas.create_index(codec.schema.name, member, kind)
        return True

    async def count(self, schema: ClassSchema, where: Condition) -> int:
        """Count the matches; all rows of a class are counted by the server's estimate."""
        query = compile_filter(self._codec(schema), where)
        collection = self._collection(schema.name)
        limit = _time_argument(self._time_limit(where))
        with DRIVER_ERRORS:
            if not query and self._session is None:
                return await collection.estimated_document_count()
            return await collection.count_documents(query, session=self._session, **limit)

    async def distinct(self, schema: ClassSchema, path: str, where: Condition) -> list[Json]:
        """List the different values of a path; those of arrays element by element, null left out."""
        codec = self._codec(schema)
        column = codec.column(path)
        query = compile_filter(codec, where)
        collection = self._collection(schema.name)
        limit = _time_argument(self._time_limit(where))
        with DRIVER_ERRORS:
            if column.type == "GeoPoint":  # stored as a pair, which must not be taken apart
                stages = [{"$match": query}, {"$group": {"_id": f"${column.name}"}}]
                rows = await (await collection.aggregate(stages, session=self._session, **limit)).to_list()
                values = [row["_id"] for row in rows]
            else:
                values = await collection.distinct(column.name, query, session=self._session, **limit)
        decode = decode_nested if column.type == "Date" else column.decode
        return [decode(value) for value in values if value is not None]

    async def aggregate(
        self, schema: ClassSchema, stages: Sequence[JsonObject], options: Mapping[str, Json]
    ) -> list[JsonObject]:
        """Run a pipeline. Only privileged callers do, who may read the server's own complaints."""
        codec = PipelineCodec(schema, options)
        preference = options.get("readPreference")
        collection = self._collection(schema.name, preference if isinstance(preference, str) else None)
        arguments: Row = {name: options[name] for name in ("hint", "comment") if options.get(name)}
        with DRIVER_ERRORS:
            try:
                pipeline = codec.encode(stages)
                if explain := options.get("explain"):
                    command = {"aggregate": collection.name, "pipeline": pipeline, "cursor": {}, **arguments}
                    return [await self._explain(command, explain)]
                arguments |= _time_argument(self._max_time_ms)
                cursor = await collection.aggregate(pipeline, session=self._session, **arguments)
                return [codec.decode(row) for row in await cursor.to_list()]
            except OperationFailure as error:
                details = error.details or {}
                raise ParseError(ErrorCode.INVALID_QUERY, str(details.get("errmsg") or error)) from error

    async def explain(self, schema: ClassSchema, where: Condition, page: Page, verbosity: str) -> Json:
        """Answer the server's plan for a find."""
        query = self._query(self._codec(schema), where, page)
        command: Row = {"find": self._collection(schema.name).name, "filter": query["filter"]}
        command |= {name: query[name] for name in ("projection", "skip", "limit", "hint") if query[name]}
        if query["sort"]:
            command["sort"] = dict(query["sort"])
        if page.case_insensitive:
            command["collation"] = CASE_INSENSITIVE.document
        with DRIVER_ERRORS:
            return await self._explain(command, verbosity)

    async def _explain(self, command: Row, verbosity: Json) -> JsonObject:
        known = verbosity if verbosity in ("queryPlanner", "executionStats") else "allPlansExecution"
        plan = await self._database.command({"explain": command, "verbosity": known})
        return {name: decode_nested(value) for name, value in plan.items() if not name.startswith("$")}

    # --- Write --------------------------------------------------------------------------------------------

    async def insert(
        self, schema: ClassSchema, objects: Sequence[JsonObject], *, keeps_first: bool = False
    ) -> None:
        """Store new objects, all or none: without a transaction, what went in before a refusal is removed."""
        encode = self._codec(schema).encode
        rows = [encode(obj) for obj in objects]
        collection = self._collection(schema.name)
        with DRIVER_ERRORS:
            if len(rows) == 1 and self._session is None:
                await self._inserts.insert(collection, rows[0])
            elif len(rows) == 1:
                await collection.insert_one(rows[0], session=self._session)
            elif rows:
                try:
                    await collection.insert_many(rows, session=self._session)
                except BulkWriteError as error:
                    stored = rows[: error.details["nInserted"]]
                    if stored and self._session is None and not keeps_first:
                        await collection.delete_many({"_id": {"$in": [row["_id"] for row in stored]}})
                    raise

    async def update(
        self, schema: ClassSchema, where: Condition, operations: Operations, *, upsert: bool = False
    ) -> JsonObject | None:
        """Change the one match in one atomic step."""
        codec = self._codec(schema)
        query, changes = compile_filter(codec, where), compile_update(codec, operations)
        collection = self._collection(schema.name)
        with DRIVER_ERRORS:
            try:
                row = (
                    await collection.find_one_and_update(
                        query,
                        changes,
                        upsert=upsert,
                        return_document=ReturnDocument.AFTER,
                        session=self._session,
                    )
                    if changes
                    else await collection.find_one(query, session=self._session)
                )
            except OperationFailure as error:
                raise refusal_of(error, operations) or error from error
        return None if row is None else codec.decode(row)

    async def update_many(self, schema: ClassSchema, where: Condition, operations: Operations) -> int:
        """Change all matches; answers how many there were."""
        codec = self._codec(schema)
        query, changes = compile_filter(codec, where), compile_update(codec, operations)
        if not changes:
            return await self.count(schema, where)
        with DRIVER_ERRORS:
            try:
                result = await self._collection(schema.name).update_many(
                    query, changes, session=self._session
                )
            except OperationFailure as error:
                raise refusal_of(error, operations) or error from error
        return result.matched_count

    async def delete(self, schema: ClassSchema, where: Condition) -> int:
        """Remove all matches; answers how many there were."""
        query = compile_filter(self._codec(schema), where)
        with DRIVER_ERRORS:
            result = await self._collection(schema.name).delete_many(query, session=self._session)
        return result.deleted_count

    # --- Links --------------------------------------------------------------------------------------------

    async def link(self, table: JoinTable, owning_id: str, related_ids: Sequence[str]) -> None:
        """Add links; those that exist stay as they are."""
        links = [{"owningId": owning_id, "relatedId": related_id} for related_id in related_ids]
        if links:
            with DRIVER_ERRORS:
                await self._collection(table.name).bulk_write(
                    [UpdateOne(link, {"$set": link}, upsert=True) for link in links], session=self._session
                )

    async def unlink(self, table: JoinTable, owning_id: str, related_ids: Sequence[str]) -> None:
        """Remove links; those that do not exist are no error."""
        links = {"owningId": owning_id, "relatedId": {"$in": list(related_ids)}}
        with DRIVER_ERRORS:
            await self._collection(table.name).delete_many(links, session=self._session)

    async def related_ids(self, table: JoinTable, owning_ids: Sequence[str]) -> list[str]:
        """Follow links from owning to related objects, in order of linking."""
        return await self._linked(table, "owningId", owning_ids, "relatedId")

    async def owning_ids(self, table: JoinTable, related_ids: Sequence[str]) -> list[str]:
        """Follow links from related to owning objects."""
        return await self._linked(table, "relatedId", related_ids, "owningId")

    async def _linked(self, table: JoinTable, known: str, ids: Sequence[str], wanted: str) -> list[str]:
        query = {known: {"$in": list(ids)}}
        with DRIVER_ERRORS:
            cursor = self._collection(table.name).find(query, {wanted: 1}, session=self._session)
            rows = await cursor.sort("_id", 1).to_list()
        return list(dict.fromkeys(row[wanted] for row in rows))

    # --- Transactions -------------------------------------------------------------------------------------

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[MongoStorage]:
        """Open a transaction, which needs a replica set; inside of one, join it."""
        if self._session is not None:
            yield self
            return
        async with self._client.start_session() as session:
            within = copy(self)
            within._session = session
            with DRIVER_ERRORS:
                await session.start_transaction()
                try:
                    yield within
                except BaseException:
                    await session.abort_transaction()
                    raise
                await _commit(session)

    def changes(
        self, schema_of: Callable[[str], Awaitable[ClassSchema | None]], wants: Callable[[str], bool]
    ) -> AbstractAsyncContextManager[AsyncIterator[StoredChange]]:
        """Tell of every write, whoever makes it; needs a replica set."""
        return DatabaseChanges(self._database, self._prefix).open(schema_of, wants)

    # --- Schemas: always outside of transactions, as parse-server keeps them ------------------------------

    async def load_schemas(self) -> list[ClassSchema]:
        """Read all classes."""
        with DRIVER_ERRORS:
            return await self._schemas.load()

    async def change_schema(self, change: SchemaChange) -> None:
        """Make a change. Fields that another process added meanwhile stay as they are."""
        with DRIVER_ERRORS:
            await self._schemas.change(change, in_transaction=self._session is not None)

    @asynccontextmanager
    async def schema_changes(self) -> AsyncGenerator[MongoStorage]:
        """Take back the schema changes made within, if something raises."""
        within = copy(self)
        within._schemas = schemas = RevocableSchemas(self._schemas)
        try:
            yield within
        except BaseException:
            with DRIVER_ERRORS:
                await schemas.take_back()
            raise

    async def list_indexes(self, class_name: str) -> list[Index]:
        """Describe the real indexes of a class."""
        with DRIVER_ERRORS:
            return await self._schemas.list_indexes(class_name)

    # --- Connection ---------------------------------------------------------------------------------------

    async def ping(self) -> None:
        """Ask whether the database answers."""
        with DRIVER_ERRORS:
            await self._database.command("ping")

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()


def _open_client(uri: str, options: Mapping[str, Any]) -> AsyncMongoClient[Row]:
    try:
        return AsyncMongoClient(uri, tz_aware=False, datetime_conversion="DATETIME_AUTO", **options)
    except (PyMongoError, ValueError, TypeError) as error:
        # Where a password holds unescaped signs, the driver may take a part of it for something else.
        secret = "@" in uri and not isinstance(error, ConfigurationError)
        reason = "is the password percent-encoded?" if secret else str(error)
        raise SettingsError(
            f"databaseURI and databaseOptions: MongoDB's driver refuses them: {reason}"
        ) from None


def _asks(where: Condition, kind: type[Near | Regex | TextSearch]) -> bool:
    return any(isinstance(leaf, kind) for leaf in leaves(where))


def _time_argument(milliseconds: int | None) -> Row:
    return {} if milliseconds is None else {"maxTimeMS": milliseconds}


def _projection(codec: RowCodec, keys: frozenset[str]) -> Row | None:
    projection = codec.projection(keys - {"$score"})
    return projection if projection is None or "$score" not in keys else projection | {"score": _SCORE}


async def _commit(session: AsyncClientSession) -> None:
    """Commit, asking again where the answer was lost: the server remembers what it committed."""
    for attempt in range(_COMMIT_ATTEMPTS):
        try:
            await session.commit_transaction()
            return
        except PyMongoError as error:
            last = attempt == _COMMIT_ATTEMPTS - 1
            if last or not error.has_error_label("UnknownTransactionCommitResult"):
                raise
