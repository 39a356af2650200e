"""Saving a user: signing up, changing, and logging in by a provider, for which clients send a signup.

The list reads like the one of ordinary objects, with what is special about users in its places. Errors that
would tell who exists look all the same: 206 to clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

from parse_clone.core.acl import default_user_acl, with_own_access
from parse_clone.core.context import RequestContext
from parse_clone.core.json_types import JsonObject
from parse_clone.core.matcher import matches
from parse_clone.core.operations import Delete, Operation, Set, apply_operations
from parse_clone.core.query import In, NotIn, Page, all_of
from parse_clone.errors import DuplicateValue, ErrorCode, ParseError, object_not_found, permission_denied
from parse_clone.immutable import immutable
from parse_clone.services.objects.delete import (
    announce_deletion,
    authorize_delete,
    load_deleted,
    remove,
    run_after_delete,
    run_before_delete,
)
from parse_clone.services.objects.file_links import link_files
from parse_clone.services.objects.requests import SaveAnswer
from parse_clone.services.objects.save import (
    announce,
    answer_save,
    authorize_save,
    fetch_one,
    fill_and_require,
    grow_schema,
    run_after_save,
    run_before_save,
    write,
)
from parse_clone.services.objects.steps import DeleteStep, Deletion, Save, SaveStep
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.users.email_verification import (
    must_verify,
    question_about,
    unverified,
    verification_operations,
)
from parse_clone.services.users.external_login import (
    AuthData,
    already_used,
    changed_providers,
    check_additional_providers,
    complete,
    decode_auth_data,
    find_owners,
    link_operations,
    names_nobody,
    stored_auth_data,
    validate,
)
from parse_clone.services.users.login import (
    audited_attempt,
    open_login_session,
    run_before_login,
    store_proof,
)
from parse_clone.services.users.own_row import read_own_row
from parse_clone.services.users.passwords import check_password_policy, password_operations
from parse_clone.services.users.sessions import close_sessions, open_session

INTERNAL_CALL = "cloud"
"""The installation id of calls made inside of the server: they open no sessions."""


@immutable(slots=False)
class UserSave(Save):
    """A save of a user. `auth_data` is what the client sent, decoded; `silent` are the fields that rules of
    this module changed, which the answer does not mention; `must_verify`: no session before the address is
    verified."""

    auth_data: AuthData | None = None
    silent: frozenset[str] = frozenset()
    must_verify: bool = False


def as_user_save(save: Save) -> UserSave:
    """The value that `begin` made of the save."""
    assert isinstance(save, UserSave)
    return save


def with_operations(save: Save, changes: Mapping[str, Operation]) -> UserSave:
    """Write more, without telling the client; what a hook has changed is told all the same."""
    user_save = as_user_save(save)
    unchanged = {key for key in changes if save.operations.get(key) == save.sent.get(key)}
    return replace(user_save, operations={**save.operations, **changes}, silent=user_save.silent | unchanged)


def without_operation(save: Save, key: str) -> UserSave:
    """Do not write this key, and do not tell the client."""
    user_save = as_user_save(save)
    rest = {name: operation for name, operation in save.operations.items() if name != key}
    return replace(user_save, operations=rest, silent=user_save.silent | {key})


def text_of(operation: Operation | None) -> str | None:
    """The text that an operation stores, if it is one and not empty."""
    value = operation.value if isinstance(operation, Set) else None
    return value if isinstance(value, str) and value else None


# --- What was asked --------------------------------------------------------------------------------------


async def begin(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Refuse what no client may ask of a user, and what lacks the credentials of a new one."""
    check_credentials(save)
    auth_data = decode_auth_data(save.sent["authData"]) if "authData" in save.sent else None
    for key in save.sent:
        if key.startswith("authData."):
            raise ParseError(ErrorCode.INVALID_KEY_NAME, f"Invalid field name for update: {key}")
    if "emailVerified" in save.sent and not context.auth.is_privileged:
        raise permission_denied("Clients aren't allowed to manually update email verification.")
    if not save.is_create and context.auth.user is None and not context.auth.is_privileged:
        raise permission_denied(f"Cannot modify user {save.object_id}.", ErrorCode.SESSION_MISSING)
    if save.object_id is not None and save.object_id.startswith("role:"):
        raise permission_denied("Invalid object ID.")
    ordinary = {part.name: getattr(save, part.name) for part in fields(save)}
    # Parse quirk: clients send back what they read; a session token is no field of a user.
    ordinary["operations"] = {key: op for key, op in save.operations.items() if key != "sessionToken"}
    return UserSave(**ordinary, auth_data=auth_data, silent=frozenset({"sessionToken"}))


