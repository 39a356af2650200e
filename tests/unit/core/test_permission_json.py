from __future__ import annotations

import pytest

from parse_clone.core.class_permissions import CLASS_OPERATIONS
from parse_clone.core.json_types import JsonObject
from parse_clone.core.permission_json import (
    check_permissions,
    complete_permissions,
    open_permissions,
)
from parse_clone.core.schema import ClassSchema, Field, FieldType
from parse_clone.core.system_classes import with_system_fields
from parse_clone.errors import ParseError

SCHEMA = with_system_fields(
    ClassSchema(
        "LabResult",
        {
            "owner": Field(FieldType("Pointer", "_User")),
            "ward": Field(FieldType("Pointer", "Ward")),
            "team": Field(FieldType("Array")),
            "ssn": Field(FieldType("String")),
        },
    )
)


def test_open_permissions_grant_everything_and_protect_nothing() -> None:
    shown = open_permissions()
    assert all(shown[operation] == {"*": True} for operation in CLASS_OPERATIONS)
    assert shown["protectedFields"] == {"*": []}
    assert shown["ACL"] == {"*": {"read": True, "write": True}}
    check_permissions(shown, SCHEMA)


def test_given_permissions_close_what_they_leave_out() -> None:
    given: JsonObject = {"find": {"*": True}, "readUserFields": ["owner"]}
    assert complete_permissions(given) == {
        "find": {"*": True},
        "get": {},
        "count": {},
        "create": {},
        "update": {},
        "delete": {},
        "addField": {},
        "protectedFields": {},
        "readUserFields": ["owner"],
    }


@pytest.mark.parametrize(
    "permissions",
    [
        {},
        {"find": {"*": True, "role:Any Name!": True, "requiresAuthentication": True, "aB3": True}},
        {"find": {"authenticated": True}},
        {"find": []},
        {"update": {"pointerFields": ["owner", "team"]}},
        {"readUserFields": ["owner", "team"], "writeUserFields": []},
        {
            "protectedFields": {
                "*": ["ssn"],
                "authenticated": [],
                "role:R": [],
                "userField:ghost": [],
                "u1": [],
            }
        },
        {"ACL": {"currentUser": {"read": True, "write": False}, "*": {}}},
    ],
)
def test_good_permissions_pass(permissions: JsonObject) -> None:
    check_permissions(permissions, SCHEMA)


@pytest.mark.parametrize(
    ("permissions", "text"),
    [
        ({"fnid": {}}, "fnid is not a valid operation for class level permissions"),
        ({"find": None}, "'null' is not a valid value for class level permissions find - must be an object"),
        ({"find": 5}, "'5' is not a valid value for class level permissions find - must be an object"),
        (
            {"protectedFields": True},
            "'true' is not a valid value for class level permissions protectedFields - must be an object",
        ),
        (
            {"readUserFields": 5},
            "'5' is not a valid value for class level permissions readUserFields - must be an array",
        ),
        (
            {"readUserFields": ["ghost"]},
            "'ghost' is not a valid column for class level pointer permissions readUserFields",
        ),
        (
            {"writeUserFields": ["ward"]},
            "'ward' is not a valid column for class level pointer permissions writeUserFields",
        ),
        (
            {"writeUserFields": [None]},
            "'null' is not a valid column for class level pointer permissions writeUserFields",
        ),
        ({"find": {"bad key": True}}, "'bad key' is not a valid key for class level permissions"),
        ({"find": {"": True}}, "'' is not a valid key for class level permissions"),
        ({"find": {"*": False}}, "'false' is not a valid value for class level permissions acl find:*"),
        ({"find": ["x"]}, "'x' is not a valid value for class level permissions acl find:0"),
        (
            {"find": {"pointerFields": "x"}},
            "'x' is not a valid value for find[pointerFields] - expected an array.",
        ),
        (
            {"find": {"pointerFields": ["ghost"]}},
            "'ghost' is not a valid column for class level pointer permissions [object Object]",
        ),
        (
            {"protectedFields": {"bad key": []}},
            "'bad key' is not a valid key for class level permissions",
        ),
        (
            {"protectedFields": {"*": "x"}},
            "'x' is not a valid value for protectedFields[*] - expected an array.",
        ),
        ({"protectedFields": {"*": ["createdAt"]}}, "Default field 'createdAt' can not be protected"),
        ({"protectedFields": {"*": ["ghost"]}}, "Field 'ghost' in protectedFields:* does not exist"),
        ({"protectedFields": {"*": [{}]}}, "Field '[object Object]' in protectedFields:* does not exist"),
        ({"ACL": {"bad key": {}}}, "'bad key' is not a valid key for class level permissions"),
        ({"ACL": {"*": 5}}, "'5' is not a valid value for class level permissions acl"),
        ({"ACL": {"*": {"x": True, "y": 1}}}, "'x,y' is not a valid key for class level permissions acl"),
        (
            {"ACL": {"*": {"read": 1, "write": None}}},
            "'1,' is not a valid value for class level permissions acl",
        ),
    ],
)
def test_malformed_permissions_are_refused(permissions: JsonObject, text: str) -> None:
    with pytest.raises(ParseError) as caught:
        check_permissions(permissions, SCHEMA)
    assert (caught.value.code, caught.value.message) == (107, text)


def test_custom_ids_may_have_any_characters() -> None:
    permissions: JsonObject = {"find": {"ada@example.org": True}, "protectedFields": {"ada@example.org": []}}
    check_permissions(permissions, SCHEMA, allow_custom_object_id=True)
    with pytest.raises(ParseError):
        check_permissions(permissions, SCHEMA)
