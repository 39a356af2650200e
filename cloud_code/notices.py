"""Notifications: a row that its user reads, finds by LiveQuery, and marks as read."""

from __future__ import annotations

from cloud_code.cases import is_server, refused
from parse_clone.cloud import BeforeSave, Client, Cloud, ParseObject, Pointer

NOTICES = "Notification"


def register_notices(cloud: Cloud) -> None:
    """Register the hook of notifications."""

    @cloud.before_save(NOTICES)
    async def only_mark(request: BeforeSave) -> None:
        """A user marks a notification as read, and changes nothing else."""
        if is_server(request):
            return
        if request.original is None or set(request.object.dirty_keys) - {"isRead"}:
            raise refused("You may mark a notification as read, and nothing else.")


async def notify(client: Client, user_id: str, kind: str, about: ParseObject) -> None:
    """Tell a user about an object."""
    notice = ParseObject.new(
        NOTICES,
        user=Pointer("_User", user_id),
        kind=kind,
        entityType=about.class_name,
        entityId=about.id,
        isRead=False,
    )
    notice.acl = {user_id: {"read": True, "write": True}}
    await client.save(notice)
