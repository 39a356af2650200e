from __future__ import annotations

import pytest

from parse_clone.core.acl import default_user_acl, grants, normalize_acl, with_own_access
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.errors import ParseError

PUBLIC = frozenset({"*"})
DOCTOR = frozenset({"*", "u1", "role:Doctor"})


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (None, None),
        ({}, {}),
        ({"*": {"read": True}}, {"*": {"read": True}}),
        ({"*": {"read": True, "write": False}}, {"*": {"read": True}}),
        ({"u1": {"write": "yes", "read": 0}}, {"u1": {"write": True}}),
        ({"u1": {"write": {}, "read": ""}}, {"u1": {"write": True}}),
        ({"u1": {"read": False}}, {}),
        ({"u1": {}}, {}),
        ({"u1": True}, {}),
        ({"u1": {"read": True, "delete": True}}, {"u1": {"read": True}}),
        (5, {}),
        ([], {}),
    ],
)
def test_only_granted_rights_are_stored(given: Json, stored: JsonObject | None) -> None:
    assert normalize_acl(given) == stored


def test_an_unresolved_user_is_refused() -> None:
    with pytest.raises(ParseError) as caught:
        normalize_acl({"*unresolved": {"read": True}})
    assert (caught.value.code, caught.value.message) == (123, "Invalid ACL.")


@pytest.mark.parametrize(
    ("obj", "principals", "readable", "writable"),
    [
        ({}, PUBLIC, True, True),
        ({"ACL": {}}, DOCTOR, False, False),
        ({"ACL": {"*": {"read": True}}}, PUBLIC, True, False),
        ({"ACL": {"role:Doctor": {"write": True}}}, DOCTOR, False, True),
        ({"ACL": {"role:Doctor": {"write": True}}}, PUBLIC, False, False),
        ({"ACL": {"u2": {"read": True}, "u1": {"read": True, "write": True}}}, DOCTOR, True, True),
        ({"ACL": {"u1": None}}, DOCTOR, False, False),
    ],
)
def test_rights_are_granted_by_name(
    obj: JsonObject, principals: frozenset[str], readable: bool, writable: bool
) -> None:
    assert grants(obj.get("ACL"), principals, "read") is readable
    assert grants(obj.get("ACL"), principals, "write") is writable


def test_users_keep_their_own_access() -> None:
    both: JsonObject = {"read": True, "write": True}
    assert default_user_acl("u1") == {"u1": both}
    assert default_user_acl("u1", public_read=True) == {"*": {"read": True}, "u1": both}
    assert with_own_access({"u1": {"read": True}}, "u1") == {"u1": both}
