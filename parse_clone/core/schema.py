"""Class schemas: field types, defaults, permissions; checking an object; schema changes as values."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias, assert_never

from parse_clone.core.class_permissions import ClassRules, compile_permissions
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.names import JoinTable as JoinTable
from parse_clone.core.names import check_class_name, check_field_path, invalid_field_name, is_array_index
from parse_clone.core.operations import (
    Add,
    AddUnique,
    ChangeRelation,
    Delete,
    Increment,
    Operation,
    Remove,
    Set,
    SetOnInsert,
)
from parse_clone.core.values import is_typed, normal_value
from parse_clone.errors import ErrorCode, ParseError

TypeName: TypeAlias = Literal[
    "String",
    "Number",
    "Boolean",
    "Date",
    "Object",
    "Array",
    "GeoPoint",
    "Polygon",
    "File",
    "Bytes",
    "Pointer",
    "Relation",
    "ACL",
]


@dataclass(frozen=True, slots=True)
class FieldType:
    """A field's type; `target` is the class of a Pointer or Relation."""

    name: TypeName
    target: str | None = None

    def __str__(self) -> str:
        return f"{self.name}<{self.target}>" if self.target else self.name


@dataclass(frozen=True, slots=True)
class Field:
    """A field's definition. `options` holds `required`, `defaultValue`, `private` and whatever else was
    given, as in the schema API; only these three mean something to the server."""

    type: FieldType
    options: Mapping[str, Json] = field(default_factory=dict)

    @property
    def required(self) -> bool:
        return self.options.get("required") is True

    @property
    def private(self) -> bool:
        """Are the files that it holds only for those who can read the object?"""
        return self.options.get("private") is True

    @property
    def has_default(self) -> bool:
        return self.options.get("defaultValue") is not None


IndexSpec: TypeAlias = Mapping[str, int | str]
"""REST field name (dotted allowed) to 1, -1, "text", "2d" or "2dsphere"."""


@dataclass(frozen=True)
class ClassSchema:
    """One class. `fields` includes objectId, createdAt, updatedAt and ACL. `permissions` is the class-level
    permission JSON as the schema API shows it (complete, with every operation), or None where the class was
    made without: then everything is public. Immutable: compiled forms may be cached by identity."""

    name: str
    fields: Mapping[str, Field]
    permissions: JsonObject | None = None
    indexes: Mapping[str, IndexSpec] = field(default_factory=dict)

    def type_of(self, name: str) -> FieldType | None:
        """The type of a root field, or None if the class does not know it."""
        found = self.fields.get(name)
        return None if found is None else found.type

    @cached_property
    def relations(self) -> Mapping[str, str]:
        """Relation fields and their target classes."""
        return {
            name: field.type.target
            for name, field in self.fields.items()
            if field.type.name == "Relation" and field.type.target
        }

    @cached_property
    def file_fields(self) -> tuple[str, ...]:
        """The fields that hold files."""
        return tuple(name for name, field in self.fields.items() if field.type.name == "File")

    @cached_property
    def private_fields(self) -> tuple[str, ...]:
        """The fields whose files are private: a file, or an array or an object with files in it."""
        kinds = ("File", "Array", "Object")
        return tuple(
            name for name, field in self.fields.items() if field.private and field.type.name in kinds
        )

    @cached_property
    def holding_fields(self) -> tuple[str, ...]:
        """The fields that make their object a holder of files."""
        return tuple(dict.fromkeys((*self.file_fields, *self.private_fields)))

    @cached_property
    def rules(self) -> ClassRules:
        """The class-level permissions, compiled."""
        return compile_permissions(self.name, self.permissions)

    @cached_property
    def constrained(self) -> Mapping[str, Field]:
        """The fields with a default or a demand for a value."""
        return {name: field for name, field in self.fields.items() if field.required or field.has_default}


@dataclass(frozen=True, slots=True)
class Index:
    """A real index of an engine. `keys` in order, REST names."""

    class_name: str
    name: str
    keys: tuple[tuple[str, int | str], ...]
    unique: bool = False
    case_insensitive: bool = False
    expire_after_seconds: int | None = None


# --- Checking an object ------------------------------------------------------------------------------------

