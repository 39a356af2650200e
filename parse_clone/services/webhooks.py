"""Hooks that live behind a URL: declared over REST, kept in `_Hooks`, put into the same table as cloud code.

Values go out in their REST encoding. Keys, session secrets of the transport and the log stay here.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson
import structlog

from parse_clone.core.context import RequestContext
from parse_clone.core.draft import Draft
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.operations import Operation, Set, decode_operations
from parse_clone.core.query import EVERYTHING, WHOLE, Condition, In, all_of
from parse_clone.core.system_classes import system_schema
from parse_clone.core.values import encode_date
from parse_clone.errors import ErrorCode, ParseError, object_not_found, permission_denied
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import (
    FindEvent,
    FoundEvent,
    FunctionAnswer,
    FunctionCall,
    FunctionHandler,
    Handler,
    ObjectEvent,
    SaveEvent,
    TriggerEvent,
    TriggerKind,
)

log = structlog.get_logger("webhooks")

HOOKS = system_schema("_Hooks")
KINDS = {kind.value: kind for kind in TriggerKind}
SECRET_HEADERS = frozenset({"authorization", "cookie", "x-parse-master-key", "x-parse-maintenance-key"})
NOT_DATA = frozenset({"objectId", "createdAt", "updatedAt", "className", "__type"})


async def load_webhooks(toolbox: Toolbox) -> None:
    """Put every declared hook into the table of hooks."""
    for row in await toolbox.storage.find(HOOKS, EVERYTHING, WHOLE):
        _install(toolbox, row)


async def reload_webhooks(toolbox: Toolbox) -> None:
    """Take over what another process declared or deleted."""
    declared = await toolbox.storage.find(HOOKS, EVERYTHING, WHOLE)
    functions = {str(row["functionName"]) for row in declared if "functionName" in row}
    triggers = {(str(row.get("className")), str(row.get("triggerName"))) for row in declared}
    for name in toolbox.triggers.webhook_functions - functions:
        _uninstall(toolbox, {"functionName": name})
    for class_name, kind in toolbox.triggers.webhook_triggers - triggers:
        _uninstall(toolbox, {"className": class_name, "triggerName": kind})
    for row in declared:
        _install(toolbox, row)


# --- Declarations ----------------------------------------------------------------------------------------


async def list_hooks(toolbox: Toolbox, *, functions: bool) -> list[JsonObject]:
    """All functions, or all triggers."""
    rows = await toolbox.storage.find(HOOKS, EVERYTHING, WHOLE)
    return [_shown(row) for row in rows if ("functionName" in row) is functions]


async def read_hook(toolbox: Toolbox, key: Mapping[str, str]) -> JsonObject:
    """One hook, by `functionName` or by `className` and `triggerName` (143 if there is none)."""
    rows = await toolbox.storage.find(HOOKS, _where(key), WHOLE)
    if rows:
        return _shown(rows[0])
    if "functionName" in key:
        raise _refusal(f"no function named: {key['functionName']} is defined")
    raise _refusal(f"class {key['className']} does not exist")


async def create_hook(toolbox: Toolbox, context: RequestContext, body: JsonObject) -> JsonObject:
    """Declare a hook that does not exist yet."""
    _check_may_write(context)
    hook = _decode(body)
    key = _key_of(hook)
    if _is_taken(toolbox, key) or await toolbox.storage.count(HOOKS, _where(key)):
        if "functionName" in key:
            raise _refusal(f"function name: {key['functionName']} already exists")
        raise _refusal(f"class {key['className']} already has trigger {key['triggerName']}")
    now = encode_date(toolbox.clock.now())
    row: JsonObject = {"objectId": toolbox.ids.object_id(), "createdAt": now, "updatedAt": now, **hook}
    await toolbox.storage.insert(HOOKS, [row])
    _install(toolbox, row)
    await toolbox.caches.invalidate_hooks()
    return _shown(row)


async def update_hook(
    toolbox: Toolbox, context: RequestContext, key: Mapping[str, str], body: JsonObject
) -> JsonObject:
    """Let a hook live at another URL, or delete it (`{"__op": "Delete"}`)."""
    _check_may_write(context)
    if body.get("__op") == "Delete":
        return await _delete(toolbox, key)
    await read_hook(toolbox, key)
    hook = _decode({**key, **body})
    row = await toolbox.storage.update(HOOKS, _where(key), {"url": Set(hook["url"])})
    if row is None:
        raise object_not_found()
    _install(toolbox, row)
    await toolbox.caches.invalidate_hooks()
    return _shown(row)


async def _delete(toolbox: Toolbox, key: Mapping[str, str]) -> JsonObject:
    if not await toolbox.storage.delete(HOOKS, _where(key)):
        raise object_not_found()
    _uninstall(toolbox, key)
    await toolbox.caches.invalidate_hooks()
    return {}


def _check_may_write(context: RequestContext) -> None:
    if context.auth.is_read_only:
        raise permission_denied("Cannot perform a write operation when using readOnlyMasterKey")


def _decode(body: JsonObject) -> dict[str, str]:
    names = ("functionName", "className", "triggerName", "url")
    hook = {name: value for name in names if isinstance(value := body.get(name), str) and value}
    is_function = "functionName" in hook
    is_trigger = "className" in hook and hook.get("triggerName") in KINDS
    if "url" not in hook or is_function == is_trigger:
        raise _refusal("invalid hook declaration")
    return hook


def _key_of(hook: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in hook.items() if name != "url"}


def _where(key: Mapping[str, str]) -> Condition:
    return all_of(*(In(name, (value,)) for name, value in key.items()))


def _shown(row: JsonObject) -> JsonObject:
    return {name: row[name] for name in ("functionName", "className", "triggerName", "url") if name in row}


def _refusal(text: str) -> ParseError:
    return ParseError(ErrorCode.WEBHOOK_ERROR, text)


# --- Calls -----------------------------------------------------------------------------------------------


def _install(toolbox: Toolbox, row: JsonObject) -> None:
    triggers, url, key = toolbox.triggers, str(row["url"]), _key_of(_decode(row))
    if _is_taken(toolbox, key):
        log.warning("a webhook is not used: cloud code does the same", **key)
    elif "functionName" in key:
        triggers.webhook_functions.add(key["functionName"])
        triggers.functions[key["functionName"]] = _function_handler(toolbox, url)
    else:
        triggers.webhook_triggers.add((key["className"], key["triggerName"]))
        triggers.set(KINDS[key["triggerName"]], key["className"], _trigger_handler(toolbox, url))


def _uninstall(toolbox: Toolbox, key: Mapping[str, str]) -> None:
    triggers = toolbox.triggers
    if _is_taken(toolbox, key):
        return
    if "functionName" in key:
        triggers.webhook_functions.discard(key["functionName"])
        triggers.functions.pop(key["functionName"], None)
    else:
        triggers.webhook_triggers.discard((key["className"], key["triggerName"]))
        triggers.remove(KINDS[key["triggerName"]], key["className"])


def _is_taken(toolbox: Toolbox, key: Mapping[str, str]) -> bool:
    """Has the application's own code a hook there? What it guards, no webhook may open."""
    triggers = toolbox.triggers
    if "functionName" in key:
        name = key["functionName"]
        return name in triggers.functions and name not in triggers.webhook_functions
    place = (key["className"], key["triggerName"])
    own = triggers.get(KINDS[key["triggerName"]], key["className"])
    return own is not None and place not in triggers.webhook_triggers


