"""Which hook runs when: one table of handlers. Cloud code and webhooks put handlers in; steps run them.

An event is what a hook is told. Its mutable members are the hook's way to answer; the step that runs the
hook reads them back. How hook authors see an event is the business of `cloud/`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from parse_clone.core.context import RequestContext
from parse_clone.core.draft import Draft
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.operations import Operation
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.ports import Storage
from parse_clone.services.caches import Caches
from parse_clone.services.changes import ChangeFeed


class TriggerKind(Enum):
    """Every moment at which a hook may run; the value is Parse's own name."""

    BEFORE_SAVE = "beforeSave"
    AFTER_SAVE = "afterSave"
    BEFORE_DELETE = "beforeDelete"
    AFTER_DELETE = "afterDelete"
    BEFORE_FIND = "beforeFind"
    AFTER_FIND = "afterFind"
    BEFORE_LOGIN = "beforeLogin"
    AFTER_LOGIN = "afterLogin"
    AFTER_LOGOUT = "afterLogout"
    BEFORE_PASSWORD_RESET_REQUEST = "beforePasswordResetRequest"  # noqa: S105
    BEFORE_CONNECT = "beforeConnect"
    BEFORE_SUBSCRIBE = "beforeSubscribe"
    AFTER_EVENT = "afterEvent"
    ON_LIVE_QUERY_EVENT = "onLiveQueryEvent"


FILE = "@File"
CONFIG = "@Config"
CONNECT = "@Connect"


@dataclass(frozen=True, slots=True)
class UnitOfWork:
    """The request's storage, feed and caches: what a hook's own calls use to take part in its transaction."""

    storage: Storage
    changes: ChangeFeed
    caches: Caches


@dataclass(slots=True)
class TriggerEvent:
    """What every hook is told. `cloud_context` is this hook's own copy; its changes reach the later hooks of
    the request. `work` is set when the hook runs."""

    kind: TriggerKind
    class_name: str
    context: RequestContext
    cloud_context: JsonObject = field(default_factory=dict)
    work: UnitOfWork | None = None


@dataclass(slots=True)
class SaveEvent(TriggerEvent):
    """beforeSave, afterSave. The hook changes `draft`. In afterSave the draft's `original` is the new state
    and `original` the state before."""

    draft: Draft = field(default_factory=lambda: Draft("", None, None, {}))
    original: JsonObject | None = None


@dataclass(slots=True)
class ObjectEvent(TriggerEvent):
    """beforeDelete, afterDelete, the login triggers, afterLogout, beforePasswordResetRequest."""

    object: JsonObject = field(default_factory=dict)


@dataclass(slots=True)
class FindEvent(TriggerEvent):
    """beforeFind. The hook changes `parameters` (`where` and the find parameters in wire form), or sets
    `results` to answer without asking the database."""

    parameters: JsonObject = field(default_factory=dict)
    is_get: bool = False
    is_count: bool = False
    results: list[JsonObject] | None = None


@dataclass(slots=True)
class FoundEvent(TriggerEvent):
    """afterFind. The hook changes or replaces `objects`."""

    objects: list[JsonObject] = field(default_factory=list)
    parameters: JsonObject = field(default_factory=dict)
    is_get: bool = False


@dataclass(slots=True)
class FileEvent(TriggerEvent):
    """The file hooks. `file` holds name, url, metadata, tags, directory; `content` the bytes where they are
    in memory. The hook changes them; `force_download` and `response_headers` matter on download."""

    file: JsonObject = field(default_factory=dict)
    content: bytes | None = None
    size: int | None = None
    is_stream: bool = False
    force_download: bool = False
    response_headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class ConfigEvent(TriggerEvent):
    """beforeSave(Config), afterSave(Config): the parameters, and those before."""

    params: JsonObject = field(default_factory=dict)
    original: JsonObject | None = None


@dataclass(slots=True)
class ConnectEvent(TriggerEvent):
    """beforeConnect: a LiveQuery client shows its keys and its session."""

    clients: int = 0
    subscriptions: int = 0


@dataclass(slots=True)
class ConnectionEvent(TriggerEvent):
    """onLiveQueryEvent: something has happened on a connection. `event`: ws_connect, connect, subscribe,
    unsubscribe, ws_disconnect, ws_disconnect_error (of one that never was a client's; `error` says so)."""

    event: str = ""
    clients: int = 0
    subscriptions: int = 0
    error: str | None = None


@dataclass(slots=True)
class SubscribeEvent(TriggerEvent):
    """beforeSubscribe. The hook changes `where`, `keys` and `watch`."""

    request_id: int | float = 0
    where: JsonObject = field(default_factory=dict)
    keys: list[str] | None = None
    watch: list[str] | None = None


@dataclass(slots=True)
class LiveEventEvent(TriggerEvent):
    """afterLiveQueryEvent, for one subscriber: `object` and `original` are its own copies. The hook may
    change them, name another `event`, or set `send_event` to False."""

    event: str = ""
    object: JsonObject = field(default_factory=dict)
    original: JsonObject | None = None
    send_event: bool = True
    clients: int = 0
    subscriptions: int = 0


