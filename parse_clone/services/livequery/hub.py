"""Changes in, deliveries out. Every frame is what its subscriber could read over REST at that moment.

For a change, each candidate query is matched once on the state before and after; each audience of the query
is asked what it may see; each frame body is encoded once and shared by all who see the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeAlias, TypeVar

import orjson
import structlog

from parse_clone.core.context import MASTER, NOBODY, Auth, RequestContext
from parse_clone.core.json_types import JsonObject
from parse_clone.core.live_events import LiveEvent, deleted_event, saved_event
from parse_clone.core.matcher import Matcher, compile_matcher
from parse_clone.core.names import root_of
from parse_clone.core.permissions import check_class_access, protected_fields, row_condition
from parse_clone.core.query import all_of
from parse_clone.core.schema import ClassSchema
from parse_clone.errors import ParseError
from parse_clone.services.changes import ObjectChange
from parse_clone.services.livequery.subscriptions import (
    Audience,
    Subscription,
    Subscriptions,
    WatchedQuery,
)
from parse_clone.services.objects.auditing import audit
from parse_clone.services.objects.present import Presenter
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import AuditEvent, LiveEventEvent, TriggerKind, run_trigger
from parse_clone.services.users.authentication import authenticate_session
from parse_clone.services.users.find import own_sessions, present_auth_data

log = structlog.get_logger("livequery")

ALWAYS_SENT = frozenset({"className", "objectId", "createdAt", "updatedAt", "ACL"})
BACKLOG = 10_000
"""Changes that may wait for delivery; then writers wait, too."""
PORTION = 500
"""Deliveries without a pause; then other work gets its turn."""
AT_ONCE = 50
"""Hooks that run, and sessions that are loaded, at the same time."""

BodyKey: TypeAlias = tuple[object, ...]
Item = TypeVar("Item")


@dataclass(slots=True)
class Metrics:
    """What the hub did since it started. `lag` is how long the last change waited, in seconds."""

    connections: int = 0
    changes: int = 0
    matched: int = 0
    delivered: int = 0
    dropped: int = 0
    lag: float = 0.0


@dataclass(frozen=True, slots=True)
class Eyes:
    """What one audience may see of one class now. `reads` is None where the class itself is closed, queries
    that mention one of the `unaskable` fields are not answered; equal `sight` is the same view of a row."""

    auth: Auth
    schema: ClassSchema
    context: RequestContext
    reads: Matcher | None
    unaskable: frozenset[str]
    presenter: Presenter
    sight: object


class LiveQueryHub:
    """Matches the changes of this application to the subscriptions of this process."""

    def __init__(self, toolbox: Toolbox) -> None:
        self._toolbox = toolbox
        self.subscriptions = Subscriptions()
        self.metrics = Metrics()
        self._waiting: asyncio.Queue[tuple[float, ObjectChange]] = asyncio.Queue(BACKLOG)
        self._eyes: dict[Audience, dict[tuple[str, bool], Eyes]] = {}

    @property
    def waiting(self) -> int:
        """How many changes wait for delivery."""
        return self._waiting.qsize()

    # --- Changes in ---

    async def receive(self, change: ObjectChange) -> None:
        """Take a change; it is delivered in order, behind the writer's back."""
        if self.subscriptions.watches(change.class_name):
            await self._waiting.put((time.monotonic(), change))

    async def run(self) -> None:
        """Deliver changes until cancelled."""
        while True:
            since, change = await self._waiting.get()
            try:
                await self.deliver(change)
            except Exception as error:
                log.error("a change was not delivered", class_name=change.class_name, exc_info=error)
            self.metrics.lag = time.monotonic() - since

    async def deliver(self, change: ObjectChange) -> None:
        """Tell everybody for whom the change is an event."""
        schema = await self._toolbox.catalog.get(change.class_name)
        if schema is None:
            return
        self.metrics.changes += 1
        before, after = change.before, change.after
        states = [state for state in (before, after) if state is not None]
        bodies: dict[BodyKey, str] = {}
        for query in self.subscriptions.candidates(change.class_name, states):
            was = before is not None and query.matches(before)
            matches = after is not None and query.matches(after)
            if was or matches:
                self.metrics.matched += 1
                await self._recall(query.audiences)
                for audience, group in list(query.audiences.items()):
                    for portion in in_portions(group, PORTION):
                        sight = await self._look(audience, query, schema, change, was, matches)
                        if sight is not None:
                            await self._audit(sight)
                            await self._tell(sight, portion, bodies)

    async def _recall(self, audiences: Iterable[Audience]) -> None:
        """Load together, not one after the other, the sessions that are no longer remembered."""
        sessions = self._toolbox.caches.sessions
        cold = [
            audience
            for audience in audiences
            if audience.session_token is not None and sessions.get(audience.session_token) is None
        ]
        for few in in_portions(cold, AT_ONCE):
            await asyncio.gather(*(self.auth_of(audience) for audience in few))

    async def _look(
        self,
        audience: Audience,
        query: WatchedQuery,
        schema: ClassSchema,
        change: ObjectChange,
        was: bool,
        matches: bool,
    ) -> Sight | None:
        """See a change with the eyes of an audience: what it means for those who watch the query."""
        eyes = await self.eyes_of(audience, schema, query.names_one_object)
        if eyes.reads is None or not eyes.unaskable.isdisjoint(query.roots):
            return None
        saw = change.before is not None and eyes.reads(change.before)
        sees = change.after is not None and eyes.reads(change.after)
        event = event_for(change, was_visible=was and saw, is_visible=matches and sees)
        return None if event is None else Sight(self._toolbox, change, event, eyes, saw=saw, sees=sees)

    async def _audit(self, sight: Sight) -> None:
        """Tell the auditor of the class what an audience is about to see."""
        change = sight.change
        if change.class_name in self._toolbox.triggers.auditors:
            ids = (str((change.after or change.before or {})["objectId"]),)
            event = AuditEvent("deliver", change.class_name, ids, sight.eyes.context)
            await audit(self._toolbox, event)

    async def _tell(
        self, sight: Sight, subscriptions: list[Subscription], bodies: dict[BodyKey, str]
    ) -> None:
        if self._toolbox.triggers.has(sight.change.class_name, TriggerKind.AFTER_EVENT):
            for few in in_portions(subscriptions, AT_ONCE):
                await asyncio.gather(*(self._tell_through_hook(sight, subscription) for subscription in few))
            return
        opening = f'{{"op":"{sight.event.value}",'
        for subscription in subscriptions:
            if not sight.concerns(subscription):
                continue
            key: BodyKey = (sight.event, sight.eyes.sight, sight.saw, sight.sees, subscription.keys)
            body = bodies.get(key)
            if body is None:
                body = bodies[key] = encode_body(await sight.visible_states(), subscription.keys)
            subscription.connection.deliver(opening + subscription.envelope + body)
            self.metrics.delivered += 1
        if len(subscriptions) == PORTION:
            await asyncio.sleep(0)

    async def _tell_through_hook(self, sight: Sight, subscription: Subscription) -> None:
        """Let the application's hook see the event first. It gets copies of its own, to the last value."""
        if not sight.concerns(subscription):
            return
        states = orjson.loads(orjson.dumps(await sight.visible_states()))
        event = LiveEventEvent(
            TriggerKind.AFTER_EVENT,
            sight.change.class_name,
            sight.eyes.context,
            event=sight.event.value,
            object=states["object"],
            original=states.get("original"),
            clients=self.metrics.connections,
            subscriptions=self.subscriptions.class_count,
        )
        try:
            await run_trigger(self._toolbox, event)
        except ParseError as error:
            sanitized = self._toolbox.settings.enable_sanitized_error_response
            subscription.connection.deliver(encode_error(error, subscription.request_id, sanitized=sanitized))
            return
        if not event.send_event or event.event not in EVENT_NAMES:
            return
        states = {"object": event.object}
        if event.original is not None:
            states["original"] = event.original
        body = encode_body(states, subscription.keys)
        subscription.connection.deliver(f'{{"op":"{event.event}",{subscription.envelope}{body}')
        self.metrics.delivered += 1

    # --- Rights ---

    async def eyes_of(self, audience: Audience, schema: ClassSchema, names_one_object: bool) -> Eyes:
        """What the audience may see at this moment; worked out again when its rights have changed."""
        auth = await self.auth_of(audience)
        key = (schema.name, names_one_object)
        known = self._eyes.get(audience, {}).get(key)
        if known is not None and known.schema is schema and has_same_rights(known.auth, auth):
            return known
        eyes = self._open_eyes(audience, auth, schema, names_one_object)
        if self.subscriptions.has_audience(audience):
            self._eyes.setdefault(audience, {})[key] = eyes
        return eyes

    def _open_eyes(self, audience: Audience, auth: Auth, schema: ClassSchema, names_one_object: bool) -> Eyes:
        context = context_of(audience, auth)
        presenter = Presenter(self._toolbox, context, schema)
        return Eyes(
            auth,
            schema,
            context,
            readable_rows(context, schema, names_one_object),
            protected_fields(schema, auth, self._toolbox.protection),
            presenter,
            presenter.sight,
        )

    async def auth_of(self, audience: Audience) -> Auth:
        """Who the audience is now. A token that is not good (any more) is nobody's."""
        if audience.is_master:
            return MASTER
        if audience.session_token is None:
            return NOBODY
        try:
            return await authenticate_session(self._toolbox, audience.session_token)
        except ParseError:
            return NOBODY

    def forget(self, audience: Audience) -> None:
        """A subscription has ended: with the last one of an audience, what it may see is forgotten."""
        if not self.subscriptions.has_audience(audience):
            self._eyes.pop(audience, None)


