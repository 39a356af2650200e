"""Files that no object holds any more: found by reading every object, deleted after a time of grace.

The grace is for files that were uploaded and are about to be given to an object. A file that is only
mentioned in a text, by its URL, is not held.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from parse_clone.core.json_types import Json
from parse_clone.core.private_files import names_in
from parse_clone.core.query import EVERYTHING, Compare, Condition
from parse_clone.core.schema import ClassSchema
from parse_clone.core.system_classes import system_schema
from parse_clone.core.values import date_value
from parse_clone.immutable import immutable
from parse_clone.ports import FileStore
from parse_clone.services.objects.file_links import LINKS, all_rows, default_names
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import JobCall, JobHandler
from parse_clone.settings import Settings

log = structlog.get_logger("files")

JOB = "cleanFiles"

_CAN_HOLD = frozenset({"File", "Array", "Object"})


@immutable()
class Cleaning:
    """What a cleaning found. `swept` counts what interrupted and replaced writes had left."""

    orphans: tuple[str, ...]
    kept: int
    swept: int = 0


async def clean_files(toolbox: Toolbox, grace: timedelta, *, dry_run: bool = False) -> Cleaning:
    """Delete the files older than `grace` that no object holds."""
    files = toolbox.files
    if files is None:
        return Cleaning((), 0)
    await toolbox.catalog.load()  # another process may have made classes
    began = toolbox.clock.now()
    before = began - grace
    candidates = {name async for name, written in files.list_names() if written < before}
    found = len(candidates)
    await discard_held(toolbox, candidates, EVERYTHING)
    # Meanwhile files were given to objects that had been read already, maybe by other servers' clocks.
    await discard_held(toolbox, candidates, changed_since(began - timedelta(hours=1)))
    orphans = tuple(sorted(candidates))
    if dry_run:
        return Cleaning(orphans, found - len(orphans))
    for name in orphans:
        await delete_orphan(toolbox, files, name, before)
    return Cleaning(orphans, found - len(orphans), await files.sweep(before))


async def discard_held(toolbox: Toolbox, candidates: set[str], condition: Condition) -> None:
    """Take the files that objects hold, at any depth, out of the candidates, and what objects have by
    default."""
    for schema in list(toolbox.catalog.classes.values()):
        candidates.difference_update(default_names(schema))
        await discard_held_by_class(toolbox, schema, candidates, condition)
    await discard_held_by_class(toolbox, system_schema("_GlobalConfig"), candidates, EVERYTHING)


async def discard_held_by_class(
    toolbox: Toolbox, schema: ClassSchema, candidates: set[str], condition: Condition
) -> None:
    """The same for the objects of one class."""
    fields = [name for name, field in schema.fields.items() if field.type.name in _CAN_HOLD]
    if candidates and fields:
        async for row in all_rows(toolbox, schema, condition, fields):
            candidates.difference_update(names_in(row))


def changed_since(moment: datetime) -> Condition:
    """Name the objects that were written since then."""
    return Compare("updatedAt", ">=", date_value(moment))


async def delete_orphan(toolbox: Toolbox, files: FileStore, name: str, before: datetime) -> None:
    """Delete a file, unless it has just been replaced, and what was remembered of its holders."""
    stored = await files.stat(name)
    if stored is None or stored.modified >= before:
        return
    await files.delete(name)
    for holder in await toolbox.storage.owning_ids(LINKS, [name]):
        await toolbox.storage.unlink(LINKS, holder, [name])
    log.info("deleted a file that no object holds", name=name)


def grace_of(settings: Settings) -> float:
    """The hours of grace that the settings give."""
    return settings.file_cleaning_grace or 24


def cleaning_job(toolbox: Toolbox) -> JobHandler:
    """Make the job that cleans; its parameter `graceHours` counts more than the setting."""

    async def clean(call: JobCall) -> Json:
        wish = call.params.get("graceHours")
        hours = wish if isinstance(wish, int | float) and wish >= 1 else grace_of(toolbox.settings)
        cleaning = await clean_files(toolbox, timedelta(hours=hours))
        await call.report(f"{len(cleaning.orphans)} files deleted, {cleaning.kept} kept.")
        return None

    return clean