_STRING, _NUMBER, _BOOLEAN = FieldType("String"), FieldType("Number"), FieldType("Boolean")
_ARRAY, _OBJECT = FieldType("Array"), FieldType("Object")
_TYPES_OF_PYTHON = {str: _STRING, int: _NUMBER, float: _NUMBER, bool: _BOOLEAN, list: _ARRAY}
_NAMES_OF_PYTHON = {python: field_type.name for python, field_type in _TYPES_OF_PYTHON.items()}
_TYPES_BY_NAME = {name: FieldType(name) for name in ("Date", "GeoPoint", "Polygon", "File", "Bytes")}

_TYPE_NAMES = frozenset({"Pointer", *_TYPES_BY_NAME})

_OBJECTS_OF_OFFSETS = frozenset({"sentPerUTCOffset", "failedPerUTCOffset"})
"""Fields of `_PushStatus` whose keys are numbers although they are no arrays."""


def infer_type(value: Json) -> FieldType | None:
    """The field type that a value has; None for null. Raises 111 for an unknown `__type`."""
    if value is None:
        return None
    if not isinstance(value, dict):
        return _TYPES_OF_PYTHON[type(value)]
    name = value.get("__type")
    if not name:
        return _OBJECT
    if name in ("Pointer", "Relation"):
        target = value.get("className")
        if isinstance(target, str) and target:
            return FieldType("Pointer" if name == "Pointer" else "Relation", target)
    elif isinstance(name, str) and name in _TYPES_BY_NAME:
        return _TYPES_BY_NAME[name]
    raise ParseError(ErrorCode.INCORRECT_TYPE, f"This is not a valid {name}")


def has_type(value: Json, field_type: FieldType) -> bool:
    """Is this plainly a value of the type? For most values this is quicker than to infer their type."""
    if not isinstance(value, dict):
        return _NAMES_OF_PYTHON.get(type(value)) == field_type.name
    name = value.get("__type")
    if name is None:
        return field_type.name == "Object"
    return name == field_type.name and name in _TYPE_NAMES and value.get("className") == field_type.target


def implied_type(operation: Operation) -> FieldType | None:
    """The type that a field must have for an operation; None where any will do."""
    match operation:
        case Set(value) | SetOnInsert(value):
            return infer_type(value)
        case Increment():
            return _NUMBER
        case Add() | AddUnique() | Remove():
            return _ARRAY
        case ChangeRelation(class_name):
            return FieldType("Relation", class_name)
        case Delete():
            return None
        case _:
            assert_never(operation)


MAX_FIELDS = 1_000
"""Most fields of a class that grows by being written to: every process keeps all of them, for good."""


def check_types(
    schema: ClassSchema, operations: Mapping[str, Operation], *, internal: Container[str] = ()
) -> dict[str, Field]:
    """Check names (105) and types (111) of everything that would be written; return the fields to add
    (116 if they are too many).

    `internal`: the members beginning with `_` that this caller may write all the same.
    """
    _check_one_geo_point(operations)
    new: dict[str, Field] = {}
    for path, operation in operations.items():
        if path == "ACL" or path in internal:
            continue
        known = schema.fields.get(path)
        if known is not None and isinstance(operation, Set) and has_type(operation.value, known.type):
            continue
        root, wanted = _root_and_type(schema.name, path, operation)
        known = schema.fields.get(root) or new.get(root)
        if known is None:
            check_field_path(path, schema.name)
            if wanted is not None:
                new[root] = _new_field(schema, new, wanted)
                if len(schema.fields) + len(new) > MAX_FIELDS:
                    text = f"{schema.name} may have at most {MAX_FIELDS} fields"
                    raise ParseError(ErrorCode.OBJECT_TOO_LARGE, text)
        elif wanted is not None and known.type != wanted:
            raise type_mismatch(f"{schema.name}.{root}", known.type, wanted)
        elif wanted is None and isinstance(operation, Set) and root != path and not _has_parts(known.type):
            raise type_mismatch(
                f"{schema.name}.{root}", known.type, _OBJECT
            )  # null has no type, its place has
    return new


def _has_parts(field_type: FieldType) -> bool:
    return field_type.name in ("Object", "Array")


