"""Files: `/files/...`. A room of its own, for bodies here are bytes: what is sent raw goes from the socket to
the store in pieces, and what clients' kits send as JSON is decoded first.

A file is named by one segment when it is uploaded, and by all that follow when it is read.
"""

from __future__ import annotations

import asyncio
import binascii
from base64 import b64decode
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from urllib.parse import parse_qs

import orjson

from parse_clone.api.rest.entrance import Entrance, Visit
from parse_clone.api.rest.middleware.method_override import take_method
from parse_clone.api.rest.request import (
    BodyTooLarge,
    Caller,
    Inflater,
    Receive,
    content_encoding,
    decode_body,
    is_of_application,
    read_caller,
    read_plain_body,
    receive_piece,
)
from parse_clone.api.rest.responses import (
    Answer,
    Headers,
    HttpError,
    body_too_large,
    encode_headers,
    master_key_required,
    no_such_file,
    no_such_route,
    not_satisfiable,
    ok,
    read_only,
    refused,
    sent_file,
    stored,
    unknown_application,
)
from parse_clone.core.byte_ranges import UnsatisfiableRange
from parse_clone.core.context import RequestContext
from parse_clone.core.file_names import is_stored_name
from parse_clone.core.file_signatures import PARAMETER
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.errors import ErrorCode, ParseError, Unauthorized
from parse_clone.services.files import (
    HookRefused,
    Upload,
    bearer,
    delete_file,
    open_file,
    read_metadata,
    upload_file,
)
from parse_clone.services.users.authentication import is_same
from parse_clone.settings import Settings, read_size

CHUNK = 64 * 1024
"""Bytes that are inflated at once."""


