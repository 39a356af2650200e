"""From `Operations` to a MongoDB update document, and from a refused one to the reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import assert_never

from pymongo.errors import OperationFailure

from parse_clone.adapters.storage.mongo.codec import Row, RowCodec, encode_number
from parse_clone.adapters.storage.mongo.driver_errors import Code
from parse_clone.core.operations import (
    Add,
    AddUnique,
    Delete,
    FieldOperation,
    Increment,
    Operations,
    Remove,
    Set,
    SetOnInsert,
    wrong_kind,
)
from parse_clone.errors import ParseError


def compile_update(codec: RowCodec, operations: Operations) -> Row:
    """Compile operations; an empty document if there is nothing to do."""
    update: Row = {}
    for path, operation in _spread(codec, operations):
        for operator, changes in _compile(codec, path, operation).items():
            if changes:
                update.setdefault(operator, {}).update(changes)
    return update


def _spread(codec: RowCodec, operations: Operations) -> Iterator[tuple[str, FieldOperation]]:
    """Treat `authData`, which is stored as a member per provider, as an operation per provider."""
    for path, operation in operations.items():
        if path == "authData" and codec.splits_auth_data and isinstance(operation, Set | SetOnInsert):
            providers = operation.value if isinstance(operation.value, dict) else {}
            for provider, value in providers.items():
                yield f"authData.{provider}", Delete() if value is None else type(operation)(value)
        else:
            yield path, operation


def _compile(codec: RowCodec, path: str, operation: FieldOperation) -> Mapping[str, Row]:
    match operation:
        case Set(value):
            return {"$set": codec.encode_field(path, value)}
        case SetOnInsert(value):
            return {"$setOnInsert": codec.encode_field(path, value)}
        case Delete():
            return {"$unset": dict.fromkeys(codec.members(path), "")}
    column = codec.column(path)
    match operation:
        case Increment(amount):
            return {"$inc": {column.name: encode_number(amount)}}
        case Add(objects):
            return {"$push": {column.name: {"$each": [column.encode(item) for item in objects]}}}
        case AddUnique(objects):
            return {"$addToSet": {column.name: {"$each": [column.encode(item) for item in objects]}}}
        case Remove(objects):
            return {"$pullAll": {column.name: [column.encode(item) for item in objects]}}
        case _:
            assert_never(operation)


# --- Why MongoDB refused ---------------------------------------------------------------------------------


def refusal_of(error: OperationFailure, operations: Operations) -> ParseError | None:
    """Name the operation that met a value of another kind; None if that is not what the error says."""
    match error.code:
        case Code.TYPE_MISMATCH:
            return _wrong_kind(
                error, [p for p, o in operations.items() if isinstance(o, Increment)], "a number"
            )
        case Code.BAD_VALUE:
            paths = [p for p, o in operations.items() if isinstance(o, Add | AddUnique | Remove)]
            return _wrong_kind(error, paths, "an array")
        case Code.PATH_NOT_VIABLE:
            paths = [p.rpartition(".")[0] for p in operations if "." in p]
            return _wrong_kind(error, paths, "an object")
        case _:
            return None


def _wrong_kind(error: OperationFailure, paths: list[str], wanted: str) -> ParseError | None:
    """MongoDB's text names the member; where it names none that we know, the first candidate is our guess."""
    text = str(error)
    named = [path for path in paths if f"'{path.rpartition('.')[2]}'" in text]
    return wrong_kind((named or paths)[0], wanted) if paths else None
