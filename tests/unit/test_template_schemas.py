"""The schema files of the templates say what their exports say, and close what the exports leave open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from parse_clone.core.class_permissions import CLASS_OPERATIONS
from parse_clone.core.schema import AddIndexes, CreateClass
from parse_clone.services.schema_definitions import ClassDefinition, SchemaFileError
from parse_clone.services.schema_files import plan_import, read_schema_file, read_schema_files

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "schemas"
EXPORTS = ROOT / "tests" / "fixtures" / "templates"
TEMPLATES = ["cardiology_suite", "medical_concierge", "oncology_care_planner", "patient_portal", "wound_care"]

QUERIED = {
    "PatientProfile": ["user", "medicalRecordNumber"],
    "LabResult": ["patient", "publishedAt"],
    "TreatmentPlan": ["patient", "status"],
    "WoundAssessment": ["patient"],
    "ECGReport": ["patient", "publishedAt"],
    "CardiacRehabLog": ["patient", "date"],
    "Message": ["conversationId", "from", "to", "sentAt"],
    "Appointment": ["patient", "provider", "startAt"],
    "AuditLog": ["actor", "entityId"],
    "ChemoCycle": ["patient"],
    "SideEffect": ["chemoCycle"],
    "LabTrend": ["patient", "date"],
    "AccessLog": ["user", "accessTime"],
}

each_file = pytest.mark.parametrize(
    "path", sorted(SCHEMAS.rglob("*.json")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)


def load(path: Path) -> dict[str, Any]:
    return {entry["className"]: entry for entry in json.loads(path.read_text())["classes"]}


@pytest.mark.parametrize("template", TEMPLATES)
def test_schema_file_has_the_classes_and_fields_of_its_export(template: str) -> None:
    export = load(EXPORTS / f"{template}.json")
    ours = load(SCHEMAS / f"{template}.json")
    assert list(ours) == list(export)
    for name, exported in export.items():
        fields = {
            field: {key: value for key, value in definition.items() if key != "private"}
            for field, definition in ours[name]["fields"].items()
        }
        assert fields == exported["fields"], name


@pytest.mark.parametrize("template", TEMPLATES)
def test_plain_export_can_be_imported(template: str) -> None:
    export = load(EXPORTS / f"{template}.json")
    read = read_schema_file(EXPORTS / f"{template}.json")
    assert [definition.name.lstrip("_") for definition in read] == list(export)
    assert all(definition.permissions is None and not definition.indexes for definition in read)


@each_file
def test_nothing_is_public(path: Path) -> None:
    for definition in read_schema_file(path):
        assert definition.permissions is not None
        for operation in CLASS_OPERATIONS:
            granted = definition.permissions[operation]
            assert isinstance(granted, dict)
            is_sign_up = (definition.name, operation) == ("_User", "create")
            assert ("*" in granted) == is_sign_up, (definition.name, operation)
        assert definition.permissions["addField"] == {}


@each_file
def test_pointer_fields_point_to_users(path: Path) -> None:
    for definition in read_schema_file(path):
        for operation in CLASS_OPERATIONS:
            granted = (definition.permissions or {})[operation]
            assert isinstance(granted, dict)
            for field in granted.get("pointerFields", []):
                assert definition.fields[field].type.target == "_User", (definition.name, operation, field)


@each_file
def test_audit_logs_cannot_be_written_by_clients(path: Path) -> None:
    for definition in read_schema_file(path):
        if definition.name == "AuditLog":
            assert definition.permissions is not None
            assert [definition.permissions[name] for name in ("create", "update", "delete")] == [{}, {}, {}]


@each_file
def test_files_are_private(path: Path) -> None:
    for definition in read_schema_file(path):
        for name, field in definition.fields.items():
            holds_files = field.type.name == "File" or name in ("attachments", "snapshot")
            assert (field.options.get("private") is True) == holds_files, (definition.name, name)


def test_queried_fields_are_indexed() -> None:
    for definition in read_schema_files([SCHEMAS]):
        indexed = {name for index in definition.indexes.values() for name, _ in index.keys}
        assert indexed >= set(QUERIED.get(definition.name, [])), definition.name


@pytest.mark.parametrize("template", [name for name in TEMPLATES if name != "oncology_care_planner"])
def test_a_user_has_one_profile_and_a_number_of_his_own(template: str) -> None:
    definitions = {
        definition.name: definition for definition in read_schema_file(SCHEMAS / f"{template}.json")
    }
    unique = [index for index in definitions["PatientProfile"].indexes.values() if index.unique]
    assert [index.keys for index in unique] == [(("medicalRecordNumber", 1),), (("user", 1),)]


def test_all_templates_load_together() -> None:
    definitions = read_schema_files([SCHEMAS])
    names = [definition.name for definition in definitions]
    assert len(names) == len(set(names))
    changes = plan_import([], [], definitions).changes
    assert [change.schema.name for change in changes if isinstance(change, CreateClass)] == names
    assert all(isinstance(change, CreateClass | AddIndexes) for change in changes)


def pointer_targets(definitions: list[ClassDefinition]) -> set[str]:
    return {
        field.type.target
        for definition in definitions
        for field in definition.fields.values()
        if field.type.target is not None
    }


@pytest.mark.parametrize("folder", [SCHEMAS, SCHEMAS / "agent"], ids=["exports", "agent"])
@pytest.mark.parametrize("template", TEMPLATES)
def test_each_template_stands_alone(folder: Path, template: str) -> None:
    definitions = read_schema_file(folder / f"{template}.json")
    assert pointer_targets(definitions) <= {definition.name for definition in definitions} | {"_User"}
    assert plan_import([], [], definitions)


def test_the_two_data_models_do_not_mix() -> None:
    with pytest.raises(SchemaFileError, match=r"TreatmentPlan\.fields\.details differs"):
        read_schema_files([SCHEMAS / "patient_portal.json", SCHEMAS / "agent" / "patient_portal.json"])
