"""How classes and objects lie in a file: the only module that knows tables, columns and where a path leads.

A class is a table, an object is a row: its REST JSON as one text, beside its id and the principals that its
ACL names. Nothing else is stored twice; indexes are made on expressions over the text. The links of a
relation are a table of two columns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NamedTuple, TypeAlias

import orjson

from parse_clone.core.comparison import TIMESTAMPS
from parse_clone.core.json_types import JsonObject
from parse_clone.core.names import JoinTable, is_array_index, join_table
from parse_clone.core.schema import ClassSchema, FieldType, TypeName
from parse_clone.errors import ErrorCode, ParseError

SqlRow: TypeAlias = tuple[Any, ...]
Binding: TypeAlias = Any
"""A value of SQLite, or `apsw.pyobject` of anything for a function of Python."""


class Sql(NamedTuple):
    """A piece of SQL. What clients sent is only ever in the parameters."""

    text: str
    parameters: tuple[Binding, ...] = ()


# --- Names -----------------------------------------------------------------------------------------------


def quote_name(name: str) -> str:
    """Write any text as a name of SQL."""
    return '"' + name.replace('"', '""') + '"'


def table_name(class_name: str) -> str:
    """Name the table of a class. SQLite does not tell cases apart, Parse does: capitals are marked by `^`."""
    return "class:" + _mark_capitals(class_name)


def index_name(class_name: str, name: str) -> str:
    """Name an index of a class: all indexes of a file share one room."""
    return f"index:{_mark_capitals(class_name)}:{_mark_capitals(name)}"


def _mark_capitals(name: str) -> str:
    return re.sub(r"[A-Z^]", lambda found: "^" + found[0].lower(), name)


# --- Tables ----------------------------------------------------------------------------------------------


def create_table(class_name: str) -> list[str]:
    """State what makes the table of a class, or of a relation's links, where it is missing."""
    table = quote_name(table_name(class_name))
    if join_table(class_name) is None:
        # "The newest first" is what clients ask most: 250 times quicker, for a fiftieth of a create.
        newest = quote_name("newest:" + _mark_capitals(class_name))
        return [
            f"CREATE TABLE IF NOT EXISTS {table} "
            "(object_id TEXT NOT NULL PRIMARY KEY, readers TEXT, writers TEXT, doc TEXT NOT NULL) STRICT",
            f"CREATE INDEX IF NOT EXISTS {newest} ON {table} ({_extract(('createdAt',))})",
        ]
    reverse = quote_name(index_name(class_name, "related"))
    return [
        f"CREATE TABLE IF NOT EXISTS {table} "
        "(owning_id TEXT NOT NULL, related_id TEXT NOT NULL, PRIMARY KEY (owning_id, related_id)) STRICT",
        f"CREATE INDEX IF NOT EXISTS {reverse} ON {table} (related_id)",
    ]


def encode_document(obj: JsonObject) -> str:
    """Write an object as its stored text."""
    try:
        return orjson.dumps(obj).decode()
    except TypeError as error:
        raise ParseError(ErrorCode.INVALID_JSON, "The object cannot be stored.") from error


def encode_row(obj: JsonObject) -> tuple[str, str | None, str | None, str]:
    """Write an object as its row: id, readers, writers, text."""
    acl = obj.get("ACL")
    if not isinstance(acl, dict):
        return str(obj["objectId"]), None, None, encode_document(obj)
    return str(obj["objectId"]), _grantees(acl, "read"), _grantees(acl, "write"), encode_document(obj)


def _grantees(acl: JsonObject, right: str) -> str:
    """List the principals with a right, each between line ends."""
    found = "\n"
    for name, entry in acl.items():
        if isinstance(entry, dict) and entry.get(right) is True:
            found += _one_line(name) + "\n"
    return found


def grantee(principal: str) -> str:
    """Write a principal as it stands in a list of them, ends included: no name holds another one."""
    return f"\n{_one_line(principal)}\n"


def _one_line(name: str) -> str:
    return name.replace("\\", "\\\\").replace("\n", "\\n") if "\\" in name or "\n" in name else name


# --- Places ----------------------------------------------------------------------------------------------


class Kind(Enum):
    """What SQL knows about the values of a path."""

    TEXT = auto()
    NUMBER = auto()
    BOOLEAN = auto()
    DATE = auto()
    POINTER = auto()
    POINT = auto()
    SCALARS = auto()  # of any type; where the place is irregular, only the matcher can tell
    STRUCTURE = auto()  # arrays, objects: SQL tells whether it is there, the matcher everything else
    OPAQUE = auto()  # the matcher tells everything


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path's values are. `value` is what compares and sorts, for every kind down to `SCALARS`;
    `json_type` the type of what is stored, as SQLite names it, NULL if missing. `irregular` is 1 in rows
    where arrays or objects make more or less of the path than one scalar. `target` is a pointer's class."""

    path: str
    kind: Kind
    value: str = ""
    json_type: str = ""
    irregular: str = ""
    target: str | None = None

    @property
    def stored(self) -> str:
        """The SQL of what a root field holds, as JSON."""
        return f"doc -> {_json_path((self.path,))}"

    def member(self, name: str) -> str:
        """The SQL of a member of a typed value."""
        return _extract((self.path, name))


