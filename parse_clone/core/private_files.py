"""Fields that hold files, and fields whose files are private (`"private": true`): which files an
object holds, which a write would bring, and what is stored of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from parse_clone.core.file_names import is_random_name
from parse_clone.core.file_signatures import unsigned
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.names import root_of
from parse_clone.core.operations import Add, AddUnique, Operation, Remove, Set, SetOnInsert
from parse_clone.core.schema import ClassSchema
from parse_clone.core.values import PLAIN_TYPES
from parse_clone.immutable import immutable


@immutable()
class Holder:
    """A place that holds files: a field of an object."""

    class_name: str
    field: str
    object_id: str

    def __str__(self) -> str:
        return f"{self.class_name}.{self.field}:{self.object_id}"

    @classmethod
    def read(cls, text: str) -> Holder:
        """Read what `str` wrote."""
        field, _, object_id = text.partition(":")
        class_name, _, name = field.partition(".")
        return cls(class_name, name, object_id)


def names_in(value: Json) -> Iterator[str]:
    """The names of the files in a value, at any depth."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list):
            waiting += found
        elif isinstance(found, dict):
            name = found.get("name")
            if found.get("__type") == "File" and isinstance(name, str):
                yield name
            waiting += found.values()


def names_set(schema: ClassSchema, operations: Mapping[str, Operation]) -> dict[str, set[str]]:
    """The names of files that a write brings into each field that holds files."""
    found: dict[str, set[str]] = {}
    for path, operation in operations.items():
        field = root_of(path)
        if field not in schema.holding_fields:
            continue
        match operation:
            case Set(value) | SetOnInsert(value):
                names = set(names_in(value))
                if path.endswith(".name") and isinstance(value, str) and is_random_name(value):
                    names.add(value)  # of a file that is changed member by member
            case Add(objects) | AddUnique(objects):
                names = set(names_in(list(objects)))
            case _:
                continue
        if names:
            found.setdefault(field, set()).update(names)
    return found


def without_urls(schema: ClassSchema, operations: Mapping[str, Operation]) -> Mapping[str, Operation]:
    """The same write, storing no URLs of private files: they were made for one reader."""
    private = {path: op for path, op in operations.items() if root_of(path) in schema.private_fields}
    changes = rewritten(private, without_url)
    return {**operations, **changes} if changes else operations


def without_signatures(operations: dict[str, Operation]) -> dict[str, Operation]:
    """The same write, storing no signed URLs: wherever somebody puts what he read, others may see it."""
    changes = rewritten(operations, without_signature)
    return {**operations, **changes} if changes else operations


def rewritten(operations: Mapping[str, Operation], clean: Callable[[Json], Json]) -> dict[str, Operation]:
    """The operations that `clean` makes others of their values."""
    changes: dict[str, Operation] = {}
    for path, operation in operations.items():
        match operation:
            case Set(list() | dict() as value) | SetOnInsert(list() | dict() as value) if has_file(value):
                if (cleaned := clean(value)) != value:
                    changes[path] = replace(operation, value=cleaned)
            case Add(objects) | AddUnique(objects) | Remove(objects) if has_file(list(objects)):
                if (cleaned_objects := tuple([clean(value) for value in objects])) != objects:
                    changes[path] = replace(operation, objects=cleaned_objects)
            case _:
                pass
    return changes


def has_file(value: Json) -> bool:
    """Is there a file anywhere in a value? Most have none, and every save asks."""
    open_values: list[Json] = [value]
    for found in open_values:
        if type(found) in PLAIN_TYPES:
            continue
        if isinstance(found, dict):
            if found.get("__type") == "File":
                return True
            open_values += found.values()
        elif isinstance(found, list):
            open_values += found
    return False


def without_url(value: Json) -> Json:
    """A value whose files have names and nothing else."""
    match value:
        case list():
            return [without_url(member) for member in value]
        case {"__type": "File", "name": name}:
            return {"__type": "File", "name": name}
        case dict():
            return {key: without_url(member) for key, member in value.items()}
        case _:
            return value


def without_signature(value: Json) -> Json:
    """A value whose files have no signed URLs."""
    match value:
        case list():
            return [without_signature(member) for member in value]
        case dict():
            cleaned = {key: without_signature(member) for key, member in value.items()}
            url = value.get("url")
            if value.get("__type") == "File" and isinstance(url, str):
                cleaned["url"] = unsigned(url)
            return cleaned
        case _:
            return value


def holds(row: JsonObject, field: str, name: str) -> bool:
    """Does an object hold a file in a field?"""
    return name in names_in(row.get(field))
