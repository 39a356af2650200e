"""Update operations: what `{"__op": ...}` means. Decode, merge, apply to an object, say what is answered."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import TypeAlias, assert_never

from parse_clone.core.acl import normalize_acl
from parse_clone.core.comparison import equality_key
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.names import MAX_PATH_SEGMENTS, is_array_index, root_of
from parse_clone.core.values import (
    PLAIN_TYPES,
    is_number,
    is_pointer,
    is_typed,
    normal_value,
    plain_number,
    pointer,
    relation,
)
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.immutable import immutable


@immutable()
class Set:
    """Store a value (REST JSON)."""

    value: Json


@immutable()
class Delete:
    """Remove the field."""


@immutable()
class Increment:
    """Add a number; a missing field counts as 0."""

    amount: int | float


@immutable()
class Add:
    """Append all objects to the array."""

    objects: tuple[Json, ...]


@immutable()
class AddUnique:
    """Append those objects that the array does not hold."""

    objects: tuple[Json, ...]


@immutable()
class Remove:
    """Remove all elements equal to one of the objects."""

    objects: tuple[Json, ...]


@immutable()
class SetOnInsert:
    """Store a value on create; do nothing on update."""

    value: Json


@immutable()
class ChangeRelation:
    """Link and unlink objects of `class_name` (ids) through the field's join table."""

    class_name: str
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


FieldOperation: TypeAlias = Set | Delete | Increment | Add | AddUnique | Remove | SetOnInsert
Operation: TypeAlias = FieldOperation | ChangeRelation

Operations: TypeAlias = Mapping[str, FieldOperation]
"""What an engine is asked to do to one row: dotted REST path to operation. Relations are links."""


# --- Decode ------------------------------------------------------------------------------------------------


def decode_operations(body: JsonObject, *, creating: bool) -> dict[str, Operation]:
    """Read the body of a create or update: key (a dotted path perhaps) to operation, values in stored form.

    Left out: relation operations without objects, and `ACL: null`, which means "not given".
    """
    operations: dict[str, Operation] = {}
    for key, value in body.items():
        is_plain = type(value) in PLAIN_TYPES and key != "ACL"  # as most are
        operation = Set(value) if is_plain else _decode(key, value, creating)
        if operation is not None:
            operations[key] = operation
    if "." in "".join(operations):
        _check_paths_apart(operations)
    return operations


def _decode(key: str, value: Json, creating: bool) -> Operation | None:
    if isinstance(value, dict):
        name = value.get("__op")
        if name:
            return _decode_op(key, name, value, creating)
        if is_typed(value, "Relation"):
            # The value of a relation lives in links: naming it only states the field's type.
            return ChangeRelation(str(_as_object(normal_value(value))["className"]))
    if key == "createdAt" and not creating and is_typed(value, "Date"):
        return Set(value)  # checked for its type, then ignored: what it says matters to nobody
    if key == "ACL":
        acl = normalize_acl(value)
        return None if acl is None else Set(acl)
    return Set(normal_value(value))


def _decode_op(key: str, name: Json, value: JsonObject, creating: bool) -> Operation | None:
    if key == "ACL" and name != "Delete":
        raise ParseError(ErrorCode.INVALID_ACL, "Invalid ACL.")
    match name:
        case "Delete":
            return Delete()
        case "Increment":
            amount = value.get("amount")
            if not is_number(amount):
                # Parse quirk: on create the text speaks of objects.
                raise _malformed(
                    "objects to add must be an array" if creating else "incrementing must provide a number"
                )
            return Increment(plain_number(amount))
        case "Add":
            return Add(_objects(value, "objects to add must be an array"))
        case "AddUnique":
            return AddUnique(_objects(value, "objects to add must be an array"))
        case "Remove":
            return Remove(_objects(value, f"objects to {'add' if creating else 'remove'} must be an array"))
        case "SetOnInsert":
            return SetOnInsert(normal_value(value.get("amount")))
        case "AddRelation" | "RemoveRelation" | "Batch":
            return _decode_relation(value)
        case _:
            raise _unsupported(name)


def _objects(value: JsonObject, complaint: str) -> tuple[Json, ...]:
    objects = value.get("objects")
    if not isinstance(objects, list):
        raise _malformed(complaint)
    normal = normal_value(objects)
    return tuple(normal) if isinstance(normal, list) else ()


