"""Signing up and changing users: every check in its order, and what clients never learn."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from parse_clone.core.operations import Set
from parse_clone.core.schema import SetPermissions
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.services.objects.requests import SaveAnswer
from parse_clone.services.triggers import SaveEvent, TriggerEvent, TriggerKind
from parse_clone.settings import PasswordPolicy
from tests.unit.services.clinic import Clinic, maintenance, master, open_clinic, refusal


async def outcomes(*calls: Any) -> tuple[list[Any], list[int]]:
    """Run all at once: the answers of those that went well, the codes of those that did not."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    codes = [result.code for result in results if isinstance(result, ParseError)]
    answers = [result for result in results if not isinstance(result, BaseException)]
    assert len(codes) + len(answers) == len(results), results
    return answers, codes


# --- Signup --------------------------------------------------------------------------------------------


async def test_signup_answers_id_time_and_token_and_stores_a_hash() -> None:
    async with open_clinic() as clinic:
        body: dict[str, Any] = {
            "username": "ada",
            "password": "s3cret",
            "email": "Ada@clinic.example",
            "ward": "W2",
        }
        answer = await clinic.save(await clinic.context(), "_User", body)
        assert (answer.created, answer.location) == (True, f"/users/{answer.body['objectId']}")
        assert set(answer.body) == {"objectId", "createdAt", "sessionToken"}
        row = await clinic.row("_User", answer.body["objectId"])
        assert row["email"] == "Ada@clinic.example"
        assert row["ACL"] == {row["objectId"]: {"read": True, "write": True}}
        assert "password" not in row
        assert await clinic.toolbox.passwords.verify("s3cret", row["_hashed_password"])
        assert "emailVerified" not in row


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        ({"password": "x"}, ErrorCode.USERNAME_MISSING, "bad or missing username"),
        ({"username": "", "password": "x"}, ErrorCode.USERNAME_MISSING, "bad or missing username"),
        ({"username": 5, "password": "x"}, ErrorCode.USERNAME_MISSING, "bad or missing username"),
        ({"username": {"eq": ""}, "password": "x"}, ErrorCode.USERNAME_MISSING, "bad or missing username"),
        ({"username": {"$ne": ""}, "password": "x"}, ErrorCode.INVALID_NESTED_KEY, None),
        ({"username": "ada"}, ErrorCode.PASSWORD_MISSING, "password is required"),
        ({"username": "ada", "password": ""}, ErrorCode.PASSWORD_MISSING, "password is required"),
        ({"username": "ada", "password": ["x"]}, ErrorCode.PASSWORD_MISSING, "password is required"),
        (
            {"username": "ada", "password": "x", "authData": None},
            ErrorCode.UNSUPPORTED_SERVICE,
            "This authentication method is unsupported.",
        ),
        ({"username": "ada", "password": "x", "emailVerified": True}, ErrorCode.OPERATION_FORBIDDEN, None),
        ({"username": "ada", "password": "x", "email": 5}, ErrorCode.INCORRECT_TYPE, None),
        (
            {"username": "ada", "password": "x", "email": "@x"},
            ErrorCode.INVALID_EMAIL_ADDRESS,
            "Email address format is invalid.",
        ),
    ],
)
async def test_signup_refuses(body: dict[str, Any], code: ErrorCode, text: str | None) -> None:
    async with open_clinic() as clinic:
        with refusal(code, text):
            await clinic.save(await clinic.context(), "_User", body)
        assert await clinic.rows("_User") == []


async def test_names_and_addresses_are_taken_in_any_case() -> None:
    async with open_clinic() as clinic:
        await clinic.sign_up("Ada", email="ada@clinic.example")
        with refusal(ErrorCode.USERNAME_TAKEN, "Account already exists for this username."):
            await clinic.sign_up("aDA")
        with refusal(ErrorCode.EMAIL_TAKEN, "Account already exists for this email address."):
            await clinic.sign_up("bob", email="ADA@clinic.example")


