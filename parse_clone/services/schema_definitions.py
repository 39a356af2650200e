"""What a schema document says about classes: read with every problem noted, and united over several files.

A document holds `{"classes": [...]}`; the answer of `GET /schemas` (`{"results": [...]}`), a plain list and a
single class are understood, too. A class is written as the schema API shows it. An index may also be written
as `{"keys": {"field": 1}, "unique": true}`; the short form says nothing about uniqueness.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast, get_args

from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.names import is_class_name, is_field_name
from parse_clone.core.permission_json import complete_permissions
from parse_clone.core.schema import Field, TypeName
from parse_clone.core.schema_json import check_options, decode_field
from parse_clone.core.system_classes import DEFAULT_FIELDS
from parse_clone.errors import ParseError

TYPE_NAMES = tuple(name for name in get_args(TypeName) if name != "ACL")
INDEX_KINDS = (1, -1, "text", "2d", "2dsphere")

CLASS_ALIASES = {"User": "_User", "Role": "_Role", "Session": "_Session", "Installation": "_Installation"}
"""Data models name the built-in classes without their underscore."""

DEMANDED_ANYWAY = {"_User": frozenset({"username", "password"})}
"""Fields the server asks for itself where they are needed; a sign-up with authData has neither of them, so
`required` of a file is not taken over."""


class SchemaFileError(Exception):
    """A schema file cannot be used; the text lists every reason, each with file and place."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class IndexDefinition:
    """An index as a file wants it; `unique` None: the file does not say."""

    keys: tuple[tuple[str, int | str], ...]
    unique: bool | None = None

    def __str__(self) -> str:
        keys = ", ".join(name if kind == 1 else f"{name} {kind}" for name, kind in self.keys)
        return f"({keys})" + (", unique" if self.unique else "")


@dataclass(frozen=True, slots=True)
class ClassDefinition:
    """A class as a file wants it, without the fields that every object has. `permissions` None: the file does
    not say. `source` names file and place for messages."""

    source: str
    name: str
    fields: Mapping[str, Field]
    permissions: JsonObject | None = None
    indexes: Mapping[str, IndexDefinition] = field(default_factory=dict)


# --- Reading ---------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Reader:
    """Collects every problem of a file, so that one run names them all."""

    file: str
    problems: list[str] = field(default_factory=list)

    def refuse(self, place: str, expected: str) -> None:
        """Note a problem at a JSON path."""
        self.problems.append(f"{self.file}: {place or 'top level'}: {expected}")


def decode_schema_document(document: Json, source: str) -> list[ClassDefinition]:
    """Decode a schema document; `source` names it in errors."""
    reader = Reader(source)
    decoded = [read_class(reader, place, entry) for place, entry in class_entries(reader, document)]
    if reader.problems:
        raise SchemaFileError(reader.problems)
    return decoded


def class_entries(reader: Reader, document: Json) -> Iterator[tuple[str, JsonObject]]:
    """Find the classes in a document, each with its JSON path."""
    name = ""
    match document:
        case {"classes": list(entries)}:
            name = "classes"
        case {"results": list(entries)}:
            name = "results"
        case dict(entry) if "className" in entry:
            yield "", entry
            return
        case list(entries):
            pass
        case _:
            reader.refuse("", 'expected {"classes": [...]}, {"results": [...]}, a list of classes or a class')
            return
    for position, entry in enumerate(entries):
        if isinstance(entry, dict):
            yield f"{name}[{position}]", entry
        else:
            reader.refuse(f"{name}[{position}]", 'expected a class: {"className": ..., "fields": {...}}')


def read_class(reader: Reader, place: str, entry: JsonObject) -> ClassDefinition:
    """Read one class."""
    prefix = f"{place}." if place else ""
    name = read_class_name(reader, f"{prefix}className", entry.get("className"))
    fields = {
        field_name: found
        for field_name, value in members(reader, f"{prefix}fields", entry.get("fields"))
        if (found := read_field(reader, f"{prefix}fields.{field_name}", name, field_name, value)) is not None
    }
    indexes = {
        index_name: index
        for index_name, value in members(reader, f"{prefix}indexes", entry.get("indexes"))
        if index_name != "_id_"
        and (index := read_index(reader, f"{prefix}indexes.{index_name}", value)) is not None
    }
    given = entry.get("classLevelPermissions")
    permissions = dict(members(reader, f"{prefix}classLevelPermissions", given))
    return ClassDefinition(
        source=f"{reader.file}: {place}" if place else reader.file,
        name=name,
        fields=fields,
        permissions=None if given is None else complete_permissions(permissions),
        indexes=indexes,
    )


