"""Installations: a device that comes back is recognised, and only its own rows make room."""

from __future__ import annotations

from typing import Any

import pytest

from parse_clone.core.context import RequestContext
from parse_clone.errors import ErrorCode
from parse_clone.services.objects.requests import SaveAnswer
from parse_clone.services.triggers import TriggerKind
from parse_clone.settings import InstallationOptions
from tests.unit.services.clinic import Clinic, master, open_clinic, refusal

AT_LEAST_ONE_ID = "at least one ID field (deviceToken, installationId) must be specified in this operation"


async def save(
    clinic: Clinic, object_id: str | None = None, sender: str | None = None, **body: Any
) -> SaveAnswer:
    """Save as the client of an installation."""
    return await clinic.save(RequestContext(installation_id=sender), "_Installation", body, object_id)


async def devices(clinic: Clinic) -> list[tuple[str | None, str | None]]:
    """Installation id and token of every row."""
    rows = await clinic.rows("_Installation")
    return sorted((str(r.get("installationId")), str(r.get("deviceToken"))) for r in rows)


async def test_ids_are_stored_in_lower_case_and_not_echoed() -> None:
    async with open_clinic() as clinic:
        answer = await save(clinic, installationId="AB-1", deviceToken="F" * 64, deviceType="ios")
        assert answer.created
        assert set(answer.body) == {"objectId", "createdAt"}
        assert answer.location == f"/classes/_Installation/{answer.body['objectId']}"
        await save(clinic, installationId="AB-2", deviceToken="Short", deviceType="android")
        assert await devices(clinic) == [("ab-1", "f" * 64), ("ab-2", "Short")]


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        ({"deviceType": "ios"}, ErrorCode.MISSING_REQUIRED_FIELD, AT_LEAST_ONE_ID),
        (
            {"installationId": "i"},
            ErrorCode.MISSING_REQUIRED_FIELD,
            "deviceType must be specified in this operation",
        ),
        (
            {"deviceToken": {"eq": "t"}, "deviceType": "ios"},
            ErrorCode.MISSING_REQUIRED_FIELD,
            AT_LEAST_ONE_ID,
        ),
        ({"installationId": "i", "deviceToken": 5, "deviceType": "ios"}, ErrorCode.INCORRECT_TYPE, None),
    ],
)
async def test_a_create_is_refused(body: dict[str, Any], code: ErrorCode, text: str | None) -> None:
    async with open_clinic() as clinic:
        with refusal(code, text):
            await save(clinic, **body)


async def test_the_senders_id_is_for_matching_only() -> None:
    async with open_clinic() as clinic:
        await save(clinic, sender="I-1", deviceType="ios", ward="W1")
        assert await devices(clinic) == [("None", "None")]
        await save(clinic, installationId="i-1", deviceType="ios")
        answer = await save(clinic, sender="I-1", deviceType="ios", ward="W2")
        assert not answer.created
        assert set(answer.body) == {"updatedAt"}
        wards = {row.get("installationId"): row.get("ward") for row in await clinic.rows("_Installation")}
        assert wards == {None: "W1", "i-1": "W2"}


async def test_a_known_installation_is_updated() -> None:
    async with open_clinic() as clinic:
        await save(clinic, installationId="i", deviceToken="t1", deviceType="ios")
        answer = await save(clinic, installationId="I", deviceToken="t2", deviceType="ios")
        assert (answer.created, set(answer.body)) == (False, {"updatedAt"})
        assert await devices(clinic) == [("i", "t2")]


async def test_a_token_without_an_installation_is_the_same_device() -> None:
    async with open_clinic() as clinic:
        await save(clinic, deviceToken="t", deviceType="ios")
        await save(clinic, installationId="i", deviceToken="t", deviceType="ios")
        assert await devices(clinic) == [("i", "t")]


async def test_a_token_of_another_installation_moves() -> None:
    async with open_clinic() as clinic:
        await save(clinic, installationId="old", deviceToken="t", deviceType="ios")
        answer = await save(clinic, installationId="new", deviceToken="t", deviceType="ios")
        assert answer.created
        assert await devices(clinic) == [("new", "t")]


async def test_a_token_moves_within_the_application_that_is_named() -> None:
    async with open_clinic() as clinic:
        await save(clinic, installationId="a", deviceToken="t", deviceType="ios", appIdentifier="x")
        await save(clinic, installationId="b", deviceToken="t", deviceType="ios", appIdentifier="y")
        assert await devices(clinic) == [("a", "t"), ("b", "t")]
        with refusal(
            ErrorCode.AMBIGUOUS_INSTALLATION,
            "Must specify installationId when deviceToken matches multiple Installation objects",
        ):
            await save(clinic, deviceToken="t", deviceType="ios")


