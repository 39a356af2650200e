"""The option `schema`: the application's classes as code, compared with the database at every start.

Each definition becomes requests of the schema API, so the same rules hold. Unlike a schema file, a definition
is complete: what it does not name is closed (permissions), dropped (indexes), or deleted if asked (fields).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import structlog

from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.schema import ClassSchema
from parse_clone.core.schema_json import encode_schema, plan_create, plan_schema_update
from parse_clone.core.system_classes import (
    DEFAULT_FIELDS,
    DEFAULT_INDEXES,
    SYSTEM_FIELDS,
    VOLATILE_CLASSES,
    new_schema,
)
from parse_clone.errors import ParseError, SettingsError
from parse_clone.services.toolbox import Toolbox
from parse_clone.settings import SchemaOptions

log = structlog.get_logger("parse_clone.schema")

ATTEMPTS = 4
"""Other processes may be starting, too, and make the same changes meanwhile."""

DELETE: JsonObject = {"__op": "Delete"}


async def apply_declared_schemas(toolbox: Toolbox) -> None:
    """Bring the database to what the settings declare, if they declare anything."""
    options = toolbox.settings.schema
    if options.before_migration is not None:
        await options.before_migration()
    if options.definitions:
        await _apply_patiently(toolbox)
    if options.after_migration is not None:
        await options.after_migration()


async def _apply_patiently(toolbox: Toolbox) -> None:
    for attempt in range(ATTEMPTS):
        try:
            await _apply(toolbox)
            return
        except ParseError as error:
            if attempt == ATTEMPTS - 1:
                _give_up(toolbox.settings.schema, error)
            await asyncio.sleep(0.1 * attempt)
            await toolbox.catalog.load()


def _give_up(options: SchemaOptions, error: ParseError) -> None:
    text = f"The declared schemas cannot be brought into the database: {error.message}"
    if options.strict:
        raise SettingsError(text)
    log.error(text)


async def _apply(toolbox: Toolbox) -> None:
    options = toolbox.settings.schema
    declared = {definition["className"]: definition for definition in options.definitions}
    if "_Session" not in toolbox.catalog.classes:
        await toolbox.catalog.create_class(toolbox.storage, new_schema("_Session"))
    for name, definition in declared.items():
        await _apply_definition(toolbox, name, definition)
    for name in set(toolbox.catalog.classes) - set(declared) - VOLATILE_CLASSES:
        schema = toolbox.catalog.classes[name]
        await _update(toolbox, name, {"classLevelPermissions": closed_permissions(schema.permissions)})


async def _apply_definition(toolbox: Toolbox, name: str, definition: Mapping[str, Any]) -> None:
    current = toolbox.catalog.classes.get(name)
    if current is None:
        changes = plan_create(creation(name, definition), name, toolbox.catalog.classes)
        await toolbox.catalog.apply(toolbox.storage, *changes)
        return
    for request in updates(current, definition, toolbox.settings.schema):
        await _update(toolbox, name, request)


async def _update(toolbox: Toolbox, name: str, request: JsonObject) -> None:
    changes = plan_schema_update(toolbox.catalog.classes[name], request)
    if changes:
        await toolbox.catalog.apply(toolbox.storage, *changes)


# --- What to ask of the schema API -------------------------------------------------------------------------


def creation(name: str, definition: Mapping[str, Any]) -> JsonObject:
    """The request that creates a declared class."""
    return {
        "className": name,
        "fields": own_fields(name, definition.get("fields") or {}),
        "indexes": own_indexes(name, definition.get("indexes") or {}),
        "classLevelPermissions": closed_permissions(definition.get("classLevelPermissions")),
    }


def updates(
    current: ClassSchema, definition: Mapping[str, Any], options: SchemaOptions
) -> Iterator[JsonObject]:
    """The requests, in order, that bring a class to its definition: deletions first, what is new, and at last
    the indexes that had to go before they could come back."""
    stored = encode_schema(current)
    fields = own_fields(current.name, definition.get("fields") or {})
    known = own_fields(current.name, _members(stored.get("fields")))
    retyped = {name for name in fields.keys() & known.keys() if _type(fields[name]) != _type(known[name])}
    doomed = known.keys() - fields.keys() if options.delete_extra_fields else set()
    if options.recreate_modified_fields:
        doomed = doomed | retyped
    else:
        fields = {name: field for name, field in fields.items() if name not in retyped}
    if doomed:
        yield {"fields": dict.fromkeys(sorted(doomed), DELETE)}
    indexes = own_indexes(current.name, definition.get("indexes") or {})
    existing = own_indexes(current.name, _members(stored.get("indexes")))
    changed = {name for name in indexes.keys() & existing.keys() if indexes[name] != existing[name]}
    unknown = set() if options.keep_unknown_indexes else existing.keys() - indexes.keys()
    yield {
        "fields": {
            name: field for name, field in fields.items() if name in doomed or known.get(name) != field
        },
        "indexes": {
            **{name: keys for name, keys in indexes.items() if name not in existing},
            **dict.fromkeys(sorted(unknown | changed), DELETE),
        },
        "classLevelPermissions": closed_permissions(definition.get("classLevelPermissions")),
    }
    if changed:
        yield {"indexes": {name: indexes[name] for name in sorted(changed)}}


def own_fields(class_name: str, fields: Mapping[str, Json]) -> JsonObject:
    """The fields that a definition may decide about: none that the server brings itself."""
    brought = DEFAULT_FIELDS.keys() | SYSTEM_FIELDS.get(class_name, {}).keys()
    return {name: field for name, field in fields.items() if name not in brought}


def own_indexes(class_name: str, indexes: Mapping[str, Json]) -> JsonObject:
    """The indexes that a definition may decide about."""
    brought = {"_id_"} | {index.name for index in DEFAULT_INDEXES if index.class_name == class_name}
    return {
        name: keys
        for name, keys in indexes.items()
        if name not in brought and not name.startswith("_auth_data_")
    }


def closed_permissions(permissions: Mapping[str, Json] | None) -> JsonObject:
    """Class-level permissions under which clients add no fields: the definition names them all."""
    return {**(permissions or {}), "addField": {}}


def _type(field: Json) -> tuple[Json, Json]:
    definition = _members(field)
    return definition.get("type"), definition.get("targetClass")


def _members(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}
