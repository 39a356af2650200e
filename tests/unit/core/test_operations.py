from __future__ import annotations

from copy import deepcopy
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.operations import (
    MAX_ARRAY_INDEX,
    Add,
    AddUnique,
    ChangeRelation,
    Delete,
    FieldOperation,
    Increment,
    Operation,
    Remove,
    Set,
    SetOnInsert,
    apply_operations,
    decode_operations,
    echo,
    encode_operation,
    field_operations,
    initial_values,
    is_echoed,
    merge_operations,
    relation_changes,
)
from parse_clone.core.values import pointer
from parse_clone.errors import ParseError

NURSE_1, NURSE_2 = pointer("Nurse", "n1"), pointer("Nurse", "n2")


def op(op_name: str, **members: Json) -> JsonObject:
    return {"__op": op_name, **members}


def decode_one(value: Json, *, creating: bool = False) -> Operation | None:
    return decode_operations({"f": value}, creating=creating).get("f")


# --- Decode ---


@pytest.mark.parametrize(
    ("value", "operation"),
    [
        (1, Set(1)),
        (None, Set(None)),
        ({"__op": ""}, Set({"__op": ""})),
        (op("Delete"), Delete()),
        (op("Increment", amount=-1.5), Increment(-1.5)),
        (op("Add", objects=[1, {"a": 2}]), Add((1, {"a": 2}))),
        (op("AddUnique", objects=[1]), AddUnique((1,))),
        (op("Remove", objects=[]), Remove(())),
        (op("SetOnInsert", amount="x"), SetOnInsert("x")),
        (op("SetOnInsert"), SetOnInsert(None)),
        (op("AddRelation", objects=[NURSE_1, NURSE_2]), ChangeRelation("Nurse", add=("n1", "n2"))),
        (op("RemoveRelation", objects=[NURSE_1]), ChangeRelation("Nurse", remove=("n1",))),
        (
            op("Batch", ops=[op("AddRelation", objects=[NURSE_1]), op("RemoveRelation", objects=[NURSE_2])]),
            ChangeRelation("Nurse", add=("n1",), remove=("n2",)),
        ),
        (
            op("Batch", ops=[op("AddRelation", objects=[NURSE_1]), op("RemoveRelation", objects=[NURSE_1])]),
            ChangeRelation("Nurse", remove=("n1",)),
        ),
        ({"__type": "Relation", "className": "Nurse"}, ChangeRelation("Nurse")),
        (op("AddRelation", objects=[]), None),
        (op("AddRelation"), None),
        (op("Batch", ops=[]), None),
        (op("Batch"), None),
    ],
)
def test_operations_are_decoded(value: Json, operation: Operation | None) -> None:
    assert decode_one(value) == operation
    assert decode_one(value, creating=True) == operation


@pytest.mark.parametrize(
    ("value", "creating", "code", "text"),
    [
        (op("Foo"), False, 108, "The Foo operator is not supported yet."),
        (op("Increment"), False, 107, "incrementing must provide a number"),
        (op("Increment", amount=True), False, 107, "incrementing must provide a number"),
        (op("Increment", amount="1"), True, 107, "objects to add must be an array"),
        (op("Add", objects="x"), False, 107, "objects to add must be an array"),
        (op("AddUnique"), True, 107, "objects to add must be an array"),
        (op("Remove", objects={}), False, 107, "objects to remove must be an array"),
        (op("Remove", objects={}), True, 107, "objects to add must be an array"),
        (
            op("Batch", ops=[op("Increment", amount=1)]),
            False,
            108,
            "The Batch operator is not supported yet.",
        ),
        (op("Batch", ops=["x"]), False, 108, "The Batch operator is not supported yet."),
        (op("AddRelation", objects=["n1"]), False, 111, "This is not a valid Pointer"),
        (
            op("AddRelation", objects=[NURSE_1, pointer("Doctor", "d1")]),
            False,
            111,
            "expected Relation<Nurse> but got Relation<Doctor>",
        ),
        ({"__type": "Relation"}, False, 111, "This is not a valid Relation"),
        ({"__type": "Object"}, True, 111, "This is not a valid Object"),
        (
            op("Add", objects=[{"a.b": 1}]),
            False,
            121,
            "Nested keys should not contain the '$' or '.' characters",
        ),
    ],
)
def test_malformed_operations_are_refused(value: Json, creating: bool, code: int, text: str) -> None:
    with pytest.raises(ParseError) as caught:
        decode_one(value, creating=creating)
    assert (caught.value.code, caught.value.message) == (code, text)


