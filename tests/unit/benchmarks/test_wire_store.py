"""The stand-in for MongoDB under the benchmarks, asked through the real driver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymongo import AsyncMongoClient, ReturnDocument, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure

from benchmarks.wire_store import Wire, WireStore

Rows = AsyncCollection[dict[str, Any]]

ROWS: list[dict[str, Any]] = [
    {"_id": "a", "status": "active", "level": 1, "_rperm": ["*"]},
    {"_id": "b", "status": "active", "level": 3, "meta": {"lot": 7}},
    {"_id": "c", "status": "final", "level": 2, "_rperm": ["u1", "role:lab"]},
]


@pytest.fixture
async def rows() -> AsyncIterator[Rows]:
    store = WireStore()
    server = await asyncio.get_running_loop().create_server(lambda: Wire(store), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with AsyncMongoClient[dict[str, Any]](f"mongodb://127.0.0.1:{port}/bench") as client:
        collection = client.get_default_database()["rows"]
        await collection.insert_many(ROWS)
        yield collection
    server.close()


async def ids(rows: Rows, condition: dict[str, Any], **options: Any) -> list[str]:
    return [row["_id"] async for row in rows.find(condition, **options)]


async def test_finds_by_the_operators_of_the_scenarios(rows: Rows) -> None:
    assert await ids(rows, {"_id": "b"}) == ["b"]
    assert await ids(rows, {"_id": {"$in": ["c", "x", "a"]}}) == ["c", "a"]
    assert await ids(rows, {"_rperm": {"$in": [None, "*"]}}) == ["a", "b"]
    assert await ids(rows, {"_rperm": "role:lab"}) == ["c"]
    assert await ids(rows, {"meta.lot": {"$exists": True}}) == ["b"]
    assert await ids(rows, {"$or": [{"level": {"$gte": 3}}, {"status": {"$ne": "active"}}]}) == ["b", "c"]
    assert await ids(rows, {"$and": [{"status": "active"}, {"level": {"$lt": 2}}]}) == ["a"]


async def test_sorts_and_pages(rows: Rows) -> None:
    assert await ids(rows, {}, sort=[("status", 1), ("level", -1)]) == ["b", "a", "c"]
    assert await ids(rows, {}, sort=[("level", -1)], skip=1, limit=1) == ["c"]


async def test_answers_what_was_written_last(rows: Rows) -> None:
    assert await ids(rows, {"status": "active"}) == ["a", "b"]
    await rows.insert_one({"_id": "d", "status": "active"})
    assert await ids(rows, {"status": "active"}) == ["a", "b", "d"]
    assert (await rows.delete_many({"status": "active"})).deleted_count == 3
    assert await ids(rows, {"status": "active"}) == []


async def test_updates(rows: Rows) -> None:
    changes = {"$set": {"meta.lot": 8}, "$inc": {"level": 2}, "$unset": {"status": ""}}
    after = await rows.find_one_and_update({"_id": "a"}, changes, return_document=ReturnDocument.AFTER)
    assert after == {"_id": "a", "level": 3, "_rperm": ["*"], "meta": {"lot": 8}}
    assert await rows.find_one_and_update({"_id": "none"}, {"$set": {"level": 1}}) is None
    assert (await rows.update_many({"status": {"$exists": True}}, {"$set": {"level": 0}})).matched_count == 2
    upsert = await rows.update_one({"_id": "e"}, {"$setOnInsert": {"level": 9}}, upsert=True)
    assert upsert.upserted_id == "e"
    assert await rows.find_one({"_id": "e"}) == {"_id": "e", "level": 9}


async def test_ids_are_unique(rows: Rows) -> None:
    with pytest.raises(DuplicateKeyError):
        await rows.insert_one({"_id": "a"})
    taken = UpdateOne({"_id": "a", "level": 7}, {"$set": {"level": 7}}, upsert=True)
    with pytest.raises(BulkWriteError):
        await rows.bulk_write([taken])


async def test_refuses_what_it_does_not_know(rows: Rows) -> None:
    with pytest.raises(OperationFailure, match="no such command: distinct"):
        await rows.distinct("status")
    with pytest.raises(OperationFailure, match=r"no such operator: \$push"):
        await rows.update_one({"_id": "a"}, {"$push": {"level": 1}})
