"""Changes in, deliveries out. Every frame is what its subscriber could read over REST at that moment.

For a change, each candidate query is matched once on the state before and after; each audience of the query
is asked what it may see; each frame body is encoded once and shared by all who see the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
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
    Connection,
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
"""Changes that may wait in one line for delivery."""
SHARED = ""
"""The line of the classes whose changes pass no cloud code on their way."""
PORTION = 500
"""Queries matched and frames made without a pause; then other work gets its turn."""
HOLD_SECONDS = 0.1
HOLD_SIZE = 16_000_000
"""While changes wait, frames are held so long, and so many characters of them: a client gets those of several
changes at once, which costs little more than one."""
AT_ONCE = 50
"""Hooks that run, and sessions that are loaded, at the same time."""

BodyKey: TypeAlias = tuple[Hashable, frozenset[str] | None]
Group: TypeAlias = Mapping[Subscription, None]
"""Those of one audience who watch a query, now."""
Line: TypeAlias = asyncio.Queue[tuple[float, ObjectChange]]
"""Changes that wait, each with the moment of its arrival."""
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
class Match:
    """A change of an object that a query matches before it (`was`), after it (`matches`), or both."""

    query: WatchedQuery
    change: ObjectChange
    was: bool
    matches: bool


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
    sight: Hashable


class LiveQueryHub:
    """Matches the changes of this application to the subscriptions of this process."""

    def __init__(self, toolbox: Toolbox) -> None:
        self._toolbox = toolbox
        self.subscriptions = Subscriptions()
        self.metrics = Metrics()
        self._lines: dict[str, Line] = {}
        self._new_lines: asyncio.Queue[Line] = asyncio.Queue()
        self._eyes: dict[Audience, dict[tuple[str, bool], Eyes]] = {}
        self._since_pause = 0
        self._outbox = Outbox()
        self._loss_listeners: list[Callable[[], None]] = []

    @property
    def waiting(self) -> int:
        """How many changes wait for delivery."""
        return sum(line.qsize() for line in self._lines.values())

    # --- Changes in ---

    async def receive(self, change: ObjectChange) -> None:
        """Take a change; it is delivered in order, behind the writer's back. Where too many wait the writer
        waits, too; but never for cloud code: then whoever watches the class hears that he missed events."""
        class_name = change.class_name
        if not self.subscriptions.watches(class_name):
            return
        name = class_name if self._passes_cloud_code(class_name) else SHARED
        line = self._lines.get(name)
        if line is None:
            line = self._lines[name] = asyncio.Queue(BACKLOG)
            self._new_lines.put_nowait(line)
        if name != SHARED and line.full():
            self._give_up(class_name, line)
        else:
            await line.put((time.monotonic(), change))

    def _passes_cloud_code(self, class_name: str) -> bool:
        """May cloud code hang while changes of the class are delivered? It must hold up no other class."""
        triggers = self._toolbox.triggers
        return triggers.has(class_name, TriggerKind.AFTER_EVENT) or class_name in triggers.auditors

    def _give_up(self, class_name: str, line: Line) -> None:
        """Forget what waits in the line of a class, and let those who watch it come back and fetch."""
        log.error("events were lost: cloud code is too slow for the changes", class_name=class_name)
        while not line.empty():
            line.get_nowait()
        for connection in self.subscriptions.connections(class_name):
            connection.lose()

    def on_loss(self, listener: Callable[[], None]) -> None:
        """Call `listener` when changes may have been missed, and are heard of again."""
        self._loss_listeners.append(listener)

    def tell_loss(self) -> None:
        """Whoever hands changes over may have missed some."""
        for listener in self._loss_listeners:
            listener()

    async def run(self) -> None:
        """Deliver changes until cancelled, each line by itself."""
        async with asyncio.TaskGroup() as lines:
            while True:
                lines.create_task(self._deliver_all(await self._new_lines.get()))

    async def _deliver_all(self, line: Line) -> None:
        while True:
            since, change = await line.get()
            await self._tell_all(change)
            if line.empty():
                self._outbox.flush()
            self.metrics.lag = time.monotonic() - since

    async def deliver(self, change: ObjectChange) -> None:
        """Tell everybody for whom the change is an event."""
        await self._tell_all(change)
        self._outbox.flush()

    async def _tell_all(self, change: ObjectChange) -> None:
        self.metrics.changes += 1
        before, after = change.before, change.after
        states = [state for state in (before, after) if state is not None]
        bodies: dict[BodyKey, str] = {}
        for query in self.subscriptions.candidates(change.class_name, states):
            try:
                was = before is not None and query.matches(before)
                matches = after is not None and query.matches(after)
                if was or matches:
                    self.metrics.matched += 1
                    await self._tell_watchers(Match(query, change, was, matches), bodies)
            except Exception as error:
                log.error("a change was not delivered", class_name=change.class_name, exc_info=error)
            await self._give_way(1)

    async def _tell_watchers(self, match: Match, bodies: dict[BodyKey, str]) -> None:
        audiences = match.query.audiences
        await self._recall(audiences)
        for audience, group in list(audiences.items()):
            for portion in in_portions(group, PORTION):
                sight = await self._look(audience, match)
                if sight is not None:
                    await self._audit(sight)
                    await self._tell(sight, portion, group, bodies)
                    await self._give_way(len(portion))

    async def _give_way(self, work: int) -> None:
        """Let other work have its turn, every so often."""
        self._since_pause += work
        if self._since_pause >= PORTION:
            self._since_pause = 0
            await asyncio.sleep(0)

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

    async def _look(self, audience: Audience, match: Match) -> Sight | None:
        """See a change with the eyes of an audience: what it means for those who watch the query."""
        query, change = match.query, match.change
        eyes = await self.eyes_of(audience, query.class_name, query.names_one_object)
        if eyes is None or eyes.reads is None or not eyes.unaskable.isdisjoint(query.roots):
            return None
        saw = change.before is not None and eyes.reads(change.before)
        sees = change.after is not None and eyes.reads(change.after)
        event = event_for(change, was_visible=match.was and saw, is_visible=match.matches and sees)
        return None if event is None else Sight(self._toolbox, match, audience, event, eyes, saw, sees)

    async def _audit(self, sight: Sight) -> None:
        """Tell the auditor of the class what an audience is about to see."""
        change = sight.match.change
        if change.class_name in self._toolbox.triggers.auditors:
            ids = (str((change.after or change.before or {})["objectId"]),)
            event = AuditEvent("deliver", change.class_name, ids, sight.eyes.context)
            await audit(self._toolbox, event)

    async def _tell(
        self, sight: Sight, portion: list[Subscription], group: Group, bodies: dict[BodyKey, str]
    ) -> None:
        """Tell those of a portion who are still in their group: nobody hears anything after he was told that
        he watches no more."""
        if self._toolbox.triggers.has(sight.match.change.class_name, TriggerKind.AFTER_EVENT):
            for few in in_portions(portion, AT_ONCE):
                await asyncio.gather(*(self._tell_through_hook(sight, one, group) for one in few))
            return
        opening = f'{{"op":"{sight.event.value}",'
        for subscription in portion:
            if subscription not in group or not sight.concerns(subscription):
                continue
            key = (sight.form, subscription.keys)
            body = bodies.get(key)
            if body is None:
                states = await sight.visible_states()
                if subscription not in group:
                    continue
                body = bodies[key] = encode_body(states, subscription.keys)
            self._outbox.put(subscription.connection, opening + subscription.envelope + body)
            self.metrics.delivered += 1

    async def _tell_through_hook(self, sight: Sight, subscription: Subscription, group: Group) -> None:
        """Let the application's hook see the event first. It gets copies of its own, to the last value. What
        it takes its time for is told only to those who may still hear it."""
        if subscription not in group or not sight.concerns(subscription):
            return
        states = orjson.loads(orjson.dumps(await sight.visible_states()))
        event = LiveEventEvent(
            TriggerKind.AFTER_EVENT,
            sight.match.change.class_name,
            sight.eyes.context,
            event=sight.event.value,
            object=states["object"],
            original=states.get("original"),
            clients=self.metrics.connections,
            subscriptions=self.subscriptions.class_count,
        )
        failure = None
        try:
            await run_trigger(self._toolbox, event)
        except ParseError as error:
            failure = error
        if subscription not in group or not await self._still_has(sight):
            return
        if failure is not None:
            sanitized = self._toolbox.settings.enable_sanitized_error_response
            subscription.connection.deliver(
                encode_error(failure, subscription.request_id, sanitized=sanitized)
            )
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

    async def _still_has(self, sight: Sight) -> bool:
        """Would the audience see the same now?"""
        again = await self._look(sight.audience, sight.match)
        return again is not None and again.form == sight.form

    async def eyes_of(self, audience: Audience, class_name: str, names_one_object: bool) -> Eyes | None:
        """What the audience may see at this moment; worked out again when its rights have changed. None if
        there is no such class."""
        auth = await self.auth_of(audience)
        schema = await self._toolbox.catalog.get(class_name)
        if schema is None:
            return None
        key = (class_name, names_one_object)
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
    match: Match
    audience: Audience
    event: LiveEvent
    eyes: Eyes
    saw: bool
    sees: bool

    @property
    def form(self) -> Hashable:
        """What the states shown depend on, besides the change."""
        return self.eyes.sight, self.saw, self.sees

    def concerns(self, subscription: Subscription) -> bool:
        """Did one of the watched fields change? Entering, leaving and deletions always count. Nobody learns
        of changes of a field about which he may not ask."""
        watch = subscription.watch
        if watch is None or self.event not in (LiveEvent.CREATE, LiveEvent.UPDATE):
            return True
        change, unaskable = self.match.change, self.eyes.unaskable
        before, after = change.before or {}, change.after or {}
        return any(before.get(name) != after.get(name) for name in watch if root_of(name) not in unaskable)

    async def visible_states(self) -> dict[str, JsonObject]:
        """`object` and, where there is one to show, `original`: new dicts, hidden fields removed. Below the
        first level they are shared."""
        before, after = self.match.change.before, self.match.change.after
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
        if self.match.change.class_name == "_User":
            await present_auth_data(self.toolbox, self.eyes.context, visible)
        return {"className": self.match.change.class_name, **visible}


class Outbox:
    """Frames that connections hold, to send those of several changes at once."""

    def __init__(self) -> None:
        self._holding: list[Connection] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    def put(self, connection: Connection, frame: str) -> None:
        """Let a connection hold a frame, for a short time."""
        if connection.hold(frame):
            self._holding.append(connection)
        self._size += len(frame)
        if self._size > HOLD_SIZE:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(HOLD_SECONDS, self.flush)

    def flush(self) -> None:
        """Let the connections send what they hold, a portion of them at a time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        holding, self._holding, self._size = self._holding, [], 0
        _flush(holding)


def _flush(connections: list[Connection]) -> None:
    for connection in connections[:PORTION]:
        connection.flush()
    if len(connections) > PORTION:
        asyncio.get_running_loop().call_soon(_flush, connections[PORTION:])


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
    """An error frame; an error without a text has no `error`, as in REST."""
    text = error.shown(sanitized=sanitized)
    return encode_frame(
        {
            "op": "error",
            **({} if text is None else {"error": text}),
            "code": error.code,
            "reconnect": reconnect,
            "requestId": request_id,
        }
    )


def context_of(audience: Audience, auth: Auth) -> RequestContext:
    """The request context in which an audience looks at objects."""
    return replace(RequestContext(), auth=auth, base_url=audience.base_url)
