"""Sessions as objects: clients meet their own, and decide nothing that belongs to the server."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from parse_clone.core.context import Auth, RequestContext
from parse_clone.core.values import pointer
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.services.users.session_class import read_current_session, upgrade_to_revocable_session
from tests.unit.services.clinic import Clinic, maintenance, master, open_clinic, refusal


async def session_of(clinic: Clinic, token: str) -> dict[str, Any]:
    return next(row for row in await clinic.rows("_Session") if row["sessionToken"] == token)


async def test_a_client_creates_a_session_and_decides_only_its_own_fields() -> None:
    async with open_clinic() as clinic:
        ada, bob = await clinic.sign_up(), await clinic.sign_up("bob")
        body = {
            "ward": "W2",
            "user": pointer("_User", bob["objectId"]),
            "sessionToken": "r:chosen",
            "expiresAt": {"__type": "Date", "iso": "2099-01-01T00:00:00.000Z"},
            "createdWith": {"action": "login"},
        }
        answer = await clinic.save(await clinic.context(ada["sessionToken"]), "_Session", body)
        assert answer.created
        assert answer.body == {
            "objectId": answer.body["objectId"],
            "ward": "W2",
            "user": pointer("_User", ada["objectId"]),
            "sessionToken": answer.body["sessionToken"],
            "createdWith": {"action": "create"},
            "expiresAt": {"__type": "Date", "iso": "2027-01-05T10:00:00.000Z"},
        }
        auth = await clinic.authenticate(session_token=answer.body["sessionToken"])
        assert auth.user_id == ada["objectId"]


async def test_the_master_creates_a_plain_row() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        body = {"user": pointer("_User", ada["objectId"]), "sessionToken": "r:imported"}
        answer = await clinic.save(master(), "_Session", body)
        assert set(answer.body) == {"objectId", "createdAt"}
        assert (await clinic.authenticate(session_token="r:imported")).user_id == ada["objectId"]


async def test_without_a_session_nobody_meets_sessions() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        nobody = await clinic.context()
        row = await session_of(clinic, ada["sessionToken"])
        with refusal(ErrorCode.INVALID_SESSION_TOKEN, "Session token required."):
            await clinic.save(nobody, "_Session", {})
        for call in (
            clinic.find(nobody, "_Session"),
            clinic.get(nobody, "_Session", row["objectId"]),
            clinic.delete(nobody, "_Session", row["objectId"]),
        ):
            with refusal(ErrorCode.INVALID_SESSION_TOKEN):
                await call


async def test_clients_meet_their_own_sessions_only() -> None:
    async with open_clinic() as clinic:
        ada, bob = await clinic.sign_up(), await clinic.sign_up("bob")
        context = await clinic.context(ada["sessionToken"])
        tokens = [row["sessionToken"] for row in await clinic.find(context, "_Session")]
        assert tokens == [ada["sessionToken"]]
        foreign = (await session_of(clinic, bob["sessionToken"]))["objectId"]
        with refusal(ErrorCode.OBJECT_NOT_FOUND, "Object not found."):
            await clinic.get(context, "_Session", foreign)
        with refusal(ErrorCode.OBJECT_NOT_FOUND, "Object not found."):
            await clinic.save(context, "_Session", {"ward": "W2"}, foreign)
        with refusal(ErrorCode.OBJECT_NOT_FOUND, "Object not found for delete."):
            await clinic.delete(context, "_Session", foreign)
        assert len(await clinic.find(master(), "_Session")) == 2


@pytest.mark.parametrize("field", ["user", "installationId", "sessionToken", "expiresAt", "createdWith"])
@pytest.mark.parametrize("value", ["x", None, {"__op": "Delete"}])
async def test_what_belongs_to_the_server_cannot_be_changed_in_any_form(field: str, value: Any) -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        session_id = (await session_of(clinic, ada["sessionToken"]))["objectId"]
        context = await clinic.context(ada["sessionToken"])
        for path in (field, f"{field}.x"):
            with refusal(ErrorCode.INVALID_KEY_NAME, f"Invalid key name: {path}"):
                await clinic.save(context, "_Session", {path: value}, session_id)
        if field in ("installationId", "sessionToken"):
            with refusal(ErrorCode.INVALID_KEY_NAME):
                await clinic.save(master(), "_Session", {field: value}, session_id)


async def test_own_fields_change_and_naming_oneself_changes_nothing() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        session_id = (await session_of(clinic, ada["sessionToken"]))["objectId"]
        body = {"ward": "W2", "user": pointer("_User", ada["objectId"])}
        await clinic.save(await clinic.context(ada["sessionToken"]), "_Session", body, session_id)
        assert (await session_of(clinic, ada["sessionToken"]))["ward"] == "W2"


async def test_a_session_has_no_acl() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        for context in (master(), await clinic.context(ada["sessionToken"])):
            with refusal(ErrorCode.INVALID_KEY_NAME, "Cannot set ACL on a Session."):
                await clinic.save(context, "_Session", {"ACL": {"*": {"read": True}}})


async def test_the_master_ends_a_session_by_its_expiry_at_once() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        await clinic.authenticate(session_token=ada["sessionToken"])
        session_id = (await session_of(clinic, ada["sessionToken"]))["objectId"]
        body = {"expiresAt": {"__type": "Date", "iso": "2020-01-01T00:00:00.000Z"}}
        await clinic.save(master(), "_Session", body, session_id)
        with refusal(ErrorCode.INVALID_SESSION_TOKEN, "Session token is expired."):
            await clinic.authenticate(session_token=ada["sessionToken"])


async def test_a_deleted_session_is_good_for_nothing_at_once() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        context = await clinic.context(ada["sessionToken"])
        session_id = (await session_of(clinic, ada["sessionToken"]))["objectId"]
        assert await clinic.delete(context, "_Session", session_id) == {}
        with refusal(ErrorCode.INVALID_SESSION_TOKEN):
            await clinic.authenticate(session_token=ada["sessionToken"])


async def test_the_current_session_is_told_even_when_it_is_over() -> None:
    async with open_clinic(session_length=60) as clinic:
        ada = await clinic.sign_up()
        clinic.clock.advance(seconds=61)
        context = RequestContext(auth=Auth(session_token=ada["sessionToken"]))
        session = await read_current_session(clinic.toolbox, context)
        assert session["sessionToken"] == ada["sessionToken"]
        assert session["user"] == pointer("_User", ada["objectId"])
        with refusal(ErrorCode.INVALID_SESSION_TOKEN, "Session token required."):
            await read_current_session(clinic.toolbox, await clinic.context())
        with refusal(ErrorCode.INVALID_SESSION_TOKEN, "Session token not found."):
            await read_current_session(clinic.toolbox, RequestContext(auth=Auth(session_token="r:x")))


async def test_an_upgrade_opens_a_further_session() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        context = await clinic.context(ada["sessionToken"], installation_id="phone")
        session = await upgrade_to_revocable_session(clinic.toolbox, context)
        assert session["createdWith"] == {"action": "upgrade"}
        for token in (ada["sessionToken"], session["sessionToken"]):
            assert (await clinic.authenticate(session_token=token)).user_id == ada["objectId"]
        with refusal(ErrorCode.OBJECT_NOT_FOUND, "invalid session"):
            await upgrade_to_revocable_session(clinic.toolbox, await clinic.context())


async def test_of_twenty_exchanges_of_an_old_token_one_wins() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        schema = await clinic.toolbox.catalog.get("_User")
        assert schema is not None
        from parse_clone.core.operations import Set
        from parse_clone.core.query import object_id_is

        legacy = {"_session_token": Set("legacy")}
        await clinic.toolbox.storage.update(schema, object_id_is(ada["objectId"]), legacy)
        context = replace(await clinic.context(), auth=Auth(session_token="legacy"))
        calls = (upgrade_to_revocable_session(clinic.toolbox, context) for _ in range(20))
        results = await asyncio.gather(*calls, return_exceptions=True)
        won = [result for result in results if isinstance(result, dict)]
        lost = [result for result in results if isinstance(result, ParseError)]
        assert len(won) == 1
        assert {(error.code, error.message) for error in lost} == {
            (ErrorCode.INVALID_SESSION_TOKEN, "invalid legacy session token")
        }
        assert (await clinic.authenticate(session_token=won[0]["sessionToken"])).user_id == ada["objectId"]


async def test_maintenance_meets_every_session() -> None:
    async with open_clinic() as clinic:
        await clinic.sign_up()
        assert len(await clinic.find(maintenance(), "_Session")) == 1
