"""Files in a bucket of S3, or of anything that speaks its protocol: an object's key is the prefix and the
stored name, as parse-server's adapter has it. boto3 blocks, so it works in threads of its own.

Large files go in parts, so that memory holds one of them; an upload becomes visible when it is complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from parse_clone.core.json_types import JsonObject
from parse_clone.ports import StoredFile

PART = 5 * 1024 * 1024
"""S3 takes no smaller part but the last."""

OVERRIDES = {
    "Content-Type": "ResponseContentType",
    "Content-Disposition": "ResponseContentDisposition",
    "Cache-Control": "ResponseCacheControl",
}
"""The headers of an answer of the bucket that a presigned URL decides."""

CHUNK = 256 * 1024
THREADS = 16

Answer = TypeVar("Answer")


class S3Files:
    """A file store in a bucket."""

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        region: str = "us-east-1",
        endpoint_url: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        server_side_encryption: str | None = None,
        kms_key_id: str | None = None,
        cache_control: str | None = None,
        presigned_seconds: int = 0,
    ) -> None:
        """Without keys, boto3 finds them where it always looks. `presigned_seconds`: how long a URL is good
        that leads clients to the bucket itself; 0: the bytes go through the server."""
        self._client = boto3.client(
            "s3",
            region_name=region,
            endpoint_url=endpoint_url,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=Config(
                max_pool_connections=THREADS,
                retries={"max_attempts": 3, "mode": "standard"},
                s3={"addressing_style": "path"} if endpoint_url else {},
            ),
        )
        self._bucket = bucket
        self._prefix = prefix
        self._presigned_seconds = presigned_seconds
        wishes = {
            "ServerSideEncryption": server_side_encryption,
            "SSEKMSKeyId": kms_key_id,
            "CacheControl": cache_control,
        }
        self._wishes = {name: value for name, value in wishes.items() if value is not None}
        self._threads = ThreadPoolExecutor(THREADS, "s3")

    async def _call(self, function: Callable[..., Answer], **arguments: Any) -> Answer:
        """Ask the bucket, in a thread."""
        call = partial(function, **arguments)
        with failures():
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _place(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + name}

    # --- Writing ------------------------------------------------------------------------------------------

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
        """Store a small file by one call, a larger one part by part."""
        wishes: dict[str, Any] = {"ContentType": content_type, **self._wishes}
        if metadata:
            wishes["Metadata"] = {key: str(value) for key, value in metadata.items()}
        if tags:
            wishes["Tagging"] = urlencode(tags)
        buffer, upload, size = bytearray(), None, 0
        try:
            async for piece in content:
                buffer += piece
                size += len(piece)
                if len(buffer) >= PART:
                    upload = upload or await self._begin(name, wishes)
                    await upload.add(bytes(buffer))
                    buffer.clear()
            if replacing is not None and await self.stat(name) != replacing:
                raise FileNotFoundError(f"{name} is gone, or another file")
            if upload is None:
                await self._call(self._client.put_object, **self._place(name), Body=bytes(buffer), **wishes)
            else:
                if buffer:
                    await upload.add(bytes(buffer))
                await upload.complete()
        except BaseException:
            if upload is not None:
                with suppress(OSError):
                    await upload.abort()
            raise
        return size

    async def _begin(self, name: str, wishes: Mapping[str, Any]) -> Parts:
        answer = await self._call(self._client.create_multipart_upload, **self._place(name), **wishes)
        return Parts(self._call, self._client, {**self._place(name), "UploadId": answer["UploadId"]})

    async def delete(self, name: str) -> bool:
        """Delete a file."""
        if await self.stat(name) is None:
            return False
        await self._call(self._client.delete_object, **self._place(name))
        return True

    async def sweep(self, before: datetime) -> int:
        """Abort the uploads that were begun before then and never completed."""
        pages = self._client.get_paginator("list_multipart_uploads")
        wanted = pages.paginate(Bucket=self._bucket, Prefix=self._prefix)
        uploads = await self._call(lambda: [found for page in wanted for found in page.get("Uploads", ())])
        old = [found for found in uploads if found["Initiated"] < before]
        for found in old:
            place = {"Bucket": self._bucket, "Key": found["Key"], "UploadId": found["UploadId"]}
            await self._call(self._client.abort_multipart_upload, **place)
        return len(old)

    # --- Reading ------------------------------------------------------------------------------------------

    async def stat(self, name: str) -> StoredFile | None:
        """Size and metadata, or None."""
        try:
            head = await self._call(self._client.head_object, **self._place(name))
        except FileNotFoundError:
            return None
        return StoredFile(head["ContentLength"], {**head["Metadata"]}, head["LastModified"])

    async def read(self, name: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """Read a range; one answer of the bucket is one state of the file."""
        if start >= end:
            return
        wanted = f"bytes={start}-{end - 1}"
        answer = await self._call(self._client.get_object, **self._place(name), Range=wanted)
        body = answer["Body"]
        try:
            while block := await self._call(body.read, amt=CHUNK):
                yield block
        finally:
            body.close()

    async def list_names(self) -> AsyncGenerator[tuple[str, datetime], None]:
        """Every stored name with the time of its last write."""
        pages = iter(
            self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
        )
        while (page := await self._call(partial(next, pages, None))) is not None:
            for found in page.get("Contents", ()):
                yield found["Key"].removeprefix(self._prefix), found["LastModified"]

    async def location(self, name: str, headers: Mapping[str, str]) -> str | None:
        """A URL that leads to the bucket for a while, where the options want that."""
        if not self._presigned_seconds:
            return None
        wishes = {OVERRIDES[header]: value for header, value in headers.items() if header in OVERRIDES}
        return self._client.generate_presigned_url(
            "get_object", Params={**self._place(name), **wishes}, ExpiresIn=self._presigned_seconds
        )

    async def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False)
        self._client.close()


class Parts:
    """An upload in parts, under way."""

    def __init__(self, call: Callable[..., Any], client: Any, place: Mapping[str, str]) -> None:
        self._call = call
        self._client = client
        self._place = place
        self._parts: list[dict[str, Any]] = []

    async def add(self, content: bytes) -> None:
        """Send a part."""
        number = len(self._parts) + 1
        answer = await self._call(self._client.upload_part, **self._place, PartNumber=number, Body=content)
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})

    async def complete(self) -> None:
        """Make the parts one file."""
        parts = {"Parts": self._parts}
        await self._call(self._client.complete_multipart_upload, **self._place, MultipartUpload=parts)

    async def abort(self) -> None:
        """Forget the parts."""
        await self._call(self._client.abort_multipart_upload, **self._place)


@contextmanager
def failures() -> Iterator[None]:
    """Say of boto3's failures what a file store says."""
    try:
        yield
    except ClientError as failure:
        code = str(failure.response.get("Error", {}).get("Code", ""))
        kind = FileNotFoundError if code in ("404", "NoSuchKey") else OSError
        raise kind(f"S3 refused: {failure}") from failure
    except BotoCoreError as failure:
        raise OSError(f"S3 failed: {failure}") from failure