@dataclass(slots=True)
class AuditEvent:
    """What an auditor is told. `action`: create, update, delete, purge, get, find, count, aggregate,
    download, deliver (an event of LiveQuery), search (a subquery: its answer is not shown), login.

    `object` is what a write leads to and `original` the state before, where it was loaded. `failure` is set
    when the action was told of before and has failed since, and when a login was refused.
    """

    action: str
    class_name: str
    object_ids: tuple[str, ...]
    context: RequestContext
    object: JsonObject | None = None
    original: JsonObject | None = None
    operations: Mapping[str, Operation] = field(default_factory=dict)
    where: JsonObject = field(default_factory=dict)
    failure: ParseError | None = None
    work: UnitOfWork | None = None


Auditor = Callable[[AuditEvent], Awaitable[None]]
"""Records an event. Raising fails the action."""

Handler = Callable[[TriggerEvent], Awaitable[Json]]
"""Runs a hook. What it returns matters for afterSave only: a JSON object replaces the answer.
It raises ParseError to refuse; whoever registers a handler turns other failures into 141."""

FunctionHandler = Callable[["FunctionCall"], Awaitable["FunctionAnswer"]]


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A call of a cloud function. `params` is wire JSON, body and query string merged; `files` the parts of
    a multipart form."""

    name: str
    params: JsonObject
    context: RequestContext
    work: UnitOfWork
    files: dict[str, tuple[str, str, bytes]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FunctionAnswer:
    """What a function answered: wire JSON. `has_value` False: the function returned nothing at all."""

    value: Json = None
    has_value: bool = True
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobCall:
    """One run of a job. `report` stores a message in the job's status."""

    name: str
    job_id: str
    params: JsonObject
    context: RequestContext
    report: Callable[[str], Awaitable[None]]


JobHandler = Callable[[JobCall], Awaitable[Json]]


class TriggerRegistry:
    """The tables of hooks, functions and jobs. Exact names only: a client's text is never an attribute."""

    def __init__(self) -> None:
        self._handlers: dict[str, dict[TriggerKind, Handler]] = {}  # by class: most have none
        self.functions: dict[str, FunctionHandler] = {}
        self.jobs: dict[str, JobHandler] = {}
        self.webhook_functions: set[str] = set()  # which of them live behind a URL
        self.webhook_triggers: set[tuple[str, str]] = set()
        self.auditors: dict[str, Auditor] = {}
        self.append_only: set[str] = set()  # classes that lose nothing: no delete, no purge, no lost field
        self.sealed: set[str] = set()  # those of them that only the server itself writes

    def set(self, kind: TriggerKind, class_name: str, handler: Handler) -> None:
        """Register a hook; the last one wins."""
        self._handlers.setdefault(class_name, {})[kind] = handler

    def remove(self, kind: TriggerKind, class_name: str) -> None:
        """Forget a hook."""
        self._handlers.get(class_name, {}).pop(kind, None)

    def get(self, kind: TriggerKind, class_name: str) -> Handler | None:
        """The hook of a moment and a class."""
        return self._handlers.get(class_name, {}).get(kind)

    def has(self, class_name: str, *kinds: TriggerKind) -> bool:
        """Does the class have a hook of one of these kinds?"""
        handlers = self._handlers.get(class_name)
        return handlers is not None and any(kind in handlers for kind in kinds)

    def check_may_write(self, class_name: str) -> None:
        """Refuse to write what the server alone writes, whatever key is shown."""
        if class_name in self.sealed:
            text = f"{class_name} is append-only, and written by the server."
            raise ParseError(ErrorCode.OPERATION_FORBIDDEN, text)

    def check_may_remove(self, class_name: str) -> None:
        """Refuse to take anything away from an append-only class, whatever key is shown."""
        if class_name in self.append_only:
            raise ParseError(ErrorCode.OPERATION_FORBIDDEN, f"{class_name} is append-only.")

    def clear(self) -> None:
        """Forget everything."""
        self._handlers.clear()
        self.functions.clear()
        self.jobs.clear()
        self.auditors.clear()
        self.append_only.clear()
        self.sealed.clear()
        self.webhook_functions.clear()
        self.webhook_triggers.clear()


class Hooked(Protocol):
    """The part of the toolbox that running a hook needs."""

    @property
    def triggers(self) -> TriggerRegistry: ...

    @property
    def storage(self) -> Storage: ...

    @property
    def changes(self) -> ChangeFeed: ...

    @property
    def caches(self) -> Caches: ...


async def run_trigger(toolbox: Hooked, event: TriggerEvent) -> Json:
    """Run the hook of an event, if there is one; answer what it returned."""
    handler = toolbox.triggers.get(event.kind, event.class_name)
    if handler is None:
        return None
    event.work = UnitOfWork(toolbox.storage, toolbox.changes, toolbox.caches)
    event.cloud_context = dict(event.context.cloud_context)
    answer = await handler(event)
    event.context.cloud_context.update(event.cloud_context)
    return answer