def test_an_acl_is_normalised_and_null_means_not_given() -> None:
    given: JsonObject = {"ACL": {"u1": {"read": True, "write": False}}}
    assert decode_operations(given, creating=True) == {"ACL": Set({"u1": {"read": True}})}
    assert decode_operations({"ACL": None}, creating=False) == {}
    assert decode_operations({"ACL": op("Delete")}, creating=False) == {"ACL": Delete()}
    with pytest.raises(ParseError) as caught:
        decode_operations({"ACL": op("Add", objects=[])}, creating=False)
    assert (caught.value.code, caught.value.message) == (123, "Invalid ACL.")


def test_a_field_and_a_part_of_it_cannot_change_at_once() -> None:
    assert len(decode_operations({"a.b": 1, "a.c": 1, "ab": 1}, creating=False)) == 3
    bodies: list[JsonObject] = [{"a": {}, "a.b": 1}, {"a.b.c": 1, "a.b": 2}]
    for body in bodies:
        with pytest.raises(ParseError) as caught:
            decode_operations(body, creating=False)
        assert caught.value.code == 105


def test_links_are_told_apart_from_fields() -> None:
    operations: dict[str, Operation] = {
        "name": Set("x"),
        "staff": Set(None),
        "nurses": ChangeRelation("Nurse", add=("n1",)),
        "doctors": ChangeRelation("Doctor"),
    }
    assert field_operations(operations, {"staff", "nurses", "doctors"}) == {"name": Set("x")}
    assert field_operations(operations) == {"name": Set("x"), "staff": Set(None)}
    assert relation_changes(operations) == {"nurses": ChangeRelation("Nurse", add=("n1",))}


# --- Encode ---


@pytest.mark.parametrize(
    ("operation", "value"),
    [
        (Set({"a": [1]}), {"a": [1]}),
        (Delete(), op("Delete")),
        (Increment(2), op("Increment", amount=2)),
        (SetOnInsert("x"), op("SetOnInsert", amount="x")),
        (Add((1,)), op("Add", objects=[1])),
        (AddUnique((1,)), op("AddUnique", objects=[1])),
        (Remove((1,)), op("Remove", objects=[1])),
        (ChangeRelation("Nurse", add=("n1",)), op("AddRelation", objects=[NURSE_1])),
        (ChangeRelation("Nurse", remove=("n1",)), op("RemoveRelation", objects=[NURSE_1])),
        (
            ChangeRelation("Nurse", add=("n1",), remove=("n2",)),
            op("Batch", ops=[op("AddRelation", objects=[NURSE_1]), op("RemoveRelation", objects=[NURSE_2])]),
        ),
        (ChangeRelation("Nurse"), {"__type": "Relation", "className": "Nurse"}),
    ],
)
def test_operations_are_written_as_they_are_read(operation: Operation, value: Json) -> None:
    assert encode_operation(operation) == value
    assert decode_one(value) == operation


# --- Apply ---


def test_on_create_operations_become_values() -> None:
    operations: dict[str, Operation] = {
        "a": Set(1),
        "b": Increment(2),
        "c": Add((1, 1)),
        "d": AddUnique((1, 1)),
        "e": Remove((1,)),
        "f": Delete(),
        "g": SetOnInsert("x"),
        "h": ChangeRelation("Nurse", add=("n1",)),
        "i.j": Increment(3),
        "i.k": Set(None),
    }
    assert initial_values(operations) == {
        "a": 1,
        "b": 2,
        "c": [1, 1],
        "d": [1, 1],
        "e": [],
        "g": "x",
        "i": {"j": 3, "k": None},
    }


