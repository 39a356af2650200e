"""Class schemas: field types, defaults, permissions; checking an object; schema changes as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias

from parse_clone.core.class_permissions import ClassRules, compile_permissions
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.names import JoinTable as JoinTable

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
    """A field's definition. `options` holds `required`, `defaultValue` and whatever else was given,
    as in the schema API; only these two mean something to the server."""

    type: FieldType
    options: Mapping[str, Json] = field(default_factory=dict)

    @property
    def required(self) -> bool:
        return self.options.get("required") is True

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
