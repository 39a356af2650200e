"""Class schemas and indexes in the file: reading them, and doing every `SchemaChange`.

`_SCHEMA` holds a row per class, `_INDEX` a row per declared index. A change runs inside of a write that is
rolled back as a whole. The file's `user_version` counts the changes, so that other processes can tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, assert_never

import apsw
import orjson

from parse_clone.adapters.storage.sqlite.connections import Connection
from parse_clone.adapters.storage.sqlite.layout import (
    ClassLayout,
    Kind,
    Place,
    Sql,
    create_table,
    index_name,
    links_table,
    quote_name,
    table_name,
)
from parse_clone.core.json_types import JsonObject
from parse_clone.core.names import JoinTable, join_table, root_of
from parse_clone.core.schema import (
    AddFields,
    AddIndexes,
    ClassSchema,
    CreateClass,
    DeleteFields,
    DropClass,
    DropIndexes,
    Field,
    FieldType,
    Index,
    SchemaChange,
    SetFieldOptions,
    SetPermissions,
)
from parse_clone.core.system_classes import (
    DEFAULT_FIELDS,
    VOLATILE_CLASSES,
    join_schema,
    with_system_fields,
)
from parse_clone.errors import DuplicateValue, ErrorCode, ParseError

APPLICATION_ID = 0x50617201
"""Says in the file's head that it is ours; the last byte counts the forms of what is in it."""

SYSTEM_TABLES = (
    "CREATE TABLE IF NOT EXISTS _SCHEMA "
    "(class_name TEXT NOT NULL PRIMARY KEY, definition TEXT NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS _INDEX "
    "(class_name TEXT NOT NULL, name TEXT NOT NULL, definition TEXT NOT NULL, "
    "PRIMARY KEY (class_name, name)) STRICT",
)
ALL_CLASSES: Final = Sql("SELECT class_name, definition FROM _SCHEMA ORDER BY rowid")
ALL_INDEXES: Final = Sql("SELECT class_name, name, definition FROM _INDEX ORDER BY rowid")
SCHEMA_VERSION: Final = Sql("PRAGMA user_version")

_ID_INDEX: Final = "_id_"
_ID_KEYS: Final = (("objectId", 1),)


# --- Read ------------------------------------------------------------------------------------------------


def decode_schemas(classes: Sequence[Sequence[object]], indexes: Iterable[Index]) -> list[ClassSchema]:
    """Read all classes from their rows."""
    keys: dict[str, dict[str, Mapping[str, int | str]]] = {}
    for index in indexes:
        of_class = keys.setdefault(index.class_name, {_ID_INDEX: dict(_ID_KEYS)})
        of_class[index.name] = dict(index.keys)
    return [
        replace(decode_schema(str(name), str(definition)), indexes=keys.get(str(name), {}))
        for name, definition in classes
    ]


def decode_schema(name: str, definition: str) -> ClassSchema:
    """Read a class, without its indexes."""
    stored = orjson.loads(definition)
    fields = {
        field_name: Field(FieldType(field["type"], field.get("target")), field.get("options", {}))
        for field_name, field in stored["fields"].items()
    }
    return ClassSchema(name, fields, permissions=stored.get("permissions"))


def _encode_schema(schema: ClassSchema) -> str:
    fields: JsonObject = {name: _encode_field(field) for name, field in schema.fields.items()}
    stored: JsonObject = {"fields": fields}
    if schema.permissions is not None:
        stored["permissions"] = schema.permissions
    return orjson.dumps(stored).decode()


def _encode_field(field: Field) -> JsonObject:
    stored: JsonObject = {"type": field.type.name}
    if field.type.target is not None:
        stored["target"] = field.type.target
    if field.options:
        stored["options"] = dict(field.options)
    return stored


def decode_index(row: Sequence[object]) -> Index:
    """Read an index from its row."""
    class_name, name, definition = map(str, row)
    stored = orjson.loads(definition)
    return Index(
        class_name,
        name,
        tuple((path, kind) for path, kind in stored["keys"]),
        unique=stored.get("unique", False),
        case_insensitive=stored.get("caseInsensitive", False),
        expire_after_seconds=stored.get("expireAfterSeconds"),
    )


