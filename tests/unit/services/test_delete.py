"""Deletes: whose objects hooks are shown."""

from __future__ import annotations

from parse_clone.core.class_permissions import CLASS_OPERATIONS
from parse_clone.core.schema import SetPermissions
from parse_clone.errors import ErrorCode
from parse_clone.services.classes import delete_object
from parse_clone.services.objects.requests import DeleteRequest
from parse_clone.services.triggers import TriggerKind
from tests.unit.services.clinic import master, open_clinic, refusal


async def test_with_a_hook_the_right_to_delete_decides_not_the_right_to_read() -> None:
    async with open_clinic() as clinic:
        anybody = await clinic.context()
        ids = [
            (await clinic.save(master(), "Note", {"ACL": {"*": {right: True}}})).body["objectId"]
            for right in ("write", "read")
        ]
        closed_but_for_deletes = {
            operation: {"*": True} if operation == "delete" else {} for operation in CLASS_OPERATIONS
        }
        await clinic.toolbox.catalog.apply(
            clinic.toolbox.storage, SetPermissions("Note", closed_but_for_deletes)
        )
        events = clinic.record((TriggerKind.BEFORE_DELETE, "Note"))
        writable, readable = (DeleteRequest("Note", object_id) for object_id in ids)
        await delete_object(clinic.toolbox, anybody, writable)
        for request in (readable, DeleteRequest("Note", "unknown")):
            with refusal(ErrorCode.OBJECT_NOT_FOUND, "Object not found for delete."):
                await delete_object(clinic.toolbox, anybody, request)
        assert len(events) == 1
        assert [row["objectId"] for row in await clinic.rows("Note")] == [readable.object_id]
