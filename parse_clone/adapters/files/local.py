"""Files in a directory: beside an embedded database, or wherever the settings say.

A file is what it is, under its stored name; its metadata, if there are any, lie under `.metadata/`. What is
being written lies under `.incoming/` until it is whole and on the disk, then it is renamed: a reader sees a
whole file or none, and what was answered survives a loss of power. Stored names never begin with a dot.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import orjson

from parse_clone.core.json_types import JsonObject
from parse_clone.ports import StoredFile

CHUNK = 256 * 1024
INCOMING = ".incoming"
METADATA = ".metadata"
THREADS = 16

Answer = TypeVar("Answer")


class LocalFiles:
    """A file store in one directory. `temporary`: it goes when the store is closed."""

    def __init__(self, root: Path, *, temporary: bool = False) -> None:
        self._root = root
        self._temporary = temporary
        self._threads = ThreadPoolExecutor(THREADS, "files")

    @classmethod
    def in_memory_of_the_process(cls) -> LocalFiles:
        """A store that lives as long as a database in memory."""
        return cls(Path(tempfile.gettempdir(), f"parse-files-{secrets.token_hex(8)}"), temporary=True)

    async def _in_thread(self, work: Callable[..., Answer], *arguments: Any) -> Answer:
        """Work on the disk in threads of our own: hooks that block others cannot hold a file up."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

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
        """Store a whole file or nothing."""
        incoming = await self._in_thread(self._open_incoming)
        size = 0
        try:
            async for block in blocks(content, CHUNK):
                await self._in_thread(incoming.write, block)
                size += len(block)
            await self._in_thread(self._keep, incoming, name, metadata, replacing)
        except BaseException:
            _forget(incoming)
            raise
        return size

    def _open_incoming(self) -> BinaryIO:
        folder = self._root / INCOMING
        _make_folder(folder)
        return open(folder / secrets.token_hex(16), "xb", opener=_open_privately)

    def _keep(
        self, incoming: BinaryIO, name: str, metadata: JsonObject, replacing: StoredFile | None
    ) -> None:
        incoming.flush()
        os.fsync(incoming.fileno())
        incoming.close()
        with contextlib.nullcontext() if replacing is None else self._alone():
            if replacing is not None and self._stat(name) != replacing:
                raise FileNotFoundError(f"{name} is gone, or another file")
            notes = self._notes(name)
            if metadata:
                self._keep_notes(notes, metadata)
            else:
                notes.unlink(missing_ok=True)
            _move(Path(incoming.name), self._path(name))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep deletes and renewals from crossing, in every process: what is deleted does not come back."""
        folder = self._root / INCOMING
        _make_folder(folder)
        with open(folder / ".lock", "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _keep_notes(self, notes: Path, metadata: JsonObject) -> None:
        with self._open_incoming() as file:
            file.write(orjson.dumps(metadata))
            file.flush()
            os.fsync(file.fileno())
        _move(Path(file.name), notes)

    async def stat(self, name: str) -> StoredFile | None:
        """Size and metadata, or None."""
        return await self._in_thread(self._stat, name)

    def _stat(self, name: str) -> StoredFile | None:
        try:
            found = self._path(name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not _is_file(found):
            return None
        metadata: JsonObject = {}
        with contextlib.suppress(FileNotFoundError):
            metadata = orjson.loads(self._notes(name).read_bytes())
        return StoredFile(found.st_size, metadata, datetime.fromtimestamp(found.st_mtime, UTC))

    async def read(self, name: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """Read a range in chunks, from the file as it is now."""
        file = await self._in_thread(self._open_at, name, start)
        try:
            while start < end:
                block = await self._in_thread(file.read, min(CHUNK, end - start))
                if not block:
                    raise OSError(f"the file ends at {start}")
                start += len(block)
                yield block
        finally:
            file.close()

    def _open_at(self, name: str, start: int) -> BinaryIO:
        file = open(self._path(name), "rb", buffering=0)  # noqa: SIM115 (closed by the reader)
        file.seek(start)
        return file

    async def delete(self, name: str) -> bool:
        """Delete a file and its metadata."""
        return await self._in_thread(self._delete, name)

    def _delete(self, name: str) -> bool:
        if self._stat(name) is None:
            return False
        with self._alone():
            try:
                self._path(name).unlink()
            except FileNotFoundError:
                return False
            self._notes(name).unlink(missing_ok=True)
            _sync_folder(self._path(name).parent)
            return True

    async def list_names(self) -> AsyncGenerator[tuple[str, datetime], None]:
        """Every stored name with the time of its last write."""
        names = self._walk()
        while batch := await self._in_thread(lambda: list(islice(names, 500))):
            for found in batch:
                yield found

    def _walk(self) -> Iterator[tuple[str, datetime]]:
        for folder, folders, files in os.walk(self._root):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for file in files:
                path = Path(folder, file)
                with contextlib.suppress(FileNotFoundError):
                    modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                    yield path.relative_to(self._root).as_posix(), modified

    async def location(self, name: str, headers: Mapping[str, str]) -> str | None:
        """Nobody but the server serves the directory."""
        return None

    async def sweep(self, before: datetime) -> int:
        """Remove what interrupted writes left."""
        return await self._in_thread(self._sweep, before.timestamp())

    def _sweep(self, before: float) -> int:
        swept = 0
        for path in (*(self._root / INCOMING).glob("[!.]*"), *self._lonely_notes()):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()
                    swept += 1
        return swept

    def _lonely_notes(self) -> Iterator[Path]:
        """Metadata that were kept for a file that never came."""
        folder = self._root / METADATA
        for path in folder.rglob("*.json"):
            if not (self._root / path.relative_to(folder)).with_suffix("").exists():
                yield path

    async def close(self) -> None:
        """Let the threads end; forget a directory that was only for this process."""
        if self._temporary:
            await self._in_thread(partial(shutil.rmtree, self._root, ignore_errors=True))
        self._threads.shutdown(wait=False)

    def _path(self, name: str) -> Path:
        path = self._root / name
        if any(part.startswith(".") or not part for part in name.split("/")) or "\0" in name:
            raise OSError("no name for a file")  # callers check names; this wall stands behind them
        return path

    def _notes(self, name: str) -> Path:
        return self._root / METADATA / f"{name}.json"


async def blocks(content: AsyncIterator[bytes], size: int) -> AsyncGenerator[bytes, None]:
    """Gather small pieces into blocks of at least `size` bytes; the last is shorter."""
    pieces: list[bytes] = []
    gathered = 0
    async for piece in content:
        pieces.append(piece)
        gathered += len(piece)
        if gathered >= size:
            yield b"".join(pieces)
            pieces, gathered = [], 0
    if pieces:
        yield b"".join(pieces)


def _open_privately(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _is_file(found: os.stat_result) -> bool:
    return (found.st_mode & 0o170000) == 0o100000


def _forget(file: BinaryIO) -> None:
    file.close()
    Path(file.name).unlink(missing_ok=True)


def _move(source: Path, target: Path) -> None:
    _make_folder(target.parent)
    source.replace(target)
    _sync_folder(target.parent)


def _make_folder(folder: Path) -> None:
    """Make a folder that is still there after a loss of power."""
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True, mode=0o700)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