def members(reader: Reader, place: str, value: Json) -> list[tuple[str, Json]]:
    """The members of an optional object."""
    if value is None:
        return []
    if not isinstance(value, dict):
        reader.refuse(place, "expected an object")
        return []
    return list(value.items())


def read_class_name(reader: Reader, place: str, value: Json) -> str:
    """A class name, with the built-in classes under their real names."""
    name = CLASS_ALIASES.get(value, value) if isinstance(value, str) else ""
    if not is_class_name(name):
        reader.refuse(place, "expected a class name: letters, digits and _, beginning with a letter")
    return name


def read_field(reader: Reader, place: str, class_name: str, name: str, value: Json) -> Field | None:
    """Read a field; None for those that every object has, and for what is refused."""
    if not isinstance(value, dict):
        reader.refuse(place, 'expected a field: {"type": ...}')
        return None
    if name in DEFAULT_FIELDS:
        expected = DEFAULT_FIELDS[name].type.name
        if value.get("type") != expected:
            reader.refuse(f"{place}.type", f"expected {expected}: every class has this field")
        return None
    if not is_field_name(name, class_name):
        reader.refuse(place, "expected a field name: letters, digits and _, beginning with a letter")
        return None
    if value.get("type") not in TYPE_NAMES:
        reader.refuse(f"{place}.type", f"expected one of {', '.join(TYPE_NAMES)}")
        return None
    if "targetClass" in value:
        target = read_class_name(reader, f"{place}.targetClass", value["targetClass"])
        if not is_class_name(target):
            return None
        value = {**value, "targetClass": target}
    if name in DEMANDED_ANYWAY.get(class_name, ()):
        value = {key: option for key, option in value.items() if key != "required"}
    try:
        found = decode_field(value)
        check_options(class_name, name, found)
    except ParseError as error:
        reader.refuse(place, str(error))
        return None
    return found


def read_index(reader: Reader, place: str, value: Json) -> IndexDefinition | None:
    """Read an index in its short or long form."""
    unique: bool | None = None
    keys = value
    if isinstance(value, dict) and isinstance(value.get("keys"), dict):
        keys = value["keys"]
        given = value.get("unique", False)
        unique = given if isinstance(given, bool) else None
        if unique is None or not value.keys() <= {"keys", "unique"}:
            reader.refuse(place, 'expected {"keys": {...}, "unique": true or false}')
    if not isinstance(keys, dict) or not keys:
        reader.refuse(place, 'expected {"field": 1} or {"keys": {"field": 1}, "unique": true}')
        return None
    for name, kind in keys.items():
        if kind not in INDEX_KINDS or isinstance(kind, bool):
            reader.refuse(f"{place}.{name}", f"expected one of {', '.join(map(str, INDEX_KINDS))}")
    return IndexDefinition(
        tuple((name.removeprefix("_p_"), cast(int | str, kind)) for name, kind in keys.items()), unique
    )


# --- Uniting what several files say ----------------------------------------------------------------------

Part = TypeVar("Part")


def unite_definitions(definitions: Iterable[ClassDefinition]) -> list[ClassDefinition]:
    """Make one definition per class; two files may name the same class if they agree about it."""
    united: dict[str, ClassDefinition] = {}
    problems: list[str] = []
    for new in definitions:
        known = united.setdefault(new.name, new)
        if known is not new:
            united[new.name] = unite(known, new, problems)
    if problems:
        raise SchemaFileError(problems)
    return list(united.values())


def unite(one: ClassDefinition, other: ClassDefinition, problems: list[str]) -> ClassDefinition:
    """Unite two definitions of a class, noting where they disagree."""

    def disagree(what: str) -> None:
        problems.append(f"{other.source}: {one.name}{what} differs from {one.source}")

    def unite_members(what: str, left: Mapping[str, Part], right: Mapping[str, Part]) -> Mapping[str, Part]:
        for name in left.keys() & right.keys():
            if left[name] != right[name]:
                disagree(f".{what}.{name}")
        return {**left, **right}

    if one.permissions is not None and other.permissions not in (None, one.permissions):
        disagree(".classLevelPermissions")
    return replace(
        one,
        fields=unite_members("fields", one.fields, other.fields),
        indexes=unite_members("indexes", one.indexes, other.indexes),
        permissions=other.permissions if one.permissions is None else one.permissions,
    )
