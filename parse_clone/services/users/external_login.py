"""`authData`: identities that login providers vouch for.

An identity belongs to one user: the lookup here is for the answer, the unique index decides. No provider is
believed without asking it, and one that refuses is asked before anything is said about who owns an identity.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from parse_clone.core.auth_data import ProviderOutcome, ProviderRequest
from parse_clone.core.comparison import equality_key
from parse_clone.core.context import RequestContext
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.operations import Delete, FieldOperation, Operation, Set
from parse_clone.core.query import AnyOf, Condition, In, Page
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.ports import AuthProvider
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.users.authentication import without_secrets

AuthData = Mapping[str, JsonObject | None]
"""Provider name to data; None unlinks."""

_is_provider_name = re.compile(r"[A-Za-z][A-Za-z0-9_]*").fullmatch


# --- Decode ----------------------------------------------------------------------------------------------


def decode_auth_data(operation: Operation) -> AuthData:
    """Read `authData`; refuses what no provider could take (252), and an id that is no text (162)."""
    given = operation.value if isinstance(operation, Set) else None
    if not isinstance(given, dict):
        raise unsupported()
    return {name: _decode_provider_data(name, data) for name, data in given.items()}


def _decode_provider_data(name: str, data: Json) -> JsonObject | None:
    if not _is_provider_name(name) or not (data is None or isinstance(data, dict)):
        raise unsupported()
    if data is not None and not isinstance(data.get("id", ""), str | None):
        raise ParseError(ErrorCode.INVALID_VALUE, f"Invalid authData id for provider '{name}'.")
    return data


def unsupported() -> ParseError:
    """Build the refusal of a provider that is unknown, not configured or switched off."""
    return ParseError(ErrorCode.UNSUPPORTED_SERVICE, "This authentication method is unsupported.")


def names_nobody(operation: Operation | None) -> bool:
    """Does this `authData` hold no identity at all? What is malformed may hold one."""
    if isinstance(operation, Delete):
        return True
    given = operation.value if isinstance(operation, Set) else operation
    return given is None or (isinstance(given, dict) and not any(given.values()))


def stored_auth_data(user: JsonObject) -> Mapping[str, JsonObject]:
    """The identities of a stored user."""
    stored = user.get("authData")
    if not isinstance(stored, dict):
        return {}
    return {name: data for name, data in stored.items() if isinstance(data, dict)}


def changed_providers(given: AuthData, stored: Mapping[str, JsonObject]) -> AuthData:
    """What of the given data is not stored like this already."""
    return {
        name: data for name, data in given.items() if data is None or not _is_part(data, stored.get(name))
    }


def _is_part(data: JsonObject, stored: JsonObject | None) -> bool:
    return stored is not None and all(
        key in stored and equality_key(value) == equality_key(stored[key]) for key, value in data.items()
    )


# --- Identities ------------------------------------------------------------------------------------------


def provider_named(toolbox: Toolbox, name: str) -> AuthProvider:
    """The provider of a name (252 if there is none)."""
    provider = toolbox.auth_providers.get(name)
    if provider is None:
        raise unsupported()
    return provider


async def complete(toolbox: Toolbox, auth_data: AuthData) -> AuthData:
    """Let the providers fill in what the lookup needs: a code becomes an id."""
    completed: dict[str, JsonObject | None] = {}
    for name, data in auth_data.items():
        if data is not None:
            data = await provider_named(toolbox, name).before_find(data)
        completed[name] = data
    return completed


async def find_owners(toolbox: Toolbox, auth_data: AuthData) -> list[JsonObject]:
    """Load the users, two at most, who have one of the identities."""
    identities: tuple[Condition, ...] = tuple(
        In(f"authData.{name}.id", (data["id"],))
        for name, data in auth_data.items()
        if data and data.get("id")
    )
    schema = await toolbox.catalog.get("_User")
    if not identities or schema is None:
        return []
    return await toolbox.storage.find(schema, AnyOf(identities), Page(limit=2))


def already_used() -> ParseError:
    """Build the refusal of an identity that belongs to another user."""
    return ParseError(ErrorCode.ACCOUNT_ALREADY_LINKED, "this auth is already used")


# --- Validate --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Proven:
    """What the providers answered: the data to store (None unlinks), and what the client learns of it."""

    data: AuthData = field(default_factory=dict)
    responses: JsonObject = field(default_factory=dict)


async def validate(
    toolbox: Toolbox,
    context: RequestContext,
    auth_data: AuthData,
    user: JsonObject | None,
    becoming: JsonObject,
) -> Proven:
    """Ask the providers one by one, in the order of their names; the first refusal ends it.
    `user` is the stored user whom the data is about, `becoming` what the request makes of him."""
    proven: dict[str, JsonObject | None] = {}
    responses: JsonObject = {}
    for name in sorted(auth_data):
        data = auth_data[name]
        if data is None:
            proven[name] = None
            continue
        request = provider_request(context, name, user, becoming)
        outcome = await ask(toolbox, name, data, request)
        if outcome.response is not None:
            responses[name] = outcome.response
        if not outcome.keep_stored:
            proven[name] = data if outcome.save is None else outcome.save
    return Proven(proven, responses)


async def ask(toolbox: Toolbox, name: str, data: JsonObject, request: ProviderRequest) -> ProviderOutcome:
    """Ask one provider about its data."""
    provider = provider_named(toolbox, name)
    check_policy(provider)
    try:
        return await provider.validate(data, request)
    except ParseError:
        raise
    except Exception as error:
        raise provider_failed(error, "Auth failed. Unknown error.") from error


def check_policy(provider: AuthProvider) -> None:
    """Refuse a provider of which it is not known when it suffices."""
    if provider.policy not in ("default", "solo", "additional"):
        raise ParseError(
            ErrorCode.OTHER_CAUSE,
            'AuthAdapter policy is not configured correctly. The value must be either "solo", "additional", '
            '"default" or undefined (will be handled as "default")',
        )


def provider_request(
    context: RequestContext, name: str, user: JsonObject | None, becoming: JsonObject | None
) -> ProviderRequest:
    """Tell a provider who is asking, and at which stage the user stands with it."""
    auth = context.auth
    is_linked = user is not None and name in stored_auth_data(user)
    is_self = user is not None and (auth.user_id == user["objectId"] or auth.is_master)
    return ProviderRequest(
        stage="setUp" if not is_linked else "update" if is_self else "login",
        ip=context.ip,
        headers=context.headers,
        is_master=auth.is_master,
        user=auth.user,
        original=None if user is None else without_secrets(user),
        object=None if becoming is None else without_secrets(becoming),
    )


def provider_failed(error: Exception, unknown: str) -> ParseError:
    """Build the answer to a provider that broke instead of refusing."""
    return ParseError(ErrorCode.SCRIPT_FAILED, str(error) or unknown)


def check_additional_providers(
    toolbox: Toolbox, given: Collection[str], stored: Mapping[str, JsonObject]
) -> None:
    """Refuse a login (-1) that lacks the additional proof which the user has set up."""
    policies = {
        name: toolbox.auth_providers[name].policy for name in stored if name in toolbox.auth_providers
    }
    if any(policy == "solo" and name in given for name, policy in policies.items()):
        return
    additional = [name for name, policy in policies.items() if policy == "additional"]
    if additional and not any(name in given for name in additional):
        raise ParseError(ErrorCode.OTHER_CAUSE, f"Missing additional authData {','.join(sorted(additional))}")


# --- Store -----------------------------------------------------------------------------------------------


def link_operations(auth_data: AuthData) -> dict[str, FieldOperation]:
    """Store and unlink provider by provider: those that are not mentioned stay."""
    return {f"authData.{name}": Delete() if data is None else Set(data) for name, data in auth_data.items()}


def is_unchanged(auth_data: AuthData, stored: Mapping[str, JsonObject]) -> tuple[Condition, ...]:
    """Name the row only as it was when the providers looked at it: data for one use is used once."""
    return tuple(In(f"authData.{name}", (stored[name],)) for name in auth_data if name in stored)
