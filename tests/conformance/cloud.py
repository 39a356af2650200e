"""Cloud code of the test process behind the server's own API: each handler is an author's function that asks
the test process over HTTP. Handlers survive a reconfiguration: they are registered with every application."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from parse_clone.cloud import Cloud, ParseError, Validator
from parse_clone.cloud import Field as FieldRule
from parse_clone.cloud import RateLimit as Limit
from parse_clone.cloud.registration import check_callable_name, check_class_trigger
from parse_clone.cloud.requests import JobRequest, Request
from parse_clone.cloud.running import Hook, failure_code, trigger_handler
from parse_clone.cloud.validators import ParamsSubject
from parse_clone.core.context import RequestContext
from parse_clone.core.draft import Draft
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.operations import Set, decode_operations, encode_operation
from parse_clone.errors import ErrorCode
from parse_clone.services.triggers import (
    CONFIG,
    CONNECT,
    FILE,
    ConfigEvent,
    ConnectEvent,
    ConnectionEvent,
    FileEvent,
    FindEvent,
    FoundEvent,
    FunctionAnswer,
    FunctionCall,
    JobCall,
    LiveEventEvent,
    ObjectEvent,
    SaveEvent,
    SubscribeEvent,
    TriggerEvent,
    TriggerKind,
)
from tests.conformance.wire import UNDEFINED, RemoteError, strip

Remote = Callable[[str], Callable[..., Awaitable[Any]]]


class Refused(Exception):
    """The server would refuse the registration; the text is what parse-server throws, a plain string."""


@dataclass
class RemoteCloud:
    """All handlers of the test process."""

    client: httpx.AsyncClient
    remote: Remote
    cloud: Cloud | None = None
    registrations: dict[tuple[str, str], JsonObject] = field(default_factory=dict)
    reports: dict[str, Callable[[str], Awaitable[None]]] = field(default_factory=dict)

    def register(self, cloud: Cloud) -> None:
        """Register every known handler with a new application."""
        self.cloud = cloud
        for body in self.registrations.values():
            self._install(body)

    def clear(self) -> None:
        """Forget every handler."""
        self.registrations.clear()
        if self.cloud is not None:
            self.cloud.toolbox.triggers.clear()

    async def handle(self, body: JsonObject) -> bool:
        """Carry out a control request; True if the application must be made anew (rate limits)."""
        match body["op"]:
            case "clear":
                self.clear()
            case "message":
                report = self.reports.get(str(body["jobId"]))
                message = strip(body["message"])
                if report is not None and isinstance(message, str):
                    await report(message)
            case "set":
                return self._set(body)
        return False

    def _set(self, body: JsonObject) -> bool:
        kind, name = str(body["kind"]), str(body.get("name") or "")
        validator = decode_validator(body.get("validator"), self.remote)
        if kind in ("function", "job"):
            try:
                check_callable_name(name)
            except ValueError:
                return False
        elif kind not in ("beforeConnect", "onLiveQueryEvent"):
            try:
                check_class_trigger(TriggerKind(kind), name)
            except ValueError as error:
                raise Refused(str(error)) from None
        self.registrations[kind, name] = body
        self._install(body)
        return isinstance(validator, Validator) and validator.rate_limit is not None

    def _install(self, body: JsonObject) -> None:
        assert self.cloud is not None
        kind, name = str(body["kind"]), str(body.get("name") or "")
        validator = decode_validator(body.get("validator"), self.remote)
        handler = RemoteHandler(self.client, str(body["url"]), str(body["id"]), kind)
        triggers = self.cloud.toolbox.triggers
        match kind:
            case "function":
                triggers.functions[name] = function_of(handler, validator)
            case "job":
                triggers.jobs[name] = job_of(handler, self.reports)
            case _:
                places = {
                    "beforeConnect": CONNECT,
                    "onLiveQueryEvent": CONNECT,
                    "@File": FILE,
                    "@Config": CONFIG,
                }
                class_name = places.get(name or kind, name)
                handler = replace(handler, failure_code=failure_code(TriggerKind(kind), class_name))
                triggers.set(TriggerKind(kind), class_name, trigger_of(self.cloud, handler, validator))
        limit = validator.rate_limit if isinstance(validator, Validator) else None
        if limit is not None:
            route = f"/functions/{name}" if kind == "function" else f"{kind}:{name}"
            self.cloud.rate_limits.append((route, limit))


@dataclass(frozen=True)
class RemoteHandler:
    """A handler in the test process."""

    client: httpx.AsyncClient
    url: str
    identifier: str
    kind: str
    failure_code: int = ErrorCode.SCRIPT_FAILED

    async def __call__(self, request: JsonObject) -> tuple[Any, JsonObject]:
        """Ask it; answers its result (`UNDEFINED` if none) and the state of the request afterwards."""
        body = {"id": self.identifier, "kind": self.kind, "args": [request]}
        reply = (await self.client.post(self.url, json=body)).json()
        if "error" in reply:
            raise resolve_error(reply["error"], self.failure_code, is_function=self.kind == "function")
        return reply.get("result", UNDEFINED), reply.get("request", {})


def resolve_error(
    error: Any, code: int = ErrorCode.SCRIPT_FAILED, *, is_function: bool = False
) -> ParseError:
    """What a thrown value means to a client."""
    error = {} if error == {"__type": "Undefined"} else error
    if isinstance(error, str):
        return ParseError(code, error)
    if isinstance(error, dict) and error.get("__type") == "Error":
        return ParseError(error.get("code", code), error.get("message"))
    if isinstance(error, dict) and "message" in error:
        return ParseError(code, error["message"])
    if not error:
        if code == ErrorCode.VALIDATION_ERROR:
            return ParseError(code, "Validation failed.")
        return ParseError(code, "Script failed." if is_function else "Script failed. Unknown error.")
    return ParseError(code, str(error), value=strip(error))


# --- Requests --------------------------------------------------------------------------------------------


def common(context: RequestContext, cloud_context: JsonObject) -> JsonObject:
    """The members of every request."""
    request: JsonObject = {
        "master": context.auth.is_master,
        "ip": context.ip,
        "headers": dict(context.headers),
        "context": cloud_context,
    }
    if context.installation_id is not None:
        request["installationId"] = context.installation_id
    user = context.auth.user
    if user is not None:
        request["user"] = encode_object("_User", {**user, "sessionToken": context.auth.session_token})
    return request


def encode_object(class_name: str, fields: JsonObject, **further: Any) -> JsonObject:
    """An object in full."""
    shown = {key: value for key, value in fields.items() if not key.startswith("_")}
    return {**shown, "__type": "Object", "className": class_name, **further}


def decode_object(value: JsonObject) -> JsonObject:
    """The fields of an object in full, pending changes applied; an object in a field stays whole."""
    fields = {k: v for k, v in value.items() if k not in ("__type", "__pending", "__existed")}
    pending = without_undefined(value.get("__pending") or {})
    embedded = {key: item for key, item in pending.items() if to_pointer(item) != item}
    operations = decode_operations({k: v for k, v in pending.items() if k not in embedded}, creating=False)
    draft = Draft(str(value.get("className")), None, fields, operations)
    return {**draft.current, **embedded}


def without_undefined(values: JsonObject) -> JsonObject:
    """Leave out what was not given."""
    return {key: strip(value) for key, value in values.items() if value != {"__type": "Undefined"}}


def trigger_of(cloud: Cloud, handler: RemoteHandler, validator: Any) -> Any:
    """A trigger whose validator is the server's and whose handler is remote."""
    validated = trigger_handler(cloud.toolbox, Hook(lambda request: None, validator, 30))

    async def handle(event: TriggerEvent) -> Json:
        auth = event.context.auth
        if validator is not None:
            await validated(event)
        if isinstance(validator, Validator) and validator.skip_with_master_key and auth.is_master:
            return None
        custom_ids = cloud.toolbox.settings.allow_custom_object_id
        return await ask(event, handler, tells_new_ids=custom_ids)

    return handle


