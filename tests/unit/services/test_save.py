"""Saves: the order of what is asked, and what a refused caller learns."""

from __future__ import annotations

import pytest

from parse_clone.core.class_permissions import CLASS_OPERATIONS
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.schema import SetPermissions
from parse_clone.errors import ErrorCode
from tests.unit.services.clinic import master, open_clinic, refusal

OPEN: JsonObject = {operation: {"*": True} for operation in CLASS_OPERATIONS}


@pytest.mark.parametrize("add_field", [{}, {"pointerFields": ["doctors"]}])
async def test_the_right_to_add_fields_is_asked_before_values_are_looked_at(add_field: Json) -> None:
    async with open_clinic() as clinic:
        await clinic.save(master(), "Ward", {"doctors": [], "beds": 3})
        await clinic.toolbox.catalog.apply(
            clinic.toolbox.storage, SetPermissions("Ward", {**OPEN, "addField": add_field})
        )
        text = "Permission denied"
        for extra in ({"beds": "many", "extra": 1}, {"extra": None}, {"extra.depth": 1}, {"no good": 1}):
            with refusal(ErrorCode.OPERATION_FORBIDDEN, text):
                await clinic.save(await clinic.context(), "Ward", extra)
        with refusal(ErrorCode.INCORRECT_TYPE):
            await clinic.save(await clinic.context(), "Ward", {"beds": "many"})
        assert (await clinic.save(await clinic.context(), "Ward", {"extra": {"__op": "Delete"}})).created