def _encode_index(index: Index) -> str:
    stored: JsonObject = {"keys": [[path, kind] for path, kind in index.keys]}
    if index.unique:
        stored["unique"] = True
    if index.case_insensitive:
        stored["caseInsensitive"] = True
    if index.expire_after_seconds is not None:
        stored["expireAfterSeconds"] = index.expire_after_seconds
    return orjson.dumps(stored).decode()


def id_index(class_name: str) -> Index:
    """Describe the index that every class has."""
    return Index(class_name, _ID_INDEX, _ID_KEYS, unique=True)


def indexes_of(class_name: str) -> Sql:
    """Ask for a class's declared indexes."""
    return Sql(
        "SELECT class_name, name, definition FROM _INDEX WHERE class_name = ? ORDER BY rowid", (class_name,)
    )


# --- Change ----------------------------------------------------------------------------------------------


def change_schema(connection: Connection, change: SchemaChange) -> None:
    """Make a change, and count it."""
    match change:
        case CreateClass(schema):
            _create_class(connection, schema)
        case AddFields(class_name, fields):
            _add_fields(connection, class_name, fields)
        case SetFieldOptions(class_name, fields):
            schema = _load(connection, class_name)
            changed = {name: field for name, field in fields.items() if name in schema.fields}
            _store(connection, replace(schema, fields={**schema.fields, **changed}))
        case DeleteFields(class_name, fields):
            _delete_fields(connection, class_name, fields)
        case SetPermissions(class_name, permissions):
            _store(connection, replace(_load(connection, class_name), permissions=permissions))
        case AddIndexes(indexes):
            for index in indexes:
                _add_index(connection, index)
        case DropIndexes(class_name, names):
            for name in names:
                _drop_index(connection, class_name, name)
        case DropClass(schema):
            _drop_class(connection, schema)
        case _:
            assert_never(change)
    version = connection.rows(SCHEMA_VERSION)[0][0]
    connection.change(f"PRAGMA user_version = {int(str(version)) + 1}")


def load_schema(connection: Connection, class_name: str) -> ClassSchema:
    """Read one class, of whatever kind, with all the fields that it has in any case."""
    links = join_table(class_name)
    return join_schema(links) if links else with_system_fields(_load(connection, class_name))


def _load(connection: Connection, class_name: str) -> ClassSchema:
    rows = connection.rows(Sql("SELECT definition FROM _SCHEMA WHERE class_name = ?", (class_name,)))
    return decode_schema(class_name, str(rows[0][0])) if rows else ClassSchema(class_name, DEFAULT_FIELDS)


def _store(connection: Connection, schema: ClassSchema) -> None:
    if schema.name not in VOLATILE_CLASSES:
        connection.change(
            "INSERT INTO _SCHEMA VALUES (?, ?) ON CONFLICT DO UPDATE SET definition = excluded.definition",
            (schema.name, _encode_schema(schema)),
        )


def make_table(connection: Connection, class_name: str) -> None:
    """Make the table of a class where it is missing."""
    for statement in create_table(class_name):
        connection.change(statement)


def _create_class(connection: Connection, schema: ClassSchema) -> None:
    if connection.rows(Sql("SELECT 1 FROM _SCHEMA WHERE class_name = ?", (schema.name,))):
        raise ParseError(ErrorCode.INVALID_CLASS_NAME, f"Class {schema.name} already exists.")
    _store(connection, schema)
    make_table(connection, schema.name)


def _add_fields(connection: Connection, class_name: str, fields: Mapping[str, Field]) -> None:
    schema = _load(connection, class_name)
    new = {name: field for name, field in fields.items() if name not in schema.fields}
    _store(connection, replace(schema, fields={**schema.fields, **new}))
    for index in map(decode_index, connection.rows(indexes_of(class_name))):
        if any(root_of(path) in new for path, _ in index.keys):
            _drop_index(connection, class_name, index.name)  # it was made without knowing the type
            _add_index(connection, index)


def _delete_fields(connection: Connection, class_name: str, fields: Mapping[str, Field]) -> None:
    schema = _load(connection, class_name)
    kept = {name: field for name, field in schema.fields.items() if name not in fields}
    _store(connection, replace(schema, fields=kept))
    make_table(connection, class_name)
    table = quote_name(table_name(class_name))
    for name, field in fields.items():
        if field.type.name == "Relation":
            _drop_table(connection, links_table(JoinTable(class_name=class_name, field=name)))
        else:
            path = '$."' + name + '"'
            connection.change(
                f"UPDATE {table} SET doc = json_remove(doc, ?1) WHERE json_type(doc, ?1) IS NOT NULL", (path,)
            )


