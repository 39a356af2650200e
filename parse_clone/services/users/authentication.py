"""Who is calling? Keys, addresses and session tokens become an `Auth`, roles already resolved.

A session that is in the cache costs no storage call; one that is not costs a call for the session, one for
its user and those for the roles.
"""

from __future__ import annotations

import hmac
from datetime import timedelta
from functools import lru_cache

from parse_clone.core.context import NOBODY, Auth, Credentials, Privilege
from parse_clone.core.json_types import JsonObject
from parse_clone.core.networks import Networks
from parse_clone.core.operations import Set
from parse_clone.core.query import Compare, all_of, object_id_is
from parse_clone.core.values import date_value, encode_date, moment_of
from parse_clone.errors import ErrorCode, ParseError, Unauthorized
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.users.roles import load_role_names
from parse_clone.services.users.sessions import ONE, expiry, find_session, session_class, user_id_of
from parse_clone.settings import Settings

# --- Keys ------------------------------------------------------------------------------------------------


async def authenticate(toolbox: Toolbox, credentials: Credentials, *, resolve_session: bool = True) -> Auth:
    """Decide who is calling. Raises `Unauthorized`, or 209 for a session token that is not good.

    With `resolve_session=False` the token is kept, not looked up: for the endpoints that do so themselves.
    """
    if not is_same(credentials.application_id, toolbox.settings.app_id):
        raise Unauthorized
    privilege = privilege_of(toolbox.settings, credentials)
    token = credentials.session_token or None
    if privilege is not Privilege.CLIENT:
        return Auth(privilege=privilege, session_token=token)
    check_client_key(toolbox.settings, credentials)
    if token is None:
        return NOBODY
    return await authenticate_session(toolbox, token) if resolve_session else Auth(session_token=token)


def privilege_of(settings: Settings, credentials: Credentials) -> Privilege:
    """What the presented keys grant: a wrong one nothing, a right one from a foreign address a refusal."""
    if not (credentials.maintenance_key or credentials.master_key):
        return Privilege.CLIENT
    for presented, key, networks, privilege in (
        (
            credentials.maintenance_key,
            settings.maintenance_key,
            settings.maintenance_key_ips,
            Privilege.MAINTENANCE,
        ),
        (credentials.master_key, settings.master_key, settings.master_key_ips, Privilege.MASTER),
        (
            credentials.master_key,
            settings.read_only_master_key,
            settings.read_only_master_key_ips,
            Privilege.READ_ONLY_MASTER,
        ),
    ):
        if is_same(presented, key):
            if not is_allowed_address(credentials.ip, networks):
                raise Unauthorized
            return privilege
    return Privilege.CLIENT


def check_client_key(settings: Settings, credentials: Credentials) -> None:
    """Where client keys are configured, one of them must be presented."""
    keys, presented = settings.client_keys, credentials.client_keys
    for name, key in keys.items():
        if is_same(presented.get(name), key):
            return
    if keys:
        raise Unauthorized


def is_same(presented: str | None, key: str | None) -> bool:
    """Compare a secret in constant time; an absent or empty one equals nothing."""
    if not presented or not key:
        return False
    return hmac.compare_digest(presented.encode(errors="surrogatepass"), key.encode())


def is_allowed_address(ip: str, allowed: tuple[str, ...]) -> bool:
    """Does the address lie in one of the networks?"""
    return ip in _networks(allowed)


@lru_cache(maxsize=16)
def _networks(allowed: tuple[str, ...]) -> Networks:
    return Networks(allowed)


# --- Sessions --------------------------------------------------------------------------------------------


async def authenticate_session(toolbox: Toolbox, token: str) -> Auth:
    """Find the user of a session token (209 if there is none) and his roles."""
    session, user = await load_session(toolbox, token)
    check_not_expired(toolbox, session)
    if toolbox.settings.extend_session_on_use:
        await extend_session(toolbox, session, user)
    return Auth(user=user, session_token=token, roles=await load_role_names(toolbox, str(user["objectId"])))


async def load_session(toolbox: Toolbox, token: str) -> tuple[JsonObject, JsonObject]:
    """The session of a token and its user, from the cache if possible."""
    drops = toolbox.caches.sessions.drops
    known = toolbox.caches.sessions.get(token)
    if known is not None:
        return known
    session = await find_session(toolbox, token)
    user = None if session is None else await find_session_user(toolbox, session)
    if session is None or user is None:
        raise invalid_session_token()
    toolbox.caches.sessions.put(token, (session, user), drops, group=str(user["objectId"]))
    return session, user


async def find_session_user(toolbox: Toolbox, session: JsonObject) -> JsonObject | None:
    """Load the user of a session, without his secrets."""
    user_id, schema = user_id_of(session), await toolbox.catalog.get("_User")
    if user_id is None or schema is None:
        return None
    if user_id.startswith("role:"):  # would pass for a role wherever principals are compared
        raise ParseError(ErrorCode.INTERNAL_SERVER_ERROR, "Invalid object ID.")
    found = await toolbox.storage.find(schema, object_id_is(user_id), ONE)
    return without_secrets(found[0]) if found else None


def without_secrets(user: JsonObject) -> JsonObject:
    """A stored user without internal members: hashes, tokens, counters."""
    return {key: value for key, value in user.items() if not key.startswith("_") and key != "password"}


def check_not_expired(toolbox: Toolbox, session: JsonObject) -> None:
    """Refuse a session whose time is over."""
    expires = session.get("expiresAt")
    iso = expires.get("iso") if isinstance(expires, dict) else None
    if isinstance(iso, str) and iso < encode_date(toolbox.clock.now()):
        raise ParseError(ErrorCode.INVALID_SESSION_TOKEN, "Session token is expired.")


def invalid_session_token() -> ParseError:
    """Build the refusal of a token that belongs to no session, or to a user who is gone."""
    return ParseError(ErrorCode.INVALID_SESSION_TOKEN, "Invalid session token")


async def extend_session(toolbox: Toolbox, session: JsonObject, user: JsonObject) -> None:
    """Prolong a session that is in its second half; of several requests one does it."""
    moment = toolbox.clock.now()
    half = moment - timedelta(seconds=toolbox.settings.session_length / 2)
    if str(session["updatedAt"]) > encode_date(half) or moment_of(session.get("expiresAt")) is None:
        return
    extended = await toolbox.storage.update(
        await session_class(toolbox),
        all_of(object_id_is(str(session["objectId"])), Compare("updatedAt", "<=", date_value(half))),
        {"expiresAt": Set(date_value(expiry(toolbox, moment))), "updatedAt": Set(encode_date(moment))},
    )
    if extended is not None:
        user_id = str(user["objectId"])
        toolbox.caches.sessions.put(str(session["sessionToken"]), (extended, user), group=user_id)
