"""The global config: one object of parameters for all clients, some of them for the master key alone."""

from __future__ import annotations

from parse_clone.core.context import RequestContext
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.operations import ChangeRelation, Delete, FieldOperation, Set, decode_operations
from parse_clone.core.query import Page, object_id_is
from parse_clone.core.system_classes import system_schema
from parse_clone.errors import ErrorCode, ParseError, permission_denied
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import CONFIG, ConfigEvent, TriggerKind, run_trigger

CLASS = system_schema("_GlobalConfig")
ROW = "1"
"""There is one config, and this is its object id."""


async def read_config(toolbox: Toolbox, context: RequestContext) -> JsonObject:
    """The parameters that the caller may see."""
    config = await load_config(toolbox)
    if config is None:
        return {"params": {}}
    params, master_only = parts(config)
    if context.auth.is_master:
        return {"params": params, "masterKeyOnly": master_only}
    return {
        "params": {name: value for name, value in params.items() if not master_only.get(name)},
        "masterKeyOnly": {name: flag for name, flag in master_only.items() if not flag},
    }


async def update_config(toolbox: Toolbox, context: RequestContext, body: JsonObject) -> JsonObject:
    """Change the parameters that are named; the others stay."""
    if context.auth.is_read_only:
        raise permission_denied("read-only masterKey isn't allowed to update the config.")
    operations, given = decode_changes(body)
    if not operations:
        return {"result": True}
    toolbox.keywords.check(body)
    stored = await load_config(toolbox)
    original = None if stored is None else parts(stored)[0]
    await run_trigger(
        toolbox,
        ConfigEvent(TriggerKind.BEFORE_SAVE, CONFIG, context, params=given, original=original),
    )
    changed = await toolbox.storage.update(CLASS, object_id_is(ROW), operations, upsert=True)
    await toolbox.caches.invalidate_config()
    params = parts(changed)[0] if changed is not None else {}
    await run_trigger(
        toolbox,
        ConfigEvent(TriggerKind.AFTER_SAVE, CONFIG, context, params=params, original=original),
    )
    return {"result": True}


async def load_config(toolbox: Toolbox) -> JsonObject | None:
    """The stored config, from the cache if possible."""
    cache = toolbox.caches.config
    known, drops = cache.get(ROW), cache.drops
    if known is None:
        found = await toolbox.storage.find(CLASS, object_id_is(ROW), Page(limit=1))
        known = found[0] if found else None
        if known is not None:
            cache.put(ROW, known, drops)
    return known


def parts(config: JsonObject) -> tuple[JsonObject, JsonObject]:
    """Parameters, and which of them are for the master key alone."""
    params, master_only = config.get("params"), config.get("masterKeyOnly")
    return params if isinstance(params, dict) else {}, master_only if isinstance(master_only, dict) else {}


def decode_changes(body: JsonObject) -> tuple[dict[str, FieldOperation], JsonObject]:
    """The writes that a request asks for, and the values it brings."""
    params, flags = parts(body)
    operations: dict[str, FieldOperation] = {}
    for name, value in params.items():
        check_parameter_name(name)
        operation = decode_operation(value)
        is_deleted = isinstance(operation, Delete)
        operations[f"params.{name}"] = operation
        operations[f"masterKeyOnly.{name}"] = Delete() if is_deleted else Set(bool(flags.get(name)))
    return operations, params


def decode_operation(value: Json) -> FieldOperation:
    """Read one value or operation. Values are kept to the letter: a file keeps its url."""
    operation = decode_operations({"value": value}, creating=False).get("value")
    if operation is None or isinstance(operation, ChangeRelation):
        raise ParseError(ErrorCode.INCORRECT_TYPE, "A parameter cannot be a relation.")
    return Set(value) if isinstance(operation, Set) else operation


def check_parameter_name(name: str) -> None:
    """Refuse a name that would be a path (105): parameters do not nest."""
    if not name or "." in name or "$" in name:
        raise ParseError(ErrorCode.INVALID_KEY_NAME, f"Invalid field name: {name}.")
