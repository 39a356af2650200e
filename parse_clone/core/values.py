"""Parse's values in wire form: build, recognise, normalise and compare them; the scans of untrusted JSON.

A client decides how deep its JSON is: scans do not recurse, and what is stored has a greatest depth.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from math import isfinite
from typing import TypeGuard
from urllib.parse import urlsplit

from parse_clone.core.javascript import json_of, text_of
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.errors import ErrorCode, ParseError

MAX_DEPTH = 100
"""How deep stored objects may be nested, as in the document database. Code behind this check may recurse."""

# --- Dates -------------------------------------------------------------------------------------------------


def encode_date(moment: datetime) -> str:
    """Write a moment (naive: UTC) as `2026-01-05T10:00:00.123Z`."""
    if moment.tzinfo is not None and moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat("T", "milliseconds")[:23] + "Z"  # by keyword it takes half as long again


def decode_date(text: str) -> datetime:
    """Read an ISO text as an aware moment in UTC, cut to milliseconds; raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    elif moment.tzinfo is not UTC:
        try:
            moment = moment.astimezone(UTC)
        except OverflowError as error:
            raise ValueError(f"{text} lies outside of the calendar") from error
    surplus = moment.microsecond % 1000
    return moment.replace(microsecond=moment.microsecond - surplus) if surplus else moment


def date_value(moment: datetime) -> JsonObject:
    """Wrap a moment as a Date."""
    return {"__type": "Date", "iso": encode_date(moment)}


def moment_of(value: Json) -> datetime | None:
    """The moment of a Date, or None if the value is no valid Date."""
    if not (isinstance(value, dict) and value.get("__type") == "Date"):
        return None
    iso = value.get("iso")
    if not isinstance(iso, str):
        return None
    try:
        return decode_date(iso)
    except ValueError:
        return None


# --- Builders and recognisers ------------------------------------------------------------------------------


def pointer(class_name: str, object_id: str) -> JsonObject:
    """Point to an object."""
    return {"__type": "Pointer", "className": class_name, "objectId": object_id}


def relation(class_name: str) -> JsonObject:
    """The value that stands for a relation field in an answer."""
    return {"__type": "Relation", "className": class_name}


def geo_point(latitude: float, longitude: float) -> JsonObject:
    """Wrap degrees as a GeoPoint."""
    return {"__type": "GeoPoint", "latitude": latitude, "longitude": longitude}


def bytes_value(content: bytes) -> JsonObject:
    """Wrap bytes."""
    return {"__type": "Bytes", "base64": b64encode(content).decode("ascii")}


def file_value(name: str, url: str | None = None) -> JsonObject:
    """Wrap a file's stored name; the url is added where an answer is written."""
    return {"__type": "File", "name": name} if url is None else {"__type": "File", "name": name, "url": url}


def is_number(value: Json) -> TypeGuard[int | float]:
    """Is this a finite number (a boolean is none)?"""
    return type(value) is int or (type(value) is float and isfinite(value))


def is_typed(value: Json, type_name: str) -> TypeGuard[JsonObject]:
    """Is this a value with that `__type`?"""
    return isinstance(value, dict) and value.get("__type") == type_name


def is_pointer(value: Json, class_name: str | None = None) -> TypeGuard[JsonObject]:
    """Is this a complete pointer (to that class)?"""
    return (
        isinstance(value, dict)
        and value.get("__type") == "Pointer"
        and isinstance(value.get("objectId"), str)
        and (
            isinstance(value.get("className"), str)
            if class_name is None
            else value.get("className") == class_name
        )
    )


def decode_bytes(value: JsonObject) -> bytes:
    """The content of a Bytes value; raises ValueError."""
    text = value.get("base64")
    if not isinstance(text, str):
        raise ValueError("base64 must be a text")
    try:
        return b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError(str(error)) from error