async def ask(event: TriggerEvent, handler: RemoteHandler, *, tells_new_ids: bool) -> Json:
    """Send an event to the test process and take its changes over. parse-server makes an object's id after
    beforeSave, so that hooks are told one of a new object only where a client may bring it."""
    request = {"triggerName": event.kind.value, **common(event.context, event.cloud_context)}
    match event:
        case SaveEvent():
            return await ask_save(event, handler, request, tells_new_ids=tells_new_ids)
        case FindEvent():
            await ask_find(event, handler, request)
        case FoundEvent():
            await ask_found(event, handler, request)
        case FileEvent():
            await ask_file(event, handler, request)
        case ConfigEvent():
            request["object"] = {"__type": "Config", "attributes": event.params}
            if event.original is not None:
                request["original"] = {"__type": "Config", "attributes": event.original}
            take_context(event, (await handler(request))[1])
        case ObjectEvent():
            request["object"] = encode_object(event.class_name, event.object)
            if event.kind is TriggerKind.BEFORE_LOGIN:
                request.pop("user", None)
            take_context(event, (await handler(request))[1])
        case ConnectEvent() | ConnectionEvent() | SubscribeEvent() | LiveEventEvent():
            await ask_live(event, handler, request)
    return None


def take_context(event: TriggerEvent, after: JsonObject) -> None:
    context = after.get("context")
    if isinstance(context, dict):
        event.cloud_context.clear()
        event.cloud_context.update(strip(context))


