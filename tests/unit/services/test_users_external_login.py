"""Logging in by providers: an identity belongs to one user, and nobody is believed unproven."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from parse_clone.core.auth_data import ProviderOutcome, ProviderRequest
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.services.objects.requests import SaveAnswer
from parse_clone.services.triggers import TriggerKind
from parse_clone.services.users.challenge import challenge
from parse_clone.services.users.login import log_in
from tests.unit.services.clinic import Clinic, master, open_clinic, refusal

Json = dict[str, Any]


class Provider:
    """A provider that believes whoever knows the word, and notes how it was asked."""

    def __init__(self, policy: str = "default", outcome: ProviderOutcome | None = None) -> None:
        self.policy = policy
        self.outcome = outcome or ProviderOutcome()
        self.asked: list[ProviderRequest] = []

    @property
    def stages(self) -> list[str]:
        return [request.stage for request in self.asked]

    async def before_find(self, auth_data: Json) -> Json:
        return {"id": f"id of {auth_data['code']}", "word": "yes"} if "code" in auth_data else auth_data

    async def validate(self, auth_data: Json, request: ProviderRequest) -> ProviderOutcome:
        self.asked.append(request)
        if auth_data.get("word") == "crash":
            raise RuntimeError("the provider broke")
        if auth_data.get("word") != "yes":
            raise ParseError(ErrorCode.OBJECT_NOT_FOUND, "wrong word")
        return self.outcome

    async def after_find(self, auth_data: Json, request: ProviderRequest) -> Json:
        return auth_data if request.is_master else {"id": auth_data.get("id")}

    async def challenge(self, challenge_data: Json, auth_data: Json | None, request: ProviderRequest) -> Any:
        return {"asked": challenge_data, "about": (request.original or {}).get("username")}


def identity(name: str = "1", word: str = "yes") -> Json:
    return {"id": name, "word": word}


async def enter(clinic: Clinic, *, token: str | None = None, **auth_data: Any) -> SaveAnswer:
    """What SDKs send for a login by providers."""
    return await clinic.save(await clinic.context(token), "_User", {"authData": auth_data})


async def link(clinic: Clinic, user: Json, **auth_data: Any) -> Json:
    """Link providers to a user who is logged in."""
    context = await clinic.context(user["sessionToken"])
    return (await clinic.save(context, "_User", {"authData": auth_data}, user["objectId"])).body


# --- POST /users -----------------------------------------------------------------------------------------


async def test_a_new_identity_signs_up_and_a_known_one_logs_in() -> None:
    provider = Provider(outcome=ProviderOutcome(response={"hello": 1}))
    async with open_clinic({"id": provider}) as clinic:
        signed_up = await enter(clinic, id=identity())
        assert signed_up.created
        assert set(signed_up.body) == {
            "objectId", "createdAt", "username", "sessionToken", "authDataResponse"
        }  # fmt: skip
        assert len(signed_up.body["username"]) == 25
        assert signed_up.body["authDataResponse"] == {"id": {"hello": 1}}
        logged_in = await enter(clinic, id=identity())
        assert not logged_in.created
        assert logged_in.location == signed_up.location == f"/users/{signed_up.body['objectId']}"
        assert logged_in.body["objectId"] == signed_up.body["objectId"]
        assert logged_in.body["authData"] == {"id": {"id": "1"}}
        assert logged_in.body["authDataResponse"] == {"id": {"hello": 1}}
        assert logged_in.body["sessionToken"] != signed_up.body["sessionToken"]
        assert provider.stages == ["setUp", "login"]
        assert len(await clinic.rows("_User")) == 1


async def test_a_login_by_identity_ignores_names_and_passwords() -> None:
    async with open_clinic({"id": Provider()}) as clinic:
        first = await enter(clinic, id=identity())
        body = {"username": "ada", "password": "x", "authData": {"id": identity()}}
        answer = await clinic.save(await clinic.context(), "_User", body)
        assert answer.body["objectId"] == first.body["objectId"]
        row = await clinic.row("_User", first.body["objectId"])
        assert row["username"] == first.body["username"]
        assert "_hashed_password" not in row


async def test_a_refusal_reaches_the_client_and_signs_nobody_up() -> None:
    async with open_clinic({"id": Provider()}) as clinic:
        with refusal(ErrorCode.OBJECT_NOT_FOUND, "wrong word"):
            await enter(clinic, id=identity(word="no"))
        with refusal(ErrorCode.SCRIPT_FAILED, "the provider broke"):
            await enter(clinic, id=identity(word="crash"))
        assert await clinic.rows("_User") == []


async def test_no_auth_data_at_all_is_a_missing_name() -> None:
    async with open_clinic() as clinic:
        with refusal(ErrorCode.USERNAME_MISSING):
            await clinic.save(await clinic.context(), "_User", {"authData": None})


@pytest.mark.parametrize(
    ("auth_data", "code"),
    [
        ({"unknown": {"id": "1"}}, ErrorCode.UNSUPPORTED_SERVICE),
        ({"id": "text"}, ErrorCode.UNSUPPORTED_SERVICE),
        ({"id": {"id": {"$ne": None}}}, ErrorCode.INVALID_NESTED_KEY),
        ({"id": {"id": {"eq": None}}}, ErrorCode.INVALID_VALUE),
        ({"id": {"id": 5}}, ErrorCode.INVALID_VALUE),
        ({"id": None}, ErrorCode.USERNAME_MISSING),
        ({"id": {}}, ErrorCode.USERNAME_MISSING),
        ({}, ErrorCode.USERNAME_MISSING),
        ({"_private": {"id": "1"}}, ErrorCode.UNSUPPORTED_SERVICE),
    ],
)
async def test_what_no_provider_can_take_is_refused(auth_data: Json, code: ErrorCode) -> None:
    async with open_clinic({"id": Provider()}) as clinic:
        with refusal(code):
            await enter(clinic, **auth_data)


async def test_of_twenty_signups_with_one_identity_one_creates_the_user() -> None:
    async with open_clinic({"id": Provider()}) as clinic:
        calls = (enter(clinic, id=identity()) for _ in range(20))
        results = await asyncio.gather(*calls, return_exceptions=True)
        created = [result for result in results if isinstance(result, SaveAnswer) and result.created]
        codes = {result.code for result in results if isinstance(result, ParseError)}
        assert len(created) == 1
        assert codes <= {ErrorCode.ACCOUNT_ALREADY_LINKED}
        assert len(await clinic.rows("_User")) == 1


async def test_the_identities_of_two_users_are_refused_after_they_are_proven() -> None:
    async with open_clinic({"a": Provider(), "b": Provider()}) as clinic:
        await enter(clinic, a=identity())
        await enter(clinic, b=identity())
        with refusal(ErrorCode.ACCOUNT_ALREADY_LINKED, "this auth is already used"):
            await enter(clinic, a=identity(), b=identity())
        with refusal(ErrorCode.OBJECT_NOT_FOUND, "wrong word"):
            await enter(clinic, a=identity(word="no"), b=identity())


async def test_who_is_logged_in_cannot_take_another_users_identity() -> None:
    async with open_clinic({"id": Provider()}) as clinic:
        await enter(clinic, id=identity())
        ada = await clinic.sign_up()
        with refusal(ErrorCode.ACCOUNT_ALREADY_LINKED):
            await enter(clinic, token=ada["sessionToken"], id=identity())


async def test_a_locked_out_owner_is_no_owner_and_his_identity_stays_his() -> None:
    async with open_clinic({"id": Provider()}) as clinic:
        first = await enter(clinic, id=identity())
        await clinic.save(master(), "_User", {"ACL": {}}, first.body["objectId"])
        with refusal(ErrorCode.ACCOUNT_ALREADY_LINKED):
            await enter(clinic, id=identity())


async def test_a_code_becomes_an_id_before_the_lookup() -> None:
    async with open_clinic({"id": Provider()}) as clinic:
        first = await enter(clinic, id={"code": "c"})
        assert (await enter(clinic, id={"code": "c"})).body["objectId"] == first.body["objectId"]
        row = await clinic.row("_User", first.body["objectId"])
        assert row["authData"] == {"id": {"id": "id of c", "word": "yes"}}


async def test_what_the_provider_wants_kept_is_stored_and_the_rest_is_not() -> None:
    saving = Provider(outcome=ProviderOutcome(save={"id": "1", "kept": True}))
    keeping = Provider(outcome=ProviderOutcome(keep_stored=True))
    async with open_clinic({"saving": saving, "keeping": keeping}) as clinic:
        answer = await enter(clinic, saving=identity(), keeping={"word": "yes"})
        row = await clinic.row("_User", answer.body["objectId"])
        assert row["authData"] == {"saving": {"id": "1", "kept": True}}


async def test_anonymous_users_need_no_proof_unless_they_are_off() -> None:
    async with open_clinic() as clinic:
        first = await enter(clinic, anonymous={"id": "uuid"})
        again = await enter(clinic, anonymous={"id": "uuid"})
        assert again.body["objectId"] == first.body["objectId"]
        assert (await enter(clinic, anonymous={"x": 5})).created
    async with open_clinic(enable_anonymous_users=False) as clinic:
        with refusal(ErrorCode.UNSUPPORTED_SERVICE):
            await enter(clinic, anonymous={"id": "uuid"})


async def test_before_login_refuses_before_anything_is_stored() -> None:
    async with open_clinic({"id": Provider(outcome=ProviderOutcome(save={"id": "1", "n": 2}))}) as clinic:
        first = await enter(clinic, id=identity())
        before = await clinic.row("_User", first.body["objectId"])
        clinic.refuse(TriggerKind.BEFORE_LOGIN, "_User", ParseError(ErrorCode.SCRIPT_FAILED, "no"))
        with refusal(ErrorCode.SCRIPT_FAILED, "no"):
            await enter(clinic, id=identity())
        assert await clinic.row("_User", first.body["objectId"]) == before


async def test_sessions_name_the_providers() -> None:
    async with open_clinic({"a": Provider(), "b": Provider()}) as clinic:
        await enter(clinic, b=identity(), a=identity())
        await enter(clinic, a=identity())
        created_with = [row["createdWith"] for row in await clinic.rows("_Session")]
        assert {"action": "login", "authProvider": "b,a"} in created_with
        assert {"action": "login", "authProvider": "a"} in created_with


# --- PUT /users/:id --------------------------------------------------------------------------------------


async def test_linking_asks_for_what_is_new_or_changed_only() -> None:
    provider = Provider()
    async with open_clinic({"id": provider}) as clinic:
        ada = await clinic.sign_up()
        assert set(await link(clinic, ada, id=identity())) == {"updatedAt", "authDataResponse"}
        assert set(await link(clinic, ada, id=identity())) == {"updatedAt"}
        assert set(await link(clinic, ada, id={"id": "1"})) == {"updatedAt"}
        await link(clinic, ada, id=identity("2"))
        assert provider.stages == ["setUp", "update"]
        with refusal(ErrorCode.OBJECT_NOT_FOUND, "wrong word"):
            await link(clinic, ada, id=identity("3", word="no"))
        row = await clinic.row("_User", ada["objectId"])
        assert row["authData"] == {"id": identity("2")}


async def test_linking_leaves_other_providers_and_unlinking_asks_nobody() -> None:
    a, b = Provider(), Provider()
    async with open_clinic({"a": a, "b": b}) as clinic:
        ada = await clinic.sign_up()
        await link(clinic, ada, a=identity())
        await link(clinic, ada, b=identity())
        await link(clinic, ada, a=None)
        row = await clinic.row("_User", ada["objectId"])
        assert row["authData"] == {"b": identity()}
        await link(clinic, ada, b=None)
        assert (len(a.asked), len(b.asked)) == (1, 1)
        shown = await clinic.get(await clinic.context(ada["sessionToken"]), "_User", ada["objectId"])
        assert "authData" not in shown


async def test_another_users_identity_cannot_be_linked() -> None:
    async with open_clinic({"id": Provider()}) as clinic:
        await enter(clinic, id=identity())
        ada = await clinic.sign_up()
        with refusal(ErrorCode.ACCOUNT_ALREADY_LINKED, "this auth is already used"):
            await link(clinic, ada, id=identity())
        with refusal(ErrorCode.OBJECT_NOT_FOUND, "wrong word"):
            await link(clinic, ada, id=identity(word="no"))


async def test_of_twenty_users_who_link_one_identity_one_gets_it() -> None:
    async with open_clinic({"id": Provider()}) as clinic:
        users = [await clinic.sign_up(f"user{n}") for n in range(20)]
        results = await asyncio.gather(
            *(link(clinic, user, id=identity()) for user in users), return_exceptions=True
        )
        codes = [result.code for result in results if isinstance(result, ParseError)]
        assert codes == [ErrorCode.ACCOUNT_ALREADY_LINKED] * 19


async def test_providers_decide_what_readers_see_and_strangers_see_nothing() -> None:
    async with open_clinic({"id": Provider()}, enforce_private_users=False) as clinic:
        ada = (await enter(clinic, id=identity())).body
        bob = await clinic.sign_up("bob")
        own = await clinic.get(await clinic.context(ada["sessionToken"]), "_User", ada["objectId"])
        assert own["authData"] == {"id": {"id": "1"}}
        for_bob = await clinic.get(await clinic.context(bob["sessionToken"]), "_User", ada["objectId"])
        assert "authData" not in for_bob
        assert (await clinic.get(master(), "_User", ada["objectId"]))["authData"] == {"id": identity()}


# --- Additional providers --------------------------------------------------------------------------------


async def set_up_second_factor(clinic: Clinic) -> Json:
    ada = await clinic.sign_up()
    await link(clinic, ada, code=identity("c"), id=identity("a"))
    return ada


async def test_a_second_factor_must_accompany_a_login() -> None:
    providers = {"code": Provider("additional"), "id": Provider(), "key": Provider("solo")}
    async with open_clinic(providers) as clinic:
        ada = await set_up_second_factor(clinic)
        right = {"username": "ada", "password": "s3cret"}
        with refusal(ErrorCode.OTHER_CAUSE, "Missing additional authData code"):
            await log_in(clinic.toolbox, await clinic.context(), right)
        with refusal(ErrorCode.OTHER_CAUSE, "Missing additional authData code"):
            await enter(clinic, id=identity("a"))
        with refusal(ErrorCode.OBJECT_NOT_FOUND, "wrong word"):
            bad = {**right, "authData": {"code": identity("c", word="no")}}
            await log_in(clinic.toolbox, await clinic.context(), bad)
        both = {**right, "authData": {"code": {"word": "yes"}}}
        answer = await log_in(clinic.toolbox, await clinic.context(), both)
        assert answer["objectId"] == ada["objectId"]
        assert answer["authDataResponse"] == {}
        await link(clinic, ada, key=identity("k"))
        assert not (await enter(clinic, key=identity("k"))).created


async def test_proof_for_one_use_is_used_once() -> None:
    class OneTime(Provider):
        async def validate(self, auth_data: Json, request: ProviderRequest) -> ProviderOutcome:
            if request.stage == "setUp":
                return ProviderOutcome(save={"recovery": ["a", "b"]})
            stored: Any = (request.original or {})["authData"]["code"]
            await asyncio.sleep(0)
            if auth_data["token"] not in stored["recovery"]:
                raise ParseError(ErrorCode.SCRIPT_FAILED, "used")
            return ProviderOutcome(save={"recovery": ["b"]})

    async with open_clinic({"code": OneTime("additional")}) as clinic:
        ada = await clinic.sign_up()
        await link(clinic, ada, code={"token": "x"})
        parameters = {"username": "ada", "password": "s3cret", "authData": {"code": {"token": "a"}}}
        context = await clinic.context()
        results = await asyncio.gather(
            *(log_in(clinic.toolbox, context, parameters) for _ in range(20)), return_exceptions=True
        )
        codes = [result.code for result in results if isinstance(result, ParseError)]
        assert codes == [ErrorCode.SCRIPT_FAILED] * 19


async def test_a_provider_with_an_unknown_policy_is_refused() -> None:
    async with open_clinic({"id": Provider("sometimes")}) as clinic:
        with refusal(ErrorCode.OTHER_CAUSE):
            await enter(clinic, id=identity())


# --- Challenges ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "code", "text"),
    [
        ({}, ErrorCode.OTHER_CAUSE, "Nothing to challenge."),
        ({"challengeData": "x"}, ErrorCode.OTHER_CAUSE, "challengeData should be an object."),
        (
            {"username": "ada", "challengeData": {"id": {}}},
            ErrorCode.OTHER_CAUSE,
            "You provided username or email, you need to also provide password.",
        ),
        (
            {"username": "ada", "password": "x", "challengeData": {"id": {}}},
            ErrorCode.OBJECT_NOT_FOUND,
            "Invalid username/password.",
        ),
        (
            {"challengeData": {"id": {}}, "authData": "x"},
            ErrorCode.OTHER_CAUSE,
            "authData should be an object.",
        ),
        (
            {"challengeData": {"id": {}}, "authData": {"id": "x"}},
            ErrorCode.OTHER_CAUSE,
            "authData.id should be an object.",
        ),
        (
            {"challengeData": {"id": {}}, "authData": {"id": {"id": "1"}, "b": {"id": "1"}}},
            ErrorCode.OTHER_CAUSE,
            "You cannot provide more than one authData provider with an id.",
        ),
        (
            {"challengeData": {"id": {}}, "authData": {"id": {"id": "nobody", "word": "yes"}}},
            ErrorCode.OBJECT_NOT_FOUND,
            "User not found.",
        ),
        (
            {"challengeData": {"id": {}}, "authData": {"id": {"id": "1", "word": "no"}}},
            ErrorCode.OBJECT_NOT_FOUND,
            "User not found.",
        ),
        (
            {
                "username": "ada",
                "password": "s3cret",
                "challengeData": {"id": {}},
                "authData": {"id": {"id": "1"}},
            },
            ErrorCode.OTHER_CAUSE,
            "You cannot provide username/email and authData, only use one identification method.",
        ),
    ],
)
async def test_a_challenge_is_refused(parameters: Json, code: ErrorCode, text: str) -> None:
    async with open_clinic({"id": Provider()}) as clinic:
        await enter(clinic, id=identity())
        await clinic.sign_up()
        with refusal(code, text):
            await challenge(clinic.toolbox, await clinic.context(), parameters)


async def test_providers_challenge_whoever_identified_himself() -> None:
    async with open_clinic({"id": Provider()}) as clinic:
        ada = await clinic.sign_up()
        await link(clinic, ada, id=identity())
        for who, name in (
            ({}, None),
            ({"username": "ada", "password": "s3cret"}, "ada"),
            ({"authData": {"id": identity()}}, "ada"),
        ):
            parameters = {**who, "challengeData": {"id": {"x": 1}, "anonymous": {}, "unknown": {}}}
            answer = await challenge(clinic.toolbox, await clinic.context(), parameters)
            assert answer == {"challengeData": {"id": {"asked": {"x": 1}, "about": name}}}
