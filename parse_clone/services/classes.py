"""Which lists of steps serve which class: the only place that says `_User` is special.

Every door (REST, batch, GraphQL, cloud code) enters here.
"""

from __future__ import annotations

from parse_clone.core.context import RequestContext
from parse_clone.core.json_types import JsonObject
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
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.users.find import SESSION_FIND_STEPS, USER_FIND_STEPS

FINDS = {"_User": USER_FIND_STEPS, "_Session": SESSION_FIND_STEPS}


async def find_objects(toolbox: Toolbox, context: RequestContext, request: FindRequest) -> FindAnswer:
    """Answer a query, or a get by id (`request.is_get`)."""
    steps = FINDS.get(request.class_name, FIND_STEPS)
    return await walk_find(steps, find_objects, toolbox, context, request)


async def save_object(toolbox: Toolbox, context: RequestContext, request: SaveRequest) -> SaveAnswer:
    """Create (no object id) or update an object."""
    return await walk_save(SAVE_STEPS, toolbox, context, request)


async def delete_object(toolbox: Toolbox, context: RequestContext, request: DeleteRequest) -> JsonObject:
    """Delete an object; answers the empty object."""
    return await walk_delete(DELETE_STEPS, toolbox, context, request)
