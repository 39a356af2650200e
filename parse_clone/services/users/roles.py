"""Which roles a user has: those that list the user, and those that list such a role as a child, upwards."""

from __future__ import annotations

from collections.abc import Sequence

from parse_clone.core.query import In, Page
from parse_clone.core.schema import JoinTable
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
    found: set[str] = set()
    new = set(await toolbox.storage.owning_ids(USERS, [user_id]))
    while new:
        found |= new
        parents = [await toolbox.storage.owning_ids(CHILDREN, ids) for ids in _batches(sorted(new))]
        new = set().union(*parents) - found  # roles met before end a circle
    schema = await toolbox.catalog.get("_Role") if found else None
    if schema is None:
        return ()
    page = Page(keys=frozenset({"name"}))
    rows = [
        row
        for ids in _batches(sorted(found))
        for row in await toolbox.storage.find(schema, In("objectId", tuple(ids)), page)
    ]
    return tuple(sorted(str(row["name"]) for row in rows))


def _batches(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
