"""What a handler is given: one typed request per kind of hook.

Members may be read freely; where a hook answers by changing something (`object`, `query`, `objects`,
`context`, `file`), the class says so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from parse_clone.cloud.client import Client
from parse_clone.cloud.objects import ParseObject
from parse_clone.core.context import RequestContext
from parse_clone.core.draft import Draft
from parse_clone.core.json_types import JsonObject


@dataclass(kw_only=True)
class Request:
    """What every handler knows: who asks, and a `client` that acts with that caller's rights."""

    name: str
    caller: RequestContext
    client: Client
    context: JsonObject = field(default_factory=dict)

    @property
    def master(self) -> bool:
        """Was the request made with the master key?"""
        return self.caller.auth.is_master

    @property
    def is_read_only(self) -> bool:
        return self.caller.auth.is_read_only

    @property
    def user(self) -> ParseObject | None:
        """The caller; None for nobody and for the master key."""
        user = self.caller.auth.user
        return None if user is None else ParseObject("_User", user)

    @property
    def roles(self) -> tuple[str, ...]:
        """The names of the caller's roles, inherited ones included."""
        return self.caller.auth.roles

    @property
    def session_token(self) -> str | None:
        return self.caller.auth.session_token

    @property
    def installation_id(self) -> str | None:
        return self.caller.installation_id

    @property
    def ip(self) -> str:
        return self.caller.ip

    @property
    def headers(self) -> Mapping[str, str]:
        return self.caller.headers

    @property
    def master_client(self) -> Client:
        """A client with master rights, in the same transaction as the request."""
        return self.client.as_master()

    @property
    def log(self) -> structlog.stdlib.BoundLogger:
        """A logger that knows the request."""
        return structlog.stdlib.get_logger("cloud").bind(hook=self.name, request_id=self.caller.request_id)


@dataclass(kw_only=True)
class BeforeSave(Request):
    """Change `object`, or raise to refuse. `original` is the stored object, None for a new one."""

    draft: Draft

    @property
    def object(self) -> ParseObject:
        return ParseObject(self.draft.class_name, draft=self.draft)

    @property
    def original(self) -> ParseObject | None:
        stored = self.draft.original
        return None if stored is None else ParseObject(self.draft.class_name, stored)

    def only_if_unchanged(self) -> None:
        """Refuse the write (251) if the stored object changes before it is done: `original` stays true."""
        self.draft.only_if_unchanged = True


@dataclass(kw_only=True)
class AfterSave(Request):
    """`object` is stored; what is changed on it shows in the answer only. Returning a dict replaces the
    answer. An exception is logged; the client never sees it."""

    draft: Draft
    before: JsonObject | None

    @property
    def object(self) -> ParseObject:
        return ParseObject(self.draft.class_name, draft=self.draft)

    @property
    def original(self) -> ParseObject | None:
        return None if self.before is None else ParseObject(self.draft.class_name, self.before)


@dataclass(kw_only=True)
class ObjectRequest(Request):
    """A request about one stored object."""

    object: ParseObject


@dataclass(kw_only=True)
class BeforeDelete(ObjectRequest):
    """Raise to keep the object."""


@dataclass(kw_only=True)
class AfterDelete(ObjectRequest):
    """The object is gone; an exception still fails the request."""


@dataclass(kw_only=True)
class BeforeLogin(ObjectRequest):
    """The password was right; there is no session yet. Raise to refuse."""


@dataclass(kw_only=True)
class AfterLogin(ObjectRequest):
    """The session is stored."""


@dataclass(kw_only=True)
class AfterLogout(ObjectRequest):
    """`object` is the session that was deleted."""


@dataclass(kw_only=True)
class BeforePasswordReset(ObjectRequest):
    """Raise to send no mail."""


@dataclass(kw_only=True)
class BeforeFind(Request):
    """Change `query` (Parse's own parameters: `where`, `limit`, `order`, ...), raise to refuse, or set
    `results` to answer without asking the database."""

    class_name: str
    query: JsonObject
    is_get: bool
    is_count: bool
    results: list[ParseObject] | None = None

    def add_where(self, conditions: JsonObject) -> None:
        """Narrow the query."""
        where = self.query.get("where")
        self.query["where"] = {"$and": [where, conditions]} if where else conditions


@dataclass(kw_only=True)
class AfterFind(Request):
    """Change `objects`, or return another list."""

    class_name: str
    objects: list[ParseObject]
    query: JsonObject
    is_get: bool


@dataclass(kw_only=True)
class FileRequest(Request):
    """`file` holds name, metadata, tags, directory; change them, or raise to refuse. On download
    `force_download` and `response_headers` decide how the client receives it."""

    file: JsonObject
    content: bytes | None
    size: int | None
    is_stream: bool
    force_download: bool = False
    response_headers: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class ConfigRequest(Request):
    """`params` are those of this request (before) or all of them (after)."""

    params: JsonObject
    original: JsonObject | None


@dataclass(kw_only=True)
class FunctionRequest(Request):
    """A call of a function: `params` as Python values, `files` the parts of a form as (name, content type,
    bytes)."""

    params: dict[str, Any]
    files: Mapping[str, tuple[str, str, bytes]] = field(default_factory=dict)


@dataclass
class FunctionResponse:
    """Status and headers of a function's successful answer; take it as a second parameter."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class JobRequest(Request):
    """One run of a job; `client` has master rights."""

    params: dict[str, Any]
    job_id: str
    report: Callable[[str], Awaitable[None]]

    async def message(self, text: str) -> None:
        """Tell, in the job's status, how far it is."""
        await self.report(text)


# --- LiveQuery -------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class ConnectRequest(Request):
    """A LiveQuery client connects: raise to refuse. Counts are those of this process."""

    clients: int
    subscriptions: int


@dataclass(kw_only=True)
class ConnectionEventRequest(Request):
    """Something has happened on a LiveQuery connection: `event` is `ws_connect`, `connect`, `subscribe`,
    `unsubscribe`, `ws_disconnect`, or `ws_disconnect_error` with the reason in `error`. Counts are those of
    this process, after it; `subscriptions` counts classes. An exception is logged, no client sees it."""

    event: str
    clients: int
    subscriptions: int
    error: str | None


@dataclass(kw_only=True)
class SubscribeRequest(Request):
    """A client subscribes: change `where`, `keys` or `watch`, or raise to refuse."""

    class_name: str
    request_id: int | float
    where: JsonObject
    keys: list[str] | None
    watch: list[str] | None

    def add_where(self, conditions: JsonObject) -> None:
        """Narrow the query."""
        self.where = {"$and": [self.where, conditions]} if self.where else conditions


@dataclass(kw_only=True)
class LiveQueryEventRequest(Request):
    """An event on its way to one subscriber: `object` and `original` are his own copies. Set `send_event` to
    False to keep it back, or `event` to another event's name."""

    event: str
    object: ParseObject
    original: ParseObject | None
    send_event: bool
    clients: int
    subscriptions: int
