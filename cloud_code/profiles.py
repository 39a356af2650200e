"""Patient profiles: one per user, numbered by the server."""

from __future__ import annotations

import secrets

from cloud_code.access import Write
from cloud_code.accounts import user_acl
from cloud_code.cases import ADMIN_ROLE, acting, invalid, pointer_in
from parse_clone.cloud import AfterSave


async def follow_profile(write: Write) -> None:
    """Fill in what patients do not decide, and refuse a second profile."""
    profile, staff = write.template.profile, write.is_server or ADMIN_ROLE in acting(write.request).roles
    assert profile is not None
    if not write.is_new:
        return
    owner = pointer_in(write.object, "user")
    if owner is None:
        raise invalid(f"A {profile.class_name} needs its user.")
    query = write.request.master_client.query(profile.class_name)
    if await query.where(user=owner).first() is not None:
        raise invalid("This user has a profile.")
    if profile.number is not None and not (staff and write.object.get(profile.number)):
        write.object[profile.number] = f"MRN-{secrets.token_hex(5).upper()}"
    if profile.active is not None and not (staff and write.object.get(profile.active) is not None):
        write.object[profile.active] = True


async def introduce(request: AfterSave, team: str) -> None:
    """Let the care team see the user behind a new profile."""
    owner = pointer_in(request.object, "user")
    if request.original is None and owner is not None:
        user = await request.master_client.fetch(owner)
        user.acl = {**(user.acl or {}), **user_acl(owner.object_id, team)}
        await request.master_client.save(user)