@pytest.mark.parametrize(("priority", "survivor"), [("deviceToken", 1), ("installationId", 0)])
async def test_two_rows_of_one_device_are_merged(priority: Any, survivor: int) -> None:
    options = InstallationOptions(duplicate_device_token_merge_priority=priority)
    async with open_clinic(installation=options) as clinic:
        known = await save(clinic, installationId="i", deviceType="ios")
        nameless = await save(clinic, deviceToken="t", deviceType="ios")
        await save(clinic, installationId="i", deviceToken="t", deviceType="ios")
        assert await devices(clinic) == [("i", "t")]
        rows = await clinic.rows("_Installation")
        assert rows[0]["objectId"] == (known, nameless)[survivor].body["objectId"]


async def test_instead_of_rows_only_the_shared_id_goes_where_the_settings_say_so() -> None:
    options = InstallationOptions(duplicate_device_token_action="update")
    async with open_clinic(installation=options) as clinic:
        await save(clinic, installationId="old", deviceToken="t", deviceType="ios")
        await save(clinic, installationId="new", deviceToken="t", deviceType="ios")
        assert await devices(clinic) == [("new", "t"), ("old", "None")]
        await save(clinic, deviceToken="u", deviceType="ios")
        await save(clinic, installationId="new", deviceToken="u", deviceType="ios")
        assert await devices(clinic) == [("None", "t"), ("new", "u"), ("old", "None")]


async def test_rows_that_the_caller_may_not_delete_stay_where_the_settings_say_so() -> None:
    options = InstallationOptions(duplicate_device_token_action_enforce_auth=True)
    async with open_clinic(installation=options) as clinic:
        await save(clinic, installationId="old", deviceToken="t", deviceType="ios", ACL={})
        await save(clinic, installationId="new", deviceToken="t", deviceType="ios")
        assert await devices(clinic) == [("new", "t"), ("old", "t")]


@pytest.mark.parametrize(
    ("stored", "change", "field"),
    [
        ({"installationId": "i"}, {"installationId": "j"}, "installationId"),
        ({"deviceToken": "t"}, {"deviceToken": "u"}, "deviceToken"),
        ({"installationId": "i"}, {"deviceType": "android"}, "deviceType"),
    ],
)
async def test_a_row_does_not_become_another_device(
    stored: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    async with open_clinic() as clinic:
        row = await save(clinic, **stored, deviceType="ios")
        with refusal(ErrorCode.IMMUTABLE_FIELD, f"{field} may not be changed in this operation"):
            await save(clinic, row.body["objectId"], **change)


async def test_the_row_that_an_update_names_is_the_one_it_changes() -> None:
    async with open_clinic() as clinic:
        mine = await save(clinic, installationId="mine", deviceType="ios")
        await save(clinic, installationId="other", deviceType="ios")
        await save(clinic, mine.body["objectId"], sender="other", deviceToken="t")
        assert await devices(clinic) == [("mine", "t"), ("other", "None")]


async def test_an_update_of_an_unknown_row_is_refused() -> None:
    async with open_clinic() as clinic:
        await save(clinic, installationId="i", deviceType="ios")
        with refusal(ErrorCode.OBJECT_NOT_FOUND, "Object not found for update."):
            await save(clinic, "unknownRow", deviceToken="t")
        with refusal(ErrorCode.OBJECT_NOT_FOUND, "Object not found."):
            await save(clinic, "unknownRow", channels=["x"])


async def test_a_refused_save_removes_nothing() -> None:
    from parse_clone.errors import ParseError

    async with open_clinic() as clinic:
        await save(clinic, installationId="old", deviceToken="t", deviceType="ios")
        clinic.refuse(TriggerKind.BEFORE_SAVE, "_Installation", ParseError(ErrorCode.SCRIPT_FAILED, "no"))
        with refusal(ErrorCode.SCRIPT_FAILED):
            await save(clinic, installationId="new", deviceToken="t", deviceType="ios")
        assert await devices(clinic) == [("old", "t")]


async def test_clients_neither_list_nor_delete_installations() -> None:
    async with open_clinic() as clinic:
        row = await save(clinic, installationId="i", deviceType="ios")
        with refusal(ErrorCode.OPERATION_FORBIDDEN):
            await clinic.find(await clinic.context(), "_Installation")
        with refusal(ErrorCode.OPERATION_FORBIDDEN):
            await clinic.delete(await clinic.context(), "_Installation", row.body["objectId"])
        assert len(await clinic.find(master(), "_Installation")) == 1


async def test_the_first_installation_makes_its_class_although_clients_make_none() -> None:
    async with open_clinic(allow_client_class_creation=False) as clinic:
        assert (await save(clinic, installationId="i", deviceType="ios")).created
