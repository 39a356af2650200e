"""Engines answer as the matcher does: random objects, conditions and pages."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from hypothesis import assume, given
from hypothesis import strategies as st

from parse_clone.core.json_types import JsonObject
from parse_clone.core.matcher import apply_page, compile_matcher
from parse_clone.core.query import EVERYTHING, AllOf, Condition, Leaf, Page
from parse_clone.ports import Storage
from tests.adapters.stand_in import misjudges
from tests.strategies import NEAR, SCHEMA, conditions, examples, leaf_conditions, object_lists, pages


async def fill(storage: Storage, objects: Sequence[JsonObject]) -> None:
    await storage.delete(SCHEMA, EVERYTHING)
    await storage.insert(SCHEMA, objects)


def matching(objects: Sequence[JsonObject], where: Condition) -> list[JsonObject]:
    return list(filter(compile_matcher(where), objects))


def without_null_pointers(objects: Sequence[JsonObject]) -> list[JsonObject]:
    """Parse quirk: the document database reads a null pointer as absent."""
    return [{k: v for k, v in obj.items() if (k, v) != ("ward", None)} for obj in objects]


def ids(objects: Sequence[JsonObject]) -> list[str]:
    return sorted(str(obj["objectId"]) for obj in objects)


@examples(60)
@given(objects=object_lists(), leaves=st.lists(leaf_conditions(), min_size=1, max_size=8))
async def test_find_agrees_with_the_matcher_about_single_conditions(
    engine: str, storage: Storage, objects: list[JsonObject], leaves: list[Leaf]
) -> None:
    await fill(storage, objects)
    for where in leaves:
        if misjudges(engine, where):
            continue
        assert ids(await storage.find(SCHEMA, where, Page())) == ids(matching(objects, where)), where


@examples(60)
@given(objects=object_lists(), where=conditions())
async def test_find_and_count_agree_with_the_matcher_about_trees(
    engine: str, storage: Storage, objects: list[JsonObject], where: Condition
) -> None:
    assume(not misjudges(engine, where))
    await fill(storage, objects)
    expected = matching(objects, where)
    assert ids(await storage.find(SCHEMA, where, Page())) == ids(expected)
    assert await storage.count(SCHEMA, where) == len(expected)


@examples(60)
@given(objects=object_lists(), where=conditions(max_leaves=2), page=pages())
async def test_pages_are_sorted_and_cut_as_by_the_matcher(
    engine: str, storage: Storage, objects: list[JsonObject], where: Condition, page: Page
) -> None:
    assume(not misjudges(engine, where))
    await fill(storage, objects)
    expected = apply_page(matching(objects, where), where, page)
    found = await storage.find(SCHEMA, where, page)
    assert without_null_pointers(found) == without_null_pointers(expected)
    assert [orjson.loads(text) for _, text in await storage.find_json(SCHEMA, where, page)] == found


@examples(60)
@given(objects=object_lists(), near=NEAR, other=leaf_conditions())
async def test_the_nearest_come_first(
    engine: str, storage: Storage, objects: list[JsonObject], near: Leaf, other: Leaf
) -> None:
    assume(not misjudges(engine, other))
    await fill(storage, objects)
    where: Condition = AllOf((near, other))
    expected = apply_page(matching(objects, where), where, Page())
    found = await storage.find(SCHEMA, where, Page())
    assert [obj["site"] for obj in found] == [obj["site"] for obj in expected]
    assert ids(found) == ids(expected)
