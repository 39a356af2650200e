"""Which objects hold which files: links that every save keeps, and what they mean for who may read a file.

A file that a private field holds is read by those who can read that field of an object that holds it; a file
that no private field ever held, or that a public one holds now, by everybody who knows its name. Links are
made before the object is written and may say too much: whether an object really holds a file is looked up
when it matters. One table of links serves all classes; it is kept only where a class has private fields.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import suppress

from parse_clone.core.context import RequestContext
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.names import JoinTable
from parse_clone.core.private_files import Holder, holds, names_in, names_set, without_urls
from parse_clone.core.query import (
    EVERYTHING,
    Compare,
    Condition,
    Exists,
    In,
    Page,
    SortKey,
    all_of,
    object_id_is,
)
from parse_clone.core.schema import AddIndexes, ClassSchema, Index
from parse_clone.errors import ParseError, permission_denied
from parse_clone.immutable import immutable
from parse_clone.services.objects.requests import FindRequest
from parse_clone.services.objects.steps import Finder, Save, changed
from parse_clone.services.toolbox import Toolbox

LINKS = JoinTable("_File", "holders")
COMPLETE = "/"
"""Linked in place of a file from a field whose older objects have been looked through: no name of a file."""

MOST_HOLDERS = 20_000
"""How many holders of a file are looked up for one download, the first first."""

PAGE = 500


def uses_private_files(toolbox: Toolbox) -> bool:
    """Is there anything private to protect?"""
    return toolbox.settings.private_files and any(
        schema.private_fields for schema in toolbox.catalog.classes.values()
    )


# --- Keeping links ---------------------------------------------------------------------------------------


async def link_files(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Remember which files a save gives to its object. A private one can only be given by who may read it,
    but what every object has by default."""
    schema = save.schema
    if not schema.holding_fields or not uses_private_files(toolbox):
        return save
    names = names_set(schema, save.operations)
    if not context.auth.is_privileged:
        for name in set().union(*names.values()) - default_names(schema):
            if not (await find_access(save.run, toolbox, context, name)).is_granted:
                raise permission_denied(f"The file {name} belongs to an object that this user cannot read.")
    new_links: dict[str, frozenset[str]] = {}
    for field, found in names.items():
        holder = str(Holder(save.class_name, field, str(save.object_id)))
        new_links[holder] = frozenset(found.difference(await toolbox.storage.related_ids(LINKS, [holder])))
        await toolbox.storage.link(LINKS, holder, sorted(found))
    save = changed(save, new_links=new_links)
    operations = without_urls(schema, save.operations)
    if operations is save.operations:
        return save
    sent = operations if save.sent is save.operations else without_urls(schema, save.sent)
    return changed(save, operations=operations, sent=sent)


def brings_files(toolbox: Toolbox, save: Save) -> bool:
    """Will links be made for a save?"""
    return uses_private_files(toolbox) and bool(names_set(save.schema, save.operations))


async def forget_links(toolbox: Toolbox, save: Save) -> None:
    """Unlink the files of an object that did not come into being: its creator may want to try again. What an
    object of that id once held stays linked."""
    if not save.is_create or save.result is not None or not save.new_links:
        return
    with suppress(ParseError):  # in a transaction that failed, nothing was linked
        page = Page(limit=1)
        if await toolbox.storage.find(save.schema, object_id_is(str(save.object_id)), page):
            return
        for holder, names in save.new_links.items():
            await toolbox.storage.unlink(LINKS, holder, sorted(names))


async def prepare_links(toolbox: Toolbox) -> None:
    """Look once through the objects that were stored while their field was not watched."""
    watched = watched_fields(toolbox)
    if watched:
        index = Index(LINKS.name, "relatedId_1", (("relatedId", 1),))
        await toolbox.storage.change_schema(AddIndexes((index,)))
    complete = set(await toolbox.storage.owning_ids(LINKS, [COMPLETE]))
    for mark in complete - watched.keys():
        await toolbox.storage.unlink(LINKS, mark, [COMPLETE])
    for mark, (schema, field) in watched.items():
        if mark not in complete:
            await link_stored_objects(toolbox, schema, field)
            await toolbox.storage.link(LINKS, mark, [COMPLETE])


def watched_fields(toolbox: Toolbox) -> dict[str, tuple[ClassSchema, str]]:
    """The fields whose files are linked, by the mark of a field that is complete."""
    if not uses_private_files(toolbox):
        return {}
    return {
        str(Holder(schema.name, field, "")): (schema, field)
        for schema in toolbox.catalog.classes.values()
        for field in schema.holding_fields
    }