def plain_number(value: int | float) -> int | float:
    """Write a whole number without a fraction: to Parse's clients 5.0 and 5 are one number."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


# --- Normal forms ------------------------------------------------------------------------------------------


def normal_value(value: Json) -> Json:
    """Bring a field's new value into the form in which it is stored.

    Raises 111 for a bad `__type`, 107 for a polygon without area, 121 for forbidden nested keys.
    """
    if isinstance(value, dict):
        type_name = value.get("__type")
        return _normal_typed(value, type_name) if type_name else _normal_nested(value, 0)
    return _normal_nested(value, 0) if isinstance(value, (list, float)) else value


def _normal_typed(value: JsonObject, type_name: Json) -> JsonObject:
    found: JsonObject | None = None
    match type_name:
        case "Date":
            moment = moment_of(value)
            found = None if moment is None else date_value(moment)
        case "Pointer":
            found = _normal_pointer(value)
        case "Relation":
            target = value.get("className")
            found = relation(target) if target and isinstance(target, str) else None
        case "GeoPoint":
            latitude, longitude = value.get("latitude"), value.get("longitude")
            if is_number(latitude) and is_number(longitude):
                found = geo_point(plain_number(latitude), plain_number(longitude))
        case "Polygon":
            found = _normal_polygon(value.get("coordinates"))
        case "File":
            name = value.get("name")
            found = file_value(name) if name and isinstance(name, str) else None
        case "Bytes":
            found = _normal_bytes(value)
    if found is None:
        raise ParseError(ErrorCode.INCORRECT_TYPE, f"This is not a valid {type_name}")
    return found


def _normal_pointer(value: JsonObject) -> JsonObject | None:
    class_name, object_id = value.get("className"), value.get("objectId")
    if type(object_id) is int:  # Parse quirk: the id of `_GlobalConfig` is a number
        object_id = str(object_id)
    if isinstance(class_name, str) and isinstance(object_id, str) and class_name and object_id:
        return pointer(class_name, object_id)
    return None


def _normal_bytes(value: JsonObject) -> JsonObject | None:
    try:
        content = decode_bytes(value)
    except ValueError:
        return None
    return bytes_value(content) if content else None


def _normal_polygon(coordinates: Json) -> JsonObject | None:
    if not isinstance(coordinates, list):
        return None
    ring: list[Json] = []
    for pair in coordinates:
        if not (isinstance(pair, list) and len(pair) == 2):
            return None
        latitude, longitude = pair
        if not (is_number(latitude) and is_number(longitude)):
            return None
        if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
            text = f"GeoJSON: coordinates out of bounds: [{text_of(latitude)}, {text_of(longitude)}]"
            raise ParseError(ErrorCode.INVALID_JSON, text)
        ring.append([plain_number(latitude), plain_number(longitude)])
    return {"__type": "Polygon", "coordinates": closed_ring(ring)}


def closed_ring(ring: Sequence[Json]) -> list[Json]:
    """Close a ring of `[latitude, longitude]` pairs; raises 107 where it encloses nothing."""
    if len({tuple(pair) for pair in ring if isinstance(pair, list)}) < 3:
        raise ParseError(ErrorCode.INVALID_JSON, "GeoJSON: Loop must have at least 3 different vertices")
    return [*ring, ring[0]] if ring[0] != ring[-1] else list(ring)


def _normal_nested(value: Json, depth: int) -> Json:
    """Copy a value `depth` levels down; nested Dates and Pointers in normal form, keys checked (121)."""
    if isinstance(value, float):
        return plain_number(value)
    if not isinstance(value, (dict, list)):  # a union would be four times as slow
        return value
    if depth >= MAX_DEPTH:
        raise ParseError(ErrorCode.INVALID_JSON, f"objects may be nested {MAX_DEPTH} levels deep at most")
    if isinstance(value, list):
        return [item if type(item) in PLAIN_TYPES else _normal_nested(item, depth + 1) for item in value]
    for key in value:
        if "$" in key or "." in key or "\0" in key:  # a database ends names at NUL
            raise ParseError(
                ErrorCode.INVALID_NESTED_KEY, "Nested keys should not contain the '$' or '.' characters"
            )
    match value.get("__type"):
        case "Date" if (moment := moment_of(value)) is not None:
            return date_value(moment)
        case "Pointer" if (found := _normal_pointer(value)) is not None:
            return found
        case _:
            return {
                key: item if type(item) in PLAIN_TYPES else _normal_nested(item, depth + 1)
                for key, item in value.items()
            }


PLAIN_TYPES = frozenset({str, int, bool, type(None)})
"""Of values whose only form is normal."""


# --- Scans of untrusted JSON -------------------------------------------------------------------------------


def members(value: Json) -> Iterator[tuple[str, Json]]:
    """Walk every key and value at any depth; elements of arrays have the key ""."""
    open_values = [value]
    while open_values:
        found = open_values.pop()
        if isinstance(found, dict):
            for key, item in found.items():
                yield key, item
                if isinstance(item, dict | list):
                    open_values.append(item)
        elif isinstance(found, list):
            for item in found:
                yield "", item
                if isinstance(item, dict | list):
                    open_values.append(item)


def check_depth(value: Json) -> None:
    """Refuse what is nested deeper than any stored object (107), level by level."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [item for found in level for item in _inner(found)]
        if not level:
            return
    raise ParseError(ErrorCode.INVALID_JSON, f"objects may be nested {MAX_DEPTH} levels deep at most")


