"""The schema API: listing, creating, changing and deleting classes. The doors let only the master key in."""

from __future__ import annotations

from typing import TypedDict

from parse_clone.core.context import RequestContext
from parse_clone.core.json_types import JsonObject
from parse_clone.core.names import check_class_name, invalid_class_name
from parse_clone.core.query import EVERYTHING
from parse_clone.core.schema import ClassSchema, DropClass
from parse_clone.core.schema_json import encode_schema, plan_create, plan_schema_update, requested_class_name
from parse_clone.core.system_classes import VOLATILE_CLASSES, WRITTEN_BY_ROUTES
from parse_clone.errors import ErrorCode, ParseError, permission_denied
from parse_clone.services.objects.auditing import audit
from parse_clone.services.objects.file_links import prepare_links
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import AuditEvent


class PlanningRules(TypedDict):
    """Keyword arguments of the planning functions."""

    allow_custom_object_id: bool
    check_index_fields: bool


async def list_schemas(toolbox: Toolbox) -> list[JsonObject]:
    """Every class that exists in the storage."""
    await toolbox.catalog.load()
    return [encode_schema(s) for n, s in toolbox.catalog.classes.items() if n not in VOLATILE_CLASSES]


async def read_schema(toolbox: Toolbox, class_name: str) -> JsonObject:
    """One class; built-in ones too."""
    return encode_schema(await require_class(toolbox, class_name))


async def require_class(toolbox: Toolbox, class_name: str) -> ClassSchema:
    """The schema of a class that must exist (103)."""
    schema = await toolbox.catalog.get(class_name)
    if schema is None:
        raise ParseError(ErrorCode.INVALID_CLASS_NAME, f"Class {class_name} does not exist.")
    return schema


async def create_schema(
    toolbox: Toolbox, context: RequestContext, class_name: str | None, body: JsonObject
) -> JsonObject:
    """Create a class; the name stands in the path, the body or both."""
    check_may_change(toolbox, context, "create a schema")
    name = requested_class_name(body, class_name)
    await toolbox.catalog.load()
    changes = plan_create(body, class_name, toolbox.catalog.classes, **planning_rules(toolbox))
    await toolbox.catalog.apply(toolbox.storage, *changes)
    await prepare_links(toolbox)
    return encode_schema(await require_class(toolbox, name))


async def update_schema(
    toolbox: Toolbox, context: RequestContext, class_name: str, body: JsonObject
) -> JsonObject:
    """Add, change and remove fields and indexes; replace the class-level permissions."""
    check_may_change(toolbox, context, "update a schema")
    toolbox.triggers.check_may_remove(class_name)  # a lost field is a loss in every row
    requested_class_name(body, class_name)
    schema = await require_class(toolbox, class_name)
    changes = plan_schema_update(schema, body, **planning_rules(toolbox))
    await toolbox.catalog.apply(toolbox.storage, *changes)
    await prepare_links(toolbox)
    return encode_schema(await require_class(toolbox, class_name))


async def delete_schema(toolbox: Toolbox, context: RequestContext, class_name: str) -> None:
    """Delete a class that has no rows; an unknown one is deleted already."""
    check_may_change(toolbox, context, "delete a schema", is_delete=True)
    toolbox.triggers.check_may_remove(class_name)
    check_class_name(class_name)
    if class_name in WRITTEN_BY_ROUTES:
        raise invalid_class_name(class_name)
    schema = await toolbox.catalog.get(class_name)
    if schema is None:
        return
    rows = await toolbox.storage.count(schema, EVERYTHING)
    if rows:
        raise ParseError(
            ErrorCode.INVALID_SCHEMA_OPERATION,
            f"Class {class_name} is not empty, contains {rows} objects, cannot drop schema.",
        )
    await toolbox.catalog.apply(toolbox.storage, DropClass(schema))
    await toolbox.caches.invalidate_all()


async def purge_class(toolbox: Toolbox, context: RequestContext, class_name: str) -> None:
    """Delete every row of a class; the class stays."""
    check_may_change(toolbox, context, "purge a schema", is_delete=True)
    toolbox.triggers.check_may_remove(class_name)
    await audit(toolbox, AuditEvent("purge", class_name, (), context))
    schema = await toolbox.catalog.get(class_name)
    if schema is not None:
        await toolbox.storage.delete(schema, EVERYTHING)
    await toolbox.caches.invalidate_all()


def check_may_change(
    toolbox: Toolbox, context: RequestContext, action: str, *, is_delete: bool = False
) -> None:
    """Refuse changes with the read-only key, and where the schemas are locked."""
    if context.auth.is_read_only:
        raise permission_denied(f"read-only masterKey isn't allowed to {action}.")
    if toolbox.settings.schema.lock_schemas and not is_delete:
        raise ParseError(
            ErrorCode.OPERATION_FORBIDDEN, "Cannot perform this operation when schemas options is used."
        )


def planning_rules(toolbox: Toolbox) -> PlanningRules:
    """The settings that decide what a class definition may say."""
    return {
        "allow_custom_object_id": toolbox.settings.allow_custom_object_id,
        "check_index_fields": not toolbox.settings.database_options.disable_index_field_validation,
    }
