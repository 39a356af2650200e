"""The schema API's service: what may not be dropped."""

from __future__ import annotations

import pytest

from parse_clone.core.system_classes import WRITTEN_BY_ROUTES
from parse_clone.errors import ErrorCode
from parse_clone.services.schemas import delete_schema
from tests.unit.services.clinic import master, open_clinic, refusal


@pytest.mark.parametrize("name", [*sorted(WRITTEN_BY_ROUTES), "_Unknown", "5th"])
async def test_neither_classes_with_routes_of_their_own_nor_what_is_no_class_can_be_dropped(
    name: str,
) -> None:
    async with open_clinic() as clinic:
        with refusal(ErrorCode.INVALID_CLASS_NAME):
            await delete_schema(clinic.toolbox, master(), name)


async def test_an_unknown_class_is_dropped_already() -> None:
    async with open_clinic() as clinic:
        await delete_schema(clinic.toolbox, master(), "Missing")
        assert await clinic.toolbox.catalog.get("Missing") is None
