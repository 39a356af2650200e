"""`_Session` as a class that clients read and write: their own sessions, and of those only what is their own.

Token, user, expiry and origin of a session belong to the server. The master key may change some of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from parse_clone.core.context import RequestContext
from parse_clone.core.json_types import JsonObject
from parse_clone.core.names import root_of
from parse_clone.core.operations import Delete, Operation, Set
from parse_clone.core.query import In, NotIn, all_of, object_id_is
from parse_clone.core.values import is_pointer
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.services.objects.delete import (
    announce_deletion,
    authorize_delete,
    remove,
    run_after_delete,
    run_before_delete,
)
from parse_clone.services.objects.file_links import link_files
from parse_clone.services.objects.present import present
from parse_clone.services.objects.requests import SaveAnswer
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
from parse_clone.services.users.authentication import find_session_user
from parse_clone.services.users.find import own_sessions
from parse_clone.services.users.own_row import context_of
from parse_clone.services.users.sessions import (
    ONE,
    close_sessions,
    find_session,
    invalidate_session,
    new_session,
    open_session,
    user_id_of,
)

SERVER_OWNED = frozenset({"user", "sessionToken", "createdWith", "expiresAt"})
"""What a client's create cannot decide."""

FIXED = frozenset({"installationId", "sessionToken"})
"""What nobody changes later."""


def session_required() -> ParseError:
    """Build the refusal of a caller without a session."""
    return ParseError(ErrorCode.INVALID_SESSION_TOKEN, "Session token required.")


# --- Save ------------------------------------------------------------------------------------------------


async def take_session_fields(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Keep clients away from what the server owns, and to their own sessions."""
    if context.auth.user is None and not context.auth.is_privileged:
        raise session_required()
    acl = save.sent.get("ACL")
    if acl is not None and acl != Set(None):
        raise ParseError(ErrorCode.INVALID_KEY_NAME, "Cannot set ACL on a Session.")
    if context.auth.is_privileged:
        return save if save.is_create else check_changes(save, FIXED)
    user_id = str(context.auth.user_id)
    if save.is_create:
        return replace(save, operations=create_operations(toolbox, save, user_id))
    return check_changes(save, FIXED | SERVER_OWNED, user_id)


async def change_own_only(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """A client changes no session but his own."""
    return save if save.is_create else replace(save, where=all_of(save.where, own_sessions(context)))


def create_operations(toolbox: Toolbox, save: Save, user_id: str) -> Mapping[str, Operation]:
    """The client's own fields, and a new session around them."""
    row = new_session(toolbox, user_id, {"action": "create"}, None)
    own = {path: op for path, op in save.sent.items() if root_of(path) not in SERVER_OWNED}
    return {**own, **{name: Set(row[name]) for name in SERVER_OWNED if name in row}}


def check_changes(save: Save, forbidden: frozenset[str], user_id: str | None = None) -> Save:
    """Refuse to change what is fixed (105); naming oneself as the user changes nothing."""
    for path, operation in save.sent.items():
        if root_of(path) in forbidden and not (path == "user" and names_user(operation, user_id)):
            raise ParseError(ErrorCode.INVALID_KEY_NAME, f"Invalid key name: {path}")
    return save


def names_user(operation: Operation, user_id: str | None) -> bool:
    """Does this set the pointer to that user?"""
    value = operation.value if isinstance(operation, Set) else None
    return is_pointer(value, "_User") and value["objectId"] == user_id


async def replace_older_session(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """A new session takes the place of the user's session on the same installation."""
    if not save.is_create or save.result is None:
        return save
    user_id, installation_id = user_id_of(save.result), save.result.get("installationId")
    if user_id is not None and isinstance(installation_id, str) and installation_id:
        older = NotIn("objectId", (save.object_id,))
        await close_sessions(toolbox, user_id, In("installationId", (installation_id,)), older)
    return save


async def forget_session(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """A changed session may have another end, or another user: then the one before must be forgotten."""
    if save.is_create or save.result is None:
        return save
    if "user" in save.operations:
        await toolbox.caches.invalidate_all()
    else:
        await invalidate_session(toolbox, save.result)
    return save


async def answer_session(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """A client that creates a session reads it whole: it cannot know its token."""
    if not save.is_create or context.auth.is_privileged or save.result is None:
        return save
    row = {key: value for key, value in save.result.items() if key not in ("createdAt", "updatedAt")}
    return replace(save, answer=SaveAnswer(row, created=True, location=f"/classes/_Session/{save.object_id}"))


SESSION_SAVE_STEPS: tuple[SaveStep, ...] = (
    take_session_fields,
    authorize_save,
    change_own_only,
    load_original,
    run_before_save,
    grow_schema,
    fill_and_require,
    link_files,
    write,
    replace_older_session,
    forget_session,
    announce,
    run_after_save,
    answer_session,
)


# --- Delete ----------------------------------------------------------------------------------------------


async def load_own_session(toolbox: Toolbox, context: RequestContext, deletion: Deletion) -> Deletion:
    """Load the session: a client deletes no session but his own."""
    where = all_of(deletion.where, own_sessions(context))
    row = all_of(object_id_is(deletion.object_id), where)
    found = await toolbox.storage.find(deletion.schema, row, ONE)
    if not found:
        raise ParseError(ErrorCode.OBJECT_NOT_FOUND, "Object not found for delete.")
    return replace(deletion, where=where, original=found[0])


async def forget_deleted_session(toolbox: Toolbox, context: RequestContext, deletion: Deletion) -> Deletion:
    """A deleted session is good for nothing, at once."""
    if deletion.original is not None:
        await invalidate_session(toolbox, deletion.original)
    return deletion


SESSION_DELETE_STEPS: tuple[DeleteStep, ...] = (
    authorize_delete,
    load_own_session,
    run_before_delete,
    remove,
    forget_deleted_session,
    announce_deletion,
    run_after_delete,
)


# --- Endpoints -------------------------------------------------------------------------------------------


async def read_current_session(toolbox: Toolbox, context: RequestContext) -> JsonObject:
    """The session of the request's own token, even an expired one."""
    token = context.auth.session_token
    if token is None:
        raise session_required()
    session = await find_session(toolbox, token)
    schema = await toolbox.catalog.get("_Session")
    if session is None or schema is None:
        raise ParseError(ErrorCode.INVALID_SESSION_TOKEN, "Session token not found.")
    if not context.auth.is_privileged:
        user = await find_session_user(toolbox, session)
        if user is not None:
            context = await context_of(toolbox, context, user, token)
    return {**present(toolbox, context, schema, session), "sessionToken": token}


async def upgrade_to_revocable_session(toolbox: Toolbox, context: RequestContext) -> JsonObject:
    """Open a further session for the caller; one with a token of the old kind exchanges it."""
    token = context.auth.session_token
    if token is None:
        raise ParseError(ErrorCode.OBJECT_NOT_FOUND, "invalid session")
    user_id = context.auth.user_id or await exchange_legacy_token(toolbox, token)
    return await open_session(
        toolbox, user_id, created_with={"action": "upgrade"}, installation_id=context.installation_id
    )


async def exchange_legacy_token(toolbox: Toolbox, token: str) -> str:
    """Find the user with a token of the old kind, and take it from him: of several requests one wins."""
    schema = await toolbox.catalog.get("_User")
    row = In("_session_token", (token,))
    user = None if schema is None else await toolbox.storage.update(schema, row, {"_session_token": Delete()})
    if user is None:
        raise ParseError(ErrorCode.INVALID_SESSION_TOKEN, "invalid legacy session token")
    return str(user["objectId"])
