"""Engines change objects as `core.operations` does: random objects and operations of every kind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.operations import (
    Add,
    AddUnique,
    Delete,
    FieldOperation,
    Increment,
    Remove,
    Set,
    SetOnInsert,
    apply_operations,
)
from parse_clone.core.query import EVERYTHING, WHOLE, object_id_is
from parse_clone.errors import ParseError
from parse_clone.ports import Storage
from tests.adapters.stand_in import confuses
from tests.strategies import SCHEMA, VALUES, acls, examples, numbers, objects, scalars, visits

lists = st.lists(scalars, max_size=3).map(tuple)
deletes = st.just(Delete())
increments = st.sampled_from([-1, 0, 1, 1.5]).map(Increment)
array_operations = st.one_of(lists.map(Add), lists.map(AddUnique), lists.map(Remove))

operations: st.SearchStrategy[dict[str, FieldOperation]] = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.one_of(VALUES[name].map(Set), deletes) for name in VALUES.keys() - {"vitals", "visits"}},
        "age": st.one_of(numbers.map(Set), deletes, increments, numbers.map(SetOnInsert)),
        "tags": st.one_of(lists.map(list).map(Set), deletes, array_operations),
        "vitals.pulse": st.one_of(scalars.map(Set), deletes, increments),
        "vitals.history": array_operations,
        "vitals.deep.er": st.one_of(scalars.map(Set), deletes, increments),
        "visits.0": visits.map(Set),
        "visits.1.count": st.one_of(scalars.map(Set), deletes, increments),
        "ACL": st.one_of(acls.map(Set), deletes),
    },
)


def normal(obj: JsonObject) -> JsonObject:
    """Without null pointers: # Parse quirk: the document database reads them as absent."""
    return {name: value for name, value in obj.items() if (name, value) != ("ward", None)}


def of_code(code: int) -> Callable[[ParseError], bool]:
    return lambda error: error.code == code


def are_plain(visits: Json) -> bool:
    """Are all visits objects? What a path does below other elements is each engine's own."""
    return not isinstance(visits, list) or all(isinstance(v, dict) and "__type" not in v for v in visits)


@examples(120)
@given(obj=objects(), changes=operations)
async def test_updates_agree_with_the_operations_of_the_core(
    engine: str, storage: Storage, obj: JsonObject, changes: dict[str, FieldOperation]
) -> None:
    assume(are_plain(obj.get("visits")))
    for operation in changes.values():
        if isinstance(operation, AddUnique | Remove):
            assume(not confuses(engine, operation.objects))
    await storage.delete(SCHEMA, EVERYTHING)
    await storage.insert(SCHEMA, [obj])
    try:
        expected = apply_operations(obj, changes)
    except ParseError as reason:
        with pytest.raises(ParseError, check=of_code(reason.code)):
            await storage.update(SCHEMA, object_id_is("o1"), changes)
        expected = obj
    else:
        updated = await storage.update(SCHEMA, object_id_is("o1"), changes)
        assert updated is not None
        assert normal(updated) == normal(expected)
    [stored] = await storage.find(SCHEMA, EVERYTHING, WHOLE)
    assert normal(stored) == normal(expected)
