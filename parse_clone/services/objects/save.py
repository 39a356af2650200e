"""Creating and updating an object: one list of steps, read top to bottom.

System classes have lists of their own in their rooms, made of these steps and a few more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import structlog

from parse_clone.core.acl import normalize_acl
from parse_clone.core.context import Privilege, RequestContext
from parse_clone.core.draft import Draft
from parse_clone.core.javascript import is_truthy
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.matcher import matches
from parse_clone.core.names import JoinTable, is_class_name, root_of
from parse_clone.core.operations import (
    ChangeRelation,
    Delete,
    FieldOperation,
    Operation,
    Set,
    decode_operations,
    echo,
    encode_operation,
    field_operations,
    initial_values,
    relation_changes,
)
from parse_clone.core.permissions import authorize, check_class_access, default_acl, row_condition
from parse_clone.core.private_files import has_file, without_signatures
from parse_clone.core.query import In, Page, all_of, object_id_is
from parse_clone.core.schema import ClassSchema, Field, apply_defaults, check_types
from parse_clone.core.system_classes import (
    CLIENT_CREATABLE,
    WRITABLE_INTERNAL_FIELDS,
    check_required_columns,
    new_schema,
)
from parse_clone.core.values import check_file_domains, encode_date
from parse_clone.errors import ErrorCode, ParseError, object_not_found, permission_denied
from parse_clone.services.changes import ObjectChange
from parse_clone.services.objects.auditing import audited, event_of_save
from parse_clone.services.objects.file_links import brings_files, forget_links, link_files
from parse_clone.services.objects.present import with_urls
from parse_clone.services.objects.requests import LARGE_BODY, SaveAnswer, SaveRequest
from parse_clone.services.objects.steps import Finder, Save, SaveStep, changed
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import SaveEvent, TriggerKind, run_trigger

log = structlog.get_logger()

ONE = Page(limit=1)


async def walk_save(
    steps: Sequence[SaveStep], run: Finder, toolbox: Toolbox, context: RequestContext, request: SaveRequest
) -> SaveAnswer:
    """Walk a save through its steps; a step that sets an answer ends the walk."""
    save = await start_save(run, toolbox, context, request)
    try:
        for step in steps:
            save = await step(toolbox, context, save)
            if save.answer is not None:
                break
    except ParseError:
        await forget_links(toolbox, save)
        raise
    answer = save.answer or answer_save(save)
    body = with_urls(toolbox, context, save.schema, answer.body)
    return answer if body is answer.body else replace(answer, body=body)


async def start_save(run: Finder, toolbox: Toolbox, context: RequestContext, request: SaveRequest) -> Save:
    """Decode a request: may this caller write the class at all, and what does he ask for?"""
    is_create = request.object_id is None
    check_class_access(request.class_name, "create" if is_create else "update", context.auth)
    decode = partial(decode_body, toolbox, request)
    object_id, sent = decode() if request.size < LARGE_BODY else await asyncio.to_thread(decode)
    schema = await toolbox.catalog.get(request.class_name)
    if schema is None:
        check_class_creation(toolbox, context, request.class_name)
        check_new_class(request)
    return Save(
        class_name=request.class_name,
        object_id=object_id,
        is_create=is_create,
        sent=sent,
        operations=sent,
        now=encode_date(toolbox.clock.now()),
        schema=schema or new_schema(request.class_name),
        run=run,
        is_new_class=schema is None,
        where=all_of(*(In(name, (value,)) for name, value in request.expected.items())),
        only_if_unchanged=bool(request.expected),
    )


def decode_body(toolbox: Toolbox, request: SaveRequest) -> tuple[str | None, dict[str, Operation]]:
    """Check a body and decode it: the object's id, and what shall be done to it."""
    toolbox.keywords.check(request.body)
    check_file_domains(request.body, toolbox.settings.file_upload.allowed_file_url_domains)
    body, object_id = take_object_id(toolbox, request)
    operations = decode_operations(body, creating=request.object_id is None)
    return object_id, to_store(toolbox, operations) if has_file(body) else operations


def to_store(toolbox: Toolbox, operations: dict[str, Operation]) -> dict[str, Operation]:
    """What clients and hooks wish, less what was made for one reader."""
    return without_signatures(operations) if toolbox.settings.private_files else operations


