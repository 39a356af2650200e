"""Installations: one row per device. A device that comes back under another id or token is recognised.

`find_place` decides what a save means for the rows that are there already; it is the table of the reference,
read top to bottom. A create may turn out to be an update.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from parse_clone.core.context import RequestContext
from parse_clone.core.json_types import JsonObject
from parse_clone.core.operations import Delete, Operation, Set
from parse_clone.core.permissions import row_condition
from parse_clone.core.query import WHOLE, AnyOf, Condition, In, NotIn, all_of, object_id_is
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.immutable import immutable
from parse_clone.services.objects.file_links import link_files
from parse_clone.services.objects.save import (
    announce,
    authorize_save,
    fill_and_require,
    grow_schema,
    load_original,
    run_after_save,
    run_before_save,
    write,
)
from parse_clone.services.objects.steps import Save, SaveStep
from parse_clone.services.toolbox import Toolbox

APPLE_TOKEN_SIZE = 64


@dataclass(frozen=True, slots=True)
class Device:
    """What a request says about its device. `request_id` is the installation id to look for: that of the
    body, or else of the client that sends the request."""

    installation_id: str | None
    request_id: str | None
    device_token: str | None
    device_type: str | None
    app_identifier: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a save goes: the row to update (None: a new one), and the rows it replaces, which have the id
    field `shared` in common with it."""

    object_id: str | None = None
    replaced: Condition | None = None
    shared: str = "deviceToken"


@immutable(slots=False)
class InstallationSave(Save):
    """A save of an installation, with its place among those that exist."""

    place: Place = Place()


# --- What the request says -------------------------------------------------------------------------------


