"""Former versions of a record: kept by the save that replaces them, readable by whoever reads the record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from cloud_code.access import Acl, Write
from cloud_code.cases import acting, refused, user_pointer
from parse_clone.cloud import BeforeSave, Client, Cloud, ParseObject, Pointer

VERSIONS = "RecordVersion"


async def keep_former(write: Write) -> None:
    """Keep the state that this save replaces. Of two saves that replace the same one, one fails."""
    original = write.original
    if original is None or not write.record.versioned or not write.changed:
        return
    before, after = original.acl or {}, write.object.acl or {}
    if before != after:
        both = {name: rights for name, rights in after.items() if name in before}
        await show_versions(write.request.master_client, original, both)
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
    former.acl = readers(write.object.acl or {})
    await client.save(former)


def readers(acl: Acl) -> Acl:
    """Reading alone, for those who may read."""
    return {name: {"read": True} for name, rights in acl.items() if rights.get("read")}


async def show_versions(client: Client, record: ParseObject, acl: Acl) -> None:
    """Let those read the former versions who read the record."""
    query = client.query(VERSIONS).where(entityType=record.class_name, entityId=record.id)
    for version in await query.find():
        version.acl = readers(acl)
        await client.save(version)


def author_of(write: Write, last: ParseObject | None) -> Pointer | None:
    """Who wrote the version that is replaced: who made the last change, or else who wrote the record."""
    if last is not None:
        return last.get("changedBy")
    name = write.record.author
    author = None if name is None or write.original is None else write.original.get(name)
    return author if isinstance(author, Pointer) and author.class_name == "_User" else None


def register_versions(cloud: Cloud) -> None:
    """Close what was kept: a former version is neither changed nor deleted, with whatever key. The server
    itself lets other people read it when other people read the record."""
    cloud.append_only(VERSIONS)

    @cloud.before_save(VERSIONS)
    async def keep_as_it_was(request: BeforeSave) -> None:
        is_own = request.caller.on_behalf_of is not None and set(request.object.dirty_keys) <= {"ACL"}
        if request.original is not None and not is_own:
            raise refused("A former version stays as it was.")
