"""When scheduled jobs run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from parse_clone.services.schedules import Schedule

MOMENT = datetime(2026, 1, 5, 10, 7, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Schedule("a", timedelta(minutes=5), None), datetime(2026, 1, 5, 10, 10, tzinfo=UTC)),
        (Schedule("a", timedelta(hours=1), None), datetime(2026, 1, 5, 11, 0, tzinfo=UTC)),
        (Schedule("a", None, "30 3 * * *"), datetime(2026, 1, 6, 3, 30, tzinfo=UTC)),
        (Schedule("a", None, "*/15 * * * *"), datetime(2026, 1, 5, 10, 15, tzinfo=UTC)),
    ],
)
def test_the_next_occurrence_is_the_same_for_every_process(schedule: Schedule, expected: datetime) -> None:
    assert schedule.next_after(MOMENT) == expected


@pytest.mark.parametrize(("every", "cron"), [(None, None), (timedelta(1), "* * * * *"), (None, "every day")])
def test_a_schedule_is_either_an_interval_or_an_expression(every: timedelta | None, cron: str | None) -> None:
    with pytest.raises(ValueError, match=r"job a|cron expression"):
        Schedule("a", every, cron)
