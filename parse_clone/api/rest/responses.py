"""What goes back to the client. The only place that knows HTTP statuses and the bodies of errors."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from html import escape
from urllib.parse import quote
from zlib import crc32

import orjson

from parse_clone.core.json_types import JsonObject
from parse_clone.errors import ErrorCode, ParseError, Unauthorized, permission_denied
from parse_clone.immutable import immutable
from parse_clone.services.files import Download
from parse_clone.services.objects.requests import FindAnswer, SaveAnswer
from parse_clone.services.triggers import FunctionAnswer

Headers = tuple[tuple[bytes, bytes], ...]

JSON = b"application/json; charset=utf-8"
TEXT = b"text/plain; charset=utf-8"
HTML = b"text/html; charset=utf-8"


@immutable()
class Answer:
    """One HTTP answer. The body is bytes already: a batch puts it into its own."""

    body: bytes
    status: int = 200
    headers: Headers = ()
    content_type: bytes = JSON
    stream: AsyncGenerator[bytes, None] | None = None  # instead of a body


EMPTY = Answer(b"{}")
NOT_MODIFIED = Answer(b"", 304)
PREFLIGHT = Answer(b"OK", content_type=TEXT)


# --- Success ---------------------------------------------------------------------------------------------


def ok(body: object, *, headers: Headers = ()) -> Answer:
    """Answer 200 with JSON."""
    return Answer(orjson.dumps(body), headers=headers)


def saved(answer: SaveAnswer, base_url: str) -> Answer:
    """Answer a save: 201 for a new object, or 200; with its Location, if there is one to tell."""
    status = 201 if answer.created else 200
    location = (base_url + quote(answer.location)).encode()
    return Answer(orjson.dumps(answer.body), status, ((b"location", location),) if answer.location else ())


def found(answer: FindAnswer) -> Answer:
    """Answer a query; rows that come encoded are only joined."""
    if answer.plan is not None:
        rows = orjson.dumps(answer.plan)
    elif answer.encoded is not None:
        rows = b"[%b]" % b",".join(answer.encoded)
    else:
        rows = orjson.dumps(answer.results)
    if answer.count is None:
        return Answer(b'{"results":%b}' % rows)
    return Answer(b'{"results":%b,"count":%d}' % (rows, answer.count))


def found_one(answer: FindAnswer) -> Answer:
    """Answer a get."""
    return Answer(answer.encoded[0] if answer.encoded else orjson.dumps(answer.results[0]))


def called(answer: FunctionAnswer) -> Answer:
    """Answer a call of a function; it may have chosen status and headers."""
    body = orjson.dumps({"result": answer.value}) if answer.has_value else b"{}"
    return Answer(body, answer.status, encode_headers(answer.headers))


def encode_headers(headers: Mapping[str, str]) -> Headers:
    """Write headers that cloud code chose."""
    return tuple(
        (name.lower().encode("latin-1", "replace"), _one_line(value).encode("latin-1", "replace"))
        for name, value in headers.items()
    )


def _one_line(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ")  # a second line would be a header of its own


def job_started(status_id: str) -> Answer:
    """Answer that a job runs, and where its status can be read."""
    return Answer(b"{}", headers=((b"x-parse-job-status-id", status_id.encode()),))


def joined(answers: Sequence[Answer]) -> Answer:
    """Answer a batch: the bodies of its parts as one array."""
    return Answer(b"[%b]" % b",".join([answer.body for answer in answers]))


# --- Files -----------------------------------------------------------------------------------------------


def stored(file: JsonObject, headers: Headers = ()) -> Answer:
    """Answer an upload: 201 with the URL as its Location."""
    location = _one_line(str(file.get("url"))).encode()
    return Answer(orjson.dumps(file), 201, ((b"location", location), *headers))


def sent_file(found: Download, if_none_match: str | None, headers: Headers = ()) -> Answer:
    """Answer a download: all of the file or a part, that the client has it already, or where it is."""
    headers += encode_headers(found.headers)
    if found.etag is not None:
        headers += ((b"etag", found.etag.encode()),)
        if if_none_match is not None and found.etag in if_none_match:
            return Answer(b"", 304, headers)
    if found.location is not None:
        return Answer(b"", 302, ((b"location", found.location.encode()), *headers))
    length = found.size if found.part is None else found.part.size
    headers += ((b"content-length", b"%d" % length), (b"accept-ranges", b"bytes"))
    content_type = found.content_type.encode()
    if found.part is None:
        return Answer(b"", 200, headers, content_type, found.content)
    headers += ((b"content-range", found.part.header(found.size).encode()),)
    return Answer(b"", 206, headers, content_type, found.content)


def no_such_file() -> Answer:
    """Answer that there is no such file, or none for this caller."""
    return Answer(b"File not found.", 404, content_type=TEXT)


def not_satisfiable(size: int) -> Answer:
    """Answer a range that lies outside of the file."""
    return Answer(b"", 416, ((b"content-range", b"bytes */%d" % size),), TEXT)


def refused(error: ParseError, *, sanitized: bool) -> Answer:
    """Answer a refused download: 403, with Parse's code."""
    return Answer(_error_body(error, sanitized), 403)