EVENT_NAMES = frozenset(event.value for event in LiveEvent)


def readable_rows(context: RequestContext, schema: ClassSchema, names_one_object: bool) -> Matcher | None:
    """Test which rows the caller would find over REST; None where the class is closed to him."""
    try:
        check_class_access(schema.name, "find", context.auth)
        condition = row_condition(schema, "get" if names_one_object else "find", context.auth)
        if schema.name == "_Session":
            condition = all_of(condition, own_sessions(context))
    except ParseError:
        return None
    return compile_matcher(condition)


def has_same_rights(known: Auth, auth: Auth) -> bool:
    """May whoever was `known` do what `auth` may do now? Users come from a cache: same user, same object."""
    return known is auth or (
        known.user is auth.user and known.roles == auth.roles and known.privilege is auth.privilege
    )


@dataclass(frozen=True, slots=True)
class Sight:
    """One change as one audience sees it."""

    toolbox: Toolbox
    change: ObjectChange
    event: LiveEvent
    eyes: Eyes
    saw: bool
    sees: bool

    def concerns(self, subscription: Subscription) -> bool:
        """Did one of the watched fields change? Entering, leaving and deletions always count. Nobody learns
        of changes of a field about which he may not ask."""
        watch = subscription.watch
        if watch is None or self.event not in (LiveEvent.CREATE, LiveEvent.UPDATE):
            return True
        before, after, unaskable = self.change.before or {}, self.change.after or {}, self.eyes.unaskable
        return any(before.get(name) != after.get(name) for name in watch if root_of(name) not in unaskable)

    async def visible_states(self) -> dict[str, JsonObject]:
        """`object` and, where there is one to show, `original`: new dicts, hidden fields removed. Below the
        first level they are shared."""
        before, after = self.change.before, self.change.after
        current = before if after is None or (self.event is LiveEvent.LEAVE and not self.sees) else after
        assert current is not None
        states = {"object": await self._present(current)}
        has_original = self.event in (LiveEvent.UPDATE, LiveEvent.LEAVE, LiveEvent.ENTER)
        if has_original and before is not None and self.saw:
            states["original"] = await self._present(before)
        return states

    async def _present(self, state: JsonObject) -> JsonObject:
        shown = self.eyes.presenter.present(state)
        visible = {key: value for key, value in shown.items() if not key.startswith("_")}
        if self.change.class_name == "_User":
            await present_auth_data(self.toolbox, self.eyes.context, visible)
        return {"className": self.change.class_name, **visible}


