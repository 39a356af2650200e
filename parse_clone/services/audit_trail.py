"""An append-only class whose entries form a chain (`core/audit_chain.py`): writing, verifying, exporting.

Entries of requests that wait at the same time are stored by one call of the engine, in order; under load
the writer waits a moment for more of them, because a commit costs more than an entry. Of several
processes that continue the same head, the primary key lets one win; the others read the new head and try
again. The engine is used directly: nothing else may write the class, so there is no hook or right to ask.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from parse_clone.core.audit_chain import Break, Head, check_entry, head_of, link_entry
from parse_clone.core.json_types import JsonObject
from parse_clone.core.query import EVERYTHING, Compare, Condition, In, Page, SortKey, all_of
from parse_clone.core.schema import ClassSchema
from parse_clone.core.values import encode_date
from parse_clone.errors import DuplicateValue, ErrorCode, ParseError
from parse_clone.ports import Storage
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import UnitOfWork

BATCH = 500
"""Entries stored by one call, and read at once."""

GATHERING_SECONDS = 0.001
"""How long the writer waits for more entries, if there were several the last time."""

ATTEMPTS = 200
"""How often a batch may lose against other processes: with one winner each time, this is never reached."""


@dataclass
class AuditTrail:
    """The one writer of a class, in this process. `chain_field` is the Object field that holds the chain."""

    toolbox: Toolbox
    class_name: str = "AuditLog"
    chain_field: str = "metadata"
    _head: Head | None = None
    _waiting: list[tuple[JsonObject, asyncio.Future[None]]] = field(default_factory=list)
    _writer: asyncio.Task[None] | None = None
    _is_busy: bool = False

    async def append(self, entry: JsonObject, work: UnitOfWork | None = None) -> None:
        """Store an entry; returns when it is stored. In a transaction it is stored, or not, with the rest."""
        now = encode_date(self.toolbox.clock.now())
        content = {**entry, "createdAt": now, "updatedAt": now}
        if work is not None and work.storage is not self.toolbox.storage:
            await self._append_within(work.storage, content)
            return
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((content, stored))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_waiting())
        await stored

    async def _append_within(self, storage: Storage, content: JsonObject) -> None:
        """Continue the chain as a transaction sees it. What was known of the head may be undone with it."""
        schema = await self._schema()
        self._head = None
        entry, _ = self._link(content, await read_head(storage, schema, self.chain_field))
        try:
            await storage.insert(schema, [entry])
        except DuplicateValue as error:
            raise ParseError(ErrorCode.WRITE_CONFLICT, "Somebody else was faster. Try again.") from error

    async def _write_waiting(self) -> None:
        """Store what waits, as long as something does."""
        try:
            while self._waiting:
                if self._is_busy:
                    await asyncio.sleep(GATHERING_SECONDS)
                self._is_busy = len(self._waiting) > 1
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                await self._write(batch)
        finally:
            self._writer = None

    async def _write(self, batch: Sequence[tuple[JsonObject, asyncio.Future[None]]]) -> None:
        try:
            await self._store([content for content, _ in batch])
        except Exception as failure:
            self._head = None
            for _, stored in batch:
                if not stored.done():
                    stored.set_exception(failure)
        else:
            for _, stored in batch:
                if not stored.done():
                    stored.set_result(None)

    async def _store(self, contents: Sequence[JsonObject]) -> None:
        """Link entries to the head and store them; those that lost a race are linked anew."""
        schema, storage = await self._schema(), self.toolbox.storage
        for attempt in range(ATTEMPTS):
            if self._head is None:
                self._head = await read_head(storage, schema, self.chain_field)
            head, entries = self._head, []
            for content in contents:
                entry, head = self._link(content, head)
                entries.append(entry)
            try:
                await storage.insert(schema, entries, keeps_first=True)
            except DuplicateValue:
                self._head = None
                contents = contents[await self._count_stored(schema, entries) :]
                if not contents:
                    return
                await asyncio.sleep(random.uniform(0, 0.002) * min(attempt, 10))  # noqa: S311
            else:
                self._head = head
                return
        raise ParseError(ErrorCode.WRITE_CONFLICT, "The audit log is too busy. Try again.")

    def _link(self, content: JsonObject, head: Head) -> tuple[JsonObject, Head]:
        return link_entry(content, self.chain_field, head, self.toolbox.ids.object_id())

    async def _count_stored(self, schema: ClassSchema, entries: Sequence[JsonObject]) -> int:
        """How many entries of a refused batch are stored all the same: those before the first that is not."""
        ids = In("objectId", tuple(entry["objectId"] for entry in entries))
        rows = await self.toolbox.storage.find(schema, ids, Page())
        stored = {str(row["objectId"]): row.get(self.chain_field) for row in rows}
        count = 0
        for entry in entries:
            if stored.get(str(entry["objectId"])) != entry[self.chain_field]:
                break
            count += 1
        return count

    async def _schema(self) -> ClassSchema:
        schema = await self.toolbox.catalog.get(self.class_name)
        if schema is None:
            text = f"There is no class {self.class_name} to write the audit log to."
            raise ParseError(ErrorCode.INTERNAL_SERVER_ERROR, text)
        return schema

    # --- Reading ------------------------------------------------------------------------------------------

    async def entries(self, after: str | None = None) -> AsyncIterator[JsonObject]:
        """All entries in the order of their ids, which is that of the chain."""
        schema = await self._schema()
        while True:
            where: Condition = EVERYTHING if after is None else Compare("objectId", ">", after)
            page = Page(limit=BATCH, order=(SortKey("objectId"),))
            rows = await self.toolbox.storage.find(schema, where, page)
            for row in rows:
                yield row
            if len(rows) < BATCH:
                return
            after = str(rows[-1]["objectId"])

    async def verify(self, anchor: Head | None = None) -> Head | Break:
        """Check the whole chain: its head, or the first entry that somebody altered, removed or inserted.
        An `anchor` is a head known from an earlier time: it must still be a part of the chain."""
        head = Head()
        async for entry in self.entries():
            checked = check_entry(entry, self.chain_field, head)
            if isinstance(checked, Break):
                return checked
            head = checked
            if anchor is not None and head.sequence == anchor.sequence and head.hash != anchor.hash:
                return Break(
                    head.sequence, str(entry["objectId"]), "altered: the checkpoint knows another hash"
                )
        if anchor is not None and head.sequence < anchor.sequence:
            return Break(head.sequence + 1, "", f"removed: the checkpoint knows {anchor.sequence} entries")
        return head


async def read_head(storage: Storage, schema: ClassSchema, chain_field: str) -> Head:
    """The head of the chain, as the database has it. Rows with ids of another kind are left to `verify`."""
    ids = all_of(Compare("objectId", ">=", "a0"), Compare("objectId", "<", "a:"))
    rows = await storage.find(schema, ids, Page(limit=1, order=(SortKey("objectId", descending=True),)))
    try:
        return head_of(rows[0], chain_field) if rows else Head()
    except ValueError as error:
        text = f"The last entry of {schema.name} {error}."
        raise ParseError(ErrorCode.INTERNAL_SERVER_ERROR, text) from error
