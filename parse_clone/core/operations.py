"""Update operations: what `{"__op": ...}` means. Decode, merge, apply to an object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from parse_clone.core.json_types import Json


@dataclass(frozen=True, slots=True)
class Set:
    """Store a value (REST JSON)."""

    value: Json


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove the field."""


@dataclass(frozen=True, slots=True)
class Increment:
    """Add a number; a missing field counts as 0."""

    amount: int | float


@dataclass(frozen=True, slots=True)
class Add:
    """Append all objects to the array."""

    objects: tuple[Json, ...]


@dataclass(frozen=True, slots=True)
class AddUnique:
    """Append those objects that the array does not hold."""

    objects: tuple[Json, ...]


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove all elements equal to one of the objects."""

    objects: tuple[Json, ...]


@dataclass(frozen=True, slots=True)
class SetOnInsert:
    """Store a value on create; do nothing on update."""

    value: Json


@dataclass(frozen=True, slots=True)
class ChangeRelation:
    """Link and unlink objects of `class_name` (ids) through the field's join table."""

    class_name: str
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


FieldOperation: TypeAlias = Set | Delete | Increment | Add | AddUnique | Remove | SetOnInsert
Operation: TypeAlias = FieldOperation | ChangeRelation

Operations: TypeAlias = Mapping[str, FieldOperation]
"""What an engine is asked to do to one row: dotted REST path to operation. Relations are links, not fields."""
