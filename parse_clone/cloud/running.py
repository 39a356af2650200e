"""Running an author's function: its typed request, its validator, its time limit, its failures, its answer.

A hook that raises, hangs or returns nonsense harms its own request only; the log names file and line.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import traceback
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Thread
from typing import Any, TypeVar

import structlog

from parse_clone.cloud import requests as typed
from parse_clone.cloud.client import Client
from parse_clone.cloud.objects import ParseObject
from parse_clone.cloud.validators import ParamsSubject, Subject, Validator, as_validation_error, check
from parse_clone.cloud.values import to_native, to_wire, to_wire_object
from parse_clone.core.context import RequestContext
from parse_clone.core.draft import Draft
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import (
    FILE,
    ConfigEvent,
    ConnectEvent,
    ConnectionEvent,
    FileEvent,
    FindEvent,
    FoundEvent,
    FunctionAnswer,
    FunctionCall,
    FunctionHandler,
    Handler,
    JobCall,
    JobHandler,
    LiveEventEvent,
    ObjectEvent,
    SaveEvent,
    SubscribeEvent,
    TriggerEvent,
    TriggerKind,
    UnitOfWork,
)

log = structlog.get_logger("cloud")

T = TypeVar("T")
Author = Callable[..., Any]
Check = Validator | Callable[[Any], Any] | None


@dataclass(frozen=True, slots=True)
class Hook:
    """An author's function with its validator and time limit (seconds; None: none)."""

    function: Author
    validator: Check = None
    time_limit: float | None = None
    silent_failure: str = "Script failed. Unknown error."
    """What the client reads of an exception without a text."""
    failure_code: int = ErrorCode.SCRIPT_FAILED
    """The code of an exception that brings none."""

    async def passes(self, request: typed.Request, subject: Subject) -> bool:
        """Ask the validator. False: skip the hook."""
        if self.validator is None:
            return True
        return await self._in_time(
            self._validate(self.validator, request, subject), ErrorCode.VALIDATION_ERROR
        )

    async def call(self, *arguments: Any) -> Any:
        """Run the function. Whatever goes wrong becomes a ParseError; 141 unless the author chose a code."""
        return await self._in_time(self.run(*arguments), self.failure_code)

    async def _in_time(self, work: Coroutine[Any, Any, T], code: int) -> T:
        """Fail with a code what takes longer than the time limit."""
        try:
            async with asyncio.timeout(self.time_limit):
                return await work
        except TimeoutError as failure:
            log.error("cloud code took too long", hook=self.place, seconds=self.time_limit)
            raise ParseError(code, "Script timed out.") from failure

    async def _validate(
        self, validator: Validator | Author, request: typed.Request, subject: Subject
    ) -> bool:
        if isinstance(validator, Validator):
            return await check(validator, subject)
        try:
            await run_author(validator, request)
        except Exception as failure:
            raise as_validation_error(failure) from failure
        return True

    async def run(self, *arguments: Any) -> Any:
        """Run the function, however long it takes."""
        try:
            return await run_author(self.function, *arguments)
        except ParseError:
            raise
        except Exception as failure:
            frame = traceback.extract_tb(failure.__traceback__)[-1]
            log.error(
                "cloud code failed",
                hook=self.place,
                at=f"{frame.filename}:{frame.lineno}",
                error=f"{type(failure).__name__}: {failure}",
            )
            raise ParseError(self.failure_code, str(failure) or self.silent_failure) from failure

    def refuse_nonsense(self, failure: Exception) -> ParseError:
        """Build the error for an answer, or a change of the request, that the server cannot use."""
        log.error(
            "cloud code answered nonsense", hook=self.place, error=f"{type(failure).__name__}: {failure}"
        )
        return ParseError(self.failure_code, self.silent_failure)

    @property
    def place(self) -> str:
        """Where the author wrote it."""
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        name = getattr(self.function, "__qualname__", repr(self.function))
        return name if code is None else f"{name} ({code.co_filename}:{code.co_firstlineno})"


async def run_author(function: Author, *arguments: Any) -> Any:
    """Run an author's function; a plain one in a thread."""
    if inspect.iscoroutinefunction(function):
        return await function(*arguments)
    answer = await run_in_own_thread(function, *arguments)
    return await answer if inspect.isawaitable(answer) else answer


