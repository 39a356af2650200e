from __future__ import annotations

import pytest

from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.permission_json import complete_permissions, open_permissions
from parse_clone.core.schema import (
    AddFields,
    AddIndexes,
    ClassSchema,
    CreateClass,
    DeleteFields,
    DropIndexes,
    Field,
    FieldType,
    Index,
    SchemaChange,
    SetFieldOptions,
    SetPermissions,
)
from parse_clone.core.schema_json import (
    decode_field,
    encode_schema,
    plan_create,
    plan_schema_update,
    requested_class_name,
)
from parse_clone.core.system_classes import DEFAULT_FIELDS, SYSTEM_FIELDS, system_schema, with_system_fields
from parse_clone.core.values import pointer, relation
from parse_clone.errors import ParseError

STRING, NUMBER, POINT = (Field(FieldType(name)) for name in ("String", "Number", "GeoPoint"))
PATIENT = Field(FieldType("Pointer", "Patient"))
REVIEWERS = Field(FieldType("Relation", "_User"))
LAB = with_system_fields(
    ClassSchema(
        "LabResult",
        {"code": STRING, "value": NUMBER, "patient": PATIENT, "reviewers": REVIEWERS, "site": POINT},
        indexes={"_id_": {"objectId": 1}, "by_code": {"code": 1, "createdAt": -1}},
    )
)
DELETE: Json = {"__op": "Delete"}


def fields(**definitions: Json) -> JsonObject:
    return {"fields": definitions}


def as_fields(**definitions: Field) -> dict[str, Field]:
    return definitions


# --- Encode ---


def test_a_class_is_shown_with_its_fields_permissions_and_indexes() -> None:
    limited = Field(FieldType("String"), {"required": True, "defaultValue": "x"})
    schema = with_system_fields(
        ClassSchema("Ward", {"name": limited, "head": Field(FieldType("Pointer", "_User"))})
    )
    assert encode_schema(schema) == {
        "className": "Ward",
        "fields": {
            "objectId": {"type": "String"},
            "createdAt": {"type": "Date"},
            "updatedAt": {"type": "Date"},
            "ACL": {"type": "ACL"},
            "name": {"type": "String", "required": True, "defaultValue": "x"},
            "head": {"type": "Pointer", "targetClass": "_User"},
        },
        "classLevelPermissions": open_permissions(),
    }
    assert encode_schema(LAB)["indexes"] == {
        "_id_": {"_id": 1},
        "by_code": {"code": 1, "createdAt": -1},
    }
    assert encode_schema(system_schema("_JobStatus"))["classLevelPermissions"] == {}


def test_what_is_shown_can_be_read_again() -> None:
    shown = encode_schema(LAB)["fields"]
    assert isinstance(shown, dict)
    for name, definition in shown.items():
        if name != "ACL":
            assert decode_field(definition) == LAB.fields[name]


# --- Create ---


def test_a_class_is_created_with_what_the_request_names() -> None:
    request: JsonObject = {
        "className": "Ward",
        "fields": {
            "name": {"type": "String", "required": True, "defaultValue": "x"},
            "head": {"type": "Pointer", "targetClass": "_User"},
        },
        "classLevelPermissions": {"find": {"*": True}},
        "indexes": {"by_name": {"name": 1, "_p_head": -1.0}},
    }
    created = Field(FieldType("String"), {"required": True, "defaultValue": "x"})
    assert plan_create(request, "Ward", ()) == [
        CreateClass(
            ClassSchema(
                "Ward",
                {**DEFAULT_FIELDS, "name": created, "head": Field(FieldType("Pointer", "_User"))},
                complete_permissions({"find": {"*": True}}),
            )
        ),
        AddIndexes((Index("Ward", "by_name", (("name", 1), ("head", -1))),)),
    ]


@pytest.mark.parametrize(
    ("body", "path_name", "name"),
    [({}, "Ward", "Ward"), ({"className": "Ward"}, None, "Ward"), ({"className": "Ward"}, "Ward", "Ward")],
)
def test_path_or_body_name_the_class(body: JsonObject, path_name: str | None, name: str) -> None:
    assert requested_class_name(body, path_name) == name


@pytest.mark.parametrize(
    ("body", "path_name", "code", "text"),
    [
        ({"className": "Other"}, "Ward", 103, "Class name mismatch between Other and Ward."),
        ({}, None, 135, "POST /schemas needs a class name."),
        ({"className": ""}, None, 135, "POST /schemas needs a class name."),
    ],
)
def test_path_and_body_must_agree(body: JsonObject, path_name: str | None, code: int, text: str) -> None:
    with pytest.raises(ParseError) as caught:
        requested_class_name(body, path_name)
    assert (caught.value.code, caught.value.message) == (code, text)


