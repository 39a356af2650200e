"""Files that nobody holds, and keys that are rotated: by command, by job, and while the server serves."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from parse_clone.adapters.files.local import LocalFiles
from parse_clone.app import opened_toolbox
from parse_clone.cli import cli
from parse_clone.core.context import MASTER, RequestContext
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.query import EVERYTHING, Condition, Page
from parse_clone.core.schema import ClassSchema, CreateClass, Field, FieldType, SetFieldOptions
from parse_clone.core.system_classes import with_system_fields
from parse_clone.ports import Storage
from parse_clone.services.classes import save_object
from parse_clone.services.file_cleaning import JOB, clean_files, cleaning_job
from parse_clone.services.global_config import update_config
from parse_clone.services.objects.file_links import LINKS
from parse_clone.services.objects.requests import SaveRequest
from parse_clone.services.schemas import create_schema
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import JobCall
from parse_clone.settings import Settings

SERVER = RequestContext(auth=MASTER)
NOW = timedelta(seconds=-5)
MOMENT = "2026-01-05T10:00:00.000Z"
ORPHANS = ("labs/nobodys.txt", "nobodys.txt")
KEYS = {"PARSE_SERVER_APPLICATION_ID": "a", "PARSE_SERVER_MASTER_KEY": "m"}


@pytest.fixture
async def toolbox(tmp_path: Path) -> AsyncIterator[Toolbox]:
    settings = Settings(app_id="a", master_key="m", database_uri=f"sqlite:///{tmp_path}/db.sqlite3")
    async with opened_toolbox(settings) as opened:
        yield opened


def file(name: str) -> JsonObject:
    return {"__type": "File", "name": name}


async def stream(content: bytes) -> AsyncGenerator[bytes, None]:
    yield content


async def store(toolbox: Toolbox, *names: str) -> None:
    assert toolbox.files is not None
    for name in names:
        await toolbox.files.write(name, stream(name.encode()), "text/plain", {}, {})


async def names(toolbox: Toolbox) -> set[str]:
    assert toolbox.files is not None
    return {name async for name, _ in toolbox.files.list_names()}


async def save(toolbox: Toolbox, **fields: Json) -> None:
    await save_object(toolbox, SERVER, SaveRequest("Report", None, dict(fields)))


async def test_what_an_object_holds_at_any_depth_stays(toolbox: Toolbox) -> None:
    await store(
        toolbox, "field.txt", "array.txt", "deep.txt", "config.txt", "nobodys.txt", "labs/nobodys.txt"
    )
    await save(toolbox, scan=file("field.txt"), files=[file("array.txt")], notes={"a": [file("deep.txt")]})
    await update_config(toolbox, SERVER, {"params": {"logo": file("config.txt")}})
    tried = await clean_files(toolbox, NOW, dry_run=True)
    assert tried.orphans == ORPHANS
    assert len(await names(toolbox)) == 6
    done = await clean_files(toolbox, NOW)
    assert (done.orphans, done.kept) == (tried.orphans, 4)
    assert await names(toolbox) == {"field.txt", "array.txt", "deep.txt", "config.txt"}


async def test_what_objects_have_by_default_stays(toolbox: Toolbox) -> None:
    await store(toolbox, "default.txt")
    fields = {"fields": {"scan": {"type": "File", "defaultValue": file("default.txt")}}}
    await create_schema(toolbox, SERVER, "Letter", fields)
    assert (await clean_files(toolbox, NOW)).orphans == ()


@pytest.mark.parametrize("change", ["given", "moved"])
async def test_what_is_given_to_an_object_during_the_search_stays(toolbox: Toolbox, change: str) -> None:
    """The search has passed the object that then gets the file."""
    await store(toolbox, "late.txt")
    first = await save_object(toolbox, SERVER, SaveRequest("First", None, {"scan": file("other.txt")}))
    if change == "moved":
        await save_object(toolbox, SERVER, SaveRequest("Second", None, {"scan": file("late.txt")}))
    else:
        await save_object(toolbox, SERVER, SaveRequest("Second", None, {"scan": file("another.txt")}))

    async def give() -> None:
        object_id = str(first.body["objectId"])
        await save_object(toolbox, SERVER, SaveRequest("First", object_id, {"scan": file("late.txt")}))
        second = await toolbox.catalog.get("Second")
        assert second is not None
        await toolbox.storage.delete(second, EVERYTHING)

    searching = WhileSearching(toolbox.storage, "Second", give)
    done = await clean_files(replace(toolbox, storage=searching), NOW)  # type: ignore[arg-type]
    assert (done.orphans, searching.has_acted) == ((), True)
    assert await names(toolbox) == {"late.txt"}


class WhileSearching:
    """A storage; something happens when the objects of a class are about to be read for the first time."""

    def __init__(self, storage: Storage, class_name: str, act: Callable[[], Awaitable[None]]) -> None:
        self._storage = storage
        self._class_name = class_name
        self._act = act
        self.has_acted = False

    async def find(self, schema: ClassSchema, where: Condition, page: Page) -> list[JsonObject]:
        if schema.name == self._class_name and not self.has_acted:
            self.has_acted = True
            await self._act()
        return await self._storage.find(schema, where, page)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)


async def test_classes_of_other_processes_count(toolbox: Toolbox) -> None:
    await store(toolbox, "theirs.txt")
    schema = with_system_fields(ClassSchema("Theirs", {"scan": Field(FieldType("File"))}))
    await toolbox.storage.change_schema(CreateClass(schema))
    row: JsonObject = {"objectId": "x1", "scan": file("theirs.txt")}
    await toolbox.storage.insert(schema, [{**row, "createdAt": MOMENT, "updatedAt": MOMENT}])
    assert (await clean_files(toolbox, NOW)).orphans == ()


async def test_what_is_replaced_during_the_search_stays(toolbox: Toolbox) -> None:
    await store(toolbox, "kept.txt")
    await save(toolbox, scan=file("other.txt"))

    async def replace_file() -> None:
        later = toolbox.files
        assert isinstance(later, LocalFiles)
        await store(toolbox, "kept.txt")
        future = time.time() + 60
        os.utime(later._path("kept.txt"), (future, future))

    searching = WhileSearching(toolbox.storage, "Report", replace_file)
    await clean_files(replace(toolbox, storage=searching), NOW)  # type: ignore[arg-type]
    assert await names(toolbox) == {"kept.txt"}


async def test_what_is_young_stays(toolbox: Toolbox) -> None:
    await store(toolbox, "young.txt")
    assert (await clean_files(toolbox, timedelta(hours=1))).orphans == ()
    assert await names(toolbox) == {"young.txt"}


async def test_the_job_tells_what_it_did(toolbox: Toolbox) -> None:
    await store(toolbox, "young.txt")
    told: list[str] = []

    async def report(text: str) -> None:
        told.append(text)

    job = cleaning_job(toolbox)
    wishes: tuple[JsonObject, ...] = ({}, {"graceHours": 2}, {"graceHours": "x"})
    for params in wishes:
        await job(JobCall(JOB, "j1", params, SERVER, report))
    assert told == ["0 files deleted, 0 kept."] * 3


async def test_links_of_deleted_files_are_forgotten(toolbox: Toolbox) -> None:
    await store(toolbox, "a.txt")
    await toolbox.storage.link(LINKS, "Report.scan:x1", ["a.txt"])
    await clean_files(toolbox, NOW)
    assert await toolbox.storage.owning_ids(LINKS, ["a.txt"]) == []


def run(tmp_path: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    uri = {"PARSE_SERVER_DATABASE_URI": f"sqlite:///{tmp_path}/db.sqlite3"}
    ended = CliRunner().invoke(cli, ["files", *arguments], env={**KEYS, **uri, **environment})
    return ended.exit_code, ended.output + repr(ended.exception or "")


def test_the_command_line_cleans(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "old.txt").write_bytes(b"old")
    code, text = run(tmp_path, "clean", "--grace-hours", "0", "--dry-run")
    assert (code, "old.txt" in text, "1 files would be deleted" in text) == (0, True, True)
    assert run(tmp_path, "clean")[0] == 0
    assert (folder / "old.txt").exists()
    code, text = run(tmp_path, "clean", "--grace-hours", "0")
    assert (code, "1 files deleted" in text) == (0, True), text
    assert not (folder / "old.txt").exists()


def test_the_command_line_rotates_keys(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.txt").write_bytes(b"plain text")
    assert run(tmp_path, "rotate-key")[0] == 1
    code, text = run(tmp_path, "rotate-key", PARSE_SERVER_FILE_ENCRYPTION_KEYS='{"1": "one"}')
    assert (code, "3 of 3 files encrypted anew, 0 failed" in text) == (0, True), text
    assert not any(b"plain" in path.read_bytes() for path in folder.glob("*.txt"))
    both = '{"2": "two", "1": "one"}'
    assert "3 of 3" in run(tmp_path, "rotate-key", PARSE_SERVER_FILE_ENCRYPTION_KEYS=both)[1]
    assert "0 of 3" in run(tmp_path, "rotate-key", PARSE_SERVER_FILE_ENCRYPTION_KEYS=both)[1]
    code, text = run(tmp_path, "rotate-key", PARSE_SERVER_FILE_ENCRYPTION_KEYS='{"3": "three"}')
    assert (code, "0 of 3 files encrypted anew, 3 failed" in text) == (1, True), text


async def test_links_are_made_for_what_was_stored_before(tmp_path: Path) -> None:
    """A field that becomes private protects the files that its objects held already."""
    uri = f"sqlite:///{tmp_path}/db.sqlite3"
    settings = Settings(app_id="a", master_key="m", database_uri=uri)
    async with opened_toolbox(settings) as toolbox:
        await save(toolbox, scan=file("old.txt"), photo=file("public.txt"))
        assert await toolbox.storage.owning_ids(LINKS, ["old.txt"]) == []
        private = Field(FieldType("File"), {"private": True})
        await toolbox.catalog.apply(toolbox.storage, SetFieldOptions("Report", {"scan": private}))
    async with opened_toolbox(settings) as toolbox:
        (holder,) = await toolbox.storage.owning_ids(LINKS, ["old.txt"])
        assert holder.startswith("Report.scan:")
        (holder,) = await toolbox.storage.owning_ids(LINKS, ["public.txt"])
        assert holder.startswith("Report.photo:")
    off = replace(settings, private_files=False)
    async with opened_toolbox(off) as toolbox:
        await save(toolbox, scan=file("meanwhile.txt"))
        assert await toolbox.storage.owning_ids(LINKS, ["meanwhile.txt"]) == []
    async with opened_toolbox(settings) as toolbox:
        (holder,) = await toolbox.storage.owning_ids(LINKS, ["meanwhile.txt"])
        assert holder.startswith("Report.scan:")