async def test_of_twenty_signups_with_one_name_one_wins() -> None:
    async with open_clinic() as clinic:
        answers, codes = await outcomes(*(clinic.sign_up("ada") for _ in range(20)))
        assert len(answers) == 1
        assert codes == [ErrorCode.USERNAME_TAKEN] * 19
        assert len(await clinic.rows("_User")) == 1


async def test_of_twenty_signups_with_one_address_one_wins() -> None:
    async with open_clinic() as clinic:
        signups = (clinic.sign_up(f"user{n}", email="ada@clinic.example") for n in range(20))
        answers, codes = await outcomes(*signups)
        assert len(answers) == 1
        assert codes == [ErrorCode.EMAIL_TAKEN] * 19


async def test_names_and_addresses_are_lowered_where_the_settings_say_so() -> None:
    async with open_clinic(convert_username_to_lowercase=True, convert_email_to_lowercase=True) as clinic:
        ada = await clinic.sign_up("ADA", email="Ada@Clinic.Example")
        assert set(ada) == {"objectId", "createdAt", "sessionToken"}
        row = await clinic.row("_User", ada["objectId"])
        assert (row["username"], row["email"]) == ("ada", "ada@clinic.example")


async def test_users_are_public_to_read_where_the_settings_say_so() -> None:
    async with open_clinic(enforce_private_users=False) as clinic:
        ada = await clinic.sign_up()
        row = await clinic.row("_User", ada["objectId"])
        assert row["ACL"] == {"*": {"read": True}, row["objectId"]: {"read": True, "write": True}}


async def test_a_given_acl_is_kept_and_completed_by_the_users_own_entry() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up(ACL={"role:Doctor": {"read": True}})
        row = await clinic.row("_User", ada["objectId"])
        own = {"read": True, "write": True}
        assert row["ACL"] == {"role:Doctor": {"read": True}, row["objectId"]: own}
        assert "ACL" not in ada


async def test_signup_opens_a_session_of_its_own() -> None:
    async with open_clinic() as clinic:
        context = await clinic.context(installation_id="device-1")
        body = {"username": "ada", "password": "s3cret", "sessionToken": "r:mine"}
        answer = (await clinic.save(context, "_User", body)).body
        session = (await clinic.rows("_Session"))[0]
        assert session["sessionToken"] == answer["sessionToken"] != "r:mine"
        assert session["createdWith"] == {"action": "signup", "authProvider": "password"}
        assert session["installationId"] == "device-1"
        assert "sessionToken" not in await clinic.row("_User", answer["objectId"])


async def test_calls_from_inside_the_server_open_no_session() -> None:
    async with open_clinic() as clinic:
        body = {"username": "ada", "password": "s3cret"}
        answer = (await clinic.save(master(installation_id="cloud"), "_User", body)).body
        assert "sessionToken" not in answer
        assert await clinic.rows("_Session") == []


async def test_unverified_users_get_no_session_or_are_refused() -> None:
    mail: dict[str, Any] = {
        "app_name": "Clinic",
        "public_server_url": "https://host/parse",
        "verify_user_emails": True,
        "prevent_login_with_unverified_email": True,
    }
    async with open_clinic(**mail) as clinic:
        ada = await clinic.sign_up(email="ada@clinic.example")
        assert "sessionToken" not in ada
        row = await clinic.row("_User", ada["objectId"])
        assert row["emailVerified"] is False
        assert len(row["_email_verify_token"]) == 25
    async with open_clinic(**mail, prevent_signup_with_unverified_email=True) as clinic:
        with refusal(ErrorCode.EMAIL_NOT_FOUND, "User email is not verified."):
            await clinic.sign_up()
        assert len(await clinic.rows("_User")) == 1


async def test_a_denied_create_tells_nothing_about_names() -> None:
    async with open_clinic() as clinic:
        await clinic.sign_up()
        permissions: Any = {"create": {}, "find": {"*": True}, "get": {"*": True}}
        await clinic.toolbox.catalog.apply(clinic.toolbox.storage, SetPermissions("_User", permissions))
        for username in ("ada", "bob"):
            with refusal(ErrorCode.OPERATION_FORBIDDEN, "Permission denied"):
                await clinic.sign_up(username)


