from __future__ import annotations

import pytest

from parse_clone.core.json_types import Json
from parse_clone.core.operations import (
    Add,
    AddUnique,
    ChangeRelation,
    Delete,
    Increment,
    Operation,
    Remove,
    Set,
    SetOnInsert,
)
from parse_clone.core.schema import ClassSchema, Field, FieldType, apply_defaults, check_types, infer_type
from parse_clone.core.system_classes import new_schema, system_schema, with_system_fields
from parse_clone.core.values import file_value, geo_point, pointer, relation
from parse_clone.errors import ParseError

LAB = with_system_fields(
    ClassSchema(
        "LabResult",
        {
            "code": Field(FieldType("String"), {"required": True}),
            "value": Field(FieldType("Number"), {"defaultValue": 0}),
            "unit": Field(FieldType("String"), {"required": True, "defaultValue": "mg"}),
            "tags": Field(FieldType("Array")),
            "meta": Field(FieldType("Object")),
            "patient": Field(FieldType("Pointer", "Patient")),
            "reviewers": Field(FieldType("Relation", "_User")),
            "scan": Field(FieldType("File")),
        },
    )
)
PLACE = geo_point(1, 2)


def test_a_schema_knows_its_fields() -> None:
    assert LAB.type_of("patient") == FieldType("Pointer", "Patient")
    assert LAB.type_of("ghost") is None
    assert str(FieldType("Pointer", "Patient")) == "Pointer<Patient>"
    assert str(FieldType("Date")) == "Date"
    assert LAB.relations == {"reviewers": "_User"}
    assert LAB.file_fields == ("scan",)
    assert set(LAB.constrained) == {"code", "value", "unit"}


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "None"),
        ("x", "String"),
        (1, "Number"),
        (1.5, "Number"),
        (True, "Boolean"),
        ([], "Array"),
        ({}, "Object"),
        ({"__type": ""}, "Object"),
        ({"__type": "Date", "iso": "2026-01-05T10:00:00.000Z"}, "Date"),
        (PLACE, "GeoPoint"),
        (file_value("a"), "File"),
        (pointer("Ward", "w"), "Pointer<Ward>"),
        (relation("Ward"), "Relation<Ward>"),
    ],
)
def test_types_are_inferred(value: Json, name: str) -> None:
    assert str(infer_type(value)) == name


@pytest.mark.parametrize(
    "value", [{"__type": "Object"}, {"__type": 5}, {"__type": "Pointer"}, {"__type": ["Date"]}]
)
def test_unknown_types_are_refused(value: dict[str, Json]) -> None:
    with pytest.raises(ParseError) as caught:
        infer_type(value)
    assert (caught.value.code, caught.value.message) == (111, f"This is not a valid {value['__type']}")


@pytest.mark.parametrize(
    "operations",
    [
        {},
        {"code": Set("HB"), "value": Increment(1), "tags": Add((1,)), "meta": Set({})},
        {
            "tags": AddUnique(()),
            "reviewers": ChangeRelation("_User"),
            "patient": Set(pointer("Patient", "p")),
        },
        {"tags": Remove(()), "code": Delete(), "value": Set(None)},
        {"value": SetOnInsert(1)},
        {"meta.a.b": Set("x"), "tags.0": Set("x"), "meta.gone": Delete()},
        {"ACL": Set({}), "createdAt": Set({"__type": "Date", "iso": "2026-01-05T10:00:00.000Z"})},
        {"ghost": Delete(), "ghost2": Set(None), "ghost3.x": Set(None)},
    ],
)
def test_what_fits_the_schema_adds_no_field(operations: dict[str, Operation]) -> None:
    assert check_types(LAB, operations) == {}


@pytest.mark.parametrize(
    ("path", "operation", "root", "name"),
    [
        ("new", Set("x"), "new", "String"),
        ("new", Increment(1), "new", "Number"),
        ("new", AddUnique(()), "new", "Array"),
        ("new", ChangeRelation("Nurse"), "new", "Relation<Nurse>"),
        ("new", SetOnInsert(True), "new", "Boolean"),
        ("new.a", Increment(1), "new", "Object"),
        ("new.0", Set("x"), "new", "Array"),
        ("new.0a", Set("x"), "new", "Object"),
        ("new", Set(PLACE), "new", "GeoPoint"),
    ],
)
def test_new_fields_are_found(path: str, operation: Operation, root: str, name: str) -> None:
    assert {key: str(field.type) for key, field in check_types(LAB, {path: operation}).items()} == {
        root: name
    }


def test_two_paths_into_one_new_field_must_agree() -> None:
    assert set(check_types(LAB, {"new.a": Set(1), "new.b": Set("x")})) == {"new"}
    with pytest.raises(ParseError) as caught:
        check_types(LAB, {"new.a": Set(1), "new.0": Set("x")})
    assert caught.value.message == "schema mismatch for LabResult.new; expected Object but got Array"


