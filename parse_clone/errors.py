"""Every error a client can see: one exception, one enum of Parse's codes.

HTTP status codes are not known here; `api/rest/responses.py` derives them from the code.
"""

from __future__ import annotations

from enum import IntEnum


class ErrorCode(IntEnum):
    """Parse's numeric error codes, as clients and SDKs know them."""

    OTHER_CAUSE = -1
    INTERNAL_SERVER_ERROR = 1
    CONNECTION_FAILED = 100
    OBJECT_NOT_FOUND = 101
    INVALID_QUERY = 102
    INVALID_CLASS_NAME = 103
    MISSING_OBJECT_ID = 104
    INVALID_KEY_NAME = 105
    INVALID_POINTER = 106
    INVALID_JSON = 107
    COMMAND_UNAVAILABLE = 108
    INCORRECT_TYPE = 111
    PUSH_MISCONFIGURED = 115
    OBJECT_TOO_LARGE = 116
    OPERATION_FORBIDDEN = 119
    INVALID_NESTED_KEY = 121
    INVALID_FILE_NAME = 122
    INVALID_ACL = 123
    INVALID_EMAIL_ADDRESS = 125
    FILE_SAVE_ERROR = 130
    AMBIGUOUS_INSTALLATION = 132
    MISSING_REQUIRED_FIELD = 135
    IMMUTABLE_FIELD = 136
    DUPLICATE_VALUE = 137
    SCRIPT_FAILED = 141
    VALIDATION_ERROR = 142
    WEBHOOK_ERROR = 143
    FILE_DELETE_ERROR = 153
    DUPLICATE_REQUEST = 159
    INVALID_VALUE = 162
    USERNAME_MISSING = 200
    PASSWORD_MISSING = 201
    USERNAME_TAKEN = 202
    EMAIL_TAKEN = 203
    EMAIL_MISSING = 204
    EMAIL_NOT_FOUND = 205
    SESSION_MISSING = 206
    ACCOUNT_ALREADY_LINKED = 208
    INVALID_SESSION_TOKEN = 209
    WRITE_CONFLICT = 251
    UNSUPPORTED_SERVICE = 252
    INVALID_SCHEMA_OPERATION = 255


class ParseError(Exception):
    """An error meant for the client: Parse's `code` and a text that may be shown, or none.

    `detail` is the precise reason of a refusal. It replaces `message` only where the server runs with
    `enableSanitizedErrorResponse: false`; otherwise it goes to the log. Codes outside of `ErrorCode`
    are allowed: applications use 9000-9999. `value` is the JSON that an application's hook gave instead of a
    text.
    """

    def __init__(
        self, code: int, message: str | None = None, *, detail: str | None = None, value: object = None
    ) -> None:
        super().__init__(message or "")
        self.code = int(code)
        self.message = message
        self.detail = detail
        self.value = value

    def shown(self, *, sanitized: bool) -> object:
        """What the client reads as `error`; None if it reads no text."""
        if self.value is not None:
            return self.value
        return self.message if sanitized or self.detail is None else self.detail

    def __repr__(self) -> str:
        return f"ParseError({self.code}, {self.message!r})"


def permission_denied(detail: str, code: int = ErrorCode.OPERATION_FORBIDDEN) -> ParseError:
    """Build the refusal that tells a client nothing but "Permission denied"; `detail` is for the log."""
    return ParseError(code, "Permission denied", detail=detail)


def object_not_found() -> ParseError:
    """Build the one answer for "does not exist" and "you may not know that it exists"."""
    return ParseError(ErrorCode.OBJECT_NOT_FOUND, "Object not found.")


class DuplicateValue(ParseError):
    """A unique index refused a write. `field` is the field's name in REST terms (`username`,
    `authData.anonymous.id`), or None where the engine does not tell."""

    def __init__(self, field: str | None) -> None:
        super().__init__(
            ErrorCode.DUPLICATE_VALUE, "A duplicate value for a field with unique values was provided"
        )
        self.field = field


class Unauthorized(Exception):
    """The caller may not talk to this server at all: HTTP 403 `{"error": "unauthorized"}`, no code."""


class SettingsError(Exception):
    """The server cannot start with these settings; the text names the option and what it wants."""