# --- Update --------------------------------------------------------------------------------------------


async def update(clinic: Clinic, token: str | None, user_id: str, **body: Any) -> SaveAnswer:
    return await clinic.save(await clinic.context(token), "_User", body, user_id)


async def test_a_user_changes_himself() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        answer = await update(clinic, ada["sessionToken"], ada["objectId"], ward="W3")
        assert set(answer.body) == {"updatedAt"}
        assert (await clinic.row("_User", ada["objectId"]))["ward"] == "W3"


async def test_without_a_session_nobody_changes_a_user() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up(ACL={"*": {"read": True, "write": True}})
        with refusal(ErrorCode.SESSION_MISSING, "Permission denied"):
            await update(clinic, None, ada["objectId"], ward="W3")


async def test_forbidden_and_unknown_users_look_the_same() -> None:
    async with open_clinic() as clinic:
        ada, bob = await clinic.sign_up(), await clinic.sign_up("bob")
        for user_id in (ada["objectId"], "unknownUsr"):
            with refusal(ErrorCode.SESSION_MISSING, "Permission denied"):
                await update(clinic, bob["sessionToken"], user_id, ward="W3")
            with refusal(ErrorCode.SESSION_MISSING, "Permission denied"):
                await clinic.delete(await clinic.context(bob["sessionToken"]), "_User", user_id)
        with refusal(ErrorCode.OBJECT_NOT_FOUND, "Object not found."):
            await clinic.save(master(), "_User", {"ward": "W3"}, "unknownUsr")


async def test_a_readable_user_is_not_deleted_by_another_even_where_a_hook_looks_at_him() -> None:
    async def look(event: TriggerEvent) -> None:
        return None

    async with open_clinic() as clinic:
        clinic.toolbox.triggers.set(TriggerKind.BEFORE_DELETE, "_User", look)
        ada = await clinic.sign_up(ACL={"*": {"read": True}})
        bob = await clinic.sign_up("bob")
        with refusal(ErrorCode.SESSION_MISSING, "Permission denied"):
            await clinic.delete(await clinic.context(bob["sessionToken"]), "_User", ada["objectId"])


async def test_an_address_set_to_null_is_no_address() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up(email=None)
        await update(clinic, ada["sessionToken"], ada["objectId"], email="ada@clinic.example")
        await update(clinic, ada["sessionToken"], ada["objectId"], email=None)
        assert "email" not in await clinic.row("_User", ada["objectId"])


async def test_nobody_deletes_a_user_without_a_session() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        with refusal(ErrorCode.SESSION_MISSING, "Insufficient auth to delete user"):
            await clinic.delete(await clinic.context(), "_User", ada["objectId"])
        assert await clinic.delete(await clinic.context(ada["sessionToken"]), "_User", ada["objectId"]) == {}


async def test_users_cannot_lock_themselves_out_but_the_master_can() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        await update(clinic, ada["sessionToken"], ada["objectId"], ACL={})
        row = await clinic.row("_User", ada["objectId"])
        assert row["ACL"] == {ada["objectId"]: {"read": True, "write": True}}
        await clinic.save(master(), "_User", {"ACL": {}}, ada["objectId"])
        assert (await clinic.row("_User", ada["objectId"]))["ACL"] == {}


@pytest.mark.parametrize("value", ["", None, {"__op": "Delete"}])
async def test_what_a_user_logs_in_with_cannot_be_emptied(value: Any) -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        for field, code in (
            ("username", ErrorCode.USERNAME_MISSING),
            ("password", ErrorCode.PASSWORD_MISSING),
        ):
            with refusal(code):
                await update(clinic, ada["sessionToken"], ada["objectId"], **{field: value})