def _inner(value: Json) -> list[Json]:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [item for item in items if isinstance(item, (dict, list))]


_KEPT_KEYS, _LONGEST_KEPT_KEY = 10_000, 100  # clients choose keys


def nests_deeper(value: Json, levels: int) -> bool:
    """Is the value nested deeper than so many levels? Walks level by level, never deeper than asked."""
    layer: list[Json] = [value]
    for _ in range(levels + 1):
        layer = [
            item
            for found in layer
            if isinstance(found, dict | list)
            for item in (found.values() if isinstance(found, dict) else found)
        ]
        if not layer:
            return False
    return True


DEFAULT_KEYWORD_DENYLIST: tuple[Mapping[str, Json], ...] = (
    {"key": "_bsontype", "value": "Code"},
    {"key": "constructor"},
    {"key": "__proto__"},
)


@dataclass(frozen=True, eq=False)
class KeywordDenylist:
    """`requestKeywordDenylist`, compiled once. A rule names a key, a value or both; texts are regular
    expressions, found anywhere in a key or text."""

    rules: tuple[Mapping[str, Json], ...] = DEFAULT_KEYWORD_DENYLIST

    @cached_property
    def _compiled(self) -> list[tuple[re.Pattern[str] | None, Json, bool, str]]:
        return [
            (
                re.compile(str(rule["key"])) if "key" in rule else None,
                rule.get("value"),
                "value" in rule,
                json_of(dict(rule)),
            )
            for rule in self.rules
        ]

    @cached_property
    def _suspicious_key(self) -> re.Pattern[str]:
        """Finds every key that some rule could refuse: most requests need nothing else."""
        return re.compile("|".join(f"(?:{key.pattern})" if key else "" for key, _, _, _ in self._compiled))

    @cached_property
    def _harmless_keys(self) -> set[str]:
        """Keys that no rule can refuse: requests bring the same few again and again."""
        return set()

    def check(self, value: Json) -> None:
        """Refuse JSON that holds a denied keyword at any depth (105)."""
        if not self.rules or self._is_harmless(value):
            return
        is_suspicious = self._suspicious_key.search
        for key, item in members(value):
            if is_suspicious(key):
                self._check_member(key, item)
            elif len(self._harmless_keys) < _KEPT_KEYS and len(key) <= _LONGEST_KEPT_KEY:
                self._harmless_keys.add(key)

    def _is_harmless(self, value: Json) -> bool:
        """Does the value hold no key but those that are known as harmless?"""
        known = self._harmless_keys
        open_values: list[Json] = [value]
        for found in open_values:
            if type(found) in PLAIN_TYPES:
                continue
            if isinstance(found, dict):
                if not known.issuperset(found):
                    return False
                open_values += found.values()
            elif isinstance(found, list) and found:
                if "" not in known:  # the key of elements
                    return False
                open_values += found
        return True

    def _check_member(self, key: str, item: Json) -> None:
        for pattern, denied, names_value, text in self._compiled:
            if (pattern is None or pattern.search(key)) and (not names_value or _matches_rule(item, denied)):
                raise ParseError(ErrorCode.INVALID_KEY_NAME, f"Prohibited keyword in request data: {text}.")


def _matches_rule(item: Json, denied: Json) -> bool:
    if isinstance(item, str) and isinstance(denied, str):
        return re.search(denied, item) is not None
    return type(item) is type(denied) and item == denied


def check_file_domains(value: Json, allowed: Sequence[str]) -> None:
    """Refuse a File at any depth whose url points to a host that is not allowed (130)."""
    if "*" in allowed:
        return
    for _, item in [("", value), *members(value)]:
        url = item.get("url") if is_typed(item, "File") else None
        if isinstance(url, str) and url:
            _check_host(url, allowed)


def _check_host(url: str, allowed: Sequence[str]) -> None:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    if not host:
        raise ParseError(ErrorCode.FILE_SAVE_ERROR, "Invalid file URL.")
    for entry in allowed:
        if host == entry or (entry.startswith("*.") and host.endswith(entry[1:])):
            return
    raise ParseError(ErrorCode.FILE_SAVE_ERROR, f"File URL domain '{host}' is not allowed.")
