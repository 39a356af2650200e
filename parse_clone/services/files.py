"""Files: who may upload, download and delete, and what hooks make of it. The bytes pass through as streams.

Objects hold names; where the bytes lie is the business of the store. Deleting an object never deletes its
files, `file_cleaning.py` does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from urllib.parse import quote

import structlog

from parse_clone.core.byte_ranges import ByteRange, read_range
from parse_clone.core.context import MASTER, NOBODY, Auth, RequestContext
from parse_clone.core.file_names import (
    check_directory,
    check_extension,
    check_name,
    is_stored_name,
    with_extension,
)
from parse_clone.core.file_signatures import MASTER_PRINCIPAL, read_grant
from parse_clone.core.file_types import is_active, served_type
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.query import Page, object_id_is
from parse_clone.core.values import check_depth
from parse_clone.errors import ErrorCode, ParseError, permission_denied
from parse_clone.ports import FileStore, StoredFile
from parse_clone.services.classes import find_objects
from parse_clone.services.objects.auditing import audit
from parse_clone.services.objects.file_links import REFUSED, Access, find_access
from parse_clone.services.objects.present import file_url, signing_key
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import FILE, AuditEvent, FileEvent, TriggerKind, run_trigger
from parse_clone.services.users.authentication import without_secrets
from parse_clone.services.users.roles import load_role_names
from parse_clone.settings import FileDownload, FileUpload

log = structlog.get_logger("parse_clone")


# --- Upload ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Upload:
    """What a client wants to store. `content` counts its bytes and raises when they are too many."""

    name: str
    content: AsyncGenerator[bytes, None]
    content_type: str | None = None
    metadata: JsonObject = field(default_factory=dict)
    tags: JsonObject = field(default_factory=dict)
    directory: Json = None
    is_stream: bool = False


async def upload_file(toolbox: Toolbox, context: RequestContext, upload: Upload) -> JsonObject:
    """Store a file; answers its name and URL."""
    check_upload(toolbox, context, upload)
    first = await anext(upload.content, b"")
    if not first:
        raise ParseError(ErrorCode.FILE_SAVE_ERROR, "Invalid file upload.")
    upload = replace(upload, content=_after(first, upload.content))
    for notes in (upload.metadata, upload.tags):
        check_depth(notes)
        toolbox.keywords.check(notes)
    event = await run_before_save(toolbox, context, upload)
    if event.file.get("url"):  # the hook has a stored file already
        stored = {"url": event.file["url"], "name": event.file.get("name")}
        event.size = None
    else:
        stored = await store(toolbox, context, upload, event)
    await run_after_save(toolbox, context, event, stored)
    return stored


async def _after(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        yield first
        async for piece in rest:
            yield piece


def check_upload(toolbox: Toolbox, context: RequestContext, upload: Upload) -> None:
    """Refuse whom, and what, the settings do not let in."""
    options, auth = toolbox.settings.file_upload, context.auth
    if not auth.is_master:
        check_caller(auth, options, ErrorCode.FILE_SAVE_ERROR, "upload")
    check_name(upload.name)
    if not auth.is_master:
        check_extension(upload.name, upload.content_type, options.file_extensions)
    if upload.directory is not None:
        if not auth.is_master:
            raise ParseError(ErrorCode.OPERATION_FORBIDDEN, "Directory can only be set using the Master Key.")
        check_directory(upload.directory)


def check_caller(auth: Auth, options: FileUpload | FileDownload, code: int, what: str) -> None:
    """Refuse the kind of caller that the options do not let in."""
    if auth.user is None:
        kind, is_enabled = "public", options.enable_for_public
    elif is_anonymous(auth.user):
        kind, is_enabled = "anonymous user", options.enable_for_anonymous_user
    else:
        kind, is_enabled = "authenticated user", options.enable_for_authenticated_user
    if not is_enabled:
        raise ParseError(code, f"File {what} by {kind} is disabled.")


def is_anonymous(user: JsonObject) -> bool:
    """Has the user logged in without any name?"""
    auth_data = user.get("authData")
    return isinstance(auth_data, dict) and "anonymous" in auth_data


async def store(toolbox: Toolbox, context: RequestContext, upload: Upload, event: FileEvent) -> JsonObject:
    """Write the file as the hook left it."""
    wanted = event.file
    given_type = wanted.get("contentType")
    name, content_type = with_extension(
        str(wanted.get("name")), given_type if isinstance(given_type, str) else upload.content_type
    )
    name = stored_name(toolbox, name, wanted.get("directory"))
    await check_replacement(toolbox, context, name)
    metadata, tags = wanted.get("metadata"), wanted.get("tags")
    content = upload.content if event.content is None else _in_one_piece(event.content)
    files = store_of(toolbox)
    try:
        event.size = await files.write(
            name,
            content,
            content_type,
            metadata if isinstance(metadata, dict) else {},
            {str(key): str(value) for key, value in tags.items()} if isinstance(tags, dict) else {},
        )
    except OSError as failure:
        log.error("a file could not be stored", name=name, exc_info=failure)
        raise ParseError(ErrorCode.FILE_SAVE_ERROR, f"Could not store file: {name}.") from failure
    return {"url": file_url(toolbox, context, name), "name": name}


async def check_replacement(toolbox: Toolbox, context: RequestContext, name: str) -> None:
    """Where names are kept as they are, a private file is replaced by nobody but the master key."""
    if toolbox.settings.preserve_file_name and not context.auth.is_master:
        access = await find_access(find_objects, toolbox, context, name)
        if access.is_private:
            raise permission_denied(f"The file {name} belongs to an object.", ErrorCode.FILE_SAVE_ERROR)


def stored_name(toolbox: Toolbox, name: str, directory: Json) -> str:
    """Choose what the file is called from now on: what nobody can guess, unless names are to be kept."""
    if not toolbox.settings.preserve_file_name:
        name = f"{toolbox.ids.session_token().removeprefix('r:')}_{name}"
    if directory:
        name = f"{check_directory(directory)}/{name}"
    if not is_stored_name(name):
        raise ParseError(ErrorCode.INVALID_FILE_NAME, "Filename contains invalid characters.")
    return name


async def _in_one_piece(content: bytes) -> AsyncGenerator[bytes, None]:
    yield content


def store_of(toolbox: Toolbox) -> FileStore:
    """The file store; a server without one has no files."""
    if toolbox.files is None:
        raise ParseError(ErrorCode.FILE_SAVE_ERROR, "There is no file store.")
    return toolbox.files


# --- Hooks of uploads and deletes ------------------------------------------------------------------------


async def run_before_save(toolbox: Toolbox, context: RequestContext, upload: Upload) -> FileEvent:
    """Let cloud code change the file or refuse it. It sees the bytes, unless they are sent as a stream."""
    file: JsonObject = {"name": upload.name, "metadata": upload.metadata, "tags": upload.tags}
    if upload.content_type is not None:
        file["contentType"] = upload.content_type
    if upload.directory is not None:
        file["directory"] = upload.directory
    event = FileEvent(TriggerKind.BEFORE_SAVE, FILE, context, file=file, is_stream=upload.is_stream)
    if not toolbox.triggers.has(FILE, TriggerKind.BEFORE_SAVE):
        return event
    if not upload.is_stream:
        event.content = b"".join([piece async for piece in upload.content])
        event.size = len(event.content)
    await run_trigger(toolbox, event)
    return event


async def run_after_save(
    toolbox: Toolbox, context: RequestContext, before: FileEvent, stored: JsonObject
) -> None:
    """Tell cloud code what was stored. Its failure reaches the client, although the file stays."""
    after = FileEvent(
        TriggerKind.AFTER_SAVE,
        FILE,
        context,
        file={**before.file, **stored},
        content=before.content,
        size=before.size,
        is_stream=before.is_stream,
    )
    await run_trigger(toolbox, after)


async def delete_file(toolbox: Toolbox, context: RequestContext, name: str) -> None:
    """Delete a file; the door has let only the master key in."""
    files = store_of(toolbox)
    try:
        file = await placed_file(toolbox, context, name)
        before = FileEvent(TriggerKind.BEFORE_DELETE, FILE, context, file=file)
        await run_trigger(toolbox, before)
        if not (is_stored_name(name) and await files.delete(name)):
            raise ParseError(ErrorCode.FILE_DELETE_ERROR, "FileNotFound")
    except OSError as failure:
        log.error("a file could not be deleted", name=name, exc_info=failure)
        raise ParseError(ErrorCode.FILE_DELETE_ERROR, "Could not delete file.") from failure
    after = FileEvent(TriggerKind.AFTER_DELETE, FILE, context, file=file)
    await run_trigger(toolbox, after)


# --- Download --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Download:
    """A file on its way to a client. `part` is the range that was asked for, if one was."""

    name: str
    size: int
    content: AsyncGenerator[bytes, None]
    content_type: str
    part: ByteRange | None = None
    etag: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    location: str | None = None  # where the store itself serves it


class HookRefused(Exception):
    """Cloud code does not let a file be read."""

    def __init__(self, error: ParseError) -> None:
        super().__init__(error.message)
        self.error = error


async def open_file(
    toolbox: Toolbox, context: RequestContext, name: str, wanted_range: str | None, if_range: str | None
) -> Download | None:
    """Open a file for reading; None if there is none, or none for this caller. With `if_range`, the tag of
    the state that the client has a part of, a file in another state is sent whole."""
    check_download(toolbox, context)
    name = await run_before_find(toolbox, context, name)
    found = await stat(toolbox, name)
    access = REFUSED if found is None else await find_access(find_objects, toolbox, context, name)
    if found is None or not access.is_granted:
        return None
    part = read_range(wanted_range, found.size) if if_range in (None, entity_tag(found)) else None
    await audit_download(toolbox, context, name, access)
    headers = protective_headers(name) | (PRIVATE if access.is_private else {})
    if toolbox.triggers.has(FILE, TriggerKind.AFTER_FIND):
        download = await run_after_find(toolbox, context, name, found, part, headers)
        return await begun(download)
    location = await store_of(toolbox).location(name, {"Content-Type": served_type(name), **headers})
    download = plain_download(toolbox, name, found, part, headers)
    return replace(download, location=location) if location else await begun(download)


async def begun(download: Download) -> Download | None:
    """Read the first bytes: a file that cannot be read is answered like one that is not there."""
    try:
        first = await anext(download.content, b"")
    except OSError as failure:
        log.error("a file could not be read", name=download.name, exc_info=failure)
        return None
    return replace(download, content=_after(first, download.content))


PRIVATE = {"Cache-Control": "private, no-cache", "Referrer-Policy": "no-referrer"}
"""A private file is asked for again each time, and its URL is told to nobody."""

LASTING = frozenset({"x-content-type-options", *map(str.lower, PRIVATE)})
"""Headers that no hook takes away."""


def check_download(toolbox: Toolbox, context: RequestContext) -> None:
    """Refuse the kind of caller that may not read files at all."""
    if not context.auth.is_master:
        options = toolbox.settings.file_download
        check_caller(context.auth, options, ErrorCode.OPERATION_FORBIDDEN, "download")


def plain_download(
    toolbox: Toolbox, name: str, found: StoredFile, part: ByteRange | None, headers: Mapping[str, str]
) -> Download:
    """Send a file as it is stored."""
    start, end = (0, found.size) if part is None else (part.start, part.end)
    return Download(
        name=name,
        size=found.size,
        content=store_of(toolbox).read(name, start, end),
        content_type=served_type(name),
        part=part,
        etag=entity_tag(found),
        headers=headers,
    )


async def audit_download(toolbox: Toolbox, context: RequestContext, name: str, access: Access) -> None:
    """Tell the auditor of the object whose file is about to be read."""
    holder = access.holder
    if holder is not None:
        where: JsonObject = {holder.field: {"__type": "File", "name": name}}
        ids = (holder.object_id,)
        await audit(toolbox, AuditEvent("download", holder.class_name, ids, context, where=where))


async def bearer(toolbox: Toolbox, context: RequestContext, name: str, proof: str) -> RequestContext:
    """Who reads by a signed URL: the principal it was made for. One who says that he is somebody else, and a
    URL that is altered or too old, get nothing out of it."""
    key, now = signing_key(toolbox.settings), toolbox.clock.now().timestamp()
    grant = read_grant(proof, name, key, now)
    auth = context.auth
    if grant is None or auth.is_privileged or (auth.user is not None and auth.user_id != grant.principal):
        return context
    if grant.principal == MASTER_PRINCIPAL:
        return replace(context, auth=MASTER)
    return (
        context if grant.principal == "*" else replace(context, auth=await auth_of(toolbox, grant.principal))
    )


async def auth_of(toolbox: Toolbox, user_id: str) -> Auth:
    """The rights that a user has now; one who is gone has nobody's."""
    schema = await toolbox.catalog.get("_User")
    found = [] if schema is None else await toolbox.storage.find(schema, object_id_is(user_id), Page(limit=1))
    if not found:
        return NOBODY
    return Auth(user=without_secrets(found[0]), roles=await load_role_names(toolbox, user_id))


