"""What the driver raises, as errors for clients: never with the driver's own words."""

from __future__ import annotations

from enum import IntEnum
from types import TracebackType

from bson.errors import BSONError
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DocumentTooLarge,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
)

from parse_clone.adapters.storage.mongo.codec import rest_path
from parse_clone.errors import DuplicateValue, ErrorCode, ParseError


class Code(IntEnum):
    """MongoDB's error codes that mean something to us."""

    BAD_VALUE = 2
    TYPE_MISMATCH = 14
    ILLEGAL_OPERATION = 20  # a transaction on a server that stands alone
    NAMESPACE_NOT_FOUND = 26
    INDEX_NOT_FOUND = 27
    PATH_NOT_VIABLE = 28
    NO_QUERY_EXECUTION_PLANS = 291
    DUPLICATE_KEY = 11000
    BAD_GEOMETRY = 16755
    BAD_REGEX = 51091


TIMEOUT = 124  # Parse's code


class DriverErrors:
    """`with DRIVER_ERRORS:` around every call of the driver."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, PyMongoError | BSONError | OverflowError):
            raise parse_error_of(error) from error


DRIVER_ERRORS = DriverErrors()


def parse_error_of(error: Exception) -> ParseError:
    """Choose the error that a client sees."""
    if isinstance(error, PyMongoError) and error.has_error_label("TransientTransactionError"):
        return ParseError(ErrorCode.WRITE_CONFLICT, "The transaction met a concurrent write, please retry.")
    match error:
        case DuplicateKeyError():
            return _duplicate(error.details)
        case BulkWriteError() if failures := _write_failures(error):
            first = failures[0]
            return (
                _duplicate(first) if first.get("code") == Code.DUPLICATE_KEY else _failure(first.get("code"))
            )
        case ConnectionFailure():
            return ParseError(ErrorCode.INTERNAL_SERVER_ERROR, "Database error")
        case ExecutionTimeout():
            return ParseError(TIMEOUT, "The query took too long.")
        case DocumentTooLarge():
            return ParseError(ErrorCode.OBJECT_TOO_LARGE, "The object is too large.")
        case BSONError() | OverflowError():
            return ParseError(ErrorCode.INVALID_JSON, "The object cannot be stored.")
        case OperationFailure():
            return _failure(error.code)
        case _:
            return _failure(None)


def _failure(code: object) -> ParseError:
    match code:
        case Code.ILLEGAL_OPERATION:
            return ParseError(
                ErrorCode.COMMAND_UNAVAILABLE, "Transactions need a MongoDB replica set or sharded cluster."
            )
        case Code.BAD_GEOMETRY:
            return ParseError(ErrorCode.INVALID_JSON, "The place is not valid on a sphere.")
        case Code.BAD_REGEX:
            return ParseError(ErrorCode.INVALID_QUERY, "Bad $regex value: invalid")
        case _:
            return ParseError(ErrorCode.INTERNAL_SERVER_ERROR, "An internal server error occurred")


def _write_failures(error: BulkWriteError) -> list[dict[str, object]]:
    details: object = error.details
    failures = details.get("writeErrors") if isinstance(details, dict) else None
    return failures if isinstance(failures, list) else []


def _duplicate(details: object) -> DuplicateValue:
    pattern = details.get("keyPattern") if isinstance(details, dict) else None
    return DuplicateValue(rest_path(next(iter(pattern))) if pattern else None)
