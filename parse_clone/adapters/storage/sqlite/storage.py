"""SQLite as a `ports.Storage`: what each call asks of the file, and in which transaction.

How a class lies there is in `layout.py` and `schema_tables.py`, what conditions become in
`query_compiler.py`, and which thread does the work in `connections.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from copy import copy
from datetime import UTC, datetime, timedelta
from functools import partial

import apsw
import orjson

from parse_clone.adapters.storage.sqlite import schema_tables
from parse_clone.adapters.storage.sqlite.connections import MANY_ROWS, Connection, Database, Session
from parse_clone.adapters.storage.sqlite.layout import (
    Binding,
    ClassLayout,
    Sql,
    SqlRow,
    encode_row,
    layouts,
    links_table,
)
from parse_clone.adapters.storage.sqlite.pipelines import aggregate, leading_condition
from parse_clone.adapters.storage.sqlite.query_compiler import compile_matches, compile_page, equals_one_of
from parse_clone.core.comparison import Missing, compile_path, equality_key
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.matcher import apply_page
from parse_clone.core.names import JoinTable, root_of
from parse_clone.core.operations import Operations, apply_operations, initial_values
from parse_clone.core.query import EVERYTHING, WHOLE, AllOf, Compare, Condition, In, Page, leaves
from parse_clone.core.schema import ClassSchema, Index, SchemaChange
from parse_clone.core.system_classes import join_schema, new_schema
from parse_clone.core.values import date_value
from parse_clone.errors import ParseError
from parse_clone.ports import EncodedRow

_SWEEP_INTERVAL = 60.0
"""Seconds between two looks for rows whose time is over."""
_ALWAYS_SELECTED = frozenset({"objectId", "createdAt", "updatedAt", "ACL"})


class SqliteStorage:
    """A file of SQLite. Several processes may use it at once."""

    def __init__(self, path: str) -> None:
        """Open the file, making it and its directories where they are missing; `:memory:` keeps nothing."""
        self._database = Database(path, schema_tables.SYSTEM_TABLES, schema_tables.APPLICATION_ID)
        self._session: Session = self._database
        self._layout = layouts()
        self._sweeper: asyncio.Task[None] | None = None

    # --- Read ---------------------------------------------------------------------------------------------

    async def find(self, schema: ClassSchema, where: Condition, page: Page) -> list[JsonObject]:
        """Answer a page of the matches."""
        if page.limit == 0:
            return []
        layout = self._layout(schema)
        query = compile_page(layout, where, page)
        if query is None:
            every = compile_matches(layout, where, case_insensitive=page.case_insensitive)
            return await self._session.scan(
                lambda connection: apply_page(decode_objects(connection.rows(every)), where, page)
            )
        keys = page.keys
        return await self._session.read(
            query, decode_objects if keys is None else lambda rows: decode_selected(rows, keys)
        )

    async def find_json(self, schema: ClassSchema, where: Condition, page: Page) -> list[EncodedRow]:
        """Answer a page of the matches, each as its id and its encoded JSON."""
        if page.limit == 0:
            return []
        if page.keys is None:
            query = compile_page(self._layout(schema), where, page, "object_id, CAST(doc AS BLOB)")
            if query is not None:
                return await self._session.read(query, list)
        return [(str(obj["objectId"]), orjson.dumps(obj)) for obj in await self.find(schema, where, page)]

    async def count(self, schema: ClassSchema, where: Condition) -> int:
        """Count the matches."""
        query = compile_matches(self._layout(schema), where, "count(*)")
        if where == EVERYTHING:  # SQLite does it in one step, which nothing interrupts
            return await self._session.scan(lambda connection: _decode_count(connection.rows(query)))
        return await self._session.read(query, _decode_count)

    async def distinct(self, schema: ClassSchema, path: str, where: Condition) -> list[Json]:
        """List the different values of a path; those of arrays element by element, null left out."""
        root = self._layout(schema).place(root_of(path))
        if not root.json_type:
            return []
        query = compile_matches(self._layout(schema), where, f"DISTINCT {root.stored}")
        return await self._session.read(query, lambda rows: distinct_values(rows, path))

    async def aggregate(
        self, schema: ClassSchema, stages: Sequence[JsonObject], options: Mapping[str, Json]
    ) -> list[JsonObject]:
        """Run a pipeline over the class's objects."""
        if options.get("explain"):
            plan = await self.explain(schema, leading_condition(schema, stages), WHOLE, "queryPlanner")
            return [plan] if isinstance(plan, dict) else []
        return await self._session.scan(lambda connection: aggregate(connection, schema, stages, options))

    async def explain(self, schema: ClassSchema, where: Condition, page: Page, verbosity: str) -> Json:
        """Answer SQLite's plan for a find: its statement, and the steps that read tables and indexes."""
        layout = self._layout(schema)
        query = compile_page(layout, where, page)
        sorts_in_core = query is None
        query = query or compile_matches(layout, where, case_insensitive=page.case_insensitive)
        steps = await self._session.read(
            Sql(f"EXPLAIN QUERY PLAN {query.text}", query.parameters), lambda rows: [row[3] for row in rows]
        )
        plan: JsonObject = {"statement": query.text, "steps": steps, "sortsInCore": sorts_in_core}
        return {"queryPlanner": {"winningPlan": plan}}

    # --- Write --------------------------------------------------------------------------------------------

    async def insert(
        self, schema: ClassSchema, objects: Sequence[JsonObject], *, keeps_first: bool = False
    ) -> None:
        """Store new objects, all or none."""
        rows = [encode_row(obj) for obj in objects]
        if rows:
            work = partial(_insert, self._layout(schema), rows)
            await self._session.write(work, long=len(rows) > MANY_ROWS)

    async def update(
        self, schema: ClassSchema, where: Condition, operations: Operations, *, upsert: bool = False
    ) -> JsonObject | None:
        """Change the one match."""
        layout = self._layout(schema)
        matches = compile_matches(layout, where, "rowid, doc", "LIMIT 1")
        fresh = {"objectId": _named_id(where), **initial_values(operations)} if upsert else None

        def work(connection: Connection) -> JsonObject | None:
            changed = _change(connection, layout, matches, operations)
            if changed or fresh is None:
                return changed[0] if changed else None
            _insert(layout, [encode_row(fresh)], connection)
            return fresh

        return await self._session.write(work)

    async def update_many(self, schema: ClassSchema, where: Condition, operations: Operations) -> int:
        """Change all matches; answers how many there were."""
        layout = self._layout(schema)
        matches = compile_matches(layout, where, "rowid, doc")
        return await self._session.write(
            lambda connection: len(_change(connection, layout, matches, operations))
        )

    async def delete(self, schema: ClassSchema, where: Condition) -> int:
        """Remove all matches; answers how many there were."""
        layout = self._layout(schema)
        matches = compile_matches(layout, where, "rowid")

        def work(connection: Connection) -> int:
            ids = [row[0] for row in connection.rows_to_change(matches)]
            if ids:
                connection.change(
                    f"DELETE FROM {layout.table} WHERE rowid IN (SELECT value FROM json_each(?))",
                    (orjson.dumps(ids).decode(),),
                )
            return len(ids)

        return await self._session.write(work)

    # --- Links --------------------------------------------------------------------------------------------

    async def link(self, table: JoinTable, owning_id: str, related_ids: Sequence[str]) -> None:
        """Add links; those that exist stay as they are."""
        if related_ids:
            await self._session.write(partial(_link, table, owning_id, related_ids))

    async def unlink(self, table: JoinTable, owning_id: str, related_ids: Sequence[str]) -> None:
        """Remove links; those that do not exist are no error."""
        schema = join_schema(table)
        await self.delete(schema, AllOf((In("owningId", (owning_id,)), In("relatedId", tuple(related_ids)))))

    async def related_ids(self, table: JoinTable, owning_ids: Sequence[str]) -> list[str]:
        """Follow links from owning to related objects, in order of linking."""
        return await self._linked(table, "owning_id", owning_ids, "related_id")

    async def owning_ids(self, table: JoinTable, related_ids: Sequence[str]) -> list[str]:
        """Follow links from related to owning objects."""
        return await self._linked(table, "related_id", related_ids, "owning_id")

    async def _linked(self, table: JoinTable, known: str, ids: Sequence[str], wanted: str) -> list[str]:
        if not ids:
            return []
        condition = equals_one_of(known, ids)
        return await self._session.read(
            Sql(
                f"SELECT {wanted} FROM {links_table(table)} WHERE {condition.text} ORDER BY rowid",
                condition.parameters,
            ),
            lambda rows: list(dict.fromkeys(row[0] for row in rows)),
        )

    # --- Transactions -------------------------------------------------------------------------------------

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqliteStorage]:
        """Open a transaction; inside of one, join it."""
        if self._session is not self._database:
            yield self
            return
        async with self._database.transaction() as session:
            within = copy(self)
            within._session = session
            yield within

    # --- Schemas ------------------------------------------------------------------------------------------

    def schema_changes(self) -> AbstractAsyncContextManager[SqliteStorage]:
        """Make the schema changes within together or not at all."""
        return self.transaction()

    async def load_schemas(self) -> list[ClassSchema]:
        """Read all classes."""
        classes = await self._session.read(schema_tables.ALL_CLASSES, list)
        indexes = await self._load_indexes()
        self._sweep_if(indexes)
        return schema_tables.decode_schemas(classes, indexes)

    async def schema_version(self) -> int:
        """Count the changes of schemas so far, those by other processes included."""
        return await self._session.read(schema_tables.SCHEMA_VERSION, _decode_count)

    async def change_schema(self, change: SchemaChange) -> None:
        """Make a change. Fields that another process added meanwhile stay as they are."""
        await self._session.write(
            lambda connection: schema_tables.change_schema(connection, change), long=True
        )

    async def list_indexes(self, class_name: str) -> list[Index]:
        """Describe the indexes of a class."""
        declared = await self._session.read(schema_tables.indexes_of(class_name), list)
        return [schema_tables.id_index(class_name), *map(schema_tables.decode_index, declared)]

    async def _load_indexes(self) -> list[Index]:
        rows = await self._session.read(schema_tables.ALL_INDEXES, list)
        return [schema_tables.decode_index(row) for row in rows]

    # --- Time to live -------------------------------------------------------------------------------------

    async def expire(self, now: datetime) -> int:
        """Remove the rows whose time is over, as TTL indexes say; answers how many there were."""
        removed = 0
        for index in await self._load_indexes():
            if index.expire_after_seconds is not None:
                path, limit = index.keys[0][0], now - timedelta(seconds=index.expire_after_seconds)
                schema = new_schema(index.class_name)
                due = Compare(path, "<=", date_value(limit))
                if await self.find(schema, due, Page(limit=1)):
                    removed += await self.delete(schema, due)
        return removed

    def _sweep_if(self, indexes: Iterable[Index]) -> None:
        """Begin to look for expired rows, once there may be some."""
        expires = any(index.expire_after_seconds is not None for index in indexes)
        if expires and self._sweeper is None and self._session is self._database:
            self._sweeper = asyncio.create_task(self._sweep())

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_INTERVAL)
            with suppress(ParseError):  # a busy file is swept the next time
                await self.expire(datetime.now(UTC))

    # --- Connection ---------------------------------------------------------------------------------------

    async def ping(self) -> None:
        """Ask whether the file can be read."""
        await self._session.read(schema_tables.SCHEMA_VERSION, _decode_count)

    async def close(self) -> None:
        """Finish the writes that wait, and close the file."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeper
        await self._database.close()


# --- Parts of writes -------------------------------------------------------------------------------------


def _insert(layout: ClassLayout, rows: Sequence[tuple[Binding, ...]], connection: Connection) -> None:
    statement = f"INSERT INTO {layout.table} (object_id, readers, writers, doc) VALUES (?, ?, ?, ?)"
    with unique_values(connection, layout):
        try:
            connection.change_each(statement, rows)
        except apsw.SQLError:  # the class has no table yet: that shows before the first row
            schema_tables.make_table(connection, layout.schema.name)
            connection.change_each(statement, rows)


def _change(
    connection: Connection, layout: ClassLayout, matches: Sql, operations: Operations
) -> list[JsonObject]:
    changed = []
    with unique_values(connection, layout):
        for row_id, text in connection.rows_to_change(matches):
            obj = apply_operations(orjson.loads(text), operations)
            _, *columns = encode_row(obj)
            connection.change(
                f"UPDATE {layout.table} SET readers = ?, writers = ?, doc = ? WHERE rowid = ?",
                (*columns, row_id),
            )
            changed.append(obj)
    return changed


def _link(table: JoinTable, owning_id: str, related_ids: Sequence[str], connection: Connection) -> None:
    schema_tables.make_table(connection, table.name)
    for related_id in related_ids:
        connection.change(
            f"INSERT OR IGNORE INTO {links_table(table)} VALUES (?, ?)", (owning_id, related_id)
        )


@contextmanager
def unique_values(connection: Connection, layout: ClassLayout) -> Iterator[None]:
    """Tell which field was refused by a unique index."""
    try:
        yield
    except apsw.ConstraintError as error:
        raise schema_tables.duplicate_value(connection, layout.schema.name, error) from error


def _named_id(where: Condition) -> str:
    for leaf in leaves(where):
        if isinstance(leaf, In) and leaf.path == "objectId" and len(leaf.values) == 1:
            return str(leaf.values[0])
    raise ValueError("an upsert names its object")


# --- Rows ------------------------------------------------------------------------------------------------


def decode_objects(rows: Iterable[SqlRow]) -> list[JsonObject]:
    """Read the objects of rows."""
    return [orjson.loads(row[0]) for row in rows]


def decode_selected(rows: Iterable[SqlRow], keys: frozenset[str]) -> list[JsonObject]:
    """Read some fields of the objects of rows."""
    wanted = keys | _ALWAYS_SELECTED
    return [{name: value for name, value in obj.items() if name in wanted} for obj in decode_objects(rows)]


def _decode_count(rows: Sequence[SqlRow]) -> int:
    return int(rows[0][0]) if rows else 0


def distinct_values(rows: Iterable[SqlRow], path: str) -> list[Json]:
    """List the different values at a path; the rows hold its root field as JSON."""
    find = compile_path(path)
    found: dict[object, Json] = {}
    for (text,) in rows:
        if text is None:
            continue
        for leaf in find({root_of(path): orjson.loads(text)}):
            for value in leaf if isinstance(leaf, list) else [leaf]:
                if not (value is None or isinstance(value, Missing)):
                    found.setdefault(equality_key(value), value)
    return list(found.values())