@dataclass(frozen=True, slots=True)
class FilesRoom:
    """Answers everything below `/files`."""

    entrance: Entrance

    async def __call__(self, visit: Visit) -> Answer:
        segments = visit.segments[1:]
        match visit.method:
            case "GET" | "HEAD" if len(segments) > 1 and is_stored_name("/".join(segments[1:])):
                return await self._read(visit)
            case "POST":
                return await self._post(visit, segments[0] if segments else "", len(segments))
            case "DELETE" if segments:
                return await self._delete(visit, "/".join(segments))
            case _:
                await self._admit(visit, self._caller(visit, {}))
                return no_such_route(visit.method, visit.scope["path"])

    # --- Reading -----------------------------------------------------------------------------------------

    async def _read(self, visit: Visit) -> Answer:
        """Reading needs no keys, but those that are shown count."""
        settings = visit.toolbox.settings
        sanitized = settings.enable_sanitized_error_response
        app_id, *rest = visit.segments[1:]
        is_metadata = rest[0] == "metadata" and len(rest) > 1
        if app_id != settings.app_id:
            return ok({}) if is_metadata else unknown_application(sanitized=sanitized)
        caller = read_caller({**visit.headers, "x-parse-application-id": app_id}, {}, visit.ip, settings)
        context, limits = await self._admit(visit, with_all_keys(caller, settings))
        name = "/".join(rest[1:] if is_metadata else rest)
        proof = read_parameter(visit, PARAMETER)
        if proof is not None:
            context = await bearer(visit.toolbox, context, name, proof)
        try:
            if is_metadata:
                metadata, headers = await read_metadata(visit.toolbox, context, name)
                return ok(metadata, headers=limits + encode_headers(headers))
            return await self._send(visit, context, name, limits)
        except HookRefused as refusal:
            return refused(refusal.error, sanitized=sanitized)
        except ParseError as refusal:
            if is_metadata and refusal.code == ErrorCode.OPERATION_FORBIDDEN:
                return refused(refusal, sanitized=sanitized)
            raise

    async def _send(self, visit: Visit, context: RequestContext, name: str, limits: Headers) -> Answer:
        headers = visit.headers
        try:
            found = await open_file(
                visit.toolbox, context, name, headers.get("range"), headers.get("if-range")
            )
        except UnsatisfiableRange as wish:
            return not_satisfiable(wish.size)
        if found is None:
            return no_such_file()
        answer = sent_file(found, headers.get("if-none-match"), limits)
        if answer.stream is None:
            return answer
        return replace(answer, stream=until_gone(answer.stream, visit.receive))

    # --- Writing -----------------------------------------------------------------------------------------

    async def _post(self, visit: Visit, name: str, depth: int) -> Answer:
        """An upload; or, from a browser that avoids other methods, a delete that says so in its body."""
        settings, headers = visit.toolbox.settings, visit.headers
        if is_of_application(headers, settings.app_id):
            caller = self._caller(visit, {})
            limit = size_limit(headers, settings)
            context, limits = await self._admit(visit, caller)
            upload = raw_upload(name, visit, limit)
        else:
            body = await self._read_json(visit)
            method = take_method("POST", body)
            caller = self._caller(visit, body)
            if method == "DELETE":
                return await self._delete_as(visit, caller, name)
            context, limits = await self._admit(visit, caller)
            upload = json_upload(name, body, caller.content_type)
        if not name:
            raise ParseError(ErrorCode.INVALID_FILE_NAME, "Filename not provided.")
        if depth > 1:
            return no_such_route(visit.method, visit.scope["path"])
        if context.auth.is_read_only:
            raise read_only("create a file")
        return stored(await upload_file(visit.toolbox, context, upload), limits)

    async def _read_json(self, visit: Visit) -> JsonObject:
        try:
            limit = visit.toolbox.settings.max_upload_size
            raw = await read_plain_body(visit.receive, visit.headers, limit)
        except BodyTooLarge:
            raise body_too_large() from None
        try:
            return decode_body(raw, "")
        except HttpError:
            raise Unauthorized from None  # neither keys nor JSON that could hold them

    async def _delete(self, visit: Visit, name: str) -> Answer:
        return await self._delete_as(visit, self._caller(visit, {}), name)

    async def _delete_as(self, visit: Visit, caller: Caller, name: str) -> Answer:
        context, limits = await self._admit(visit, caller, "DELETE")
        if not context.auth.is_master:
            raise master_key_required()
        if context.auth.is_read_only:
            raise read_only("delete a file")
        await delete_file(visit.toolbox, context, name)
        return Answer(b"", headers=limits)

    # --- Gates -------------------------------------------------------------------------------------------

    def _caller(self, visit: Visit, body: JsonObject) -> Caller:
        return read_caller(visit.headers, body, visit.ip, visit.toolbox.settings)

    async def _admit(
        self, visit: Visit, caller: Caller, method: str | None = None
    ) -> tuple[RequestContext, Headers]:
        return await self.entrance.admit(visit, caller, method or visit.method, visit.path)


def read_parameter(visit: Visit, name: str) -> str | None:
    """A parameter of the URL, as text."""
    query: str = visit.scope["query_string"].decode("latin-1")
    return parse_qs(query).get(name, [None])[-1] if query else None


def with_all_keys(caller: Caller, settings: Settings) -> Caller:
    """Let a reader in as if he had shown the client keys: URLs of files are opened without any."""
    return replace(caller, credentials=replace(caller.credentials, client_keys=settings.client_keys))


# --- Bodies ----------------------------------------------------------------------------------------------


def size_limit(headers: Mapping[str, str], settings: Settings) -> int:
    """How many bytes may be sent. Whoever has the master key may say so himself."""
    wish = headers.get("x-parse-file-max-upload-size")
    if wish is None:
        return settings.max_upload_size
    if not is_same(headers.get("x-parse-master-key"), settings.master_key):
        raise HttpError(403, "Permission denied", detail="unauthorized: master key is required")
    try:
        return read_size(wish)
    except ValueError:
        text = f"Invalid maxUploadSize override value: {wish}"
        raise ParseError(ErrorCode.FILE_SAVE_ERROR, text) from None