async def ask_save(
    event: SaveEvent, handler: RemoteHandler, request: JsonObject, *, tells_new_ids: bool
) -> Json:
    draft = event.draft
    pending = {key: encode_operation(operation) for key, operation in draft.operations.items()}
    is_before = event.kind is TriggerKind.BEFORE_SAVE
    stored = draft.original or {}
    further: JsonObject = {"__existed": event.original is not None}
    if draft.is_new and tells_new_ids:
        further["objectId"] = draft.object_id
    if is_before:
        further["__pending"] = pending
    request["object"] = encode_object(event.class_name, stored, **further)
    if event.original is not None:
        request["original"] = encode_object(event.class_name, event.original)
    result, after = await handler(request)
    take_context(event, after)
    changed = after.get("object")
    if isinstance(changed, dict) and "__pending" in changed:
        operations = decode_operations(without_undefined(changed["__pending"]), creating=draft.is_new)
        draft.operations.clear()
        draft.operations.update(operations)
        object_id = changed.get("objectId")
        if is_before and draft.is_new and isinstance(object_id, str):
            draft.object_id = object_id
    if event.kind is TriggerKind.AFTER_SAVE and isinstance(changed, dict):
        take_saved_fields(draft, changed)
    if isinstance(result, dict) and "__type" not in result:
        return strip(result)
    return None


def take_saved_fields(draft: Draft, changed: JsonObject) -> None:
    """What an afterSave handler set and stored itself is part of the answer, as what it only set; objects in
    full."""
    stored = draft.original or {}
    for key, value in changed.items():
        if key in ("className", "createdAt", "updatedAt") or key.startswith("__"):
            continue
        if value != stored.get(key):
            draft.operations[key] = Set(strip(value))


def to_pointer(value: Json) -> Json:
    """A nested object as it is stored."""
    if isinstance(value, dict) and value.get("__type") == "Object":
        return {"__type": "Pointer", "className": value["className"], "objectId": value["objectId"]}
    return value


async def ask_find(event: FindEvent, handler: RemoteHandler, request: JsonObject) -> None:
    query = {"__type": "Query", "className": event.class_name, "json": event.parameters}
    result, after = await handler({**request, "query": query, "isGet": event.is_get, "count": event.is_count})
    take_context(event, after)
    chosen = result if isinstance(result, dict) and result.get("__type") == "Query" else after.get("query")
    if isinstance(chosen, dict):
        event.parameters = strip(chosen["json"])
    for name in ("readPreference", "includeReadPreference", "subqueryReadPreference"):
        if name in after:
            event.parameters[name] = after[name]
    objects = result if isinstance(result, list) else [result]
    if result is not UNDEFINED and all(isinstance(o, dict) and o.get("__type") == "Object" for o in objects):
        event.results = [decode_object(found) for found in objects]


async def ask_found(event: FoundEvent, handler: RemoteHandler, request: JsonObject) -> None:
    objects = [encode_object(str(row.get("className", event.class_name)), row) for row in event.objects]
    query = {"__type": "Query", "className": event.class_name, "json": event.parameters}
    result, after = await handler({**request, "objects": objects, "query": query, "isGet": event.is_get})
    take_context(event, after)
    chosen = result if isinstance(result, list) else after.get("objects")
    if isinstance(chosen, list):
        event.objects = [decode_object(found) for found in chosen if isinstance(found, dict)]


