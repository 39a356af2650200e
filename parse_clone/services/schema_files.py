"""Schema files compared with the database, and brought into it.

Reading and planning change nothing; only `apply_import` does. An import adds and adjusts: classes, fields and
indexes that no file names stay as they are, and a type that differs refuses the whole import.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.names import root_of
from parse_clone.core.permission_json import check_permissions, open_permissions
from parse_clone.core.schema import (
    AddFields,
    AddIndexes,
    ClassSchema,
    CreateClass,
    DropIndexes,
    Field,
    Index,
    SchemaChange,
    SetFieldOptions,
    SetPermissions,
)
from parse_clone.core.schema_json import check_one_geo_point, encode_field
from parse_clone.core.system_classes import DEFAULT_FIELDS, INTERNAL_FIELDS, with_system_fields
from parse_clone.errors import ParseError
from parse_clone.services.objects.file_links import prepare_links
from parse_clone.services.schema_definitions import (
    ClassDefinition,
    IndexDefinition,
    SchemaFileError,
    decode_schema_document,
    unite_definitions,
)
from parse_clone.services.toolbox import Toolbox

# --- Reading ---------------------------------------------------------------------------------------------


def read_schema_file(path: Path) -> list[ClassDefinition]:
    """Read the class definitions of one file."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SchemaFileError([f"{path}: cannot be read: {error.strerror}"]) from error
    except ValueError as error:
        raise SchemaFileError([f"{path}: not JSON: {error}"]) from error
    return decode_schema_document(document, str(path))


def read_schema_files(paths: Iterable[Path]) -> list[ClassDefinition]:
    """Read files, and the `*.json` files of folders, and unite what they say about each class."""
    definitions: list[ClassDefinition] = []
    problems: list[str] = []
    for path in paths:
        for file in sorted(path.glob("*.json")) if path.is_dir() else [path]:
            try:
                definitions += read_schema_file(file)
            except SchemaFileError as error:
                problems += error.problems
    if problems:
        raise SchemaFileError(problems)
    return unite_definitions(definitions)


# --- Planning --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What an import would do: changes in the order in which they have to be made. Empty: nothing to do."""

    changes: tuple[SchemaChange, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes)


def plan_import(
    current: Iterable[ClassSchema], indexes: Iterable[Index], definitions: Sequence[ClassDefinition]
) -> ImportPlan:
    """Compare what the database has (schemas and real indexes) with what the files want.

    Raises `SchemaFileError` with every conflict if a field has another type already, or if a definition
    names fields that its class would not have.
    """
    classes = {schema.name: with_system_fields(schema) for schema in current}
    existing: dict[str, dict[str, Index]] = {}
    for index in indexes:
        existing.setdefault(index.class_name, {})[index.name] = index
    problems: list[str] = []
    changes: list[SchemaChange] = []
    for definition in definitions:
        schema = classes.get(definition.name)
        if schema is None:
            changes.append(create_class(definition))
        else:
            changes += field_changes(schema, definition, problems)
            changes += permission_changes(schema, definition)
        changes += index_changes(existing.get(definition.name, {}), definition)
        known = {} if schema is None else schema.fields
        problems += find_problems(definition, {**known, **definition.fields})
    if problems:
        raise SchemaFileError(problems)
    return ImportPlan(tuple(changes))


def find_problems(definition: ClassDefinition, fields: Mapping[str, Field]) -> Iterator[str]:
    """What cannot work about a class that would have these fields."""
    schema = with_system_fields(ClassSchema(definition.name, fields))
    try:
        check_one_geo_point(fields)
        check_permissions(definition.permissions or {}, schema)
    except ParseError as error:
        yield f"{definition.source}: {definition.name}: {error.message}"
    internal = INTERNAL_FIELDS if definition.name == "_User" else {}
    for index_name, index in definition.indexes.items():
        for path, _ in index.keys:
            if root_of(path) not in schema.fields and path not in internal:
                yield f"{definition.source}: {definition.name}: index {index_name}: no field {path}"


def create_class(definition: ClassDefinition) -> CreateClass:
    """The change that makes a new class."""
    schema = ClassSchema(definition.name, definition.fields, definition.permissions)
    return CreateClass(with_system_fields(schema))


def field_changes(
    schema: ClassSchema, definition: ClassDefinition, problems: list[str]
) -> Iterator[SchemaChange]:
    """New fields and changed options; a changed type is a problem."""
    new: dict[str, Field] = {}
    changed: dict[str, Field] = {}
    for name, wanted in definition.fields.items():
        found = schema.fields.get(name)
        if found is None:
            new[name] = wanted
        elif found.type != wanted.type:
            problems.append(
                f"{definition.source}: {schema.name}.{name} is {found.type} in the database, "
                f"the file wants {wanted.type}"
            )
        elif meaningful(found.options) != meaningful(wanted.options):
            changed[name] = wanted
    if new:
        yield AddFields(schema.name, new)
    if changed:
        yield SetFieldOptions(schema.name, changed)


