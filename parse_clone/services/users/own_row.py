"""What a user reads of himself, in answers to login, signup by provider, `/users/me` and their like.

What was read to check a password is never the answer: the row is read again with the user's own rights, or
those of a privileged caller; where they do not suffice the answer is the least that a client needs.
"""

from __future__ import annotations

from dataclasses import replace

from parse_clone.core.context import Auth, RequestContext
from parse_clone.core.json_types import JsonObject
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.services.objects.find import FIND_STEPS, walk_find
from parse_clone.services.objects.requests import FindAnswer, FindRequest
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.users.authentication import without_secrets
from parse_clone.services.users.find import USER_FIND_STEPS
from parse_clone.services.users.roles import load_role_names

REFUSALS = (ErrorCode.OBJECT_NOT_FOUND, ErrorCode.OPERATION_FORBIDDEN)


async def read_own_row(
    toolbox: Toolbox, context: RequestContext, user: JsonObject, token: str | None
) -> JsonObject:
    """The user, a stored row, as he or a privileged caller sees it; with `sessionToken` if he has one."""
    user_id = str(user["objectId"])
    reader = context if context.auth.is_privileged else await context_of(toolbox, context, user, token)
    try:
        row = without_secrets(await read_user(toolbox, reader, user_id))  # the maintenance key reads them
    except ParseError as error:
        if error.code not in REFUSALS:
            raise
        row = {"objectId": user_id}
    return row if token is None else {**row, "sessionToken": token}


async def read_user(toolbox: Toolbox, context: RequestContext, user_id: str) -> JsonObject:
    """One user with the rights of the context, through hooks and permissions (101, 119)."""
    answer = await find_users(toolbox, context, FindRequest("_User", object_id=user_id))
    return answer.results[0]


async def find_users(toolbox: Toolbox, context: RequestContext, request: FindRequest) -> FindAnswer:
    """Query users as a client would; what a hook makes the query include is found likewise."""
    steps = USER_FIND_STEPS if request.class_name == "_User" else FIND_STEPS
    return await walk_find(steps, find_users, toolbox, context, request)


async def context_of(
    toolbox: Toolbox, context: RequestContext, user: JsonObject, token: str | None
) -> RequestContext:
    """The request as if the user had made it."""
    roles = await load_role_names(toolbox, str(user["objectId"]))
    return replace(context, auth=Auth(user=without_secrets(user), session_token=token, roles=roles))
