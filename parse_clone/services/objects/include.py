"""`include`: pointers at the asked-for paths are replaced by the objects they point to.

Each class met at a path is queried once, through the whole pipeline and with the caller's rights; what the
caller may not read disappears.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from parse_clone.core.context import RequestContext
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.names import root_of
from parse_clone.core.query_json import FindParameters
from parse_clone.core.schema import ClassSchema
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.services.objects.requests import FindRequest
from parse_clone.services.objects.steps import Find
from parse_clone.services.toolbox import Toolbox

Target: TypeAlias = tuple[str, str]
"""A class and an id."""


def included_paths(parameters: FindParameters, schema: ClassSchema) -> tuple[str, ...]:
    """All paths to include, parents first: `a.b` needs `a`; `*` is every field that may hold pointers."""
    paths = (*parameters.include, *(inclusive_fields(schema) if parameters.include_all else ()))
    if not paths:
        return ()
    every = {
        ".".join(names[:length]): length
        for names in (path.split(".") for path in paths)
        for length in range(1, len(names) + 1)
    }
    return tuple(sorted(every, key=every.__getitem__))


def inclusive_fields(schema: ClassSchema) -> list[str]:
    """The fields that `include=*` means."""
    return [name for name, field in schema.fields.items() if field.type.name in ("Pointer", "Array")]


def check_includes(toolbox: Toolbox, context: RequestContext, includes: Sequence[str]) -> None:
    """Refuse an include that is too deep or too broad."""
    limits = toolbox.settings.request_complexity
    if not includes or context.auth.is_privileged:
        return
    depth = max(path.count(".") + 1 for path in includes)
    if limits.include_depth is not None and depth > limits.include_depth:
        text = f"Include depth of {depth} exceeds maximum allowed depth of {limits.include_depth}"
        raise ParseError(ErrorCode.INVALID_QUERY, text)
    if limits.include_count is not None and len(includes) > limits.include_count:
        text = f"Number of include fields ({len(includes)}) exceeds maximum allowed ({limits.include_count})"
        raise ParseError(ErrorCode.INVALID_QUERY, text)


async def include_pointers(toolbox: Toolbox, context: RequestContext, find: Find) -> Find:
    """Replace pointers by objects, path by path: the rows are this find's own and change in place."""
    for path in find.includes:
        *parents, name = path.split(".")
        owners = owners_at(find.rows, parents)
        targets: dict[Target, None] = {}
        async for portion in portions(owners):
            for owner in portion:
                targets.update(dict.fromkeys(targets_in(owner.get(name))))
        if targets:
            found = await load_included(toolbox, context, find, path, targets)
            async for portion in portions(owners):
                for owner in portion:
                    replace_pointers(owner, name, found)
    return find


async def portions(owners: Sequence[JsonObject]) -> AsyncIterator[Sequence[JsonObject]]:
    """Hand out a long list in portions, and let the event loop serve others in between."""
    for start in range(0, len(owners), PORTION):
        if start:
            await asyncio.sleep(0)
        yield owners[start : start + PORTION]


PORTION = 500


def owners_at(rows: Sequence[JsonObject], path: Sequence[str]) -> list[JsonObject]:
    """The objects at a path, through objects and arrays."""
    owners = list(rows)
    for name in path:
        owners = [inner for owner in owners for inner in objects_in(owner.get(name))]
    return owners


def objects_in(value: Json) -> Iterator[JsonObject]:
    """The objects that a value is or holds, in order; arrays of any depth are flattened."""
    stack: list[Json] = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield item
        elif isinstance(item, list):
            stack.extend(reversed(item))


def targets_in(value: Json) -> Iterable[Target]:
    """What the pointers in a value point to; a broken pointer points to nothing."""
    if isinstance(value, dict):
        return (target_of(value),) if value.get("__type") == "Pointer" else ()
    return [target_of(item) for item in objects_in(value) if item.get("__type") == "Pointer"]


def target_of(pointer: JsonObject) -> Target:
    """The class and the id that a pointer names; empty where it does not."""
    class_name, object_id = pointer.get("className"), pointer.get("objectId")
    if isinstance(class_name, str) and isinstance(object_id, str):
        return class_name, object_id
    return "", ""


async def load_included(
    toolbox: Toolbox, context: RequestContext, find: Find, path: str, targets: Iterable[Target]
) -> Mapping[Target, JsonObject]:
    """Query what the pointers name, each class once; by class and id."""
    wanted: dict[str, list[Json]] = {}
    for class_name, object_id in targets:
        if class_name and object_id:
            wanted.setdefault(class_name, []).append(object_id)
    found: dict[Target, JsonObject] = {}
    parameters = included_parameters(find, path)
    for class_name, ids in wanted.items():
        where: JsonObject = {"objectId": ids[0] if len(ids) == 1 else {"$in": ids}}
        request = FindRequest(class_name, {**parameters, "where": where}, purpose="include")
        answer = await find.run(toolbox, context, request)
        for row in answer.results:
            found[class_name, str(row.get("objectId"))] = as_included(row, class_name, context)
    return found


def as_included(row: JsonObject, class_name: str, context: RequestContext) -> JsonObject:
    """The form of an object inside of another one. Users come without what only a direct read shows."""
    if class_name == "_User" and not context.auth.is_master:
        row.pop("sessionToken", None)
        row.pop("authData", None)
    row["__type"] = "Object"
    row["className"] = class_name
    return row


def included_parameters(find: Find, path: str) -> JsonObject:
    """The find parameters of an include: what `keys` and `excludeKeys` say below its path."""
    prefix = f"{path}."
    keys = [key.removeprefix(prefix) for key in find.parameters.keys or () if key.startswith(prefix)]
    excluded = [key.removeprefix(prefix) for key in find.parameters.exclude_keys if key.startswith(prefix)]
    chosen: Mapping[str, Json] = {
        "keys": ",".join(root_of(key) for key in keys),
        "excludeKeys": ",".join(key for key in excluded if "." not in key),
        "readPreference": find.parameters.include_read_preference or find.parameters.read_preference,
        "includeReadPreference": find.parameters.include_read_preference,
    }
    return {name: value for name, value in chosen.items() if value}


def replace_pointers(owner: JsonObject, name: str, found: Mapping[Target, JsonObject]) -> None:
    """Put objects in the place of pointers; without one the key, or the array's element, disappears."""
    value = owner.get(name)
    if isinstance(value, list):
        _replace_elements(value, found)
    elif isinstance(value, dict) and value.get("__type") == "Pointer":
        included = found.get(target_of(value))
        if included is None:
            del owner[name]
        else:
            owner[name] = included


def _replace_elements(array: list[Json], found: Mapping[Target, JsonObject]) -> None:
    stack = [array]
    while stack:
        items = stack.pop()
        kept: list[Json] = []
        for item in items:
            if isinstance(item, dict) and item.get("__type") == "Pointer":
                included = found.get(target_of(item))
                if included is not None:
                    kept.append(included)
                continue
            if isinstance(item, list):
                stack.append(item)
            kept.append(item)
        items[:] = kept
