"""An object about to be saved: its stored state and the changes on top of it. What hooks read and change."""

from __future__ import annotations

from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.operations import Operation, Set, apply_operations, initial_values
from parse_clone.core.values import normal_value


class Draft:
    """`original` is the stored object (None when new); `operations` are the pending changes by key.

    Hooks change `operations`; `current` is what the object would become. `object_id` may be set on create.
    `only_if_unchanged`: refuse the write if another one was faster.
    """

    def __init__(
        self,
        class_name: str,
        object_id: str | None,
        original: JsonObject | None,
        operations: dict[str, Operation],
    ) -> None:
        self.class_name = class_name
        self.object_id = object_id
        self.original = original
        self.operations = operations
        self.only_if_unchanged = False

    @property
    def is_new(self) -> bool:
        return self.original is None

    @property
    def current(self) -> JsonObject:
        """The object as it would be stored: a new dict each time."""
        if self.original is None:
            return initial_values(self.operations)
        return apply_operations(self.original, self.operations)

    def get(self, key: str) -> Json:
        """The value a field would have; None if it has none."""
        return self.current.get(key)

    def set(self, key: str, value: Json) -> None:
        """Store a value (REST JSON): what a hook gives is checked like what a client sends."""
        self.operations[key] = Set(value if key == "ACL" else normal_value(value))

    def revert(self, key: str) -> None:
        """Forget the pending change of a field."""
        self.operations.pop(key, None)
