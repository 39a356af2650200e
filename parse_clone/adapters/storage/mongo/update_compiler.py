"""From `Operations` to a MongoDB update document, and from a refused one to the reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import assert_never

from pymongo.errors import OperationFailure

from parse_clone.adapters.storage.mongo.codec import Row, RowCodec, encode_nested
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
from parse_clone.errors import ErrorCode, ParseError


def compile_update(codec: RowCodec, operations: Operations) -> Row:
    """Compile operations; an empty document if there is nothing to do."""
    update: Row = {}
    for path, operation in _spread(codec, operations):
        if "$" in path or "\0" in path:  # a client's text must not become an operator
            raise ParseError(ErrorCode.INVALID_KEY_NAME, f"Invalid field name: {path}.")
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
            return {"$inc": {column.name: encode_nested(amount)}}
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
            return _wrong_kind(error, "a number", _ends(operations, Increment))
        case Code.BAD_VALUE:
            return _wrong_kind(error, "an array", _ends(operations, Add, AddUnique, Remove))
        case Code.PATH_NOT_VIABLE:
            return _wrong_kind(error, "an object", _steps(operations))
        case _:
            return None


def _ends(operations: Operations, *kinds: type[FieldOperation]) -> Iterator[tuple[str, str]]:
    """Every path with an operation of these kinds, with how MongoDB names its last member."""
    for path, operation in operations.items():
        if isinstance(operation, kinds):
            yield path, f"'{path.rpartition('.')[2]}'"


def _steps(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Every container that the paths pass, with what MongoDB says of one that is none."""
    for path in paths:
        segments = path.split(".")
        for depth in range(1, len(segments)):
            yield ".".join(segments[:depth]), f"'{segments[depth]}' in element {{{segments[depth - 1]}:"


def _wrong_kind(
    error: OperationFailure, wanted: str, suspects: Iterable[tuple[str, str]]
) -> ParseError | None:
    """Choose the path whose mark is in MongoDB's text; if none is, the first is our guess."""
    text = str(error)
    guess: str | None = None
    for path, mark in suspects:
        if mark in text:
            return wrong_kind(path, wanted)
        guess = guess or path
    return None if guess is None else wrong_kind(guess, wanted)
