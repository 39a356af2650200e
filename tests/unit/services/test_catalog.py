"""How long schemas are remembered."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from parse_clone.app import opened_toolbox
from parse_clone.core.schema import AddFields, ClassSchema, CreateClass, Field, FieldType
from parse_clone.core.system_classes import new_schema
from parse_clone.ports import Storage
from parse_clone.services.catalog import SchemaCatalog
from parse_clone.settings import DatabaseOptions, Settings


async def knows_foreign_field(settings: Settings) -> bool:
    """Is a field seen that another server, over the same storage, has added to a known class?"""
    async with opened_toolbox(settings) as toolbox:
        await toolbox.catalog.create_class(toolbox.storage, new_schema("Ward"))
        field = {"beds": Field(FieldType("Number"))}
        await toolbox.storage.change_schema(AddFields("Ward", field))
        await asyncio.sleep(0.01)
        schema = await toolbox.catalog.get("Ward")
        return schema is not None and "beds" in schema.fields


def settings(ttl: float | None) -> Settings:
    return Settings(
        app_id="catalog",
        master_key="catalog-master-key",
        database_uri="sqlite://",
        database_options=DatabaseOptions(schema_cache_ttl=ttl),
    )


async def test_a_time_limit_lets_foreign_changes_be_seen() -> None:
    assert await knows_foreign_field(settings(1))


async def test_without_a_limit_known_classes_are_not_read_again() -> None:
    assert not await knows_foreign_field(settings(None))


async def test_a_class_that_another_server_made_is_found() -> None:
    async with opened_toolbox(settings(None)) as toolbox:
        await toolbox.storage.change_schema(CreateClass(new_schema("Ward")))
        await asyncio.sleep(0.6)
        assert await toolbox.catalog.get("Ward") is not None


class SlowAtFirst:
    """A storage whose first look at the schemas arrives when it is allowed to."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.arrival = asyncio.Event()
        self.looks = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.storage, name)

    async def load_schemas(self) -> list[ClassSchema]:
        self.looks += 1
        is_first = self.looks == 1
        found = await self.storage.load_schemas()
        if is_first:
            await self.arrival.wait()
        return found


async def test_a_slow_look_does_not_undo_a_later_one() -> None:
    async with opened_toolbox(settings(None)) as toolbox:
        slow = SlowAtFirst(toolbox.storage)
        storage = cast(Storage, slow)
        catalog = SchemaCatalog(storage)
        look = asyncio.create_task(catalog.load())
        await asyncio.sleep(0.01)
        await catalog.create_class(storage, new_schema("Ward"))
        slow.arrival.set()
        await look
        assert "Ward" in catalog.classes