def event_for(change: ObjectChange, *, was_visible: bool, is_visible: bool) -> LiveEvent | None:
    """Name the event that a change is."""
    if change.after is None:
        return deleted_event(was_visible=was_visible)
    return saved_event(existed=change.before is not None, was_visible=was_visible, is_visible=is_visible)


def in_portions(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Cut into lists of at most `size`; what goes meanwhile may still be in them."""
    rest = iter(list(items))
    while portion := list(islice(rest, size)):
        yield portion


# --- Frames ----------------------------------------------------------------------------------------------


def encode_frame(members: Mapping[str, object]) -> str:
    """A frame that is one subscriber's own."""
    return orjson.dumps(members).decode()


def encode_body(states: Mapping[str, JsonObject], keys: frozenset[str] | None) -> str:
    """The shared end of a frame: the states, projected."""
    if keys is not None:
        kept = keys | ALWAYS_SENT
        states = {
            name: {key: value for key, value in state.items() if key in kept}
            for name, state in states.items()
        }
    return "," + orjson.dumps(states)[1:].decode()


def encode_error(
    error: ParseError, request_id: int | float | None, *, reconnect: bool = False, sanitized: bool = True
) -> str:
    """An error frame."""
    return encode_frame(
        {
            "op": "error",
            "error": error.shown(sanitized=sanitized),
            "code": error.code,
            "reconnect": reconnect,
            "requestId": request_id,
        }
    )


def context_of(audience: Audience, auth: Auth) -> RequestContext:
    """The request context in which an audience looks at objects."""
    return replace(RequestContext(), auth=auth, base_url=audience.base_url)