def test_a_class_may_be_created_from_nothing() -> None:
    empty: JsonObject = {"fields": None, "classLevelPermissions": None, "indexes": {}}
    bare = ClassSchema("Ward", DEFAULT_FIELDS)
    assert plan_create({}, "Ward", ()) == plan_create(empty, "Ward", ()) == [CreateClass(bare)]
    users = ClassSchema("_User", {**DEFAULT_FIELDS, **SYSTEM_FIELDS["_User"], "nick": STRING})
    assert plan_create(fields(nick={"type": "String"}), "_User", ()) == [CreateClass(users)]


@pytest.mark.parametrize(
    ("name", "request_body", "code", "text"),
    [
        ("Old", {}, 103, "Class Old already exists."),
        ("_JobStatus", {}, 103, "Class _JobStatus already exists."),
        (
            "1x",
            {},
            103,
            "Invalid classname: 1x, classnames can only have alphanumeric characters and _, "
            "and must start with an alpha character ",
        ),
        ("Ward", {"fields": "x"}, 107, "invalid JSON"),
        ("Ward", {"classLevelPermissions": 5}, 107, "invalid JSON"),
        (
            "Ward",
            {"classLevelPermissions": {"x": {}}},
            107,
            "x is not a valid operation for class level permissions",
        ),
        ("Ward", {"fields": {"1a": {"type": "String"}}}, 105, "invalid field name: 1a"),
        ("Ward", fields(objectId={"type": "String"}), 136, "field objectId cannot be added"),
        ("_User", fields(username={"type": "String"}), 136, "field username cannot be added"),
        ("Ward", fields(a=None), 107, "invalid JSON"),
        ("Ward", fields(a={}), 107, "invalid JSON"),
        ("Ward", fields(a={"type": 5}), 107, "invalid JSON"),
        ("Ward", fields(a={"type": "Blob"}), 111, "invalid field type: Blob"),
        ("Ward", fields(a={"type": "ACL"}), 111, "invalid field type: ACL"),
        ("Ward", fields(a={"type": "Pointer"}), 135, "type Pointer needs a class name"),
        ("Ward", fields(a={"type": "Relation", "targetClass": 5}), 107, "invalid JSON"),
        ("Ward", fields(a={"type": "Pointer", "targetClass": "1x"}), 103, None),
        (
            "Ward",
            fields(a={"type": "String", "defaultValue": 5}),
            111,
            "schema mismatch for Ward.a default value; expected String but got Number",
        ),
        (
            "Ward",
            fields(a={"type": "Pointer", "targetClass": "A", "defaultValue": pointer("B", "b")}),
            111,
            "schema mismatch for Ward.a default value; expected Pointer<A> but got Pointer<B>",
        ),
        (
            "Ward",
            fields(a={"type": "Relation", "targetClass": "_User", "defaultValue": relation("_User")}),
            111,
            "The 'default value' option is not applicable for Relation<_User>",
        ),
        (
            "Ward",
            fields(a={"type": "Relation", "targetClass": "_User", "defaultValue": {}}),
            111,
            "schema mismatch for Ward.a default value; expected Relation<_User> but got Object",
        ),
        (
            "Ward",
            fields(a={"type": "Relation", "targetClass": "_User", "required": True}),
            111,
            "The 'required' option is not applicable for Relation<_User>",
        ),
        (
            "Ward",
            fields(a={"type": "GeoPoint"}, b={"type": "GeoPoint"}),
            111,
            "currently, only one GeoPoint field may exist in an object. Adding b when a already exists.",
        ),
        ("Ward", {"indexes": {"i": {"ghost": 1}}}, 102, "Field ghost does not exist, cannot add index."),
        ("Ward", {"indexes": {"i": {"objectId": 5}}}, 102, "Index i has an invalid value for objectId."),
        ("Ward", {"indexes": {"i": {"objectId": True}}}, 102, "Index i has an invalid value for objectId."),
        ("Ward", {"indexes": {"i": {"objectId": [1]}}}, 102, "Index i has an invalid value for objectId."),
        ("Ward", {"indexes": {"i": {}}}, 102, "Index i has no fields."),
        ("Ward", {"indexes": {"i": 5}}, 107, "invalid JSON"),
    ],
)
def test_bad_classes_are_refused(name: str, request_body: JsonObject, code: int, text: str | None) -> None:
    with pytest.raises(ParseError) as caught:
        plan_create(request_body, name, {"Old"})
    assert caught.value.code == code
    assert text in (None, caught.value.message)


def test_indexes_on_unknown_fields_are_taken_where_the_settings_say_so() -> None:
    request: JsonObject = {"indexes": {"i": {"ghost": "text"}}}
    assert plan_create(request, "Ward", (), check_index_fields=False)[1] == AddIndexes(
        (Index("Ward", "i", (("ghost", "text"),)),)
    )


