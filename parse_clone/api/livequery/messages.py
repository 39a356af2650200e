"""Reading the frames that LiveQuery clients send. Pure: text in, typed message out, or the refusal.

The texts of refusals are those that SDKs compare; each frame is checked by a table of members and types.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import orjson

from parse_clone.core.json_types import Json, JsonObject


@dataclass(frozen=True, slots=True)
class Connect:
    application_id: str
    keys: JsonObject
    session_token: str | None
    installation_id: str | None


@dataclass(frozen=True, slots=True)
class Subscribe:
    """`is_update`: replaces the subscription of the same request id."""

    request_id: int | float
    class_name: str
    where: JsonObject
    keys: tuple[str, ...] | None
    watch: tuple[str, ...] | None
    session_token: str | None
    is_update: bool = False


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    request_id: int | float


Message: TypeAlias = Connect | Subscribe | Unsubscribe


class InvalidFrame(Exception):
    """The frame breaks the protocol; the text is what the client reads (error code 1)."""


KEY_NAMES = ("javascriptKey", "masterKey", "clientKey", "windowsKey", "restAPIKey")

_REQUIRED: dict[str, dict[str, str]] = {
    "connect": {"op": "string", "applicationId": "string"},
    "subscribe": {"op": "string", "requestId": "number", "query": "object"},
    "update": {"op": "string", "requestId": "number", "query": "object"},
    "unsubscribe": {"op": "string", "requestId": "number"},
}
_OPTIONAL: dict[str, dict[str, str]] = {
    "connect": dict.fromkeys((*KEY_NAMES, "sessionToken", "installationId"), "string"),
    "subscribe": {"sessionToken": "string"},
    "update": {"sessionToken": "string"},
    "unsubscribe": {},
}
_QUERY_REQUIRED = {"className": "string", "where": "object"}
_QUERY_OPTIONAL = {"keys": "array", "fields": "array", "watch": "array"}


def decode_message(text: str) -> Message | None:
    """Read a frame; None if it is not JSON at all. Raises `InvalidFrame`."""
    try:
        frame: Json = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    op, frame = _checked_op(frame)
    _check_members(frame, _REQUIRED[op], _OPTIONAL[op])
    match op:
        case "connect":
            return _connect(frame)
        case "unsubscribe":
            return Unsubscribe(_number(frame["requestId"]))
        case _:
            return _subscribe(frame, is_update=op == "update")


def _checked_op(frame: Json) -> tuple[str, JsonObject]:
    if not isinstance(frame, dict):
        raise InvalidFrame(f"Invalid type: {_type_name(frame)} (expected object)")
    if "op" not in frame:
        raise InvalidFrame("Missing required property: op")
    op = frame["op"]
    if not isinstance(op, str):
        raise InvalidFrame(f"Invalid type: {_type_name(op)} (expected string)")
    if op not in _REQUIRED:
        raise InvalidFrame(f'No enum match for: "{op}"')
    return op, frame


def _check_members(frame: JsonObject, required: dict[str, str], optional: dict[str, str]) -> None:
    for name in required:
        if name not in frame:
            raise InvalidFrame(f"Missing required property: {name}")
    for name, value in frame.items():
        expected = required.get(name) or optional.get(name)
        if expected is None:
            raise InvalidFrame("Additional properties not allowed")
        if _type_name(value) != expected:
            raise InvalidFrame(f"Invalid type: {_type_name(value)} (expected {expected})")


def _type_name(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _connect(frame: JsonObject) -> Connect:
    return Connect(
        application_id=str(frame["applicationId"]),
        keys={name: frame[name] for name in KEY_NAMES if name in frame},
        session_token=_optional_text(frame, "sessionToken"),
        installation_id=_optional_text(frame, "installationId"),
    )


def _subscribe(frame: JsonObject, *, is_update: bool) -> Subscribe:
    query = frame["query"]
    assert isinstance(query, dict)
    _check_members(query, _QUERY_REQUIRED, _QUERY_OPTIONAL)
    where = query["where"]
    assert isinstance(where, dict)
    return Subscribe(
        request_id=_number(frame["requestId"]),
        class_name=str(query["className"]),
        where=where,
        keys=_names(query.get("keys", query.get("fields"))),  # `fields`: what older native SDKs send
        watch=_names(query.get("watch")),
        session_token=_optional_text(frame, "sessionToken"),
        is_update=is_update,
    )


def _names(value: Json) -> tuple[str, ...] | None:
    if not isinstance(value, list):
        return None
    if not value:
        raise InvalidFrame("Array is too short (0), minimum 1")
    first: dict[str, int] = {}
    for index, item in enumerate(value):
        if not isinstance(item, str):
            raise InvalidFrame(f"Invalid type: {_type_name(item)} (expected string)")
        if item in first:
            raise InvalidFrame(f"Array items are not unique (indices {first[item]} and {index})")
        first[item] = index
    return tuple(first)


def _number(value: Json) -> int | float:
    assert isinstance(value, int | float)
    return value


def _optional_text(frame: JsonObject, name: str) -> str | None:
    value = frame.get(name)
    return value if isinstance(value, str) and value else None
