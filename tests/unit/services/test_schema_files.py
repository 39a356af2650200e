"""Schema files are read with every problem named, and an import plans exactly what is missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.permission_json import open_permissions
from parse_clone.core.schema import (
    AddFields,
    AddIndexes,
    ClassSchema,
    CreateClass,
    DropIndexes,
    Field,
    FieldType,
    Index,
    SetFieldOptions,
    SetPermissions,
)
from parse_clone.core.schema_json import encode_schema
from parse_clone.core.system_classes import system_schema, with_system_fields
from parse_clone.services.schema_definitions import (
    ClassDefinition,
    SchemaFileError,
    decode_schema_document,
)
from parse_clone.services.schema_files import (
    ImportPlan,
    describe_plan,
    encode_class,
    plan_import,
    read_schema_file,
    read_schema_files,
)

LAB: JsonObject = {
    "className": "Lab",
    "fields": {
        "code": {"type": "String", "required": True},
        "value": {"type": "Number", "defaultValue": 1},
        "patient": {"type": "Pointer", "targetClass": "_User"},
    },
    "indexes": {"code": {"keys": {"code": 1}, "unique": True}, "newest": {"patient": 1, "createdAt": -1}},
    "classLevelPermissions": {"find": {"requiresAuthentication": True}},
}
LAB_INDEXES = [
    Index("Lab", "code", (("code", 1),), unique=True),
    Index("Lab", "newest", (("patient", 1), ("createdAt", -1))),
]


def read(document: Json) -> list[ClassDefinition]:
    return decode_schema_document(document, "file.json")


def schema_of(definition: ClassDefinition) -> ClassSchema:
    return with_system_fields(ClassSchema(definition.name, definition.fields, definition.permissions))


def plan(document: Json, *current: ClassSchema, indexes: Sequence[Index] = ()) -> ImportPlan:
    return plan_import(current, indexes, read(document))


def problems(document: Json) -> tuple[str, ...]:
    with pytest.raises(SchemaFileError) as caught:
        plan(document)
    return caught.value.problems


# --- Reading ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [LAB, [LAB], {"classes": [LAB]}, {"results": [LAB]}],
    ids=["class", "list", "classes", "results"],
)
def test_every_form_of_document_is_understood(document: Json) -> None:
    (definition,) = read(document)
    assert definition.name == "Lab"
    assert list(definition.fields) == ["code", "value", "patient"]
    assert definition.permissions is not None
    assert definition.permissions["find"] == {"requiresAuthentication": True}
    assert definition.permissions["delete"] == {}
    assert definition.indexes["code"].unique is True
    assert definition.indexes["newest"].unique is None


def test_built_in_classes_have_their_plain_names_too() -> None:
    (definition,) = read(
        {"className": "User", "fields": {"boss": {"type": "Pointer", "targetClass": "User"}}}
    )
    assert definition.name == "_User"
    assert definition.fields["boss"].type == FieldType("Pointer", "_User")


def test_username_and_password_stay_optional_for_other_logins() -> None:
    fields: JsonObject = {
        name: {"type": "String", "required": True} for name in ("username", "password", "email")
    }
    (definition,) = read({"className": "User", "fields": fields})
    required = [name for name, field in definition.fields.items() if field.required]
    assert required == ["email"]


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (5, 'file.json: top level: expected {"classes": [...]}'),
        ({"classes": {}}, 'file.json: top level: expected {"classes": [...]}'),
        ([LAB, 5], "file.json: [1]: expected a class"),
        ({"classes": [{"className": "1x"}]}, "file.json: classes[0].className: expected a class name"),
        ({"className": "A", "fields": []}, "file.json: fields: expected an object"),
        ({"className": "A", "fields": {"a": "String"}}, 'file.json: fields.a: expected a field: {"type"'),
        (
            {"className": "A", "fields": {"1a": {"type": "String"}}},
            "file.json: fields.1a: expected a field name",
        ),
        (
            {"className": "A", "fields": {"a": {"type": "Text"}}},
            "file.json: fields.a.type: expected one of String, Number, Boolean",
        ),
        (
            {"className": "A", "fields": {"createdAt": {"type": "String"}}},
            "file.json: fields.createdAt.type: expected Date: every class has this field",
        ),
        ({"className": "A", "fields": {"a": {"type": "Pointer"}}}, "file.json: fields.a: type Pointer needs"),
        (
            {"className": "A", "fields": {"a": {"type": "Pointer", "targetClass": "x y"}}},
            "file.json: fields.a.targetClass: expected a class name",
        ),
        (
            {"className": "A", "fields": {"a": {"type": "Number", "defaultValue": "x"}}},
            "file.json: fields.a: schema mismatch for A.a default value; expected Number but got String",
        ),
        ({"className": "A", "indexes": {"i": {}}}, 'file.json: indexes.i: expected {"field": 1} or'),
        (
            {"className": "A", "indexes": {"i": {"objectId": 2}}},
            "file.json: indexes.i.objectId: expected one of",
        ),
        (
            {"className": "A", "indexes": {"i": {"keys": {"objectId": 1}, "unique": 1}}},
            'file.json: indexes.i: expected {"keys": {...}, "unique": true or false}',
        ),
        (
            {"className": "A", "classLevelPermissions": 5},
            "file.json: classLevelPermissions: expected an object",
        ),
        ({"className": "A", "indexes": {"i": {"ghost": 1}}}, "file.json: A: index i: no field ghost"),
        (
            {"className": "A", "classLevelPermissions": {"find": {"pointerFields": ["ghost"]}}},
            "file.json: A: 'ghost' is not a valid column for class level pointer permissions",
        ),
        (
            {"className": "A", "fields": {"a": {"type": "GeoPoint"}, "b": {"type": "GeoPoint"}}},
            "file.json: A: currently, only one GeoPoint field may exist",
        ),
    ],
)
def test_problems_name_file_place_and_expectation(document: Json, problem: str) -> None:
    (found,) = problems(document)
    assert found.startswith(problem)


def test_one_run_names_every_problem(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"className": "A", "fields": {"x": {}, "y": {}}}')
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(SchemaFileError) as caught:
        read_schema_files([tmp_path, tmp_path / "c.json"])
    files = [Path(problem.split(":")[0]).name for problem in caught.value.problems]
    assert files == ["a.json", "a.json", "b.json", "c.json"]
    assert "not JSON" in caught.value.problems[2]
    assert "cannot be read" in caught.value.problems[3]


def test_files_that_agree_about_a_class_are_united(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(LAB))
    more = {
        "className": "Lab",
        "fields": {"code": {"type": "String", "required": True}, "unit": {"type": "String"}},
    }
    (tmp_path / "b.json").write_text(json.dumps(more))
    (definition,) = read_schema_files([tmp_path])
    assert list(definition.fields) == ["code", "value", "patient", "unit"]
    assert definition.permissions is not None


def test_files_that_disagree_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(LAB))
    other = {"className": "Lab", "fields": {"code": {"type": "Number"}}, "classLevelPermissions": {}}
    (tmp_path / "b.json").write_text(json.dumps(other))
    with pytest.raises(SchemaFileError) as caught:
        read_schema_files([tmp_path])
    assert [problem.split(": ")[1].split(" differs")[0] for problem in caught.value.problems] == [
        "Lab.classLevelPermissions",
        "Lab.fields.code",
    ]


# --- Planning --------------------------------------------------------------------------------------------


def test_empty_database_gets_the_class_and_its_indexes() -> None:
    create, indexes = plan(LAB).changes
    assert isinstance(create, CreateClass)
    assert list(create.schema.fields)[-3:] == ["code", "value", "patient"]
    assert "objectId" in create.schema.fields
    assert indexes == AddIndexes(tuple(LAB_INDEXES))


def test_second_import_plans_nothing() -> None:
    (definition,) = read(LAB)
    assert not plan(LAB, schema_of(definition), indexes=LAB_INDEXES)


def test_what_the_schema_api_shows_plans_nothing() -> None:
    indexes = {index.name: dict(index.keys) for index in LAB_INDEXES}
    user_indexes = {"username_1": {"username": 1}, "_perishable_token": {"_perishable_token": 1}}
    lab = ClassSchema("Lab", schema_of(read(LAB)[0]).fields, None, {"_id_": {"_id": 1}, **indexes})
    user = ClassSchema("_User", system_schema("_User").fields, None, user_indexes)
    real = [*LAB_INDEXES, Index("_User", "username_1", (("username", 1),), unique=True)]
    real.append(Index("_User", "_perishable_token", (("_perishable_token", 1),)))
    shown: JsonObject = {"results": [encode_schema(lab), encode_schema(user)]}
    assert lab.permissions is None
    assert encode_schema(lab)["classLevelPermissions"] == open_permissions()
    assert not plan(shown, lab, user, indexes=real)


def test_what_export_writes_plans_nothing() -> None:
    schema = schema_of(read(LAB)[0])
    exported = encode_class(
        ClassSchema(
            schema.name,
            schema.fields,
            schema.permissions,
            {index.name: dict(index.keys) for index in LAB_INDEXES},
        ),
        LAB_INDEXES,
    )
    assert exported["indexes"] == LAB["indexes"]
    assert not plan(exported, schema, indexes=LAB_INDEXES)


def test_differences_become_changes() -> None:
    (definition,) = read(LAB)
    changed: JsonObject = {
        "className": "Lab",
        "fields": {"code": {"type": "String"}, "unit": {"type": "String"}},
        "classLevelPermissions": {"find": {}},
        "indexes": {"code": {"keys": {"code": 1}, "unique": False}, "by_unit": {"unit": 1}},
    }
    changes = plan(changed, schema_of(definition), indexes=LAB_INDEXES).changes
    assert [type(change) for change in changes] == [
        AddFields,
        SetFieldOptions,
        SetPermissions,
        DropIndexes,
        AddIndexes,
    ]
    assert changes[0] == AddFields("Lab", {"unit": Field(FieldType("String"))})
    assert changes[1] == SetFieldOptions("Lab", {"code": Field(FieldType("String"))})
    assert changes[3] == DropIndexes("Lab", ("code",))


def test_not_required_says_the_same_as_nothing() -> None:
    (definition,) = read({"className": "A", "fields": {"a": {"type": "String"}}})
    assert not plan(
        {"className": "A", "fields": {"a": {"type": "String", "required": False}}}, schema_of(definition)
    )


def test_what_no_file_names_stays() -> None:
    (definition,) = read(LAB)
    assert not plan({"className": "Lab", "fields": {}}, schema_of(definition), indexes=LAB_INDEXES)


def test_other_types_refuse_the_whole_import() -> None:
    (definition,) = read(LAB)
    wanted: JsonObject = {
        "classes": [
            {"className": "Fresh", "fields": {}},
            {
                "className": "Lab",
                "fields": {
                    "code": {"type": "Number"},
                    "patient": {"type": "Pointer", "targetClass": "Patient"},
                },
            },
        ]
    }
    with pytest.raises(SchemaFileError) as caught:
        plan(wanted, schema_of(definition))
    place = "file.json: classes[1]: Lab"
    assert caught.value.problems == (
        f"{place}.code is String in the database, the file wants Number",
        f"{place}.patient is Pointer<_User> in the database, the file wants Pointer<Patient>",
    )


def test_built_in_fields_are_known_from_the_start() -> None:
    changes = plan({"className": "User", "fields": {"email": {"type": "String", "required": True}}}).changes
    assert isinstance(changes[0], CreateClass)
    assert {"username", "authData", "email"} <= changes[0].schema.fields.keys()


# --- Telling ---------------------------------------------------------------------------------------------


def test_plan_is_told_line_by_line() -> None:
    assert describe_plan(ImportPlan()) == "The database has everything the files want."
    assert describe_plan(plan(LAB)).splitlines() == [
        "+ class Lab",
        "    + code: String, required",
        "    + value: Number, defaultValue 1",
        "    + patient: Pointer<_User>",
        "    permissions: as in the file",
        "+ index Lab.code (code), unique",
        "+ index Lab.newest (patient, createdAt -1)",
    ]
    (definition,) = read(LAB)
    changed: JsonObject = {
        "className": "Lab",
        "fields": {"code": {"type": "String"}, "unit": {"type": "String"}},
        "classLevelPermissions": {},
        "indexes": {"code": {"value": 1}},
    }
    assert describe_plan(plan(changed, schema_of(definition), indexes=LAB_INDEXES)).splitlines() == [
        "+ Lab.unit: String",
        "~ Lab.code: String",
        "~ Lab: class-level permissions",
        "- index Lab.code",
        "+ index Lab.code (value)",
    ]


def test_read_schema_file_names_its_path(tmp_path: Path) -> None:
    path = tmp_path / "lab.json"
    path.write_text(json.dumps(LAB))
    (definition,) = read_schema_file(path)
    assert definition.source == str(path)
