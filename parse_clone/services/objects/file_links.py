"""Which objects hold which files: links that every save keeps, and what they mean for who may read a file.

A file that a private field holds is read by those who can read that field of an object that holds it; a file
that no private field ever held, or that a public one holds, by everybody who knows its name. Links are made
before the object is written and may say too much: whether an object really holds a file is looked up when it
matters. One table of links serves all classes; it is kept only where a class has private fields.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from parse_clone.core.context import RequestContext
from parse_clone.core.json_types import JsonObject
from parse_clone.core.names import JoinTable
from parse_clone.core.private_files import Holder, holds, names_in, names_set, without_urls
from parse_clone.core.query import EVERYTHING, Compare, Condition, Page, SortKey
from parse_clone.core.schema import AddIndexes, ClassSchema, Index
from parse_clone.errors import ParseError, permission_denied
from parse_clone.immutable import immutable
from parse_clone.services.objects.find import FIND_STEPS, walk_find
from parse_clone.services.objects.requests import FindAnswer, FindRequest
from parse_clone.services.objects.steps import Save, changed
from parse_clone.services.toolbox import Toolbox

LINKS = JoinTable("_File", "holders")
COMPLETE = "/"
"""Linked in place of a file from a field whose older objects have been looked through: no name of a file."""

MOST_HOLDERS = 100
"""How many holders of a file are asked for one download, the first first: more shut nobody out."""

PAGE = 500


def uses_private_files(toolbox: Toolbox) -> bool:
    """Is there anything private to protect?"""
    return toolbox.settings.private_files and any(
        schema.private_fields for schema in toolbox.catalog.classes.values()
    )


# --- Keeping links ---------------------------------------------------------------------------------------


async def link_files(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Remember which files a save gives to its object. A private one can only be given by who may read it."""
    schema = save.schema
    if not schema.holding_fields or not uses_private_files(toolbox):
        return save
    names = names_set(schema, save.operations)
    for name in set().union(*names.values()):
        if not context.auth.is_privileged and not (await find_access(toolbox, context, name)).is_granted:
            raise permission_denied(f"The file {name} belongs to an object that this user cannot read.")
    for field, found in names.items():
        holder = Holder(schema.name, field, str(save.object_id))
        await toolbox.storage.link(LINKS, str(holder), sorted(found))
    operations = without_urls(schema, save.operations)
    if operations is save.operations:
        return save
    sent = operations if save.sent is save.operations else without_urls(schema, save.sent)
    return changed(save, operations=operations, sent=sent)


async def prepare_links(toolbox: Toolbox) -> None:
    """Look once through the objects that were stored before their field was watched."""
    if not uses_private_files(toolbox):
        return
    index = Index(LINKS.name, "relatedId_1", (("relatedId", 1),))
    await toolbox.storage.change_schema(AddIndexes((index,)))
    for schema in list(toolbox.catalog.classes.values()):
        for field in schema.holding_fields:
            mark = str(Holder(schema.name, field, ""))
            if not await toolbox.storage.related_ids(LINKS, [mark]):
                await link_stored_objects(toolbox, schema, (field,))
                await toolbox.storage.link(LINKS, mark, [COMPLETE])


async def link_stored_objects(toolbox: Toolbox, schema: ClassSchema, fields: tuple[str, ...]) -> None:
    """Link the files of the objects that are there."""
    async for row in all_rows(toolbox, schema):
        for field in fields:
            names = sorted(set(names_in(row.get(field))))
            if names:
                holder = Holder(schema.name, field, str(row["objectId"]))
                await toolbox.storage.link(LINKS, str(holder), names)


async def all_rows(toolbox: Toolbox, schema: ClassSchema) -> AsyncIterator[JsonObject]:
    """Every object of a class, by id."""
    where: Condition = EVERYTHING
    while True:
        rows = await toolbox.storage.find(schema, where, Page(limit=PAGE, order=(SortKey("objectId"),)))
        for row in rows:
            yield row
        if len(rows) < PAGE:
            return
        where = Compare("objectId", ">", str(rows[-1]["objectId"]))


# --- Asking who may read ---------------------------------------------------------------------------------


@immutable()
class Access:
    """May a file be read, and because of which holder? A public file has none."""

    is_granted: bool
    holder: Holder | None = None
    is_private: bool = True


PUBLIC = Access(is_granted=True, is_private=False)
REFUSED = Access(is_granted=False)


async def find_access(toolbox: Toolbox, context: RequestContext, name: str) -> Access:
    """May this caller read a file?"""
    if not uses_private_files(toolbox):
        return PUBLIC
    holders = [Holder.read(text) for text in await toolbox.storage.owning_ids(LINKS, [name])]
    if not holders or any([await is_public(toolbox, holder) for holder in holders]):
        return PUBLIC
    for holder in holders[:MOST_HOLDERS]:
        if await shows(toolbox, context, holder, name):
            return Access(is_granted=True, holder=holder)
    return Access(is_granted=context.auth.is_privileged)


async def is_public(toolbox: Toolbox, holder: Holder) -> bool:
    """Are the files of this field for everybody?"""
    schema = await toolbox.catalog.get(holder.class_name)
    return schema is not None and holder.field in schema.fields and holder.field not in schema.private_fields


async def shows(toolbox: Toolbox, context: RequestContext, holder: Holder, name: str) -> bool:
    """Can the caller get the object, is the field shown to him, and does it hold the file now?"""
    request = FindRequest(
        holder.class_name, {"keys": holder.field}, object_id=holder.object_id, purpose="subquery"
    )
    try:
        found = await find_plainly(toolbox, context, request)
    except ParseError:
        return False
    return holds(found.results[0], holder.field, name)


async def find_plainly(toolbox: Toolbox, context: RequestContext, request: FindRequest) -> FindAnswer:
    """Answer a query by the steps that are the same for every class."""
    return await walk_find(FIND_STEPS, find_plainly, toolbox, context, request)
