"""Account lockout: how often a wrong password may be tried.

Every attempt is one conditional write, so that of many attempts at once no more than the threshold count.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from parse_clone.core.json_types import JsonObject
from parse_clone.core.operations import FieldOperation, Increment, Set
from parse_clone.core.query import EVERYTHING, Compare, Condition, NoneOf, all_of, object_id_is
from parse_clone.core.values import date_value, is_number, moment_of
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.services.toolbox import Toolbox
from parse_clone.settings import AccountLockout

COUNT = "_failed_login_count"
EXPIRES = "_account_lockout_expires_at"


def check_not_locked(toolbox: Toolbox, user: JsonObject) -> None:
    """Refuse a locked account before any work is spent on its password."""
    lockout = toolbox.settings.account_lockout
    if lockout is None:
        return
    count, expires = user.get(COUNT), moment_of(user.get(EXPIRES))
    if (
        is_number(count)
        and count >= lockout.threshold
        and expires is not None
        and expires > toolbox.clock.now()
    ):
        raise locked(lockout)


async def count_attempt(toolbox: Toolbox, user: JsonObject, *, succeeded: bool) -> None:
    """Note the outcome of an attempt; refuses it, right or wrong, if the account was locked meanwhile."""
    lockout = toolbox.settings.account_lockout
    schema = await toolbox.catalog.get("_User") if lockout is not None else None
    if lockout is None or schema is None:
        return
    now = toolbox.clock.now()
    row = object_id_is(str(user["objectId"]))
    attempts = success(lockout, now) if succeeded else failures(lockout, now)
    for condition, operations in attempts:
        if await toolbox.storage.update(schema, all_of(row, condition), operations) is not None:
            return
    raise locked(lockout)


Attempt = tuple[Condition, dict[str, FieldOperation]]


def success(lockout: AccountLockout, now: datetime) -> list[Attempt]:
    """The right password counts only while the account is open; then the count begins anew."""
    return [(NoneOf((is_locked(lockout, now),)), {COUNT: Set(0)})]


def failures(lockout: AccountLockout, now: datetime) -> list[Attempt]:
    """A wrong password counts; the one that reaches the threshold, or comes after a lock, locks."""
    is_last = at_least(lockout.threshold - 1)
    lock = Set(date_value(now + timedelta(minutes=lockout.duration)))
    return [
        (NoneOf((is_last,)), {COUNT: Increment(1)}),
        (all_of(is_last, NoneOf((is_locked(lockout, now),))), {COUNT: Increment(1), EXPIRES: lock}),
    ]


def at_least(count: int) -> Condition:
    """Name the accounts with so many wrong passwords; where nothing is noted there were none."""
    return Compare(COUNT, ">=", count) if count > 0 else EVERYTHING


def is_locked(lockout: AccountLockout, now: datetime) -> Condition:
    """Name the accounts that are locked now."""
    return all_of(at_least(lockout.threshold), Compare(EXPIRES, ">", date_value(now)))


def locked(lockout: AccountLockout) -> ParseError:
    """Build the refusal of a locked account."""
    return ParseError(
        ErrorCode.OBJECT_NOT_FOUND,
        "Your account is locked due to multiple failed login attempts. Please try again after "
        f"{lockout.duration:g} minute(s)",
    )