async def run_in_own_thread(function: Author, *arguments: Any) -> Any:
    """Run a plain function in a thread of its own: one that hangs takes no worker of a pool that others need,
    and does not hold up the end of the process."""
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(answer: Any, failure: BaseException | None) -> None:
        if done.cancelled():
            return
        if failure is None:
            done.set_result(answer)
        else:
            done.set_exception(failure)

    def run() -> None:
        answer: Any = None
        failure: BaseException | None = None
        try:
            answer = context.run(function, *arguments)
        except StopIteration as error:  # a future cannot hold one
            failure = RuntimeError(f"StopIteration: {error}")
        except BaseException as error:
            failure = error
        with suppress(RuntimeError):  # the server has ended meanwhile
            loop.call_soon_threadsafe(settle, answer, failure)

    Thread(target=run, name="cloud code", daemon=True).start()
    return await done


def failure_code(kind: TriggerKind, class_name: str) -> int:
    """The code of a hook's failure that brings none: that of the work it guards."""
    if class_name == FILE and kind in (TriggerKind.BEFORE_SAVE, TriggerKind.AFTER_SAVE):
        return ErrorCode.FILE_SAVE_ERROR
    if class_name == FILE and kind in (TriggerKind.BEFORE_DELETE, TriggerKind.AFTER_DELETE):
        return ErrorCode.FILE_DELETE_ERROR
    return ErrorCode.SCRIPT_FAILED


def caller_of(toolbox: Toolbox, event: TriggerEvent) -> dict[str, Any]:
    """The members that every typed request has."""
    return {
        "name": event.kind.value,
        "caller": event.context,
        "client": client_of(toolbox, event.context, event.work),
        "context": event.cloud_context,
    }


def client_of(toolbox: Toolbox, context: RequestContext, work: UnitOfWork | None) -> Client:
    """A client with the caller's rights, in the request's transaction."""
    if work is not None:
        toolbox = replace(toolbox, storage=work.storage, changes=work.changes, caches=work.caches)
    return Client(toolbox, context)


# --- Triggers: one function per shape of event -----------------------------------------------------------


def trigger_handler(toolbox: Toolbox, hook: Hook) -> Handler:
    """Make the handler of a trigger."""

    async def handle(event: TriggerEvent) -> Json:
        try:
            return await run_event(event)
        except (TypeError, ValueError, AttributeError) as failure:
            raise hook.refuse_nonsense(failure) from failure

    async def run_event(event: TriggerEvent) -> Json:
        match event:
            case SaveEvent():
                return await run_save(toolbox, hook, event)
            case FindEvent():
                return await run_before_find(toolbox, hook, event)
            case FoundEvent():
                return await run_after_find(toolbox, hook, event)
            case FileEvent():
                return await run_file(toolbox, hook, event)
            case ConfigEvent():
                return await run_config(toolbox, hook, event)
            case ObjectEvent():
                return await run_object(toolbox, hook, event)
            case ConnectEvent():
                return await run_connect(toolbox, hook, event)
            case ConnectionEvent():
                return await run_connection(toolbox, hook, event)
            case SubscribeEvent():
                return await run_subscribe(toolbox, hook, event)
            case LiveEventEvent():
                return await run_live_event(toolbox, hook, event)
            case _:
                raise TypeError(f"no hook can take a {type(event).__name__}")

    return handle


async def run_save(toolbox: Toolbox, hook: Hook, event: SaveEvent) -> Json:
    """beforeSave, afterSave."""
    request: typed.Request
    if event.kind is TriggerKind.BEFORE_SAVE:
        request = typed.BeforeSave(**caller_of(toolbox, event), draft=event.draft)
    else:
        request = typed.AfterSave(**caller_of(toolbox, event), draft=event.draft, before=event.original)
    if not await hook.passes(request, DraftSubject(event.context, event.draft)):
        return None
    answer = await hook.call(request)
    return to_wire(answer) if isinstance(answer, dict) else None


async def run_object(toolbox: Toolbox, hook: Hook, event: ObjectEvent) -> Json:
    """Deletes, logins, logout, password reset."""
    request_type = OBJECT_REQUESTS[event.kind]
    obj = ParseObject(event.class_name, event.object)
    request = request_type(**caller_of(toolbox, event), object=obj)
    if await hook.passes(request, ParamsSubject(event.context, event.object)):
        await hook.call(request)
    return None