def take_object_id(toolbox: Toolbox, request: SaveRequest) -> tuple[JsonObject, str | None]:
    """Separate the object id from the body: a create may bring one only where the settings allow it."""
    body = dict(request.body)
    given = body.pop("objectId", None)
    if request.object_id is not None:
        if given is not None and given != request.object_id:
            raise ParseError(ErrorCode.INVALID_KEY_NAME, "objectId is an invalid field name.")
        return body, request.object_id
    if toolbox.settings.allow_custom_object_id:
        if "objectId" not in request.body:
            return body, toolbox.ids.object_id(toolbox.settings.object_id_size)
        if given is None or given == "":
            raise ParseError(ErrorCode.MISSING_OBJECT_ID, "objectId must not be empty, null or undefined")
        if not isinstance(given, str):
            raise ParseError(
                ErrorCode.INCORRECT_TYPE,
                f"schema mismatch for {request.class_name}.objectId; "
                f"expected String but got {type_name(given)}",
            )
        return body, given
    if is_truthy(given):
        raise ParseError(ErrorCode.INVALID_KEY_NAME, "objectId is an invalid field name.")
    if is_truthy(body.get("id")):
        raise ParseError(ErrorCode.INVALID_KEY_NAME, "id is an invalid field name.")
    body.pop("id", None)
    return body, toolbox.ids.object_id(toolbox.settings.object_id_size)


def type_name(value: Json) -> str:
    """Name a JSON value's type as schema errors do."""
    match value:
        case bool():
            return "Boolean"
        case int() | float():
            return "Number"
        case list():
            return "Array"
        case _:
            return "Object"


def check_class_creation(toolbox: Toolbox, context: RequestContext, class_name: str) -> None:
    """Refuse to meet a class that does not exist, unless this caller may create classes."""
    may_create = toolbox.settings.allow_client_class_creation or class_name in CLIENT_CREATABLE
    if not (context.auth.is_privileged or may_create):
        raise permission_denied(f"This user is not allowed to access non-existent class: {class_name}")


def check_new_class(request: SaveRequest) -> None:
    """A create may bring its class into being; an update of a class that does not exist finds nothing."""
    if not is_class_name(request.class_name):
        raise ParseError(ErrorCode.INVALID_JSON, "schema class name does not revalidate")
    if request.object_id is not None:
        raise object_not_found()


# --- Steps -----------------------------------------------------------------------------------------------


