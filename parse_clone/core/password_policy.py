"""Is this password acceptable? The rules that need neither hashes nor callbacks."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Protocol

from parse_clone.errors import ErrorCode, ParseError


class PasswordRules(Protocol):
    """The part of the server option `passwordPolicy` that is asked here."""

    @property
    def validator_pattern(self) -> re.Pattern[str] | None: ...

    @property
    def validation_error(self) -> str: ...

    @property
    def do_not_allow_username(self) -> bool: ...


def check_password(
    rules: PasswordRules, password: str, username: str | None, *, is_accepted: bool = True
) -> None:
    """Refuse a password that the policy does not allow (142). `is_accepted`: what its callback said."""
    if not is_accepted or (rules.validator_pattern and not rules.validator_pattern.search(password)):
        raise _refused(rules.validation_error)
    if rules.do_not_allow_username and username and username in password:
        raise _refused("Password cannot contain your username.")


def repeated_password(count: int) -> ParseError:
    """Build the refusal of one of the last `count` passwords."""
    return _refused(f"New password should not be the same as last {count} passwords.")


def is_too_old(changed_at: datetime, max_age_days: float, now: datetime) -> bool:
    """Must a password that was set at `changed_at` be changed by now?"""
    return changed_at + timedelta(days=max_age_days) < now


def _refused(text: str) -> ParseError:
    return ParseError(ErrorCode.VALIDATION_ERROR, text)
