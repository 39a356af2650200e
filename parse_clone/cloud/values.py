"""Wire JSON to the values that Python authors expect, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.query import GeoPoint
from parse_clone.core.values import bytes_value, date_value, decode_bytes, geo_point, moment_of, pointer


@dataclass(frozen=True, slots=True)
class Pointer:
    """A reference to an object."""

    class_name: str
    object_id: str


@dataclass(frozen=True, slots=True)
class File:
    """A stored file; `url` is filled where the server hands the object out."""

    name: str
    url: str | None = None


def to_native(value: Json) -> Any:
    """Wire JSON as Python values: Date as aware `datetime`, Pointer, GeoPoint, File, Bytes as `bytes`.
    Relations, polygons and embedded objects stay JSON, and so does what only looks like a typed value."""
    if isinstance(value, list):
        return [to_native(item) for item in value]
    if not isinstance(value, dict):
        return value
    match value.get("__type"):
        case "Date":
            return moment_of(value)
        case "Pointer":
            return Pointer(str(value.get("className")), str(value.get("objectId")))
        case "GeoPoint":
            latitude, longitude = value.get("latitude"), value.get("longitude")
            if isinstance(latitude, int | float) and isinstance(longitude, int | float):
                return GeoPoint(float(latitude), float(longitude))
            return value
        case "File":
            url = value.get("url")
            return File(str(value.get("name")), url if isinstance(url, str) else None)
        case "Bytes":
            try:
                return decode_bytes(value)
            except ValueError:
                return value
        case None:
            return {key: to_native(item) for key, item in value.items()}
        case _:
            return value


def to_wire(value: Any) -> Json:
    """Python values as wire JSON. Raises TypeError for what JSON cannot say."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case datetime():
            return date_value(value if value.tzinfo else value.replace(tzinfo=UTC))
        case Pointer(class_name, object_id):
            return pointer(class_name, object_id)
        case GeoPoint(latitude, longitude):
            return geo_point(latitude, longitude)
        case File(name, url):
            return {"__type": "File", "name": name, **({"url": url} if url else {})}
        case bytes():
            return bytes_value(value)
        case _ if hasattr(value, "to_wire"):  # an object: a mapping, too
            return value.to_wire()  # type: ignore[no-any-return]
        case Mapping():
            return {str(key): to_wire(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [to_wire(item) for item in value]
    raise TypeError(f"a {type(value).__name__} cannot be stored or answered")


def to_wire_object(values: Mapping[str, Any]) -> JsonObject:
    """The same for the members of an object."""
    return {key: to_wire(value) for key, value in values.items()}


def to_fields(values: Mapping[str, Any]) -> JsonObject:
    """The same for what is stored or asked for: of objects, pointers."""
    return {key: with_pointers(to_wire(value)) for key, value in values.items()}


def with_pointers(value: Json) -> Json:
    """Wire JSON with a pointer in place of each object."""
    if isinstance(value, list):
        return [with_pointers(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("__type") == "Object":
        return pointer(str(value.get("className")), str(value.get("objectId")))
    return {key: with_pointers(item) for key, item in value.items()}
