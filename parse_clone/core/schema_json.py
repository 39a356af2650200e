"""Schemas as the schema API takes and shows them: decode, encode, and plan changes.

A plan is complete or refused: every check comes before the first change. Deletions come before additions.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import get_args

from parse_clone.core.javascript import text_of
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.names import RESERVED_FIELDS, check_class_name, is_field_name, root_of
from parse_clone.core.permission_json import (
    check_permissions,
    complete_permissions,
    open_permissions,
)
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
    IndexSpec,
    SchemaChange,
    SetFieldOptions,
    SetPermissions,
    TypeName,
    infer_type,
    type_mismatch,
)
from parse_clone.core.system_classes import DEFAULT_FIELDS, SYSTEM_FIELDS, VOLATILE_CLASSES
from parse_clone.core.values import normal_value
from parse_clone.errors import ErrorCode, ParseError

_TYPE_NAMES: Mapping[Json, TypeName] = {name: name for name in get_args(TypeName) if name != "ACL"}
_TARGETED = ("Pointer", "Relation")

# --- Encode ------------------------------------------------------------------------------------------------


def encode_schema(schema: ClassSchema) -> JsonObject:
    """Write a class as the schema API shows it."""
    permissions = open_permissions() if schema.permissions is None else schema.permissions
    encoded: JsonObject = {
        "className": schema.name,
        "fields": {name: encode_field(field) for name, field in schema.fields.items()},
        "classLevelPermissions": permissions,
    }
    if schema.indexes:
        encoded["indexes"] = {name: _encode_keys(keys) for name, keys in schema.indexes.items()}
    return encoded


def _encode_keys(keys: IndexSpec) -> JsonObject:
    """Parse quirk: the index of the ids shows the document database's name of the field."""
    return {"_id" if path == "objectId" else path: kind for path, kind in keys.items()}


def encode_field(field: Field) -> JsonObject:
    """Write a field's definition."""
    target: JsonObject = {} if field.type.target is None else {"targetClass": field.type.target}
    return {"type": field.type.name, **target, **field.options}


# --- Fields ------------------------------------------------------------------------------------------------


def decode_field(definition: Json) -> Field:
    """Read a field's definition; refuses unknown types (111) and bad targets (135, 103)."""
    if not isinstance(definition, dict):
        raise _invalid_json()
    field_type = _decode_type(definition.get("type"), definition.get("targetClass"))
    return Field(field_type, _options(definition))


def _options(definition: JsonObject) -> JsonObject:
    return {key: value for key, value in definition.items() if key not in ("type", "targetClass")}


def _decode_type(name: Json, target: Json) -> FieldType:
    if name in _TARGETED:
        if not target:
            raise ParseError(ErrorCode.MISSING_REQUIRED_FIELD, f"type {name} needs a class name")
        if not isinstance(target, str):
            raise _invalid_json()
        check_class_name(target)
        return FieldType(_TYPE_NAMES[name], target)
    if not isinstance(name, str):
        raise _invalid_json()
    if name not in _TYPE_NAMES:
        raise ParseError(ErrorCode.INCORRECT_TYPE, f"invalid field type: {name}")
    return FieldType(_TYPE_NAMES[name])


def _decode_new_field(class_name: str, name: str, definition: Json) -> Field:
    if not is_field_name(name, class_name):
        raise ParseError(ErrorCode.INVALID_KEY_NAME, f"invalid field name: {name}")
    if _is_built_in(class_name, name):
        raise ParseError(ErrorCode.IMMUTABLE_FIELD, f"field {name} cannot be added")
    field = decode_field(definition)
    check_options(class_name, name, field)
    return field


def _is_built_in(class_name: str, name: str) -> bool:
    return name in RESERVED_FIELDS or name in SYSTEM_FIELDS.get(class_name, {})


def check_options(class_name: str, name: str, field: Field) -> None:
    """Refuse a default of the wrong type or that no object may hold, and options that make no sense for
    links (111)."""
    default = infer_type(normal_value(field.options.get("defaultValue")))
    is_relation = field.type.name == "Relation"
    if default is not None:
        if is_relation and default.target is not None:
            raise _not_applicable("default value", field)
        if default != field.type:
            raise type_mismatch(f"{class_name}.{name} default value", field.type, default)
    elif is_relation and field.options.get("required"):
        raise _not_applicable("required", field)


