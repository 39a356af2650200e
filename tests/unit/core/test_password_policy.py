from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from parse_clone.core.password_policy import check_password, is_too_old, repeated_password
from parse_clone.errors import ParseError

COMPLAINT = "Password does not meet the Password Policy requirements."


@dataclass(frozen=True)
class Rules:
    validator_pattern: re.Pattern[str] | None = None
    validation_error: str = COMPLAINT
    do_not_allow_username: bool = False


@pytest.mark.parametrize(
    ("rules", "password"),
    [
        (Rules(), "x"),
        (Rules(re.compile(r"\d")), "abc1"),
        (Rules(do_not_allow_username=True), "secret"),
    ],
)
def test_a_password_that_meets_the_rules_passes(rules: Rules, password: str) -> None:
    check_password(rules, password, "ada")
    check_password(rules, password, None)


@pytest.mark.parametrize(
    ("rules", "is_accepted", "text"),
    [
        (Rules(re.compile(r"\d")), True, COMPLAINT),
        (Rules(re.compile(r"\d"), "digits, please"), True, "digits, please"),
        (Rules(), False, COMPLAINT),
        (Rules(do_not_allow_username=True), True, "Password cannot contain your username."),
        (Rules(re.compile(r"\d"), do_not_allow_username=True), True, COMPLAINT),
    ],
)
def test_a_password_that_breaks_a_rule_is_refused(rules: Rules, is_accepted: bool, text: str) -> None:
    with pytest.raises(ParseError) as caught:
        check_password(rules, "my-ada-word", "ada", is_accepted=is_accepted)
    assert (caught.value.code, caught.value.message) == (142, text)


def test_passwords_grow_old() -> None:
    now = datetime(2026, 1, 5, tzinfo=UTC)
    assert is_too_old(now - timedelta(days=3, seconds=1), 3, now)
    assert not is_too_old(now - timedelta(days=3), 3, now)


def test_the_refusal_of_a_repeated_password_names_the_number() -> None:
    assert repeated_password(3).message == "New password should not be the same as last 3 passwords."
