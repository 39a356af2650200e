"""One LiveQuery client: what it may connect to and subscribe to, by the same rules as a REST query.

It speaks through its connection only; frames go out in the order in which its messages came in.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import replace

import structlog

from parse_clone.core.context import Auth, RequestContext
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.names import root_of
from parse_clone.core.permissions import authorize, check_class_access, check_query_paths
from parse_clone.core.query import (
    NOTHING,
    AllOf,
    AnyOf,
    Condition,
    InQuery,
    NoneOf,
    RelatedTo,
    Select,
    TextSearch,
    Where,
)
from parse_clone.core.query_json import asked_paths, decode_where
from parse_clone.core.schema import ClassSchema
from parse_clone.core.system_classes import new_schema
from parse_clone.core.values import check_depth, pointer
from parse_clone.errors import ErrorCode, ParseError, permission_denied
from parse_clone.services.livequery.hub import LiveQueryHub, context_of, encode_error, encode_frame
from parse_clone.services.livequery.subscriptions import (
    Audience,
    Connection,
    Subscription,
    WatchedQuery,
    canonical,
)
from parse_clone.services.objects.find import query_limits
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import (
    CONNECT,
    ConnectEvent,
    ConnectionEvent,
    SubscribeEvent,
    TriggerKind,
    run_trigger,
)
from parse_clone.services.users.authentication import is_allowed_address, is_same

log = structlog.get_logger("livequery")

NOT_CONNECTED = 2
WRONG_KEY = 4


class LiveQueryClient:
    """The server's memory of one connection."""

    def __init__(
        self, toolbox: Toolbox, hub: LiveQueryHub, connection: Connection, base_url: str, ip: str
    ) -> None:
        self._toolbox = toolbox
        self._hub = hub
        self._connection = connection
        self._base_url = base_url
        self._ip = ip
        self._id: str | None = None
        self._installation_id: str | None = None
        self._audience = Audience(None, False, base_url)
        self._watching: dict[int | float, tuple[WatchedQuery, Subscription, int]] = {}
        self._size = 0

    # --- Connect ---

    async def connect(self, keys: JsonObject, session_token: str | None, installation_id: str | None) -> None:
        """Check the keys, ask the application's hook, and welcome the client under a new id."""
        pairs = self._toolbox.settings.live_query_server_options.key_pairs
        if pairs and not any(_presents(keys, name, secret) for name, secret in pairs.items()):
            self._refuse(WRONG_KEY, "Key in request is not valid")
            return
        is_master = "masterKey" in pairs and _presents(keys, "masterKey", pairs["masterKey"])
        if is_master and not is_allowed_address(self._ip, self._toolbox.settings.master_key_ips):
            self._refuse(WRONG_KEY, "Key in request is not valid")
            return
        audience = Audience(session_token, is_master, self._base_url)
        try:
            await self._run_before_connect(audience, installation_id)
        except ParseError as error:
            self._deny(error, None)
            return
        self.close()
        self._id, self._installation_id = str(uuid.uuid4()), installation_id
        self._audience = audience
        self._hub.metrics.connections += 1
        self._send("connected")
        await self._tell("connect")

    async def _run_before_connect(self, audience: Audience, installation_id: str | None) -> None:
        if not self._toolbox.triggers.has(CONNECT, TriggerKind.BEFORE_CONNECT):
            return
        event = ConnectEvent(
            TriggerKind.BEFORE_CONNECT,
            CONNECT,
            await self._context(audience, installation_id),
            clients=self._hub.metrics.connections,
            subscriptions=self._hub.subscriptions.class_count,
        )
        await run_trigger(self._toolbox, event)

    # --- Subscribe ---

    async def subscribe(
        self,
        request_id: int | float,
        class_name: str,
        where: JsonObject,
        *,
        keys: tuple[str, ...] | None,
        watch: tuple[str, ...] | None,
        session_token: str | None,
        is_update: bool,
    ) -> None:
        """Watch a query, if this client may find what it asks for. The same request id replaces."""
        if is_update:
            await self.unsubscribe(request_id, silently=True)
        if self._id is None:
            self._refuse_stranger("subscribing")
            return
        try:
            await self._subscribe(request_id, class_name, where, keys, watch, session_token)
        except ParseError as error:
            self._deny(error, request_id)
        else:
            await self._tell("subscribe", self._watching[request_id][1].audience)

    async def _subscribe(
        self,
        request_id: int | float,
        class_name: str,
        where: JsonObject,
        keys: tuple[str, ...] | None,
        watch: tuple[str, ...] | None,
        session_token: str | None,
    ) -> None:
        check_depth(where)
        audience = replace(self._audience, session_token=session_token or self._audience.session_token)
        envelope = self._envelope(request_id)
        size = size_of(class_name, where, keys, watch, audience, envelope)
        self._check_room(request_id, size)
        context = await self._context(audience, self._installation_id)
        event = SubscribeEvent(
            TriggerKind.BEFORE_SUBSCRIBE,
            class_name,
            context,
            request_id=request_id,
            where=where,
            keys=None if keys is None else list(keys),
            watch=None if watch is None else list(watch),
        )
        await run_trigger(self._toolbox, event)
        condition, where = await self._authorized(class_name, context.auth, event)
        subscription = Subscription(
            self._connection,
            request_id,
            audience,
            envelope,
            None if event.keys is None else frozenset(event.keys),
            None if event.watch is None else frozenset(event.watch),
        )
        self._drop(request_id)
        query = self._hub.subscriptions.add(class_name, where, condition, subscription)
        self._watching[request_id] = (query, subscription, size)
        self._size += size
        self._send("subscribed", request_id)

    def _check_room(self, request_id: int | float, size: int) -> None:
        options = self._toolbox.settings.live_query_server_options
        most, largest = options.max_subscriptions, options.max_frame_size
        _, _, replaced = self._watching.get(request_id, (None, None, 0))
        if not replaced and len(self._watching) >= most:
            text = f"A connection may have {most} subscriptions."
            raise ParseError(ErrorCode.OPERATION_FORBIDDEN, text)
        if self._size - replaced + size > largest:
            text = f"The queries of a connection may have {largest} characters."
            raise ParseError(ErrorCode.OPERATION_FORBIDDEN, text)

    async def _authorized(
        self, class_name: str, auth: Auth, event: SubscribeEvent
    ) -> tuple[Condition, JsonObject]:
        """Check the query like a find; answer what to match."""
        toolbox, where = self._toolbox, dict(event.where)
        check_class_access(class_name, "find", auth)
        if class_name == "_Session":
            if auth.user_id is None:
                raise permission_denied("Invalid session token", ErrorCode.INVALID_SESSION_TOKEN)
            where["user"] = pointer("_User", auth.user_id)
        schema = await toolbox.catalog.get(class_name) or new_schema(class_name)
        decoded = decode_where(
            where, schema, auth, query_limits(toolbox.settings.request_complexity), now=toolbox.clock.now()
        )
        authorize(schema, "find", auth)
        self._check_protected(schema, auth, decoded, event.watch or [])
        return as_condition(decoded), where

    def _check_protected(self, schema: ClassSchema, auth: Auth, where: Where, watch: list[str]) -> None:
        paths = asked_paths(where) | {root_of(name) for name in watch}
        check_query_paths(schema, auth, self._toolbox.protection, paths)

    # --- Unsubscribe, goodbye ---

    async def unsubscribe(self, request_id: int | float, *, silently: bool = False) -> None:
        """Stop watching."""
        if self._id is None:
            self._refuse_stranger("unsubscribing")
        elif request_id not in self._watching:
            self._refuse(
                NOT_CONNECTED,
                f"Cannot find subscription with clientId {self._id} subscriptionId {request_id}. "
                "Make sure you subscribe to live query server before unsubscribing.",
            )
        else:
            self._drop(request_id)
            if not silently:
                self._send("unsubscribed", request_id)
            await self._tell("unsubscribe")

    def _drop(self, request_id: int | float) -> None:
        watching = self._watching.pop(request_id, None)
        if watching is not None:
            query, subscription, size = watching
            self._size -= size
            self._hub.subscriptions.remove(query, subscription)
            self._hub.forget(subscription.audience)

    def close(self) -> bool:
        """Forget the client and all it watches; answers whether there was one."""
        for request_id in list(self._watching):
            self._drop(request_id)
        was_client = self._id is not None
        if was_client:
            self._id = None
            self._hub.metrics.connections -= 1
        return was_client

    # --- What the application hears ---

    async def tell_opened(self) -> None:
        """Tell the application of the connection."""
        await self._tell("ws_connect")

    async def tell_closed(self, *, was_client: bool) -> None:
        """Tell the application that the connection has ended."""
        if was_client:
            await self._tell("ws_disconnect")
        else:
            await self._tell("ws_disconnect_error", error="Unable to find client undefined")

    async def _tell(self, name: str, audience: Audience | None = None, *, error: str | None = None) -> None:
        """Run the hook that hears of what has happened: too late to refuse, so its failure is logged."""
        if not self._toolbox.triggers.has(CONNECT, TriggerKind.ON_LIVE_QUERY_EVENT):
            return
        try:
            event = ConnectionEvent(
                TriggerKind.ON_LIVE_QUERY_EVENT,
                CONNECT,
                await self._context(audience or self._audience, self._installation_id),
                event=name,
                clients=self._hub.metrics.connections,
                subscriptions=self._hub.subscriptions.class_count,
                error=error,
            )
            await run_trigger(self._toolbox, event)
        except Exception as failure:
            log.error("a hook on LiveQuery events failed", event_name=name, exc_info=failure)

    # --- Frames out ---

    async def _context(self, audience: Audience, installation_id: str | None) -> RequestContext:
        auth = await self._hub.auth_of(audience)
        return replace(context_of(audience, auth), installation_id=installation_id, ip=self._ip)

    def _envelope(self, request_id: int | float) -> str:
        own: dict[str, Json] = {"clientId": self._id}
        if self._installation_id is not None:
            own["installationId"] = self._installation_id
        own["requestId"] = request_id
        return encode_frame(own)[1:-1]

    def _send(self, op: str, request_id: int | float | None = None) -> None:
        frame: dict[str, Json] = {"op": op, "clientId": self._id}
        if self._installation_id is not None:
            frame["installationId"] = self._installation_id
        if request_id is not None:
            frame["requestId"] = request_id
        self._connection.deliver(encode_frame(frame))

    def _deny(self, error: ParseError, request_id: int | float | None) -> None:
        sanitized = self._toolbox.settings.enable_sanitized_error_response
        self._connection.deliver(encode_error(error, request_id, sanitized=sanitized))

    def _refuse(self, code: int, text: str) -> None:
        self._connection.deliver(encode_error(ParseError(code, text), None, reconnect=True))

    def _refuse_stranger(self, action: str) -> None:
        self._refuse(
            NOT_CONNECTED,
            f"Can not find this client, make sure you connect to server before {action}",
        )


def size_of(
    class_name: str,
    where: JsonObject,
    keys: Collection[str] | None,
    watch: Collection[str] | None,
    audience: Audience,
    envelope: str,
) -> int:
    """What is kept of a subscription, in characters: a client may make any part of it large."""
    texts = (class_name, *(keys or ()), *(watch or ()), audience.session_token or "", envelope)
    return len(canonical(where)) + len(texts) + sum(map(len, texts))


def _presents(keys: JsonObject, name: str, secret: str) -> bool:
    presented = keys.get(name)
    return isinstance(presented, str) and is_same(presented, secret)


def as_condition(where: Where) -> Condition:
    """What LiveQuery can match: subqueries and text search match nothing, denied ones neither, as clients
    know it."""
    match where:
        case AllOf(parts):
            return AllOf(tuple(as_condition(part) for part in parts))
        case AnyOf(parts):
            return AnyOf(tuple(as_condition(part) for part in parts))
        case NoneOf(parts):
            denied = tuple(as_condition(part) for part in parts)
            return NOTHING if denied != parts else NoneOf(denied)
        case TextSearch() | InQuery() | Select() | RelatedTo():
            return NOTHING
        case _:
            return where