def raw_upload(name: str, visit: Visit, limit: int) -> Upload:
    """Read an upload whose body is the file, plain or compressed."""
    headers = visit.headers
    encoding = content_encoding(headers)
    content_type = headers.get("content-type")
    if headers.get("x-parse-upload-mode") != "stream":
        check_announced(headers, limit, body_too_large())
        content = plain_pieces(visit.receive, encoding, limit, body_too_large())
        return Upload(name, content, content_type)
    too_large = ParseError(ErrorCode.FILE_SAVE_ERROR, f"File size exceeds maximum allowed: {limit} bytes.")
    check_announced(headers, limit, too_large)
    return Upload(
        name,
        plain_pieces(visit.receive, encoding, limit, too_large),
        content_type,
        metadata=object_of_header(headers, "X-Parse-File-Metadata"),
        tags=object_of_header(headers, "X-Parse-File-Tags"),
        directory=headers.get("x-parse-file-directory"),
        is_stream=True,
    )


def check_announced(headers: Mapping[str, str], limit: int, too_large: Exception) -> None:
    """Refuse at once what says itself that it is too large."""
    if int(headers.get("content-length") or 0) > limit:
        raise too_large


def object_of_header(headers: Mapping[str, str], name: str) -> JsonObject:
    """Read a JSON object from a header."""
    text = headers.get(name.lower())
    if not text:
        return {}
    try:
        value: Json = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise ParseError(ErrorCode.INVALID_JSON, f"Invalid JSON in {name} header.")
    return value


async def pieces(receive: Receive, limit: int, too_large: Exception) -> AsyncGenerator[bytes, None]:
    """The body piece by piece. Bytes are counted: what a client says about the length is not believed."""
    size, more = 0, True
    while more:
        message = await receive_piece(receive)
        piece: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(piece)
        if size > limit:
            raise too_large
        if piece:
            yield piece


def plain_pieces(
    receive: Receive, encoding: str | None, limit: int, too_large: Exception
) -> AsyncGenerator[bytes, None]:
    """The file piece by piece, whether its body is compressed or not; 415 at once for unknown ways."""
    sent = pieces(receive, limit, too_large)
    return sent if encoding is None else inflated(sent, Inflater(encoding), limit, too_large)


async def inflated(
    sent: AsyncGenerator[bytes, None], inflater: Inflater, limit: int, too_large: Exception
) -> AsyncGenerator[bytes, None]:
    """What is compressed in the pieces. The bytes that come out are counted as well: few may become many."""
    size = 0
    async with aclosing(sent) as compressed:
        async for piece in compressed:
            waiting, is_full = piece, True
            while is_full:
                plain = inflater.inflate(waiting, CHUNK)
                waiting, is_full = inflater.rest, len(plain) == CHUNK
                size += len(plain)
                if size > limit:
                    raise too_large
                if plain:
                    yield plain
    inflater.finish()


def json_upload(name: str, body: JsonObject, content_type: str | None) -> Upload:
    """Read an upload as clients' kits send it: base64 in JSON, the file's type and notes beside it."""
    encoded, data = body.get("base64"), body.get("fileData")
    if encoded is not None and not isinstance(encoded, str):
        raise Unauthorized
    notes = data if isinstance(data, dict) else {}
    metadata, tags = notes.get("metadata"), notes.get("tags")
    return Upload(
        name,
        decoded(encoded or ""),
        content_type,
        metadata=metadata if isinstance(metadata, dict) else {},
        tags=tags if isinstance(tags, dict) else {},
        directory=notes.get("directory"),
    )


async def decoded(encoded: str) -> AsyncGenerator[bytes, None]:
    """The bytes of a base64 text; padding is forgiven."""
    try:
        yield b64decode(encoded + "=" * (-len(encoded) % 4))
    except binascii.Error:
        raise ParseError(ErrorCode.FILE_SAVE_ERROR, "Invalid file upload.") from None


async def until_gone(content: AsyncGenerator[bytes, None], receive: Receive) -> AsyncGenerator[bytes, None]:
    """Send while there is somebody to read."""
    leaving = asyncio.ensure_future(_wait_for_end(receive))
    try:
        async with aclosing(content) as chunks:
            async for chunk in chunks:
                if leaving.done():
                    return
                yield chunk
    finally:
        leaving.cancel()


async def _wait_for_end(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
