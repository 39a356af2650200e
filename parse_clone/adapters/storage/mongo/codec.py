"""How objects lie in MongoDB: the only file that knows `_p_`, `_rperm`, `_created_at`, `_auth_data_`, ...

Rows are byte-compatible with parse-server: it opens what this server wrote, and the other way round. A
`RowCodec` is built once per class schema: what depends on a field's type is decided then, not per object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeAlias, cast

from bson import Decimal128, Int64, ObjectId
from bson.datetime_ms import DatetimeMS
from bson.errors import InvalidId

from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.schema import ClassSchema, FieldType, TypeName
from parse_clone.core.values import (
    bytes_value,
    closed_ring,
    decode_bytes,
    decode_date,
    file_value,
    geo_point,
    is_pointer,
    is_typed,
    moment_of,
    pointer,
)

Row: TypeAlias = dict[str, Any]
"""A BSON document as the driver gives and takes it."""

READERS = "_rperm"
WRITERS = "_wperm"
LEGACY_ACL = "_acl"
_AUTH_DATA = "_auth_data_"
_POINTER = "_p_"

# --- Values inside of arrays and objects -----------------------------------------------------------------

_PLAIN: Final = frozenset({str, bool, type(None)})
_INT32 = 1 << 31


def encode_nested(value: Json) -> Any:
    """Encode a value inside of arrays and objects: Dates and Bytes as BSON, all else as REST JSON."""
    kind = type(value)
    return value if kind in _PLAIN else _ENCODERS[kind](value)


def encode_verbatim(value: Json) -> Any:
    """Encode a value of the members that keep REST JSON as it is (`authData`, config)."""
    match value:
        case dict():
            return {key: encode_verbatim(item) for key, item in value.items()}
        case list():
            return [encode_verbatim(item) for item in value]
        case _:
            return encode_nested(value)


def _encode_int(value: int) -> int | float:
    """parse-server writes int32 where it can and double for all other numbers, never int64."""
    return value if -_INT32 <= value < _INT32 else float(value)


def _encode_float(value: float) -> int | float:
    if value.is_integer() and -_INT32 <= value < _INT32:
        return int(value) or (0 if str(value) == "0.0" else value)  # minus zero is no int32
    return value


def _encode_array(value: list[Json]) -> list[Any]:
    return [item if type(item) in _PLAIN else _ENCODERS[type(item)](item) for item in value]


def _encode_object(value: JsonObject) -> Any:
    match value.get("__type"):
        case None:
            pass
        case "Date" if moment := moment_of(value):
            return moment
        case "Bytes" if (content := _content_of(value)) is not None:
            return content
        case "Pointer" if is_pointer(value):
            return {"__type": "Pointer", "className": value["className"], "objectId": value["objectId"]}
    return {key: item if type(item) in _PLAIN else _ENCODERS[type(item)](item) for key, item in value.items()}


def _content_of(value: JsonObject) -> bytes | None:
    try:
        return decode_bytes(value)
    except ValueError:
        return None


_ENCODERS: Mapping[type, Callable[[Any], Any]] = {
    int: _encode_int,
    float: _encode_float,
    list: _encode_array,
    dict: _encode_object,
}


def decode_nested(value: Any) -> Json:
    """Decode a value as it lies inside of arrays and objects. Containers are changed in place."""
    kind = type(value)
    return value if kind in _PLAIN else _DECODERS.get(kind, _decode_other)(value)


def _decode_object(value: Row) -> JsonObject:
    for key, item in value.items():
        if type(item) not in _PLAIN:
            value[key] = _DECODERS.get(type(item), _decode_other)(item)
    return value


def _decode_array(value: list[Any]) -> list[Json]:
    for place, item in enumerate(value):
        if type(item) not in _PLAIN:
            value[place] = _DECODERS.get(type(item), _decode_other)(item)
    return value


def _decode_float(value: float) -> int | float:
    """JSON knows one kind of number: 5.0 is written as 5."""
    return int(value) if value.is_integer() and abs(value) < 1 << 63 else value


def _iso(value: datetime) -> str:
    """Write a date that the driver gives: naive, in UTC, to the millisecond."""
    return value.isoformat("T", "milliseconds") + "Z"  # by keyword it takes half as long again


def _iso_beyond_calendar(value: DatetimeMS) -> str:
    """JavaScript's dates reach further than Python's: answer the nearest moment that can be said."""
    return "9999-12-31T23:59:59.999Z" if int(value) > 0 else "0001-01-01T00:00:00.000Z"


def _decode_other(value: Any) -> Json:
    """Decode what no Parse server writes, so that one odd member does not spoil a whole answer."""
    return bytes_value(value) if isinstance(value, bytes) else str(value)


_DECODERS: Mapping[type, Callable[[Any], Json]] = {
    int: int,
    float: _decode_float,
    datetime: lambda value: {"__type": "Date", "iso": _iso(value)},
    DatetimeMS: lambda value: {"__type": "Date", "iso": _iso_beyond_calendar(value)},
    dict: _decode_object,
    list: _decode_array,
    bytes: bytes_value,
    Int64: int,
    Decimal128: lambda value: float(value.to_decimal()),
}


# --- Values of a field of their own: types that are stored in another form there -------------------------


def _encode_pointer(value: JsonObject) -> str:
    return f"{value['className']}${value['objectId']}"


def _decode_pointer(target: str, value: Any) -> Json:
    if not isinstance(value, str):
        return decode_nested(value)
    class_name, separator, object_id = value.partition("$")
    return pointer(class_name, object_id) if separator else pointer(target, value)


def _encode_geo_point(value: JsonObject) -> list[Any]:
    return [encode_nested(value["longitude"]), encode_nested(value["latitude"])]


def _decode_geo_point(value: Any) -> Json:
    if not isinstance(value, list) or len(value) != 2:
        return decode_nested(value)
    longitude, latitude = _decode_array(value)
    return geo_point(latitude, longitude)  # type: ignore[arg-type]


def _encode_polygon(value: JsonObject) -> Row:
    ring: list[Any] = closed_ring(value["coordinates"])  # type: ignore[arg-type]
    places = [[encode_nested(longitude), encode_nested(latitude)] for latitude, longitude in ring]
    return {"type": "Polygon", "coordinates": [places]}


def _decode_polygon(value: Any) -> Json:
    if not isinstance(value, dict) or not value.get("coordinates"):
        return decode_nested(value)
    places: list[Any] = _decode_array(value["coordinates"][0])
    return {"__type": "Polygon", "coordinates": [place[::-1] for place in places]}


def _encode_file(value: JsonObject) -> Any:
    return value["name"]


def _decode_file(value: Any) -> Json:
    return file_value(value) if isinstance(value, str) else decode_nested(value)


def _decode_bytes(value: Any) -> Json:
    return {"__type": "Bytes", "base64": value} if isinstance(value, str) else decode_nested(value)


_COLUMN_ENCODERS: Mapping[TypeName, Callable[[JsonObject], Any]] = {
    "Pointer": _encode_pointer,
    "GeoPoint": _encode_geo_point,
    "Polygon": _encode_polygon,
    "File": _encode_file,
}
_COLUMN_DECODERS: Mapping[TypeName, Callable[[Any], Json]] = {
    "GeoPoint": _decode_geo_point,
    "Polygon": _decode_polygon,
    "File": _decode_file,
    "Bytes": _decode_bytes,
}


def _encode_typed(type_name: TypeName, encode: Callable[[JsonObject], Any], value: Json) -> Any:
    return encode(value) if is_typed(value, type_name) else encode_nested(value)


def _encode_timestamp(value: Json) -> Any:
    """`createdAt` and `updatedAt` travel as plain texts."""
    return decode_date(value) if isinstance(value, str) else encode_nested(value)


def _decode_timestamp(value: Any) -> Json:
    if type(value) is datetime:
        return value.isoformat("T", "milliseconds") + "Z"
    return _iso_beyond_calendar(value) if isinstance(value, DatetimeMS) else decode_nested(value)


def _decode_id(value: Any) -> str:
    return value if type(value) is str else str(value)


def _encode_number_id(value: Json) -> Any:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _encode_object_id(value: Json) -> Any:
    try:
        return ObjectId(value)  # type: ignore[arg-type]
    except (InvalidId, TypeError):
        return value


# --- Columns ---------------------------------------------------------------------------------------------

_NUMBER_ID_CLASSES = frozenset({"_GlobalConfig", "_GraphQLConfig"})
_BARE_CLASSES = _NUMBER_ID_CLASSES | {"_Hooks"}
"""Their rows carry no timestamps."""

_RENAMED: Mapping[str, Mapping[str, str]] = {
    "_Session": {"sessionToken": "_session_token"},
    "_Audience": {"lastUsed": "_last_used", "timesUsed": "times_used"},
}
_VERBATIM_FIELDS: Mapping[str, frozenset[str]] = {
    "_GlobalConfig": frozenset({"params", "masterKeyOnly"}),
    "_GraphQLConfig": frozenset({"config"}),
}
_ALWAYS_SELECTED = ("_id", "_created_at", "_updated_at", READERS, WRITERS)

_OPAQUE: Final = frozenset({"Pointer", "GeoPoint", "Polygon"})

NO_OPERAND: Final = object()
"""Stands for a value that no stored value of a column can equal."""


@dataclass(frozen=True, slots=True)
class Column:
    """Where the values of a REST path lie and in which form. `type` is None below the root of a field."""

    name: str
    type: TypeName | None
    encode: Callable[[Json], Any] = encode_nested
    decode: Callable[[Any], Json] = decode_nested

    @property
    def is_opaque(self) -> bool:
        """May only whole values be compared, because the stored form has a text or elements of its own?"""
        return self.type in _OPAQUE

    def operand(self, value: Json) -> Any:
        """Encode a value to compare with; `NO_OPERAND` where it could equal the stored form by accident."""
        if self.type == "Date":  # a text is no date, not even to the columns of timestamps
            return encode_nested(value)
        if value is None or self.type not in _OPAQUE or is_typed(value, self.type):
            return self.encode(value)
        return NO_OPERAND


_ABSENT: Final = Column("_id.absent", None)
"""What no row has: nothing lies below an id."""

_Writer: TypeAlias = Callable[[Row, Json], None]
_Reader: TypeAlias = Callable[[JsonObject, Any], None]


class RowCodec:
    """Translates the objects of one class between the port's form and MongoDB's."""

    def __init__(self, schema: ClassSchema) -> None:
        self.schema = schema
        self.splits_auth_data = schema.name == "_User"
        self._columns = _columns(schema)
        # Only for members that do not lie under their own name, in the form of nested values.
        self._writers: dict[str, _Writer] = {
            name: partial(_write, column.name, column.encode)
            for name, column in self._columns.items()
            if column.name != name or column.encode is not encode_nested
        }
        self._readers: dict[str, _Reader] = {
            column.name: partial(_read, name, column.decode)
            for name, column in self._columns.items()
            if column.name != name or column.decode is not decode_nested
        }
        self._add_special_members()

    def _add_special_members(self) -> None:
        # Rows of old servers may hold the timestamps under their REST names.
        for name in ("createdAt", "updatedAt"):
            self._readers.setdefault(name, partial(_read, name, _decode_timestamp))
        self._writers["ACL"] = _write_acl
        for name, field in self.schema.fields.items():
            if field.type.name == "Relation":
                self._writers[name] = self._readers[name] = _ignore
            elif field.type.name == "Pointer":
                # Parse quirk: a pointer set to null is stored as null and read as absent.
                self._readers[_POINTER + name] = partial(_read_present, name, self._columns[name].decode)
        if self.splits_auth_data:
            self._writers["authData"] = _write_auth_data
            self._readers["authData"] = _ignore
        if self.schema.name == "_Session":
            self._readers["_expiresAt"] = partial(_read, "expiresAt", decode_nested)
        if self.schema.name in _BARE_CLASSES:
            self._writers["createdAt"] = self._writers["updatedAt"] = _ignore

    def encode(self, stored_object: JsonObject) -> Row:
        """Turn a stored object into a row."""
        row: Row = {}
        writers = self._writers
        for name, value in stored_object.items():
            if name in writers:
                writers[name](row, value)
            else:
                row[name] = value if type(value) in _PLAIN else _ENCODERS[type(value)](value)
        return row

    def decode(self, row: Row) -> JsonObject:
        """Turn a row, which is used up, into a stored object."""
        stored_object: JsonObject = {}
        readable, writable = row.pop(READERS, None), row.pop(WRITERS, None)
        if readable is not None or writable is not None:
            stored_object["ACL"] = _decode_acl(readable or (), writable or ())
        row.pop(LEGACY_ACL, None)
        readers = self._readers
        for name, value in row.items():
            if name in readers:
                readers[name](stored_object, value)
            elif name[:1] == "_":
                self._read_internal(stored_object, name, value)
            else:
                kind = type(value)
                stored_object[name] = value if kind in _PLAIN else _DECODERS.get(kind, _decode_other)(value)
        return stored_object

    def _read_internal(self, stored_object: JsonObject, name: str, value: Any) -> None:
        if name.startswith(_POINTER):
            return  # of a field that was deleted
        if self.splits_auth_data and name.startswith(_AUTH_DATA):
            _read_auth_data(stored_object, name, value)
        else:
            stored_object[name] = decode_nested(value)

    def column(self, path: str) -> Column:
        """Find where a dotted REST path lies."""
        found = self._columns.get(path)
        if found is not None:
            return found
        root, dot, rest = path.partition(".")
        if "$" in path or "\0" in path:
            return _ABSENT  # a client's text must not become an operator
        if root == "authData" and self.splits_auth_data and dot:
            return Column(_AUTH_DATA + rest, None, encode_verbatim)
        column = self._columns.get(root)
        if column is None:
            return Column(path, None)
        if column.is_opaque:
            return _ABSENT
        return Column(
            f"{column.name}.{rest}",
            None,
            encode_verbatim if column.encode is encode_verbatim else encode_nested,
        )

    def encode_field(self, path: str, value: Json) -> Row:
        """Encode the new value of one path as the stored members that hold it."""
        writer = self._writers.get(path)
        if writer is None:
            column = self.column(path)
            return {column.name: column.encode(value)}
        row: Row = {}
        writer(row, value)
        return row

    def members(self, path: str) -> tuple[str, ...]:
        """Name the stored members that hold a path."""
        return (READERS, WRITERS, LEGACY_ACL) if path == "ACL" else (self.column(path).name,)

    def projection(self, keys: Iterable[str]) -> Row | None:
        """Select root fields; None where MongoDB cannot say which (`authData` is a member per provider)."""
        if self.splits_auth_data and "authData" in keys:
            return None
        return dict.fromkeys((*_ALWAYS_SELECTED, *(self.column(key).name for key in keys if key != "ACL")), 1)


def _columns(schema: ClassSchema) -> dict[str, Column]:
    renamed = _RENAMED.get(schema.name, {})
    verbatim = _VERBATIM_FIELDS.get(schema.name, frozenset())
    columns = {
        name: Column(name, "Object", encode_verbatim)
        if name in verbatim
        else _column(renamed.get(name, name), name, field.type)
        for name, field in schema.fields.items()
    }
    columns["objectId"] = Column("_id", "String", _id_encoder(schema.name), _decode_id)
    columns["createdAt"] = Column("_created_at", "Date", _encode_timestamp, _decode_timestamp)
    columns["updatedAt"] = Column("_updated_at", "Date", _encode_timestamp, _decode_timestamp)
    return columns


def _column(stored_name: str, name: str, field_type: FieldType) -> Column:
    if field_type.name == "Pointer":
        encode = partial(_encode_typed, "Pointer", _encode_pointer)
        return Column(_POINTER + name, "Pointer", encode, partial(_decode_pointer, field_type.target or ""))
    encoder = _COLUMN_ENCODERS.get(field_type.name)
    return Column(
        stored_name,
        field_type.name,
        encode_nested if encoder is None else partial(_encode_typed, field_type.name, encoder),
        _COLUMN_DECODERS.get(field_type.name, decode_nested),
    )


def _id_encoder(class_name: str) -> Callable[[Json], Any]:
    if class_name in _NUMBER_ID_CLASSES:
        return _encode_number_id
    return _encode_object_id if class_name == "_Hooks" or class_name.startswith("_Join:") else encode_nested


# --- Members of rows -------------------------------------------------------------------------------------


def _write(stored_name: str, encode: Callable[[Json], Any], row: Row, value: Json) -> None:
    row[stored_name] = encode(value)


def _read(name: str, decode: Callable[[Any], Json], stored_object: JsonObject, value: Any) -> None:
    stored_object[name] = decode(value)


def _read_present(name: str, decode: Callable[[Any], Json], stored_object: JsonObject, value: Any) -> None:
    if value is not None:
        stored_object[name] = decode(value)


def _ignore(_target: Row, _value: Any) -> None:
    return None


def _write_acl(row: Row, acl: Json) -> None:
    if not isinstance(acl, dict):
        return
    grants = {principal: grant for principal, grant in acl.items() if isinstance(grant, dict)}
    row[READERS] = [principal for principal, grant in grants.items() if grant.get("read")]
    row[WRITERS] = [principal for principal, grant in grants.items() if grant.get("write")]
    row[LEGACY_ACL] = {
        principal: {letter: True for word, letter in (("read", "r"), ("write", "w")) if grant.get(word)}
        for principal, grant in grants.items()
    }


def _decode_acl(readable: Iterable[str], writable: Iterable[str]) -> JsonObject:
    acl: dict[str, dict[str, Json]] = {principal: {"read": True} for principal in readable}
    for principal in writable:
        acl.setdefault(principal, {})["write"] = True
    return cast("JsonObject", acl)


def _write_auth_data(row: Row, auth_data: Json) -> None:
    if isinstance(auth_data, dict):
        for provider, value in auth_data.items():
            if value is not None:
                row[_AUTH_DATA + provider] = encode_verbatim(value)


def _read_auth_data(stored_object: JsonObject, name: str, value: Any) -> None:
    if value is not None:
        auth_data = stored_object.setdefault("authData", {})
        auth_data[name.removeprefix(_AUTH_DATA)] = decode_nested(value)  # type: ignore[index,call-overload]


# --- Names without a schema: indexes ---------------------------------------------------------------------

_REST_NAMES: Mapping[str, str] = {
    "_id": "objectId",
    "_created_at": "createdAt",
    "_updated_at": "updatedAt",
    "_last_used": "lastUsed",
}


def rest_path(stored_path: str) -> str:
    """Name a stored path as REST does, as far as its name alone tells."""
    if stored_path.startswith(_AUTH_DATA):
        return f"authData.{stored_path.removeprefix(_AUTH_DATA)}"
    return _REST_NAMES.get(stored_path) or stored_path.removeprefix(_POINTER)