OBJECT_REQUESTS: dict[TriggerKind, type[typed.ObjectRequest]] = {
    TriggerKind.BEFORE_DELETE: typed.BeforeDelete,
    TriggerKind.AFTER_DELETE: typed.AfterDelete,
    TriggerKind.BEFORE_LOGIN: typed.BeforeLogin,
    TriggerKind.AFTER_LOGIN: typed.AfterLogin,
    TriggerKind.AFTER_LOGOUT: typed.AfterLogout,
    TriggerKind.BEFORE_PASSWORD_RESET_REQUEST: typed.BeforePasswordReset,
}


async def run_before_find(toolbox: Toolbox, hook: Hook, event: FindEvent) -> Json:
    """The hook changes the query, returns other parameters, or answers with objects."""
    request = typed.BeforeFind(
        **caller_of(toolbox, event),
        class_name=event.class_name,
        query=event.parameters,
        is_get=event.is_get,
        is_count=event.is_count,
    )
    if not await hook.passes(request, ParamsSubject(event.context)):
        return None
    answer = await hook.call(request)
    objects = as_objects(answer) if answer is not None else request.results
    if objects is not None:
        event.results = [obj.to_json() for obj in objects]
    event.parameters = as_json_object(request.query)
    return None


async def run_after_find(toolbox: Toolbox, hook: Hook, event: FoundEvent) -> Json:
    """The hook changes the objects or returns a list of others."""
    request = typed.AfterFind(
        **caller_of(toolbox, event),
        class_name=event.class_name,
        objects=[ParseObject(event.class_name, row) for row in event.objects],
        query=event.parameters,
        is_get=event.is_get,
    )
    if not await hook.passes(request, ParamsSubject(event.context)):
        return None
    answer = await hook.call(request)
    objects = request.objects if answer is None else as_objects(answer)
    if objects is None:
        raise TypeError(f"a list of objects was expected, not {answer!r:.80}")
    event.objects = [obj.to_answer() for obj in objects]
    return None


def as_json_object(value: Any) -> JsonObject:
    """What an author put in the place of a JSON object. Raises TypeError if it is none."""
    if not isinstance(value, dict):
        raise TypeError(f"a dict was expected, not {value!r:.80}")
    return to_wire_object(value)


def as_objects(answer: Any) -> list[ParseObject] | None:
    """An object or a list of objects, as a list; None for anything else."""
    if isinstance(answer, ParseObject):
        return [answer]
    if isinstance(answer, list) and all(isinstance(item, ParseObject) for item in answer):
        return answer
    return None


async def run_file(toolbox: Toolbox, hook: Hook, event: FileEvent) -> Json:
    """The hook changes the file's members and, on download, how it is sent."""
    request = typed.FileRequest(
        **caller_of(toolbox, event),
        file=event.file,
        content=event.content,
        size=event.size,
        is_stream=event.is_stream,
        response_headers=event.response_headers,
    )
    if not await hook.passes(request, ParamsSubject(event.context)):
        return None
    await hook.call(request)
    if not isinstance(request.content, bytes | None):
        raise TypeError(f"content is bytes, not {request.content!r:.80}")
    event.file, event.content = as_json_object(request.file), request.content
    event.force_download = bool(request.force_download)
    event.response_headers = {str(name): str(value) for name, value in request.response_headers.items()}
    return None


async def run_config(toolbox: Toolbox, hook: Hook, event: ConfigEvent) -> Json:
    """The hook may only refuse."""
    request = typed.ConfigRequest(**caller_of(toolbox, event), params=event.params, original=event.original)
    if await hook.passes(request, ParamsSubject(event.context, event.params)):
        await hook.call(request)
    return None


async def run_connect(toolbox: Toolbox, hook: Hook, event: ConnectEvent) -> Json:
    """The hook may only refuse."""
    request = typed.ConnectRequest(
        **caller_of(toolbox, event), clients=event.clients, subscriptions=event.subscriptions
    )
    if await hook.passes(request, ParamsSubject(event.context)):
        await hook.call(request)
    return None