async def test_server_owned_fields_cannot_be_written_in_any_form() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        token, user_id = ada["sessionToken"], ada["objectId"]
        row = await clinic.row("_User", user_id)
        for name in ("_hashed_password", "_perishable_token", "_rperm", "_auth_data_facebook"):
            for body in ({name: "x"}, {name: None}, {name: {"__op": "Delete"}}, {f"{name}.x": 1}):
                with refusal(ErrorCode.INVALID_KEY_NAME):
                    await update(clinic, token, user_id, **body)
        for body in ({"emailVerified": True}, {"emailVerified": {"__op": "Delete"}}):
            with refusal(ErrorCode.OPERATION_FORBIDDEN):
                await update(clinic, token, user_id, **body)
        with refusal(ErrorCode.INVALID_KEY_NAME, "Invalid field name for update: authData.custom.id"):
            await update(clinic, token, user_id, **{"authData.custom.id": "x"})
        await update(clinic, token, user_id, sessionToken="r:mine")
        now = await clinic.row("_User", user_id)
        assert {**now, "updatedAt": None} == {**row, "updatedAt": None}


async def test_a_new_password_ends_all_sessions_but_a_new_one() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        answer = (await update(clinic, ada["sessionToken"], ada["objectId"], password="n3w")).body
        assert set(answer) == {"updatedAt", "sessionToken"}
        with refusal(ErrorCode.INVALID_SESSION_TOKEN):
            await clinic.authenticate(session_token=ada["sessionToken"])
        assert (await clinic.authenticate(session_token=answer["sessionToken"])).user_id == ada["objectId"]
        session = (await clinic.rows("_Session"))[0]
        assert "createdWith" not in session
        row = await clinic.row("_User", ada["objectId"])
        assert await clinic.toolbox.passwords.verify("n3w", row["_hashed_password"])


async def test_sessions_stay_where_the_settings_say_so() -> None:
    async with open_clinic(revoke_session_on_password_reset=False) as clinic:
        ada = await clinic.sign_up()
        answer = (await update(clinic, ada["sessionToken"], ada["objectId"], password="n3w")).body
        for token in (ada["sessionToken"], answer["sessionToken"]):
            assert (await clinic.authenticate(session_token=token)).user_id == ada["objectId"]


async def test_the_master_who_sets_a_password_gets_no_session() -> None:
    async with open_clinic() as clinic:
        ada = await clinic.sign_up()
        answer = await clinic.save(master(), "_User", {"password": "n3w"}, ada["objectId"])
        assert set(answer.body) == {"updatedAt"}
        assert await clinic.rows("_Session") == []


async def test_whoever_else_may_write_a_user_gets_no_session_of_his() -> None:
    async with open_clinic() as clinic:
        bob = await clinic.sign_up("bob")
        ada = await clinic.sign_up(ACL={bob["objectId"]: {"write": True}})
        answer = await update(clinic, bob["sessionToken"], ada["objectId"], password="n3w")
        assert set(answer.body) == {"updatedAt"}


async def test_a_pending_reset_ends_with_a_new_password_or_address() -> None:
    for body in ({"password": "n3w"}, {"email": "new@clinic.example"}):
        async with open_clinic() as clinic:
            ada = await clinic.sign_up()
            await clinic.save(maintenance(), "_User", {"_perishable_token": "t"}, ada["objectId"])
            await update(clinic, ada["sessionToken"], ada["objectId"], ward="W3")
            assert "_perishable_token" in await clinic.row("_User", ada["objectId"])
            await update(clinic, ada["sessionToken"], ada["objectId"], **body)
            assert "_perishable_token" not in await clinic.row("_User", ada["objectId"])


async def test_the_own_name_is_free_and_another_one_is_not() -> None:
    async with open_clinic() as clinic:
        ada, _ = await clinic.sign_up("ada", email="ada@x"), await clinic.sign_up("bob", email="bob@x")
        token, user_id = ada["sessionToken"], ada["objectId"]
        await update(clinic, token, user_id, username="ADA", email="ADA@x")
        with refusal(ErrorCode.USERNAME_TAKEN):
            await update(clinic, token, user_id, username="BOB")
        with refusal(ErrorCode.EMAIL_TAKEN):
            await update(clinic, token, user_id, email="BOB@x")
        await update(clinic, token, user_id, email=None)


