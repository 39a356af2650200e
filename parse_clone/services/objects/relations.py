"""Relations in queries: `$relatedTo`, and constraints on relation fields, become conditions on `objectId`.

Links live in join tables and have no rights of their own: who may read the owning object may read its links.
"""

from __future__ import annotations

from parse_clone.core.context import RequestContext
from parse_clone.core.json_types import Json
from parse_clone.core.names import JoinTable
from parse_clone.core.permissions import check_class_access, check_query_paths, row_condition
from parse_clone.core.query import (
    NOTHING,
    Condition,
    In,
    Leaf,
    NotIn,
    RelatedTo,
    Subquery,
    all_of,
    object_id_is,
)
from parse_clone.core.schema import ClassSchema
from parse_clone.core.values import is_pointer
from parse_clone.errors import ParseError
from parse_clone.services.toolbox import Toolbox


async def redirected_class(toolbox: Toolbox, class_name: str, key: str) -> str:
    """The class that `redirectClassNameForKey` leads to; the class itself if the key is no relation."""
    schema = await toolbox.catalog.get(class_name)
    return class_name if schema is None else schema.relations.get(key, class_name)


async def find_related(toolbox: Toolbox, context: RequestContext, related: RelatedTo) -> Condition:
    """Name the members of one object's relation. To callers who cannot read the object it has none."""
    schema = await toolbox.catalog.get(related.class_name)
    if schema is None or related.key not in schema.relations:
        return NOTHING
    if not context.auth.is_privileged:
        check_query_paths(schema, context.auth, toolbox.protection, [related.key])
        if not await is_readable(toolbox, context, schema, related.object_id):
            return NOTHING
    ids = await toolbox.storage.related_ids(JoinTable(schema.name, related.key), [related.object_id])
    return In("objectId", tuple(ids))


async def is_readable(toolbox: Toolbox, context: RequestContext, schema: ClassSchema, object_id: str) -> bool:
    """May the caller read this object?"""
    try:
        check_class_access(schema.name, "get", context.auth)
        rows = row_condition(schema, "get", context.auth)
    except ParseError:
        return False
    return await toolbox.storage.count(schema, all_of(object_id_is(object_id), rows)) > 0


def is_on_relation(leaf: Leaf | Subquery, schema: ClassSchema) -> bool:
    """Does this constraint name a relation field?"""
    return getattr(leaf, "path", None) in schema.relations


async def resolve_relation(toolbox: Toolbox, schema: ClassSchema, leaf: Leaf) -> Condition:
    """Turn a constraint on a relation field into the owners that it selects."""
    match leaf:
        case In(path, values):
            return In("objectId", await owners(toolbox, schema, path, values))
        case NotIn(path, values):
            return NotIn("objectId", await owners(toolbox, schema, path, values))
        case _:
            return NOTHING


async def owners(
    toolbox: Toolbox, schema: ClassSchema, field: str, pointers: tuple[Json, ...]
) -> tuple[Json, ...]:
    """The ids of the objects that are linked to any of these."""
    related = [str(pointer["objectId"]) for pointer in pointers if is_pointer(pointer)]
    return tuple(await toolbox.storage.owning_ids(JoinTable(schema.name, field), related)) if related else ()
