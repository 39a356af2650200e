"""Queries: who finds what, what hooks, subqueries, includes and relations make of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest

from parse_clone.core.class_permissions import CLASS_OPERATIONS
from parse_clone.core.context import Auth, RequestContext
from parse_clone.core.json_types import JsonObject
from parse_clone.core.schema import SetPermissions
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.services.classes import find_objects
from parse_clone.services.objects.requests import FindAnswer, FindRequest
from parse_clone.services.triggers import FindEvent, FoundEvent, TriggerEvent, TriggerKind
from parse_clone.settings import RequestComplexity
from tests.unit.services.clinic import Clinic, maintenance, master, open_clinic, refusal

PRIVATE: JsonObject = {"nurse1": {"read": True}}


@pytest.fixture
async def clinic() -> AsyncIterator[Clinic]:
    async with open_clinic() as opened:
        yield opened


def caller(user_id: str | None = None, *roles: str) -> RequestContext:
    """The request of a user, or of anybody."""
    user: JsonObject | None = None if user_id is None else {"objectId": user_id}
    return RequestContext(auth=Auth(user=user, roles=roles), base_url="https://host/parse")


ANYBODY = caller()


def pointer(class_name: str, object_id: str) -> JsonObject:
    return {"__type": "Pointer", "className": class_name, "objectId": object_id}


def link(*pointers: JsonObject) -> JsonObject:
    return {"__op": "AddRelation", "objects": list(pointers)}


async def put(clinic: Clinic, class_name: str, **fields: Any) -> str:
    """Store an object as master; answers its id."""
    return str((await clinic.save(master(), class_name, fields)).body["objectId"])


async def ask(
    clinic: Clinic, class_name: str, context: RequestContext = ANYBODY, **parameters: Any
) -> FindAnswer:
    return await find_objects(clinic.toolbox, context, FindRequest(class_name, parameters))


async def find(
    clinic: Clinic, class_name: str, context: RequestContext = ANYBODY, **parameters: Any
) -> list[JsonObject]:
    return (await ask(clinic, class_name, context, **parameters)).results


async def names(
    clinic: Clinic, class_name: str, context: RequestContext = ANYBODY, **parameters: Any
) -> list[Any]:
    return [row.get("name") for row in await find(clinic, class_name, context, order="name", **parameters)]


async def permit(clinic: Clinic, class_name: str, **changes: Any) -> None:
    """Open a class to everybody, but for these changes."""
    permissions: JsonObject = {operation: {"*": True} for operation in CLASS_OPERATIONS}
    await clinic.toolbox.catalog.apply(
        clinic.toolbox.storage, SetPermissions(class_name, {**permissions, **changes})
    )


# --- Rights ----------------------------------------------------------------------------------------------


async def test_find_hides_objects_without_read_access(clinic: Clinic) -> None:
    await put(clinic, "Ward", name="open")
    await put(clinic, "Ward", name="secret", ACL={"nurse1": {"read": True}})
    await put(clinic, "Ward", name="of the doctors", ACL={"role:Doctor": {"read": True}})
    assert await names(clinic, "Ward") == ["open"]
    assert await names(clinic, "Ward", caller("nurse1")) == ["open", "secret"]
    assert await names(clinic, "Ward", caller("else", "Doctor")) == ["of the doctors", "open"]
    assert await names(clinic, "Ward", master()) == ["of the doctors", "open", "secret"]


async def test_get_of_missing_and_unreadable_objects_look_the_same(clinic: Clinic) -> None:
    secret = await put(clinic, "Ward", name="secret", ACL=PRIVATE)
    for object_id in (secret, "nothing"):
        with refusal(ErrorCode.OBJECT_NOT_FOUND, "Object not found."):
            await clinic.get(ANYBODY, "Ward", object_id)
    assert (await clinic.get(caller("nurse1"), "Ward", secret))["name"] == "secret"


async def test_class_permissions_decide_find_get_and_count_apart(clinic: Clinic) -> None:
    ward = await put(clinic, "Ward", name="A")
    await permit(clinic, "Ward", find={}, count={})
    with refusal(ErrorCode.OPERATION_FORBIDDEN):
        await find(clinic, "Ward")
    assert await clinic.get(ANYBODY, "Ward", ward)
    assert await names(clinic, "Ward", where={"objectId": ward}) == ["A"]
    assert (await ask(clinic, "Ward", limit=0)).results == []
    with refusal(ErrorCode.OPERATION_FORBIDDEN):
        await ask(clinic, "Ward", limit=0, count=1)
    await permit(clinic, "Ward", find={})
    assert (await ask(clinic, "Ward", limit=0, count=1)).count == 1


async def test_pointer_permissions_show_rows_that_point_to_the_caller(clinic: Clinic) -> None:
    own = await put(clinic, "Chart", name="mine", owner=pointer("_User", "nurse1"))
    await put(clinic, "Chart", name="other", owner=pointer("_User", "nurse2"))
    await permit(clinic, "Chart", find={"pointerFields": ["owner"]}, get={"pointerFields": ["owner"]})
    assert await names(clinic, "Chart", caller("nurse1")) == ["mine"]
    assert await names(clinic, "Chart", caller("nurse2"), where={"objectId": own}) == []
    assert await names(clinic, "Chart") == []
    with refusal(ErrorCode.OBJECT_NOT_FOUND, "Object not found."):
        await names(clinic, "Chart", where={"objectId": own})
    with refusal(ErrorCode.OBJECT_NOT_FOUND, "Object not found."):
        await clinic.get(ANYBODY, "Chart", own)


async def test_closed_classes_are_for_the_master_key(clinic: Clinic) -> None:
    for class_name in ("_JobStatus", "_GlobalConfig", "_Installation", "_Join:users:_Role"):
        with refusal(ErrorCode.OPERATION_FORBIDDEN):
            await find(clinic, class_name)
        assert await find(clinic, class_name, master()) == []


async def test_a_class_that_does_not_exist_is_empty_to_those_who_could_make_it(clinic: Clinic) -> None:
    answer = await ask(clinic, "Ghost", count=1)
    assert (answer.results, answer.count) == ([], 0)
    async with open_clinic(allow_client_class_creation=False) as closed:
        with pytest.raises(ParseError) as refused:
            await find(closed, "Ghost")
        assert refused.value.code == ErrorCode.OPERATION_FORBIDDEN
        assert refused.value.detail == "This user is not allowed to access non-existent class: Ghost"
        assert await find(closed, "Ghost", master()) == []
        assert await find(closed, "_Role") == []


async def test_clients_find_their_own_sessions_only(clinic: Clinic) -> None:
    ada = await clinic.sign_up("ada")
    await clinic.sign_up("bob")
    with refusal(ErrorCode.INVALID_SESSION_TOKEN, "Permission denied"):
        await find(clinic, "_Session")
    context = await clinic.context(str(ada["sessionToken"]))
    sessions = await find(clinic, "_Session", context)
    assert [session["sessionToken"] for session in sessions] == [ada["sessionToken"]]
    assert len(await find(clinic, "_Session", master())) == 2


async def test_an_explanation_is_for_the_master_key(clinic: Clinic) -> None:
    await put(clinic, "Ward", name="A")
    with refusal(ErrorCode.INVALID_QUERY, "Using the explain query parameter requires the master key"):
        await ask(clinic, "Ward", explain=True)
    assert (await ask(clinic, "Ward", master(), explain=True)).plan is not None


# --- What is shown ---------------------------------------------------------------------------------------


async def test_protected_fields_are_hidden_and_cannot_be_asked_about(clinic: Clinic) -> None:
    await put(clinic, "Patient", name="Ada", ssn="123", nested={"ssn": 1})
    await permit(clinic, "Patient", protectedFields={"*": ["ssn"], "role:Doctor": []})
    [row] = await find(clinic, "Patient")
    assert "ssn" not in row
    assert (await find(clinic, "Patient", caller("x", "Doctor")))[0]["ssn"] == "123"
    assert (await find(clinic, "Patient", keys="ssn,name"))[0].keys() >= {"name"}
    for parameters in (
        {"where": {"ssn": "123"}},
        {"where": {"$or": [{"name": "x"}, {"$and": [{"ssn.a": 1}]}]}},
        {"where": {"ssn": {"$exists": False}}},
        {"order": "-ssn"},
    ):
        with refusal(ErrorCode.OPERATION_FORBIDDEN, "Permission denied"):
            await find(clinic, "Patient", **parameters)
        await find(clinic, "Patient", master(), **parameters)


async def test_fields_that_decide_about_protection_are_read_but_not_shown_unasked(clinic: Clinic) -> None:
    await put(clinic, "Patient", ssn="123", doctor=pointer("_User", "nurse1"))
    await permit(clinic, "Patient", protectedFields={"*": ["ssn"], "userField:doctor": []})
    [row] = await find(clinic, "Patient", caller("nurse1"), keys="ssn")
    assert row["ssn"] == "123"
    assert "doctor" not in row
    assert "ssn" not in (await find(clinic, "Patient", caller("nurse2"), keys="ssn"))[0]


async def test_users_show_others_neither_mail_nor_identities(clinic: Clinic) -> None:
    ada = await clinic.sign_up("ada", email="ada@x.org", ACL={"*": {"read": True}})
    [seen] = await find(clinic, "_User")
    assert seen["username"] == "ada"
    assert not {"email", "authData", "sessionToken", "password"} & set(seen)
    assert not any(name.startswith("_") for name in seen)
    own = await clinic.get(await clinic.context(str(ada["sessionToken"])), "_User", str(ada["objectId"]))
    assert (own["email"], own["sessionToken"]) == ("ada@x.org", ada["sessionToken"])
    [row] = await find(clinic, "_User", maintenance())
    assert "_hashed_password" in row


async def test_keys_and_exclude_keys_choose_fields(clinic: Clinic) -> None:
    await put(clinic, "Ward", name="A", size=1, floor=2, ACL={"*": {"read": True}})
    always = {"objectId", "createdAt", "updatedAt", "ACL"}
    for parameters, shown in (
        ({"keys": "name"}, {"name"}),
        ({"keys": ["name", "size"]}, {"name", "size"}),
        ({"keys": ""}, set()),
        ({"keys": "name,-size,ghost"}, {"name"}),
        ({"excludeKeys": "name,objectId"}, {"size", "floor"}),
        ({"keys": "name,size", "excludeKeys": "size"}, {"name"}),
    ):
        [row] = await find(clinic, "Ward", **parameters)
        assert set(row) == always | shown, parameters


async def test_relation_fields_show_their_class_on_every_object(clinic: Clinic) -> None:
    nurse = await put(clinic, "Nurse", name="N")
    await put(clinic, "Ward", name="A", staff=link(pointer("Nurse", nurse)))
    await put(clinic, "Ward", name="B")
    shown = {"__type": "Relation", "className": "Nurse"}
    assert [row["staff"] for row in await find(clinic, "Ward", keys="name")] == [shown, shown]


async def test_files_get_their_url_on_the_way_out(clinic: Clinic) -> None:
    file = {"__type": "File", "name": "labs/a b+c.png"}
    await put(clinic, "Scan", image=file, nested={"image": file})
    [row] = await find(clinic, "Scan")
    assert row["image"] == {**file, "url": "https://host/parse/files/clinic/labs/a%20b%2Bc.png"}
    assert row["nested"] == {"image": file}


async def test_rows_as_text_say_the_same_as_rows_as_objects(clinic: Clinic) -> None:
    nurse = await put(clinic, "Nurse", name="N")
    ward = await put(
        clinic, "Ward", name="Ä", staff=link(pointer("Nurse", nurse)), chief=pointer("Nurse", nurse),
        opened={"__type": "Date", "iso": "2026-01-05T10:00:00.123Z"},
        place={"__type": "GeoPoint", "latitude": 1.5, "longitude": 2}, ACL={"*": {"read": True}},
    )  # fmt: skip
    requests: tuple[dict[str, Any], ...] = (
        {},
        {"object_id": ward},
        {"parameters": {"keys": "name"}},
        {"parameters": {"count": 1}},
    )
    for arguments in requests:
        texts = await find_objects(
            clinic.toolbox, ANYBODY, FindRequest("Ward", accepts_encoded=True, **arguments)
        )
        objects = await find_objects(clinic.toolbox, ANYBODY, FindRequest("Ward", **arguments))
        assert texts.encoded is not None
        assert [orjson.loads(text) for text in texts.encoded] == objects.results
        assert texts.count == objects.count
    with refusal(ErrorCode.OBJECT_NOT_FOUND, "Object not found."):
        await find_objects(
            clinic.toolbox, ANYBODY, FindRequest("Ward", object_id="none", accepts_encoded=True)
        )


async def test_rows_are_never_text_where_somebody_must_look_into_them(clinic: Clinic) -> None:
    ada = await clinic.sign_up("ada")
    await put(clinic, "Scan", image={"__type": "File", "name": "a.png"})
    await put(clinic, "Patient", ssn="123")
    await permit(clinic, "Patient", protectedFields={"*": ["ssn"]})
    await put(clinic, "Ward", name="A")
    clinic.record((TriggerKind.AFTER_FIND, "Ward"))
    for class_name in ("_User", "Scan", "Patient", "Ward"):
        context = await clinic.context(str(ada["sessionToken"]))
        request = FindRequest(class_name, accepts_encoded=True)
        answer = await find_objects(clinic.toolbox, context, request)
        assert answer.encoded is None
        assert len(answer.results) == 1


# --- Limits ----------------------------------------------------------------------------------------------


async def test_clients_get_the_default_limit_and_never_more_than_the_door_allows() -> None:
    async with open_clinic(default_limit=2) as clinic:
        for name in "abcd":
            await put(clinic, "Ward", name=name)
        assert await names(clinic, "Ward") == ["a", "b"]
        assert await names(clinic, "Ward", limit=3, skip=1) == ["b", "c", "d"]
        request = FindRequest("Ward", {"limit": 100, "order": "name", "count": 1}, max_limit=3)
        answer = await find_objects(clinic.toolbox, ANYBODY, request)
        assert (len(answer.results), answer.count) == (3, 4)


async def test_includes_and_subqueries_are_bounded() -> None:
    complexity = RequestComplexity(include_depth=2, include_count=2, subquery_depth=1)
    async with open_clinic(request_complexity=complexity) as clinic:
        await put(clinic, "Ward", name="A")
        with refusal(ErrorCode.INVALID_QUERY, "Include depth of 3 exceeds maximum allowed depth of 2"):
            await find(clinic, "Ward", include="a.b.c")
        with refusal(ErrorCode.INVALID_QUERY, "Number of include fields (3) exceeds maximum allowed (2)"):
            await find(clinic, "Ward", include="a.b,c")
        inner: JsonObject = {"ward": {"$inQuery": {"className": "Ward", "where": {}}}}
        await find(clinic, "Ward", where=inner)
        deep: JsonObject = {"ward": {"$notInQuery": {"className": "Ward", "where": inner}}}
        with refusal(ErrorCode.INVALID_QUERY, "Subquery nesting depth exceeds maximum allowed depth of 1"):
            await find(clinic, "Ward", where=deep)
        await find(clinic, "Ward", master(), where=deep, include="a.b.c")


# --- Subqueries ------------------------------------------------------------------------------------------


@pytest.fixture
async def wards(clinic: Clinic) -> dict[str, str]:
    """Three patients: in ward A, in ward B (which only nurse1 reads), and in none."""
    a = await put(clinic, "Ward", name="A", code="one")
    b = await put(clinic, "Ward", name="B", code="two", ACL=PRIVATE)
    await put(clinic, "Patient", name="in A", ward=pointer("Ward", a), code="one")
    await put(clinic, "Patient", name="in B", ward=pointer("Ward", b), code="two")
    await put(clinic, "Patient", name="nowhere")
    return {"A": a, "B": b}


def in_query(operator: str, class_name: str = "Ward", **where: Any) -> JsonObject:
    return {operator: {"className": class_name, "where": where}}


@pytest.mark.usefixtures("wards")
async def test_subqueries_see_what_the_caller_sees(clinic: Clinic) -> None:
    nurse = caller("nurse1")
    for constraint, context, found in (
        (in_query("$inQuery"), ANYBODY, ["in A"]),
        (in_query("$inQuery"), nurse, ["in A", "in B"]),
        (in_query("$inQuery", name="B"), ANYBODY, []),
        (in_query("$notInQuery"), ANYBODY, ["in B", "nowhere"]),
        (in_query("$notInQuery"), nurse, ["nowhere"]),
    ):
        assert await names(clinic, "Patient", context, where={"ward": constraint}) == found
    for operator, context, found in (
        ("$select", ANYBODY, ["in A"]),
        ("$select", nurse, ["in A", "in B"]),
        ("$dontSelect", ANYBODY, ["in B", "nowhere"]),
    ):
        where = {"code": {operator: {"query": {"className": "Ward", "where": {}}, "key": "code"}}}
        assert await names(clinic, "Patient", context, where=where) == found


@pytest.mark.usefixtures("wards")
async def test_subqueries_stand_anywhere_in_the_logic(clinic: Clinic) -> None:
    in_a = {"ward": in_query("$inQuery", name="A")}
    assert await names(clinic, "Patient", where={"$or": [in_a, {"name": "nowhere"}]}) == ["in A", "nowhere"]
    assert await names(clinic, "Patient", where={"$nor": [in_a]}) == ["in B", "nowhere"]
    nested = {
        "ward": in_query("$inQuery", code={"$select": {"query": {"className": "Patient"}, "key": "code"}})
    }
    assert await names(clinic, "Patient", where={"$and": [nested, {"name": {"$ne": "x"}}]}) == ["in A"]


async def test_select_takes_the_elements_of_arrays(clinic: Clinic) -> None:
    ward = await put(clinic, "Ward", name="A")
    await put(clinic, "House", wards=[pointer("Ward", ward), None], nested={"codes": ["one", "two"]})
    await put(clinic, "Patient", name="in A", ward=pointer("Ward", ward), code="two")
    await put(clinic, "Patient", name="nowhere")
    for field, key in (("ward", "wards"), ("code", "nested.codes")):
        select = {"query": {"className": "House", "where": {}}, "key": key}
        assert await names(clinic, "Patient", where={field: {"$select": select}}) == ["in A"]
        assert await names(clinic, "Patient", where={field: {"$dontSelect": select}}) == ["nowhere"]


@pytest.mark.usefixtures("wards")
async def test_a_subquery_that_is_refused_refuses_the_whole(clinic: Clinic) -> None:
    await permit(clinic, "Ward", find={})
    with refusal(ErrorCode.OPERATION_FORBIDDEN):
        await find(clinic, "Patient", where={"ward": in_query("$inQuery")})
    await permit(clinic, "Ward", protectedFields={"*": ["code"]})
    with refusal(ErrorCode.OPERATION_FORBIDDEN):
        await find(clinic, "Patient", where={"ward": in_query("$inQuery", code="one")})
    selected = {"code": {"$select": {"query": {"className": "Ward", "where": {}}, "key": "code"}}}
    assert await find(clinic, "Patient", where=selected) == []


async def test_subqueries_have_no_default_limit() -> None:
    async with open_clinic(default_limit=1) as clinic:
        for name in "abc":
            ward = await put(clinic, "Ward", name=name)
            await put(clinic, "Patient", name=name, ward=pointer("Ward", ward))
        assert await names(clinic, "Patient", where={"ward": in_query("$inQuery")}, limit=9) == [
            "a",
            "b",
            "c",
        ]


# --- Relations -------------------------------------------------------------------------------------------


async def test_constraints_on_relation_fields_find_owners(clinic: Clinic) -> None:
    n, m = await put(clinic, "Nurse", name="N"), await put(clinic, "Nurse", name="M")
    await put(clinic, "Ward", name="A", staff=link(pointer("Nurse", n)))
    await put(clinic, "Ward", name="B", staff=link(pointer("Nurse", n), pointer("Nurse", m)))
    await put(clinic, "Ward", name="C")
    for constraint, found in (
        (pointer("Nurse", n), ["A", "B"]),
        ({"$in": [pointer("Nurse", m), pointer("Nurse", "none")]}, ["B"]),
        ({"$ne": pointer("Nurse", m)}, ["A", "C"]),
        ({"$nin": [pointer("Nurse", n)]}, ["C"]),
        ({"$inQuery": {"className": "Nurse", "where": {"name": "M"}}}, ["B"]),
        ({"$exists": True}, []),
        (None, []),
    ):
        assert await names(clinic, "Ward", where={"staff": constraint}) == found, constraint


async def test_members_of_a_relation_are_found_by_who_can_read_the_owner(clinic: Clinic) -> None:
    n, m = await put(clinic, "Nurse", name="N"), await put(clinic, "Nurse", name="M")
    staff = link(pointer("Nurse", n), pointer("Nurse", m))
    ward = await put(clinic, "Ward", name="A", staff=staff, ACL=PRIVATE)

    def related(object_id: str = ward, key: str = "staff") -> JsonObject:
        return {"$relatedTo": {"object": pointer("Ward", object_id), "key": key}}

    nurse = caller("nurse1")
    assert await names(clinic, "Nurse", nurse, where=related()) == ["M", "N"]
    assert await names(clinic, "Nurse", nurse, where={**related(), "objectId": m}) == ["M"]
    assert await names(clinic, "Nurse", master(), where=related()) == ["M", "N"]
    for context, where in (
        (ANYBODY, related()),
        (nurse, related(key="name")),
        (nurse, related(object_id="none")),
        (nurse, {"$relatedTo": {"object": pointer("Ghost", ward), "key": "staff"}}),
    ):
        assert await names(clinic, "Nurse", context, where=where) == []
    await permit(clinic, "Ward", get={})
    assert await names(clinic, "Nurse", nurse, where=related()) == []
    await permit(clinic, "Ward", protectedFields={"*": ["staff"]})
    with refusal(ErrorCode.OPERATION_FORBIDDEN):
        await find(clinic, "Nurse", nurse, where=related())


async def test_a_redirected_query_answers_the_class_that_a_relation_leads_to(clinic: Clinic) -> None:
    nurse = await put(clinic, "Nurse", name="N")
    await put(clinic, "Ward", name="A", staff=link(pointer("Nurse", nurse)))
    [row] = await find(clinic, "Ward", redirectClassNameForKey="staff", where={"name": "N"})
    assert (row["objectId"], row["className"]) == (nurse, "Nurse")
    [row] = await find(clinic, "Ward", redirectClassNameForKey="name")
    assert (row["name"], row["className"]) == ("A", "Ward")
    await permit(clinic, "Nurse", find={})
    with refusal(ErrorCode.OPERATION_FORBIDDEN):
        await find(clinic, "Ward", redirectClassNameForKey="staff")


async def test_a_subquery_may_be_redirected(clinic: Clinic) -> None:
    nurse = await put(clinic, "Nurse", name="N", shift="night")
    await put(clinic, "Ward", name="A", staff=link(pointer("Nurse", nurse)), shift="day")
    await put(clinic, "Note", name="by N", author=pointer("Nurse", nurse), shift="night")
    query = {"className": "Ward", "redirectClassNameForKey": "staff", "where": {"name": "N"}}
    assert await names(clinic, "Note", where={"author": {"$inQuery": query}}) == ["by N"]
    select = {"query": query, "key": "shift"}
    assert await names(clinic, "Note", where={"shift": {"$select": select}}) == ["by N"]


# --- Include ---------------------------------------------------------------------------------------------


@pytest.fixture
async def tree(clinic: Clinic) -> dict[str, str]:
    """A patient in a ward of a house, with devices in an array and in an object."""
    house = await put(clinic, "House", name="H", city="Ulm")
    ward = await put(clinic, "Ward", name="W", house=pointer("House", house), size=3)
    open_device = await put(clinic, "Device", name="open")
    secret = await put(clinic, "Device", name="secret", ACL=PRIVATE)
    devices = [pointer("Device", open_device), pointer("Device", secret), pointer("Device", "gone"), 7]
    await put(
        clinic, "Patient", name="P", ward=pointer("Ward", ward), devices=devices,
        device=pointer("Device", secret), vitals={"device": pointer("Device", open_device)},
    )  # fmt: skip
    return {"house": house, "ward": ward, "open": open_device, "secret": secret}


@pytest.mark.usefixtures("tree")
async def test_include_replaces_pointers_at_any_depth(clinic: Clinic) -> None:
    [row] = await find(clinic, "Patient", include="ward.house,vitals.device,name,ghost.x")
    ward: Any = row["ward"]
    assert (ward["__type"], ward["className"], ward["name"]) == ("Object", "Ward", "W")
    assert (ward["house"]["__type"], ward["house"]["name"]) == ("Object", "H")
    vitals: Any = row["vitals"]
    assert vitals["device"]["name"] == "open"
    [plain] = await find(clinic, "Patient", include="ward")
    assert plain["ward"]["house"]["__type"] == "Pointer"  # type: ignore[index, call-overload]


@pytest.mark.usefixtures("tree")
async def test_include_removes_what_the_caller_cannot_read(clinic: Clinic) -> None:
    [row] = await find(clinic, "Patient", include="devices,device")
    assert "device" not in row
    devices: Any = row["devices"]
    assert [device["name"] for device in devices[:-1]] == ["open"]
    assert devices[-1] == 7
    [row] = await find(clinic, "Patient", caller("nurse1"), include="devices,device")
    devices = row["devices"]
    assert [device["name"] for device in devices[:-1]] == ["open", "secret"]
    assert row["device"]["name"] == "secret"  # type: ignore[index, call-overload]


@pytest.mark.usefixtures("tree")
async def test_include_all_means_pointers_and_arrays_of_one_level(clinic: Clinic) -> None:
    for parameters in ({"include": "*"}, {"includeAll": True}, {"include": "*", "keys": "name"}):
        [row] = await find(clinic, "Patient", caller("nurse1"), **parameters)
        ward: Any = row["ward"]
        assert ward["name"] == "W"
        assert ward["house"]["__type"] == "Pointer"
        assert len(row["devices"]) == 3  # type: ignore[arg-type]


@pytest.mark.usefixtures("tree")
async def test_dotted_keys_choose_fields_of_included_objects(clinic: Clinic) -> None:
    always = {"__type", "className", "objectId", "createdAt", "updatedAt"}
    [row] = await find(clinic, "Patient", keys="ward.house.city,name")
    ward: Any = row["ward"]
    assert set(ward) == always | {"house"}
    assert set(ward["house"]) == always | {"city"}
    [row] = await find(clinic, "Patient", excludeKeys="ward.size")
    ward = row["ward"]
    assert set(ward) == always | {"name", "house"}


@pytest.mark.usefixtures("tree")
async def test_includes_need_the_get_permission_of_their_class(clinic: Clinic) -> None:
    await permit(clinic, "Device", find={})
    await find(clinic, "Patient", include="devices")
    await permit(clinic, "Device", get={})
    with refusal(ErrorCode.OPERATION_FORBIDDEN):
        await find(clinic, "Patient", include="devices")
    await permit(clinic, "Device", get={"requiresAuthentication": True})
    with refusal(ErrorCode.OBJECT_NOT_FOUND):
        await find(clinic, "Patient", include="devices")


async def test_included_users_keep_their_secrets(clinic: Clinic) -> None:
    ada = await clinic.sign_up("ada", email="a@x.org", authData={"anonymous": {"id": "12"}})
    user_id = str(ada["objectId"])
    await put(clinic, "Chart", doctor=pointer("_User", user_id))
    own = await clinic.context(str(ada["sessionToken"]))
    doctor: Any = (await find(clinic, "Chart", own, include="doctor"))[0]["doctor"]
    assert doctor["email"] == "a@x.org"
    assert not {"authData", "sessionToken", "password"} & set(doctor)
    doctor = (await find(clinic, "Chart", master(), include="doctor"))[0]["doctor"]
    assert doctor["authData"] == {"anonymous": {"id": "12"}}


async def test_protected_pointers_are_not_included(clinic: Clinic) -> None:
    ward = await put(clinic, "Ward", name="A")
    await put(clinic, "Patient", ward=pointer("Ward", ward))
    await permit(clinic, "Patient", protectedFields={"*": ["ward"]})
    [row] = await find(clinic, "Patient", include="ward")
    assert "ward" not in row


# --- Hooks -----------------------------------------------------------------------------------------------


def hook(clinic: Clinic, kind: TriggerKind, class_name: str) -> Callable[[Callable[[Any], None]], None]:
    """Let a function be the hook."""

    def register(work: Callable[[Any], None]) -> None:
        async def handler(event: TriggerEvent) -> None:
            work(event)

        clinic.toolbox.triggers.set(kind, class_name, handler)

    return register


async def test_before_find_changes_the_query(clinic: Clinic) -> None:
    for name in "abc":
        await put(clinic, "Ward", name=name)

    @hook(clinic, TriggerKind.BEFORE_FIND, "Ward")
    def narrow(event: FindEvent) -> None:
        event.parameters["where"]["name"] = {"$gt": "a"}  # type: ignore[call-overload, index]
        event.parameters["order"] = "-name"
        event.parameters["limit"] = 0

    where: JsonObject = {}
    assert [row["name"] for row in await find(clinic, "Ward", where=where)] == ["c", "b"]
    assert where == {}


async def test_before_find_sees_the_query_as_sent(clinic: Clinic) -> None:
    ward = await put(clinic, "Ward", name="A")
    await put(clinic, "Patient", ward=pointer("Ward", ward))
    events: Any = clinic.record((TriggerKind.BEFORE_FIND, "Ward"))
    await find(clinic, "Ward", where={"name": "A"}, count=1, keys="name")
    await clinic.get(ANYBODY, "Ward", ward)
    await find(clinic, "Patient", include="ward")
    await find(clinic, "Patient", where={"ward": in_query("$inQuery", name="A")})
    assert [(event.parameters, event.is_get, event.is_count) for event in events] == [
        ({"where": {"name": "A"}, "count": 1, "keys": "name", "limit": 100}, False, True),
        ({"where": {"objectId": ward}}, True, False),
        ({"where": {"objectId": ward}}, True, False),
        ({"where": {"name": "A"}, "limit": 100_000}, False, False),
    ]


async def test_parts_of_a_query_read_where_the_query_says(clinic: Clinic) -> None:
    ward = await put(clinic, "Ward", name="A")
    await put(clinic, "Patient", ward=pointer("Ward", ward))
    events: Any = clinic.record((TriggerKind.BEFORE_FIND, "Ward"))
    where = {"ward": in_query("$inQuery")}
    own: dict[str, Any] = {"includeReadPreference": "SECONDARY", "subqueryReadPreference": "PRIMARY"}
    await find(clinic, "Patient", include="ward", where=where, readPreference="nearest")
    await find(clinic, "Patient", include="ward", where=where, readPreference="nearest", **own)
    preferences = [event.parameters["readPreference"] for event in events]
    assert preferences == ["NEAREST", "NEAREST", "PRIMARY", "SECONDARY"]


async def test_hooks_of_other_classes_may_answer_with_objects_that_are_not_stored(clinic: Clinic) -> None:
    ward = await put(clinic, "Ward", name="A")
    await put(clinic, "Patient", name="P", ward=pointer("Ward", ward))

    @hook(clinic, TriggerKind.AFTER_FIND, "Ward")
    def invent(event: FoundEvent) -> None:
        event.objects = [{"name": "made up"}]

    assert await find(clinic, "Patient", where={"ward": in_query("$inQuery")}) == []
    [row] = await find(clinic, "Patient", include="ward")
    assert "ward" not in row


async def test_a_client_gets_of_a_hooks_answer_what_it_may_read(clinic: Clinic) -> None:
    await put(clinic, "Ward", name="open")
    await put(clinic, "Ward", name="secret", ACL=PRIVATE)
    rows = await clinic.rows("Ward")

    @hook(clinic, TriggerKind.BEFORE_FIND, "Ward")
    def answer(event: FindEvent) -> None:
        event.results = [{**row, "className": "Ward", "__type": "Object"} for row in rows]

    assert await names(clinic, "Ward") == ["open"]
    assert sorted(await names(clinic, "Ward", master())) == ["open", "secret"]


async def test_a_hook_may_answer_with_objects_that_are_not_stored(clinic: Clinic) -> None:
    @hook(clinic, TriggerKind.BEFORE_FIND, "Ward")
    def answer(event: FindEvent) -> None:
        event.results = [{"name": "made up"}] if event.parameters["where"] else []

    assert await find(clinic, "Ward", where={"name": "x"}) == [{"name": "made up"}]
    assert await find(clinic, "Ward") == []


async def test_after_find_changes_and_replaces_results(clinic: Clinic) -> None:
    ward = await put(clinic, "Ward", name="A", size=1)

    @hook(clinic, TriggerKind.AFTER_FIND, "Ward")
    def censor(event: FoundEvent) -> None:
        for row in event.objects:
            del row["size"]
        event.objects = [row for row in event.objects if row["name"] != "hidden"]

    [row] = await find(clinic, "Ward")
    assert "size" not in row
    assert row["className"] == "Ward"
    assert "size" not in await clinic.get(ANYBODY, "Ward", ward)
    await clinic.save(master(), "Ward", {"name": "hidden"}, ward)
    assert await find(clinic, "Ward") == []
    with refusal(ErrorCode.OBJECT_NOT_FOUND, "Object not found."):
        await clinic.get(ANYBODY, "Ward", ward)


async def test_after_find_does_not_see_protected_fields(clinic: Clinic) -> None:
    await put(clinic, "Patient", name="Ada", ssn="123")
    await permit(clinic, "Patient", protectedFields={"*": ["ssn"]})
    events: Any = clinic.record((TriggerKind.AFTER_FIND, "Patient"))
    await find(clinic, "Patient", where={"name": "Ada"})
    assert [set(row) & {"name", "ssn"} for row in events[0].objects] == [{"name"}]
    assert events[0].parameters == {"where": {"name": "Ada"}, "limit": 100}


async def test_hooks_refuse(clinic: Clinic) -> None:
    await put(clinic, "Ward", name="A")
    for kind in (TriggerKind.BEFORE_FIND, TriggerKind.AFTER_FIND):
        clinic.refuse(kind, "Ward", ParseError(ErrorCode.SCRIPT_FAILED, "not today"))
        with refusal(ErrorCode.SCRIPT_FAILED, "not today"):
            await find(clinic, "Ward")
        clinic.toolbox.triggers.clear()