async def stat(toolbox: Toolbox, name: str) -> StoredFile | None:
    """What the store tells about a file; a name that no file can have never reaches it."""
    if not is_stored_name(name):
        return None
    try:
        return await store_of(toolbox).stat(name)
    except OSError as failure:
        log.error("a file could not be read", name=name, exc_info=failure)
        return None


def entity_tag(found: StoredFile) -> str:
    """Name the state of a file."""
    return f'"{found.size:x}-{int(found.modified.timestamp() * 1000):x}"'


def protective_headers(name: str) -> dict[str, str]:
    """What keeps a browser from running a file with the rights of the site."""
    return {"X-Content-Type-Options": "nosniff", **active_headers(name)}


def active_headers(name: str) -> dict[str, str]:
    """What is said besides of what a browser would run."""
    if not is_active(served_type(name)):
        return {}
    return {
        "Content-Disposition": disposition(name),
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }


def disposition(name: str) -> str:
    """Tell the client to keep the file instead of showing it."""
    last = name.rpartition("/")[2]
    return f"attachment;filename={quote(last, safe='@~')}"


async def run_before_find(toolbox: Toolbox, context: RequestContext, name: str) -> str:
    """Let cloud code refuse a download, or have another file read."""
    event = FileEvent(TriggerKind.BEFORE_FIND, FILE, context, file=file_of(toolbox, context, name))
    await run_find_hook(toolbox, event)
    return str(event.file.get("name"))


