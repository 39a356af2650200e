"""Logging in and out: one answer to all bad credentials, and never more than a user may see of himself."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from parse_clone.core.context import Auth, Privilege, RequestContext
from parse_clone.core.schema import SetPermissions
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.services.triggers import ObjectEvent, TriggerKind
from parse_clone.services.users.login import log_in, log_in_as, log_out, read_me, verify_password
from parse_clone.settings import AccountLockout, PasswordPolicy
from tests.unit.services.clinic import Clinic, maintenance, master, open_clinic, refusal

BAD = "Invalid username/password."
MAIL: dict[str, Any] = {
    "app_name": "Clinic",
    "public_server_url": "https://host/parse",
    "verify_user_emails": True,
    "prevent_login_with_unverified_email": True,
}


async def login(clinic: Clinic, context: RequestContext | None = None, **parameters: Any) -> dict[str, Any]:
    return await log_in(clinic.toolbox, context or await clinic.context(), parameters)


# --- Credentials -----------------------------------------------------------------------------------------


async def test_login_answers_the_user_and_a_token() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up(email="ada@x", ward="W2")
        for name in ({"username": "ada"}, {"email": "ada@x"}, {"username": "ada@x"}):
            answer = await login(clinic, **name, password="s3cret")
            assert answer["objectId"] == ada["objectId"]
            assert set(answer) == {
                "objectId", "createdAt", "updatedAt", "username", "email", "ward", "ACL", "sessionToken"
            }  # fmt: skip
            auth = await clinic.authenticate(session_token=answer["sessionToken"])
            assert auth.user_id == ada["objectId"]


@pytest.mark.parametrize(
    ("parameters", "code", "text"),
    [
        ({"password": "s3cret"}, ErrorCode.USERNAME_MISSING, "username/email is required."),
        ({"username": "", "password": "s3cret"}, ErrorCode.USERNAME_MISSING, "username/email is required."),
        ({"username": "ada"}, ErrorCode.PASSWORD_MISSING, "password is required."),
        ({"username": "ada", "password": "wrong"}, ErrorCode.OBJECT_NOT_FOUND, BAD),
        ({"username": "Ada", "password": "s3cret"}, ErrorCode.OBJECT_NOT_FOUND, BAD),
        ({"username": "eve", "password": "s3cret"}, ErrorCode.OBJECT_NOT_FOUND, BAD),
        ({"username": "ada", "email": "bob@x", "password": "s3cret"}, ErrorCode.OBJECT_NOT_FOUND, BAD),
        ({"username": {"$regex": "^a"}, "password": "s3cret"}, ErrorCode.OBJECT_NOT_FOUND, BAD),
        ({"email": {"$ne": None}, "password": "s3cret"}, ErrorCode.OBJECT_NOT_FOUND, BAD),
        ({"username": ["ada"], "password": "s3cret"}, ErrorCode.OBJECT_NOT_FOUND, BAD),
        ({"username": "ada", "password": {"$ne": ""}}, ErrorCode.OBJECT_NOT_FOUND, BAD),
        ({"username": "ada", "password": 5}, ErrorCode.OBJECT_NOT_FOUND, BAD),
    ],
)
async def test_login_refuses(parameters: dict[str, Any], code: ErrorCode, text: str) -> None:
    async with open_clinic() as clinic:
        await clinic.sign_up(email="ada@x")
        for enter in (log_in, verify_password):
            with refusal(code, text):
                await enter(clinic.toolbox, await clinic.context(), parameters)
        assert len(await clinic.rows("_Session")) == 1


async def test_a_name_that_is_somebody_elses_address_belongs_to_the_username() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up("ada@x", "of-ada")
        await clinic.sign_up("bob", "of-bob", email="ada@x")
        assert (await login(clinic, username="ada@x", password="of-ada"))["objectId"] == ada["objectId"]
        with refusal(ErrorCode.OBJECT_NOT_FOUND, BAD):
            await login(clinic, username="ada@x", password="of-bob")


async def test_users_without_a_password_cannot_log_in_by_one() -> None:
    async with open_clinic() as clinic:
        body = {"username": "ada", "authData": {"anonymous": {"id": "a"}}}
        await clinic.save(await clinic.context(), "_User", body)
        for password in ("", "None", "null", "undefined"):
            with refusal(ErrorCode.OBJECT_NOT_FOUND if password else ErrorCode.PASSWORD_MISSING):
                await login(clinic, username="ada", password=password)


async def test_an_unknown_user_costs_as_much_as_a_wrong_password() -> None:
    async with open_clinic() as clinic:
        await clinic.sign_up()
        verified: list[str | None] = []
        verify = clinic.toolbox.passwords.verify

        class Counting:
            async def hash(self, password: str) -> str:
                return await clinic.toolbox.passwords.hash(password)

            async def verify(self, password: str, hashed: str | None) -> bool:
                verified.append(hashed)
                return await verify(password, hashed)

        from dataclasses import replace

        toolbox = replace(clinic.toolbox, passwords=Counting())
        for username in ("ada", "eve"):
            with refusal(ErrorCode.OBJECT_NOT_FOUND, BAD):
                await log_in(toolbox, await clinic.context(), {"username": username, "password": "x"})
        assert len(verified) == 2
        assert verified[1] is None


async def test_the_empty_acl_locks_out_all_but_the_master() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        await clinic.save(master(), "_User", {"ACL": {}}, ada["objectId"])
        with refusal(ErrorCode.OBJECT_NOT_FOUND, BAD):
            await login(clinic, username="ada", password="s3cret")
        answer = await login(clinic, master(), username="ada", password="s3cret")
        assert (answer["username"], answer["ACL"]) == ("ada", {})
        assert (await clinic.authenticate(session_token=answer["sessionToken"])).user_id == ada["objectId"]


@pytest.mark.parametrize("privilege", [key for key in Privilege if key is not Privilege.CLIENT])
async def test_no_key_makes_a_login_tell_secrets(privilege: Privilege) -> None:
    async with open_clinic() as clinic:
        await clinic.sign_up()
        answer = await login(
            clinic, RequestContext(auth=Auth(privilege=privilege)), username="ada", password="s3cret"
        )
        assert set(answer) == {"objectId", "createdAt", "updatedAt", "username", "ACL", "sessionToken"}


async def test_unverified_users_wait_unless_a_key_says_otherwise() -> None:
    async with open_clinic(**MAIL) as clinic:
        ada = await clinic.sign_up(email="ada@x")
        right = {"username": "ada", "password": "s3cret"}
        with refusal(ErrorCode.EMAIL_NOT_FOUND, "User email is not verified."):
            await login(clinic, **right, ignoreEmailVerification=True)
        with refusal(ErrorCode.EMAIL_NOT_FOUND, "User email is not verified."):
            await verify_password(clinic.toolbox, master(), right)
        for context in (master(), maintenance()):
            assert "sessionToken" in await login(clinic, context, **right, ignoreEmailVerification=True)
        await clinic.save(maintenance(), "_User", {"emailVerified": True}, ada["objectId"])
        assert (await login(clinic, **right))["emailVerified"] is True


async def test_verification_may_depend_on_the_user() -> None:
    async def is_guest(question: Any) -> bool:
        return bool(question["object"].get("guest"))

    async with open_clinic(**{**MAIL, "verify_user_emails": is_guest}) as clinic:
        await clinic.sign_up("ada", email="ada@x")
        assert "sessionToken" not in await clinic.sign_up("bob", email="bob@x", guest=True)
        await login(clinic, username="ada", password="s3cret")
        with refusal(ErrorCode.EMAIL_NOT_FOUND):
            await login(clinic, username="bob", password="s3cret")


async def test_passwords_expire() -> None:
    async with open_clinic(password_policy=PasswordPolicy(max_password_age=30)) as clinic:
        await clinic.sign_up()
        clinic.clock.advance(days=30)
        await login(clinic, username="ada", password="s3cret")
        clinic.clock.advance(seconds=1)
        with refusal(ErrorCode.OBJECT_NOT_FOUND, "Your password has expired. Please reset your password."):
            await login(clinic, username="ada", password="s3cret")


async def test_passwords_from_before_the_policy_begin_to_age() -> None:
    async with open_clinic(password_policy=PasswordPolicy(max_password_age=30)) as clinic:
        ada = await clinic.sign_up()
        forget = {"_password_changed_at": {"__op": "Delete"}}
        await clinic.save(maintenance(), "_User", forget, ada["objectId"])
        clinic.clock.advance(days=99)
        await login(clinic, username="ada", password="s3cret")
        clinic.clock.advance(days=31)
        with refusal(ErrorCode.OBJECT_NOT_FOUND):
            await login(clinic, username="ada", password="s3cret")


# --- Sessions --------------------------------------------------------------------------------------------


async def test_a_login_takes_the_place_of_the_session_on_the_same_installation() -> None:
    async with open_clinic() as clinic:
        await clinic.sign_up()
        phone = await clinic.context(installation_id="phone")
        first = await login(clinic, phone, username="ada", password="s3cret")
        await clinic.authenticate(session_token=first["sessionToken"])
        elsewhere = await login(clinic, username="ada", password="s3cret")
        second = await login(clinic, phone, username="ada", password="s3cret")
        with refusal(ErrorCode.INVALID_SESSION_TOKEN):
            await clinic.authenticate(session_token=first["sessionToken"])
        for answer in (elsewhere, second):
            assert (await clinic.authenticate(session_token=answer["sessionToken"])).user is not None
        by_token = {row["sessionToken"]: row for row in await clinic.rows("_Session")}
        session = by_token[second["sessionToken"]]
        assert session["createdWith"] == {"action": "login", "authProvider": "password"}
        assert session["installationId"] == "phone"


async def test_me_is_the_user_with_his_own_rights() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up(email="ada@x")
        me = await read_me(clinic.toolbox, await clinic.context(ada["sessionToken"]))
        assert (me["email"], me["sessionToken"]) == ("ada@x", ada["sessionToken"])
        assert not [name for name in me if name.startswith("_") or name == "password"]


async def test_me_without_a_good_token_is_refused() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        with refusal(ErrorCode.INVALID_SESSION_TOKEN, "Permission denied"):
            await read_me(clinic.toolbox, await clinic.context())
        with refusal(ErrorCode.INVALID_SESSION_TOKEN, "Permission denied"):
            await read_me(clinic.toolbox, master())
        auth = Auth(privilege=Privilege.MASTER, session_token=ada["sessionToken"])
        assert (await read_me(clinic.toolbox, RequestContext(auth=auth)))["objectId"] == ada["objectId"]
        context = await clinic.context(ada["sessionToken"])
        await clinic.delete(master(), "_User", ada["objectId"])
        with refusal(ErrorCode.INVALID_SESSION_TOKEN, "Invalid session token"):
            await read_me(clinic.toolbox, context)


async def test_where_users_may_not_read_themselves_answers_are_the_least() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        permissions: Any = {"create": {"*": True}, "find": {}, "get": {}}
        await clinic.toolbox.catalog.apply(clinic.toolbox.storage, SetPermissions("_User", permissions))
        answer = await login(clinic, username="ada", password="s3cret")
        assert set(answer) == {"objectId", "sessionToken"}
        verified = await verify_password(
            clinic.toolbox, await clinic.context(), {"username": "ada", "password": "s3cret"}
        )
        assert verified == {"objectId": ada["objectId"]}
        assert (await login(clinic, master(), username="ada", password="s3cret"))["username"] == "ada"
        with refusal(ErrorCode.INVALID_SESSION_TOKEN, "Invalid session token"):
            await read_me(clinic.toolbox, await clinic.context(ada["sessionToken"]))


async def test_verify_password_opens_no_session() -> None:
    async with open_clinic() as clinic:
        await clinic.sign_up()
        events = clinic.record((TriggerKind.BEFORE_LOGIN, "_User"), (TriggerKind.AFTER_LOGIN, "_User"))
        answer = await verify_password(
            clinic.toolbox, await clinic.context(), {"username": "ada", "password": "s3cret"}
        )
        assert answer["username"] == "ada"
        assert "sessionToken" not in answer
        assert len(await clinic.rows("_Session")) == 1
        assert events == []


async def test_the_master_logs_in_as_anybody() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        answer = await log_in_as(clinic.toolbox, master(), {"userId": ada["objectId"]})
        assert answer["username"] == "ada"
        created_with = [row["createdWith"] for row in await clinic.rows("_Session")]
        assert {"action": "login", "authProvider": "masterkey"} in created_with
        with refusal(ErrorCode.OBJECT_NOT_FOUND, "user not found"):
            await log_in_as(clinic.toolbox, master(), {"userId": "unknownUsr"})
        for nothing in ({}, {"userId": ""}, {"userId": None}, {"userId": {"$ne": "x"}}):
            with refusal(ErrorCode.INVALID_VALUE, "userId must not be empty, null, or undefined"):
                await log_in_as(clinic.toolbox, master(), nothing)
        for privilege in (Privilege.CLIENT, Privilege.READ_ONLY_MASTER, Privilege.MAINTENANCE):
            with refusal(ErrorCode.OPERATION_FORBIDDEN, "Permission denied"):
                context = RequestContext(auth=Auth(privilege=privilege))
                await log_in_as(clinic.toolbox, context, {"userId": ada["objectId"]})


async def test_logout_ends_the_session_once() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        events = clinic.record((TriggerKind.AFTER_LOGOUT, "_Session"))
        context = await clinic.context(ada["sessionToken"])
        answers = await asyncio.gather(*(log_out(clinic.toolbox, context) for _ in range(20)))
        assert answers == [{}] * 20
        assert [event.object["sessionToken"] for event in events if isinstance(event, ObjectEvent)] == [
            ada["sessionToken"]
        ]
        with refusal(ErrorCode.INVALID_SESSION_TOKEN):
            await clinic.authenticate(session_token=ada["sessionToken"])
        assert await log_out(clinic.toolbox, await clinic.context()) == {}


# --- Hooks -----------------------------------------------------------------------------------------------


async def test_login_hooks_run_once_and_see_no_secrets() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        events = clinic.record((TriggerKind.BEFORE_LOGIN, "_User"), (TriggerKind.AFTER_LOGIN, "_User"))
        answer = await login(clinic, username="ada", password="s3cret")
        before, after = events
        assert isinstance(before, ObjectEvent)
        assert isinstance(after, ObjectEvent)
        assert before.context.auth.user is None
        assert not [name for name in before.object if name.startswith("_") or name == "password"]
        assert after.object["sessionToken"] == answer["sessionToken"]
        assert after.context.auth.user_id == ada["objectId"]


async def test_a_hook_refuses_a_login() -> None:
    async with open_clinic() as clinic:
        await clinic.sign_up()
        clinic.refuse(TriggerKind.BEFORE_LOGIN, "_User", ParseError(ErrorCode.SCRIPT_FAILED, "not today"))
        with refusal(ErrorCode.SCRIPT_FAILED, "not today"):
            await login(clinic, username="ada", password="s3cret")
        assert len(await clinic.rows("_Session")) == 1


# --- Lockout ---------------------------------------------------------------------------------------------

LOCKED = "Your account is locked due to multiple failed login attempts. Please try again after 2 minute(s)"


def lockout(threshold: int = 3) -> dict[str, Any]:
    return {"account_lockout": AccountLockout(duration=2, threshold=threshold)}


async def try_password(clinic: Clinic, password: str) -> str:
    """What an attempt is told; empty if it goes well."""
    try:
        await login(clinic, username="ada", password=password)
    except ParseError as error:
        return error.message
    return ""


@pytest.mark.parametrize("threshold", [1, 2, 3])
async def test_wrong_passwords_lock_the_account(threshold: int) -> None:
    async with open_clinic(**lockout(threshold)) as clinic:
        await clinic.sign_up()
        for _ in range(threshold):
            assert await try_password(clinic, "wrong") == BAD
        assert await try_password(clinic, "wrong") == LOCKED
        assert await try_password(clinic, "s3cret") == LOCKED
        clinic.clock.advance(minutes=2, seconds=1)
        assert await try_password(clinic, "wrong") == BAD
        assert await try_password(clinic, "s3cret") == LOCKED
        clinic.clock.advance(minutes=2, seconds=1)
        assert await try_password(clinic, "s3cret") == ""
        if threshold > 1:
            assert await try_password(clinic, "wrong") == BAD
            assert await try_password(clinic, "s3cret") == ""


@pytest.mark.parametrize("threshold", [1, 3])
async def test_of_twenty_wrong_passwords_at_once_no_more_than_the_threshold_are_tried(
    threshold: int,
) -> None:
    async with open_clinic(**lockout(threshold)) as clinic:
        await clinic.sign_up()
        told = await asyncio.gather(*(try_password(clinic, "wrong") for _ in range(20)))
        assert Counter(told) == {BAD: threshold, LOCKED: 20 - threshold}
        assert await try_password(clinic, "s3cret") == LOCKED


async def test_after_a_lock_one_of_twenty_is_tried() -> None:
    async with open_clinic(**lockout()) as clinic:
        await clinic.sign_up()
        for _ in range(3):
            await try_password(clinic, "wrong")
        clinic.clock.advance(minutes=3)
        told = await asyncio.gather(*(try_password(clinic, "wrong") for _ in range(20)))
        assert Counter(told) == {BAD: 1, LOCKED: 19}


async def test_verify_password_counts_for_the_lock() -> None:
    async with open_clinic(**lockout()) as clinic:
        await clinic.sign_up()
        for _ in range(3):
            with refusal(ErrorCode.OBJECT_NOT_FOUND, BAD):
                await verify_password(
                    clinic.toolbox, await clinic.context(), {"username": "ada", "password": "x"}
                )
        assert await try_password(clinic, "s3cret") == LOCKED
