"""Any file store, its files encrypted as parse-server encrypts those in MongoDB: the whole file is one
message of AES-256-GCM, then its nonce (16 bytes) and tag (16 bytes). Nothing marks a file as encrypted.

Reading goes through a file twice: first to authenticate it, then to decrypt what is sent. Memory stays small.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from datetime import datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import GCM

from parse_clone.core.json_types import JsonObject
from parse_clone.ports import FileStore, StoredFile

NONCE = 16
TAG = 16


class ParseServerEncryption:
    """A file store over another one. `secret` is parse-server's option `encryptionKey`."""

    def __init__(self, below: FileStore, secret: str) -> None:
        self._below = below
        self._key = base64.b64encode(hashlib.sha256(secret.encode()).digest())[:32]

    async def write(
        self,
        name: str,
        content: AsyncIterator[bytes],
        content_type: str,
        metadata: JsonObject,
        tags: Mapping[str, str],
        *,
        replacing: StoredFile | None = None,
    ) -> int:
        """Encrypt a file."""
        stored = await self._below.write(
            name, self._encrypted(content), content_type, metadata, tags, replacing=replacing
        )
        return stored - NONCE - TAG

    async def _encrypted(self, content: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        nonce = secrets.token_bytes(NONCE)
        encryptor = Cipher(AES256(self._key), GCM(nonce)).encryptor()
        async for piece in content:
            yield encryptor.update(piece)
        yield encryptor.finalize() + nonce + encryptor.tag

    async def stat(self, name: str) -> StoredFile | None:
        """Size of the content and metadata."""
        found = await self._below.stat(name)
        if found is None or found.size < NONCE + TAG:
            return None
        return StoredFile(found.size - NONCE - TAG, found.metadata, found.modified)

    async def read(self, name: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """Read a range of a file that is authentic."""
        found = await self.stat(name)
        if found is None:
            raise FileNotFoundError(f"no encrypted file {name}")
        stored = self._below.read(name, found.size, found.size + NONCE + TAG)
        trailer = b"".join([piece async for piece in stored])
        nonce, tag = trailer[:NONCE], trailer[NONCE:]
        await self._authenticate(name, found.size, nonce, tag)
        position = 0
        decryptor = Cipher(AES256(self._key), GCM(nonce, tag)).decryptor()
        async with aclosing(self._below.read(name, 0, end)) as pieces:
            async for piece in pieces:
                content = decryptor.update(piece)
                if position + len(content) > start:
                    yield content[max(0, start - position) :]
                position += len(content)

    async def _authenticate(self, name: str, size: int, nonce: bytes, tag: bytes) -> None:
        decryptor = Cipher(AES256(self._key), GCM(nonce, tag)).decryptor()
        async with aclosing(self._below.read(name, 0, size)) as pieces:
            async for piece in pieces:
                decryptor.update(piece)
        try:
            decryptor.finalize()
        except InvalidTag as failure:
            raise OSError(f"{name} is not authentic") from failure

    async def delete(self, name: str) -> bool:
        """Delete a file."""
        return await self._below.delete(name)

    def list_names(self) -> AsyncIterator[tuple[str, datetime]]:
        """Every stored name with the time of its last write."""
        return self._below.list_names()

    async def location(self, name: str, headers: Mapping[str, str]) -> str | None:
        """Nobody but the server can read the files."""
        return None

    async def sweep(self, before: datetime) -> int:
        """Remove what interrupted writes left."""
        return await self._below.sweep(before)

    async def close(self) -> None:
        """Close the store below."""
        await self._below.close()