def _drop_class(connection: Connection, schema: ClassSchema) -> None:
    _drop_table(connection, quote_name(table_name(schema.name)))
    for field in schema.relations:
        _drop_table(connection, links_table(JoinTable(class_name=schema.name, field=field)))
    connection.change("DELETE FROM _SCHEMA WHERE class_name = ?", (schema.name,))
    connection.change("DELETE FROM _INDEX WHERE class_name = ?", (schema.name,))


def _drop_table(connection: Connection, table: str) -> None:
    connection.change(f"DROP TABLE IF EXISTS {table}")


# --- Indexes ---------------------------------------------------------------------------------------------


def _add_index(connection: Connection, index: Index) -> None:
    """Declare an index, and make it if SQLite can serve it and has none like it. The same one again changes
    nothing."""
    declared = connection.rows(
        Sql("SELECT definition FROM _INDEX WHERE class_name = ? AND name = ?", (index.class_name, index.name))
    )
    definition = _encode_index(index)
    if index.name == _ID_INDEX or declared == [(definition,)]:
        return
    if declared:
        _drop_index(connection, index.class_name, index.name)
    make_table(connection, index.class_name)
    connection.change("INSERT INTO _INDEX VALUES (?, ?, ?)", (index.class_name, index.name, definition))
    layout = ClassLayout(load_schema(connection, index.class_name))
    terms = _index_terms(layout, index)
    if not terms:
        return
    name = index_name(index.class_name, index.name)
    unique = "UNIQUE " if index.unique else ""
    try:
        connection.change(f"CREATE {unique}INDEX {quote_name(name)} ON {layout.table} ({', '.join(terms)})")
    except apsw.ConstraintError as error:
        raise DuplicateValue(index.keys[0][0]) from error
    for path, _ in index.keys:
        irregular = layout.place(path).irregular
        if irregular:
            connection.change(
                f"CREATE INDEX {quote_name(_name_of_irregular(name, path))} ON {layout.table} ({irregular}) "
                f"WHERE {irregular} IS NOT NULL"
            )


def _drop_index(connection: Connection, class_name: str, name: str) -> None:
    for index in map(decode_index, connection.rows(indexes_of(class_name))):
        if index.name == name:
            made = index_name(class_name, name)
            for found in [made, *(_name_of_irregular(made, path) for path, _ in index.keys)]:
                connection.change(f"DROP INDEX IF EXISTS {quote_name(found)}")
    connection.change("DELETE FROM _INDEX WHERE class_name = ? AND name = ?", (class_name, name))


def _name_of_irregular(made: str, path: str) -> str:
    return f"{made}:irregular:{path}"


def _index_terms(layout: ClassLayout, index: Index) -> list[str]:
    """Say in SQL what an index is on; nothing, if that cannot serve a query (words, arrays, polygons), or the
    index that every table has serves it."""
    if [path for path, _ in index.keys] == ["createdAt"] and not index.unique:
        return []
    terms: list[str] = []
    for path, kind in index.keys:
        place = layout.place(path)
        if place.kind is Kind.POINT:
            terms += [place.member("latitude"), place.member("longitude")]
        elif kind in (1, -1) and place.kind not in (Kind.STRUCTURE, Kind.OPAQUE):
            terms.append(_index_term(place, kind, index.case_insensitive))
        else:
            return []
    return terms


def _index_term(place: Place, kind: int | str, case_insensitive: bool) -> str:
    folds = case_insensitive and place.kind in (Kind.TEXT, Kind.SCALARS)
    term = f"casefold({place.value})" if folds else place.value
    return f"{term} DESC" if kind == -1 else term


def duplicate_value(connection: Connection, class_name: str, error: apsw.ConstraintError) -> DuplicateValue:
    """Find out which field's value was taken."""
    if ".object_id" in str(error):
        return DuplicateValue("objectId")
    for index in map(decode_index, connection.rows(indexes_of(class_name))):
        if f"'{index_name(class_name, index.name)}'" in str(error):
            return DuplicateValue(index.keys[0][0])
    return DuplicateValue(None)