_DOCUMENT_KINDS: Mapping[TypeName, tuple[Kind, str | None]] = {
    "String": (Kind.TEXT, None),
    "Number": (Kind.NUMBER, None),
    "Boolean": (Kind.BOOLEAN, None),
    "Date": (Kind.DATE, "iso"),
    "File": (Kind.TEXT, "name"),
    "Pointer": (Kind.POINTER, "objectId"),
    "GeoPoint": (Kind.POINT, None),
}
"""Kinds of fields, and the member that stands for the whole value."""

_is_safe_segment = re.compile(r"[\w-]+").fullmatch
_SPECIAL_SEGMENTS = frozenset({"__type", "iso", "base64"})  # below typed values, which have no members
_KEPT_PLACES = 1000  # clients choose dotted paths


class ClassLayout:
    """Where a class's paths are. Made once per schema."""

    def __init__(self, schema: ClassSchema) -> None:
        self.schema = schema
        self.table = quote_name(table_name(schema.name))
        self.links = join_table(schema.name)
        self.source = self.table if self.links is None else _links_as_documents(self.table)
        self._places: dict[str, Place] = {}

    def place(self, path: str) -> Place:
        """Find the place of a path."""
        found = self._places.get(path)
        if found is None:
            if len(self._places) >= _KEPT_PLACES:
                self._places.clear()
            found = self._places[path] = self._locate(path)
        return found

    def _locate(self, path: str) -> Place:
        segments = tuple(path.split("."))
        if not all(map(_is_safe_segment, segments)):
            return Place(path, Kind.OPAQUE)
        if self.links is not None and path in _LINK_COLUMNS:
            return Place(path, Kind.TEXT, value=_LINK_COLUMNS[path], json_type=_json_type(segments))
        root_type = self.schema.type_of(segments[0])
        return _locate_field(path, root_type) if len(segments) == 1 else _locate_nested(segments, root_type)


def _locate_field(path: str, field_type: FieldType | None) -> Place:
    json_type = _json_type((path,))
    if path == "objectId":
        return Place(path, Kind.TEXT, value="object_id", json_type=json_type)
    if path in TIMESTAMPS:
        return Place(path, Kind.DATE, value=_extract((path,)), json_type=json_type)
    if field_type is None:
        return _locate_scalars((path,))
    kind, member = _DOCUMENT_KINDS.get(field_type.name, (Kind.STRUCTURE, None))
    value = _extract((path,) if member is None else (path, member))
    return Place(path, kind, value=value, json_type=json_type, target=field_type.target)


def _locate_nested(segments: tuple[str, ...], root_type: FieldType | None) -> Place:
    below_object = root_type is not None and root_type.name == "Object"
    if below_object and not any(is_array_index(name) or name in _SPECIAL_SEGMENTS for name in segments[1:]):
        return _locate_scalars(segments)
    return Place(".".join(segments), Kind.OPAQUE)


def _locate_scalars(segments: tuple[str, ...]) -> Place:
    json_type = _json_type(segments)
    parents = (_json_type(segments[:length]) for length in range(2, len(segments)))
    tests = [f"{json_type} IN ('array', 'object')", *(f"{parent} = 'array'" for parent in parents)]
    # One expression, so that an index may hold the few rows of which it is true.
    irregular = f"CASE WHEN {' OR '.join(tests)} THEN 1 END"
    return Place(".".join(segments), Kind.SCALARS, _extract(segments), json_type, irregular)


def _json_type(segments: tuple[str, ...]) -> str:
    return f"json_type(doc, {_json_path(segments)})"


def _extract(segments: tuple[str, ...]) -> str:
    return f"(doc ->> {_json_path(segments)})"


def _json_path(segments: tuple[str, ...]) -> str:
    """Write checked segments as a literal, always in the same way: indexes are found by their text."""
    return "'$" + "".join(f'."{segment}"' for segment in segments) + "'"


# --- Links -----------------------------------------------------------------------------------------------

_LINK_COLUMNS = {"owningId": "owning_id", "relatedId": "related_id", "objectId": "object_id"}


def _links_as_documents(table: str) -> str:
    """Let links be read like objects."""
    columns = (
        "rowid, owning_id, related_id",
        "CAST(rowid AS TEXT) AS object_id, NULL AS readers, NULL AS writers",
        "json_object('objectId', CAST(rowid AS TEXT), 'owningId', owning_id, 'relatedId', related_id) AS doc",
    )
    return f"(SELECT {', '.join(columns)} FROM {table})"


def links_table(table: JoinTable) -> str:
    """Write the name of the table that holds a relation's links."""
    return quote_name(table_name(table.name))


def layouts() -> Callable[[ClassSchema], ClassLayout]:
    """Keep one layout per class, of the schema that was seen last."""
    known: dict[str, ClassLayout] = {}

    def layout_of(schema: ClassSchema) -> ClassLayout:
        found = known.get(schema.name)
        if found is None or found.schema is not schema:
            found = known[schema.name] = ClassLayout(schema)
        return found

    return layout_of
