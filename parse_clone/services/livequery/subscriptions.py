"""Who watches what: a pure index. Equal queries are one entry, matched once for all who watch it.

A change asks only the queries that could match it: those with an equality in them are found by the value,
the others are few.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import orjson

from parse_clone.core.comparison import Key, compile_path, equality_key
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.matcher import Matcher, compile_matcher
from parse_clone.core.query import AllOf, Condition, In


class Connection(Protocol):
    """A client's end of the line."""

    def deliver(self, frame: bytes) -> None:
        """Hand over a frame without waiting; a client that cannot keep up is disconnected."""
        ...


@dataclass(frozen=True, slots=True)
class Audience:
    """With whose eyes a subscriber looks: everything that decides what he may see."""

    session_token: str | None
    is_master: bool
    base_url: str


@dataclass(frozen=True, eq=False, slots=True)
class Subscription:
    """One query of one client. `keys` None: whole objects; `watch` None: every update counts. `envelope` is
    the part of each frame that is the subscriber's own."""

    connection: Connection
    request_id: int | float
    audience: Audience
    envelope: bytes
    keys: frozenset[str] | None = None
    watch: frozenset[str] | None = None


@dataclass(eq=False)
class WatchedQuery:
    """A query with all who watch it, grouped by what they may see."""

    class_name: str
    where: bytes
    condition: Condition
    names_one_object: bool
    matches: Matcher = field(init=False)
    audiences: dict[Audience, dict[Subscription, None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.matches = compile_matcher(self.condition)


def canonical(where: JsonObject) -> bytes:
    """The text that equal queries share."""
    return orjson.dumps(where, option=orjson.OPT_SORT_KEYS)


def indexable_part(condition: Condition) -> In | None:
    """An equality that every match must satisfy, if the query has one."""
    parts = condition.parts if isinstance(condition, AllOf) else (condition,)
    for part in parts:
        if isinstance(part, In) and part.values and None not in part.values:
            return part
    return None


class ClassWatch:
    """The watched queries of one class."""

    def __init__(self) -> None:
        self.queries: dict[bytes, WatchedQuery] = {}
        self._by_value: dict[str, dict[Key, dict[WatchedQuery, None]]] = {}
        self._others: dict[WatchedQuery, None] = {}

    def add(self, query: WatchedQuery) -> None:
        """Index a query."""
        self.queries[query.where] = query
        for group in self._groups(query):
            group[query] = None

    def discard(self, query: WatchedQuery) -> None:
        """Forget a query."""
        self.queries.pop(query.where, None)
        for group in self._groups(query):
            group.pop(query, None)
        part = indexable_part(query.condition)
        if part is not None:
            self._drop_empty(part.path)

    def _groups(self, query: WatchedQuery) -> Iterator[dict[WatchedQuery, None]]:
        part = indexable_part(query.condition)
        if part is None:
            yield self._others
            return
        values = self._by_value.setdefault(part.path, {})
        for value in part.values:
            yield values.setdefault(equality_key(value), {})

    def _drop_empty(self, path: str) -> None:
        values = self._by_value.get(path, {})
        for key in [key for key, group in values.items() if not group]:
            del values[key]
        if not values:
            self._by_value.pop(path, None)

    def candidates(self, states: Iterable[JsonObject]) -> list[WatchedQuery]:
        """The queries that may match one of the states."""
        found = dict(self._others)
        states = list(states)
        for path, values in self._by_value.items():
            look = compile_path(path)
            for state in states:
                for leaf in look(state):
                    for key in _keys(leaf):
                        found.update(values.get(key, ()))
        return list(found)


def _keys(leaf: object) -> Iterator[Key]:
    """The values by which an equality may find a leaf: its own, and its elements'."""
    yield equality_key(leaf)  # type: ignore[arg-type]
    if isinstance(leaf, list):
        for item in leaf:
            yield equality_key(item)


class Subscriptions:
    """All subscriptions of a server, by class."""

    def __init__(self) -> None:
        self._classes: dict[str, ClassWatch] = {}
        self.count = 0

    def add(
        self, class_name: str, where: JsonObject, condition: Condition, subscription: Subscription
    ) -> WatchedQuery:
        """Let a subscription watch a query."""
        watch = self._classes.setdefault(class_name, ClassWatch())
        key = canonical(where)
        query = watch.queries.get(key)
        if query is None:
            query = WatchedQuery(class_name, key, condition, names_one_object(where))
            watch.add(query)
        query.audiences.setdefault(subscription.audience, {})[subscription] = None
        self.count += 1
        return query

    def remove(self, query: WatchedQuery, subscription: Subscription) -> None:
        """Stop watching; the last one takes the query along."""
        group = query.audiences.get(subscription.audience, {})
        if subscription not in group:
            return
        del group[subscription]
        self.count -= 1
        if not group:
            del query.audiences[subscription.audience]
        watch = self._classes.get(query.class_name)
        if not query.audiences and watch is not None:
            watch.discard(query)
            if not watch.queries:
                del self._classes[query.class_name]

    def watches(self, class_name: str) -> bool:
        """Does anybody watch the class?"""
        return class_name in self._classes

    def candidates(self, class_name: str, states: Iterable[JsonObject]) -> list[WatchedQuery]:
        """The queries on the class that may match one of the states."""
        watch = self._classes.get(class_name)
        return [] if watch is None else watch.candidates(states)

    @property
    def class_count(self) -> int:
        """How many classes are watched."""
        return len(self._classes)


def names_one_object(where: JsonObject) -> bool:
    """Is this a question for one object by its id? Then it needs the right to get, not to find."""
    object_id: Json = where.get("objectId")
    return len(where) == 1 and isinstance(object_id, str)