async def link_stored_objects(toolbox: Toolbox, schema: ClassSchema, field: str) -> None:
    """Link the files of the objects that are there."""
    async for row in all_rows(toolbox, schema, Exists(field, True), (field,)):
        names = sorted(set(names_in(row.get(field))))
        if names:
            holder = Holder(schema.name, field, str(row["objectId"]))
            await toolbox.storage.link(LINKS, str(holder), names)


async def all_rows(
    toolbox: Toolbox,
    schema: ClassSchema,
    condition: Condition = EVERYTHING,
    keys: Iterable[str] | None = None,
) -> AsyncIterator[JsonObject]:
    """Every object of a class that matches, by id; whole, or only some fields."""
    page = Page(limit=PAGE, order=(SortKey("objectId"),), keys=None if keys is None else frozenset(keys))
    where = condition
    while True:
        rows = await toolbox.storage.find(schema, where, page)
        for row in rows:
            yield row
        if len(rows) < PAGE:
            return
        where = all_of(condition, Compare("objectId", ">", str(rows[-1]["objectId"])))


def default_names(schema: ClassSchema) -> set[str]:
    """The files that objects of a class have by default."""
    return {
        name for field in schema.constrained.values() for name in names_in(field.options.get("defaultValue"))
    }


# --- Asking who may read ---------------------------------------------------------------------------------


@immutable()
class Access:
    """May a file be read, and because of which holder? A public file has none."""

    is_granted: bool
    holder: Holder | None = None
    is_private: bool = True


PUBLIC = Access(is_granted=True, is_private=False)
REFUSED = Access(is_granted=False)


async def find_access(run: Finder, toolbox: Toolbox, context: RequestContext, name: str) -> Access:
    """May this caller read a file? `run` answers his queries."""
    if not uses_private_files(toolbox):
        return PUBLIC
    holders = [Holder.read(text) for text in await toolbox.storage.owning_ids(LINKS, [name])]
    public = [holder for holder in holders if is_public(toolbox, holder)]
    private = [holder for holder in holders if not is_public(toolbox, holder)]
    if not private or await is_held(toolbox, public, name):
        return PUBLIC
    holder = await find_shown(run, toolbox, context, private, name)
    return Access(is_granted=holder is not None or context.auth.is_privileged, holder=holder)


def is_public(toolbox: Toolbox, holder: Holder) -> bool:
    """Are the files of this field for everybody?"""
    schema = toolbox.catalog.classes.get(holder.class_name)
    return schema is not None and holder.field in schema.fields and holder.field not in schema.private_fields


async def is_held(toolbox: Toolbox, holders: Sequence[Holder], name: str) -> bool:
    """Does any of the objects hold the file now, whoever may read it?"""
    for class_name, field, ids in by_place(holders):
        schema, page = toolbox.catalog.classes[class_name], Page(keys=frozenset({field}))
        rows = await toolbox.storage.find(schema, In("objectId", ids), page)
        if any(holds(row, field, name) for row in rows):
            return True
    return False


async def find_shown(
    run: Finder, toolbox: Toolbox, context: RequestContext, holders: Sequence[Holder], name: str
) -> Holder | None:
    """The first object that the caller can get and whose field is shown to him, with the file in it now."""
    for class_name, field, ids in by_place(holders):
        where: JsonObject = {"objectId": ids[0] if len(ids) == 1 else {"$in": list(ids)}}
        request = FindRequest(class_name, {"where": where, "keys": field}, purpose="holder")
        try:
            found = await run(toolbox, context, request)
        except ParseError:
            continue
        for row in found.results:
            if holds(row, field, name):
                return Holder(class_name, field, str(row.get("objectId")))
    return None


def by_place(holders: Sequence[Holder]) -> Iterator[tuple[str, str, tuple[Json, ...]]]:
    """Class, field and ids of holders, as many at once as one query takes."""
    places: dict[tuple[str, str], list[Json]] = {}
    for holder in holders[:MOST_HOLDERS]:
        places.setdefault((holder.class_name, holder.field), []).append(holder.object_id)
    for (class_name, field), ids in places.items():
        for at in range(0, len(ids), PAGE):
            yield class_name, field, tuple(ids[at : at + PAGE])