def unknown_application(*, sanitized: bool) -> Answer:
    """Answer a file URL that names another application."""
    return refused(permission_denied("Invalid application ID."), sanitized=sanitized)


def too_slow() -> HttpError:
    """Build the refusal of a client that stops in the middle of its body."""
    return HttpError(408, "request timeout")


# --- Refusals that are no Parse errors -------------------------------------------------------------------


class HttpError(Exception):
    """A refusal with a status of its own and a body without Parse's code."""

    def __init__(self, status: int, message: str, *, detail: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.detail = detail


class TooManyRequests(ParseError):
    """A rate limit is used up: Parse's code 100, but its own status."""

    def __init__(self, message: str, headers: Headers = ()) -> None:
        super().__init__(ErrorCode.CONNECTION_FAILED, message)
        self.headers = headers


def master_key_required() -> HttpError:
    """Build the refusal of a route that wants the master key."""
    return HttpError(403, "Permission denied", detail="unauthorized: master key is required")


def read_only(action: str) -> HttpError:
    """Build the refusal of a write with the read-only master key, where parse-server answers it without a
    code."""
    return HttpError(403, "Permission denied", detail=f"read-only masterKey isn't allowed to {action}.")


def security_check_disabled() -> HttpError:
    """Build the refusal of a report that the settings do not want."""
    return HttpError(409, "Enable Parse Server option `security.enableCheck` to run security check.")


def body_too_large() -> HttpError:
    """Build the refusal of a body over the limit."""
    return HttpError(413, "request entity too large")


# --- Failure ---------------------------------------------------------------------------------------------

STATUS_BY_CODE: Mapping[int, int] = {ErrorCode.INTERNAL_SERVER_ERROR: 500, ErrorCode.OBJECT_NOT_FOUND: 404}
"""Parse codes with a status of their own; all others are 400. There is no 401."""


def failure(error: Exception, *, sanitized: bool) -> Answer:
    """Answer an error. What nobody foresaw says nothing about itself."""
    match error:
        case TooManyRequests():
            return Answer(_error_body(error, sanitized), 429, error.headers)
        case ParseError():
            return Answer(_error_body(error, sanitized), STATUS_BY_CODE.get(error.code, 400))
        case HttpError():
            text = error.message if sanitized or error.detail is None else error.detail
            return Answer(orjson.dumps({"error": text}), error.status)
        case Unauthorized():
            return Answer(b'{"error":"unauthorized"}', 403)
        case _:
            return Answer(b'{"code":1,"message":"Internal server error."}', 500)


def _error_body(error: ParseError, sanitized: bool) -> bytes:
    text = error.shown(sanitized=sanitized)
    return orjson.dumps({"code": error.code} if text is None else {"code": error.code, "error": text})


def not_ready(state: str) -> Answer:
    """Answer while the server starts or has failed to."""
    return Answer(orjson.dumps({"code": 1, "error": f"Invalid server state: {state}"}), 500)


def health(state: str) -> Answer:
    """Answer how the server is: it is well, or it is not."""
    body = orjson.dumps({"status": state})
    if state == "ok":
        return Answer(body)
    return Answer(body, 503, ((b"retry-after", b"1"),) if state == "starting" else ())


def no_such_route(method: str, path: str) -> Answer:
    """Answer an unknown path: a page, for it is no Parse error."""
    what = escape(f"Cannot {method} {path}")
    page = f'<!DOCTYPE html>\n<html lang="en">\n<title>Error</title>\n<pre>{what}</pre>\n</html>\n'
    return Answer(page.encode(errors="replace"), 404, content_type=HTML)


# --- Not sent twice --------------------------------------------------------------------------------------


def entity_tag(body: bytes) -> bytes:
    """A weak validator of a body: cheap, and good enough for "the client has it already"."""
    return b'W/"%x-%x"' % (len(body), crc32(body))