def _root_and_type(class_name: str, path: str, operation: Operation) -> tuple[str, FieldType | None]:
    wanted = implied_type(operation)
    if "." not in path:
        return path, wanted
    check_field_path(path, class_name)
    root, segment = path.split(".")[:2]
    if class_name == "_User" and root == "authData":
        raise ParseError(ErrorCode.INVALID_KEY_NAME, f"Invalid field name for update: {path}")
    if isinstance(operation, ChangeRelation):
        raise invalid_field_name(path)
    if wanted is None:
        return root, None
    return root, _ARRAY if is_array_index(segment) and root not in _OBJECTS_OF_OFFSETS else _OBJECT


def _new_field(schema: ClassSchema, new: Mapping[str, Field], wanted: FieldType) -> Field:
    if wanted.target is not None:
        check_class_name(wanted.target)
    if wanted.name == "GeoPoint" and any(
        field.type.name == "GeoPoint" for field in (*schema.fields.values(), *new.values())
    ):
        raise ParseError(ErrorCode.INCORRECT_TYPE, "MongoDB only supports one GeoPoint field in a class.")
    return Field(wanted)


def _check_one_geo_point(operations: Mapping[str, Operation]) -> None:
    points = [
        path
        for path, operation in operations.items()
        if isinstance(operation, Set) and is_typed(operation.value, "GeoPoint")
    ]
    if len(points) > 1:
        raise ParseError(ErrorCode.INCORRECT_TYPE, "there can only be one geopoint field in a class")


def type_mismatch(place: str, expected: FieldType, found: FieldType) -> ParseError:
    """Build the refusal of a value of the wrong type (111); `place` is `Class.field`."""
    return ParseError(
        ErrorCode.INCORRECT_TYPE, f"schema mismatch for {place}; expected {expected} but got {found}"
    )


def apply_defaults(
    schema: ClassSchema, operations: Mapping[str, Operation], *, creating: bool
) -> Mapping[str, Operation]:
    """Fill in defaults on a create and refuse missing required fields (142).

    A default replaces only what is absent or deleted; an explicit null stays one. An update is asked only
    about the fields that it mentions. Returns `operations` itself where there is nothing to fill.
    """
    filled: dict[str, Operation] = {}
    for name, constrained in schema.constrained.items():
        operation = operations.get(name)
        if operation is None and not creating:
            continue
        if creating and constrained.has_default and (operation is None or isinstance(operation, Delete)):
            filled[name] = Set(normal_value(constrained.options["defaultValue"]))
        elif constrained.required and _leaves_empty(operation):
            raise ParseError(ErrorCode.VALIDATION_ERROR, f"{name} is required")
    return {**operations, **filled} if filled else operations


def _leaves_empty(operation: Operation | None) -> bool:
    match operation:
        case None | Delete():
            return True
        case Set(value) | SetOnInsert(value):
            return value is None or value == ""
        case _:
            return False


# --- Changes: what `Storage.change_schema` is asked ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CreateClass:
    """Raises 103 if the class exists already."""

    schema: ClassSchema


@dataclass(frozen=True, slots=True)
class AddFields:
    """Adds fields that are absent; a field that another process added meanwhile is left as it is."""

    class_name: str
    fields: Mapping[str, Field]


@dataclass(frozen=True, slots=True)
class SetFieldOptions:
    """Replaces the options of existing fields."""

    class_name: str
    fields: Mapping[str, Field]


@dataclass(frozen=True, slots=True)
class DeleteFields:
    """Removes fields with their data (join tables included)."""

    class_name: str
    fields: Mapping[str, Field]


@dataclass(frozen=True, slots=True)
class SetPermissions:
    """Replaces the class-level permissions; None: back to public."""

    class_name: str
    permissions: JsonObject | None


@dataclass(frozen=True, slots=True)
class AddIndexes:
    """Creates real indexes and records them in the class's schema (system indexes included)."""

    indexes: tuple[Index, ...]


@dataclass(frozen=True, slots=True)
class DropIndexes:
    class_name: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DropClass:
    """Removes the class, its rows and its join tables."""

    schema: ClassSchema


SchemaChange: TypeAlias = (
    CreateClass
    | AddFields
    | SetFieldOptions
    | DeleteFields
    | SetPermissions
    | AddIndexes
    | DropIndexes
    | DropClass
)
