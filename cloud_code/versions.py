"""Former versions of a record: kept by the save that replaces them, readable by whoever reads the record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from cloud_code.access import Write
from cloud_code.cases import acting, refused, user_pointer
from parse_clone.cloud import BeforeDelete, BeforeSave, Cloud, ParseObject, Pointer

VERSIONS = "RecordVersion"


async def keep_former(write: Write) -> None:
    """Keep the state that this save replaces. Of two saves that replace the same one, one fails."""
    original = write.original
    if original is None or not write.record.versioned or not write.changed:
        return
    write.request.only_if_unchanged()
    client = write.request.master_client
    entity: dict[str, Any] = {"entityType": original.class_name, "entityId": original.id}
    last = await client.query(VERSIONS).where(**entity).order_by("-version").first()
    stamp = original.to_json()["updatedAt"]
    if last is not None and last["snapshot"].get("updatedAt") == stamp:
        return  # kept by a save that failed afterwards
    user_id = acting(write.request).user_id
    former = ParseObject.new(
        VERSIONS,
        **entity,
        version=1 if last is None else int(last["version"]) + 1,
        snapshot={name: value for name, value in original.to_json().items() if name != "ACL"},
        changed=write.changed,
        changedAt=datetime.now(UTC),
    )
    author = author_of(write, last)
    if author is not None:
        former["author"] = author
    if user_id is not None:
        former["changedBy"] = user_pointer(user_id)
    readers = {name for name, rights in (write.object.acl or {}).items() if rights.get("read")}
    former.acl = {name: {"read": True} for name in readers}
    await client.save(former)


def author_of(write: Write, last: ParseObject | None) -> Pointer | None:
    """Who wrote the version that is replaced: who made the last change, or else who wrote the record."""
    if last is not None:
        return last.get("changedBy")
    name = write.record.author
    author = None if name is None or write.original is None else write.original.get(name)
    return author if isinstance(author, Pointer) and author.class_name == "_User" else None


def register_versions(cloud: Cloud) -> None:
    """Close what was kept: a former version is neither changed nor deleted, with whatever key."""

    @cloud.before_save(VERSIONS)
    async def keep_as_it_was(request: BeforeSave) -> None:
        if request.original is not None:
            raise refused("A former version stays as it was.")

    @cloud.before_delete(VERSIONS)
    async def keep(request: BeforeDelete) -> None:
        raise refused("A former version is never deleted.")