def _not_applicable(option: str, field: Field) -> ParseError:
    return ParseError(ErrorCode.INCORRECT_TYPE, f"The '{option}' option is not applicable for {field.type}")


def check_one_geo_point(fields: Mapping[str, Field]) -> None:
    points = [name for name, field in fields.items() if field.type.name == "GeoPoint"]
    if len(points) > 1:
        raise ParseError(
            ErrorCode.INCORRECT_TYPE,
            "currently, only one GeoPoint field may exist in an object. "
            f"Adding {points[1]} when {points[0]} already exists.",
        )


# --- Create ------------------------------------------------------------------------------------------------


def requested_class_name(request: JsonObject, path_name: str | None) -> str:
    """The class that a request is about: named in the path, in the body, or in both alike (103, 135)."""
    named = request.get("className")
    if path_name and named and named != path_name:
        raise ParseError(
            ErrorCode.INVALID_CLASS_NAME,
            f"Class name mismatch between {text_of(named)} and {path_name}.",
        )
    name = path_name or named
    if not name:
        raise ParseError(ErrorCode.MISSING_REQUIRED_FIELD, "POST /schemas needs a class name.")
    return text_of(name)


def plan_create(
    request: JsonObject,
    path_name: str | None,
    existing: Container[str],
    *,
    allow_custom_object_id: bool = False,
    check_index_fields: bool = True,
) -> list[SchemaChange]:
    """Plan `POST /schemas`; the first change creates the class. `existing`: the classes that there are."""
    name = requested_class_name(request, path_name)
    if name in existing or name in VOLATILE_CLASSES:
        raise ParseError(ErrorCode.INVALID_CLASS_NAME, f"Class {name} already exists.")
    check_class_name(name)
    schema = decode_class_definition(name, request, allow_custom_object_id=allow_custom_object_id)
    indexes = _plan_indexes(schema, {}, request.get("indexes"), check_fields=check_index_fields)
    return [CreateClass(schema), *indexes]


def decode_class_definition(
    name: str, definition: JsonObject, *, allow_custom_object_id: bool = False
) -> ClassSchema:
    """Read the definition of a new class, without its indexes; system fields come along."""
    fields = {
        field_name: _decode_new_field(name, field_name, value)
        for field_name, value in _members(definition.get("fields")).items()
    }
    check_one_geo_point(fields)
    schema = ClassSchema(name, {**DEFAULT_FIELDS, **SYSTEM_FIELDS.get(name, {}), **fields})
    permissions = _decode_permissions(definition, schema, allow_custom_object_id)
    return ClassSchema(name, schema.fields, permissions)


def _decode_permissions(
    definition: JsonObject, schema: ClassSchema, allow_custom_object_id: bool
) -> JsonObject | None:
    permissions = definition.get("classLevelPermissions")
    if permissions is None:
        return None
    if not isinstance(permissions, dict):
        raise _invalid_json()
    check_permissions(permissions, schema, allow_custom_object_id=allow_custom_object_id)
    return complete_permissions(permissions)


# --- Update ------------------------------------------------------------------------------------------------


def plan_schema_update(
    current: ClassSchema,
    request: JsonObject,
    *,
    allow_custom_object_id: bool = False,
    check_index_fields: bool = True,
) -> list[SchemaChange]:
    """Plan `PUT /schemas/:className` for a class that exists. Schemas that are never stored do not."""
    if current.name in VOLATILE_CLASSES:
        raise ParseError(ErrorCode.INVALID_CLASS_NAME, f"Class {current.name} does not exist.")
    submitted = _members(request.get("fields"))
    _check_submitted(current, submitted)
    deleted = {name: current.fields[name] for name, value in submitted.items() if _is_delete(value)}
    added = {
        name: _decode_new_field(current.name, name, value)
        for name, value in submitted.items()
        if name not in current.fields
    }
    kept = {name: field for name, field in current.fields.items() if name not in deleted}
    future = ClassSchema(current.name, {**kept, **added})
    check_one_geo_point(future.fields)
    permissions = _decode_permissions(request, future, allow_custom_object_id)
    _check_deletable(current.name, deleted)
    changed = {
        name: field
        for name, value in submitted.items()
        if name in kept and (field := _decode_changed_field(current, name, value)) != current.fields[name]
    }
    indexes = _plan_indexes(future, current.indexes, request.get("indexes"), check_fields=check_index_fields)
    changes: list[SchemaChange] = []
    if deleted:
        changes.append(DeleteFields(current.name, deleted))
    if added:
        changes.append(AddFields(current.name, added))
    if changed:
        changes.append(SetFieldOptions(current.name, changed))
    if "classLevelPermissions" in request:
        changes.append(SetPermissions(current.name, permissions))
    return [*changes, *indexes]


