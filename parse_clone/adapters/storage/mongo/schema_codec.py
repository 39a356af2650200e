"""How class schemas lie in `_SCHEMA`: a member per field, everything else under `_metadata`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo import IndexModel
from pymongo.collation import Collation

from parse_clone.adapters.storage.mongo.codec import Row, RowCodec, rest_path
from parse_clone.core.json_types import JsonObject
from parse_clone.core.schema import ClassSchema, Field, FieldType, Index, IndexSpec, TypeName
from parse_clone.core.system_classes import DEFAULT_FIELDS, DEFAULT_INDEXES

CASE_INSENSITIVE = Collation(locale="en_US", strength=2)

_NOT_FIELDS = frozenset({"_id", "_metadata", "_client_permissions"})
_NEVER_LISTED = frozenset({"ACL", "_hashed_password", "_rperm", "_wperm", "_acl"})
_TYPE_NAMES: Mapping[str, TypeName] = {
    "string": "String",
    "number": "Number",
    "boolean": "Boolean",
    "date": "Date",
    "object": "Object",
    "map": "Object",
    "array": "Array",
    "geopoint": "GeoPoint",
    "polygon": "Polygon",
    "file": "File",
    "bytes": "Bytes",
}
_OPERATIONS = ("find", "count", "get", "create", "update", "delete", "addField")


# --- Rows of _SCHEMA -------------------------------------------------------------------------------------


def decode_schema(row: Row) -> ClassSchema:
    """Read a class from its row. Fields of unknown types are left out."""
    metadata = row.get("_metadata") or {}
    options = metadata.get("fields_options") or {}
    fields = {
        name: Field(field_type, options.get(name) or {})
        for name, text in row.items()
        if name not in _NOT_FIELDS and (field_type := _decode_type(text))
    }
    permissions = metadata.get("class_permissions")
    indexes = metadata.get("indexes") or {}
    return ClassSchema(
        row["_id"],
        {**fields, **DEFAULT_FIELDS},
        permissions=None if permissions is None else _complete(permissions),
        indexes={name: _decode_keys(keys) for name, keys in indexes.items()},
    )


def _decode_type(text: object) -> FieldType | None:
    if not isinstance(text, str):
        return None
    if text.startswith("*"):
        return FieldType("Pointer", text[1:])
    if text.startswith("relation<"):
        return FieldType("Relation", text[len("relation<") : -1])
    name = _TYPE_NAMES.get(text)
    return None if name is None else FieldType(name)


def _complete(permissions: JsonObject) -> JsonObject:
    """An operation that the stored permissions leave out is granted to nobody."""
    return {**{operation: {} for operation in _OPERATIONS}, "protectedFields": {}, **permissions}


def _decode_keys(keys: Mapping[str, Any]) -> IndexSpec:
    return {rest_path(name): int(kind) if isinstance(kind, float) else kind for name, kind in keys.items()}


def _encode_type(field_type: FieldType) -> str:
    match field_type.name:
        case "Pointer":
            return f"*{field_type.target}"
        case "Relation":
            return f"relation<{field_type.target}>"
        case name:
            return name.lower()


def is_listed(class_name: str, name: str) -> bool:
    """Is this a field that rows of `_SCHEMA` mention? A user's password is none, that of other classes is."""
    return name not in _NEVER_LISTED and (class_name, name) != ("_User", "password")


def encode_schema(schema: ClassSchema) -> Row:
    """Write a new class as its row."""
    row: Row = {"_id": schema.name}
    listed = {name: field for name, field in schema.fields.items() if is_listed(schema.name, name)}
    row |= {name: _encode_type(field.type) for name, field in listed.items()}
    metadata: Row = {}
    if schema.permissions is not None:
        metadata["class_permissions"] = schema.permissions
    options = {name: dict(field.options) for name, field in listed.items() if field.options}
    if options:
        metadata["fields_options"] = options
    return row | {"_metadata": metadata} if metadata else row


def added_field(name: str, field: Field) -> Row:
    """The update of a row that adds a field."""
    options = {f"_metadata.fields_options.{name}": dict(field.options)} if field.options else {}
    return {"$set": {name: _encode_type(field.type), **options}}


def changed_options(fields: Mapping[str, Field]) -> Row:
    """The update of a row that replaces the options of fields."""
    options = {f"_metadata.fields_options.{name}": field.options for name, field in fields.items()}
    update: Row = {
        "$set": {path: dict(value) for path, value in options.items() if value},
        "$unset": {path: "" for path, value in options.items() if not value},
    }
    return {operator: changes for operator, changes in update.items() if changes}


# --- Indexes ---------------------------------------------------------------------------------------------


def index_model(codec: RowCodec, index: Index) -> IndexModel:
    """Describe an index for the driver. Those of the system are exactly parse-server's (even the order of the
    options, and an obsolete one): it asks for them again when it starts, and must find them made."""
    keys = [(codec.column(path).name, kind) for path, kind in index.keys]
    options: dict[str, Any] = {"name": index.name}
    if index.unique:
        options["unique"] = True
    if index.unique or index in DEFAULT_INDEXES:
        options |= {"background": True, "sparse": True}
    if index.case_insensitive:
        options["collation"] = CASE_INSENSITIVE
    if index.expire_after_seconds is not None:
        options["expireAfterSeconds"] = index.expire_after_seconds
    return IndexModel(keys, **options)


def decode_index(class_name: str, description: Mapping[str, Any]) -> Index:
    """Read an index as the database describes it."""
    collation = description.get("collation") or {}
    return Index(
        class_name,
        description["name"],
        tuple(_decode_keys(mirrored_keys(description)).items()),
        unique=bool(description.get("unique")),
        case_insensitive=collation.get("strength") in (1, 2),
        expire_after_seconds=description.get("expireAfterSeconds"),
    )


def mirrored_keys(description: Mapping[str, Any]) -> Row:
    """The keys of an index as `_metadata.indexes` shows them, with the members of text indexes."""
    keys = dict(description["key"])
    if keys.pop("_fts", None) is None:
        return keys
    keys.pop("_ftsx", None)
    return keys | dict.fromkeys(description.get("weights", {}), "text")
