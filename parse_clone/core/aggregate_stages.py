"""Stages of an aggregation pipeline, each compiled to a function from documents to documents.

Documents are as `aggregate_expressions.py` sees them. `STAGES` names every stage; any other is refused (102).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, TypeAlias

from parse_clone.core.aggregate_expressions import (
    DEEPEST,
    Expression,
    Variables,
    compile_expression,
    compile_field,
)
from parse_clone.core.aggregate_functions import FOLDS, as_json, is_true, refuse, unique
from parse_clone.core.aggregate_match import compile_match
from parse_clone.core.comparison import (
    MISSING,
    Found,
    Missing,
    compile_path,
    equality_key,
    leaves_sortable_key,
    sortable_key,
)
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.values import is_number

Documents: TypeAlias = list[JsonObject]
Stage: TypeAlias = Callable[[Documents, Variables], Documents]
Lookup: TypeAlias = Callable[[str], Iterable[JsonObject]]
"""The documents of another collection, by its name."""

MOST_STAGES: Final = 100
MOST_DOCUMENTS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Sources:
    """What stages cannot compute themselves: other collections, and chance for `$sample`."""

    lookup: Lookup
    random: Random


def compile_pipeline(stages: Json, sources: Sources, depth: int = 0) -> Stage:
    """Compile a pipeline."""
    if not isinstance(stages, list):
        raise refuse("A pipeline must be an array.")
    if depth > DEEPEST or len(stages) > MOST_STAGES:
        raise refuse("The pipeline is too long or nested too deep.")
    compiled = [_compile_stage(stage, sources, depth) for stage in stages]

    def run(documents: Documents, variables: Variables) -> Documents:
        for stage in compiled:
            documents = stage(documents, variables)
            if len(documents) > MOST_DOCUMENTS:
                raise refuse(f"A stage may yield at most {MOST_DOCUMENTS} documents.")
        return documents

    return run


def _compile_stage(stage: Json, sources: Sources, depth: int) -> Stage:
    if not isinstance(stage, dict) or len(stage) != 1:
        raise refuse("A pipeline stage specification object must contain exactly one field.")
    ((name, argument),) = stage.items()
    if name not in STAGES:
        raise refuse(f"Unrecognized pipeline stage name: '{name}'")
    return STAGES[name](argument, sources, depth)


def _object(name: str, argument: Json) -> JsonObject:
    if not isinstance(argument, dict):
        raise refuse(f"the {name} stage specification must be an object")
    return argument


# --- Which documents -------------------------------------------------------------------------------------


def _match(argument: Json, sources: Sources, depth: int) -> Stage:
    test = compile_match(argument)
    return lambda documents, variables: [document for document in documents if test(document, variables)]


def _limit(argument: Json, sources: Sources, depth: int) -> Stage:
    limit = _whole_number("$limit", argument)
    if limit == 0:
        raise refuse("the limit must be positive")
    return lambda documents, variables: documents[:limit]


def _skip(argument: Json, sources: Sources, depth: int) -> Stage:
    skip = _whole_number("$skip", argument)
    return lambda documents, variables: documents[skip:]


def _sample(argument: Json, sources: Sources, depth: int) -> Stage:
    size = _whole_number("$sample", _object("$sample", argument).get("size"))
    return lambda documents, variables: sources.random.sample(documents, min(size, len(documents)))


def _whole_number(name: str, value: Json) -> int:
    if not is_number(value) or value < 0 or value != int(value):
        raise refuse(f"invalid argument to {name} stage: Expected a non-negative number")
    return int(value)


def _sort(argument: Json, sources: Sources, depth: int) -> Stage:
    keys = [
        (compile_path(path), _direction(direction))
        for path, direction in _object("$sort", argument).items()
        if not isinstance(direction, dict)  # a text score: everything here scores the same
    ]

    def run(documents: Documents, variables: Variables) -> Documents:
        result = documents.copy()
        for find, descending in reversed(keys):
            result.sort(key=_sorting(find, descending), reverse=descending)
        return result

    return run


def _sorting(
    find: Callable[[JsonObject], list[Found]], descending: bool
) -> Callable[[JsonObject], tuple[int, object]]:
    return lambda document: leaves_sortable_key(find(document), descending)


def _direction(value: Json) -> bool:
    if isinstance(value, bool) or value not in (1, -1):
        raise refuse("$sort key ordering must be 1 (for ascending) or -1 (for descending)")
    return value == -1


# --- What documents hold ---------------------------------------------------------------------------------


def get_path(document: JsonObject, path: str) -> Found:
    """Read a path of plain objects."""
    return compile_field(path)(document)


def _segments(path: Json) -> list[str]:
    if not isinstance(path, str) or not 0 < len(segments := path.split(".")) <= DEEPEST or "" in segments:
        raise refuse("FieldPath must be a non-empty string without empty or too many segments.")
    return segments


def set_path(document: JsonObject, segments: Sequence[str], value: Found) -> JsonObject:
    """Copy a document with a value at a path; arrays on the way get it in each element."""
    name, *rest = segments
    if not rest:
        return {**document, name: value} if not isinstance(value, Missing) else without(document, name)
    inner = document.get(name)
    if isinstance(inner, list):
        return {**document, name: [set_path(_or_empty(element), rest, value) for element in inner]}
    return {**document, name: set_path(_or_empty(inner), rest, value)}


def _or_empty(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def without(document: JsonObject, name: str) -> JsonObject:
    """Copy a document without a member."""
    return {key: value for key, value in document.items() if key != name}


def _unset_path(value: Json, segments: Sequence[str]) -> Json:
    if isinstance(value, list):
        return [_unset_path(element, segments) for element in value]
    if not isinstance(value, dict) or segments[0] not in value:
        return value
    if len(segments) == 1:
        return without(value, segments[0])
    return {**value, segments[0]: _unset_path(value[segments[0]], segments[1:])}


def _add_fields(argument: Json, sources: Sources, depth: int) -> Stage:
    fields = [
        (_segments(path), compile_expression(source))
        for path, source in _object("$addFields", argument).items()
    ]

    def add(document: JsonObject, variables: Variables) -> JsonObject:
        result = document
        for segments, expression in fields:
            result = set_path(result, segments, expression(document, variables))
        return result

    return lambda documents, variables: [add(document, variables) for document in documents]


def _unset(argument: Json, sources: Sources, depth: int) -> Stage:
    names = argument if isinstance(argument, list) else [argument]
    paths = [_segments(name) for name in names]
    return lambda documents, variables: [_without_paths(document, paths) for document in documents]


def _without_paths(document: JsonObject, paths: Iterable[Sequence[str]]) -> JsonObject:
    result: Json = document
    for segments in paths:
        result = _unset_path(result, segments)
    return _or_empty(result)


Tree: TypeAlias = "dict[str, Tree | bool | Expression]"
"""A projection by name: True keeps, False drops, an expression computes, a tree goes on below."""


def _project(argument: Json, sources: Sources, depth: int) -> Stage:
    fields = _object("$project", argument)
    tree: Tree = {}
    for path, source in fields.items():
        _plant(tree, _segments(path), source)
    if not tree:
        raise refuse("$project specification must have at least one field")
    kept = [value for name, value in tree.items() if name != "_id"]
    if _only_drops(tree, skip_id=bool(kept)):
        dropped = [_segments(path) for path in _dropped(tree)]
        return lambda documents, variables: [_without_paths(document, dropped) for document in documents]
    tree.setdefault("_id", True)
    return lambda documents, variables: [_keep(document, tree, document, variables) for document in documents]


def _plant(tree: Tree, segments: Sequence[str], source: Json) -> None:
    name, *rest = segments
    members = source if isinstance(source, dict) and not any(key.startswith("$") for key in source) else {}
    if rest or members:
        below = tree.setdefault(name, {})
        if not isinstance(below, dict):
            raise refuse(f"Invalid $project: path collision at {name}")
        if rest:
            _plant(below, rest, source)
        else:
            for key, part in members.items():
                _plant(below, _segments(key), part)
    elif name in tree:
        raise refuse(f"Invalid $project: path collision at {name}")
    else:
        tree[name] = is_true(source) if isinstance(source, bool | int | float) else compile_expression(source)


def _only_drops(tree: Tree, *, skip_id: bool = False) -> bool:
    return all(
        _only_drops(part) if isinstance(part, dict) else part is False
        for name, part in tree.items()
        if not (skip_id and name == "_id")
    )


def _dropped(tree: Tree) -> list[str]:
    """List the paths of a projection that only drops; `_id` may stand among them to be kept."""
    paths: list[str] = []
    for name, part in tree.items():
        if isinstance(part, dict):
            paths.extend(f"{name}.{path}" for path in _dropped(part))
        elif part is False:
            paths.append(name)
    return paths


def _keep(value: JsonObject, tree: Tree, document: JsonObject, variables: Variables) -> JsonObject:
    result: JsonObject = {}
    for name, member in value.items():
        part = tree.get(name, False)
        if part is True:
            result[name] = member
        elif isinstance(part, dict):
            kept = _keep_below(member, part, document, variables)
            if not isinstance(kept, Missing):
                result[name] = kept
    for name, part in tree.items():
        if isinstance(part, dict):
            if name not in value and _computes(part):
                result[name] = _keep({}, part, document, variables)
        elif not isinstance(part, bool):
            computed = part(document, variables)
            if not isinstance(computed, Missing):
                result[name] = computed
    return result


def _keep_below(member: Json, tree: Tree, document: JsonObject, variables: Variables) -> Found:
    if isinstance(member, dict):
        return _keep(member, tree, document, variables)
    if isinstance(member, list):
        return [_keep(element, tree, document, variables) for element in member if isinstance(element, dict)]
    return _keep({}, tree, document, variables) if _computes(tree) else MISSING


def _computes(tree: Tree) -> bool:
    return any(
        _computes(part) if isinstance(part, dict) else not isinstance(part, bool) for part in tree.values()
    )


def _replace_root(argument: Json, sources: Sources, depth: int) -> Stage:
    return _replace_with(_object("$replaceRoot", argument).get("newRoot"), sources, depth)


def _replace_with(argument: Json, sources: Sources, depth: int) -> Stage:
    expression = compile_expression(argument)

    def replace(document: JsonObject, variables: Variables) -> JsonObject:
        root = expression(document, variables)
        if not isinstance(root, dict):
            raise refuse("'newRoot' expression must evaluate to an object")
        return root

    return lambda documents, variables: [replace(document, variables) for document in documents]


def _unwind(argument: Json, sources: Sources, depth: int) -> Stage:
    given = argument if isinstance(argument, dict) else {"path": argument}
    path, index_name = given.get("path"), given.get("includeArrayIndex")
    if not isinstance(path, str) or not path.startswith("$"):
        raise refuse("path option to $unwind stage should be prefixed with a '$'")
    segments, keeps_empty = _segments(path[1:]), is_true(given.get("preserveNullAndEmptyArrays"))

    def unwind(document: JsonObject) -> Iterable[JsonObject]:
        value = get_path(document, path[1:])
        if isinstance(value, list) and value:
            for place, element in enumerate(value):
                unwound = set_path(document, segments, element)
                yield {**unwound, index_name: place} if isinstance(index_name, str) else unwound
        elif (not isinstance(value, Missing | list) and value is not None) or keeps_empty:
            kept = _or_empty(_unset_path(document, segments)) if value == [] else document
            yield {**kept, index_name: None} if isinstance(index_name, str) else kept

    return lambda documents, variables: [part for document in documents for part in unwind(document)]


# --- Groups ----------------------------------------------------------------------------------------------

Fold: TypeAlias = Callable[[Sequence[Found]], Found]


def _present(values: Sequence[Found]) -> list[Json]:
    return [value for value in values if not isinstance(value, Missing)]


def _merged(values: Sequence[Found]) -> Found:
    merged: JsonObject = {}
    for value in values:
        merged.update(value if isinstance(value, dict) else {})
    return merged


_ACCUMULATORS: Mapping[str, Fold] = {
    **FOLDS,
    "$first": lambda values: as_json(values[0]),
    "$last": lambda values: as_json(values[-1]),
    "$push": _present,
    "$addToSet": lambda values: unique(_present(values)),
    "$count": len,
    "$mergeObjects": _merged,
}


def _group(argument: Json, sources: Sources, depth: int) -> Stage:
    given = _object("$group", argument)
    if "_id" not in given:
        raise refuse("a group specification must include an _id")
    identify = compile_expression(given["_id"])
    accumulators = {name: _accumulator(source) for name, source in given.items() if name != "_id"}

    def run(documents: Documents, variables: Variables) -> Documents:
        groups: dict[object, tuple[Json, Documents]] = {}
        for document in documents:
            group_id = as_json(identify(document, variables))
            groups.setdefault(equality_key(group_id), (group_id, []))[1].append(document)
        return [
            {"_id": group_id, **{name: fold(members, variables) for name, fold in accumulators.items()}}
            for group_id, members in groups.values()
        ]

    return run


def _accumulator(source: Json) -> Callable[[Documents, Variables], Json]:
    if not isinstance(source, dict) or len(source) != 1:
        raise refuse("The field must specify one accumulator")
    ((name, argument),) = source.items()
    if name not in _ACCUMULATORS:
        raise refuse(f"unknown group operator '{name}'")
    expression, fold = compile_expression(argument), _ACCUMULATORS[name]
    return lambda documents, variables: as_json(
        fold([expression(document, variables) for document in documents])
    )


def _sort_by_count(argument: Json, sources: Sources, depth: int) -> Stage:
    stages: list[Json] = [{"$group": {"_id": argument, "count": {"$sum": 1}}}, {"$sort": {"count": -1}}]
    return compile_pipeline(stages, sources, depth + 1)


def _count(argument: Json, sources: Sources, depth: int) -> Stage:
    if not isinstance(argument, str) or not argument or argument.startswith("$") or "." in argument:
        raise refuse("the count field must be a non-empty string without '$' or '.'")
    return lambda documents, variables: [{argument: len(documents)}] if documents else []


def _bucket(argument: Json, sources: Sources, depth: int) -> Stage:
    given = _object("$bucket", argument)
    boundaries = given.get("boundaries")
    if not isinstance(boundaries, list) or len(boundaries) < 2:
        raise refuse("The $bucket 'boundaries' field must be an array with at least 2 values")
    keys = [sortable_key(boundary) for boundary in boundaries]
    output = given.get("output", {"count": {"$sum": 1}})
    group_by = compile_expression(given.get("groupBy"))
    accumulators = {name: _accumulator(source) for name, source in _object("$bucket", output).items()}
    default: Found = given.get("default", MISSING)

    def bucket_of(document: JsonObject, variables: Variables) -> Json:
        key = sortable_key(group_by(document, variables))
        for lower, upper, boundary in zip(keys, keys[1:], boundaries, strict=False):
            if lower <= key < upper:
                return boundary
        if isinstance(default, Missing):
            raise refuse(
                "$switch could not find a matching branch for an input, and no default was specified."
            )
        return default

    def run(documents: Documents, variables: Variables) -> Documents:
        buckets: dict[object, tuple[Json, Documents]] = {}
        for document in documents:
            boundary = bucket_of(document, variables)
            buckets.setdefault(equality_key(boundary), (boundary, []))[1].append(document)
        ordered = sorted(buckets.values(), key=lambda bucket: sortable_key(bucket[0]))
        return [
            {"_id": boundary, **{name: fold(members, variables) for name, fold in accumulators.items()}}
            for boundary, members in ordered
        ]

    return run


# --- Other pipelines -------------------------------------------------------------------------------------


def _facet(argument: Json, sources: Sources, depth: int) -> Stage:
    facets = {
        name: compile_pipeline(stages, sources, depth + 1)
        for name, stages in _object("$facet", argument).items()
    }

    def run(documents: Documents, variables: Variables) -> Documents:
        return [{name: list(facet(documents, variables)) for name, facet in facets.items()}]

    return run


def _union_with(argument: Json, sources: Sources, depth: int) -> Stage:
    given = argument if isinstance(argument, dict) else {"coll": argument}
    name = given.get("coll")
    if not isinstance(name, str):
        raise refuse("$unionWith needs a collection")
    pipeline = compile_pipeline(given.get("pipeline", []), sources, depth + 1)
    return lambda documents, variables: documents + pipeline(list(sources.lookup(name)), variables)


def _lookup(argument: Json, sources: Sources, depth: int) -> Stage:
    given = _object("$lookup", argument)
    name, target = given.get("from"), given.get("as")
    if not isinstance(name, str):
        raise refuse("$lookup needs 'from' to be a string")
    segments = _segments(target)
    join = _join(given)
    pipeline = compile_pipeline(given.get("pipeline", []), sources, depth + 1)
    local = {
        key: compile_expression(part) for key, part in _object("$lookup let", given.get("let", {})).items()
    }

    def run(documents: Documents, variables: Variables) -> Documents:
        candidates = join(list(sources.lookup(name)))
        result = []
        for document in documents:
            scope = {**variables, **{key: part(document, variables) for key, part in local.items()}}
            found: Json = list(pipeline(candidates(document), scope))
            result.append(set_path(document, segments, found))
        return result

    return run


def _join(given: JsonObject) -> Callable[[Documents], Callable[[JsonObject], Documents]]:
    """Compile the equality of `localField` and `foreignField`; without them all documents are candidates."""
    local, foreign = given.get("localField"), given.get("foreignField")
    if local is None and foreign is None:
        return lambda documents: lambda document: documents
    if not isinstance(local, str) or not isinstance(foreign, str):
        raise refuse("$lookup requires both 'localField' and 'foreignField' to be strings")
    local_keys, foreign_keys = _keys_of(local), _keys_of(foreign)

    def index(documents: Documents) -> Callable[[JsonObject], Documents]:
        by_key: dict[object, Documents] = {}
        for document in documents:
            for key in foreign_keys(document):
                by_key.setdefault(key, []).append(document)

        def candidates(document: JsonObject) -> Documents:
            found = {id(match): match for key in local_keys(document) for match in by_key.get(key, ())}
            return list(found.values())

        return candidates

    return index


def _keys_of(path: str) -> Callable[[JsonObject], set[object]]:
    find = compile_path(path)

    def keys(document: JsonObject) -> set[object]:
        values = (item for leaf in find(document) for item in (leaf if isinstance(leaf, list) else [leaf]))
        return {equality_key(value) for value in values}

    return keys


STAGES: Mapping[str, Callable[[Json, Sources, int], Stage]] = {
    "$match": _match,
    "$limit": _limit,
    "$skip": _skip,
    "$sample": _sample,
    "$sort": _sort,
    "$addFields": _add_fields,
    "$set": _add_fields,
    "$unset": _unset,
    "$project": _project,
    "$replaceRoot": _replace_root,
    "$replaceWith": _replace_with,
    "$unwind": _unwind,
    "$group": _group,
    "$sortByCount": _sort_by_count,
    "$count": _count,
    "$bucket": _bucket,
    "$facet": _facet,
    "$unionWith": _union_with,
    "$lookup": _lookup,
}
