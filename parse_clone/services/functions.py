"""Cloud functions: found by their exact name, run with the caller's context."""

from __future__ import annotations

from collections.abc import Mapping

from parse_clone.core.context import RequestContext
from parse_clone.core.json_types import JsonObject
from parse_clone.core.values import check_depth
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import FunctionAnswer, FunctionCall, UnitOfWork


async def call_function(
    toolbox: Toolbox,
    context: RequestContext,
    name: str,
    params: JsonObject,
    files: Mapping[str, tuple[str, str, bytes]] | None = None,
) -> FunctionAnswer:
    """Run a function; `params` is wire JSON, `files` are parts of a form (name, content type, bytes)."""
    handler = toolbox.triggers.functions.get(name)
    if handler is None:
        raise ParseError(ErrorCode.SCRIPT_FAILED, f'Invalid function: "{name}"')
    check_depth(params)
    work = UnitOfWork(toolbox.storage, toolbox.changes, toolbox.caches)
    return await handler(FunctionCall(name, params, context, work, dict(files or {})))
