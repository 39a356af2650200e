"""Any file store, its files encrypted (`core/sealed_chunks.py`). Files from before, in other forms, are read
as they are until the rotation of keys has renewed them."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from datetime import datetime

from parse_clone.core.file_types import served_type
from parse_clone.core.json_types import JsonObject
from parse_clone.core.sealed_chunks import (
    CHUNK,
    HEADER,
    LONGEST_KEY_ID,
    SALT,
    SEALED_CHUNK,
    NotAuthentic,
    Seal,
    chunk_count,
    chunk_range,
    content_size,
    key_of_text,
    read_key_id,
    write_header,
)
from parse_clone.errors import SettingsError
from parse_clone.immutable import immutable
from parse_clone.ports import FileStore, StoredFile

ATTEMPTS = 3
"""How often a range is opened: a file may be renewed between the look at its header and the next."""


@immutable()
class Sealed:
    """A sealed file as the store below has it."""

    stored: StoredFile
    header: bytes
    key_id: str


class EncryptedFiles:
    """A file store over another one. `keys` are secrets by id, the first is for what is written. `older`
    reads the files without a header: the store below, or one that knows another encryption."""

    def __init__(self, below: FileStore, keys: Mapping[str, str], older: FileStore | None = None) -> None:
        for key_id in keys:
            if not 0 < len(key_id.encode()) <= LONGEST_KEY_ID:
                raise SettingsError(
                    f"The id of a file key has 1 to {LONGEST_KEY_ID} bytes, unlike {key_id!r}"
                )
        self._below = below
        self._older = older or below
        self._keys = {key_id: key_of_text(secret) for key_id, secret in keys.items()}
        self._current = next(iter(self._keys))

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
        """Seal a file with the current key."""
        header = write_header(self._current, secrets.token_bytes(SALT))
        seal = Seal(self._keys[self._current], header, name)
        stored = await self._below.write(
            name, sealed(content, header, seal), content_type, metadata, tags, replacing=replacing
        )
        return content_size(stored)

    async def stat(self, name: str) -> StoredFile | None:
        """Size of the content and metadata."""
        found = await self._look(name)
        if found is None:
            return await self._older.stat(name)
        stored = found.stored
        return StoredFile(content_size(stored.size), stored.metadata, stored.modified)

    async def _look(self, name: str) -> Sealed | None:
        """A file's header, if it has one."""
        stored = await self._below.stat(name)
        if stored is None or stored.size < HEADER:
            return None
        header = b"".join([piece async for piece in self._below.read(name, 0, HEADER)])
        key_id = read_key_id(header)
        return None if key_id is None else Sealed(stored, header, key_id)

    async def read(self, name: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """Read a range: whole chunks are authenticated, then the part that was asked for leaves."""
        if start >= end:
            return
        for attempt in range(1, ATTEMPTS + 1):
            found = await self._look(name)
            if found is None:
                older = self._older.read(name, start, end)
            else:
                older = self._open(found, name, start, end)
            async with aclosing(older) as pieces:
                try:
                    first = await anext(pieces)
                except NotAuthentic as failure:
                    if attempt < ATTEMPTS:
                        continue
                    raise OSError(f"{name} is not authentic") from failure
                yield first
                try:
                    async for piece in pieces:
                        yield piece
                except NotAuthentic as failure:
                    raise OSError(f"{name} is not authentic") from failure
                return

    async def _open(self, found: Sealed, name: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        key = self._keys.get(found.key_id)
        if key is None:
            raise OSError(f"{name} is encrypted with a key that the settings do not have: {found.key_id}")
        seal, size = Seal(key, found.header, name), found.stored.size
        last = chunk_count(size) - 1
        number, until = start // CHUNK, (end - 1) // CHUNK
        position = number * CHUNK
        sealed_pieces = self._below.read(name, *chunk_range(size, number, until))
        async with aclosing(cut(sealed_pieces, SEALED_CHUNK)) as chunks:
            async for chunk in chunks:
                content = seal.open(number, chunk, is_last=number == last)
                yield content[max(0, start - position) : end - position]
                number, position = number + 1, position + len(content)
        if position < end:
            raise NotAuthentic

    async def renew(self, name: str) -> bool:
        """Seal a file anew if it is not sealed with the current key; False if there was nothing to do. It
        can be read all the while. One that is deleted or replaced meanwhile is left alone."""
        stored = await self._below.stat(name)
        found = await self._look(name)
        content = await self.stat(name)
        if stored is None or content is None or (found is not None and found.key_id == self._current):
            return False
        try:
            await self.write(
                name,
                self.read(name, 0, content.size),
                served_type(name),
                content.metadata,
                {},
                replacing=stored,
            )
        except FileNotFoundError:
            return False
        return True

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


async def sealed(content: AsyncIterator[bytes], header: bytes, seal: Seal) -> AsyncGenerator[bytes, None]:
    """The stored form of a stream. There is always a last chunk, so that a file that was cut is noticed."""
    yield header
    number, waiting = 0, b""
    async with aclosing(cut(content, CHUNK)) as chunks:
        async for chunk in chunks:
            if number or waiting:
                yield seal.seal(number - 1, waiting, is_last=False)
            waiting, number = chunk, number + 1
    yield seal.seal(max(0, number - 1), waiting, is_last=True)


async def cut(content: AsyncIterator[bytes], size: int) -> AsyncGenerator[bytes, None]:
    """Cut a stream into chunks of a size; the last is shorter."""
    buffer = bytearray()
    async for piece in content:
        buffer += piece
        position = 0
        while len(buffer) - position >= size:
            yield bytes(memoryview(buffer)[position : position + size])
            position += size
        del buffer[:position]
    if buffer:
        yield bytes(buffer)
