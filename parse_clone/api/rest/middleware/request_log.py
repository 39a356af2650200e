"""One structured line for each request, at a level that fits what happened. Never keys, tokens or bodies."""

from __future__ import annotations

import re
from contextvars import ContextVar
from itertools import count
from secrets import token_hex

import structlog

from parse_clone.api.rest.responses import HttpError
from parse_clone.errors import ErrorCode, ParseError, Unauthorized

log = structlog.get_logger("parse_clone.rest")

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request being served; `logs.py` writes it into every line."""

_PROCESS = token_hex(4)
_NUMBERS = count(1)
_SAFE = re.compile(r"[\w.:-]{1,64}", re.ASCII)


def start_request(offered: str | None) -> str:
    """Name a request, by the id that a proxy gave it if that is harmless; the log remembers the name."""
    request_id = offered or ""
    if not _SAFE.fullmatch(request_id):
        request_id = f"{_PROCESS}-{next(_NUMBERS):x}"
    REQUEST_ID.set(request_id)
    return request_id


def log_refusal(method: str, path: str, error: Exception) -> None:
    """Write down why a request was refused: what the client was not told, and what nobody foresaw."""
    if isinstance(error, HttpError | Unauthorized):
        return  # the answer says it all
    if isinstance(error, ParseError) and error.code != ErrorCode.INTERNAL_SERVER_ERROR:
        if error.detail is not None:
            log.info("refused", method=method, path=path, code=error.code, reason=error.detail)
    elif isinstance(error, ParseError):
        cause = {} if error.__cause__ is None else {"cause": type(error.__cause__).__name__}
        reason = error.detail or error.message
        log.error("failed", method=method, path=path, code=error.code, reason=reason, **cause)
    else:
        log.error("crashed", method=method, path=path, exc_info=error)