@pytest.mark.parametrize(
    ("before", "operations", "after"),
    [
        ({}, {"a": Set(None)}, {"a": None}),
        ({"a": 1}, {"a": Delete()}, {}),
        ({}, {"a": Delete()}, {}),
        ({"a": 1}, {"a": Increment(2.5)}, {"a": 3.5}),
        ({"a": 0.5}, {"a": Increment(0.5)}, {"a": 1}),
        ({}, {"a": Increment(2)}, {"a": 2}),
        ({"a": [1]}, {"a": Add((1, 2))}, {"a": [1, 1, 2]}),
        ({}, {"a": Add((1,))}, {"a": [1]}),
        ({"a": [1, 1.0]}, {"a": AddUnique((1, True, True, 2))}, {"a": [1, 1.0, True, 2]}),
        (
            {"a": [{"x": 1, "y": 2}]},
            {"a": AddUnique(({"y": 2, "x": 1},))},
            {"a": [{"x": 1, "y": 2}, {"y": 2, "x": 1}]},
        ),
        ({"a": [NURSE_1]}, {"a": AddUnique((NURSE_1, NURSE_2))}, {"a": [NURSE_1, NURSE_2]}),
        ({"a": [1, 2, 1, "1"]}, {"a": Remove((1,))}, {"a": [2, "1"]}),
        ({}, {"a": Remove((1,))}, {}),
        ({"a": 1}, {"a": SetOnInsert(2)}, {"a": 1}),
        ({}, {"a": ChangeRelation("Nurse", add=("n1",))}, {}),
        # dotted paths
        ({}, {"a.b.c": Set(1)}, {"a": {"b": {"c": 1}}}),
        ({"a": {"x": 1}}, {"a.b": Set(1), "a.c": Increment(2)}, {"a": {"x": 1, "b": 1, "c": 2}}),
        ({"a": {"b": 1, "c": 2}}, {"a.b": Delete()}, {"a": {"c": 2}}),
        ({}, {"a.b": Delete()}, {}),
        ({"a": 5}, {"a.b": Delete()}, {"a": 5}),
        ({}, {"a.b": Remove((1,))}, {}),
        ({"a": {"b": [1]}}, {"a.b": AddUnique((2,))}, {"a": {"b": [1, 2]}}),
        ({"a": {"0": 1}}, {"a.0": Increment(1)}, {"a": {"0": 2}}),
        # arrays
        ({"a": ["x", "y"]}, {"a.0": Set("z")}, {"a": ["z", "y"]}),
        ({"a": ["x"]}, {"a.2": Set("z")}, {"a": ["x", None, "z"]}),
        ({"a": ["x", "y"]}, {"a.0": Delete()}, {"a": [None, "y"]}),
        ({"a": ["x"]}, {"a.1": Delete()}, {"a": ["x"]}),
        ({"a": [{"n": 1}]}, {"a.0.n": Increment(1)}, {"a": [{"n": 2}]}),
        ({"a": [None]}, {"a.1.n": Set(1)}, {"a": [None, {"n": 1}]}),
        ({"a": []}, {"a.0": Add((1,))}, {"a": [[1]]}),
    ],
)
def test_operations_change_an_object(
    before: JsonObject, operations: dict[str, FieldOperation], after: JsonObject
) -> None:
    untouched = deepcopy(before)
    assert apply_operations(before, operations) == after
    assert before == untouched


