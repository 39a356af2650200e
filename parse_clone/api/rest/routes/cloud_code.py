"""Cloud functions, jobs and webhooks."""

from __future__ import annotations

from parse_clone.api.rest.request import Request
from parse_clone.api.rest.responses import Answer, ok
from parse_clone.api.rest.router import Route
from parse_clone.errors import ErrorCode, ParseError


async def call_function(request: Request, name: str) -> Answer:
    """Call a function."""
    raise ParseError(ErrorCode.SCRIPT_FAILED, f'Invalid function: "{name}"')


async def start_job(request: Request, name: str = "") -> Answer:
    """Start a job."""
    raise ParseError(ErrorCode.SCRIPT_FAILED, "Invalid job.")


async def find_hooks(request: Request) -> Answer:
    """Answer the hooks that live behind a URL."""
    return ok([])


async def get_function_hook(request: Request, name: str) -> Answer:
    """Answer one function that lives behind a URL."""
    raise ParseError(ErrorCode.WEBHOOK_ERROR, f"no function named: {name} is defined")


async def get_trigger_hook(request: Request, class_name: str, trigger: str) -> Answer:
    """Answer one trigger that lives behind a URL."""
    raise ParseError(ErrorCode.WEBHOOK_ERROR, f"class {class_name} does not exist")


ROUTES = (
    Route("POST", "/functions/:name", call_function, idempotent=True),
    Route("POST", "/jobs", start_job, master=True),
    Route("POST", "/jobs/:name", start_job, master=True, idempotent=True),
    Route("GET", "/hooks/functions", find_hooks, master=True),
    Route("GET", "/hooks/functions/:name", get_function_hook, master=True),
    Route("GET", "/hooks/triggers", find_hooks, master=True),
    Route("GET", "/hooks/triggers/:className/:trigger", get_trigger_hook, master=True),
)
