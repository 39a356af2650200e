"""Files in MongoDB, as parse-server keeps them: GridFS, bucket `fs`, the stored name as file name, the newest
revision counts. A file that either server wrote, the other reads.

Replaced revisions stay until they are swept, so that whoever reads one reads it to its end.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from bson.errors import BSONError
from pymongo import DESCENDING, AsyncMongoClient
from pymongo.errors import PyMongoError

from parse_clone.core.json_types import JsonObject
from parse_clone.ports import StoredFile

Row = dict[str, Any]


CHUNK = 255 * 1024


class GridFsFiles:
    """A file store in the database that the URI names."""

    def __init__(self, uri: str, **options: Any) -> None:
        self._client: AsyncMongoClient[Row] = AsyncMongoClient(uri, tz_aware=True, **options)
        database = self._client.get_default_database("test")
        self._files = database["fs.files"]
        self._chunks = database["fs.chunks"]
        self._has_indexes = False

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
        """Store a new revision. Its row is written last: until then there is nothing to read.

        The driver's own uploads gather 16 megabytes before they send any; here it is one chunk.
        """
        file_id, size = ObjectId(), 0
        try:
            with driver_failures():
                await self._make_indexes()
            async for number, data in numbered_chunks(content):
                size += len(data)
                with driver_failures():
                    await self._chunks.insert_one({"files_id": file_id, "n": number, "data": data})
            with driver_failures():
                replaced = None if replacing is None else await self._newest(name)
                if replacing is not None and (
                    replaced is None or replaced["uploadDate"] != replacing.modified
                ):
                    raise FileNotFoundError(f"{name} is gone, or another file")
                await self._files.insert_one(
                    {
                        "_id": file_id,
                        "length": size,
                        "chunkSize": CHUNK,
                        "uploadDate": datetime.now(UTC),
                        "filename": name,
                        "metadata": metadata,
                    }
                )
                if replaced is not None and not await self._files.find_one({"_id": replaced["_id"]}):
                    await self._remove(file_id)  # it was deleted meanwhile
                    raise FileNotFoundError(f"{name} is gone")
        except BaseException:
            with suppress(PyMongoError):
                await self._chunks.delete_many({"files_id": file_id})
            raise
        return size

    async def _make_indexes(self) -> None:
        if not self._has_indexes:
            await self._files.create_index([("filename", 1), ("uploadDate", 1)])
            await self._chunks.create_index([("files_id", 1), ("n", 1)], unique=True)
            self._has_indexes = True

    async def stat(self, name: str) -> StoredFile | None:
        """Size and metadata of the newest revision."""
        row = await self._newest(name)
        if row is None:
            return None
        metadata = row.get("metadata")
        return StoredFile(
            row["length"], dict(metadata) if isinstance(metadata, Mapping) else {}, row["uploadDate"]
        )

    async def _newest(self, name: str) -> Row | None:
        with driver_failures():
            return await self._files.find_one({"filename": name}, sort=[("uploadDate", DESCENDING)])

    async def read(self, name: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """Read a range of the newest revision, from the chunk on in which it begins."""
        row = await self._newest(name)
        if row is None:
            raise FileNotFoundError(f"no file {name}")
        size = row["chunkSize"]
        wanted = {"files_id": row["_id"], "n": {"$gte": start // size, "$lte": max(start, end - 1) // size}}
        position = start // size * size
        with driver_failures():
            async for chunk in self._chunks.find(wanted, batch_size=4).sort("n", 1):
                if chunk["n"] * size != position:
                    break
                data: bytes = chunk["data"]
                yield data[max(0, start - position) : end - position]
                position += len(data)
        if position < end:
            raise OSError(f"chunks of {name} are missing")

    async def delete(self, name: str) -> bool:
        """Delete every revision: first what can be found, then what it is made of. A revision that comes
        into being meanwhile is deleted, too."""
        with driver_failures():
            found = False
            while row := await self._files.find_one({"filename": name}, {"_id": 1}):
                await self._remove(row["_id"])
                found = True
            return found

    async def _remove(self, file_id: ObjectId) -> None:
        await self._files.delete_one({"_id": file_id})
        await self._chunks.delete_many({"files_id": file_id})

    async def list_names(self) -> AsyncGenerator[tuple[str, datetime], None]:
        """Every name with the time of its newest revision."""
        with driver_failures():
            last: str | None = None
            rows = self._files.find({}, {"filename": 1, "uploadDate": 1})
            async for row in rows.sort([("filename", 1), ("uploadDate", DESCENDING)]):
                if row["filename"] != last:
                    last = row["filename"]
                    yield str(last), row["uploadDate"]

    async def location(self, name: str, headers: Mapping[str, str]) -> str | None:
        """The database serves nobody but servers."""
        return None

    async def sweep(self, before: datetime) -> int:
        """Remove the revisions that were replaced before then, and the chunks of writes that never ended."""
        swept = 0
        with driver_failures():
            newer: Row = {}
            rows = self._files.find({}, {"filename": 1, "uploadDate": 1})
            async for row in rows.sort([("filename", 1), ("uploadDate", DESCENDING)]):
                if newer.get("filename") == row["filename"] and newer["uploadDate"] < before:
                    await self._remove(row["_id"])
                    swept += 1
                newer = row
            async for orphan in await self._unfinished(before):
                await self._chunks.delete_many({"files_id": orphan["_id"]})
                swept += 1
        return swept

    async def _unfinished(self, before: datetime) -> Any:
        """The ids of files whose first chunk is old, and that have no row."""
        oldest = ObjectId.from_datetime(before)
        return await self._chunks.aggregate(
            [
                {"$match": {"n": 0, "files_id": {"$lt": oldest}}},
                {"$project": {"files_id": 1}},
                {
                    "$lookup": {
                        "from": "fs.files",
                        "localField": "files_id",
                        "foreignField": "_id",
                        "as": "file",
                    }
                },
                {"$match": {"file": []}},
                {"$project": {"_id": "$files_id"}},
            ]
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


async def numbered_chunks(content: AsyncIterator[bytes]) -> AsyncGenerator[tuple[int, bytes], None]:
    """Cut a stream into chunks of the size that GridFS has here."""
    buffer, number = bytearray(), 0
    async for piece in content:
        buffer += piece
        while len(buffer) >= CHUNK:
            yield number, bytes(memoryview(buffer)[:CHUNK])
            del buffer[:CHUNK]
            number += 1
    if buffer:
        yield number, bytes(buffer)


@contextmanager
def driver_failures() -> Iterator[None]:
    """Say of a driver's failures what a file store says."""
    try:
        yield
    except (PyMongoError, BSONError, OverflowError) as failure:  # the latter two of metadata
        raise OSError(f"the database failed: {type(failure).__name__}: {failure}") from failure