@pytest.mark.parametrize(
    ("before", "operations", "text"),
    [
        ({"a": "x"}, {"a": Increment(1)}, "The value of a is not a number."),
        ({"a": None}, {"a": Increment(1)}, "The value of a is not a number."),
        ({"a": True}, {"a": Increment(1)}, "The value of a is not a number."),
        ({"a": {"b": "x"}}, {"a.b": Increment(1)}, "The value of a.b is not a number."),
        ({"a": 1}, {"a": Add((1,))}, "The value of a is not an array."),
        ({"a": None}, {"a": AddUnique((1,))}, "The value of a is not an array."),
        ({"a": {"b": 1}}, {"a.b": Remove((1,))}, "The value of a.b is not an array."),
        ({"a": 5}, {"a.b": Set(1)}, "The value of a is not an object."),
        ({"a": None}, {"a.b": Set(1)}, "The value of a is not an object."),
        ({"a": {"b": 5}}, {"a.b.c": Set(1)}, "The value of a.b is not an object."),
        ({"a": [1]}, {"a.b": Set(1)}, "The value of a is not an object."),
        ({"a": [1]}, {"a.0.b": Set(1)}, "The value of a.0 is not an object."),
        ({"a": [None]}, {"a.0.b": Set(1)}, "The value of a.0 is not an object."),
        ({"a": []}, {f"a.{MAX_ARRAY_INDEX + 1}": Set(1)}, "The value of a is not an object."),
        ({"a": []}, {f"a.{'9' * 30}": Set(1)}, "The value of a is not an object."),
    ],
)
def test_operations_refuse_values_of_another_kind(
    before: JsonObject, operations: dict[str, FieldOperation], text: str
) -> None:
    with pytest.raises(ParseError) as caught:
        apply_operations(before, operations)
    assert (caught.value.code, caught.value.message) == (111, text)


# --- Merge ---


@pytest.mark.parametrize(
    ("first", "then", "merged"),
    [
        (Set(1), Set(2), Set(2)),
        (Increment(1), Set(2), Set(2)),
        (Set(1), Delete(), Delete()),
        (Set(1), SetOnInsert(2), Set(1)),
        (Set(1), Increment(2), Set(3)),
        (Set([1]), Add((1,)), Set([1, 1])),
        (Set([1]), AddUnique((1, 2)), Set([1, 2])),
        (Set([1, 2]), Remove((1,)), Set([2])),
        (Delete(), Increment(2), Set(2)),
        (Delete(), Remove((1,)), Delete()),
        (Increment(1), Increment(2), Increment(3)),
        (Add((1,)), Add((2,)), Add((1, 2))),
        (AddUnique((1,)), AddUnique((1, 2)), AddUnique((1, 2))),
        (Remove((1,)), Remove((2,)), Remove((1, 2))),
        (
            ChangeRelation("N", add=("a", "b"), remove=("c", "d")),
            ChangeRelation("N", add=("c",), remove=("a",)),
            ChangeRelation("N", add=("b", "c"), remove=("d", "a")),
        ),
    ],
)
def test_operations_on_one_field_merge(first: Operation, then: Operation, merged: Operation) -> None:
    assert merge_operations({"f": first}, {"f": then}) == {"f": merged}


@pytest.mark.parametrize(
    ("earlier", "later", "merged"),
    [
        ({"a": Set(1)}, {"b": Set(2)}, {"a": Set(1), "b": Set(2)}),
        ({"a.b": Set(1), "ab": Set(1)}, {"a": Set({})}, {"a": Set({}), "ab": Set(1)}),
        ({"a": Set({"b": 1})}, {"a.b": Increment(1)}, {"a": Set({"b": 2})}),
        ({"a": Delete()}, {"a.b": Increment(1)}, {"a": Set({"b": 1})}),
        ({"a": Delete()}, {"a.b": Remove((1,))}, {"a": Delete()}),
        ({"a.b": Set({})}, {"a.b.c": Set(1)}, {"a.b": Set({"c": 1})}),
    ],
)
def test_operations_on_parts_merge_with_those_on_the_whole(
    earlier: dict[str, Operation], later: dict[str, Operation], merged: dict[str, Operation]
) -> None:
    assert merge_operations(earlier, later) == merged


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ({"a": Add((1,))}, {"a": Remove((1,))}),
        ({"a": Increment(1)}, {"a": Add((1,))}),
        ({"a": Increment(1)}, {"a.b": Set(1)}),
    ],
)
def test_some_operations_do_not_merge(earlier: dict[str, Operation], later: dict[str, Operation]) -> None:
    with pytest.raises(ParseError) as caught:
        merge_operations(earlier, later)
    assert caught.value.code == 107


