"""What a client sent: bytes and headers become a `Request` that routes understand.

Keys come from headers, or from the body where browsers avoid headers. Nothing is decided here; who the caller
is says `services/users/authentication.py`.
"""

from __future__ import annotations

import asyncio
import binascii
import zlib
from base64 import b64decode
from codecs import BOM_UTF8
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import orjson

from parse_clone.api.rest.query_string import decode_form, decode_query_string
from parse_clone.api.rest.responses import HttpError, body_too_large, too_slow
from parse_clone.core.context import Auth, Credentials, RequestContext
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.networks import Networks, parse_address
from parse_clone.errors import ErrorCode, ParseError, Unauthorized
from parse_clone.immutable import immutable
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.users.authentication import is_same
from parse_clone.settings import Settings

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]


@immutable()
class Request:
    """What a route is given. `body` is decoded JSON without the keys of the caller."""

    toolbox: Toolbox
    context: RequestContext
    method: str
    path: str  # below the mount, decoded: `/classes/Patient`
    body: JsonObject
    query_string: str = ""
    raw_body: bytes = b""

    @property
    def auth(self) -> Auth:
        return self.context.auth

    @property
    def query(self) -> JsonObject:
        """The parameters of the URL, JSON-decoded."""
        return decode_query_string(self.query_string)

    @property
    def parameters(self) -> JsonObject:
        """Body and query string as one; the query string wins."""
        return {**self.body, **self.query} if self.query_string else self.body


@dataclass(slots=True)
class Caller:
    """Who says he is calling, and from where. Filled from headers, then from the body."""

    credentials: Credentials
    installation_id: str | None
    cloud_context: JsonObject
    is_key_in_header: bool
    content_type: str | None = None  # of an uploaded file, where the body is about it


# --- Path ------------------------------------------------------------------------------------------------


def split_path(raw_path: bytes, mount: bytes) -> list[str] | None:
    """Cut a path below the mount into decoded segments; None if it lies elsewhere.

    One doubled slash after the mount and one slash at the end are forgiven.
    """
    if raw_path[: len(mount)].lower() != mount:
        return None
    rest = raw_path[len(mount) :]
    if rest and not rest.startswith(b"/"):
        return None
    rest = rest[2:] if rest.startswith(b"//") else rest[1:]
    if rest.endswith(b"/"):
        rest = rest[:-1]
    if not rest:
        return []
    segments = rest.decode("latin-1").split("/")
    return [unquote(segment) for segment in segments] if b"%" in rest else segments


# --- Body ------------------------------------------------------------------------------------------------

IDLE_SECONDS = 60
"""How long a client may send nothing in the middle of a request."""


async def read_body(receive: Receive, headers: Mapping[str, str], limit: int) -> bytes:
    """Read the whole body, counting bytes: what a client says about the length is only believed to refuse."""
    length = headers.get("content-length")
    if int(length or 0) > limit:
        raise BodyTooLarge
    has_body = length is not None or "transfer-encoding" in headers
    message = await (receive_piece(receive) if has_body else receive())
    body: bytes = message.get("body", b"")
    if not message.get("more_body") and len(body) <= limit:
        return body
    chunks, size = [body], len(body)
    while size <= limit and message.get("more_body"):
        message = await receive_piece(receive)
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
    if size > limit:
        raise BodyTooLarge
    return b"".join(chunks)


async def receive_piece(receive: Receive) -> Mapping[str, Any]:
    """The next piece of a body. Nobody waits for ever for a client that has begun to send one (408)."""
    try:
        async with asyncio.timeout(IDLE_SECONDS):
            message = await receive()
    except TimeoutError:
        raise too_slow() from None
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message