async def run_find_hook(toolbox: Toolbox, event: FileEvent) -> None:
    try:
        await run_trigger(toolbox, event)
    except ParseError as error:
        raise HookRefused(error) from error


def file_of(toolbox: Toolbox, context: RequestContext, name: str) -> JsonObject:
    """A stored file as hooks see it."""
    return {"name": name, "url": file_url(toolbox, context, name)}


async def placed_file(toolbox: Toolbox, context: RequestContext, name: str) -> JsonObject:
    """A file that is to be deleted, as hooks see it: at the store's own URL, where it has one."""
    file = file_of(toolbox, context, name)
    if is_stored_name(name) and toolbox.triggers.has(
        FILE, TriggerKind.BEFORE_DELETE, TriggerKind.AFTER_DELETE
    ):
        headers = {"Content-Type": served_type(name), **protective_headers(name)}
        file["url"] = await store_of(toolbox).location(name, headers) or file["url"]
    return file


async def run_after_find(
    toolbox: Toolbox,
    context: RequestContext,
    name: str,
    found: StoredFile,
    part: ByteRange | None,
    headers: Mapping[str, str],
) -> Download:
    """Let cloud code see what is sent: other bytes (of a whole file), other headers, or to be kept. A file
    larger than a request may be is not brought into memory."""
    files = store_of(toolbox)
    content: bytes | None = None
    if part is None and found.size <= toolbox.settings.max_upload_size:
        content = b"".join([piece async for piece in files.read(name, 0, found.size)])
    event = FileEvent(
        TriggerKind.AFTER_FIND,
        FILE,
        context,
        file=file_of(toolbox, context, name),
        content=content,
        response_headers={**headers},
    )
    await run_find_hook(toolbox, event)
    shown = str(event.file.get("name"))
    chosen = {key: value for key, value in event.response_headers.items() if key.lower() not in LASTING}
    kept = {key: value for key, value in headers.items() if key.lower() in LASTING}
    headers = {**({} if shown == name else active_headers(shown)), **chosen, **kept}
    if event.force_download:
        headers["Content-Disposition"] = disposition(shown)
    start, end = (0, found.size) if part is None else (part.start, part.end)
    is_whole = part is None and event.content is not None
    return Download(
        name=shown,
        size=len(event.content or b"") if is_whole else found.size,
        content=_in_one_piece(event.content or b"") if is_whole else files.read(name, start, end),
        content_type=served_type(shown),
        part=part,
        headers=headers,
    )


async def read_metadata(
    toolbox: Toolbox, context: RequestContext, name: str
) -> tuple[JsonObject, Mapping[str, str]]:
    """Answer the metadata of a file, of none nothing; and the headers that go with it."""
    check_download(toolbox, context)
    name = await run_before_find(toolbox, context, name)
    found = await stat(toolbox, name)
    access = REFUSED if found is None else await find_access(find_objects, toolbox, context, name)
    if found is None or not access.is_granted:
        return {}, {}
    event = FileEvent(
        TriggerKind.AFTER_FIND,
        FILE,
        context,
        file={**file_of(toolbox, context, name), "metadata": found.metadata},
    )
    await run_find_hook(toolbox, event)
    return {"metadata": found.metadata}, PRIVATE if access.is_private else {}