def _decode_relation(value: JsonObject) -> ChangeRelation | None:
    """Fold relation operations, a batch in its order, into one change of links; None if they do nothing."""
    parts = value.get("ops") if value["__op"] == "Batch" else [value]
    class_name: str | None = None
    linked: dict[str, bool] = {}
    for part in parts if isinstance(parts, list) else []:
        name = part.get("__op") if isinstance(part, dict) else None
        if not isinstance(part, dict) or name not in ("AddRelation", "RemoveRelation"):
            raise _unsupported("Batch")
        objects = part.get("objects")
        for target in objects if isinstance(objects, list) else []:
            if not is_pointer(target):
                raise ParseError(ErrorCode.INCORRECT_TYPE, "This is not a valid Pointer")
            class_name = class_name or str(target["className"])
            if target["className"] != class_name:
                raise ParseError(
                    ErrorCode.INCORRECT_TYPE,
                    f"expected Relation<{class_name}> but got Relation<{target['className']}>",
                )
            object_id = str(target["objectId"])
            linked.pop(object_id, None)
            linked[object_id] = name == "AddRelation"
    if class_name is None:
        return None
    return ChangeRelation(
        class_name,
        add=tuple(object_id for object_id, added in linked.items() if added),
        remove=tuple(object_id for object_id, added in linked.items() if not added),
    )


def _check_paths_apart(operations: Mapping[str, Operation]) -> None:
    """Refuse a body that changes a field and a part of it at once: no order would be right. Paths have an
    end."""
    for path in operations:
        if path.count(".") >= MAX_PATH_SEGMENTS:
            text = f"Paths may have at most {MAX_PATH_SEGMENTS} segments"
            raise ParseError(ErrorCode.INVALID_KEY_NAME, text)
        for prefix in _parents(path):
            if prefix in operations:
                raise ParseError(ErrorCode.INVALID_KEY_NAME, f"Invalid field name: {path}.")


def _parents(path: str) -> list[str]:
    segments = path.split(".")
    return [".".join(segments[:length]) for length in range(1, len(segments))]


def _as_object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _malformed(text: str) -> ParseError:
    return ParseError(ErrorCode.INVALID_JSON, text)


def _unsupported(name: Json) -> ParseError:
    return ParseError(ErrorCode.COMMAND_UNAVAILABLE, f"The {name} operator is not supported yet.")


def encode_operation(operation: Operation) -> Json:
    """Write an operation as the body of a save names it."""
    match operation:
        case Set(value):
            return value
        case Delete():
            return {"__op": "Delete"}
        case Increment(amount):
            return {"__op": "Increment", "amount": amount}
        case SetOnInsert(value):
            return {"__op": "SetOnInsert", "amount": value}
        case Add(objects) | AddUnique(objects) | Remove(objects):
            return {"__op": type(operation).__name__, "objects": list(objects)}
        case ChangeRelation(class_name, add, remove):
            return _encode_relation(class_name, add, remove)
    assert_never(operation)


def _encode_relation(class_name: str, add: Sequence[str], remove: Sequence[str]) -> Json:
    ops: list[Json] = [
        {"__op": name, "objects": [pointer(class_name, object_id) for object_id in ids]}
        for name, ids in (("AddRelation", add), ("RemoveRelation", remove))
        if ids
    ]
    if not ops:
        return relation(class_name)
    return ops[0] if len(ops) == 1 else {"__op": "Batch", "ops": ops}


# --- Split -------------------------------------------------------------------------------------------------


def field_operations(
    operations: Mapping[str, Operation], relations: Container[str] = frozenset()
) -> dict[str, FieldOperation]:
    """What an engine does to the row itself: no links, and nothing on `relations`, the relation fields."""
    return {
        key: operation
        for key, operation in operations.items()
        if not isinstance(operation, ChangeRelation) and key not in relations
    }


def relation_changes(operations: Mapping[str, Operation]) -> dict[str, ChangeRelation]:
    """The changes of links that really change something."""
    return {
        key: operation
        for key, operation in operations.items()
        if isinstance(operation, ChangeRelation) and (operation.add or operation.remove)
    }


_Change: TypeAlias = Set | Delete | Increment | Add | AddUnique | Remove

# --- Apply -------------------------------------------------------------------------------------------------