async def normalize(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Write ids and Apple's tokens in lower case."""
    operations = dict(save.operations)
    for name in ("installationId", "deviceToken"):
        text = text_of(operations.get(name))
        if text is not None and (name == "installationId" or len(text) == APPLE_TOKEN_SIZE):
            operations[name] = Set(text.lower())
    return replace(save, operations=operations, sent={**save.sent, **changed(save.sent, operations)})


def changed(before: Mapping[str, Operation], after: Mapping[str, Operation]) -> Mapping[str, Operation]:
    """The operations that differ."""
    return {key: operation for key, operation in after.items() if before.get(key) != operation}


def text_of(operation: Operation | None) -> str | None:
    """The text that an operation stores; 111 for a value of another kind."""
    value = operation.value if isinstance(operation, Set) else None
    return value if isinstance(value, str) and value else None


def read_device(context: RequestContext, save: Save) -> Device:
    """What the save says about the device."""
    given = {
        name: text_of(save.operations.get(name))
        for name in ("installationId", "deviceToken", "deviceType", "appIdentifier")
    }
    installation_id = given["installationId"]
    sender = None if context.auth.is_privileged else context.installation_id
    return Device(
        installation_id=installation_id,
        request_id=installation_id or (sender.lower() if sender else None),
        device_token=given["deviceToken"],
        device_type=given["deviceType"],
        app_identifier=given["appIdentifier"],
    )


# --- What it means ---------------------------------------------------------------------------------------


async def recognize(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Find the row of the device: a create may turn out to be an update."""
    device = read_device(context, save)
    if save.is_create and not (device.device_token or device.request_id):
        raise ParseError(
            ErrorCode.MISSING_REQUIRED_FIELD,
            "at least one ID field (deviceToken, installationId) must be specified in this operation",
        )
    if not save.is_create and not (device.device_token or device.request_id or device.device_type):
        return save
    rows = [] if save.is_new_class else await toolbox.storage.find(save.schema, may_be(device, save), WHOLE)
    own = None if save.is_create else row_of(rows, save)
    if own is not None:
        check_unchangeable(device, own)
    place = find_place(toolbox, device, rows, own)
    placed = InstallationSave(**{part.name: getattr(save, part.name) for part in fields(save)}, place=place)
    if place.object_id is None:
        return placed
    return replace(placed, is_create=False, object_id=place.object_id)


def may_be(device: Device, save: Save) -> Condition:
    """Name the rows that could be of the same device."""
    conditions: list[Condition] = []
    if not save.is_create:
        conditions.append(object_id_is(str(save.object_id)))
    if device.request_id is not None:
        conditions.append(In("installationId", (device.request_id,)))
    if device.device_token is not None:
        conditions.append(In("deviceToken", (device.device_token,)))
    return AnyOf(tuple(conditions))


def row_of(rows: list[JsonObject], save: Save) -> JsonObject:
    """The row that an update names."""
    for row in rows:
        if row["objectId"] == save.object_id:
            return row
    raise ParseError(ErrorCode.OBJECT_NOT_FOUND, "Object not found for update.")


def check_unchangeable(device: Device, row: JsonObject) -> None:
    """Refuse to make another device of a row."""
    stored_id, stored_token = row.get("installationId"), row.get("deviceToken")
    for name, is_changed in (
        ("installationId", stored_id and device.installation_id and device.installation_id != stored_id),
        (
            "deviceToken",
            stored_token
            and device.device_token
            and device.device_token != stored_token
            and not (device.installation_id or stored_id),
        ),
        ("deviceType", device.device_type and device.device_type != row.get("deviceType")),
    ):
        if is_changed:
            raise ParseError(ErrorCode.IMMUTABLE_FIELD, f"{name} may not be changed in this operation")


def find_place(toolbox: Toolbox, device: Device, rows: list[JsonObject], own: JsonObject | None) -> Place:
    """Decide which row the save is about, and which ones it replaces."""
    if own is not None:
        return place_of_named(toolbox, device, rows, own)
    same_token = having(rows, "deviceToken", device.device_token)
    known = having(rows, "installationId", device.request_id)
    if not known:
        return place_of_unknown(device, same_token)
    known_id = str(known[0]["objectId"])
    if len(same_token) == 1 and not same_token[0].get("installationId"):
        return merge(toolbox, known_id, str(same_token[0]["objectId"]))
    if device.installation_id is None or not is_new_token(device, known[0]):
        return Place(known_id)
    return Place(known_id, has_other_id(device))


def place_of_named(toolbox: Toolbox, device: Device, rows: list[JsonObject], own: JsonObject) -> Place:
    """The place of an update: the row it names, whatever the sender's own installation is."""
    own_id = str(own["objectId"])
    for row in having(rows, "installationId", device.installation_id):
        if row is not own:
            return merge(toolbox, str(row["objectId"]), own_id)
    same_token = having(rows, "deviceToken", device.device_token)
    if len(same_token) == 1 and not same_token[0].get("installationId"):
        return merge(toolbox, own_id, str(same_token[0]["objectId"]))
    if not is_new_token(device, own):
        return Place(own_id)
    if device.installation_id is not None:
        return Place(own_id, has_other_id(device))
    return Place(own_id, has_same_token(device, NotIn("objectId", (own_id,))))


def is_new_token(device: Device, row: JsonObject) -> bool:
    """Does the request give the row a token that it did not have?"""
    return device.device_token is not None and row.get("deviceToken") != device.device_token


def having(rows: list[JsonObject], field: str, value: str | None) -> list[JsonObject]:
    """The rows with this value; none if there is no value."""
    return [row for row in rows if value is not None and row.get(field) == value]


def place_of_unknown(device: Device, same_token: list[JsonObject]) -> Place:
    """The place of a device whose installation id nobody knows."""
    if device.device_type is None:
        raise ParseError(ErrorCode.MISSING_REQUIRED_FIELD, "deviceType must be specified in this operation")
    if not same_token:
        return Place()
    only = same_token[0] if len(same_token) == 1 else None
    if only is not None and not (only.get("installationId") and device.request_id):
        return Place(str(only["objectId"]))
    if device.installation_id is None:
        raise ParseError(
            ErrorCode.AMBIGUOUS_INSTALLATION,
            "Must specify installationId when deviceToken matches multiple Installation objects",
        )
    return Place(None, has_other_id(device))


def merge(toolbox: Toolbox, match_id: str, nameless_id: str) -> Place:
    """Two rows of one device: one known by its id, one only by its token. One of them survives."""
    if match_id == nameless_id:
        return Place(match_id)
    priority = toolbox.settings.installation.duplicate_device_token_merge_priority
    if priority == "installationId":
        return Place(match_id, object_id_is(nameless_id))
    return Place(nameless_id, object_id_is(match_id), shared="installationId")


def has_other_id(device: Device) -> Condition:
    """Name the rows with this token that belong to another installation."""
    return has_same_token(device, NotIn("installationId", (device.installation_id,)))


def has_same_token(device: Device, condition: Condition) -> Condition:
    """Name those rows with this token, of the same application if the request names one."""
    named = all_of(In("deviceToken", (device.device_token,)), condition)
    if device.app_identifier is None:
        return named
    return all_of(named, In("appIdentifier", (device.app_identifier,)))


async def replace_rows(toolbox: Toolbox, context: RequestContext, save: Save) -> Save:
    """Remove the other rows of the device, or only the id they share with the one that was written."""
    if not isinstance(save, InstallationSave) or save.place.replaced is None:
        return save
    rows = save.place.replaced
    settings = toolbox.settings.installation
    if settings.duplicate_device_token_action_enforce_auth:
        rows = all_of(rows, row_condition(save.schema, "delete", context.auth))
    action = settings.duplicate_device_token_action
    if action == "update":
        await toolbox.storage.update_many(save.schema, rows, {save.place.shared: Delete()})
    else:
        await toolbox.storage.delete(save.schema, rows)
    return save


INSTALLATION_SAVE_STEPS: tuple[SaveStep, ...] = (
    normalize,
    recognize,
    authorize_save,
    load_original,
    run_before_save,
    grow_schema,
    fill_and_require,
    link_files,
    write,
    replace_rows,
    announce,
    run_after_save,
)
