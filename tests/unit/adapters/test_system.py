"""The clock and the random identifiers."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta

from parse_clone.adapters.system import RandomIds, SystemClock

ids = RandomIds()


def test_the_clock_is_aware_and_in_utc() -> None:
    assert SystemClock().now().utcoffset() == timedelta(0)


def test_object_ids_have_the_size_asked_for() -> None:
    for size in (1, 10, 25, 200):
        assert re.fullmatch(rf"[A-Za-z0-9]{{{size}}}", ids.object_id(size))


def test_tokens_have_their_forms() -> None:
    assert re.fullmatch(r"r:[0-9a-f]{32}", ids.session_token())
    assert re.fullmatch(r"[A-Za-z0-9]{25}", ids.token())


def test_every_character_is_equally_likely() -> None:
    counts = Counter(ids.object_id(62_000))
    assert len(counts) == 62
    assert all(700 < count < 1300 for count in counts.values())


def test_identifiers_do_not_repeat() -> None:
    assert len({ids.object_id() for _ in range(10_000)}) == 10_000