def initial_values(operations: Mapping[str, Operation]) -> JsonObject:
    """What a create stores: operations become values, dotted keys nest."""
    if {*map(type, operations.values())} <= {Set}:  # the usual case
        return apply_operations({}, operations)
    fresh: dict[str, Operation] = {}
    for key, operation in operations.items():
        match operation:
            case Set() | Delete() | ChangeRelation():
                fresh[key] = operation
            case SetOnInsert(value) | Increment(value):
                fresh[key] = Set(value)
            case Add(objects) | AddUnique(objects):
                fresh[key] = Set(list(objects))
            case Remove():
                fresh[key] = Set([])
            case _:
                assert_never(operation)
    return apply_operations({}, fresh)


def apply_operations(obj: JsonObject, operations: Mapping[str, Operation]) -> JsonObject:
    """The object after an update: a new dict that shares with the old one what did not change.

    Raises 111 where an operation meets a value of another kind.
    """
    result = obj.copy()
    copied: set[str] = set()
    for path, operation in operations.items():
        if isinstance(operation, Set) and "." not in path:  # the usual case
            result[path] = operation.value
        elif isinstance(operation, ChangeRelation | SetOnInsert):
            continue
        elif "." in path:
            _apply_nested(result, path, operation, copied)
        else:
            _apply_at(result, path, path, operation)
    return result


def _apply_nested(result: JsonObject, path: str, operation: _Change, copied: set[str]) -> None:
    """Walk to the last container of a dotted path, copying on the way, and apply there."""
    *parents, last = path.split(".")
    container: JsonObject | list[Json] = result
    creates = not isinstance(operation, Delete | Remove)
    for depth, segment in enumerate(parents):
        child = _get(container, segment)
        prefix = ".".join(parents[: depth + 1])
        if isinstance(child, dict | list):
            if prefix not in copied:
                child = child.copy()
                copied.add(prefix)
        elif not creates:
            return
        elif _has(container, segment):
            raise wrong_kind(prefix, "an object")
        else:
            child = {}
            copied.add(prefix)
        _put(container, segment, child, prefix)
        container = child
    _apply_at(container, last, path, operation)


def _apply_at(container: JsonObject | list[Json], key: str, path: str, operation: _Change) -> None:
    present = _has(container, key)
    match operation:
        case Set(value):
            _put(container, key, value, path)
        case Delete():
            _drop(container, key)
        case Increment(amount):
            current = _get(container, key) if present else 0
            if not is_number(current):
                raise wrong_kind(path, "a number")
            _put(container, key, plain_number(current + amount), path)
        case Add(objects):
            _put(container, key, [*_array(container, key, path), *objects], path)
        case AddUnique(objects):
            array = _array(container, key, path)
            _put(container, key, [*array, *_not_in(array, objects)], path)
        case Remove(objects):
            if present:
                removed = {equality_key(item) for item in objects}
                kept = [item for item in _array(container, key, path) if equality_key(item) not in removed]
                _put(container, key, kept, path)
        case _:
            assert_never(operation)


def _array(container: JsonObject | list[Json], key: str, path: str) -> list[Json]:
    if not _has(container, key):
        return []
    value = _get(container, key)
    if not isinstance(value, list):
        raise wrong_kind(path, "an array")
    return value


def _not_in(array: Iterable[Json], objects: Iterable[Json]) -> list[Json]:
    """The objects that the array lacks, each once."""
    known = {equality_key(item) for item in array}
    new = {key: item for item in objects if (key := equality_key(item)) not in known}
    return list(new.values())


def wrong_kind(path: str, wanted: str) -> ParseError:
    """Build the refusal of an operation that meets a value which is not `wanted` ("a number", "an array")."""
    return ParseError(ErrorCode.INCORRECT_TYPE, f"The value of {path} is not {wanted}.")


MAX_ARRAY_INDEX = 100_000
"""Writing far behind the end of an array would fill it with nulls."""


def _has(container: JsonObject | list[Json], key: str) -> bool:
    if isinstance(container, dict):
        return key in container
    return is_array_index(key) and int(key) < len(container)


def _get(container: JsonObject | list[Json], key: str) -> Json:
    if isinstance(container, dict):
        return container.get(key)
    return container[int(key)] if _has(container, key) else None


