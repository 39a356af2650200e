"""`/challenge`: what a provider asks of a user before he can prove himself (WebAuthn, codes by mail)."""

from __future__ import annotations

from dataclasses import replace

from parse_clone.core.auth_data import ProviderRequest
from parse_clone.core.context import RequestContext
from parse_clone.core.javascript import is_truthy
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.operations import Set
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.users.external_login import (
    AuthData,
    ask,
    decode_auth_data,
    find_owners,
    provider_failed,
    provider_request,
)
from parse_clone.services.users.login import check_credentials


async def challenge(toolbox: Toolbox, context: RequestContext, parameters: JsonObject) -> JsonObject:
    """Collect the challenges of the providers named; the user may identify himself in one way at most."""
    user = await identify_by_password(toolbox, context, parameters)
    challenges = decode_challenges(parameters)
    auth_data: AuthData = {}
    if parameters.get("authData"):
        auth_data = decode_identification(parameters["authData"], has_user=user is not None)
        user = await identify_by_provider(toolbox, context, auth_data)
    answers: JsonObject = {}
    for name in sorted(challenges):
        answer = await challenge_of(toolbox, context, name, challenges[name], auth_data.get(name), user)
        if answer is not None:
            answers[name] = answer
    return {"challengeData": answers}


async def identify_by_password(
    toolbox: Toolbox, context: RequestContext, parameters: JsonObject
) -> JsonObject | None:
    """The user whose name and password are given, if any are."""
    if not (parameters.get("username") or parameters.get("email")):
        return None
    if not parameters.get("password"):
        raise refused("You provided username or email, you need to also provide password.")
    return await check_credentials(toolbox, context, parameters)


def decode_challenges(parameters: JsonObject) -> dict[str, JsonObject]:
    """What the client hands to each provider."""
    given = parameters.get("challengeData")
    if not is_truthy(given):
        raise refused("Nothing to challenge.")
    if not isinstance(given, dict):
        raise refused("challengeData should be an object.")
    return {name: data if isinstance(data, dict) else {} for name, data in given.items()}


def decode_identification(given: Json, *, has_user: bool) -> AuthData:
    """The one identity that tells who is asking."""
    if not isinstance(given, dict):
        raise refused("authData should be an object.")
    if has_user:
        raise refused("You cannot provide username/email and authData, only use one identification method.")
    for name, data in given.items():
        if not isinstance(data, dict):
            raise refused(f"authData.{name} should be an object.")
    if sum(1 for data in given.values() if isinstance(data, dict) and data.get("id")) > 1:
        raise refused("You cannot provide more than one authData provider with an id.")
    return decode_auth_data(Set(given))


async def identify_by_provider(toolbox: Toolbox, context: RequestContext, auth_data: AuthData) -> JsonObject:
    """The owner of an identity, who has to prove it: ids are no secrets."""
    owners = await find_owners(toolbox, auth_data)
    name, data = next(((n, data) for n, data in auth_data.items() if data and data.get("id")), ("", None))
    if len(owners) != 1 or data is None:
        raise user_not_found()
    try:
        await ask(toolbox, name, data, challenge_request(context, name, owners[0]))
    except ParseError as error:
        raise user_not_found() from error
    return owners[0]


async def challenge_of(
    toolbox: Toolbox,
    context: RequestContext,
    name: str,
    challenge_data: JsonObject,
    auth_data: JsonObject | None,
    user: JsonObject | None,
) -> Json:
    """One provider's challenge; None if it has none."""
    provider = toolbox.auth_providers.get(name)
    if provider is None:
        return None
    try:
        return await provider.challenge(challenge_data, auth_data, challenge_request(context, name, user))
    except ParseError:
        raise
    except Exception as error:
        raise provider_failed(error, "Challenge failed. Unknown error.") from error


def challenge_request(context: RequestContext, name: str, user: JsonObject | None) -> ProviderRequest:
    """Tell a provider that this is about a challenge."""
    return replace(provider_request(context, name, user, user), is_challenge=True)


def refused(text: str) -> ParseError:
    """Build the refusal of a request that asks for nothing sensible."""
    return ParseError(ErrorCode.OTHER_CAUSE, text)


def user_not_found() -> ParseError:
    """Build the one answer to every identity that proves nothing."""
    return ParseError(ErrorCode.OBJECT_NOT_FOUND, "User not found.")