# --- Update ---


@pytest.mark.parametrize(
    ("request_body", "changes"),
    [
        ({}, []),
        (fields(), []),
        (fields(unit={"type": "String"}), [AddFields("LabResult", as_fields(unit=STRING))]),
        (fields(code=DELETE), [DeleteFields("LabResult", as_fields(code=STRING))]),
        (fields(code={"type": "String"}), []),
        (
            fields(code={"type": "String", "required": True}),
            [SetFieldOptions("LabResult", as_fields(code=Field(FieldType("String"), {"required": True})))],
        ),
        (fields(patient={"type": "Pointer", "targetClass": "Patient"}), []),
        (fields(objectId={"type": "String", "required": True}, ACL={"type": "ACL"}), []),
        (
            fields(site=DELETE, home={"type": "GeoPoint"}),
            [
                DeleteFields("LabResult", as_fields(site=POINT)),
                AddFields("LabResult", as_fields(home=POINT)),
            ],
        ),
        (
            {"classLevelPermissions": {"get": {"*": True}}},
            [SetPermissions("LabResult", complete_permissions({"get": {"*": True}}))],
        ),
        ({"classLevelPermissions": None}, [SetPermissions("LabResult", None)]),
        (
            {"indexes": {"by_code": DELETE, "by_value": {"value": 1}}},
            [
                DropIndexes("LabResult", ("by_code",)),
                AddIndexes((Index("LabResult", "by_value", (("value", 1),)),)),
            ],
        ),
        (
            {**fields(unit={"type": "String"}), "indexes": {"by_unit": {"unit": 1}}},
            [
                AddFields("LabResult", as_fields(unit=STRING)),
                AddIndexes((Index("LabResult", "by_unit", (("unit", 1),)),)),
            ],
        ),
    ],
)
def test_updates_are_planned(request_body: JsonObject, changes: list[SchemaChange]) -> None:
    assert plan_schema_update(LAB, request_body) == changes


@pytest.mark.parametrize(
    ("request_body", "code", "text"),
    [
        (fields(code={"type": "Number"}), 255, "Field code exists, cannot update."),
        (fields(ghost=DELETE), 255, "Field ghost does not exist, cannot delete."),
        (fields(code=None), 107, "invalid JSON"),
        ({"fields": {"1a": {"type": "String"}}}, 105, "invalid field name: 1a"),
        (fields(objectId=DELETE), 136, "field objectId cannot be changed"),
        (
            fields(home={"type": "GeoPoint"}),
            111,
            "currently, only one GeoPoint field may exist in an object."
            " Adding home when site already exists.",
        ),
        (
            fields(patient={"type": "Pointer", "targetClass": "Ward"}),
            111,
            "schema mismatch for LabResult.patient; expected Pointer<Patient> but got Pointer<Ward>",
        ),
        (
            fields(patient={"type": "Pointer"}),
            111,
            "schema mismatch for LabResult.patient; expected Pointer<Patient> but got Pointer",
        ),
        (
            fields(code={"type": "String", "defaultValue": 5}),
            111,
            "schema mismatch for LabResult.code default value; expected String but got Number",
        ),
        (
            {**fields(code=DELETE), "classLevelPermissions": {"protectedFields": {"*": ["code"]}}},
            107,
            "Field 'code' in protectedFields:* does not exist",
        ),
        ({"indexes": {"by_code": {"code": 1}}}, 102, "Index by_code exists, cannot update."),
        ({"indexes": {"ghost": DELETE}}, 102, "Index ghost does not exist, cannot delete."),
        ({"indexes": {"i": {"ghost": 1}}}, 102, "Field ghost does not exist, cannot add index."),
        (
            {**fields(code=DELETE), "indexes": {"i": {"code": 1}}},
            102,
            "Field code does not exist, cannot add index.",
        ),
    ],
)
def test_bad_updates_are_refused(request_body: JsonObject, code: int, text: str) -> None:
    with pytest.raises(ParseError) as caught:
        plan_schema_update(LAB, request_body)
    assert (caught.value.code, caught.value.message) == (code, text)


def test_built_in_fields_stay() -> None:
    with pytest.raises(ParseError) as caught:
        plan_schema_update(system_schema("_User"), fields(username=DELETE))
    assert (caught.value.code, caught.value.message) == (136, "field username cannot be changed")


def test_schemas_that_are_never_stored_cannot_be_changed() -> None:
    with pytest.raises(ParseError) as caught:
        plan_schema_update(system_schema("_JobStatus"), {})
    assert (caught.value.code, caught.value.message) == (103, "Class _JobStatus does not exist.")
