"""Aggregation pipelines: the checks of the wire, and running them where the engine has none of its own.

Pipelines are written for the document database, with its names (`_id`, `_created_at`, `_p_ward`). So objects
are brought into its form, pass through the stages, and the results are brought back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from random import Random
from typing import TypeAlias

from parse_clone.core.aggregate_functions import is_date, refuse
from parse_clone.core.aggregate_stages import Sources, compile_pipeline
from parse_clone.core.comparison import TIMESTAMPS, Found
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.schema import ClassSchema
from parse_clone.core.values import (
    date_value,
    decode_date,
    encode_date,
    file_value,
    geo_point,
    is_number,
    is_pointer,
    is_typed,
    moment_of,
    nests_deeper,
    pointer,
)

# --- Checks ----------------------------------------------------------------------------------------------

_WRITING_STAGES = frozenset({"$out", "$merge"})  # they would pass by schema, rights and triggers
_NO_STAGES = frozenset({"distinct", "where"})


MAX_DEPTH = 100
"""Levels of a pipeline: as many as engines take."""


def check_pipeline(pipeline: Json) -> list[JsonObject]:
    """Read a pipeline as the wire has it, an array or one object with a stage per key; refuse bad stages."""
    if isinstance(pipeline, dict):
        stages: list[Json] = [{name: argument} for name, argument in pipeline.items()]
    elif isinstance(pipeline, list):
        stages = pipeline
    else:
        raise refuse("A pipeline must be an array or an object.")
    if nests_deeper(pipeline, MAX_DEPTH):
        raise refuse(f"A pipeline may be nested {MAX_DEPTH} levels deep.")
    return [stage for stage in map(_check_stage, stages) if stage]


def _check_stage(stage: Json) -> JsonObject:
    if not isinstance(stage, dict):
        raise refuse("Pipeline stages should be objects.")
    if len(stage) != 1:
        raise refuse(f"Pipeline stages should only have one key but found {', '.join(stage)}.")
    ((name, argument),) = stage.items()
    if name in _NO_STAGES:
        return {}
    if not name.startswith("$"):
        raise refuse(f"Invalid aggregate stage '{name}'.")
    writing = _WRITING_STAGES & names_within(stage)  # not every engine refuses one inside others
    if writing:
        raise refuse(f"Aggregate stage {min(writing)} is not allowed.")
    if name == "$group":
        members = argument if isinstance(argument, dict) else {}
        if "objectId" in members:
            raise refuse("Cannot use 'objectId' in aggregation stage $group.")
        if "_id" not in members:
            raise refuse("Invalid parameter for query: group. Missing key _id")
    return stage


def names_within(value: Json) -> set[str]:
    """The names of all members of a value and of what is in it."""
    found: set[str] = set()
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict):
        found.update(value)
    for member in members:
        if isinstance(member, dict | list):
            found |= names_within(member)
    return found


# --- Running ---------------------------------------------------------------------------------------------

OtherClass: TypeAlias = Callable[[str], Iterable[JsonObject]]
"""The stored objects of another class, by the name of its collection; none if there is no such class."""


def run_pipeline(
    objects: Iterable[JsonObject],
    stages: Sequence[JsonObject],
    schema: ClassSchema,
    *,
    options: Mapping[str, Json],
    other_class: OtherClass,
    now: datetime,
    random: Random,
) -> list[JsonObject]:
    """Run a pipeline over stored objects; the results are REST JSON, unless `rawValues` or `rawFieldNames`
    asks for the database's own form. Raises 102 with the reason for what cannot be run."""

    def lookup(name: str) -> Iterable[JsonObject]:
        return map(to_document, other_class(name))

    form = PipelineForm(schema, options.get("rawValues") is True, options.get("rawFieldNames") is True)
    variables: dict[str, Found] = {"NOW": date_value(now)}
    try:
        pipeline = compile_pipeline([form.stage(stage) for stage in stages], Sources(lookup, random))
        results = pipeline(list(map(to_document, objects)), variables)
        return [form.result(result) for result in results]
    except RecursionError:
        raise refuse("The pipeline or its objects are nested too deep.") from None


# --- Objects as documents --------------------------------------------------------------------------------

_TO_DOCUMENT = {"objectId": "_id", "createdAt": "_created_at", "updatedAt": "_updated_at"}


