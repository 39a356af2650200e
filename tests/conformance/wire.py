"""The encoding of values in the control protocol: JSON, the REST API's `__type` markers, and a few more.

Only what options and provider calls need: errors, regular expressions, numbers that JSON lacks, `undefined`,
and functions that live in the test process.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from parse_clone.errors import ErrorCode, ParseError, SettingsError

UNDEFINED = object()


class RemoteError(Exception):
    """What a function of the test process threw, when it was no Parse error."""

    def __init__(self, value: Any) -> None:
        super().__init__(value if isinstance(value, str) else str(value))
        self.value = value


class RemoteFunction:
    """A function of the test process, called by HTTP."""

    def __init__(self, client: httpx.AsyncClient, url: str, identifier: str) -> None:
        self._client = client
        self._url = url
        self.identifier = identifier

    async def __call__(self, *args: Any) -> Any:
        body = {"id": self.identifier, "args": [encode(value) for value in args]}
        reply = (await self._client.post(self._url, json=body)).json()
        if "error" in reply:
            raise to_exception(reply["error"])
        return strip(reply.get("result"))


def to_exception(error: Any) -> Exception:
    """Turn a thrown value into an exception: a Parse error where it has a code."""
    if isinstance(error, dict) and error.get("__type") == "Error":
        if "code" in error:
            return ParseError(error["code"], error.get("message"))
        return RemoteError(error.get("message"))
    return RemoteError(None if error == {"__type": "Undefined"} else error)


def encode(value: Any) -> Any:
    """Encode a value that goes to the test process. Remote functions go back as themselves."""
    match value:
        case RemoteFunction():
            return {"__remote": value.identifier}
        case re.Pattern():
            return {"__type": "RegExp", "source": value.pattern, "flags": ""}
        case dict():
            return {key: encode(member) for key, member in value.items()}
        case list() | tuple():
            return [encode(member) for member in value]
        case bytes():
            return {"__type": "Bytes", "base64": base64.b64encode(value).decode()}
        case _:
            return {"__type": "Undefined"} if value is UNDEFINED else value


def strip(value: Any) -> Any:
    """Undo the protocol's own markers in a value that came from the test process."""
    match value:
        case {"__raw": raw}:
            return raw
        case {"__type": "Undefined"}:
            return None
        case {"__type": "Number", "value": text}:
            return float(text.replace("Infinity", "inf"))
        case dict():
            return {key: strip(member) for key, member in value.items()}
        case list():
            return [strip(member) for member in value]
        case _:
            return value


REFUSED_UNDEFINED = ("fileUpload",)
"""Options that may be left out, but not set to `undefined`: as null they are refused."""


def decode_options(value: Any, remote: Callable[[str], Callable[..., Awaitable[Any]]]) -> Any:
    """Decode server options; members that are `undefined` are left out."""
    match value:
        case {"__remote": str(identifier)}:
            return remote(identifier)
        case {"__type": "RegExp", "source": str(source), "flags": str(flags)}:
            return re.compile(source, re.IGNORECASE if "i" in flags else 0)
        case {"__type": "Number", "value": str(text)}:
            return float(text.replace("Infinity", "inf"))
        case dict():
            return {
                key: None if member == {"__type": "Undefined"} else decode_options(member, remote)
                for key, member in value.items()
                if member != {"__type": "Undefined"} or key in REFUSED_UNDEFINED
            }
        case list():
            return [decode_options(member, remote) for member in value]
        case _:
            return value


def encode_error(error: BaseException) -> Any:
    """Encode an error of the server under test."""
    match error:
        case ParseError():
            return {"__type": "Error", "code": error.code, "message": error.message}
        case SettingsError() if "should be different" not in str(error):
            return str(error)
        case SettingsError():
            # Most refusals of options are plain strings in parse-server, those of equal keys are Errors.
            return {"__type": "Error", "message": str(error)}
        case _:
            return {"__type": "Error", "code": int(ErrorCode.INTERNAL_SERVER_ERROR), "message": repr(error)}
