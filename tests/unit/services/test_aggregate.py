"""Pipelines and distinct values."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from parse_clone.core.context import Auth, Privilege, RequestContext
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.services.classes import aggregate_objects
from parse_clone.services.triggers import FindEvent, TriggerEvent, TriggerKind
from tests.unit.services.clinic import Clinic, maintenance, master, open_clinic, refusal

READING = RequestContext(auth=Auth(privilege=Privilege.READ_ONLY_MASTER))


@pytest.fixture
async def clinic() -> AsyncIterator[Clinic]:
    async with open_clinic() as opened:
        for code, value, ward in (("K", 4, "a"), ("K", 6, "b"), ("Na", 140, "a")):
            pointer: JsonObject = {"__type": "Pointer", "className": "Ward", "objectId": ward}
            body: JsonObject = {
                "code": code,
                "value": value,
                "ward": pointer,
                "tags": [code, "lab"],
                "ACL": {},
            }
            await opened.save(master(), "LabResult", body)
        yield opened


async def aggregate(clinic: Clinic, context: RequestContext | None = None, **parameters: Any) -> list[Json]:
    return await aggregate_objects(clinic.toolbox, context or master(), "LabResult", parameters)


async def test_only_the_master_key_may_aggregate(clinic: Clinic) -> None:
    for context in (await clinic.context(), maintenance()):
        with refusal(ErrorCode.OPERATION_FORBIDDEN, "Permission denied"):
            await aggregate(clinic, context, distinct="code")
    assert len(await aggregate(clinic, READING, distinct="code")) == 2
    settings = replace(clinic.toolbox.settings, allow_aggregation_for_read_only_master_key=False)
    closed = replace(clinic, toolbox=replace(clinic.toolbox, settings=settings))
    with refusal(ErrorCode.OPERATION_FORBIDDEN):
        await aggregate(closed, READING, distinct="code")


async def test_distinct_values_of_what_matches(clinic: Clinic) -> None:
    wards: Any = await aggregate(clinic, distinct="ward")
    assert sorted(await aggregate(clinic, distinct="code"), key=str) == ["K", "Na"]
    assert await aggregate(clinic, distinct="code", where={"value": {"$gt": 100}}) == ["Na"]
    assert sorted(await aggregate(clinic, distinct="tags"), key=str) == ["K", "Na", "lab"]
    assert sorted(ward["objectId"] for ward in wards) == ["a", "b"]
    in_query = {"$select": {"query": {"className": "LabResult", "where": {"value": 6}}, "key": "code"}}
    assert await aggregate(clinic, distinct="code", where={"code": in_query}) == ["K"]
    for path in ("ghost", "_hashed_password", "$where"):
        assert await aggregate(clinic, distinct=path) == []


async def test_pipelines_come_as_array_as_object_and_as_parameters(clinic: Clinic) -> None:
    match = {"code": "K"}
    group = {"_id": "$code", "total": {"$sum": "$value"}}
    forms: tuple[dict[str, Any], ...] = (
        {"pipeline": [{"$match": match}, {"$group": group}]},
        {"pipeline": {"$match": match, "$group": group}},
        {"$match": match, "$group": group},
        {"pipeline": [{"$match": match}, {"$group": group}], "limit": 1, "where": {"code": "Na"}},
    )
    for parameters in forms:
        assert await aggregate(clinic, **parameters) == [{"objectId": "K", "total": 10}]


async def test_bad_stages_and_parameters_are_refused(clinic: Clinic) -> None:
    for parameters, code, text in (
        (
            {"pipeline": [{"$match": {}, "$sort": {}}]},
            102,
            "Pipeline stages should only have one key",
        ),
        ({"group": {"_id": "$code"}}, 102, "Invalid aggregate stage 'group'."),
        ({"$group": {"total": {"$sum": 1}}}, 102, "Invalid parameter for query: group. Missing key _id"),
        ({"pipeline": [], "explain": "no"}, 102, "Invalid value for explain"),
        ({"pipeline": [], "where": "{"}, 107, "where parameter is not valid JSON"),
    ):
        with pytest.raises(ParseError) as refused:
            await aggregate(clinic, **parameters)
        assert refused.value.code == code
        assert refused.value.message.startswith(text)


async def test_a_class_that_does_not_exist_has_nothing_to_aggregate(clinic: Clinic) -> None:
    assert await aggregate_objects(clinic.toolbox, master(), "Ghost", {"distinct": "code"}) == []


async def test_before_find_may_change_the_where_of_distinct_values(clinic: Clinic) -> None:
    async def narrow(event: TriggerEvent) -> None:
        assert isinstance(event, FindEvent)
        assert event.parameters == {"distinct": "code", "where": {}}
        event.parameters["where"] = {"code": "Na"}

    clinic.toolbox.triggers.set(TriggerKind.BEFORE_FIND, "LabResult", narrow)
    assert await aggregate(clinic, distinct="code") == ["Na"]
