"""Background jobs: started by the master key or by the clock, followed in `_JobStatus`."""

from __future__ import annotations

import asyncio

import structlog

from parse_clone.core.context import MASTER, RequestContext
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.operations import Set
from parse_clone.core.query import EVERYTHING, WHOLE, object_id_is
from parse_clone.core.system_classes import system_schema
from parse_clone.core.values import date_value, encode_date
from parse_clone.errors import ErrorCode, ParseError, permission_denied
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import JobCall

log = structlog.get_logger("jobs")

STATUS = system_schema("_JobStatus")
SCHEDULE = system_schema("_JobSchedule")

_running: set[asyncio.Task[None]] = set()


async def start_job(toolbox: Toolbox, context: RequestContext, name: str, params: JsonObject) -> str:
    """Start a job in the background; answers the id of its status."""
    if context.auth.is_read_only:
        raise permission_denied("read-only masterKey isn't allowed to run a job.")
    _check_deployed(toolbox, name)
    job_id = await _open_status(toolbox, name, "api")
    task = asyncio.create_task(_run(toolbox, name, job_id, params, context))
    _running.add(task)
    task.add_done_callback(_running.discard)
    return job_id


async def run_job(toolbox: Toolbox, name: str, params: JsonObject, *, source: str) -> None:
    """Run a job to its end."""
    _check_deployed(toolbox, name)
    job_id = await _open_status(toolbox, name, source)
    await _run(toolbox, name, job_id, params, RequestContext(auth=MASTER, installation_id="cloud"))


def _check_deployed(toolbox: Toolbox, name: str) -> None:
    if name not in toolbox.triggers.jobs:
        raise ParseError(ErrorCode.SCRIPT_FAILED, "Invalid job.")


async def _open_status(toolbox: Toolbox, name: str, source: str) -> str:
    job_id, now = toolbox.ids.object_id(), encode_date(toolbox.clock.now())
    status: JsonObject = {"jobName": name, "status": "running", "source": source, "ACL": {}}
    await toolbox.storage.insert(STATUS, [{"objectId": job_id, "createdAt": now, "updatedAt": now, **status}])
    return job_id


async def _run(toolbox: Toolbox, name: str, job_id: str, params: JsonObject, context: RequestContext) -> None:
    async def report(text: str) -> None:
        await _update_status(toolbox, job_id, message=text)

    call = JobCall(name, job_id, params, context, report)
    try:
        answer = await toolbox.triggers.jobs[name](call)
        outcome: JsonObject = {"status": "succeeded"}
    except ParseError as error:
        answer, outcome = error.message, {"status": "failed"}
    except Exception as error:
        log.error("a job failed", job=name, exc_info=error)
        answer, outcome = str(error), {"status": "failed"}
    if isinstance(answer, str):
        outcome["message"] = answer
    await _update_status(toolbox, job_id, **outcome, finishedAt=date_value(toolbox.clock.now()))


async def _update_status(toolbox: Toolbox, job_id: str, **values: Json) -> None:
    values["updatedAt"] = encode_date(toolbox.clock.now())
    changes = {key: Set(value) for key, value in values.items()}
    await toolbox.storage.update(STATUS, object_id_is(job_id), changes)


# --- Schedules that an external scheduler reads -----------------------------------------------------------


async def job_names(toolbox: Toolbox) -> JsonObject:
    """The jobs that exist and those that some schedule names."""
    rows = await toolbox.storage.find(SCHEDULE, EVERYTHING, WHOLE)
    in_use: list[Json] = list(dict.fromkeys(row.get("jobName") for row in rows))
    jobs: list[Json] = list(toolbox.triggers.jobs)
    return {"in_use": in_use, "jobs": jobs}


def check_schedule(toolbox: Toolbox, schedule: Json) -> JsonObject:
    """The schedule of a request body, for a job that exists. `startAfter` defaults to now."""
    if not isinstance(schedule, dict):
        raise ParseError(ErrorCode.INVALID_JSON, "job_schedule must be an object")
    if "jobName" in schedule and schedule["jobName"] not in toolbox.triggers.jobs:
        raise ParseError(ErrorCode.INTERNAL_SERVER_ERROR, "Cannot Schedule a job that is not deployed")
    return {"startAfter": encode_date(toolbox.clock.now()), **schedule}
