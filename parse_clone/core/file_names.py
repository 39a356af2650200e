"""Which files may be uploaded under which names, and what a stored file is called.

A name is met against a narrow pattern before anything else happens with it: no slashes, no leading dots, no
control characters. A stored name is a directory (or none) and a name, `labs/2026/<32 hex>_ecg.pdf`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

from parse_clone.core.file_types import EXTENSION_BY_TYPE, OPAQUE, type_of_name
from parse_clone.core.json_types import Json
from parse_clone.errors import ErrorCode, ParseError

MAX_NAME = 128
MAX_DIRECTORY = 256
LONGEST_STORED_NAME = 512

_is_name = re.compile(r"[A-Za-z0-9_][A-Za-z0-9@. ~_-]*").fullmatch
_is_segment = re.compile(r"[A-Za-z0-9_][A-Za-z0-9@. ~_-]*").fullmatch
_is_directory = re.compile(r"[A-Za-z0-9_@. ~/-]*").fullmatch
_is_content_type = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/([A-Za-z0-9!#$&^_.+-]+)(?:\s*;.*)?").fullmatch
_has_digits = re.compile(r"(?:[^\n]*/)?[0-9a-f]{32}_[^/\n]*").fullmatch
_is_dashed_uuid = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-", re.IGNORECASE).match


# --- What a client asks for ------------------------------------------------------------------------------


def check_name(name: str) -> None:
    """Refuse a name that is too long or has characters outside of the narrow set (122)."""
    if len(name) > MAX_NAME:
        raise _invalid_name("Filename too long.")
    if not _is_name(name):
        raise _invalid_name("Filename contains invalid characters.")


def check_directory(directory: Json) -> str:
    """Refuse a directory that is none (122); answer it."""
    if not isinstance(directory, str):
        raise _invalid_name("Directory must be a string.")
    for is_wrong, reason in (
        (not directory, "must not be empty."),
        (len(directory) > MAX_DIRECTORY, "path is too long."),
        (".." in directory, 'must not contain "..".'),
        (directory.startswith("/") or directory.endswith("/"), 'must not start or end with "/".'),
        ("//" in directory, "must not contain consecutive slashes."),
        (directory.split("/")[0] == "metadata", 'must not start with reserved segment "metadata".'),
        (not _is_directory(directory), "contains invalid characters."),
        (not all(map(_is_segment, directory.split("/"))), "contains invalid characters."),
    ):
        if is_wrong:
            raise _invalid_name(f"Directory {reason}")
    return directory


def check_extension(name: str, content_type: str | None, allowed: Sequence[str]) -> None:
    """Refuse a file whose extension is not allowed, or whose content type where the name tells none (130)."""
    if "*" in allowed:
        return
    extension = extension_of(name)
    if extension:
        _check_allowed(extension, extension, allowed)
    if extension and type_of_name(name) is not None:
        return
    if content_type is None:
        return
    found = _is_content_type(content_type)
    if found is None:
        raise ParseError(ErrorCode.FILE_SAVE_ERROR, "Invalid Content-Type.")
    _check_allowed(found[1], found[1], allowed)


def _check_allowed(extension: str, shown: str, allowed: Sequence[str]) -> None:
    if not any(re.search(pattern, extension) for pattern in allowed):
        raise ParseError(ErrorCode.FILE_SAVE_ERROR, f"File upload of extension {shown} is disabled.")


def extension_of(name: str) -> str:
    """What follows the last dot of a name; empty if there is none."""
    return name.rpartition(".")[2] if "." in name else ""


def _invalid_name(reason: str) -> ParseError:
    return ParseError(ErrorCode.INVALID_FILE_NAME, reason)


# --- What is stored --------------------------------------------------------------------------------------


def with_extension(name: str, content_type: str | None) -> tuple[str, str]:
    """Complete a name without extension by that of the content type, and tell the type of the file: the
    extension's, where there is one."""
    given = (content_type or "").partition(";")[0].strip().lower()
    if not extension_of(name):
        extension = EXTENSION_BY_TYPE.get(given)
        if extension is not None:
            name = f"{name.rstrip('.')}.{extension}"
        return name, given or OPAQUE
    return name, type_of_name(name) or given or OPAQUE


def is_stored_name(name: str) -> bool:
    """Could this be the name of a stored file? Nothing else reaches a file store."""
    return len(name) <= LONGEST_STORED_NAME and all(map(_is_segment, name.split("/")))


def is_random_name(name: str) -> bool:
    """Has a name the random digits that the server puts before those of uploads?"""
    return _has_digits(name) is not None


UNQUOTED = "/!~*'()"
"""Left as they are in URLs of files, besides letters, digits and `-._`: clients compare URLs as texts."""


def url_path(app_id: str, name: str) -> str:
    """Where a stored file is found below the mount."""
    return f"/files/{quote(app_id)}/{quote(name, safe=UNQUOTED)}"


def historic_url(file_key: str | None, name: str) -> str | None:
    """The URL of a file that stayed with the hosted service, with the `fileKey` of the application there."""
    if file_key is None:
        return None
    if name.startswith("tfss-"):
        return f"http://files.parsetfss.com/{quote(file_key)}/{quote(name, safe=UNQUOTED)}"
    if _is_dashed_uuid(name):
        return f"http://files.parse.com/{quote(file_key)}/{quote(name, safe=UNQUOTED)}"
    return None
