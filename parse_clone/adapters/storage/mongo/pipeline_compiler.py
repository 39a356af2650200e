"""From an aggregation pipeline in REST names to MongoDB's, and from its results to REST JSON.

# Parse quirk: only `$match`, `$project`, `$group` and the query of `$geoNear` are translated, and in `$group`
# `"$objectId"` is not (use `"$_id"`): pipelines in use depend on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from bson import json_util

from parse_clone.adapters.storage.mongo.codec import Column, Row, RowCodec, decode_nested
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.values import decode_date, is_pointer, moment_of

_RENAMED = ("objectId", "createdAt", "updatedAt")


class PipelineCodec:
    """Translates one pipeline and its results. `raw_values`: values are extended JSON both ways;
    `raw_field_names`: so are the names MongoDB's."""

    def __init__(self, codec: RowCodec, options: Mapping[str, Json]) -> None:
        self._codec = codec
        self._raw_values = options.get("rawValues") is True
        self._raw_names = options.get("rawFieldNames") is True
        self._groups_by_pointer = False

    def encode(self, stages: Sequence[JsonObject]) -> list[Row]:
        """Compile the stages."""
        raw = json_util.loads(orjson.dumps(stages)) if self._raw_values else stages
        return [{name: self._stage(name, body) for name, body in stage.items()} for stage in raw]

    def _stage(self, name: str, body: Any) -> Any:
        match name, body:
            case "$match", dict():
                return self._match(body)
            case "$project", dict():
                return {self._name(key): self._match(value) for key, value in body.items()}
            case "$group", dict():
                group = self._group(body)
                self._groups_by_pointer = self._is_pointer_reference(body.get("_id"))
                return group
            case "$geoNear", {"query": dict(query)}:
                return body | {"query": self._match(query)}
            case _:
                return body

    # --- $match -------------------------------------------------------------------------------------------

    def _match(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._match(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {self._name(key): self._operand(key, item) for key, item in value.items()}

    def _operand(self, key: str, value: Any) -> Any:
        field_type = self._codec.schema.type_of(key)
        if self._raw_values or field_type is None:
            return self._match(value)
        if field_type.name == "Pointer" and not self._raw_names:
            return _pointer_operand(self._codec.column(key), field_type.target or "", value)
        return _date_operand(value) if field_type.name == "Date" else self._match(value)

    def _name(self, key: str) -> str:
        field_type = self._codec.schema.type_of(key)
        is_stored_elsewhere = key in _RENAMED or (field_type is not None and field_type.name == "Pointer")
        return self._codec.column(key).name if is_stored_elsewhere and not self._raw_names else key

    # --- $group -------------------------------------------------------------------------------------------

    def _group(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._group(item) for item in value]
        if isinstance(value, dict):
            return {key: self._group(item) for key, item in value.items()}
        if not isinstance(value, str) or self._raw_names:
            return value
        field = value[1:]
        if self._is_pointer_reference(value) or (
            value.startswith("$") and field in ("createdAt", "updatedAt")
        ):
            return f"${self._codec.column(field).name}"
        return value

    def _is_pointer_reference(self, value: Any) -> bool:
        if self._raw_names or not isinstance(value, str) or not value.startswith("$"):
            return False
        field_type = self._codec.schema.type_of(value[1:])
        return field_type is not None and field_type.name == "Pointer"

    # --- Results ------------------------------------------------------------------------------------------

    def decode(self, row: Row) -> JsonObject:
        """Turn a result, which is used up, into REST JSON."""
        if self._raw_values:
            text = json_util.dumps(row, json_options=json_util.RELAXED_JSON_OPTIONS)
            plain: JsonObject = orjson.loads(text)
            if "_id" in plain and not self._raw_names:
                plain["objectId"] = plain.pop("_id")
            return plain
        if self._raw_names:
            return decode_nested(row)  # type: ignore[return-value]
        group_id = row.pop("_id", _ABSENT)
        result = {k: v for k, v in self._codec.decode(row).items() if k[:1].isalpha() and k != "ACL"}
        if group_id is not _ABSENT:
            result["objectId"] = self._decode_id(group_id)
        return result

    def _decode_id(self, value: Any) -> Json:
        if value in ("", [], {}):
            return None
        if self._groups_by_pointer and isinstance(value, str):
            return value.partition("$")[2]
        return decode_nested(value)


_ABSENT = object()


def _pointer_operand(column: Column, target: str, value: Any) -> Any:
    """Prefix plain ids by the pointer's class; operators are passed on, with the Pointers in them encoded."""
    if is_pointer(value):
        return column.encode(value)
    if isinstance(value, list):
        return [column.encode(item) if is_pointer(item) else item for item in value]
    if isinstance(value, dict):
        return {
            key: _pointer_operand(column, target, item) if _holds_pointers(item) else item
            for key, item in value.items()
        }
    return f"{target}${value}" if isinstance(value, str) else value


def _holds_pointers(value: Any) -> bool:
    return is_pointer(value) or isinstance(value, list)


def _date_operand(value: Any) -> Any:
    """Turn ISO texts and Dates into dates, at any depth of operators."""
    if (moment := moment_of(value)) is not None:
        return moment
    if isinstance(value, dict):
        return {key: _date_operand(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_date_operand(item) for item in value]
    if not isinstance(value, str):
        return value
    try:
        return decode_date(value)
    except ValueError:
        return value
