"""When scheduled jobs run, and which of several server processes runs them: whoever claims an occurrence
first, by a row whose id is the occurrence."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from croniter import croniter

from parse_clone.core.json_types import JsonObject
from parse_clone.core.schema import ClassSchema
from parse_clone.core.system_classes import new_schema
from parse_clone.core.values import date_value, encode_date
from parse_clone.errors import DuplicateValue
from parse_clone.services.jobs import run_job
from parse_clone.services.toolbox import Toolbox

log = structlog.get_logger("jobs")

CLAIM_DAYS = 7


@dataclass(frozen=True, slots=True)
class Schedule:
    """One job's times: `every` so long, counted from the epoch, or a cron expression in UTC."""

    job_name: str
    every: timedelta | None
    cron: str | None

    def __post_init__(self) -> None:
        if self.cron is not None and not croniter.is_valid(self.cron):
            raise ValueError(f"{self.cron!r} is no cron expression (job {self.job_name})")
        if (self.every is None) == (self.cron is None):
            raise ValueError(f"job {self.job_name} needs either `every` or `cron`")

    def next_after(self, moment: datetime) -> datetime:
        """The first occurrence after a moment."""
        if self.cron is not None:
            following = croniter(self.cron, moment).get_next(datetime)
            assert isinstance(following, datetime)
            return following
        assert self.every is not None
        elapsed = moment - EPOCH
        return EPOCH + (elapsed // self.every + 1) * self.every


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def run_schedules(toolbox: Toolbox, schedules: Sequence[Schedule]) -> None:
    """Run every schedule's occurrences until cancelled."""
    async with asyncio.TaskGroup() as group:
        for schedule in schedules:
            group.create_task(_run_schedule(toolbox, schedule))


async def _run_schedule(toolbox: Toolbox, schedule: Schedule) -> None:
    while True:
        now = toolbox.clock.now()
        occurrence = schedule.next_after(now)
        await asyncio.sleep((occurrence - now).total_seconds())
        try:
            if await claim(toolbox, schedule.job_name, occurrence):
                await run_job(toolbox, schedule.job_name, {}, source="schedule")
        except Exception as error:
            log.error("a scheduled job failed", job=schedule.job_name, exc_info=error)


async def claim(toolbox: Toolbox, job_name: str, occurrence: datetime) -> bool:
    """Is this process the one that runs the occurrence? The unique request id lets exactly one win."""
    schema: ClassSchema = await toolbox.catalog.get("_Idempotency") or new_schema("_Idempotency")
    now = encode_date(toolbox.clock.now())
    row: JsonObject = {
        "objectId": toolbox.ids.object_id(),
        "createdAt": now,
        "updatedAt": now,
        "reqId": f"schedule:{job_name}:{encode_date(occurrence)}",
        "expire": date_value(occurrence + timedelta(days=CLAIM_DAYS)),
    }
    try:
        await toolbox.storage.insert(schema, [row])
    except DuplicateValue:
        return False
    return True
