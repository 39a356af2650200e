"""An object in the hands of a hook author: a mapping of fields that remembers what was changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping
from datetime import datetime
from typing import Any

from parse_clone.cloud.values import Pointer, to_native, to_wire, with_pointers
from parse_clone.core.draft import Draft
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.operations import (
    Add,
    AddUnique,
    ChangeRelation,
    Delete,
    Increment,
    Operation,
    Remove,
    encode_operation,
    merge_operations,
)
from parse_clone.core.values import decode_date


class ParseObject(MutableMapping[str, Any]):
    """Fields by name, as Python values. `del` removes a field; what is changed waits in `pending`.

    A field that is set to another object stores a pointer to it; where the object is an answer (afterFind,
    afterLiveQueryEvent) the client reads the other one in full.
    """

    def __init__(
        self, class_name: str, fields: JsonObject | None = None, *, draft: Draft | None = None
    ) -> None:
        self._draft = draft or Draft(class_name, _text(fields, "objectId"), fields, {})
        self._embedded: JsonObject = {}  # what was set to objects, with them in full

    @classmethod
    def new(cls, class_name: str, **fields: Any) -> ParseObject:
        """Make an object that is not stored yet."""
        created = cls(class_name)
        created.update(fields)
        return created

    # --- Identity ---

    @property
    def class_name(self) -> str:
        return self._draft.class_name

    @property
    def id(self) -> str | None:
        """The object id; None until a new object is saved."""
        return self._draft.object_id

    @id.setter
    def id(self, object_id: str) -> None:
        self._draft.object_id = object_id

    @property
    def is_new(self) -> bool:
        return self._draft.is_new

    @property
    def created_at(self) -> datetime | None:
        return _moment(self._draft.original, "createdAt")

    @property
    def updated_at(self) -> datetime | None:
        return _moment(self._draft.original, "updatedAt")

    @property
    def pointer(self) -> Pointer:
        """A reference to this object. Raises ValueError while it has no id."""
        if self.id is None:
            raise ValueError(f"a new {self.class_name} has no id to point to")
        return Pointer(self.class_name, self.id)

    # --- Fields ---

    def __getitem__(self, key: str) -> Any:
        return to_native(self._draft.current[key])

    def __setitem__(self, key: str, value: Any) -> None:
        wire = to_wire(value)
        stored = with_pointers(wire)
        self._draft.set(key, stored)
        if stored != wire:
            self._embedded[key] = wire

    def __delitem__(self, key: str) -> None:
        self._draft.operations[key] = Delete()

    def __iter__(self) -> Iterator[str]:
        return iter(key for key in self._draft.current if not key.startswith("_"))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<{self.class_name} {self.id or 'new'}>"

    @property
    def acl(self) -> dict[str, dict[str, bool]] | None:
        """`{"<principal>": {"read": True, "write": True}}`; None: public."""
        found = self._draft.get("ACL")
        return found if isinstance(found, dict) else None  # type: ignore[return-value]

    @acl.setter
    def acl(self, acl: dict[str, dict[str, bool]]) -> None:
        self._draft.set("ACL", to_wire(acl))

    # --- Changes ---

    @property
    def pending(self) -> dict[str, Operation]:
        """The changes that wait to be saved, by field."""
        return self._draft.operations

    @property
    def dirty_keys(self) -> list[str]:
        """The fields that were given or changed."""
        return list(self._draft.operations)

    def revert(self, key: str) -> None:
        """Drop the change of a field."""
        self._draft.revert(key)

    def increment(self, key: str, amount: float = 1) -> None:
        """Add to a number, atomically."""
        self._change(key, Increment(amount))

    def add(self, key: str, *values: Any) -> None:
        """Append to an array."""
        self._change(key, Add(_elements(values)))

    def add_unique(self, key: str, *values: Any) -> None:
        """Append to an array what it does not hold."""
        self._change(key, AddUnique(_elements(values)))

    def remove(self, key: str, *values: Any) -> None:
        """Remove from an array."""
        self._change(key, Remove(_elements(values)))

    def relate(self, key: str, class_name: str, ids: Iterable[str]) -> None:
        """Link objects through a relation field."""
        self._change(key, ChangeRelation(class_name, add=tuple(ids)))

    def unrelate(self, key: str, class_name: str, ids: Iterable[str]) -> None:
        """Unlink objects."""
        self._change(key, ChangeRelation(class_name, remove=tuple(ids)))

    def _change(self, key: str, operation: Operation) -> None:
        self._draft.operations = merge_operations(self._draft.operations, {key: operation})

    # --- Wire ---

    def to_json(self) -> JsonObject:
        """The object's fields as wire JSON, pending changes applied."""
        return {key: value for key, value in self._draft.current.items() if not key.startswith("_")}

    def to_answer(self) -> JsonObject:
        """The same with the objects in full that fields were set to."""
        fields = self.to_json()
        for key, value in self._embedded.items():
            if key in fields and fields[key] == with_pointers(value):
                fields[key] = value
        return fields

    def to_wire(self) -> JsonObject:
        """The object as a value: a stored one in full, a new or changed one as a pointer."""
        if self._draft.original is None or self._draft.operations:
            return {"__type": "Pointer", "className": self.class_name, "objectId": self.pointer.object_id}
        return {"__type": "Object", "className": self.class_name, **self.to_json()}

    def pending_json(self) -> JsonObject:
        """The pending changes as the body of a save."""
        return {key: encode_operation(operation) for key, operation in self._draft.operations.items()}

    def stored(self, fields: JsonObject) -> None:
        """Take over the state that a save answered."""
        object_id = _text(fields, "objectId") or self.id
        self._draft = Draft(self.class_name, object_id, {**self._draft.current, **fields}, {})


def _elements(values: Iterable[Any]) -> tuple[Json, ...]:
    return tuple(with_pointers(to_wire(value)) for value in values)


def _text(fields: JsonObject | None, key: str) -> str | None:
    value = (fields or {}).get(key)
    return value if isinstance(value, str) else None


def _moment(fields: JsonObject | None, key: str) -> datetime | None:
    text = _text(fields, key)
    return None if text is None else decode_date(text)
