from __future__ import annotations

import pytest

from parse_clone.core.names import (
    SYSTEM_CLASSES,
    JoinTable,
    check_class_name,
    check_field_path,
    is_array_index,
    is_class_name,
    is_field_name,
    join_table,
    root_of,
)
from parse_clone.core.system_classes import SYSTEM_FIELDS
from parse_clone.errors import ErrorCode, ParseError


@pytest.mark.parametrize("name", ["Patient", "p", "Lab_Result2", "_User", "_Hooks", "_Join:staff:Ward"])
def test_class_names_that_are_legal(name: str) -> None:
    assert is_class_name(name)
    check_class_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "1x",
        "_Patient",
        "a b",
        "a.b",
        "Wärd",
        "a\n",
        "length",
        "className",
        "_Join:staff",
        "_Join:s:W:x",
        "__proto__",
    ],
)
def test_class_names_that_are_not(name: str) -> None:
    assert not is_class_name(name)
    with pytest.raises(ParseError) as caught:
        check_class_name(name)
    assert caught.value.code == ErrorCode.INVALID_CLASS_NAME
    assert caught.value.message == (
        f"Invalid classname: {name}, classnames can only have alphanumeric characters and _, "
        "and must start with an alpha character "
    )


def test_the_names_of_system_classes_are_those_with_fields() -> None:
    assert SYSTEM_FIELDS.keys() == SYSTEM_CLASSES


@pytest.mark.parametrize(
    ("name", "class_name", "legal"),
    [
        ("code", "LabResult", True),
        ("className", "LabResult", False),
        ("className", "_Hooks", True),
        ("length", "LabResult", False),
        ("_hidden", "LabResult", False),
        ("1a", "LabResult", False),
        ("", "LabResult", False),
        ("a b", "LabResult", False),
    ],
)
def test_field_names(name: str, class_name: str, legal: bool) -> None:
    assert is_field_name(name, class_name) is legal


@pytest.mark.parametrize("path", ["code", "vitals.pulse", "tags.0", "a.b.c", "vitals._x"])
def test_field_paths_that_are_legal(path: str) -> None:
    check_field_path(path)


@pytest.mark.parametrize(
    ("path", "named"),
    [("1a", "1a"), ("a b.c", "a b"), ("_x.y", "_x"), ("a..b", "a..b"), ("a.", "a."), ("a.$b", "a.$b")],
)
def test_field_paths_that_are_not_name_what_is_wrong(path: str, named: str) -> None:
    with pytest.raises(ParseError) as caught:
        check_field_path(path)
    assert (caught.value.code, caught.value.message) == (105, f"Invalid field name: {named}.")


def test_join_tables_are_named_by_field_and_class() -> None:
    table = JoinTable("Ward", "staff")
    assert table.name == "_Join:staff:Ward"
    assert join_table(table.name) == table
    assert join_table("Ward") is None


def test_paths_have_roots_and_indexes() -> None:
    assert root_of("vitals.pulse.max") == "vitals"
    assert root_of("vitals") == "vitals"
    assert [is_array_index(s) for s in ("0", "12", "", "a", "-1", "²")] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