async def read_plain_body(receive: Receive, headers: Mapping[str, str], limit: int) -> bytes:
    """Read the whole body and undo its compression; the limit is for both."""
    body = await read_body(receive, headers, limit)
    encoding = content_encoding(headers)
    if encoding is None or not body:
        return body
    return await asyncio.to_thread(inflate, body, encoding, limit)  # little may become much


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo the compression that `Content-Encoding` names (415 for others); the limit is for the result."""
    inflater = Inflater(encoding)
    plain = inflater.inflate(body, limit + 1)
    if len(plain) > limit:
        raise BodyTooLarge
    inflater.finish()
    return plain


def content_encoding(headers: Mapping[str, str]) -> str | None:
    """How the body is compressed; None if it is not."""
    encoding = headers.get("content-encoding", "").strip().lower()
    return None if encoding in ("", "identity") else encoding


class Inflater:
    """Undoes a compression piece by piece. Raises `HttpError`: 415 for an encoding that is not known, 400 for
    bytes that are not what the encoding says."""

    def __init__(self, encoding: str) -> None:
        if encoding not in ("gzip", "deflate"):
            raise HttpError(415, f'unsupported content encoding "{encoding}"')
        self._inflater = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)  # the header tells which it is

    def inflate(self, piece: bytes, most: int) -> bytes:
        """The next plain bytes, `most` at most: with as many there may be more of this piece, for `rest`."""
        try:
            plain = self._inflater.decompress(piece, most)
        except zlib.error:
            raise HttpError(400, "The body is not compressed as its Content-Encoding says.") from None
        if self._inflater.unused_data:
            raise HttpError(400, "The compressed body goes on behind its end.")
        return plain

    @property
    def rest(self) -> bytes:
        """What has been given and not been read yet."""
        return self._inflater.unconsumed_tail

    def finish(self) -> None:
        """The body has ended: so must what is compressed in it."""
        if not self._inflater.eof:
            raise HttpError(400, "The compressed body ends too early.")


class BodyTooLarge(Exception):
    """A body has more bytes than the settings allow."""


class ClientGone(Exception):
    """The client hung up before its request was complete: there is nobody to answer."""


MAX_CONTAINERS = 250_000
"""Most objects and arrays in one body: each is looked at several times, while nobody else is served."""


LONGEST_FORM = 1_000_000
"""Bytes of a form in a body: its characters are unquoted one by one, while nobody else is served."""


def decode_body(body: bytes, content_type: str) -> JsonObject:
    """Read a body as JSON whatever its content type; but forms are forms, and multipart is left alone."""
    if not body or content_type.startswith("multipart/"):
        return {}
    if content_type.startswith("application/x-www-form-urlencoded"):
        if len(body) > LONGEST_FORM:
            raise body_too_large()
        return decode_form(body.decode(errors="replace"))
    if len(body) > MAX_CONTAINERS and body.count(b"{") + body.count(b"[") > MAX_CONTAINERS:
        raise body_too_large()
    try:
        decoded: Json = orjson.loads(body.removeprefix(BOM_UTF8))  # some clients mark the encoding
    except orjson.JSONDecodeError as error:
        raise HttpError(400, f"Malformed JSON: {error}") from None
    if decoded == []:  # what some languages make of a map without members
        return {}
    if not isinstance(decoded, dict):
        raise HttpError(400, "The body must be a JSON object.")
    return decoded


# --- Caller ----------------------------------------------------------------------------------------------

CLIENT_KEY_HEADERS = {
    "x-parse-rest-api-key": "restAPIKey",
    "x-parse-client-key": "clientKey",
    "x-parse-javascript-key": "javascriptKey",
    "x-parse-windows-key": "dotNetKey",
}


def read_caller(headers: Mapping[str, str], body: JsonObject, ip: str, settings: Settings) -> Caller:
    """Find the keys of a request: in its headers, or, if these name no known application, in its body.
    The keys are taken out of the body."""
    body.pop("_noBody", None)
    caller = _caller_of_headers(headers, ip, settings.app_id)
    if caller.credentials.application_id == settings.app_id:
        return caller
    shown = caller.credentials.master_key
    if body.pop("_ApplicationId", None) != settings.app_id or (
        shown and not is_same(shown, settings.master_key)
    ):
        raise Unauthorized
    return _caller_of_body(body, caller, settings.app_id)


def is_of_application(headers: Mapping[str, str], app_id: str) -> bool:
    """Do the headers name the application? Then the keys are there, too, and the body is just a body."""
    return _caller_of_headers(headers, "", app_id).credentials.application_id == app_id


def _caller_of_headers(headers: Mapping[str, str], ip: str, app_id: str) -> Caller:
    get = headers.get
    application_id = get("x-parse-application-id")
    master_key = get("x-parse-master-key")
    is_key_in_header = True
    client_keys = {name: headers[header] for header, name in CLIENT_KEY_HEADERS.items() if header in headers}
    authorization = get("authorization")
    if authorization is not None:
        basic = _decode_basic(authorization)
        if basic is not None and basic[0] == app_id:
            application_id = app_id
            if basic[1].startswith("javascript-key="):
                client_keys["javascriptKey"] = basic[1].removeprefix("javascript-key=")
            else:
                master_key, is_key_in_header = basic[1], False
    return Caller(
        credentials=Credentials(
            application_id=application_id,
            master_key=master_key,
            maintenance_key=get("x-parse-maintenance-key"),
            client_keys=client_keys,
            session_token=get("x-parse-session-token"),
            ip=ip,
        ),
        installation_id=get("x-parse-installation-id"),
        cloud_context=_decode_context(get("x-parse-cloud-context")),
        is_key_in_header=is_key_in_header,
    )


def _decode_basic(authorization: str) -> tuple[str, str] | None:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        parts = b64decode(encoded.strip()).decode().split(":")
    except (binascii.Error, ValueError):
        return None
    return (parts[0], parts[1]) if len(parts) == 2 else None


def _caller_of_body(body: JsonObject, caller: Caller, app_id: str) -> Caller:
    body.pop("_ClientVersion", None)
    body.pop("_RevocableSession", None)
    shown = caller.credentials
    master_key = _take_text(body, "_MasterKey")
    return Caller(
        credentials=Credentials(
            application_id=app_id,
            master_key=master_key or shown.master_key,
            maintenance_key=shown.maintenance_key,
            client_keys={**shown.client_keys, "javascriptKey": _take_text(body, "_JavaScriptKey") or ""},
            session_token=_take_text(body, "_SessionToken") or shown.session_token,
            ip=shown.ip,
        ),
        installation_id=_take_text(body, "_InstallationId") or caller.installation_id,
        cloud_context=_decode_context(body.pop("_context", None)) or caller.cloud_context,
        is_key_in_header=master_key is None,
        content_type=_take_text(body, "_ContentType"),
    )


def _take_text(body: JsonObject, key: str) -> str | None:
    value = body.pop(key, None)
    if value is None or isinstance(value, str):
        return value
    raise Unauthorized  # an object here was meant to become a database operator


def _decode_context(value: Json) -> JsonObject:
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            value = None
    if not isinstance(value, dict):
        raise ParseError(ErrorCode.INVALID_JSON, "Invalid object for context.")
    return value


# --- Where the caller is ---------------------------------------------------------------------------------


def decode_headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Read headers; ASGI has lowered their names. Of a repeated one the last counts."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in pairs}


def client_address(peer: str, headers: Mapping[str, str], proxies: Networks) -> str:
    """The address of the client: the peer, or what trusted proxies say about it, from the nearest on."""
    if peer not in proxies:
        return peer
    address = peer
    for hop in reversed(headers.get("x-forwarded-for", "").split(",")):
        if parse_address(hop.strip()) is None:
            break
        address = hop.strip()
        if address not in proxies:
            break
    return address


def request_scheme(scope: Scope, peer: str, headers: Mapping[str, str], proxies: Networks) -> str:
    """`http` or `https`, as the client sees it."""
    if peer in proxies:
        forwarded = headers.get("x-forwarded-proto", "").split(",")[0].strip().lower()
        if forwarded in ("http", "https"):
            return forwarded
    return str(scope.get("scheme", "http"))
