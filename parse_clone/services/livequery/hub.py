"""Changes in, deliveries out. Every frame is what its subscriber could read over REST at that moment.

For a change, each candidate query is matched once on the state before and after; each audience of the query
is asked once what it may see; each frame body is encoded once and shared by all who see the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import orjson
import structlog

from parse_clone.core.context import MASTER, NOBODY, Auth, RequestContext
from parse_clone.core.json_types import JsonObject
from parse_clone.core.live_events import LiveEvent, deleted_event, saved_event
from parse_clone.core.matcher import Matcher, compile_matcher
from parse_clone.core.permissions import row_condition
from parse_clone.core.schema import ClassSchema
from parse_clone.errors import ParseError
from parse_clone.services.changes import ObjectChange
from parse_clone.services.livequery.subscriptions import (
    Audience,
    Subscription,
    Subscriptions,
    WatchedQuery,
)
from parse_clone.services.objects.present import Presenter
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import LiveEventEvent, TriggerKind, run_trigger
from parse_clone.services.users.authentication import authenticate_session

log = structlog.get_logger("livequery")

ALWAYS_SENT = frozenset({"className", "objectId", "createdAt", "updatedAt", "ACL"})
BACKLOG = 10_000
"""Changes that may wait for delivery; then writers wait, too."""

BodyKey: TypeAlias = tuple[object, ...]


@dataclass(slots=True)
class Metrics:
    """What the hub did since it started. `lag` is the number of changes that wait."""

    connections: int = 0
    subscriptions: int = 0
    changes: int = 0
    matched: int = 0
    delivered: int = 0
    dropped: int = 0
    lag: int = 0


@dataclass(frozen=True, slots=True)
class Eyes:
    """What one audience may see of one class now. `reads` is None where the class itself is closed."""

    auth: Auth
    schema: ClassSchema
    reads: Matcher | None
    presenter: Presenter
    same_sight: object


class LiveQueryHub:
    """Matches the changes of this application to the subscriptions of this process."""

    def __init__(self, toolbox: Toolbox) -> None:
        self._toolbox = toolbox
        self.subscriptions = Subscriptions()
        self.metrics = Metrics()
        self._waiting: asyncio.Queue[ObjectChange] = asyncio.Queue(BACKLOG)
        self._eyes: dict[tuple[Audience, str, bool], Eyes] = {}

    # --- Changes in ---

    async def receive(self, change: ObjectChange) -> None:
        """Take a change; it is delivered in order, behind the writer's back."""
        if self.subscriptions.watches(change.class_name):
            await self._waiting.put(change)

    async def run(self) -> None:
        """Deliver changes until cancelled."""
        while True:
            change = await self._waiting.get()
            self.metrics.lag = self._waiting.qsize()
            try:
                await self.deliver(change)
            except Exception as error:
                log.error("a change was not delivered", class_name=change.class_name, exc_info=error)

    async def deliver(self, change: ObjectChange) -> None:
        """Tell everybody for whom the change is an event."""
        schema = await self._toolbox.catalog.get(change.class_name)
        if schema is None:
            return
        self.metrics.changes += 1
        before, after = change.before, change.after
        states = [state for state in (before, after) if state is not None]
        bodies: dict[BodyKey, bytes] = {}
        for query in self.subscriptions.candidates(change.class_name, states):
            was = before is not None and query.matches(before)
            matches = after is not None and query.matches(after)
            if was or matches:
                self.metrics.matched += 1
                await self._deliver_to_audiences(schema, change, query, was, matches, bodies)

    async def _deliver_to_audiences(
        self,
        schema: ClassSchema,
        change: ObjectChange,
        query: WatchedQuery,
        was: bool,
        matches: bool,
        bodies: dict[BodyKey, bytes],
    ) -> None:
        for audience, group in list(query.audiences.items()):
            eyes = await self.eyes_of(audience, schema, query.names_one_object)
            if eyes.reads is None:
                continue
            saw = change.before is not None and eyes.reads(change.before)
            sees = change.after is not None and eyes.reads(change.after)
            event = event_for(change, was_visible=was and saw, is_visible=matches and sees)
            if event is None:
                continue
            sight = Sight(change, event, eyes, saw=saw, sees=sees)
            if self._toolbox.triggers.has(change.class_name, TriggerKind.AFTER_EVENT):
                await self._deliver_through_hook(sight, list(group))
            else:
                self._deliver_to(sight, list(group), bodies)

    def _deliver_to(self, sight: Sight, group: Iterable[Subscription], bodies: dict[BodyKey, bytes]) -> None:
        opening = b'{"op":"' + sight.event.value.encode() + b'",'
        for subscription in group:
            if not is_watched(sight, subscription.watch):
                continue
            key: BodyKey = (sight.event, sight.eyes.same_sight, sight.saw, sight.sees, subscription.keys)
            body = bodies.get(key)
            if body is None:
                body = bodies[key] = encode_body(sight.visible_states(), subscription.keys)
            subscription.connection.deliver(opening + subscription.envelope + body)
            self.metrics.delivered += 1

    async def _deliver_through_hook(self, sight: Sight, group: Iterable[Subscription]) -> None:
        """Let the application's hook see each event first. It gets copies of its own."""
        for subscription in group:
            if not is_watched(sight, subscription.watch):
                continue
            states = sight.visible_states()
            event = LiveEventEvent(
                TriggerKind.AFTER_EVENT,
                sight.change.class_name,
                context_of(subscription.audience, sight.eyes.auth),
                event=sight.event.value,
                object=states["object"],
                original=states.get("original"),
                clients=self.metrics.connections,
                subscriptions=self.subscriptions.class_count,
            )
            try:
                await run_trigger(self._toolbox, event)
            except ParseError as error:
                subscription.connection.deliver(encode_error(error, subscription.request_id))
                continue
            if not event.send_event or event.event not in EVENT_NAMES:
                continue
            states = {"object": event.object}
            if event.original is not None:
                states["original"] = event.original
            opening = b'{"op":"' + event.event.encode() + b'",'
            subscription.connection.deliver(
                opening + subscription.envelope + encode_body(states, subscription.keys)
            )
            self.metrics.delivered += 1

    # --- Rights ---

    async def eyes_of(self, audience: Audience, schema: ClassSchema, names_one_object: bool) -> Eyes:
        """What the audience may see at this moment; worked out again when its rights have changed."""
        auth = await self.auth_of(audience)
        key = (audience, schema.name, names_one_object)
        known = self._eyes.get(key)
        if known is not None and known.schema is schema and _same_rights(known.auth, auth):
            return known
        eyes = self._open_eyes(audience, auth, schema, names_one_object)
        self._eyes[key] = eyes
        return eyes

    def _open_eyes(self, audience: Audience, auth: Auth, schema: ClassSchema, names_one_object: bool) -> Eyes:
        try:
            condition = row_condition(schema, "get" if names_one_object else "find", auth)
            reads: Matcher | None = compile_matcher(condition)
        except ParseError:
            reads = None
        presenter = Presenter(self._toolbox, context_of(audience, auth), schema)
        same_sight = audience if schema.file_fields else presenter.view
        return Eyes(auth, schema, reads, presenter, same_sight)

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
        """An audience may have lost its last subscriber: do not remember it for ever."""
        for key in [key for key in self._eyes if key[0] == audience]:
            del self._eyes[key]


