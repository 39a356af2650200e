"""Logging in, out, and asking who one is.

Whatever is wrong with the credentials, the answer and the time it takes are the same. Values that are no text
are refused before any database call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

from parse_clone.core.context import RequestContext
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.operations import Set
from parse_clone.core.query import AnyOf, Condition, Exists, In, Page, all_of, object_id_is
from parse_clone.core.values import date_value
from parse_clone.errors import ErrorCode, ParseError, permission_denied
from parse_clone.services.objects.auditing import audit
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import AuditEvent, ObjectEvent, TriggerKind, run_trigger
from parse_clone.services.users.authentication import (
    authenticate_session,
    invalid_session_token,
    without_secrets,
)
from parse_clone.services.users.email_verification import check_verified
from parse_clone.services.users.external_login import (
    AuthData,
    Proven,
    check_additional_providers,
    complete,
    decode_auth_data,
    is_unchanged,
    link_operations,
    stored_auth_data,
    validate,
)
from parse_clone.services.users.lockout import check_not_locked, count_attempt
from parse_clone.services.users.own_row import REFUSALS, context_of, read_own_row, read_user
from parse_clone.services.users.passwords import is_password_expired
from parse_clone.services.users.sessions import (
    ONE,
    find_session,
    has_token,
    invalidate_session,
    open_session,
)

# --- By password -----------------------------------------------------------------------------------------


async def log_in(toolbox: Toolbox, context: RequestContext, parameters: JsonObject) -> JsonObject:
    """Open a session for a username or e-mail address and a password."""
    async with audited_attempt(toolbox, context, parameters):
        return await log_in_by_password(toolbox, context, parameters)


@asynccontextmanager
async def audited_attempt(
    toolbox: Toolbox, context: RequestContext, parameters: JsonObject
) -> AsyncIterator[None]:
    """Tell auditors of credentials that are refused."""
    try:
        yield
    except ParseError as refusal:
        await audit(toolbox, AuditEvent("login", "_User", (), context, object=parameters, failure=refusal))
        raise


async def log_in_by_password(toolbox: Toolbox, context: RequestContext, parameters: JsonObject) -> JsonObject:
    """Open a session for a username or e-mail address and a password."""
    user = await check_credentials(toolbox, context, parameters)
    given = parameters.get("authData")
    auth_data: AuthData = decode_auth_data(Set(given)) if given else {}
    check_additional_providers(toolbox, auth_data, stored_auth_data(user))
    proven = await validate(toolbox, context, await complete(toolbox, auth_data), user, user)
    await check_password_age(toolbox, user)
    await run_before_login(toolbox, context, user)
    await store_proof(toolbox, user, proven)
    token = await open_login_session(toolbox, context, user, {"action": "login", "authProvider": "password"})
    answer = await read_own_row(toolbox, context, user, token)
    await run_after_login(toolbox, context, user, token)
    return {**answer, "authDataResponse": proven.responses} if given else answer


async def verify_password(toolbox: Toolbox, context: RequestContext, parameters: JsonObject) -> JsonObject:
    """Say whether a password is right, and whose it is, without logging in."""
    async with audited_attempt(toolbox, context, parameters):
        user = await check_credentials(toolbox, context, parameters)
    return await read_own_row(toolbox, context, user, None)


async def check_credentials(toolbox: Toolbox, context: RequestContext, parameters: JsonObject) -> JsonObject:
    """Find the stored user whose password this is; refuse everything else."""
    username, email, password = decode_credentials(parameters)
    user = await find_user(toolbox, username, email)
    if user is not None:
        check_not_locked(toolbox, user)
    hashed = None if user is None else user.get("_hashed_password")
    is_right = await toolbox.passwords.verify(password, hashed if isinstance(hashed, str) else None)
    if user is None:
        raise bad_credentials()
    await count_attempt(toolbox, user, succeeded=is_right)
    is_locked_out = user.get("ACL") == {} and not context.auth.is_master
    if not is_right or is_locked_out:
        raise bad_credentials()
    if not (context.auth.is_privileged and parameters.get("ignoreEmailVerification")):
        await check_verified(toolbox, context, user)
    return user


def decode_credentials(parameters: Mapping[str, Json]) -> tuple[str | None, str | None, str]:
    """Username, e-mail address and password, all of them texts."""
    username, email, password = (parameters.get(name) or None for name in ("username", "email", "password"))
    if username is None and email is None:
        raise ParseError(ErrorCode.USERNAME_MISSING, "username/email is required.")
    if password is None:
        raise ParseError(ErrorCode.PASSWORD_MISSING, "password is required.")
    if not (isinstance(password, str) and isinstance(username, str | None) and isinstance(email, str | None)):
        raise bad_credentials()
    return username, email, password


def bad_credentials() -> ParseError:
    """Build the one answer to all bad credentials."""
    return ParseError(ErrorCode.OBJECT_NOT_FOUND, "Invalid username/password.")


async def find_user(toolbox: Toolbox, username: str | None, email: str | None) -> JsonObject | None:
    """Load the user of a name. A name alone may be an e-mail address; if it is both, the username counts."""
    schema = await toolbox.catalog.get("_User")
    if schema is None:
        return None
    found = await toolbox.storage.find(schema, names_user(toolbox, username, email), Page(limit=2))
    if len(found) > 1:
        return next((user for user in found if user.get("username") == username), None)
    return found[0] if found else None


def names_user(toolbox: Toolbox, username: str | None, email: str | None) -> Condition:
    """Name the user of a username, of an e-mail address, or of both."""
    settings = toolbox.settings
    by_email = email if email is not None else username
    if by_email is not None and settings.convert_email_to_lowercase:
        by_email = by_email.lower()
    if username is not None and settings.convert_username_to_lowercase:
        username = username.lower()
    has_email = In("email", (by_email,))
    if username is None:
        return has_email
    has_username = In("username", (username,))
    return AnyOf((has_username, has_email)) if email is None else all_of(has_username, has_email)


async def check_password_age(toolbox: Toolbox, user: JsonObject) -> None:
    """Refuse an expired password. One from before the policy begins to age now."""
    if is_password_expired(toolbox, user):
        raise ParseError(ErrorCode.OBJECT_NOT_FOUND, "Your password has expired. Please reset your password.")
    policy, schema = toolbox.settings.password_policy, await toolbox.catalog.get("_User")
    if policy is None or schema is None or not policy.max_password_age or "_password_changed_at" in user:
        return
    row = all_of(object_id_is(str(user["objectId"])), Exists("_password_changed_at", False))
    changed_at = Set(date_value(toolbox.clock.now()))
    await toolbox.storage.update(schema, row, {"_password_changed_at": changed_at})


# --- What every login does -------------------------------------------------------------------------------


async def run_before_login(toolbox: Toolbox, context: RequestContext, user: JsonObject) -> None:
    """Let cloud code refuse the login."""
    event = ObjectEvent(TriggerKind.BEFORE_LOGIN, "_User", context, object=without_secrets(user))
    await run_trigger(toolbox, event)


async def store_proof(toolbox: Toolbox, user: JsonObject, proven: Proven) -> None:
    """Store what the providers want kept. Proof for one use is used once: the loser of a race is refused."""
    stored = stored_auth_data(user)
    changes = {name: data for name, data in proven.data.items() if data != stored.get(name)}
    schema = await toolbox.catalog.get("_User")
    if not changes or schema is None:
        return
    row = all_of(object_id_is(str(user["objectId"])), *is_unchanged(changes, stored))
    if await toolbox.storage.update(schema, row, link_operations(changes)) is None:
        raise ParseError(ErrorCode.SCRIPT_FAILED, "Invalid auth data")
    await toolbox.caches.invalidate_user(str(user["objectId"]))


async def open_login_session(
    toolbox: Toolbox, context: RequestContext, user: JsonObject, created_with: JsonObject
) -> str:
    """Open a session and return its token; auditors are told before it is open."""
    event = AuditEvent("login", "_User", (str(user["objectId"]),), context, object=created_with)
    await audit(toolbox, event)
    session = await open_session(
        toolbox, str(user["objectId"]), created_with=created_with, installation_id=context.installation_id
    )
    return str(session["sessionToken"])


async def run_after_login(toolbox: Toolbox, context: RequestContext, user: JsonObject, token: str) -> None:
    """Tell cloud code about the login, as the user who is now logged in."""
    if toolbox.triggers.has("_User", TriggerKind.AFTER_LOGIN):
        own = await context_of(toolbox, context, user, token)
        shown = {**without_secrets(user), "sessionToken": token}
        await run_trigger(toolbox, ObjectEvent(TriggerKind.AFTER_LOGIN, "_User", own, object=shown))


# --- By the master key -----------------------------------------------------------------------------------


async def log_in_as(toolbox: Toolbox, context: RequestContext, parameters: JsonObject) -> JsonObject:
    """Open a session for any user, with the master key instead of a password."""
    if not context.auth.is_master:
        raise permission_denied("master key is required")
    if context.auth.is_read_only:
        raise permission_denied("read-only masterKey isn't allowed to login as another user.")
    user_id = parameters.get("userId")
    if not isinstance(user_id, str) or not user_id:
        raise ParseError(ErrorCode.INVALID_VALUE, "userId must not be empty, null, or undefined")
    schema = await toolbox.catalog.get("_User")
    found = [] if schema is None else await toolbox.storage.find(schema, object_id_is(user_id), ONE)
    if not found:
        raise ParseError(ErrorCode.OBJECT_NOT_FOUND, "user not found")
    created_with: JsonObject = {"action": "login", "authProvider": "masterkey"}
    token = await open_login_session(toolbox, context, found[0], created_with)
    return await read_own_row(toolbox, context, found[0], token)


# --- Who am I, and goodbye -------------------------------------------------------------------------------


async def read_me(toolbox: Toolbox, context: RequestContext) -> JsonObject:
    """The user of the request's session token."""
    auth = context.auth
    if auth.session_token is None:
        raise permission_denied("Invalid session token", ErrorCode.INVALID_SESSION_TOKEN)
    if auth.user is None:  # privileged callers: their token has not been looked up
        auth = await authenticate_session(toolbox, auth.session_token)
    try:
        row = await read_user(toolbox, replace(context, auth=auth), str(auth.user_id))
    except ParseError as error:
        raise invalid_session_token() if error.code in REFUSALS else error from None
    return {**row, "sessionToken": auth.session_token}


async def log_out(toolbox: Toolbox, context: RequestContext) -> JsonObject:
    """End the session of the request, if there is one."""
    token = context.auth.session_token
    session = None if token is None else await find_session(toolbox, token)
    schema = await toolbox.catalog.get("_Session")
    if token is None or session is None or schema is None:
        return {}
    deleted = await toolbox.storage.delete(schema, has_token(token))
    await invalidate_session(toolbox, session)
    if deleted:
        event = ObjectEvent(TriggerKind.AFTER_LOGOUT, "_Session", context, object=session)
        await run_trigger(toolbox, event)
    return {}