def _put(container: JsonObject | list[Json], key: str, value: Json, path: str) -> None:
    if isinstance(container, dict):
        container[key] = value
        return
    if not is_array_index(key) or len(key) > 6 or int(key) > MAX_ARRAY_INDEX:
        raise wrong_kind(path.rpartition(".")[0], "an object")
    index = int(key)
    container.extend([None] * (index + 1 - len(container)))
    container[index] = value


def _drop(container: JsonObject | list[Json], key: str) -> None:
    if isinstance(container, dict):
        container.pop(key, None)
    elif _has(container, key):
        container[int(key)] = None


# --- Merge -------------------------------------------------------------------------------------------------


def merge_operations(
    earlier: Mapping[str, Operation], later: Mapping[str, Operation]
) -> dict[str, Operation]:
    """The operations that do what `earlier` and then `later` do.

    Raises 107 for a pair that no single operation can express (append, then remove).
    """
    merged = dict(earlier)
    for path, operation in later.items():
        for part in [other for other in merged if other.startswith(f"{path}.")]:
            del merged[part]
        parent = next((prefix for prefix in _parents(path) if prefix in merged), None)
        if parent is not None:
            merged[parent] = _merge_below(merged[parent], parent, path, operation)
        elif path in merged:
            merged[path] = _merge(merged[path], operation, path)
        else:
            merged[path] = operation
    return merged


def _merge_below(outer: Operation, parent: str, path: str, operation: Operation) -> Operation:
    """A change of a part, after a change of the whole."""
    name = parent.rpartition(".")[2]
    below = f"{name}{path.removeprefix(parent)}"
    match outer:
        case Set(value):
            return Set(apply_operations({name: value}, {below: operation})[name])
        case Delete():
            changed = apply_operations({}, {below: operation})
            return Set(changed[name]) if name in changed else outer
        case _:
            raise _unmergeable(path)


def _merge(first: Operation, then: Operation, path: str) -> Operation:
    match first, then:
        case _, Set() | Delete():
            return then
        case _, SetOnInsert():
            return first
        case Set(value), Increment() | Add() | AddUnique() | Remove():
            row: JsonObject = {path: value}
            _apply_at(row, path, path, then)
            return Set(row[path])
        case Delete(), Remove():
            return first
        case Delete(), Increment() | Add() | AddUnique():
            row = {}
            _apply_at(row, path, path, then)
            return Set(row[path])
        case Increment(a), Increment(b):
            return Increment(plain_number(a + b))
        case Add(a), Add(b):
            return Add(a + b)
        case AddUnique(a), AddUnique(b):
            return AddUnique((*a, *_not_in(a, b)))
        case Remove(a), Remove(b):
            return Remove(a + b)
        case ChangeRelation(), ChangeRelation():
            later = {*then.add, *then.remove}
            return ChangeRelation(
                then.class_name,
                add=(*(i for i in first.add if i not in later), *then.add),
                remove=(*(i for i in first.remove if i not in later), *then.remove),
            )
        case _:
            raise _unmergeable(path)


def _unmergeable(path: str) -> ParseError:
    return _malformed(f"cannot combine the operations on {path}")


# --- Answer ------------------------------------------------------------------------------------------------


def is_echoed(operation: Operation) -> bool:
    """Does the answer of a save carry the result of this operation?"""
    return type(operation) in _ECHOED


_ECHOED = frozenset({Increment, Add, AddUnique, Remove, SetOnInsert})


def echo(after: JsonObject, operations: Mapping[str, Operation]) -> JsonObject:
    """What the answer of a save says about the object's new state: the results of its operations.

    A dotted path is answered nested, and alone; a path into an array by the whole array.
    """
    answer: JsonObject = {}
    for path, operation in operations.items():
        if is_echoed(operation):
            _copy_path(after, answer, path)
    return answer


def _copy_path(source: JsonObject, answer: JsonObject, path: str) -> None:
    *parents, last = path.split(".")
    root = root_of(path)
    if parents and isinstance(source.get(root), list):
        answer[root] = source[root]
        return
    values: list[Json] = [source]
    for segment in path.split("."):
        container = values[-1]
        if not isinstance(container, dict | list) or not _has(container, segment):
            return
        values.append(_get(container, segment))
    place = answer
    for segment, value in zip(parents, values[1:], strict=False):
        if isinstance(value, list):
            place[segment] = value
            return
        place = place.setdefault(segment, {})  # type: ignore[assignment]
    place[last] = values[-1]
