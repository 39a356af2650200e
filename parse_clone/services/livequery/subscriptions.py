"""Who watches what: a pure index. Equal queries are one entry, matched once for all who watch it.

A change asks only the queries that could match it: those with an equality in them are found by the value,
the others are few.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import orjson

from parse_clone.core.comparison import Key, compile_path, equality_key
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.matcher import Matcher, compile_matcher
from parse_clone.core.query import AllOf, Condition, In
from parse_clone.core.query_json import where_paths


class Connection(Protocol):
    """A client's end of the line."""

    def deliver(self, frame: str) -> None:
        """Hand over a frame without waiting; a client that cannot keep up is disconnected."""
        ...

    def hold(self, frame: str) -> bool:
        """Hand over a frame that may wait for `flush`; answers whether it is the first that does."""
        ...

    def flush(self) -> None:
        """Send what is held."""
        ...

    def lose(self) -> None:
        """End it: events may have been missed, and a client that comes back fetches."""
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
    envelope: str
    keys: frozenset[str] | None = None
    watch: frozenset[str] | None = None


@dataclass(eq=False)
class WatchedQuery:
    """A query with all who watch it, grouped by what they may see. `roots`: the fields that it asks about."""

    class_name: str
    where: bytes
    condition: Condition
    names_one_object: bool
    matches: Matcher = field(init=False)
    roots: frozenset[str] = field(init=False)
    audiences: dict[Audience, dict[Subscription, None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.matches = compile_matcher(self.condition)
        self.roots = frozenset(where_paths(self.condition))


def canonical(where: JsonObject) -> bytes:
    """The text that equal queries share. Below the top the order of members counts, as it does in values."""
    return orjson.dumps(dict(sorted(where.items())))


MOST_VALUES = 100
"""Of an equality in the index: to look at one with more is cheaper than to keep a place for each."""


def indexable_part(condition: Condition) -> In | None:
    """The most telling equality that every match must satisfy, if the query has one."""
    parts = condition.parts if isinstance(condition, AllOf) else (condition,)
    equalities = [
        part
        for part in parts
        if isinstance(part, In) and 0 < len(part.values) <= MOST_VALUES and None not in part.values
    ]
    return max(equalities, key=_tells, default=None)


def _tells(part: In) -> int:
    """How few objects an equality leaves, at a guess: an id or a pointer fewer than a text or a flag."""
    if part.path == "objectId" or any(isinstance(value, dict) for value in part.values):
        return 2
    return 0 if any(isinstance(value, bool) for value in part.values) else 1


class ClassWatch:
    """The watched queries of one class."""

    def __init__(self) -> None:
        self.queries: dict[bytes, WatchedQuery] = {}
        self._by_value: dict[str, dict[Key, dict[WatchedQuery, None]]] = {}
        self._others: dict[WatchedQuery, None] = {}

    def add(self, query: WatchedQuery) -> None:
        """Index a query."""
        self.queries[query.where] = query
        part = indexable_part(query.condition)
        if part is None:
            self._others[query] = None
            return
        values = self._by_value.setdefault(part.path, {})
        for value in part.values:
            values.setdefault(equality_key(value), {})[query] = None

    def discard(self, query: WatchedQuery) -> None:
        """Forget a query, and every place in the index that is empty without it."""
        del self.queries[query.where]
        part = indexable_part(query.condition)
        if part is None:
            del self._others[query]
            return
        values = self._by_value[part.path]
        for key in {equality_key(value) for value in part.values}:
            group = values[key]
            del group[query]
            if not group:
                del values[key]
        if not values:
            del self._by_value[part.path]

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
        self._audiences: Counter[Audience] = Counter()

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
        self._audiences[subscription.audience] += 1
        return query

    def remove(self, query: WatchedQuery, subscription: Subscription) -> None:
        """Stop watching; the last one takes the query along."""
        group = query.audiences.get(subscription.audience, {})
        if subscription not in group:
            return
        del group[subscription]
        self._audiences[subscription.audience] -= 1
        if not self._audiences[subscription.audience]:
            del self._audiences[subscription.audience]
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

    def connections(self, class_name: str) -> set[Connection]:
        """The connections of all who watch the class."""
        watch = self._classes.get(class_name)
        queries = [] if watch is None else watch.queries.values()
        groups = [group for query in queries for group in query.audiences.values()]
        return {subscription.connection for group in groups for subscription in group}

    def candidates(self, class_name: str, states: Iterable[JsonObject]) -> list[WatchedQuery]:
        """The queries on the class that may match one of the states."""
        watch = self._classes.get(class_name)
        return [] if watch is None else watch.candidates(states)

    def has_audience(self, audience: Audience) -> bool:
        """Does anybody with these eyes watch anything?"""
        return audience in self._audiences

    @property
    def count(self) -> int:
        """How many subscriptions there are."""
        return self._audiences.total()

    @property
    def class_count(self) -> int:
        """How many classes are watched."""
        return len(self._classes)


def names_one_object(where: JsonObject) -> bool:
    """Is this a question for one object by its id? Then it needs the right to get, not to find."""
    object_id: Json = where.get("objectId")
    return len(where) == 1 and isinstance(object_id, str)