async def ask_file(event: FileEvent, handler: RemoteHandler, request: JsonObject) -> None:
    file = {"__type": "File", **event.file}
    if event.content is not None:
        file["data"] = b64encode(event.content).decode()
    result, after = await handler({**request, "file": file, "fileSize": event.size})
    chosen = result if isinstance(result, dict) else after.get("file")
    if isinstance(chosen, dict):
        event.file.update({k: strip(v) for k, v in chosen.items() if k not in ("__type", "data")})
        if isinstance(chosen.get("data"), str):
            event.content = b64decode(chosen["data"])


async def ask_live(
    event: ConnectEvent | ConnectionEvent | SubscribeEvent | LiveEventEvent,
    handler: RemoteHandler,
    request: JsonObject,
) -> None:
    auth = event.context.auth
    request["useMasterKey"] = auth.is_master
    request.pop("master")
    if auth.session_token is not None:
        request["sessionToken"] = auth.session_token
    match event:
        case ConnectEvent(clients=clients, subscriptions=subscriptions):
            request |= {"event": "connect", "clients": clients, "subscriptions": subscriptions}
            await handler(request)
        case ConnectionEvent(event=name, clients=clients, subscriptions=subscriptions):
            request |= {"event": name, "clients": clients, "subscriptions": subscriptions}
            if event.error is not None:
                request["error"] = event.error
            await handler(request)
        case SubscribeEvent():
            json: JsonObject = {"where": event.where}
            if event.keys is not None:
                json["keys"] = ",".join(event.keys)
            if event.watch is not None:
                json["watch"] = ",".join(event.watch)
            query = {"__type": "Query", "className": event.class_name, "json": json}
            result, after = await handler(
                {**request, "op": "subscribe", "requestId": event.request_id, "query": query}
            )
            chosen = result if isinstance(result, dict) and "json" in result else after.get("query")
            if isinstance(chosen, dict):
                event.where = strip(chosen["json"].get("where", {}))
                event.keys = split(chosen["json"].get("keys"))
                event.watch = split(chosen["json"].get("watch"))
        case LiveEventEvent():
            request |= {
                "event": event.event,
                "object": encode_object(event.class_name, event.object),
                "clients": event.clients,
                "subscriptions": event.subscriptions,
                "sendEvent": True,
            }
            if event.original is not None:
                request["original"] = encode_object(event.class_name, event.original)
            _, after = await handler(request)
            event.send_event = after.get("sendEvent", True)
            if isinstance(after.get("object"), dict):
                event.object = decode_object(after["object"])
            if isinstance(after.get("original"), dict):
                event.original = decode_object(after["original"])


def split(names: Any) -> list[str] | None:
    if isinstance(names, str):
        return names.split(",") if names else None
    return names if isinstance(names, list) else None


# --- Functions and jobs ----------------------------------------------------------------------------------


def function_of(handler: RemoteHandler, validator: Any) -> Any:
    async def call(call: FunctionCall) -> FunctionAnswer:
        hook = Hook(lambda request: None, validator, 30)
        request = {
            "functionName": call.name,
            "params": call.params,
            **common(call.context, call.context.cloud_context),
        }
        if validator is not None:
            asked = RemoteRequest(name=call.name, caller=call.context, client=None, wire=request)  # type: ignore[arg-type]
            await hook.passes(asked, ParamsSubject(call.context, call.params))
        result, after = await handler(request)
        if isinstance(after.get("context"), dict):
            call.context.cloud_context.update(strip(after["context"]))
        has_value = result is not UNDEFINED
        return FunctionAnswer(strip(result) if has_value else None, has_value)

    return call


def job_of(handler: RemoteHandler, reports: dict[str, Callable[[str], Awaitable[None]]]) -> Any:
    async def run(call: JobCall) -> Json:
        reports[call.job_id] = call.report
        request = {
            "jobName": call.name,
            "jobId": call.job_id,
            "params": call.params,
            "ip": call.context.ip,
            "headers": dict(call.context.headers),
        }
        result, _ = await handler(request)
        return result if isinstance(result, str) else None

    return run


@dataclass(kw_only=True)
class RemoteRequest(Request):
    """A request that a remote validator is asked about, in its encoded form."""

    wire: JsonObject


# --- Validators ------------------------------------------------------------------------------------------

