"""Which roles a user has: those that list the user, and those that list such a role as a child, upwards."""

from __future__ import annotations

from collections.abc import Sequence

from parse_clone.core.context import RequestContext
from parse_clone.core.names import JoinTable
from parse_clone.core.query import In, Page
from parse_clone.core.schema import ClassSchema
from parse_clone.services.objects.delete import (
    announce_deletion,
    authorize_delete,
    load_deleted,
    remove,
    run_after_delete,
    run_before_delete,
)
from parse_clone.services.objects.file_links import link_files
from parse_clone.services.objects.save import (
    announce,
    authorize_save,
    fill_and_require,
    grow_schema,
    load_original,
    run_after_save,
    run_before_save,
    write,
)
from parse_clone.services.objects.steps import DeleteStep, Deletion, Save, SaveStep
from parse_clone.services.toolbox import Toolbox

USERS = JoinTable("_Role", "users")
CHILDREN = JoinTable("_Role", "roles")

BATCH = 500
"""Roles asked about at once: engines limit the size of a statement."""


async def load_role_names(toolbox: Toolbox, user_id: str) -> tuple[str, ...]:
    """Name all roles of a user, inherited ones included."""
    cache = toolbox.caches.roles
    known, drops = cache.get(user_id), cache.drops
    if known is None:
        known = await _read_role_names(toolbox, user_id)
        cache.put(user_id, known, drops)
    return known


async def _read_role_names(toolbox: Toolbox, user_id: str) -> tuple[str, ...]:
    """Walk upwards, level by level. A deleted role leads nowhere, though its links are still stored."""
    schema = await toolbox.catalog.get("_Role")
    found: dict[str, str] = {}
    level = set() if schema is None else set(await toolbox.storage.owning_ids(USERS, [user_id]))
    met = set(level)
    while level and schema is not None:
        names = await _names_of(toolbox, schema, level)
        found |= names
        parents = [await toolbox.storage.owning_ids(CHILDREN, ids) for ids in _batches(sorted(names))]
        level = set().union(*parents) - met  # roles met before end a circle
        met |= level
    return tuple(sorted(found.values()))


async def _names_of(toolbox: Toolbox, schema: ClassSchema, ids: set[str]) -> dict[str, str]:
    page = Page(keys=frozenset({"name"}))
    return {
        str(row["objectId"]): str(row["name"])
        for some in _batches(sorted(ids))
        for row in await toolbox.storage.find(schema, In("objectId", tuple(some)), page)
    }


def _batches(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]


# --- Roles as objects ------------------------------------------------------------------------------------


async def forget_roles(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Any change of a role may change what any user is allowed."""
    await toolbox.caches.invalidate_roles()
    return save


async def forget_deleted_role(toolbox: Toolbox, context: RequestContext, deletion: Deletion) -> Deletion:
    """The same after a delete."""
    await toolbox.caches.invalidate_roles()
    return deletion


ROLE_SAVE_STEPS: tuple[SaveStep, ...] = (
    authorize_save,
    load_original,
    run_before_save,
    grow_schema,
    fill_and_require,
    link_files,
    write,
    forget_roles,
    announce,
    run_after_save,
)

ROLE_DELETE_STEPS: tuple[DeleteStep, ...] = (
    authorize_delete,
    load_deleted,
    run_before_delete,
    remove,
    forget_deleted_role,
    announce_deletion,
    run_after_delete,
)