def _function_handler(toolbox: Toolbox, url: str) -> FunctionHandler:
    async def handle(call: FunctionCall) -> FunctionAnswer:
        body: JsonObject = {
            **_caller(call.context),
            "functionName": call.name,
            "params": call.params,
            "context": call.context.cloud_context,
        }
        reply = await _call(toolbox, url, body)
        return FunctionAnswer(reply.get("success"), "success" in reply)

    return handle


def _trigger_handler(toolbox: Toolbox, url: str) -> Handler:
    async def handle(event: TriggerEvent) -> Json:
        success = (await _call(toolbox, url, _event_body(event))).get("success")
        match event:
            case SaveEvent(kind=TriggerKind.BEFORE_SAVE):
                if isinstance(success, dict) and success:
                    _replace_data(event.draft, success)
            case SaveEvent():
                return success if isinstance(success, dict) and success else None
            case FoundEvent():
                if not isinstance(success, list):
                    raise _failed()
                event.objects = [row for row in success if isinstance(row, dict)]
            case FindEvent() if isinstance(success, dict):
                event.parameters = success
        return None

    return handle


def _replace_data(draft: Draft, success: JsonObject) -> None:
    """What the hook answers is the data to save; what it left as it was keeps the client's operation."""
    answered = {name: value for name, value in success.items() if name not in NOT_DATA}
    current, original = draft.current, draft.original or {}
    kept: dict[str, Operation] = {}
    changed: JsonObject = {}
    for name, value in answered.items():
        if name in draft.operations and current.get(name) == value:
            kept[name] = draft.operations[name]
        elif original.get(name) != value:
            changed[name] = value
    draft.operations.clear()
    draft.operations.update(kept | decode_operations(changed, creating=draft.is_new))