def to_document(obj: JsonObject) -> JsonObject:
    """Give a stored object the document database's names and values. Internal members stay behind."""
    document: JsonObject = {}
    for name, value in obj.items():
        if name in TIMESTAMPS and isinstance(value, str):
            document[_TO_DOCUMENT[name]] = {"__type": "Date", "iso": value}
        elif name == "objectId":
            document["_id"] = value
        elif name == "ACL":
            document.update(_permissions(value))
        elif is_pointer(value):
            document[f"_p_{name}"] = f"{value['className']}${value['objectId']}"
        elif not name.startswith("_"):
            document[name] = _to_stored(value)
    return document


def _permissions(acl: Json) -> JsonObject:
    entries = list(acl.items()) if isinstance(acl, dict) else []
    return {
        column: [name for name, rights in entries if isinstance(rights, dict) and rights.get(right)]
        for column, right in (("_rperm", "read"), ("_wperm", "write"))
    }


def _to_stored(value: Json) -> Json:
    match value:
        case {"__type": "GeoPoint", "latitude": latitude, "longitude": longitude}:
            return [longitude, latitude]
        case {"__type": "Polygon", "coordinates": list(coordinates)}:
            return {"type": "Polygon", "coordinates": [_swapped(coordinates)]}
        case {"__type": "File", "name": str(name)}:
            return name
        case _:
            return value


def _swapped(pairs: list[Json]) -> list[Json]:
    """Exchange latitude and longitude."""
    return [pair[::-1] if isinstance(pair, list) else pair for pair in pairs]


def _from_stored(value: Json, schema: ClassSchema, name: str) -> Json:
    field_type = schema.type_of(name)
    match field_type.name if field_type else None, value:
        case "GeoPoint", [longitude, latitude] if is_number(longitude) and is_number(latitude):
            return geo_point(latitude, longitude)
        case "Polygon", {"coordinates": [list(coordinates)]}:
            return {"__type": "Polygon", "coordinates": _swapped(coordinates)}
        case "File", str(file_name):
            return file_value(file_name)
        case _:
            return value


# --- Names and values in pipelines and results -----------------------------------------------------------

_is_result_name = re.compile(r"[A-Za-z][A-Za-z0-9_]*").fullmatch


