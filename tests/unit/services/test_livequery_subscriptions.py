"""Who watches what: the index asks every query that could match, and few others; nothing stays behind."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from parse_clone.core.query import AllOf, AnyOf, Compare, Condition, Exists, In, all_of
from parse_clone.services.livequery.subscriptions import (
    Audience,
    Subscription,
    Subscriptions,
    WatchedQuery,
    indexable_part,
    names_one_object,
)
from tests.strategies import conditions, leaf_conditions, objects

NOBODY = Audience(None, False, "")
SOMEBODY = Audience("r:1", False, "")


class Line:
    """A connection to which nothing is sent."""

    def deliver(self, frame: str) -> None:
        raise NotImplementedError

    def hold(self, frame: str) -> bool:
        raise NotImplementedError

    def flush(self) -> None:
        raise NotImplementedError


def subscription(audience: Audience = NOBODY) -> Subscription:
    return Subscription(Line(), 1, audience, '"requestId":1')


def watch(index: Subscriptions, where: dict[str, Any], *conditions_: Condition) -> WatchedQuery:
    return index.add("LabResult", where, all_of(*conditions_), subscription())


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(conditions(), st.lists(leaf_conditions(), min_size=1, max_size=3).map(tuple).map(AllOf))
    ),
    st.lists(objects(), min_size=1, max_size=2),
)
def test_every_query_that_matches_is_a_candidate(watched: list[Condition], states: list[Any]) -> None:
    index = Subscriptions()
    entries = [
        (index.add("LabResult", {"number": number}, condition, subscription()), condition)
        for number, condition in enumerate(watched)
    ]
    candidates = index.candidates("LabResult", states)
    for query, _ in entries:
        if any(query.matches(state) for state in states):
            assert query in candidates
    assert len(candidates) == len(set(map(id, candidates)))


@settings(max_examples=60, deadline=None)
@given(st.lists(conditions(), max_size=8), st.randoms())
def test_nothing_stays_behind(watched: list[Condition], chance: Any) -> None:
    index = Subscriptions()
    entries = []
    for number, condition in enumerate(watched):
        entry = subscription(chance.choice([NOBODY, SOMEBODY]))
        entries.append((index.add("LabResult", {"number": number // 2}, condition, entry), entry))
    assert index.count == len(watched)
    chance.shuffle(entries)
    for query, entry in entries:
        index.remove(query, entry)
        index.remove(query, entry)
    assert (index.count, index.class_count) == (0, 0)
    assert not index.has_audience(NOBODY)
    assert not index.has_audience(SOMEBODY)
    assert not index.watches("LabResult")


def test_equal_queries_are_one_however_their_members_are_ordered() -> None:
    index = Subscriptions()
    one = index.add("LabResult", {"a": 1, "b": 2}, In("a", (1,)), subscription())
    two = index.add("LabResult", {"b": 2, "a": 1}, In("a", (1,)), subscription(SOMEBODY))
    other = index.add("LabResult", {"a": 2, "b": 1}, In("a", (2,)), subscription())
    assert one is two
    assert other is not one
    assert list(one.audiences) == [NOBODY, SOMEBODY]


def test_values_whose_members_are_ordered_differently_are_different() -> None:
    index = Subscriptions()
    one = index.add("LabResult", {"a": {"$eq": {"x": 1, "y": 2}}}, Exists("a", True), subscription())
    two = index.add("LabResult", {"a": {"$eq": {"y": 2, "x": 1}}}, Exists("a", True), subscription())
    assert one is not two


def test_a_query_with_another_value_is_not_asked() -> None:
    index = Subscriptions()
    rooms = [watch(index, {"room": number}, In("room", (number,))) for number in range(50)]
    others = watch(index, {"value": {"$gt": 5}}, Compare("value", ">", 5))
    assert set(map(id, index.candidates("LabResult", [{"room": 7}]))) == {id(rooms[7]), id(others)}
    assert len(index.candidates("LabResult", [{"room": 7}, {"room": 8}])) == 3
    assert len(index.candidates("LabResult", [{"room": [1, 2, 3]}])) == 4
    assert index.candidates("Patient", [{"room": 7}]) == []


def test_the_equality_that_leaves_fewest_objects_is_the_index() -> None:
    patient = In("patient", ({"__type": "Pointer", "className": "Patient", "objectId": "p1"},))
    parts = (In("final", (True,)), In("status", ("final",)), patient)
    assert indexable_part(AllOf(parts)) is patient
    assert indexable_part(AllOf(parts[:2])) is parts[1]
    assert indexable_part(parts[0]) is parts[0]
    assert indexable_part(AnyOf(parts)) is None
    assert indexable_part(In("status", ("final", None))) is None
    assert indexable_part(In("status", ())) is None
    assert indexable_part(In("n", tuple(range(100)))) is not None
    assert indexable_part(In("n", tuple(range(101)))) is None


def test_a_query_knows_the_fields_that_it_asks_about() -> None:
    index = Subscriptions()
    query = watch(index, {}, AnyOf((In("a.b", (1,)), Exists("c", True))))
    assert query.roots == {"a", "c"}


def test_only_a_lone_object_id_names_one_object() -> None:
    assert names_one_object({"objectId": "a"})
    assert not names_one_object({"objectId": {"$in": ["a"]}})
    assert not names_one_object({"objectId": "a", "b": 1})
    assert not names_one_object({})