def meaningful(options: Mapping[str, Json]) -> dict[str, Json]:
    """Options without those that say the same as their absence."""
    return {
        name: value
        for name, value in options.items()
        if value is not None and (name, value) != ("required", False)
    }


def permission_changes(schema: ClassSchema, definition: ClassDefinition) -> Iterator[SchemaChange]:
    """New class-level permissions, where a file has an opinion and it differs."""
    found = open_permissions() if schema.permissions is None else schema.permissions
    if definition.permissions is not None and definition.permissions != found:
        yield SetPermissions(schema.name, definition.permissions)


def index_changes(existing: Mapping[str, Index], definition: ClassDefinition) -> Iterator[SchemaChange]:
    """New indexes; one that differs is made anew."""
    outdated: list[str] = []
    missing: list[Index] = []
    for name, wanted in definition.indexes.items():
        found = existing.get(name)
        if found is not None and found.keys == wanted.keys and wanted.unique in (None, found.unique):
            continue
        if found is not None:
            outdated.append(name)
        missing.append(Index(definition.name, name, wanted.keys, unique=wanted.unique is True))
    if outdated:
        yield DropIndexes(definition.name, tuple(outdated))
    if missing:
        yield AddIndexes(tuple(missing))


# --- Telling ---------------------------------------------------------------------------------------------


def describe_plan(plan: ImportPlan) -> str:
    """Tell a reader what an import would do, a line for each thing."""
    if not plan:
        return "The database has everything the files want."
    return "\n".join(line for change in plan.changes for line in describe_change(change))


def describe_change(change: SchemaChange) -> Iterator[str]:
    """Tell one change."""
    match change:
        case CreateClass(schema):
            yield f"+ class {schema.name}"
            for name, added in schema.fields.items():
                if name not in DEFAULT_FIELDS:
                    yield f"    + {name}: {describe_field(added)}"
            yield "    permissions: " + ("public" if schema.permissions is None else "as in the file")
        case AddFields(class_name, fields):
            for name, added in fields.items():
                yield f"+ {class_name}.{name}: {describe_field(added)}"
        case SetFieldOptions(class_name, fields):
            for name, changed in fields.items():
                yield f"~ {class_name}.{name}: {describe_field(changed)}"
        case SetPermissions(class_name, _):
            yield f"~ {class_name}: class-level permissions"
        case AddIndexes(indexes):
            for index in indexes:
                definition = IndexDefinition(index.keys, index.unique)
                yield f"+ index {index.class_name}.{index.name} {definition}"
        case DropIndexes(class_name, names):
            for name in names:
                yield f"- index {class_name}.{name}"
        case _:
            yield f"  {type(change).__name__}"


def describe_field(described: Field) -> str:
    """Tell a field's type and options."""
    options = meaningful(described.options)
    told = [name if value is True else f"{name} {json.dumps(value)}" for name, value in options.items()]
    return ", ".join([str(described.type), *told])


# --- Doing -----------------------------------------------------------------------------------------------


async def load_plan(toolbox: Toolbox, definitions: Sequence[ClassDefinition]) -> ImportPlan:
    """Plan an import against the database as it is now."""
    current = await toolbox.storage.load_schemas()
    known = {schema.name for schema in current}
    indexes: list[Index] = []
    for definition in definitions:
        if definition.name in known:
            indexes += await toolbox.storage.list_indexes(definition.name)
    return plan_import(current, indexes, definitions)


async def apply_import(
    toolbox: Toolbox, plan: ImportPlan, progress: Callable[[SchemaChange], None] = lambda change: None
) -> None:
    """Make the changes of a plan, all of them or none, telling each one before it is made."""
    await toolbox.catalog.apply(toolbox.storage, *plan.changes, progress=progress)
    await prepare_links(toolbox)


async def export_schemas(toolbox: Toolbox, names: Sequence[str] = ()) -> JsonObject:
    """The classes of the database (all, or the named ones) as a schema document."""
    schemas = {schema.name: schema for schema in await toolbox.storage.load_schemas()}
    chosen = names or sorted(schemas)
    unknown = [f"{name}: no such class" for name in chosen if name not in schemas]
    if unknown:
        raise SchemaFileError(unknown)
    return {
        "classes": [encode_class(schemas[name], await toolbox.storage.list_indexes(name)) for name in chosen]
    }


def encode_class(schema: ClassSchema, indexes: Sequence[Index]) -> JsonObject:
    """Write a class as a schema file has it."""
    encoded: JsonObject = {
        "className": schema.name,
        "fields": {name: encode_field(found) for name, found in with_system_fields(schema).fields.items()},
    }
    declared: JsonObject = {
        index.name: encode_index(index) for index in indexes if index.name in schema.indexes
    }
    declared.pop("_id_", None)
    if declared:
        encoded["indexes"] = declared
    if schema.permissions is not None:
        encoded["classLevelPermissions"] = schema.permissions
    return encoded


def encode_index(index: Index) -> JsonObject:
    """Write an index, in its long form only where the short one would lose something."""
    keys: JsonObject = dict(index.keys)
    return {"keys": keys, "unique": True} if index.unique else keys