@pytest.mark.parametrize(
    ("path", "operation", "text"),
    [
        ("code", Set(1), "schema mismatch for LabResult.code; expected String but got Number"),
        ("value", Set(True), "schema mismatch for LabResult.value; expected Number but got Boolean"),
        ("value", Add(()), "schema mismatch for LabResult.value; expected Number but got Array"),
        ("tags", Increment(1), "schema mismatch for LabResult.tags; expected Array but got Number"),
        ("meta.0", Set(1), "schema mismatch for LabResult.meta; expected Object but got Array"),
        ("code.x", Set(1), "schema mismatch for LabResult.code; expected String but got Object"),
        (
            "patient",
            Set(pointer("Ward", "w")),
            "schema mismatch for LabResult.patient; expected Pointer<Patient> but got Pointer<Ward>",
        ),
        (
            "reviewers",
            ChangeRelation("Nurse"),
            "schema mismatch for LabResult.reviewers; expected Relation<_User> but got Relation<Nurse>",
        ),
        ("createdAt", Set("2026"), "schema mismatch for LabResult.createdAt; expected Date but got String"),
        ("ACL.x", Set(1), "schema mismatch for LabResult.ACL; expected ACL but got Object"),
        ("ACL.x", Set(None), "schema mismatch for LabResult.ACL; expected ACL but got Object"),
        ("code.x", Set(None), "schema mismatch for LabResult.code; expected String but got Object"),
    ],
)
def test_values_of_another_type_are_refused(path: str, operation: Operation, text: str) -> None:
    with pytest.raises(ParseError) as caught:
        check_types(LAB, {path: operation})
    assert (caught.value.code, caught.value.message) == (111, text)


@pytest.mark.parametrize(
    ("path", "operation", "code", "text"),
    [
        ("1a", Set(1), 105, "Invalid field name: 1a."),
        ("1a", Delete(), 105, "Invalid field name: 1a."),
        ("a b.c", Set(1), 105, "Invalid field name: a b."),
        ("_hidden", Set(1), 105, "Invalid field name: _hidden."),
        ("className", Set("x"), 105, "Invalid field name: className."),
        ("meta..x", Set(1), 105, "Invalid field name: meta..x."),
        ("nurses.x", ChangeRelation("Nurse"), 105, "Invalid field name: nurses.x."),
        ("new", Set(pointer("1x", "w")), 103, None),
    ],
)
def test_bad_names_are_refused(path: str, operation: Operation, code: int, text: str | None) -> None:
    with pytest.raises(ParseError) as caught:
        check_types(LAB, {path: operation})
    assert caught.value.code == code
    assert text in (None, caught.value.message)


def test_login_data_is_not_changed_in_part() -> None:
    with pytest.raises(ParseError) as caught:
        check_types(system_schema("_User"), {"authData.custom.id": Set("x")})
    assert (caught.value.code, caught.value.message) == (
        105,
        "Invalid field name for update: authData.custom.id",
    )


def test_internal_members_pass_where_the_caller_may_write_them() -> None:
    operations: dict[str, Operation] = {"_failed_login_count": Set(3)}
    assert check_types(system_schema("_User"), operations, internal={"_failed_login_count"}) == {}
    with pytest.raises(ParseError):
        check_types(system_schema("_User"), operations)


def test_keys_of_push_counters_are_no_array_indexes() -> None:
    status = system_schema("_PushStatus")
    assert check_types(status, {"sentPerUTCOffset.120": Increment(1)}) == {}


def test_a_class_has_one_place() -> None:
    with pytest.raises(ParseError) as caught:
        check_types(LAB, {"a": Set(PLACE), "b": Set(PLACE)})
    assert (caught.value.code, caught.value.message) == (
        111,
        "there can only be one geopoint field in a class",
    )
    placed = ClassSchema("Ward", {**new_schema("Ward").fields, "site": Field(FieldType("GeoPoint"))})
    assert check_types(placed, {"site": Set(PLACE)}) == {}
    with pytest.raises(ParseError) as caught:
        check_types(placed, {"b": Set(PLACE)})
    assert (caught.value.code, caught.value.message) == (
        111,
        "MongoDB only supports one GeoPoint field in a class.",
    )


@pytest.mark.parametrize(
    ("operations", "creating", "filled"),
    [
        ({"code": Set("HB")}, True, {"value": Set(0), "unit": Set("mg")}),
        (
            {"code": Set("HB"), "value": Delete(), "unit": Delete()},
            True,
            {"value": Set(0), "unit": Set("mg")},
        ),
        ({"code": Increment(1), "value": Set(None), "unit": Set("g")}, True, {}),
        ({"code": SetOnInsert("HB"), "value": Set(1), "unit": Set("g")}, True, {}),
        ({}, False, {}),
        ({"value": Delete()}, False, {}),
        ({"code": Set("HB")}, False, {}),
    ],
)
def test_defaults_fill_what_is_absent(
    operations: dict[str, Operation], creating: bool, filled: dict[str, Operation]
) -> None:
    result = apply_defaults(LAB, operations, creating=creating)
    assert result == {**operations, **filled}
    assert filled or result is operations


@pytest.mark.parametrize(
    ("operations", "creating", "missing"),
    [
        ({}, True, "code"),
        ({"code": Set("")}, True, "code"),
        ({"code": Set(None)}, True, "code"),
        ({"code": Delete()}, True, "code"),
        ({"code": SetOnInsert("")}, True, "code"),
        ({"code": Set("HB"), "unit": Set("")}, True, "unit"),
        ({"code": Set("HB"), "unit": Set(None)}, True, "unit"),
        ({"code": Set("")}, False, "code"),
        ({"unit": Delete()}, False, "unit"),
    ],
)
def test_required_fields_need_a_value(operations: dict[str, Operation], creating: bool, missing: str) -> None:
    with pytest.raises(ParseError) as caught:
        apply_defaults(LAB, operations, creating=creating)
    assert (caught.value.code, caught.value.message) == (142, f"{missing} is required")
