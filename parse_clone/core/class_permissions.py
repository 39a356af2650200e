"""Class-level permission JSON, compiled once per schema: what `permissions.py` asks on every request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from parse_clone.core.acl import PUBLIC_ACL
from parse_clone.core.json_types import Json, JsonObject

ClassOperation: TypeAlias = Literal["find", "get", "count", "create", "update", "delete", "addField"]

CLASS_OPERATIONS: tuple[ClassOperation, ...] = (
    "find",
    "get",
    "count",
    "create",
    "update",
    "delete",
    "addField",
)
READ_OPERATIONS = frozenset({"find", "get", "count"})


@dataclass(frozen=True, slots=True)
class OperationRule:
    """Who may do one operation. `own_fields` are the operation's `pointerFields`, `group_fields` those of
    `readUserFields` or `writeUserFields`."""

    granted: frozenset[str]
    requires_authentication: bool
    own_fields: tuple[str, ...]
    group_fields: tuple[str, ...]

    @property
    def row_fields(self) -> tuple[str, ...]:
        """The fields of which one must point to the caller."""
        return tuple(dict.fromkeys(self.own_fields + self.group_fields))


@dataclass(frozen=True, eq=False, slots=True)
class FieldProtection:
    """The server's part of field protection: the option `protectedFields` (class, group, fields), and whether
    a user's own row is exempt. One per server: compiled forms are kept by identity."""

    lists: Mapping[str, Mapping[str, Sequence[str]]] = field(
        default_factory=lambda: {"_User": {"*": ["email"]}}
    )
    owner_exempt: bool = True


@dataclass(frozen=True, slots=True)
class ProtectedLists:
    """The protected fields of one class: by group (`*`, `authenticated`, `role:R`, id), by field."""

    by_group: Mapping[str, frozenset[str]]
    by_user_field: tuple[tuple[str, frozenset[str]], ...]


@dataclass(frozen=True, slots=True)
class ClassRules:
    """The compiled permissions of one class. `operations` lacks what is open to all."""

    class_name: str
    operations: Mapping[ClassOperation, OperationRule]
    protected: Mapping[str, Sequence[str]]
    default_acl: JsonObject | None
    _united: dict[FieldProtection, ProtectedLists] = field(default_factory=dict, compare=False, repr=False)

    def protected_lists(self, protection: FieldProtection) -> ProtectedLists:
        """The lists of the class, united with those of the server."""
        found = self._united.get(protection)
        if found is None:
            found = self._united[protection] = _unite(
                self.protected, protection.lists.get(self.class_name, {})
            )
        return found


def compile_permissions(class_name: str, permissions: JsonObject | None) -> ClassRules:
    """Compile permission JSON. None and `{}` (built-in classes) leave everything open; otherwise an operation
    that is left out is closed."""
    if not permissions:
        return ClassRules(class_name, {}, {}, None)
    operations = {}
    for operation in CLASS_OPERATIONS:
        group = "readUserFields" if operation in READ_OPERATIONS else "writeUserFields"
        rule = _compile_operation(permissions.get(operation), permissions.get(group))
        if "*" not in rule.granted:
            operations[operation] = rule
    acl = permissions.get("ACL")
    return ClassRules(
        class_name,
        operations,
        {group: _texts(names) for group, names in _object(permissions.get("protectedFields")).items()},
        acl if isinstance(acl, dict) and acl != PUBLIC_ACL else None,
    )


def _compile_operation(entry: Json, group_fields: Json) -> OperationRule:
    entities = _object(entry)
    return OperationRule(
        granted=frozenset(name for name, granted in entities.items() if granted is True),
        requires_authentication=entities.get("requiresAuthentication") is True,
        own_fields=_texts(entities.get("pointerFields")),
        group_fields=_texts(group_fields),
    )


def _unite(of_class: Mapping[str, Sequence[str]], of_server: Mapping[str, Sequence[str]]) -> ProtectedLists:
    by_group: dict[str, frozenset[str]] = {}
    by_user_field: list[tuple[str, frozenset[str]]] = []
    for group in {**of_class, **of_server}:
        names = frozenset(of_class.get(group, ())) | frozenset(of_server.get(group, ()))
        if group.startswith("userField:"):
            by_user_field.append((group.removeprefix("userField:"), names))
        else:
            by_group[group] = names
    return ProtectedLists(by_group, tuple(by_user_field))


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _texts(value: Json) -> tuple[str, ...]:
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()