EVENT_NAMES = frozenset(event.value for event in LiveEvent)


@dataclass(frozen=True, slots=True)
class Sight:
    """One change as one audience sees it."""

    change: ObjectChange
    event: LiveEvent
    eyes: Eyes
    saw: bool
    sees: bool

    def visible_states(self) -> dict[str, JsonObject]:
        """`object` and, where there is one to show, `original`: new dicts, hidden fields removed."""
        before, after = self.change.before, self.change.after
        current = before if after is None or (self.event is LiveEvent.LEAVE and not self.sees) else after
        assert current is not None
        states = {"object": self._present(current)}
        has_original = self.event in (LiveEvent.UPDATE, LiveEvent.LEAVE, LiveEvent.ENTER)
        if has_original and before is not None and self.saw:
            states["original"] = self._present(before)
        return states

    def _present(self, state: JsonObject) -> JsonObject:
        shown = self.eyes.presenter.present(state)
        visible = {key: value for key, value in shown.items() if not key.startswith("_")}
        return {"className": self.change.class_name, **visible}


def event_for(change: ObjectChange, *, was_visible: bool, is_visible: bool) -> LiveEvent | None:
    """Name the event that a change is."""
    if change.after is None:
        return deleted_event(was_visible=was_visible)
    return saved_event(existed=change.before is not None, was_visible=was_visible, is_visible=is_visible)


def is_watched(sight: Sight, watch: frozenset[str] | None) -> bool:
    """Did one of the watched fields change? Entering, leaving and deletions always count."""
    if watch is None or sight.event not in (LiveEvent.CREATE, LiveEvent.UPDATE):
        return True
    before, after = sight.change.before or {}, sight.change.after or {}
    return any(before.get(name) != after.get(name) for name in watch)


def encode_body(states: Mapping[str, JsonObject], keys: frozenset[str] | None) -> bytes:
    """The shared end of a frame: the states, projected."""
    if keys is not None:
        kept = keys | ALWAYS_SENT
        states = {
            name: {key: value for key, value in state.items() if key in kept}
            for name, state in states.items()
        }
    return b"," + orjson.dumps(states)[1:]


def encode_error(
    error: ParseError, request_id: int | float | None, *, reconnect: bool = False, sanitized: bool = True
) -> bytes:
    """An error frame."""
    return orjson.dumps(
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


def _same_rights(known: Auth, auth: Auth) -> bool:
    return known.user is auth.user and known.roles == auth.roles and known.privilege is auth.privilege