def check_credentials(save: Save) -> None:
    """A new user needs a username and a password, or an identity; nobody may lose what he logs in with."""
    required = save.is_create and names_nobody(save.sent.get("authData"))
    for name, code, text in (
        ("username", ErrorCode.USERNAME_MISSING, "bad or missing username"),
        ("password", ErrorCode.PASSWORD_MISSING, "password is required"),
    ):
        operation = save.sent.get(name)
        is_emptied = isinstance(operation, Delete) or operation in (Set(None), Set(""))
        if (required and text_of(operation) is None) or (is_emptied and not save.is_create):
            raise ParseError(code, text)


async def log_in_by_provider(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Sign up with an identity: if it is known, log its owner in instead, which ends the save."""
    given = as_user_save(save).auth_data
    if not save.is_create or not given:
        return save
    async with audited_attempt(toolbox, context, {"authProvider": ",".join(given)}):
        return await sign_up_or_log_in(toolbox, context, save, given)


async def sign_up_or_log_in(toolbox: Toolbox, context: RequestContext, save: Save, given: AuthData) -> Save:
    """Have providers prove an identity, and find whose it is."""
    auth_data = await complete(toolbox, given)
    owners = [owner for owner in await find_owners(toolbox, auth_data) if may_log_in(context, owner)]
    owner = owners[0] if owners else None
    caller = context.auth.user_id
    if owner is None:
        proven = await validate(toolbox, context, auth_data, None, future_user(save))
        data: JsonObject = {name: data for name, data in proven.data.items() if data is not None}
        stored: dict[str, Operation] = {"authData": Set(data)}
        extra = {**save.extra, "authDataResponse": proven.responses}
        return replace(with_operations(save, stored), auth_data=auth_data, extra=extra)
    if len(owners) > 1 or (caller is not None and caller != owner["objectId"]):
        await validate(toolbox, context, auth_data, owner, owner)
        raise already_used()
    return replace(save, answer=await log_owner_in(toolbox, context, auth_data, owner))


def may_log_in(context: RequestContext, user: JsonObject) -> bool:
    """An empty ACL locks a user out."""
    return context.auth.is_privileged or user.get("ACL") != {}


async def log_owner_in(
    toolbox: Toolbox, context: RequestContext, auth_data: AuthData, owner: JsonObject
) -> SaveAnswer:
    """Open a session for the owner of an identity, if all providers given say so."""
    await run_before_login(toolbox, context, owner)
    check_additional_providers(toolbox, auth_data, stored_auth_data(owner))
    proven = await validate(toolbox, context, auth_data, owner, owner)
    await store_proof(toolbox, owner, proven)
    token = context.auth.session_token if context.auth.user_id is not None else None
    if token is None and context.installation_id != INTERNAL_CALL:
        created_with: JsonObject = {"action": "login", "authProvider": ",".join(auth_data)}
        token = await open_login_session(toolbox, context, owner, created_with)
    body = await read_own_row(toolbox, context, owner, token)
    body = {**body, "authDataResponse": proven.responses}
    return SaveAnswer(body, created=False, location=f"/users/{owner['objectId']}")


# --- Whom it is about ------------------------------------------------------------------------------------


def hiding_existence(step: SaveStep) -> SaveStep:
    """On an update a client cannot tell a user it may not write from one that does not exist (206)."""

    async def hidden(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
        try:
            return await step(toolbox, context, save)
        except ParseError as error:
            raise (error if save.is_create else as_missing_session(context, error)) from None

    return hidden


def as_missing_session(context: RequestContext, error: ParseError) -> ParseError:
    """What a client is told instead of "not found"."""
    if context.auth.is_privileged or error.code != ErrorCode.OBJECT_NOT_FOUND:
        return error
    return permission_denied("Insufficient auth.", ErrorCode.SESSION_MISSING)


async def load_user(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Load the user who is changed: his password, his identities and his address are compared."""
    if save.is_create:
        return save
    original = await fetch_one(toolbox, save.schema, save.object_id)
    if original is None or not matches(save.where, original):
        raise object_not_found()
    return replace(save, original=original)


async def link_providers(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Link and unlink identities: what is not stored like this already must be proven."""
    given = as_user_save(save).auth_data
    if save.original is None or given is None:
        return save
    stored = stored_auth_data(save.original)
    changed = await complete(toolbox, changed_providers(given, stored))
    if not changed:
        return without_operation(save, "authData")
    owners = await find_owners(toolbox, changed)
    proven = await validate(toolbox, context, changed, save.original, future_user(save))
    if any(owner["objectId"] != save.object_id for owner in owners):
        raise already_used()
    extra = {**save.extra, "authDataResponse": proven.responses}
    return replace(with_operations(save, {"authData": Set({**proven.data})}), extra=extra)


# --- What is written -------------------------------------------------------------------------------------


async def set_password(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Replace a new password by its hash, if the policy takes it."""
    if "password" not in save.operations:
        return save
    password = text_of(save.operations["password"])
    if password is None:
        raise ParseError(ErrorCode.PASSWORD_MISSING, "password is required")
    username = text_of(save.operations.get("username")) or (save.original or {}).get("username")
    await check_password_policy(
        toolbox, password, username if isinstance(username, str) else None, save.original
    )
    changes = await password_operations(toolbox, password, save.original)
    return with_operations(without_operation(save, "password"), changes)


async def forget_reset_token(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """A new password or address ends a pending password reset."""
    if save.is_create or save.operations.keys().isdisjoint(("password", "email")):
        return save
    return with_operations(save, {"_perishable_token": Delete(), "_perishable_token_expires_at": Delete()})


async def check_username(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Refuse a username that somebody has, in whatever case (202); a user without one gets a random one."""
    username = text_of(save.operations.get("username"))
    if username is None:
        named = {**save.operations, "username": Set(toolbox.ids.token())}
        return replace(save, operations=named) if save.is_create else save
    if toolbox.settings.convert_username_to_lowercase and username != username.lower():
        username = username.lower()
        save = with_operations(save, {"username": Set(username)})
    if await is_taken(toolbox, save, "username", username):
        raise username_taken()
    return save


LINE_ENDS = frozenset("\n\r\u2028\u2029")


def is_email(text: str) -> bool:
    """Is there something before and behind an `@`, all on one line? Looked at once, however long it is."""
    return "@" in text[1:-1] and LINE_ENDS.isdisjoint(text)


async def check_email(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Refuse what is no e-mail address (125) or somebody else's (203); a new one may have to be verified."""
    if save.operations.get("email") == Set(None):  # stored, it would be an address that two users share
        save = with_operations(save, {"email": Delete()})
    email = text_of(save.operations.get("email"))
    if email is None:
        return save
    if toolbox.settings.convert_email_to_lowercase and email != email.lower():
        email = email.lower()
        save = with_operations(save, {"email": Set(email)})
    if not is_email(email):
        raise ParseError(ErrorCode.INVALID_EMAIL_ADDRESS, "Email address format is invalid.")
    if await is_taken(toolbox, save, "email", email):
        raise email_taken()
    if has_external_identity(as_user_save(save)):
        return save
    changes = await verification_operations(
        toolbox, question_about(context, future_user(save), save.original)
    )
    if save.operations.get("emailVerified") != save.sent.get("emailVerified"):  # a hook has decided
        changes.pop("emailVerified", None)
    return with_operations(save, changes)


def has_external_identity(save: UserSave) -> bool:
    """Does the request bring an identity that somebody vouches for?"""
    return any(name != "anonymous" for name in save.auth_data or ())


def future_user(save: Save) -> JsonObject:
    """The user as he is about to be stored."""
    return {**apply_operations(save.original or {}, save.operations), "objectId": save.object_id}


async def is_taken(toolbox: Toolbox, save: Save, field: str, value: str) -> bool:
    """Has another user this username or address, in whatever case?"""
    where = all_of(In(field, (value,)), NotIn("objectId", (save.object_id,)))
    ignore_case = not toolbox.settings.enable_collation_case_comparison
    page = Page(limit=1, keys=frozenset(), case_insensitive=ignore_case)
    return bool(await toolbox.storage.find(save.schema, where, page))


def username_taken() -> ParseError:
    """Build the refusal of somebody else's username."""
    return ParseError(ErrorCode.USERNAME_TAKEN, "Account already exists for this username.")


def email_taken() -> ParseError:
    """Build the refusal of somebody else's address."""
    return ParseError(ErrorCode.EMAIL_TAKEN, "Account already exists for this email address.")


async def keep_own_access(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """New users are private by default; nobody but the master can lock a user out."""
    given = save.operations.get("ACL")
    acl = given.value if isinstance(given, Set) else None
    user_id = str(save.object_id)
    if isinstance(acl, dict):
        if not save.is_create and context.auth.is_privileged:
            return save
        return with_operations(save, {"ACL": Set(with_own_access(acl, user_id))})
    if not save.is_create:
        return save
    acl = default_user_acl(user_id, public_read=not toolbox.settings.enforce_private_users)
    return with_operations(save, {"ACL": Set(acl)})


async def write_user(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Store the user. Of several who want one name, address or identity the unique index picks one."""
    try:
        written = await write(toolbox, context, store_identities(save))
    except DuplicateValue as error:
        if error.field is None:
            await check_username(toolbox, context, save)
            await check_email(toolbox, context, save)
        raise taken(error) from error
    if not save.is_create:
        await toolbox.caches.invalidate_user(str(save.object_id))
    return written


def store_identities(save: Save) -> Save:
    """An update touches the identities it names, and no other."""
    linked = save.operations.get("authData")
    if linked is None:
        return save
    auth_data = decode_auth_data(linked)
    if save.is_create:
        return with_operations(save, {"authData": Set({n: data for n, data in auth_data.items() if data})})
    return with_operations(without_operation(save, "authData"), link_operations(auth_data))


def taken(error: DuplicateValue) -> ParseError:
    """Say what of a user exists already."""
    match (error.field or "").partition(".")[0]:
        case "username":
            return username_taken()
        case "email":
            return email_taken()
        case "authData":
            return already_used()
        case _:
            return error


# --- Afterwards ------------------------------------------------------------------------------------------


async def renew_sessions(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """A new password ends all sessions of the user; the one who changed his own goes on with a new one."""
    if save.is_create or "password" not in as_user_save(save).silent:
        return save
    user_id = str(save.object_id)
    if toolbox.settings.revoke_session_on_password_reset:
        await close_sessions(toolbox, user_id)
    if context.auth.user_id != user_id or context.installation_id == INTERNAL_CALL:
        return save
    session = await open_session(toolbox, user_id, created_with=None, installation_id=context.installation_id)
    return with_session(save, session)


async def open_first_session(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Log a new user in, unless he must verify his address first."""
    providers = [name for name, data in (as_user_save(save).auth_data or {}).items() if data is not None]
    if save.result is None or not is_login(context, save, providers):
        return save
    if await must_verify(toolbox, question_about(context, save.result)):
        return replace(as_user_save(save), must_verify=True)
    if context.installation_id == INTERNAL_CALL:
        return save
    session = await open_session(
        toolbox,
        str(save.object_id),
        created_with=origin(providers),
        installation_id=context.installation_id,
        is_first=save.is_create,
    )
    return with_session(save, session)


def is_login(context: RequestContext, save: Save, providers: list[str]) -> bool:
    """Does the save log its user in? Not where a user brings identities: he stays who he is.

    Parse quirk: the master key that links an identity to a user gets a session of that user.
    """
    if providers:
        return context.auth.user_id is None
    return save.is_create


def origin(providers: list[str]) -> JsonObject:
    """What a session notes about the signup that opened it. Parse quirk: with an identity it is a login."""
    if providers:
        return {"action": "login", "authProvider": ",".join(providers)}
    return {"action": "signup", "authProvider": "password"}


def with_session(save: Save, session: JsonObject) -> Save:
    """Answer the token of a new session."""
    return replace(save, extra={**save.extra, "sessionToken": session["sessionToken"]})


async def answer_user(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Answer as any save does, without what the server did on its own."""
    user_save = as_user_save(save)
    if user_save.must_verify and toolbox.settings.prevent_signup_with_unverified_email:
        raise unverified()
    answer = answer_save(save)
    hidden = user_save.silent - save.extra.keys()
    body = {key: value for key, value in answer.body.items() if key not in hidden}
    return replace(save, answer=replace(answer, body=body))


USER_SAVE_STEPS: tuple[SaveStep, ...] = (
    begin,
    log_in_by_provider,
    hiding_existence(authorize_save),
    hiding_existence(load_user),
    link_providers,
    run_before_save,
    grow_schema,
    fill_and_require,
    forget_reset_token,
    set_password,
    check_username,
    check_email,
    keep_own_access,
    link_files,
    hiding_existence(write_user),
    renew_sessions,
    open_first_session,
    announce,
    run_after_save,
    answer_user,
)


# --- Delete ----------------------------------------------------------------------------------------------


def hiding_existence_of_deleted(step: DeleteStep) -> DeleteStep:
    """The same for a delete."""

    async def hidden(toolbox: Toolbox, context: RequestContext, deletion: Deletion) -> Deletion:
        try:
            return await step(toolbox, context, deletion)
        except ParseError as error:
            raise as_missing_session(context, error) from None

    return hidden


async def require_session(toolbox: Toolbox, context: RequestContext, deletion: Deletion) -> Deletion:
    """Nobody deletes a user without being logged in (206)."""
    if context.auth.user is None and not context.auth.is_privileged:
        raise ParseError(ErrorCode.SESSION_MISSING, "Insufficient auth to delete user")
    return deletion


async def forget_user(toolbox: Toolbox, context: RequestContext, deletion: Deletion) -> Deletion:
    """The sessions of a user who is gone are good for nothing, at once."""
    await toolbox.caches.invalidate_user(deletion.object_id)
    return deletion


USER_DELETE_STEPS: tuple[DeleteStep, ...] = (
    require_session,
    hiding_existence_of_deleted(authorize_delete),
    hiding_existence_of_deleted(load_deleted),
    run_before_delete,
    hiding_existence_of_deleted(remove),
    forget_user,
    announce_deletion,
    run_after_delete,
)