async def authorize_save(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Ask the class permissions; for an update they also say which rows may be written."""
    toolbox.triggers.check_may_write(save.class_name)
    if save.is_new_class:
        return save
    if save.is_create:
        authorize(save.schema, "create", context.auth)
        return save
    return changed(save, where=all_of(save.where, row_condition(save.schema, "update", context.auth)))


async def load_original(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Load the stored object of an update, if a later step will look at it."""
    if save.is_create or not is_original_needed(toolbox, save):
        return save
    original = await fetch_one(toolbox, save.schema, save.object_id)
    if original is None or not matches(save.where, original):
        raise not_writable(save)
    return replace(save, original=original)


def is_original_needed(toolbox: Toolbox, save: Save) -> bool:
    """Will somebody look at the state before the write? Files are given only to what may be written."""
    return (
        toolbox.triggers.has(save.class_name, TriggerKind.BEFORE_SAVE, TriggerKind.AFTER_SAVE)
        or toolbox.changes.wants(save.class_name)
        or brings_files(toolbox, save)
    )


async def fetch_one(toolbox: Toolbox, schema: ClassSchema, object_id: str | None) -> JsonObject | None:
    """Load one stored object, whoever asks."""
    if object_id is None:
        return None
    found = await toolbox.storage.find(schema, object_id_is(object_id), ONE)
    return found[0] if found else None


async def run_before_save(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Let cloud code change the object or refuse it. A forbidden write never gets here."""
    if not toolbox.triggers.has(save.class_name, TriggerKind.BEFORE_SAVE):
        return save
    draft = Draft(save.class_name, save.object_id, save.original, dict(save.operations))
    await run_trigger(
        toolbox,
        SaveEvent(TriggerKind.BEFORE_SAVE, save.class_name, context, draft=draft, original=save.original),
    )
    toolbox.keywords.check({key: encode_operation(wish) for key, wish in draft.operations.items()})
    object_id = draft.object_id if save.is_create and draft.object_id else save.object_id
    save = replace(save, operations=to_store(toolbox, draft.operations), object_id=object_id)
    if draft.only_if_unchanged and save.original is not None:
        is_unchanged = In("updatedAt", (date_of_row(save.original),))
        return replace(save, where=all_of(save.where, is_unchanged), only_if_unchanged=True)
    return save


def date_of_row(row: JsonObject) -> JsonObject:
    """When a stored object was last written, as queries name dates."""
    return {"__type": "Date", "iso": row["updatedAt"]}


async def grow_schema(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Check every value against its field's type; create the class and the fields that are new."""
    where = save.where
    if not save.is_new_class and names_new_fields(save.schema, save.operations):
        where = all_of(where, authorize(save.schema, "addField", context.auth, updating=not save.is_create))
    new_fields = check_values(context, save, save.schema)
    check_required_columns(save.class_name, save.operations, creating=save.is_create)
    if not new_fields and not save.is_new_class:
        return save
    if save.is_new_class:
        schema = await toolbox.catalog.create_class(
            toolbox.storage, replace(save.schema, fields={**save.schema.fields, **new_fields})
        )
        missing = check_values(context, save, schema)
        if missing:
            schema = await toolbox.catalog.add_fields(toolbox.storage, save.class_name, missing)
        return replace(save, schema=schema, is_new_class=False)
    schema = await toolbox.catalog.add_fields(toolbox.storage, save.class_name, new_fields)
    check_values(context, save, schema)
    return replace(save, schema=schema, where=where)


def names_new_fields(schema: ClassSchema, operations: Mapping[str, Operation]) -> bool:
    """Would this write add fields, if its values were good? The right to do so is asked before the values
    are looked at, so that a refused caller learns nothing of the fields' types."""
    if operations.keys() <= schema.fields.keys():
        return False
    return any(
        root_of(path) not in schema.fields and not isinstance(operation, Delete)
        for path, operation in operations.items()
    )


def check_values(context: RequestContext, save: Save, schema: ClassSchema) -> dict[str, Field]:
    """Check every value against its field's type; the fields that the schema lacks."""
    internal = WRITABLE_INTERNAL_FIELDS.get(save.class_name, ()) if context.auth.is_maintenance else ()
    return check_types(schema, save.operations, internal=internal)


async def fill_and_require(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Fill defaults, refuse missing required fields, bring the ACL into its stored form."""
    operations = apply_defaults(save.schema, save.operations, creating=save.is_create)
    operations = with_acl(save, context, operations)
    return save if operations is save.operations else changed(save, operations=operations)


def with_acl(
    save: Save, context: RequestContext, operations: Mapping[str, Operation]
) -> Mapping[str, Operation]:
    """Normalise the ACL that was given; on a create without one take the class's default."""
    given = operations.get("ACL")
    if isinstance(given, Set) and given is save.sent.get("ACL"):
        return operations  # normal since it was decoded
    if given is None:
        acl = default_acl(save.schema, context.auth) if save.is_create else None
        return operations if acl is None else {**operations, "ACL": Set(acl)}
    if isinstance(given, Delete):
        return without_acl(operations) if save.is_create else operations
    value = given.value if isinstance(given, Set) else {}
    if value is None:
        return without_acl(operations)
    acl = normalize_acl(value)
    if isinstance(given, Set) and acl == value:
        return operations
    return {**without_acl(operations), "ACL": Set(acl)}


def without_acl(operations: Mapping[str, Operation]) -> dict[str, Operation]:
    """The operations on everything but the ACL."""
    return {key: operation for key, operation in operations.items() if key != "ACL"}


async def write(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Store the object. Where the class has an auditor, it is told first."""
    if save.class_name not in toolbox.triggers.auditors:
        return await store(toolbox, context, save)
    async with audited(toolbox, event_of_save(context, save)):
        return await store(toolbox, context, save)


async def store(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Store the object with one call; the row condition travels with it. Then its links."""
    fields = field_operations(save.operations, save.schema.relations)
    if save.is_create:
        result = created_object(save, context, fields)
        await toolbox.storage.insert(save.schema, [result])
    else:
        result = await update_row(toolbox, context, save, fields)
    await change_links(toolbox, save)
    return changed(save, result=result)


def created_object(save: Save, context: RequestContext, fields: Mapping[str, FieldOperation]) -> JsonObject:
    """The stored form of a new object."""
    created, updated = timestamps(save, context, fields)
    own: JsonObject = {"objectId": save.object_id, "createdAt": created, "updatedAt": updated}
    return {**own, **initial_values(fields), **own}  # the id in front: readers of the text find it there


def timestamps(save: Save, context: RequestContext, fields: Mapping[str, FieldOperation]) -> tuple[str, str]:
    """Now, twice; the maintenance key may bring its own times (a migration), beginning with the creation."""
    if context.auth.privilege is not Privilege.MAINTENANCE or "createdAt" not in fields:
        return save.now, save.now
    created = date_of(fields.get("createdAt")) or save.now
    updated = date_of(fields.get("updatedAt")) or created
    if updated < created:
        raise ParseError(ErrorCode.VALIDATION_ERROR, "updatedAt cannot occur before createdAt")
    return created, updated


def date_of(operation: FieldOperation | None) -> str | None:
    """The ISO text of a Date that is set."""
    if isinstance(operation, Set) and isinstance(operation.value, dict):
        iso = operation.value.get("iso")
        return iso if isinstance(iso, str) else None
    return None


async def update_row(
    toolbox: Toolbox, context: RequestContext, save: Save, fields: dict[str, FieldOperation]
) -> JsonObject:
    """Change the one row that the caller may write; absent and forbidden look the same."""
    assert save.object_id is not None
    fields = {key: op for key, op in fields.items() if key not in ("createdAt", "objectId")}
    fields["updatedAt"] = Set(save.now)
    result = await toolbox.storage.update(
        save.schema, all_of(object_id_is(save.object_id), save.where), fields
    )
    if result is None:
        raise not_writable(save)
    return result


def not_writable(save: Save) -> ParseError:
    """Build the answer to a write that finds no row, or one that is not as the request relies on."""
    if save.only_if_unchanged:
        return ParseError(ErrorCode.WRITE_CONFLICT, "The object was changed meanwhile. Read it again.")
    return object_not_found()


async def change_links(toolbox: Toolbox, save: Save) -> None:
    """Link and unlink what relation operations name."""
    if save.object_id is None or not save.schema.relations:
        return
    for key, change in relation_changes(save.operations).items():
        table = JoinTable(save.class_name, key)
        if change.add:
            await toolbox.storage.link(table, save.object_id, change.add)
        if change.remove:
            await toolbox.storage.unlink(table, save.object_id, change.remove)


async def announce(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Tell the change feed."""
    if toolbox.changes.wants(save.class_name):
        await toolbox.changes.announce(ObjectChange(save.class_name, save.original, save.result))
    return save


async def run_after_save(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Run cloud code after the write. Its failures are logged, never answered: the object is stored."""
    if save.result is None or not toolbox.triggers.has(save.class_name, TriggerKind.AFTER_SAVE):
        return save
    draft = Draft(save.class_name, save.object_id, save.result, {})
    event = SaveEvent(TriggerKind.AFTER_SAVE, save.class_name, context, draft=draft, original=save.original)
    try:
        replacement = await run_trigger(toolbox, event)
    except ParseError as error:
        log.warning("afterSave failed", class_name=save.class_name, code=error.code, error=error.message)
        return save
    if isinstance(replacement, dict):
        return replace(save, answer=replace(answer_save(save), body=replacement))
    if draft.operations:
        more = {key: shown(draft.current, key, operation) for key, operation in draft.operations.items()}
        return changed(save, extra={**save.extra, **more})
    return save


# --- Answer ----------------------------------------------------------------------------------------------


def answer_save(save: Save) -> SaveAnswer:
    """What the client reads: what it cannot know already."""
    assert save.result is not None
    body: JsonObject = (
        {"objectId": save.object_id, "createdAt": save.result["createdAt"]}
        if save.is_create
        else {"updatedAt": save.result["updatedAt"]}
    )
    body.update(echo(save.result, save.sent))
    body.update(changed_on_the_way(save, save.result))
    body.update(save.extra)
    if not save.is_create:
        return SaveAnswer(body, created=False)
    return SaveAnswer(body, created=True, location=f"/{location_prefix(save.class_name)}/{save.object_id}")


def location_prefix(class_name: str) -> str:
    """Where an object of the class is found below the mount path."""
    return "users" if class_name == "_User" else f"classes/{class_name}"


def changed_on_the_way(save: Save, result: JsonObject) -> JsonObject:
    """The fields whose stored value is not what the client sent: set by a hook, a default, a default ACL."""
    if save.operations is save.sent:
        return {}
    rewritten = {
        key: shown(result, key, operation)
        for key, operation in save.operations.items()
        if not key.startswith("_")
        and save.sent.get(key) != operation
        and not (key == "ACL" and "ACL" in save.sent)
    }
    reverted = {
        key: result.get(key, {"__op": "Delete"})
        for key, operation in save.sent.items()
        if key not in save.operations and key != "ACL" and isinstance(operation, Set)
    }
    return {**reverted, **rewritten}


def shown(result: JsonObject, key: str, operation: Operation) -> Json:
    """A field as the answer shows it after a hook changed it."""
    if isinstance(operation, Delete):
        return {"__op": "Delete"}
    if isinstance(operation, ChangeRelation):
        return {"__type": "Relation", "className": operation.class_name}
    return result.get(key.partition(".")[0])


SAVE_STEPS: tuple[SaveStep, ...] = (
    authorize_save,
    load_original,
    run_before_save,
    grow_schema,
    fill_and_require,
    link_files,
    write,
    announce,
    run_after_save,
)
