"""Deleting an object: one list of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from parse_clone.core.context import RequestContext
from parse_clone.core.json_types import JsonObject
from parse_clone.core.matcher import matches
from parse_clone.core.permissions import check_class_access, row_condition
from parse_clone.core.query import all_of, object_id_is
from parse_clone.errors import ErrorCode, ParseError, object_not_found
from parse_clone.services.changes import ObjectChange
from parse_clone.services.objects.auditing import audited, event_of_deletion
from parse_clone.services.objects.requests import DeleteRequest
from parse_clone.services.objects.save import check_class_creation, fetch_one
from parse_clone.services.objects.steps import DeleteStep, Deletion
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import ObjectEvent, TriggerKind, run_trigger


async def walk_delete(
    steps: Sequence[DeleteStep], toolbox: Toolbox, context: RequestContext, request: DeleteRequest
) -> JsonObject:
    """Walk a delete through its steps; the answer is the empty object."""
    check_class_access(request.class_name, "delete", context.auth)
    schema = await toolbox.catalog.get(request.class_name)
    if schema is None:
        check_class_creation(toolbox, context, request.class_name)
        raise object_not_found()
    deletion = Deletion(request.class_name, request.object_id, schema)
    for step in steps:
        deletion = await step(toolbox, context, deletion)
    return {}


async def authorize_delete(toolbox: Toolbox, context: RequestContext, deletion: Deletion) -> Deletion:
    """Ask the class permissions which rows this caller may delete."""
    toolbox.triggers.check_may_remove(deletion.class_name)
    return replace(deletion, where=row_condition(deletion.schema, "delete", context.auth))


async def load_deleted(toolbox: Toolbox, context: RequestContext, deletion: Deletion) -> Deletion:
    """Load the object where a hook or a listener will look at it; the caller need not be able to read it."""
    if not (
        toolbox.triggers.has(deletion.class_name, TriggerKind.BEFORE_DELETE, TriggerKind.AFTER_DELETE)
        or toolbox.changes.wants(deletion.class_name)
    ):
        return deletion
    original = await fetch_one(toolbox, deletion.schema, deletion.object_id)
    if original is None or not matches(deletion.where, original):
        raise ParseError(ErrorCode.OBJECT_NOT_FOUND, "Object not found for delete.")
    if not matches(deletion.where, original):
        raise object_not_found()
    return replace(deletion, original=original)


async def run_before_delete(toolbox: Toolbox, context: RequestContext, deletion: Deletion) -> Deletion:
    """Let cloud code refuse."""
    if deletion.original is not None:
        await run_trigger(
            toolbox,
            ObjectEvent(TriggerKind.BEFORE_DELETE, deletion.class_name, context, object=deletion.original),
        )
    return deletion


async def remove(toolbox: Toolbox, context: RequestContext, deletion: Deletion) -> Deletion:
    """Delete the object. Where the class has an auditor, it is told first."""
    if deletion.class_name not in toolbox.triggers.auditors:
        return await delete_row(toolbox, context, deletion)
    async with audited(toolbox, event_of_deletion(context, deletion)):
        return await delete_row(toolbox, context, deletion)


async def delete_row(toolbox: Toolbox, context: RequestContext, deletion: Deletion) -> Deletion:
    """Delete the one row that the caller may write; absent and forbidden look the same."""
    where = all_of(object_id_is(deletion.object_id), deletion.where)
    if not await toolbox.storage.delete(deletion.schema, where):
        raise object_not_found()
    return deletion


async def announce_deletion(toolbox: Toolbox, context: RequestContext, deletion: Deletion) -> Deletion:
    """Tell the change feed."""
    if deletion.original is not None and toolbox.changes.wants(deletion.class_name):
        await toolbox.changes.announce(ObjectChange(deletion.class_name, deletion.original, None))
    return deletion


async def run_after_delete(toolbox: Toolbox, context: RequestContext, deletion: Deletion) -> Deletion:
    """Run cloud code after the delete; here a failure does reach the client."""
    if deletion.original is not None:
        await run_trigger(
            toolbox,
            ObjectEvent(TriggerKind.AFTER_DELETE, deletion.class_name, context, object=deletion.original),
        )
    return deletion


DELETE_STEPS: tuple[DeleteStep, ...] = (
    authorize_delete,
    load_deleted,
    run_before_delete,
    remove,
    announce_deletion,
    run_after_delete,
)
