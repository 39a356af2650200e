"""Passwords: the policy they must meet, their hashes, and what a new one does to the row of its user."""

from __future__ import annotations

from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.operations import FieldOperation, Set
from parse_clone.core.password_policy import check_password, is_too_old, repeated_password
from parse_clone.core.values import date_value, moment_of
from parse_clone.services.toolbox import Toolbox


async def check_password_policy(
    toolbox: Toolbox, password: str, username: str | None, user: JsonObject | None
) -> None:
    """Refuse a new password (142) that the policy forbids; `user` is the stored user who changes his."""
    policy = toolbox.settings.password_policy
    if policy is None:
        return
    is_accepted = policy.validator_callback is None or await policy.validator_callback(password)
    check_password(policy, password, username, is_accepted=is_accepted)
    if user is not None and policy.max_password_history:
        await check_not_repeated(toolbox, policy.max_password_history, password, user)


async def check_not_repeated(toolbox: Toolbox, count: int, password: str, user: JsonObject) -> None:
    """Refuse the current password and those before it."""
    for hashed in known_hashes(user)[-count:]:
        if await toolbox.passwords.verify(password, str(hashed)):
            raise repeated_password(count)


async def password_operations(
    toolbox: Toolbox, password: str, user: JsonObject | None
) -> dict[str, FieldOperation]:
    """What storing a new password writes: its hash, its date, the history."""
    operations: dict[str, FieldOperation] = {"_hashed_password": Set(await toolbox.passwords.hash(password))}
    policy = toolbox.settings.password_policy
    if policy is None:
        return operations
    if policy.max_password_age:
        operations["_password_changed_at"] = Set(date_value(toolbox.clock.now()))
    if user is not None and policy.max_password_history:
        kept = max(policy.max_password_history - 1, 1)
        operations["_password_history"] = Set(list(known_hashes(user)[-kept:]))
    return operations


def known_hashes(user: JsonObject) -> list[Json]:
    """The hashes of a user's passwords, oldest first, the current one last."""
    history = user.get("_password_history")
    hashes = [*history] if isinstance(history, list) else []
    return [hashed for hashed in [*hashes, user.get("_hashed_password")] if isinstance(hashed, str)]


def is_password_expired(toolbox: Toolbox, user: JsonObject) -> bool:
    """Is the password older than the policy allows?"""
    policy = toolbox.settings.password_policy
    changed = moment_of(user.get("_password_changed_at"))
    if policy is None or not policy.max_password_age or changed is None:
        return False
    return is_too_old(changed, policy.max_password_age, toolbox.clock.now())
