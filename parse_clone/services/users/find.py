"""Finding users and sessions: what providers show of their data, whose sessions a client meets."""

from __future__ import annotations

from dataclasses import replace

from parse_clone.core.auth_data import ProviderRequest
from parse_clone.core.context import RequestContext
from parse_clone.core.json_types import JsonObject
from parse_clone.core.query import EVERYTHING, Condition, all_of
from parse_clone.errors import ErrorCode, permission_denied
from parse_clone.services.objects.auditing import audit_found
from parse_clone.services.objects.find import (
    READ_STEPS,
    check_class_exists,
    count,
    decode_query,
    fetch,
    redirect,
    run_after_find,
    run_before_find,
)
from parse_clone.services.objects.include import include_pointers
from parse_clone.services.objects.steps import Find, FindStep
from parse_clone.services.objects.subqueries import resolve_subqueries
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.users.external_login import stored_auth_data
from parse_clone.services.users.sessions import belongs_to

# --- Users -----------------------------------------------------------------------------------------------


async def show_auth_data(toolbox: Toolbox, context: RequestContext, find: Find) -> Find:
    """Let the providers say what readers see of their data."""
    for row in find.rows:
        await present_auth_data(toolbox, context, row)
    return find


async def present_auth_data(toolbox: Toolbox, context: RequestContext, row: JsonObject) -> None:
    """Put what the providers show in the place of what is stored; unlinked ones leave no trace."""
    if "authData" not in row:
        return
    request = ProviderRequest(
        "login", context.ip, context.headers, context.auth.is_master, user=context.auth.user
    )
    shown: JsonObject = {}
    for name, data in stored_auth_data(row).items():
        provider = toolbox.auth_providers.get(name)
        shown[name] = data if provider is None else await provider.after_find({**data}, request)
    if shown:
        row["authData"] = shown
    else:
        del row["authData"]


async def show_own_token(toolbox: Toolbox, context: RequestContext, find: Find) -> Find:
    """A user who gets himself reads the token that he uses."""
    auth = context.auth
    if find.request.is_get and auth.user_id is not None and auth.session_token is not None:
        for row in find.rows:
            if row.get("objectId") == auth.user_id:
                row["sessionToken"] = auth.session_token
    return find


USER_FIND_STEPS: tuple[FindStep, ...] = (*READ_STEPS, show_auth_data, show_own_token, audit_found)


# --- Sessions --------------------------------------------------------------------------------------------


def own_sessions(context: RequestContext) -> Condition:
    """Name the sessions that the caller may meet: clients meet their own, and none without one (209)."""
    if context.auth.is_privileged:
        return EVERYTHING
    if context.auth.user_id is None:
        raise permission_denied("Invalid session token", ErrorCode.INVALID_SESSION_TOKEN)
    return belongs_to(context.auth.user_id)


async def stay_with_own(toolbox: Toolbox, context: RequestContext, find: Find) -> Find:
    """A client finds no sessions but his own."""
    return replace(find, matching=all_of(find.matching, own_sessions(context)))


SESSION_FIND_STEPS: tuple[FindStep, ...] = (
    redirect,
    check_class_exists,
    run_before_find,
    decode_query,
    resolve_subqueries,
    stay_with_own,
    fetch,
    count,
    include_pointers,
    run_after_find,
)