KINDS: Mapping[str, str] = {
    "requireUser": "boolean",
    "requireMaster": "boolean",
    "validateMasterKey": "boolean",
    "skipWithMasterKey": "boolean",
    "requireAnyUserRoles": "array|function",
    "requireAllUserRoles": "array|function",
    "requireUserKeys": "array|object",
    "fields": "array|object",
    "rateLimit": "object",
}
FIELD_KINDS: Mapping[str, str] = {
    "default": "any",
    "required": "boolean",
    "type": "any",
    "constant": "boolean",
    "options": "array|function|any",
    "error": "string",
}
TYPES: Mapping[str, type] = {"String": str, "Number": float, "Boolean": bool, "Array": list, "Object": dict}


def decode_validator(value: Any, remote: Remote) -> Any:
    """A validator as the server knows it; raises `Refused` with parse-server's text."""
    if value is None:
        return None
    if "__remote" in value:
        return remote_validator(remote(value["__remote"]))
    check_kinds(value, KINDS)
    members: dict[str, Any] = {}
    for key, item in value.items():
        name = "".join(f"_{c.lower()}" if c.isupper() else c for c in key)
        match key:
            case "fields" | "requireUserKeys":
                members[name] = decode_fields(item, remote)
            case "rateLimit":
                members[name] = decode_rate_limit(item)
            case "requireAnyUserRoles" | "requireAllUserRoles":
                members[name] = remote(item["__remote"]) if isinstance(item, dict) else tuple(item)
            case _:
                members[name] = item
    return Validator(**members)


def remote_validator(function: Callable[..., Awaitable[Any]]) -> Callable[[Any], Awaitable[None]]:
    async def validate(request: Any) -> None:
        wire = request.wire if isinstance(request, RemoteRequest) else encode_request(request)
        try:
            await function(wire)
        except ParseError:
            raise
        except RemoteError as error:
            raise resolve_error(error.value, ErrorCode.VALIDATION_ERROR) from None

    return validate


def encode_request(request: Request) -> JsonObject:
    """A typed request, as far as validators look at it."""
    encoded = common(request.caller, request.context)
    draft = getattr(request, "draft", None)
    if isinstance(draft, Draft):
        pending = {key: encode_operation(operation) for key, operation in draft.operations.items()}
        encoded["object"] = encode_object(draft.class_name, draft.original or {}, __pending=pending)
    if isinstance(request, JobRequest):
        encoded["params"] = request.params
    return encoded


def check_kinds(value: JsonObject, kinds: Mapping[str, str]) -> None:
    for key, item in value.items():
        expected = kinds.get(key)
        if expected is None:
            raise Refused(f"{key} is not a supported parameter for Cloud Function validations.")
        actual = kind_of(item)
        if "any" not in expected and actual not in expected.split("|"):
            raise Refused(
                f"Invalid type for Cloud Function validation key {key}. Expected {expected}, actual {actual}"
            )


def kind_of(value: Any) -> str:
    match value:
        case {"__remote": _}:
            return "function"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def decode_fields(value: Any, remote: Remote) -> Any:
    if isinstance(value, list):
        return tuple(value)
    rules: dict[str, Any] = {}
    for key, rule in value.items():
        if isinstance(rule, str):
            rules[key] = rule
            continue
        check_kinds(rule, FIELD_KINDS)
        options = rule.get("options")
        rules[key] = FieldRule(
            type=TYPES[rule["type"]["__ctor"]] if isinstance(rule.get("type"), dict) else None,
            required=rule.get("required", False),
            default=strip(rule.get("default")),
            constant=rule.get("constant", False),
            options=remote_option(remote(options["__remote"])) if kind_of(options) == "function" else options,
            error=rule.get("error"),
        )
    return rules


def remote_option(function: Callable[..., Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    async def accepts(value: Any) -> Any:
        try:
            return await function(value)
        except RemoteError as error:
            if error.value is None:
                return False
            raise resolve_error(error.value, ErrorCode.VALIDATION_ERROR) from None

    return accepts


def decode_rate_limit(value: JsonObject) -> Limit:
    members = {"".join(f"_{c.lower()}" if c.isupper() else c for c in key): v for key, v in value.items()}
    return replace(Limit(request_time_window=1, request_count=1), **members)  # type: ignore[arg-type]
