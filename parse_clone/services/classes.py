"""Which lists of steps serve which class: the only place that says `_User` is special.

Every door (REST, batch, GraphQL, cloud code) enters here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from parse_clone.core.context import RequestContext
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.services.installations import INSTALLATION_SAVE_STEPS
from parse_clone.services.objects.aggregate import walk_aggregate
from parse_clone.services.objects.delete import DELETE_STEPS, walk_delete
from parse_clone.services.objects.find import FIND_STEPS, walk_find
from parse_clone.services.objects.requests import (
    DeleteRequest,
    FindAnswer,
    FindRequest,
    SaveAnswer,
    SaveRequest,
)
from parse_clone.services.objects.save import SAVE_STEPS, walk_save
from parse_clone.services.objects.steps import DeleteStep, FindStep, SaveStep
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.users.find import SESSION_FIND_STEPS, USER_FIND_STEPS
from parse_clone.services.users.roles import ROLE_DELETE_STEPS, ROLE_SAVE_STEPS
from parse_clone.services.users.save import USER_DELETE_STEPS, USER_SAVE_STEPS
from parse_clone.services.users.session_class import SESSION_DELETE_STEPS, SESSION_SAVE_STEPS

FINDS: Mapping[str, Sequence[FindStep]] = {"_User": USER_FIND_STEPS, "_Session": SESSION_FIND_STEPS}

SAVES: Mapping[str, Sequence[SaveStep]] = {
    "_User": USER_SAVE_STEPS,
    "_Session": SESSION_SAVE_STEPS,
    "_Role": ROLE_SAVE_STEPS,
    "_Installation": INSTALLATION_SAVE_STEPS,
}

DELETES: Mapping[str, Sequence[DeleteStep]] = {
    "_User": USER_DELETE_STEPS,
    "_Session": SESSION_DELETE_STEPS,
    "_Role": ROLE_DELETE_STEPS,
}


async def find_objects(toolbox: Toolbox, context: RequestContext, request: FindRequest) -> FindAnswer:
    """Answer a query, or a get by id (`request.is_get`)."""
    steps = FINDS.get(request.class_name, FIND_STEPS)
    return await walk_find(steps, find_objects, toolbox, context, request)


async def aggregate_objects(
    toolbox: Toolbox, context: RequestContext, class_name: str, parameters: JsonObject
) -> list[Json]:
    """Answer a pipeline, or the distinct values of a field."""
    return await walk_aggregate(find_objects, toolbox, context, class_name, parameters)


async def save_object(toolbox: Toolbox, context: RequestContext, request: SaveRequest) -> SaveAnswer:
    """Create (no object id) or update an object."""
    steps = SAVES.get(request.class_name, SAVE_STEPS)
    return await walk_save(steps, find_objects, toolbox, context, request)


async def delete_object(toolbox: Toolbox, context: RequestContext, request: DeleteRequest) -> JsonObject:
    """Delete an object; answers the empty object."""
    return await walk_delete(DELETES.get(request.class_name, DELETE_STEPS), toolbox, context, request)