def _event_body(event: TriggerEvent) -> JsonObject:
    body: JsonObject = {
        **_caller(event.context),
        "triggerName": event.kind.value,
        "context": event.cloud_context,
    }
    match event:
        case SaveEvent(draft=draft, original=original):
            body["object"] = _sent(event.class_name, {**draft.current, **_id_of(draft)})
            if original is not None:
                body["original"] = _sent(event.class_name, original)
        case ObjectEvent(object=obj):
            body["object"] = _sent(event.class_name, obj)
        case FindEvent(parameters=parameters, is_get=is_get, is_count=is_count):
            body |= {"query": parameters, "isGet": is_get, "count": is_count}
        case FoundEvent(objects=objects, parameters=parameters):
            body["objects"] = [_sent(event.class_name, obj) for obj in objects]
            body["query"] = parameters
    return body


def _id_of(draft: Draft) -> JsonObject:
    return {} if draft.is_new or draft.object_id is None else {"objectId": draft.object_id}


def _sent(class_name: str, obj: JsonObject) -> JsonObject:
    visible = {name: value for name, value in obj.items() if not name.startswith("_")}
    return {**visible, "className": class_name}


def _caller(context: RequestContext) -> JsonObject:
    auth = context.auth
    headers: JsonObject = {n: v for n, v in context.headers.items() if n.lower() not in SECRET_HEADERS}
    caller: JsonObject = {
        "master": auth.is_master,
        "isReadOnly": auth.is_read_only,
        "ip": context.ip,
        "headers": headers,
    }
    if context.installation_id is not None:
        caller["installationId"] = context.installation_id
    if auth.user is not None:
        caller["user"] = {**auth.user, "sessionToken": auth.session_token}
    return caller


async def _call(toolbox: Toolbox, url: str, body: JsonObject) -> JsonObject:
    """Post a request; the reply holds `success` or nothing. Raises 141 for `error` and for every failure."""
    headers = {"Content-Type": "application/json"}
    if toolbox.settings.webhook_key:
        headers["X-Parse-Webhook-Key"] = toolbox.settings.webhook_key
    if toolbox.http is None:
        raise _failed()
    try:
        status, content = await toolbox.http.post(url, headers, orjson.dumps(body))
    except OSError as failure:
        log.warning("a webhook could not be called", url=_place(url), error=str(failure))
        raise _failed() from failure
    if not 200 <= status < 300:  # a guard that has moved must not let everything pass
        log.warning("a webhook failed", url=_place(url), status=status)
        raise _failed()
    return _reply(content)


def _place(url: str) -> str:
    """Where a webhook is, for the log: what stands before the host or behind the path may be a secret."""
    before, _, rest = url.partition("//")
    return f"{before}//" + rest.partition("?")[0].rpartition("@")[2]


def _reply(content: bytes) -> JsonObject:
    try:
        reply: Json = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(reply, dict):
        return {}
    error = reply.get("error")
    if error is None:
        return reply
    if isinstance(error, str):
        raise ParseError(ErrorCode.SCRIPT_FAILED, error)
    message = error.get("message") if isinstance(error, dict) else None
    if isinstance(message, str):
        raise ParseError(ErrorCode.SCRIPT_FAILED, message)
    raise ParseError(ErrorCode.SCRIPT_FAILED, "Webhook failed.", value=error)


def _failed() -> ParseError:
    return ParseError(ErrorCode.SCRIPT_FAILED, "Webhook failed.")
