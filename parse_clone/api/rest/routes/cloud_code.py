"""Cloud functions, jobs and their schedules, webhooks."""

from __future__ import annotations

from parse_clone.api.rest.multipart import is_multipart, read_form
from parse_clone.api.rest.query_string import decode_form
from parse_clone.api.rest.request import Request
from parse_clone.api.rest.responses import Answer, called, job_started, ok, saved
from parse_clone.api.rest.router import Route
from parse_clone.core.json_types import JsonObject
from parse_clone.services.classes import delete_object, find_objects, save_object
from parse_clone.services.functions import call_function
from parse_clone.services.jobs import check_schedule, job_names, start_job
from parse_clone.services.objects.requests import DeleteRequest, FindRequest, SaveRequest
from parse_clone.services.webhooks import create_hook, list_hooks, read_hook, update_hook

# --- Functions -------------------------------------------------------------------------------------------


async def function(request: Request, name: str) -> Answer:
    """Call a function; parameters of the URL are texts, and win over those of the body."""
    headers = request.context.headers
    body, files = read_form(request.raw_body, headers) if is_multipart(headers) else (request.body, {})
    params: JsonObject = {**body, **decode_form(request.query_string)}
    return called(await call_function(request.toolbox, request.context, name, params, files))


# --- Jobs ------------------------------------------------------------------------------------------------


async def job(request: Request, name: str) -> Answer:
    """Start a job."""
    return job_started(await start_job(request.toolbox, request.context, name, request.body))


async def job_of_body(request: Request) -> Answer:
    """Start the job that the body names."""
    return await job(request, str(request.body.get("jobName")))


SCHEDULES = "_JobSchedule"


async def find_schedules(request: Request) -> Answer:
    """Answer all schedules."""
    answer = await find_objects(request.toolbox, request.context, FindRequest(SCHEDULES, {}))
    return ok(answer.results)


async def describe_jobs(request: Request) -> Answer:
    """Answer which jobs there are, and which some schedule names."""
    return ok(await job_names(request.toolbox))


async def create_schedule(request: Request) -> Answer:
    """Write down when a job should run."""
    schedule = check_schedule(request.toolbox, request.body.get("job_schedule"))
    answer = await save_object(request.toolbox, request.context, SaveRequest(SCHEDULES, None, schedule))
    return saved(answer, request.context.base_url)


async def update_schedule(request: Request, object_id: str) -> Answer:
    """Change when a job should run."""
    schedule = check_schedule(request.toolbox, request.body.get("job_schedule"))
    answer = await save_object(request.toolbox, request.context, SaveRequest(SCHEDULES, object_id, schedule))
    return ok({"response": answer.body})  # Parse quirk: the dashboard reads it like this


async def delete_schedule(request: Request, object_id: str) -> Answer:
    """Delete a schedule."""
    return ok(await delete_object(request.toolbox, request.context, DeleteRequest(SCHEDULES, object_id)))


# --- Webhooks --------------------------------------------------------------------------------------------


async def find_functions(request: Request) -> Answer:
    """Answer the functions that live behind a URL."""
    return ok(await list_hooks(request.toolbox, functions=True))


async def find_triggers(request: Request) -> Answer:
    """Answer the triggers that live behind a URL."""
    return ok(await list_hooks(request.toolbox, functions=False))


async def get_function_hook(request: Request, name: str) -> Answer:
    """Answer one function that lives behind a URL."""
    return ok(await read_hook(request.toolbox, {"functionName": name}))


async def get_trigger_hook(request: Request, class_name: str, trigger: str) -> Answer:
    """Answer one trigger that lives behind a URL."""
    return ok(await read_hook(request.toolbox, {"className": class_name, "triggerName": trigger}))


async def declare_hook(request: Request) -> Answer:
    """Declare a hook."""
    return ok(await create_hook(request.toolbox, request.context, request.body))


async def change_function_hook(request: Request, name: str) -> Answer:
    """Move or delete a function."""
    key = {"functionName": name}
    return ok(await update_hook(request.toolbox, request.context, key, request.body))


async def change_trigger_hook(request: Request, class_name: str, trigger: str) -> Answer:
    """Move or delete a trigger."""
    key = {"className": class_name, "triggerName": trigger}
    return ok(await update_hook(request.toolbox, request.context, key, request.body))


ROUTES = (
    Route("POST", "/functions/:name", function, idempotent=True),
    Route("POST", "/jobs", job_of_body, master=True),
    Route("POST", "/jobs/:name", job, master=True, idempotent=True),
    Route("GET", "/cloud_code/jobs", find_schedules, master=True),
    Route("GET", "/cloud_code/jobs/data", describe_jobs, master=True),
    Route("POST", "/cloud_code/jobs", create_schedule, master=True),
    Route("PUT", "/cloud_code/jobs/:objectId", update_schedule, master=True),
    Route("DELETE", "/cloud_code/jobs/:objectId", delete_schedule, master=True),
    Route("GET", "/hooks/functions", find_functions, master=True),
    Route("POST", "/hooks/functions", declare_hook, master=True),
    Route("GET", "/hooks/functions/:name", get_function_hook, master=True),
    Route("PUT", "/hooks/functions/:name", change_function_hook, master=True),
    Route("GET", "/hooks/triggers", find_triggers, master=True),
    Route("POST", "/hooks/triggers", declare_hook, master=True),
    Route("GET", "/hooks/triggers/:className/:trigger", get_trigger_hook, master=True),
    Route("PUT", "/hooks/triggers/:className/:trigger", change_trigger_hook, master=True),
)