class PipelineForm:
    """How one pipeline over a class, and its results, are written: here, and for the document database.

    Parse quirk: only `$match`, `$project`, `$group` and the query of `$geoNear` are translated, and `$group`
    not completely: `"$objectId"` is nothing, `"$_id"` is the id. Pipelines in use depend on it.
    """

    def __init__(self, schema: ClassSchema, raw_values: bool, raw_names: bool) -> None:
        self.schema = schema
        self.raw_values = raw_values
        self.raw_names = raw_names
        self.groups_by_pointer = False

    def stage(self, stage: JsonObject) -> Json:
        """Bring a stage into the document database's names and values."""
        match _from_extended(stage) if self.raw_values else stage:
            case {"$match": query}:
                return {"$match": self.query(query)}
            case {"$project": dict(fields)}:
                return {"$project": {self.column(name): self.query(value) for name, value in fields.items()}}
            case {"$group": dict(group)}:
                self.groups_by_pointer = self.is_pointer_reference(group.get("_id"))
                return {"$group": self.references(group)}
            case {"$geoNear": dict(near)} if "query" in near:
                return {"$geoNear": {**near, "query": self.query(near["query"])}}
            case other:
                return other

    def is_pointer(self, name: str) -> bool:
        field_type = self.schema.type_of(name)
        return field_type is not None and field_type.name == "Pointer"

    def column(self, name: str) -> str:
        if self.raw_names:
            return name
        return f"_p_{name}" if self.is_pointer(name) else _TO_DOCUMENT.get(name, name)

    def query(self, value: Json) -> Json:
        if isinstance(value, list):
            return [self.query(item) for item in value]
        if not isinstance(value, dict) or is_date(value):
            return value
        return {self.column(name): self.operand(name, item) for name, item in value.items()}

    def operand(self, name: str, value: Json) -> Json:
        field_type = self.schema.type_of(name)
        if self.raw_values or field_type is None:
            return self.query(value)
        if field_type.name == "Pointer" and not self.raw_names:
            return _pointer_operand(value, field_type.target or "")
        return _date_operand(value) if field_type.name == "Date" else self.query(value)

    def references(self, value: Json) -> Json:
        """Rename what a group refers to."""
        if isinstance(value, list):
            return [self.references(item) for item in value]
        if isinstance(value, dict):
            return {name: self.references(item) for name, item in value.items()}
        if not isinstance(value, str) or not value.startswith("$") or self.raw_names:
            return value
        name = value[1:]
        return f"${self.column(name)}" if name in TIMESTAMPS or self.is_pointer(name) else value

    def is_pointer_reference(self, value: Json) -> bool:
        return (
            isinstance(value, str)
            and value.startswith("$")
            and self.is_pointer(value[1:])
            and not self.raw_names
        )

    # --- Results

    def result(self, document: JsonObject) -> JsonObject:
        """Bring a result back into REST's names and values."""
        if self.raw_names:
            names = document
        else:
            names = {("objectId" if name == "_id" else name): value for name, value in document.items()}
        if self.raw_values:
            return {name: _to_extended(value) for name, value in names.items()}
        if self.raw_names:
            return names
        found = (self.member(name, value) for name, value in names.items())
        return {name: value for name, value in found if _is_result_name(name)}

    def member(self, name: str, value: Json) -> tuple[str, Json]:
        if name == "objectId":
            return name, self.group_id(value)
        if name in ("_created_at", "_updated_at", *TIMESTAMPS):
            moment = moment_of(value)
            rest_name = {"_created_at": "createdAt", "_updated_at": "updatedAt"}.get(name, name)
            return rest_name, value if moment is None else encode_date(moment)
        if name.startswith("_p_"):
            return self.pointer(name[3:], value)
        return name, _from_stored(value, self.schema, name)

    def group_id(self, value: Json) -> Json:
        if value in ("", [], {}):
            return None
        if self.groups_by_pointer and isinstance(value, str):
            return value.partition("$")[2]
        return value

    def pointer(self, name: str, value: Json) -> tuple[str, Json]:
        """Parse quirk: a null pointer, and one that the class does not have, is left out."""
        if not self.is_pointer(name) or not isinstance(value, str):
            return "", None
        class_name, _, object_id = value.partition("$")
        return name, pointer(class_name, object_id)


def _pointer_operand(value: Json, target: str) -> Json:
    """Write pointers as the document database stores them; a plain id names an object of the target class,
    but not inside of an operator."""
    if isinstance(value, str):
        return f"{target}${value}"
    return _stored_pointers(value)


def _stored_pointers(value: Json) -> Json:
    if is_pointer(value):
        return f"{value['className']}${value['objectId']}"
    if isinstance(value, list):
        return [_stored_pointers(item) for item in value]
    if isinstance(value, dict):
        return {name: _stored_pointers(item) for name, item in value.items()}
    return value


def _date_operand(value: Json) -> Json:
    """Read ISO texts as dates, at any depth of operators."""
    if is_date(value):
        return value
    if isinstance(value, list):
        return [_date_operand(item) for item in value]
    if isinstance(value, dict):
        return {name: _date_operand(item) for name, item in value.items()}
    if isinstance(value, str):
        try:
            return date_value(decode_date(value))
        except ValueError:
            return value
    return value


# --- Extended JSON ---------------------------------------------------------------------------------------


def _from_extended(value: Json) -> Json:
    match value:
        case {"$date": str(iso)}:
            return {"__type": "Date", "iso": iso}
        case {"$numberInt": str(text)} | {"$numberLong": str(text)} if text.lstrip("-").isdecimal():
            return int(text)
        case {"$oid": str(text)}:
            return text
        case list():
            return [_from_extended(item) for item in value]
        case dict():
            return {name: _from_extended(item) for name, item in value.items()}
        case _:
            return value


def _to_extended(value: Json) -> Json:
    if is_typed(value, "Date") and isinstance(value.get("iso"), str):
        return {"$date": value["iso"]}
    if is_typed(value, "Bytes"):
        return {"$binary": {"base64": value.get("base64"), "subType": "00"}}
    if isinstance(value, list):
        return [_to_extended(item) for item in value]
    if isinstance(value, dict):
        return {name: _to_extended(item) for name, item in value.items()}
    return value
