"""Who is calling: keys, addresses, session tokens, roles."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from parse_clone.core.context import NOBODY, Privilege
from parse_clone.errors import ErrorCode, Unauthorized
from tests.unit.services.clinic import Clinic, master, open_clinic, refusal

KEYS: dict[str, Any] = {
    "maintenance_key": "the-clinic's-maintenance-key",
    "read_only_master_key": "the-clinic's-reading-key",
    "read_only_master_key_ips": ("10.0.0.0/8",),
    "rest_api_key": "rest",
    "javascript_key": "js",
}


async def test_another_application_is_unauthorized() -> None:
    async with open_clinic() as clinic:
        for app_id in (None, "", "hospital", "Clinic", "clinic "):
            with pytest.raises(Unauthorized):
                await clinic.authenticate(application_id=app_id)


async def test_keys_grant_their_privileges() -> None:
    async with open_clinic(**KEYS) as clinic:
        for credentials, privilege in (
            ({"master_key": "the-clinic's-master-key"}, Privilege.MASTER),
            ({"maintenance_key": "the-clinic's-maintenance-key"}, Privilege.MAINTENANCE),
            ({"master_key": "the-clinic's-reading-key", "ip": "10.1.2.3"}, Privilege.READ_ONLY_MASTER),
            ({"client_keys": {"restAPIKey": "rest"}}, Privilege.CLIENT),
            ({"master_key": "wrong", "client_keys": {"restAPIKey": "rest"}}, Privilege.CLIENT),
        ):
            assert (await clinic.authenticate(**credentials)).privilege is privilege


async def test_a_right_key_from_a_foreign_address_is_unauthorized() -> None:
    async with open_clinic(**KEYS) as clinic:
        for credentials in (
            {"master_key": "the-clinic's-master-key", "ip": "10.0.0.1"},
            {"maintenance_key": "the-clinic's-maintenance-key", "ip": "10.0.0.1"},
            {"master_key": "the-clinic's-reading-key", "ip": "127.0.0.1"},
            {"master_key": "the-clinic's-master-key", "ip": ""},
            {"master_key": "the-clinic's-master-key", "ip": "no address"},
        ):
            with pytest.raises(Unauthorized):
                await clinic.authenticate(**credentials)


async def test_addresses_are_compared_as_addresses() -> None:
    async with open_clinic(master_key_ips=("::1", "192.168.0.0/16")) as clinic:
        for ip in ("::1", "0:0:0:0:0:0:0:1", "192.168.7.7", "::ffff:192.168.7.7"):
            assert (await clinic.authenticate(master_key="the-clinic's-master-key", ip=ip)).is_master


async def test_a_configured_client_key_must_be_shown() -> None:
    async with open_clinic(**KEYS) as clinic:
        for keys in ({}, {"restAPIKey": "js"}, {"javascriptKey": ""}, {"clientKey": "rest"}):
            with pytest.raises(Unauthorized):
                await clinic.authenticate(client_keys=keys)
        assert await clinic.authenticate(client_keys={"restAPIKey": "x", "javascriptKey": "js"}) == NOBODY


async def test_keys_may_be_any_text() -> None:
    async with open_clinic(rest_api_key="schlüssel") as clinic:
        assert await clinic.authenticate(client_keys={"restAPIKey": "schlüssel"}) == NOBODY
        for key in ("\ud800", "schl\u0075ssel"):
            with pytest.raises(Unauthorized):
                await clinic.authenticate(client_keys={"restAPIKey": key})


async def test_a_session_token_names_its_user_without_secrets() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up(ward="W2")
        auth = await clinic.authenticate(session_token=ada["sessionToken"])
        assert auth.user is not None
        assert auth.user_id == ada["objectId"]
        assert auth.user["ward"] == "W2"
        assert not [name for name in auth.user if name.startswith("_") or name == "password"]
        assert not auth.is_privileged


async def test_an_unknown_token_is_refused_and_an_empty_one_is_none() -> None:
    async with open_clinic() as clinic:
        assert await clinic.authenticate(session_token="") == NOBODY
        with refusal(ErrorCode.INVALID_SESSION_TOKEN, "Invalid session token"):
            await clinic.authenticate(session_token="r:0123456789abcdef0123456789abcdef")


async def test_privileged_callers_keep_their_token_unresolved() -> None:
    async with open_clinic() as clinic:
        auth = await clinic.authenticate(master_key="the-clinic's-master-key", session_token="r:whatever")
        assert (auth.user, auth.session_token) == (None, "r:whatever")


async def test_a_session_ends() -> None:
    async with open_clinic(session_length=60) as clinic:
        token = (await clinic.sign_up())["sessionToken"]
        clinic.clock.advance(seconds=59)
        assert (await clinic.authenticate(session_token=token)).user is not None
        clinic.clock.advance(seconds=2)
        with refusal(ErrorCode.INVALID_SESSION_TOKEN, "Session token is expired."):
            await clinic.authenticate(session_token=token)


async def test_a_session_in_use_is_prolonged_in_its_second_half_by_one_of_many() -> None:
    async with open_clinic(session_length=100, extend_session_on_use=True) as clinic:
        token = (await clinic.sign_up())["sessionToken"]
        clinic.clock.advance(seconds=40)
        await clinic.authenticate(session_token=token)
        assert (await clinic.rows("_Session"))[0]["expiresAt"]["iso"] == "2026-01-05T10:01:40.000Z"
        clinic.clock.advance(seconds=20)
        await asyncio.gather(*(clinic.authenticate(session_token=token) for _ in range(20)))
        session = (await clinic.rows("_Session"))[0]
        assert session["expiresAt"]["iso"] == "2026-01-05T10:02:40.000Z"
        assert session["updatedAt"] == "2026-01-05T10:01:00.000Z"


async def test_the_token_of_a_deleted_user_is_good_for_nothing_at_once() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        await clinic.authenticate(session_token=ada["sessionToken"])
        await clinic.delete(master(), "_User", ada["objectId"])
        with refusal(ErrorCode.INVALID_SESSION_TOKEN, "Invalid session token"):
            await clinic.authenticate(session_token=ada["sessionToken"])


async def test_a_changed_user_is_seen_at_once() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up(ward="W1")
        context = await clinic.context(ada["sessionToken"])
        await clinic.save(context, "_User", {"ward": "W2"}, ada["objectId"])
        auth = await clinic.authenticate(session_token=ada["sessionToken"])
        assert auth.user is not None
        assert auth.user["ward"] == "W2"


def role(name: str, users: list[str] | None = None, roles: list[str] | None = None) -> dict[str, Any]:
    """The body of a new role."""
    body: dict[str, Any] = {"name": name, "ACL": {"*": {"read": True}}}
    for field, class_name, ids in (("users", "_User", users), ("roles", "_Role", roles)):
        if ids:
            pointers = [{"__type": "Pointer", "className": class_name, "objectId": i} for i in ids]
            body[field] = {"__op": "AddRelation", "objects": pointers}
    return body


async def roles_of(clinic: Clinic, token: str) -> tuple[str, ...]:
    return (await clinic.authenticate(session_token=token)).roles


async def test_roles_are_inherited_upwards_and_circles_end() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        nurse = (await clinic.save(master(), "_Role", role("Nurse", users=[ada["objectId"]]))).body
        staff = (await clinic.save(master(), "_Role", role("Staff", roles=[nurse["objectId"]]))).body
        house = (await clinic.save(master(), "_Role", role("House", roles=[staff["objectId"]]))).body
        await clinic.save(master(), "_Role", role("Doctor"))
        circle = role("Nurse", roles=[house["objectId"]])["roles"]
        await clinic.save(master(), "_Role", {"roles": circle}, nurse["objectId"])
        assert await roles_of(clinic, ada["sessionToken"]) == ("House", "Nurse", "Staff")


async def test_a_changed_role_counts_at_once() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        assert await roles_of(clinic, ada["sessionToken"]) == ()
        nurse = (await clinic.save(master(), "_Role", role("Nurse", users=[ada["objectId"]]))).body
        assert await roles_of(clinic, ada["sessionToken"]) == ("Nurse",)
        leave = role("Nurse", users=[ada["objectId"]])["users"] | {"__op": "RemoveRelation"}
        await clinic.save(master(), "_Role", {"users": leave}, nurse["objectId"])
        assert await roles_of(clinic, ada["sessionToken"]) == ()


async def test_a_deleted_role_leads_to_no_other() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        nurse = (await clinic.save(master(), "_Role", role("Nurse", users=[ada["objectId"]]))).body
        await clinic.save(master(), "_Role", role("Staff", roles=[nurse["objectId"]]))
        assert await roles_of(clinic, ada["sessionToken"]) == ("Nurse", "Staff")
        await clinic.delete(master(), "_Role", nurse["objectId"])
        assert await roles_of(clinic, ada["sessionToken"]) == ()


async def test_a_deleted_role_grants_nothing() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        nurse = (await clinic.save(master(), "_Role", role("Nurse", users=[ada["objectId"]]))).body
        assert await roles_of(clinic, ada["sessionToken"]) == ("Nurse",)
        await clinic.delete(master(), "_Role", nurse["objectId"])
        assert await roles_of(clinic, ada["sessionToken"]) == ()
