"""Patient profiles: one per user, numbered by the server."""

from __future__ import annotations

import secrets

from cloud_code.access import Write
from cloud_code.cases import ADMIN_ROLE, PATIENT_ROLE, acting, invalid, pointer_in, refused


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