def _check_submitted(current: ClassSchema, submitted: Mapping[str, Json]) -> None:
    """Refuse (255) another type for a field that exists, and the deletion of one that does not."""
    for name, value in submitted.items():
        known = current.fields.get(name)
        if not isinstance(value, dict):
            raise _invalid_json()
        if known is None and _is_delete(value):
            raise _invalid_change(f"Field {name} does not exist, cannot delete.")
        if known is not None and not _is_delete(value) and value.get("type") != known.type.name:
            raise _invalid_change(f"Field {name} exists, cannot update.")


def _check_deletable(class_name: str, names: Mapping[str, Field]) -> None:
    for name in names:
        if _is_built_in(class_name, name):
            raise ParseError(ErrorCode.IMMUTABLE_FIELD, f"field {name} cannot be changed")


def _decode_changed_field(current: ClassSchema, name: str, definition: Json) -> Field:
    """A field that is put again: same type, new options."""
    known = current.fields[name]
    if name in RESERVED_FIELDS:
        return known
    members = _members(definition)
    target = members.get("targetClass")
    field = Field(FieldType(known.type.name, target if isinstance(target, str) else None), _options(members))
    check_options(current.name, name, field)
    if field.type != known.type:
        raise type_mismatch(f"{current.name}.{name}", known.type, field.type)
    return field


def _is_delete(value: Json) -> bool:
    return isinstance(value, dict) and value.get("__op") == "Delete"


# --- Indexes -----------------------------------------------------------------------------------------------

_KINDS: tuple[int | str, ...] = (1, -1, "text", "2d", "2dsphere")


def _plan_indexes(
    schema: ClassSchema, existing: Mapping[str, IndexSpec], submitted: Json, *, check_fields: bool
) -> list[SchemaChange]:
    dropped: list[str] = []
    added: list[Index] = []
    for name, value in _members(submitted).items():
        exists = name in existing or name == "_id_"
        if _is_delete(value):
            if not exists:
                raise _invalid_index(f"Index {name} does not exist, cannot delete.")
            dropped.append(name)
        elif exists:
            raise _invalid_index(f"Index {name} exists, cannot update.")
        else:
            added.append(_decode_index(schema, name, value, check_fields))
    changes: list[SchemaChange] = []
    if dropped:
        changes.append(DropIndexes(schema.name, tuple(dropped)))
    if added:
        changes.append(AddIndexes(tuple(added)))
    return changes


def _decode_index(schema: ClassSchema, name: str, value: Json, check_fields: bool) -> Index:
    keys: list[tuple[str, int | str]] = []
    for key, kind in _members(value).items():
        path = key.removeprefix("_p_")
        if check_fields and root_of(path) not in schema.fields:
            raise _invalid_index(f"Field {key} does not exist, cannot add index.")
        if isinstance(kind, bool) or not isinstance(kind, int | float | str) or kind not in _KINDS:
            raise _invalid_index(f"Index {name} has an invalid value for {key}.")
        keys.append((path, kind if isinstance(kind, str) else int(kind)))
    if not keys:
        raise _invalid_index(f"Index {name} has no fields.")
    return Index(schema.name, name, tuple(keys))


def _members(value: Json) -> JsonObject:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _invalid_json()
    return value


def _invalid_json() -> ParseError:
    return ParseError(ErrorCode.INVALID_JSON, "invalid JSON")


def _invalid_change(text: str) -> ParseError:
    return ParseError(ErrorCode.INVALID_SCHEMA_OPERATION, text)


def _invalid_index(text: str) -> ParseError:
    return ParseError(ErrorCode.INVALID_QUERY, text)
