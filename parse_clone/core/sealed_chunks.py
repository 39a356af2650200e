"""Encryption of files at rest: AES-256-GCM in chunks, so that streams and ranges can be read and every byte
is authenticated before it is used.

A sealed file is a header and chunks. The header names the key and holds a salt; key and salt make the file's
own key. A chunk is 64 KiB of content (the last one less, maybe nothing) and its tag; its nonce is its number
and whether it is the last, and it is bound to the file's name: chunks cannot be moved, dropped or exchanged.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAGIC = b"\0PCF1"
HEADER = 64
SALT = 16
LONGEST_KEY_ID = HEADER - len(MAGIC) - 1 - SALT
CHUNK = 64 * 1024
TAG = 16
SEALED_CHUNK = CHUNK + TAG


class NotAuthentic(Exception):
    """Bytes are not what was sealed: altered, cut, moved, or sealed with another key."""


def key_of_text(text: str) -> bytes:
    """Make a key from a secret of the settings."""
    return hmac.digest(b"parse_clone files", text.encode(), hashlib.sha256)


class Seal:
    """Seals and opens the chunks of one file. `header` is the whole header."""

    def __init__(self, key: bytes, header: bytes, name: str) -> None:
        self._key = key
        self._header = header
        self._bound_to = header + name.encode()

    @cached_property
    def _cipher(self) -> AESGCM:
        salt = self._header[-SALT:]
        return AESGCM(HKDF(SHA256(), 32, salt, b"file").derive(self._key))

    def seal(self, number: int, content: bytes, *, is_last: bool) -> bytes:
        """Encrypt a chunk."""
        return self._cipher.encrypt(_nonce(number, is_last), content, self._bound_to)

    def open(self, number: int, sealed: bytes, *, is_last: bool) -> bytes:
        """Decrypt a chunk."""
        try:
            return self._cipher.decrypt(_nonce(number, is_last), sealed, self._bound_to)
        except InvalidTag:
            raise NotAuthentic from None


def _nonce(number: int, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([is_last])


def write_header(key_id: str, salt: bytes) -> bytes:
    """Write the header of a file."""
    name = key_id.encode()
    return MAGIC + bytes([len(name)]) + name.ljust(LONGEST_KEY_ID, b"\0") + salt


def read_key_id(header: bytes) -> str | None:
    """The id of the key that a header names; None if it is no header."""
    if len(header) != HEADER or not header.startswith(MAGIC):
        return None
    size = header[len(MAGIC)]
    start = len(MAGIC) + 1
    return header[start : start + size].decode(errors="replace")


def content_size(stored: int) -> int:
    """How much content a sealed file of a size has."""
    sealed = stored - HEADER
    return sealed - TAG * chunk_count(stored)


def chunk_count(stored: int) -> int:
    """How many chunks a sealed file of a size has."""
    return -((HEADER - stored) // SEALED_CHUNK)


def chunk_range(stored: int, first: int, last: int) -> tuple[int, int]:
    """Where the chunks from `first` to `last` lie in a sealed file."""
    return HEADER + first * SEALED_CHUNK, min(stored, HEADER + (last + 1) * SEALED_CHUNK)
