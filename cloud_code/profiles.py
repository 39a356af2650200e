"""Patient profiles: one per user, numbered by the server."""

from __future__ import annotations

import secrets

from cloud_code.access import Write
from cloud_code.accounts import user_acl
from cloud_code.cases import ADMIN_ROLE, PATIENT_ROLE, acting, invalid, pointer_in, refused
from parse_clone.cloud import AfterSave


async def follow_profile(write: Write) -> None:
    """Fill in what patients do not decide; patients have one profile."""
    profile, staff = write.template.profile, write.is_server or ADMIN_ROLE in acting(write.request).roles
    assert profile is not None
    if not write.is_new:
        return
    if not staff and PATIENT_ROLE not in acting(write.request).roles:
        raise refused("Only patients have a profile.")
    await check_single(write)
    if profile.number is not None and not (staff and write.object.get(profile.number)):
        write.object[profile.number] = f"MRN-{secrets.token_hex(5).upper()}"
    if profile.active is not None and not (staff and write.object.get(profile.active) is not None):
        write.object[profile.active] = True


async def check_single(write: Write) -> None:
    """Refuse a second profile of a user."""
    owner, name = pointer_in(write.object, "user"), write.record.class_name
    if write.is_new and owner is None:
        raise invalid(f"A {name} needs its user.")
    if write.is_new and await write.request.master_client.query(name).where(user=owner).first() is not None:
        raise invalid(f"This user has a {name}.")


async def introduce(request: AfterSave, team: str) -> None:
    """Let the care team see the user behind a new profile."""
    owner = pointer_in(request.object, "user")
    if request.original is None and owner is not None:
        user = await request.master_client.fetch(owner)
        user.acl = {**(user.acl or {}), **user_acl(owner.object_id, team)}
        await request.master_client.save(user)
