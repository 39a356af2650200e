"""Sessions: opening and revoking them, and what a session may say about itself.

A session token is the key to an account: it is looked up whole, never as part of a query that a client wrote.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from parse_clone.core.json_types import JsonObject
from parse_clone.core.query import Condition, In, NotIn, Page, all_of
from parse_clone.core.schema import ClassSchema
from parse_clone.core.system_classes import new_schema
from parse_clone.core.values import date_value, encode_date, pointer
from parse_clone.services.changes import ObjectChange
from parse_clone.services.toolbox import Toolbox

ONE = Page(limit=1)


async def find_session(toolbox: Toolbox, token: str) -> JsonObject | None:
    """Load the session of a token, expired or not."""
    found = await toolbox.storage.find(await known_session_class(toolbox), has_token(token), ONE)
    return found[0] if found else None


def has_token(token: str) -> Condition:
    """Name the session of a token."""
    return In("sessionToken", (token,))


def belongs_to(user_id: str) -> Condition:
    """Name all sessions of a user."""
    return In("user", (pointer("_User", user_id),))


def user_id_of(session: JsonObject) -> str | None:
    """The id of the user whose session this is."""
    user = session.get("user")
    object_id = user.get("objectId") if isinstance(user, dict) else None
    return object_id if isinstance(object_id, str) else None


async def open_session(
    toolbox: Toolbox,
    user_id: str,
    *,
    created_with: JsonObject | None,
    installation_id: str | None = None,
    is_first: bool = False,
) -> JsonObject:
    """Create a session and return it whole; it takes the place of the user's session on that installation."""
    session = new_session(toolbox, user_id, created_with, installation_id)
    await toolbox.storage.insert(await session_class(toolbox), [session])
    if toolbox.changes.wants("_Session"):  # while the user's older session may still hear of it
        await toolbox.changes.announce(ObjectChange("_Session", None, session))
    if installation_id is not None and not is_first:
        older = NotIn("objectId", (session["objectId"],))
        await close_sessions(toolbox, user_id, In("installationId", (installation_id,)), older)
    return session


def new_session(
    toolbox: Toolbox, user_id: str, created_with: JsonObject | None, installation_id: str | None
) -> JsonObject:
    """The row of a new session."""
    moment = toolbox.clock.now()
    now = encode_date(moment)
    session: JsonObject = {
        "objectId": toolbox.ids.object_id(toolbox.settings.object_id_size),
        "createdAt": now,
        "updatedAt": now,
        "sessionToken": toolbox.ids.session_token(),
        "user": pointer("_User", user_id),
    }
    if created_with is not None:
        session["createdWith"] = created_with
    if installation_id is not None:
        session["installationId"] = installation_id
    if toolbox.settings.expire_inactive_sessions:
        session["expiresAt"] = date_value(expiry(toolbox, moment))
    return session


def expiry(toolbox: Toolbox, moment: datetime) -> datetime:
    """When a session that is used at this moment ends."""
    return moment + timedelta(seconds=toolbox.settings.session_length)


async def close_sessions(toolbox: Toolbox, user_id: str, *conditions: Condition) -> None:
    """Revoke a user's sessions, at once and everywhere."""
    schema = await known_session_class(toolbox)
    if await toolbox.storage.delete(schema, all_of(belongs_to(user_id), *conditions)):
        await toolbox.caches.invalidate_user(user_id)


async def invalidate_session(toolbox: Toolbox, session: JsonObject) -> None:
    """Make every process forget a session that is gone, or changed."""
    user_id = user_id_of(session)
    if user_id is not None:
        await toolbox.caches.invalidate_user(user_id)


async def known_session_class(toolbox: Toolbox) -> ClassSchema:
    """The class of sessions, to look for some: another process may have opened the first one just now."""
    return await toolbox.catalog.get("_Session") or new_schema("_Session")


async def session_class(toolbox: Toolbox) -> ClassSchema:
    """The class of sessions; it comes into being with the first one."""
    schema = await toolbox.catalog.get("_Session")
    return schema or await toolbox.catalog.create_class(toolbox.storage, new_schema("_Session"))
