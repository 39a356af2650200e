"""Which names classes, fields and join tables may have. It knows names only."""

from __future__ import annotations

import re
from dataclasses import dataclass

from parse_clone.errors import ErrorCode, ParseError

SYSTEM_CLASSES = frozenset(
    {
        "_User",
        "_Installation",
        "_Role",
        "_Session",
        "_Product",
        "_PushStatus",
        "_JobStatus",
        "_JobSchedule",
        "_Audience",
        "_Idempotency",
        "_Hooks",
        "_GlobalConfig",
        "_GraphQLConfig",
    }
)

RESERVED_FIELDS = frozenset({"objectId", "createdAt", "updatedAt", "ACL"})
"""The fields that every class has."""

_is_identifier = re.compile(r"[A-Za-z][A-Za-z0-9_]*").fullmatch
_match_join_table = re.compile(r"_Join:([A-Za-z0-9_]+):([A-Za-z0-9_]+)").fullmatch


@dataclass(frozen=True, slots=True)
class JoinTable:
    """The links of one relation field."""

    class_name: str
    field: str

    @property
    def name(self) -> str:
        return f"_Join:{self.field}:{self.class_name}"


def join_table(class_name: str) -> JoinTable | None:
    """Read a join table's name (`_Join:staff:Ward`), or answer None for any other class."""
    found = _match_join_table(class_name)
    return None if found is None else JoinTable(class_name=found[2], field=found[1])


def is_class_name(name: str) -> bool:
    """Is this the name of a built-in class, a join table, or a legal name for an application's class?"""
    if _is_identifier(name):
        return name not in ("length", "className")
    return name in SYSTEM_CLASSES or join_table(name) is not None


def check_class_name(name: str) -> None:
    """Refuse an illegal class name (103)."""
    if not is_class_name(name):
        raise invalid_class_name(name)


def invalid_class_name(name: str) -> ParseError:
    """Build the refusal of a class name."""
    return ParseError(
        ErrorCode.INVALID_CLASS_NAME,
        f"Invalid classname: {name}, classnames can only have alphanumeric characters and _, "
        "and must start with an alpha character ",
    )


def is_field_name(name: str, class_name: str = "") -> bool:
    """Is this a legal name for a root field of the class?"""
    if name == "className":
        return class_name == "_Hooks"
    return _is_identifier(name) is not None and name != "length"


MAX_PATH_SEGMENTS = 30
"""Longest dotted path, in queries and in what is written: walking one costs the square of its length."""


def root_of(path: str) -> str:
    """The root field of a dotted path."""
    return path.partition(".")[0]


def is_array_index(segment: str) -> bool:
    """Does this segment of a dotted path name a place in an array?"""
    return segment.isascii() and segment.isdigit()


def check_field_path(path: str, class_name: str = "") -> None:
    """Refuse a field name, or a dotted path, that no object may have (105)."""
    root, dot, rest = path.partition(".")
    if not is_field_name(root, class_name):
        raise invalid_field_name(root)
    if dot and ("" in rest.split(".") or "$" in rest):
        raise invalid_field_name(path)


def invalid_field_name(name: str) -> ParseError:
    """Build the refusal of a key in an object."""
    return ParseError(ErrorCode.INVALID_KEY_NAME, f"Invalid field name: {name}.")
