"""Telling auditors what happens to objects, in the request that does it and before its answer leaves.

An auditor is told of a write after all checks and right before it is done, and once more if it then fails; of
what was read, after it was read. An auditor that raises fails the action: nothing happens without its entry.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson

from parse_clone.core.context import RequestContext
from parse_clone.core.operations import apply_operations, initial_values
from parse_clone.errors import ParseError
from parse_clone.services.objects.steps import Deletion, Find, Save, changed
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import AuditEvent, UnitOfWork


async def audit(toolbox: Toolbox, event: AuditEvent) -> None:
    """Tell the auditor of the class, if there is one."""
    auditor = toolbox.triggers.auditors.get(event.class_name)
    if auditor is not None:
        event.work = UnitOfWork(toolbox.storage, toolbox.changes, toolbox.caches)
        await auditor(event)


@asynccontextmanager
async def audited(toolbox: Toolbox, event: AuditEvent) -> AsyncIterator[None]:
    """Tell of an action before it is done, and of its failure."""
    await audit(toolbox, event)
    try:
        yield
    except ParseError as error:
        event.failure = error
        await audit(toolbox, event)
        raise


def event_of_save(context: RequestContext, save: Save) -> AuditEvent:
    """What an auditor is told of a save."""
    operations = save.operations
    is_update = save.original is not None
    return AuditEvent(
        "create" if save.is_create else "update",
        save.class_name,
        (str(save.object_id),),
        context,
        object=apply_operations(save.original, operations) if save.original else initial_values(operations),
        original=save.original if is_update else None,
        operations=operations,
    )


def event_of_deletion(context: RequestContext, deletion: Deletion) -> AuditEvent:
    """What an auditor is told of a delete."""
    ids = (deletion.object_id,)
    return AuditEvent("delete", deletion.class_name, ids, context, original=deletion.original)


async def audit_found(toolbox: Toolbox, context: RequestContext, find: Find) -> Find:
    """Tell of the rows that a caller is about to read: once for all of them. A subquery tells of its rows,
    too, by what it leaves of the query around it. What the search for a file's holder finds nobody reads."""
    purpose = find.request.purpose
    if find.schema.name not in toolbox.triggers.auditors or purpose == "holder":
        return find
    ids = ids_found(find)
    if ids or find.count is not None:
        where = find.parameters.where
        if purpose == "subquery":
            action = "search"
        else:
            action = "get" if find.request.is_get else "find" if find.parameters.limit != 0 else "count"
        find = written_out(find)
        await audit(toolbox, AuditEvent(action, find.schema.name, ids, context, where=where))
    return find


def written_out(find: Find) -> Find:
    """Make text of the rows for a door that takes it: of requests that wait together until their entries are
    stored, each keeps a tenth of the memory then, and the processor's caches hold them."""
    if find.encoded is not None or not find.request.accepts_encoded:
        return find
    written = [(str(row.get("objectId")), orjson.dumps(row)) for row in find.rows]
    find.rows.clear()  # others hold the list
    return changed(find, encoded=written)


def ids_found(find: Find) -> tuple[str, ...]:
    """The ids of the rows, whatever form they have."""
    if find.encoded is None:
        return tuple([str(row["objectId"]) for row in find.rows if "objectId" in row])
    return tuple([object_id for object_id, _ in find.encoded])
