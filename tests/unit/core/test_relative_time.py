from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from parse_clone.core.relative_time import decode_relative_time

NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("now", timedelta()),
        ("NOW", timedelta()),
        ("3 days 2 hours ago", -timedelta(days=3, hours=2)),
        ("in 1 wk", timedelta(days=7)),
        ("In 1 Year 2  minutes", timedelta(days=365, minutes=2)),
        ("in -5 secs", -timedelta(seconds=5)),
        ("ago", timedelta()),
    ],
)
def test_moments(text: str, span: timedelta) -> None:
    assert decode_relative_time(text, NOW) == NOW + span


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Time should either start with 'in' or end with 'ago'"),
        ("12 hours", "Time should either start with 'in' or end with 'ago'"),
        ("in 12 hours ago", "Time cannot have both 'in' and 'ago'"),
        ("in 12", "Invalid time string. Dangling unit or number."),
        ("in 1.5 days", "'1.5' is not an integer."),
        ("1 month ago", "Invalid interval: 'month'"),
        ("in 999999999 years", "Invalid time string. Out of range."),
        ("99999 years ago", "Invalid time string. Out of range."),
    ],
)
def test_refusals(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match="^" + reason.replace(".", r"\.") + "$"):
        decode_relative_time(text, NOW)