async def run_connection(toolbox: Toolbox, hook: Hook, event: ConnectionEvent) -> Json:
    """The hook hears of what has happened."""
    request = typed.ConnectionEventRequest(
        **caller_of(toolbox, event),
        event=event.event,
        clients=event.clients,
        subscriptions=event.subscriptions,
        error=event.error,
    )
    await hook.call(request)
    return None


async def run_subscribe(toolbox: Toolbox, hook: Hook, event: SubscribeEvent) -> Json:
    """The hook changes what is watched."""
    request = typed.SubscribeRequest(
        **caller_of(toolbox, event),
        class_name=event.class_name,
        request_id=event.request_id,
        where=event.where,
        keys=event.keys,
        watch=event.watch,
    )
    if await hook.passes(request, ParamsSubject(event.context)):
        await hook.call(request)
        event.where = as_json_object(request.where)
        event.keys, event.watch = as_names(request.keys), as_names(request.watch)
    return None


def as_names(value: Any) -> list[str] | None:
    """Field names, or None for all. Raises TypeError for anything else."""
    if value is not None and not all(isinstance(name, str) for name in value):
        raise TypeError(f"field names were expected, not {value!r:.80}")
    return None if value is None else list(value)


async def run_live_event(toolbox: Toolbox, hook: Hook, event: LiveEventEvent) -> Json:
    """The hook changes one subscriber's copy of an event, or keeps it back."""
    original = None if event.original is None else ParseObject(event.class_name, event.original)
    request = typed.LiveQueryEventRequest(
        **caller_of(toolbox, event),
        event=event.event,
        object=ParseObject(event.class_name, event.object),
        original=original,
        send_event=event.send_event,
        clients=event.clients,
        subscriptions=event.subscriptions,
    )
    if not await hook.passes(request, ParamsSubject(event.context, event.object)):
        return None
    await hook.call(request)
    event.event, event.send_event = request.event, bool(request.send_event)
    event.object = {"className": request.object.class_name, **request.object.to_answer()}
    if request.original is not None:
        event.original = {"className": request.original.class_name, **request.original.to_answer()}
    return None


@dataclass(frozen=True, slots=True)
class DraftSubject:
    """The values of an object that is being saved."""

    caller: RequestContext
    draft: Draft

    is_object = True

    def value(self, key: str) -> Json:
        return self.draft.get(key)

    def has(self, key: str) -> bool:
        return key in self.draft.current

    def replace(self, key: str, value: Json) -> None:
        if value is None and self.draft.original is not None and key not in self.draft.original:
            self.draft.revert(key)
        else:
            self.draft.set(key, value)

    @property
    def original(self) -> JsonObject | None:
        return self.draft.original

    @property
    def effective_user(self) -> JsonObject | None:
        if self.draft.class_name == "_User" and self.draft.is_new and self.caller.auth.user is None:
            return self.draft.current
        return self.caller.auth.user


# --- Functions and jobs ----------------------------------------------------------------------------------


def function_handler(toolbox: Toolbox, hook: Hook) -> FunctionHandler:
    """Make the handler of a function. One that takes a second parameter gets a `FunctionResponse`."""
    takes_response = len(inspect.signature(hook.function).parameters) > 1

    async def handle(call: FunctionCall) -> FunctionAnswer:
        request = typed.FunctionRequest(
            name=call.name,
            caller=call.context,
            client=client_of(toolbox, call.context, call.work),
            context=call.context.cloud_context,
            params={},
            files=call.files,
        )
        await hook.passes(request, ParamsSubject(call.context, call.params))
        request.params = to_native(call.params)
        response = typed.FunctionResponse()
        value = await hook.call(request, response) if takes_response else await hook.call(request)
        try:
            return FunctionAnswer(to_wire(value), value is not None, response.status, response.headers)
        except (TypeError, ValueError) as failure:
            log.error("a function answered what cannot be sent", hook=hook.place, error=str(failure))
            raise ParseError(ErrorCode.SCRIPT_FAILED, str(failure)) from failure

    return handle


def job_handler(toolbox: Toolbox, hook: Hook) -> JobHandler:
    """Make the handler of a job."""

    async def handle(call: JobCall) -> Json:
        request = typed.JobRequest(
            name=call.name,
            caller=call.context,
            client=Client.master(toolbox),
            params=to_native(call.params),
            job_id=call.job_id,
            report=call.report,
        )
        answer = await hook.run(request)
        return answer if isinstance(answer, str) else None

    return handle
