"""`$relativeTime`: "3 days 2 hours ago", "in 1 wk", "now"."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_UNITS = {
    ("yr", "yrs", "year", "years"): timedelta(days=365),
    ("wk", "wks", "week", "weeks"): timedelta(weeks=1),
    ("d", "day", "days"): timedelta(days=1),
    ("hr", "hrs", "hour", "hours"): timedelta(hours=1),
    ("min", "mins", "minute", "minutes"): timedelta(minutes=1),
    ("sec", "secs", "second", "seconds"): timedelta(seconds=1),
}
_LENGTHS = {name: length for names, length in _UNITS.items() for name in names}
_is_integer = re.compile(r"[+-]?\d{1,15}").fullmatch


def decode_relative_time(text: str, now: datetime) -> datetime:
    """Read a relative time as a moment; raise ValueError with the reason."""
    words = text.lower().split()
    if words == ["now"]:
        return now
    is_future, is_past = words[:1] == ["in"], words[-1:] == ["ago"]
    if not is_future and not is_past:
        raise ValueError("Time should either start with 'in' or end with 'ago'")
    if is_future and is_past:
        raise ValueError("Time cannot have both 'in' and 'ago'")
    words = words[1:] if is_future else words[:-1]
    if len(words) % 2:
        raise ValueError("Invalid time string. Dangling unit or number.")
    try:
        span = sum(map(_span, words[::2], words[1::2]), timedelta())
        return now + span if is_future else now - span
    except OverflowError:
        raise ValueError("Invalid time string. Out of range.") from None


def _span(number: str, unit: str) -> timedelta:
    if not _is_integer(number):
        raise ValueError(f"'{number}' is not an integer.")
    if unit not in _LENGTHS:
        raise ValueError(f"Invalid interval: '{unit}'")
    return int(number) * _LENGTHS[unit]
