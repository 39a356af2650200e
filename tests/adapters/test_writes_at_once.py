"""Writes that arrive in one turn of the event loop may travel together, but each fails alone."""

from __future__ import annotations

import asyncio

from parse_clone.core.query import EVERYTHING, Page
from parse_clone.core.schema import ClassSchema, CreateClass, Field, FieldType
from parse_clone.core.system_classes import DEFAULT_FIELDS
from parse_clone.errors import DuplicateValue
from parse_clone.ports import Storage

NOW = "2026-01-05T10:00:00.123Z"
BED = ClassSchema("Bed", {**DEFAULT_FIELDS, "place": Field(FieldType("Number"))})


async def create(storage: Storage, object_id: str, place: int) -> None:
    await storage.insert(BED, [{"objectId": object_id, "createdAt": NOW, "updatedAt": NOW, "place": place}])


async def test_creates_at_once_are_all_stored(storage: Storage) -> None:
    await storage.change_schema(CreateClass(BED))
    await asyncio.gather(*(create(storage, f"bed{place}", place) for place in range(60)))
    rows = await storage.find(BED, EVERYTHING, Page())
    assert sorted(str(row["objectId"]) for row in rows) == sorted(f"bed{place}" for place in range(60))


async def test_a_create_that_is_refused_fails_alone(storage: Storage) -> None:
    await storage.change_schema(CreateClass(BED))
    await create(storage, "taken", 0)
    ids = ("first", "taken", "second", "third", "third")
    outcomes = await asyncio.gather(
        *(create(storage, object_id, place) for place, object_id in enumerate(ids)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [
        type(None),
        DuplicateValue,
        type(None),
        type(None),
        DuplicateValue,
    ]
    rows = await storage.find(BED, EVERYTHING, Page())
    assert {row["objectId"]: row["place"] for row in rows} == {
        "taken": 0,
        "first": 0,
        "second": 2,
        "third": 3,
    }


async def test_who_gives_up_does_not_stop_the_others(storage: Storage) -> None:
    await storage.change_schema(CreateClass(BED))
    tasks = [asyncio.create_task(create(storage, f"bed{place}", place)) for place in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    rows = await storage.find(BED, EVERYTHING, Page())
    assert {"bed1", "bed2"} <= {str(row["objectId"]) for row in rows}
