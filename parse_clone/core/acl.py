"""Access control lists of objects: `{"*": {"read": true}, "role:Doctor": {"write": true}}`.

No list at all means public, the empty list means nobody but privileged callers.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Literal

from parse_clone.core.javascript import is_truthy
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.errors import ErrorCode, ParseError

Right = Literal["read", "write"]

PUBLIC_ACL: JsonObject = {"*": {"read": True, "write": True}}


def normalize_acl(value: Json) -> JsonObject | None:
    """Bring an ACL into its stored form: only granted rights. None stays None ("not given").

    Parse quirk: rights count by truthiness, and whatever is no object grants nothing.
    """
    if value is None:
        return None
    acl: JsonObject = {}
    if not isinstance(value, dict):
        return acl
    for principal, entry in value.items():
        if principal == "*unresolved":
            raise ParseError(ErrorCode.INVALID_ACL, "Invalid ACL.")
        if isinstance(entry, dict):
            rights: JsonObject = {}
            for right in ("read", "write"):
                if is_truthy(entry.get(right)):
                    rights[right] = True
            if rights:
                acl[principal] = rights
    return acl


def grants(acl: Json, principals: AbstractSet[str], right: Right) -> bool:
    """Does an object's ACL, absent perhaps, grant one of the principals the right?"""
    if not isinstance(acl, dict):
        return True
    for principal in acl.keys() & principals:
        entry = acl[principal]
        if isinstance(entry, dict) and entry.get(right) is True:
            return True
    return False


def with_own_access(acl: JsonObject, user_id: str) -> JsonObject:
    """A user's ACL with the user's own entry: nobody can lock themselves out."""
    return {**acl, user_id: {"read": True, "write": True}}


def default_user_acl(user_id: str, *, public_read: bool = False) -> JsonObject:
    """The ACL of a user who gave none; `public_read` where `enforcePrivateUsers` is off."""
    return with_own_access({"*": {"read": True}} if public_read else {}, user_id)
