"""New rows that arrive together travel together: what waits when the event loop turns is one command.

A round trip costs far more than a row. Each row still succeeds or fails alone, and is answered when it is
stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bson import encode
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, DocumentTooLarge, DuplicateKeyError, WriteError

from parse_clone.adapters.storage.mongo.codec import Row
from parse_clone.adapters.storage.mongo.driver_errors import Code

Failures: TypeAlias = Mapping[int, WriteError]
"""Why rows were refused, by their place in the group."""

_MOST_ROWS = 500
_LARGEST_ROW = 16 * 1024 * 1024


@dataclass(slots=True)
class _Group:
    """Rows of one collection on their way."""

    rows: list[RawBSONDocument] = field(default_factory=list)
    sending: asyncio.Task[Failures] | None = None


class GroupedInserts:
    """The groups that wait for the event loop to turn, by collection."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Group] = {}

    async def insert(self, collection: AsyncCollection[Row], row: Row) -> None:
        """Store a row, with the others that arrive in this turn of the event loop."""
        document = encode(row)  # here, so that a row that cannot be stored fails alone
        if len(document) > _LARGEST_ROW:
            raise DocumentTooLarge(f"a row of {len(document)} bytes")
        group = self._waiting.get(collection.name)
        if group is None or len(group.rows) >= _MOST_ROWS:
            group = self._waiting[collection.name] = _Group()
            group.sending = asyncio.create_task(self._send(collection, group))
        assert group.sending is not None
        place = len(group.rows)
        group.rows.append(RawBSONDocument(document))
        failures = await asyncio.shield(group.sending)  # who gives up does not stop the others
        if place in failures:
            raise failures[place]

    async def _send(self, collection: AsyncCollection[Row], group: _Group) -> Failures:
        if self._waiting.get(collection.name) is group:
            del self._waiting[collection.name]
        try:
            if len(group.rows) == 1:
                await collection.insert_one(group.rows[0])
            else:
                await collection.insert_many(group.rows, ordered=False)
        except BulkWriteError as error:
            refusals: list[dict[str, Any]] = error.details.get("writeErrors") or []
            if not refusals:
                raise
            return {refusal["index"]: _failure(refusal) for refusal in refusals}
        return {}


def _failure(refusal: dict[str, Any]) -> WriteError:
    code = refusal.get("code")
    kind = DuplicateKeyError if code == Code.DUPLICATE_KEY else WriteError
    return kind(str(refusal.get("errmsg")), code, refusal)
