from __future__ import annotations

import pytest

from parse_clone.core.names import SYSTEM_CLASSES, JoinTable
from parse_clone.core.operations import ChangeRelation, Delete, Increment, Operation, Set
from parse_clone.core.schema import ClassSchema, Field, FieldType
from parse_clone.core.system_classes import (
    CLIENT_CREATABLE,
    DEFAULT_FIELDS,
    DEFAULT_INDEXES,
    INITIAL_CLASSES,
    REQUIRED_COLUMNS,
    SYSTEM_FIELDS,
    VOLATILE_CLASSES,
    WRITABLE_INTERNAL_FIELDS,
    auth_data_index,
    check_required_columns,
    is_internal_query_key,
    join_schema,
    new_schema,
    system_schema,
    with_system_fields,
)
from parse_clone.errors import ParseError


def test_tables_name_only_system_classes_and_their_fields() -> None:
    assert VOLATILE_CLASSES <= SYSTEM_CLASSES
    assert CLIENT_CREATABLE <= SYSTEM_CLASSES
    assert set(INITIAL_CLASSES) <= SYSTEM_CLASSES
    for name, columns in REQUIRED_COLUMNS.items():
        assert set(columns) <= {*SYSTEM_FIELDS[name], *DEFAULT_FIELDS}


@pytest.mark.parametrize("name", sorted(SYSTEM_CLASSES))
def test_system_schemas_are_complete_and_always_the_same(name: str) -> None:
    schema = system_schema(name)
    assert schema is system_schema(name)
    assert with_system_fields(schema) is schema
    assert schema.permissions == ({} if name in VOLATILE_CLASSES else None)


def test_stored_schemas_are_completed_but_keep_their_options() -> None:
    required = Field(FieldType("String"), {"required": True})
    completed = with_system_fields(
        ClassSchema("_User", {"email": required, "objectId": Field(FieldType("Number"))})
    )
    assert completed.fields["email"] is required
    assert completed.type_of("username") == FieldType("String")
    assert completed.type_of("objectId") == FieldType("String")
    assert set(with_system_fields(ClassSchema("Ward", {})).fields) == set(DEFAULT_FIELDS)


def test_new_classes_begin_with_what_they_have_in_any_case() -> None:
    assert new_schema("_Role") is system_schema("_Role")
    assert new_schema("Ward") == ClassSchema("Ward", DEFAULT_FIELDS)
    assert join_schema(JoinTable("Ward", "staff")).type_of("owningId") == FieldType("String")


@pytest.mark.parametrize(
    ("class_name", "operations", "creating", "missing"),
    [
        ("_Role", {}, True, "name"),
        ("_Role", {"name": Set("")}, True, "name"),
        ("_Role", {"name": Delete()}, True, "name"),
        ("_Role", {"name": Set("Doctor")}, True, "ACL"),
        ("_Role", {"name": Set("Doctor"), "ACL": Set({})}, True, None),
        ("_Role", {}, False, None),
        ("_Role", {"name": Set("x"), "users": ChangeRelation("_User")}, False, None),
        ("_Role", {"name": Delete()}, False, "name"),
        ("_Product", {"productIdentifier": Set("p"), "icon": Set({}), "order": Set(0)}, True, "order"),
        ("_Product", {"productIdentifier": Set("p"), "icon": Set({}), "order": Increment(1)}, True, "title"),
        ("Ward", {}, True, None),
    ],
)
def test_required_columns(
    class_name: str, operations: dict[str, Operation], creating: bool, missing: str | None
) -> None:
    if missing is None:
        check_required_columns(class_name, operations, creating=creating)
        return
    with pytest.raises(ParseError) as caught:
        check_required_columns(class_name, operations, creating=creating)
    assert (caught.value.code, caught.value.message) == (111, f"{missing} is required.")


@pytest.mark.parametrize(
    ("name", "queryable", "writable"),
    [
        ("_rperm", False, False),
        ("_hashed_password", False, True),
        ("_perishable_token", True, True),
        ("_tombstone", True, False),
        ("_auth_data_anonymous", False, False),
        ("username", False, False),
    ],
)
def test_internal_members(name: str, queryable: bool, writable: bool) -> None:
    assert is_internal_query_key(name) is queryable
    assert (name in WRITABLE_INTERNAL_FIELDS["_User"]) is writable


def test_indexes_have_names_of_their_own() -> None:
    names = [(index.class_name, index.name) for index in (*DEFAULT_INDEXES, auth_data_index("google"))]
    assert len(names) == len(set(names))
    assert auth_data_index("google").keys == (("authData.google.id", 1),)
