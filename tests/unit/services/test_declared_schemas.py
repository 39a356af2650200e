"""The classes that settings declare, and the database that follows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from parse_clone.app import opened_toolbox
from parse_clone.core.json_types import JsonObject
from parse_clone.core.schema_json import encode_schema
from parse_clone.errors import SettingsError
from parse_clone.settings import SchemaOptions, Settings

CLOSED = ("find", "count", "get", "create", "update", "delete", "addField")


async def declare(folder: Path, *definitions: JsonObject, **options: Any) -> dict[str, JsonObject]:
    """Start a server on the folder's database; answer the classes that it has then."""
    settings = Settings(
        app_id="clinic",
        master_key="master",
        database_uri=f"sqlite:///{folder}/parse.sqlite3",
        schema=SchemaOptions(definitions=definitions, **options),
    )
    async with opened_toolbox(settings) as toolbox:
        return {name: encode_schema(schema) for name, schema in toolbox.catalog.classes.items()}


def ward(**definition: Any) -> JsonObject:
    return {"className": "Ward", **definition}


def fields_of(classes: dict[str, JsonObject]) -> set[str]:
    fields = classes["Ward"]["fields"]
    assert isinstance(fields, dict)
    return fields.keys() - {"objectId", "createdAt", "updatedAt", "ACL"}


def indexes_of(classes: dict[str, JsonObject]) -> JsonObject:
    indexes = classes["Ward"]["indexes"]
    assert isinstance(indexes, dict)
    return {name: keys for name, keys in indexes.items() if name != "_id_"}


async def test_a_declared_class_is_created_and_closed(tmp_path: Path) -> None:
    classes = await declare(
        tmp_path,
        ward(fields={"name": {"type": "String"}}, indexes={"by_name": {"name": 1}}),
    )
    permissions = classes["Ward"]["classLevelPermissions"]
    assert isinstance(permissions, dict)
    assert all(permissions[operation] == {} for operation in CLOSED)
    assert indexes_of(classes) == {"by_name": {"name": 1}}


async def test_permissions_are_as_declared_but_clients_never_add_fields(tmp_path: Path) -> None:
    opened = {"find": {"*": True}, "addField": {"*": True}}
    for _ in range(2):
        classes = await declare(tmp_path, ward(classLevelPermissions=opened))
        permissions = classes["Ward"]["classLevelPermissions"]
        assert isinstance(permissions, dict)
        assert (permissions["find"], permissions["addField"]) == ({"*": True}, {})


async def test_new_fields_and_options_follow(tmp_path: Path) -> None:
    await declare(tmp_path, ward(fields={"name": {"type": "String"}}))
    classes = await declare(
        tmp_path, ward(fields={"name": {"type": "String", "required": True}, "beds": {"type": "Number"}})
    )
    assert fields_of(classes) == {"name", "beds"}
    fields = classes["Ward"]["fields"]
    assert isinstance(fields, dict)
    assert fields["name"] == {"type": "String", "required": True}


@pytest.mark.parametrize(("delete", "left"), [(False, {"name", "beds"}), (True, {"name"})])
async def test_fields_that_nobody_declares_are_deleted_if_asked(
    tmp_path: Path, delete: bool, left: set[str]
) -> None:
    await declare(tmp_path, ward(fields={"name": {"type": "String"}, "beds": {"type": "Number"}}))
    classes = await declare(tmp_path, ward(fields={"name": {"type": "String"}}), delete_extra_fields=delete)
    assert fields_of(classes) == left


@pytest.mark.parametrize(("recreate", "type_name"), [(False, "String"), (True, "Number")])
async def test_fields_of_another_type_are_made_anew_if_asked(
    tmp_path: Path, recreate: bool, type_name: str
) -> None:
    await declare(tmp_path, ward(fields={"beds": {"type": "String"}}))
    classes = await declare(
        tmp_path, ward(fields={"beds": {"type": "Number"}}), recreate_modified_fields=recreate
    )
    fields = classes["Ward"]["fields"]
    assert isinstance(fields, dict)
    assert fields["beds"] == {"type": type_name}


async def test_indexes_follow_the_declaration(tmp_path: Path) -> None:
    fields = {"name": {"type": "String"}}
    await declare(tmp_path, ward(fields=fields, indexes={"one": {"name": 1}, "two": {"name": 1}}))
    changed = ward(fields=fields, indexes={"one": {"name": -1}})
    assert indexes_of(await declare(tmp_path, changed, keep_unknown_indexes=True)) == {
        "one": {"name": -1},
        "two": {"name": 1},
    }
    assert indexes_of(await declare(tmp_path, changed)) == {"one": {"name": -1}}


async def test_what_the_server_brings_cannot_be_declared_otherwise(tmp_path: Path) -> None:
    definition: JsonObject = {
        "className": "_User",
        "fields": {"email": "Object", "objectId": {"type": "Number"}},
    }
    classes = await declare(tmp_path, definition)
    fields = classes["_User"]["fields"]
    assert isinstance(fields, dict)
    assert fields["email"] == {"type": "String"}


async def test_classes_that_nobody_declares_stay_but_take_no_new_fields(tmp_path: Path) -> None:
    await declare(tmp_path, ward())
    classes = await declare(tmp_path, {"className": "_User"})
    assert "Ward" in classes
    for name in ("Ward", "_Role", "_Session"):
        permissions = classes[name]["classLevelPermissions"]
        assert isinstance(permissions, dict)
        assert permissions["addField"] == {}


async def test_nothing_changes_where_nothing_is_declared(tmp_path: Path) -> None:
    classes = await declare(tmp_path)
    permissions = classes["_User"]["classLevelPermissions"]
    assert isinstance(permissions, dict)
    assert permissions["addField"] == {"*": True}


async def test_hooks_run_before_and_after(tmp_path: Path) -> None:
    told: list[str] = []

    async def before() -> None:
        told.append("before")

    async def after() -> None:
        told.append("after")

    await declare(tmp_path, ward(), before_migration=before, after_migration=after)
    assert told == ["before", "after"]


async def test_a_declaration_that_cannot_hold_stops_a_strict_server(tmp_path: Path) -> None:
    wrong = ward(fields={"beds": {"type": "Bed"}})
    with pytest.raises(SettingsError, match="cannot be brought into the database: invalid field type: Bed"):
        await declare(tmp_path, wrong, strict=True)
    assert "Ward" not in await declare(tmp_path, wrong)
