from __future__ import annotations

from parse_clone.core.query import (
    EVERYTHING,
    AllOf,
    AnyOf,
    Exists,
    In,
    NoneOf,
    RelatedTo,
    Where,
    all_of,
    leaves,
    object_id_is,
)

A, B, C = In("a", (1,)), Exists("b", True), RelatedTo("Ward", "w1", "staff")


def test_all_of_nests_no_deeper_than_it_must() -> None:
    assert all_of() == EVERYTHING
    assert all_of(A) == A
    assert all_of(AllOf((A,)), EVERYTHING) == A
    assert all_of(AllOf((A, B)), AnyOf((A,))) == AllOf((A, B, AnyOf((A,))))


def test_leaves_are_found_at_every_depth() -> None:
    where: Where = AllOf((A, AnyOf((NoneOf((B, C)), AllOf()))))
    assert set(leaves(where)) == {A, B, C}
    deep: Where = A
    for _ in range(10_000):
        deep = AnyOf((deep,))
    assert list(leaves(deep)) == [A]


def test_an_object_is_named_by_its_id() -> None:
    assert object_id_is("x") == In("objectId", ("x",))
