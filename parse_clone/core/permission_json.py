"""Class-level permissions as the schema API takes and shows them: checked and completed, not interpreted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from parse_clone.core.acl import PUBLIC_ACL
from parse_clone.core.class_permissions import CLASS_OPERATIONS
from parse_clone.core.javascript import text_of
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.names import RESERVED_FIELDS
from parse_clone.core.schema import ClassSchema, Field
from parse_clone.errors import ErrorCode, ParseError

_USER_FIELDS = ("readUserFields", "writeUserFields")

_is_generated_id = re.compile(r"[A-Za-z0-9]+").fullmatch
_is_custom_id = re.compile(r".+").fullmatch


def open_permissions() -> JsonObject:
    """What the schema API shows for a class that was made without permissions."""
    return {
        **{operation: {"*": True} for operation in CLASS_OPERATIONS},
        "protectedFields": {"*": []},
        "ACL": {
            principal: dict(rights) for principal, rights in PUBLIC_ACL.items() if isinstance(rights, dict)
        },
    }


def complete_permissions(permissions: JsonObject) -> JsonObject:
    """Complete given permissions: operations left out are closed, and no field is protected."""
    return {**{operation: {} for operation in CLASS_OPERATIONS}, "protectedFields": {}, **permissions}


def check_permissions(
    permissions: JsonObject, schema: ClassSchema, *, allow_custom_object_id: bool = False
) -> None:
    """Refuse malformed permissions, and such that name fields which the class does not have (107)."""
    is_user_id = _is_custom_id if allow_custom_object_id else _is_generated_id
    for key, value in permissions.items():
        if key in _USER_FIELDS:
            _check_user_fields(key, value, schema.fields)
        elif key == "protectedFields":
            for group, names in _entries(key, value):
                _check_group(group, is_user_id)
                _check_protected(group, names, schema.fields)
        elif key == "ACL":
            for principal, rights in _entries(key, value):
                _check_entity(principal, is_user_id)
                _check_acl_entry(rights)
        elif key in CLASS_OPERATIONS:
            for entity, granted in _entries(key, value):
                _check_entity(entity, is_user_id)
                _check_grant(key, entity, granted, schema.fields)
        else:
            raise _refused(f"{key} is not a valid operation for class level permissions")


def _entries(key: str, value: Json) -> list[tuple[str, Json]]:
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, list):
        # Parse quirk: an array passes as an object with numbers for keys.
        return [(str(position), item) for position, item in enumerate(value)]
    raise _invalid_value(value, f"{key} - must be an object")


def _check_user_fields(key: str, value: Json, fields: Mapping[str, Field]) -> None:
    if not isinstance(value, list):
        raise _invalid_value(value, f"{key} - must be an array")
    for name in value:
        _check_user_field(name, fields, key)


def _check_user_field(name: Json, fields: Mapping[str, Field], place: str) -> None:
    found = fields.get(name) if isinstance(name, str) else None
    if found is None or not (found.type.name == "Array" or str(found.type) == "Pointer<_User>"):
        raise _refused(f"'{text_of(name)}' is not a valid column for class level pointer permissions {place}")


def _check_entity(entity: str, is_user_id: Callable[[str], object]) -> None:
    known = entity in ("*", "requiresAuthentication", "pointerFields") or entity.startswith("role:")
    if not (known or is_user_id(entity)):
        raise _refused(f"'{entity}' is not a valid key for class level permissions")


def _check_group(group: str, is_user_id: Callable[[str], object]) -> None:
    known = group in ("*", "authenticated") or group.startswith(("role:", "userField:"))
    if not (known or is_user_id(group)):
        raise _refused(f"'{group}' is not a valid key for class level permissions")


def _check_grant(operation: str, entity: str, granted: Json, fields: Mapping[str, Field]) -> None:
    if entity != "pointerFields":
        if granted is not True:
            raise _invalid_value(granted, f"acl {operation}:{entity}")
        return
    if not isinstance(granted, list):
        raise _not_an_array(granted, f"{operation}[{entity}]")
    for name in granted:
        # Parse quirk: the text names the operation's JSON instead of the operation.
        _check_user_field(name, fields, "[object Object]")


def _check_protected(group: str, names: Json, fields: Mapping[str, Field]) -> None:
    if not isinstance(names, list):
        raise _not_an_array(names, f"protectedFields[{group}]")
    for name in names:
        if isinstance(name, str) and name in RESERVED_FIELDS:
            raise _refused(f"Default field '{name}' can not be protected")
        if not (isinstance(name, str) and name in fields):
            raise _refused(f"Field '{text_of(name)}' in protectedFields:{group} does not exist")


def _check_acl_entry(rights: Json) -> None:
    if not isinstance(rights, dict):
        raise _invalid_value(rights, "acl")
    unknown = [right for right in rights if right not in ("read", "write")]
    if unknown:
        raise _refused(f"'{','.join(unknown)}' is not a valid key for class level permissions acl")
    wrong: list[Json] = [granted for granted in rights.values() if not isinstance(granted, bool)]
    if wrong:
        raise _invalid_value(wrong, "acl")


def _invalid_value(value: Json, place: str) -> ParseError:
    return _refused(f"'{text_of(value)}' is not a valid value for class level permissions {place}")


def _not_an_array(value: Json, place: str) -> ParseError:
    return _refused(f"'{text_of(value)}' is not a valid value for {place} - expected an array.")


def _refused(text: str) -> ParseError:
    return ParseError(ErrorCode.INVALID_JSON, text)