items = st.sampled_from([1, 2, "a", None, True])
array_operations = st.one_of(
    st.lists(items, max_size=3).map(lambda values: Set(list(values))),
    st.lists(items, max_size=3).map(lambda values: Add(tuple(values))),
    st.lists(items, max_size=3).map(lambda values: AddUnique(tuple(values))),
    st.lists(items, max_size=3).map(lambda values: Remove(tuple(values))),
    st.just(Delete()),
)


@settings(max_examples=200)
@given(st.lists(items, max_size=4), array_operations, array_operations)
def test_a_merged_operation_does_what_its_parts_do(
    array: list[Json], first: FieldOperation, then: FieldOperation
) -> None:
    before: JsonObject = {"f": array}
    step_by_step = apply_operations(apply_operations(before, {"f": first}), {"f": then})
    try:
        merged = merge_operations({"f": first}, {"f": then})
    except ParseError:
        return
    assert apply_operations(before, merged) == step_by_step


# --- Answer ---


@pytest.mark.parametrize(
    ("operation", "echoed"),
    [
        (Set(1), False),
        (Delete(), False),
        (ChangeRelation("N"), False),
        (Increment(1), True),
        (Add(()), True),
        (AddUnique(()), True),
        (Remove(()), True),
        (SetOnInsert(1), True),
    ],
)
def test_operations_with_a_result_are_echoed(operation: Operation, echoed: bool) -> None:
    assert is_echoed(operation) is echoed


@pytest.mark.parametrize(
    ("after", "paths", "answer"),
    [
        ({"a": 1, "b": 2}, ["a"], {"a": 1}),
        ({"b": 2}, ["a"], {}),
        ({"a": {"b": 1, "c": 2}}, ["a.b"], {"a": {"b": 1}}),
        ({"a": {"b": 1, "c": {"d": 2, "e": 3}}}, ["a.b", "a.c.d"], {"a": {"b": 1, "c": {"d": 2}}}),
        ({"a": {"b": 1}}, ["a.x", "a.b.x", "z.y"], {}),
        ({"a": [1, 2]}, ["a.0"], {"a": [1, 2]}),
        ({"a": [{"n": 1}, 2]}, ["a.0.n"], {"a": [{"n": 1}, 2]}),
        ({"a": {"b": [{"n": 1}, 2]}}, ["a.b.0.n"], {"a": {"b": [{"n": 1}, 2]}}),
    ],
)
def test_answers_hold_the_results_alone(after: JsonObject, paths: list[str], answer: JsonObject) -> None:
    operations: dict[str, Operation] = {path: Increment(1) for path in paths}
    untouched = deepcopy(after)
    assert echo(after, {**operations, "plain": Set(1)}) == answer
    assert after == untouched


def test_no_path_is_the_parent_of_another_after_decoding() -> None:
    body: JsonObject = {"a.b": 1, "a.bc": 2, "a.b0": 3}
    paths = sorted(decode_operations(body, creating=False))
    assert not any(second.startswith(f"{first}.") for first, second in pairwise(paths))


def test_the_creation_of_an_update_is_not_read() -> None:
    odd: JsonObject = {"createdAt": {"__type": "Date", "iso": {"__type": "Date", "iso": "1970-01-01"}}}
    assert decode_operations(odd, creating=False) == {"createdAt": Set(odd["createdAt"])}
    with pytest.raises(ParseError, match="This is not a valid Date"):
        decode_operations(odd, creating=True)