async def test_of_twenty_users_who_want_one_name_one_gets_it() -> None:
    async with open_clinic() as clinic:
        users = [await clinic.sign_up(f"user{n}") for n in range(20)]
        renamings = (update(clinic, u["sessionToken"], u["objectId"], username="chief") for u in users)
        answers, codes = await outcomes(*renamings)
        assert len(answers) == 1
        assert codes == [ErrorCode.USERNAME_TAKEN] * 19


# --- Password policy -----------------------------------------------------------------------------------


async def test_the_policy_refuses_passwords() -> None:
    async def no_spaces(password: str) -> bool:
        return " " not in password

    policy = PasswordPolicy(
        validator_pattern=re.compile("[0-9]"), validator_callback=no_spaces, do_not_allow_username=True
    )
    async with open_clinic(password_policy=policy) as clinic:
        for password in ("letters", "1 2"):
            with refusal(
                ErrorCode.VALIDATION_ERROR, "Password does not meet the Password Policy requirements."
            ):
                await clinic.sign_up(password=password)
        with refusal(ErrorCode.VALIDATION_ERROR, "Password cannot contain your username."):
            await clinic.sign_up(password="1ada1")
        ada = await clinic.sign_up(password="s3cret")
        with refusal(ErrorCode.VALIDATION_ERROR, "Password cannot contain your username."):
            await update(clinic, ada["sessionToken"], ada["objectId"], password="1ada1")
        with refusal(ErrorCode.VALIDATION_ERROR):
            await clinic.save(master(), "_User", {"password": "letters"}, ada["objectId"])


async def test_recent_passwords_do_not_come_back() -> None:
    async with open_clinic(password_policy=PasswordPolicy(max_password_history=3)) as clinic:
        ada = await clinic.sign_up(password="p0")
        for password in ("p1", "p2"):
            await clinic.save(master(), "_User", {"password": password}, ada["objectId"])
        for password in ("p0", "p1", "p2"):
            with refusal(
                ErrorCode.VALIDATION_ERROR, "New password should not be the same as last 3 passwords."
            ):
                await clinic.save(master(), "_User", {"password": password}, ada["objectId"])
        await clinic.save(master(), "_User", {"password": "p3"}, ada["objectId"])
        await clinic.save(master(), "_User", {"password": "p0"}, ada["objectId"])
        assert len((await clinic.row("_User", ada["objectId"]))["_password_history"]) == 2


# --- Hooks ---------------------------------------------------------------------------------------------


async def test_hooks_see_the_clear_password_of_a_signup_and_change_the_user() -> None:
    async with open_clinic() as clinic:

        async def add_ward(event: TriggerEvent) -> None:
            assert isinstance(event, SaveEvent)
            assert event.draft.get("password") == "s3cret"
            event.draft.operations["ward"] = Set("W9")

        clinic.toolbox.triggers.set(TriggerKind.BEFORE_SAVE, "_User", add_ward)
        ada = await clinic.sign_up()
        assert set(ada) == {"objectId", "createdAt", "sessionToken", "ward"}
        assert (await clinic.row("_User", ada["objectId"]))["ward"] == "W9"


async def test_no_hook_runs_for_a_forbidden_update() -> None:
    async with open_clinic() as clinic:
        ada, bob = await clinic.sign_up(), await clinic.sign_up("bob")
        events = clinic.record((TriggerKind.BEFORE_SAVE, "_User"), (TriggerKind.AFTER_SAVE, "_User"))
        with refusal(ErrorCode.SESSION_MISSING):
            await update(clinic, bob["sessionToken"], ada["objectId"], ward="W3")
        assert events == []
        await update(clinic, ada["sessionToken"], ada["objectId"], ward="W3")
        assert [event.kind for event in events] == [TriggerKind.BEFORE_SAVE, TriggerKind.AFTER_SAVE]
