"""What every storage engine promises: rows, writes, unique values, links, transactions, schemas."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import cast

import orjson
import pytest

from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.operations import (
    Add,
    AddUnique,
    Delete,
    Increment,
    Operations,
    Remove,
    Set,
    SetOnInsert,
)
from parse_clone.core.query import (
    EVERYTHING,
    WHOLE,
    AllOf,
    Compare,
    Condition,
    Exists,
    GeoPoint,
    In,
    Near,
    NotIn,
    Page,
    ReadableBy,
    Regex,
    SortKey,
    TextSearch,
    WritableBy,
    object_id_is,
)
from parse_clone.core.schema import (
    AddFields,
    AddIndexes,
    ClassSchema,
    CreateClass,
    DeleteFields,
    DropClass,
    DropIndexes,
    Field,
    FieldType,
    Index,
    JoinTable,
    SetFieldOptions,
    SetPermissions,
)
from parse_clone.core.system_classes import DEFAULT_FIELDS, DEFAULT_INDEXES, join_schema, system_schema
from parse_clone.errors import DuplicateValue, ErrorCode, ParseError
from parse_clone.ports import Storage
from tests.adapters.stand_in import TEXT_SEARCHERS
from tests.strategies import SCHEMA as PATIENT
from tests.strategies import date, geo_point, pointer, polygon

WARD = ClassSchema(
    "Ward",
    {
        **DEFAULT_FIELDS,
        "name": Field(FieldType("String")),
        "beds": Field(FieldType("Number")),
        "open": Field(FieldType("Boolean")),
        "tags": Field(FieldType("Array")),
        "info": Field(FieldType("Object")),
        "site": Field(FieldType("GeoPoint")),
        "since": Field(FieldType("Date")),
        "head": Field(FieldType("Pointer", "_User")),
        "staff": Field(FieldType("Relation", "Nurse")),
    },
)
USER = system_schema("_User")
NOW = "2026-01-05T10:00:00.123Z"


def ward(object_id: str, **fields: Json) -> JsonObject:
    return {"objectId": object_id, "createdAt": NOW, "updatedAt": NOW, **fields}


async def find(storage: Storage, where: Condition = EVERYTHING, page: Page = WHOLE) -> list[JsonObject]:
    return await storage.find(WARD, where, page)


async def ids(storage: Storage, where: Condition = EVERYTHING, page: Page = WHOLE) -> list[str]:
    found = await find(storage, where, page)
    listed = [str(obj["objectId"]) for obj in found]
    return listed if page.order else sorted(listed)


async def update(storage: Storage, object_id: str, operations: Operations) -> JsonObject | None:
    return await storage.update(WARD, object_id_is(object_id), operations)


# --- Rows ------------------------------------------------------------------------------------------------


async def test_objects_come_back_as_they_were_stored(storage: Storage) -> None:
    stored: JsonObject = {
        "objectId": "p1",
        "createdAt": NOW,
        "updatedAt": "2026-02-01T00:00:00.000Z",
        "ACL": {"*": {"read": True}, "u1": {"read": True, "write": True}, "role:nurse": {"write": True}},
        "name": 'Änne "Zoë" \\ O\'Hara 😀\n',
        "note": None,
        "age": 41.5,
        "active": False,
        "bornAt": date("1984-02-29T23:59:59.999Z"),
        "vitals": {"pulse": 60, "at": date(NOW), "device": pointer("d1", "Device"), "deep": {"er": [1, [2]]}},
        "tags": ["a", 1, 2.5, True, None, {"k": []}, date(NOW), pointer("w2")],
        "visits": [],
        "site": geo_point(48.2, 16.4),
        "area": polygon((0, 0), (0, 4), (4, 4)),
        "scan": {"__type": "File", "name": "scan.pdf"},
        "raw": {"__type": "Bytes", "base64": "AAEC"},
        "ward": pointer("w1"),
    }
    await storage.insert(PATIENT, [stored])
    assert await storage.find(PATIENT, object_id_is("p1"), WHOLE) == [stored]
    ((object_id, encoded),) = await storage.find_json(PATIENT, object_id_is("p1"), WHOLE)
    assert object_id == "p1"
    assert orjson.loads(encoded) == stored


async def test_internal_members_come_back(storage: Storage) -> None:
    user: JsonObject = {
        "objectId": "u1",
        "createdAt": NOW,
        "updatedAt": NOW,
        "username": "ada",
        "authData": {"anonymous": {"id": "x"}},
        "_hashed_password": "$2b$10$hash",
        "_perishable_token": "secret",
        "_perishable_token_expires_at": date(NOW),
        "_failed_login_count": 3,
        "_password_history": ["$2b$10$old"],
    }
    await storage.insert(USER, [user])
    assert await storage.find(USER, In("_perishable_token", ("secret",)), WHOLE) == [user]
    expired = Compare("_perishable_token_expires_at", "<=", date(NOW))
    assert await storage.find(USER, expired, WHOLE) == [user]
    assert await storage.count(USER, Compare("_failed_login_count", ">", 3)) == 0
    assert await storage.count(USER, In("authData.anonymous.id", ("x",))) == 1


async def test_a_class_without_rows_answers_empty(storage: Storage) -> None:
    assert await find(storage) == []
    assert await storage.find_json(WARD, EVERYTHING, WHOLE) == []
    assert await storage.count(WARD, EVERYTHING) == 0
    assert await storage.count(WARD, object_id_is("w1")) == 0
    assert await storage.distinct(WARD, "name", EVERYTHING) == []
    assert await storage.delete(WARD, EVERYTHING) == 0
    assert await update(storage, "w1", {"name": Set("x")}) is None
    assert await storage.update_many(WARD, EVERYTHING, {"name": Set("x")}) == 0


async def test_classes_whose_names_differ_in_case_are_apart(storage: Storage) -> None:
    await storage.insert(WARD, [ward("w1")])
    await storage.insert(ClassSchema("ward", DEFAULT_FIELDS), [ward("w1"), ward("w2")])
    await storage.insert(ClassSchema("wARD", DEFAULT_FIELDS), [ward("w3")])
    assert await ids(storage) == ["w1"]
    assert await storage.count(ClassSchema("ward", DEFAULT_FIELDS), EVERYTHING) == 2
    assert await storage.count(ClassSchema("sqlite_master", DEFAULT_FIELDS), EVERYTHING) == 0


async def test_a_page_is_a_part_in_order(storage: Storage) -> None:
    await storage.insert(WARD, [ward(f"w{n}", beds=n % 3) for n in range(6)])
    order = (SortKey("beds", descending=True), SortKey("objectId"))
    assert await ids(storage, page=Page(order=order)) == ["w2", "w5", "w1", "w4", "w0", "w3"]
    assert await ids(storage, page=Page(order=order, skip=1, limit=2)) == ["w5", "w1"]
    assert await ids(storage, page=Page(order=order, skip=5)) == ["w3"]
    assert await ids(storage, page=Page(order=order, skip=6)) == []
    assert await find(storage, page=Page(limit=0)) == []
    assert await storage.find_json(WARD, EVERYTHING, Page(limit=0)) == []


async def test_missing_and_null_come_first_ascending_and_last_descending(storage: Storage) -> None:
    await storage.insert(
        WARD, [ward("w1", name="b"), ward("w2"), ward("w3", name=None), ward("w4", name="B")]
    )
    ascending = await ids(storage, page=Page(order=(SortKey("name"), SortKey("objectId"))))
    assert ascending == ["w2", "w3", "w4", "w1"]
    descending = await ids(storage, page=Page(order=(SortKey("name", True), SortKey("objectId"))))
    assert descending == ["w1", "w4", "w2", "w3"]


async def test_without_a_search_there_is_no_score(storage: Storage) -> None:
    await storage.insert(WARD, [ward("w1", name="x")])
    page = Page(order=(SortKey("$score"),), keys=frozenset({"name", "$score"}))
    assert await find(storage, page=page) == [ward("w1", name="x")]


async def test_keys_select_fields_beside_those_that_always_come(storage: Storage) -> None:
    acl: JsonObject = {"*": {"read": True}}
    await storage.insert(WARD, [ward("w1", name="x", beds=3, info={"a": 1}, ACL=acl)])
    page = Page(keys=frozenset({"beds", "info", "open"}))
    expected = ward("w1", beds=3, info={"a": 1}, ACL=acl)
    assert await find(storage, page=page) == [expected]
    assert [orjson.loads(text) for _, text in await storage.find_json(WARD, EVERYTHING, page)] == [expected]


async def test_distinct_lists_values_once_and_takes_arrays_apart(storage: Storage) -> None:
    head = pointer("u1", "_User")
    await storage.insert(
        WARD,
        [
            ward("w1", name="a", tags=["x", "y"], head=head, since=date(NOW), info={"floor": 1}),
            ward("w2", name="a", tags=["y", None], head=head, since=date(NOW), info={"floor": 2}),
            ward("w3", name=None, tags=[], info={"floor": 1}),
            ward("w4", name="b"),
        ],
    )
    assert sorted(cast(list[str], await storage.distinct(WARD, "name", EVERYTHING))) == ["a", "b"]
    assert await storage.distinct(WARD, "name", object_id_is("w4")) == ["b"]
    assert sorted(cast(list[str], await storage.distinct(WARD, "tags", EVERYTHING))) == ["x", "y"]
    assert await storage.distinct(WARD, "head", EVERYTHING) == [head]
    assert await storage.distinct(WARD, "since", EVERYTHING) == [date(NOW)]
    assert await storage.distinct(WARD, "createdAt", EVERYTHING) == [date(NOW)]
    assert sorted(cast(list[int], await storage.distinct(WARD, "info.floor", EVERYTHING))) == [1, 2]
    assert await storage.distinct(WARD, "unknown", EVERYTHING) == []


async def test_conditions_that_take_much_to_say_are_answered(storage: Storage) -> None:
    await storage.insert(WARD, [ward(f"w{n}", name=f"n{n}", tags=[n]) for n in range(20)])
    many = In("objectId", tuple(f"w{n}" for n in range(1, 3000)))
    assert await storage.count(WARD, many) == 19
    wide: Condition = AllOf(tuple(NotIn("name", (f"n{n}",)) for n in range(10, 600)))
    assert await storage.count(WARD, wide) == 10
    deep: Condition = In("tags", (3,))
    for _ in range(40):
        deep = AllOf((deep, Exists("name", True)))
    assert await ids(storage, deep) == ["w3"]
    readers = ReadableBy(frozenset(f"role:{n}" for n in range(500)))
    assert await storage.count(WARD, readers) == 20


async def test_what_clients_send_is_never_code(storage: Storage) -> None:
    names = ["'; DROP TABLE x; --", '"', "\\", "$where", "a'||'b", "%", "_", "\n"]
    await storage.insert(
        WARD, [ward(f"w{n}", name=name, info={name.replace("$", ""): 1}) for n, name in enumerate(names)]
    )
    for n, name in enumerate(names):
        assert await ids(storage, In("name", (name,))) == [f"w{n}"]
        assert await storage.count(WARD, In(f"info.{name.replace('$', '')}", (1,))) == 1
        assert await storage.count(WARD, In(f"{name.replace('$', '')}.x", (1,))) == 0


async def test_the_nearest_places_come_first(storage: Storage) -> None:
    await storage.insert(
        WARD,
        [
            ward("w1", site=geo_point(48.2, 16.4)),
            ward("w2", site=geo_point(48.3, 16.3)),
            ward("w3", site=geo_point(-33.9, 151.2)),
            ward("w4"),
        ],
    )
    found = await find(storage, Near("site", GeoPoint(48.31, 16.3), 0.1))
    assert [obj["objectId"] for obj in found] == ["w2", "w1"]
    found = await find(storage, Near("site", GeoPoint(-30, 150)))
    assert [obj["objectId"] for obj in found] == ["w3", "w1", "w2"]


@pytest.mark.parametrize("engine", TEXT_SEARCHERS)
async def test_words_are_found(storage: Storage) -> None:
    names = ["intensive care", "Children's care", "surgery"]
    await storage.insert(WARD, [ward(f"w{n}", name=name) for n, name in enumerate(names, start=1)])
    assert await ids(storage, TextSearch("name", "care")) == ["w1", "w2"]
    assert await ids(storage, TextSearch("name", "surgery")) == ["w3"]


async def test_a_bad_expression_is_refused(storage: Storage) -> None:
    await storage.insert(WARD, [ward("w1", name="x")])
    with pytest.raises(ParseError) as refusal:
        await find(storage, Regex("name", "("))
    assert refusal.value.code == ErrorCode.INVALID_QUERY


async def test_explain_answers_a_plan(storage: Storage) -> None:
    await storage.insert(WARD, [ward("w1")])
    assert isinstance(await storage.explain(WARD, object_id_is("w1"), WHOLE, "queryPlanner"), dict)


async def test_pipelines_are_run(storage: Storage) -> None:
    await storage.change_schema(CreateClass(WARD))
    await storage.insert(
        WARD,
        [ward(f"w{n}", beds=n, open=n > 1, name="ab"[n % 2], head=pointer("u1", "_User")) for n in range(6)],
    )
    stages: list[JsonObject] = [
        {"$match": {"open": True, "beds": {"$gt": 2, "$lte": 5}, "head": "u1"}},
        {"$group": {"_id": "$name", "total": {"$sum": "$beds"}}},
        {"$sort": {"_id": 1}},
    ]
    assert await storage.aggregate(WARD, stages, {}) == [
        {"objectId": "a", "total": 4},
        {"objectId": "b", "total": 8},
    ]
    (row,) = await storage.aggregate(WARD, [{"$match": {"_id": "w3"}}, {"$project": {"beds": 1}}], {})
    assert (row["objectId"], row["beds"]) == ("w3", 3)
    others: list[JsonObject] = [
        {"$lookup": {"from": "Ward", "localField": "beds", "foreignField": "beds", "as": "same"}}
    ]
    assert len(await storage.aggregate(WARD, others, {})) == 6
    assert isinstance((await storage.aggregate(WARD, stages, {"explain": "queryPlanner"}))[0], dict)
    with pytest.raises(ParseError) as refusal:
        await storage.aggregate(WARD, [{"$noSuchStage": {}}], {})
    assert refusal.value.code == ErrorCode.INVALID_QUERY


# --- Rights ----------------------------------------------------------------------------------------------


async def test_rows_are_found_by_whom_their_acl_names(storage: Storage) -> None:
    await storage.insert(
        WARD,
        [
            ward("public"),
            ward("nobody", ACL={}),
            ward("read", ACL={"u1": {"read": True}}),
            ward("write", ACL={"u1": {"write": True}, "*": {"read": True}}),
            ward("role", ACL={"role:a\nu1": {"read": True}, 'role:b"u1"': {"read": True}}),
        ],
    )
    u1, everyone = frozenset({"u1", "*"}), frozenset({"*"})
    assert await ids(storage, ReadableBy(u1)) == ["public", "read", "write"]
    assert await ids(storage, WritableBy(u1)) == ["public", "write"]
    assert await ids(storage, ReadableBy(everyone)) == ["public", "write"]
    assert await ids(storage, WritableBy(everyone)) == ["public"]
    assert await ids(storage, ReadableBy(frozenset({"role:a\nu1"}))) == ["public", "role"]
    assert await ids(storage, ReadableBy(frozenset({"role:a"}))) == ["public"]


async def test_rights_follow_changes_of_the_acl(storage: Storage) -> None:
    await storage.insert(WARD, [ward("w1", ACL={"u1": {"read": True}})])
    mine, yours = ReadableBy(frozenset({"u1"})), ReadableBy(frozenset({"u2"}))
    await update(storage, "w1", {"ACL": Set({"u2": {"read": True}})})
    assert (await ids(storage, mine), await ids(storage, yours)) == ([], ["w1"])
    await update(storage, "w1", {"ACL": Set({})})
    assert (await ids(storage, mine), await ids(storage, yours)) == ([], [])


# --- Writes ----------------------------------------------------------------------------------------------


async def test_an_insert_is_all_or_nothing(storage: Storage) -> None:
    await storage.insert(WARD, [ward("w1", name="first")])
    with pytest.raises(DuplicateValue) as refusal:
        await storage.insert(WARD, [ward("w0"), ward("w1", name="second"), ward("w2")])
    assert refusal.value.field == "objectId"
    assert await find(storage) == [ward("w1", name="first")]
    await storage.insert(WARD, [])


async def test_an_update_does_its_operations_and_answers_the_new_state(storage: Storage) -> None:
    await storage.insert(
        WARD, [ward("w1", name="x", beds=1, open=True, tags=["a", "b", "a"], info={"n": 1, "list": [1]})]
    )
    changed = await update(
        storage,
        "w1",
        {
            "name": Set("y"),
            "beds": Increment(2),
            "open": Delete(),
            "tags": Remove(("a",)),
            "info.n": Increment(0.5),
            "info.fresh.deep": Set({"k": None}),
            "info.list": Add((1, 2)),
            "info.unique": AddUnique((1, 1, 2)),
            "since": Set(date(NOW)),
            "updatedAt": Set("2026-01-06T00:00:00.000Z"),
            "head": Set(pointer("u1", "_User")),
            "site": SetOnInsert(geo_point(1, 1)),
        },
    )
    expected: JsonObject = {
        "objectId": "w1",
        "createdAt": NOW,
        "updatedAt": "2026-01-06T00:00:00.000Z",
        "name": "y",
        "beds": 3,
        "tags": ["b"],
        "info": {"n": 1.5, "list": [1, 1, 2], "fresh": {"deep": {"k": None}}, "unique": [1, 2]},
        "since": date(NOW),
        "head": pointer("u1", "_User"),
    }
    assert changed == expected
    assert await find(storage) == [expected]


async def test_an_update_without_a_match_changes_nothing(storage: Storage) -> None:
    await storage.insert(WARD, [ward("w1", beds=1)])
    where = AllOf((object_id_is("w1"), In("beds", (2,))))
    assert await storage.update(WARD, where, {"beds": Set(5)}) is None
    assert await find(storage) == [ward("w1", beds=1)]


async def test_an_operation_on_a_value_of_another_kind_is_refused(storage: Storage) -> None:
    await storage.insert(WARD, [ward("w1", name="x", info={"n": "text"})])
    for operations in ({"info.n": Increment(1)}, {"name": Add((1,))}, {"name.deep": Set(1)}):
        with pytest.raises(ParseError) as refusal:
            await update(storage, "w1", cast(Operations, operations))
        assert refusal.value.code == ErrorCode.INCORRECT_TYPE
    assert await find(storage) == [ward("w1", name="x", info={"n": "text"})]


async def test_an_upsert_inserts_or_updates(storage: Storage) -> None:
    config = system_schema("_GlobalConfig")
    for amount in (1, 2):
        operations: Mapping[str, Set | SetOnInsert] = {
            "params": Set({"a": amount}),
            "masterKeyOnly": SetOnInsert({"first": amount}),
        }
        await storage.update(config, object_id_is("1"), operations, upsert=True)
    (row,) = await storage.find(config, object_id_is("1"), WHOLE)
    assert (row["objectId"], row["params"], row["masterKeyOnly"]) == ("1", {"a": 2}, {"first": 1})


async def test_many_rows_are_changed_and_removed_by_a_condition(storage: Storage) -> None:
    await storage.insert(WARD, [ward(f"w{n}", beds=n) for n in range(5)])
    assert await storage.update_many(WARD, Compare("beds", ">", 2), {"open": Set(True)}) == 2
    assert await ids(storage, In("open", (True,))) == ["w3", "w4"]
    assert await storage.delete(WARD, Compare("beds", "<", 2)) == 2
    assert await storage.delete(WARD, object_id_is("w2")) == 1
    assert await storage.delete(WARD, object_id_is("w2")) == 0
    assert await storage.delete(WARD, EVERYTHING) == 2
    assert await find(storage) == []


async def test_concurrent_increments_all_count(storage: Storage) -> None:
    await storage.insert(WARD, [ward("w1", beds=0)])
    changed = await asyncio.gather(*(update(storage, "w1", {"beds": Increment(1)}) for _ in range(20)))
    assert sorted(obj["beds"] for obj in changed if obj) == list(range(1, 21))  # type: ignore[type-var]


async def test_a_condition_in_the_write_lets_one_of_many_win(storage: Storage) -> None:
    await storage.insert(WARD, [ward("w1", name="token")])
    where = AllOf((object_id_is("w1"), In("name", ("token",))))
    answers = await asyncio.gather(
        *(storage.update(WARD, where, {"name": Delete(), "beds": Set(n)}) for n in range(20))
    )
    (winner,) = [answer for answer in answers if answer is not None]
    assert await find(storage) == [winner]


# --- Unique values ---------------------------------------------------------------------------------------


async def add_unique(storage: Storage, schema: ClassSchema, path: str) -> None:
    index = Index(schema.name, f"unique_{path.replace('.', '_')}", ((path, 1),), unique=True)
    await storage.change_schema(CreateClass(schema))
    await storage.change_schema(AddIndexes((index,)))


async def test_a_unique_value_belongs_to_one_row(storage: Storage) -> None:
    await add_unique(storage, WARD, "name")
    await storage.insert(WARD, [ward("w1", name="a"), ward("w2", name="b")])
    with pytest.raises(DuplicateValue) as refusal:
        await storage.insert(WARD, [ward("w3", name="a")])
    assert refusal.value.field == "name"
    with pytest.raises(DuplicateValue) as refusal:
        await update(storage, "w2", {"name": Set("a")})
    assert refusal.value.field == "name"
    assert await ids(storage) == ["w1", "w2"]
    await update(storage, "w1", {"name": Set("c")})
    await update(storage, "w2", {"name": Set("a")})


async def test_rows_without_the_value_do_not_collide(storage: Storage) -> None:
    await storage.change_schema(CreateClass(USER))
    await storage.change_schema(AddIndexes(DEFAULT_INDEXES))
    await storage.insert(USER, [ward("u1", username="a"), ward("u2", username="b")])
    with pytest.raises(DuplicateValue) as refusal:
        await storage.insert(USER, [ward("u3", username="c", email="x@y.z"), ward("u4", email="x@y.z")])
    assert refusal.value.field == "email"
    assert await storage.count(USER, EVERYTHING) == 2


async def test_an_identity_of_a_login_provider_belongs_to_one_user(storage: Storage) -> None:
    await add_unique(storage, USER, "authData.anonymous.id")
    await storage.insert(USER, [ward("u0"), ward("u1", authData={"anonymous": {"id": "x"}}), ward("u2")])
    with pytest.raises(DuplicateValue) as refusal:
        await storage.insert(USER, [ward("u3", authData={"anonymous": {"id": "x"}})])
    assert refusal.value.field == "authData.anonymous.id"


async def test_of_many_writers_of_a_unique_value_one_wins(storage: Storage) -> None:
    await add_unique(storage, WARD, "name")

    async def insert(n: int) -> bool:
        try:
            await storage.insert(WARD, [ward(f"w{n}", name="same" if n % 2 else f"own {n}")])
        except DuplicateValue:
            return False
        return True

    stored = await asyncio.gather(*map(insert, range(20)))
    assert stored[::2] == [True] * 10
    assert sum(stored[1::2]) == 1
    assert await storage.count(WARD, EVERYTHING) == 11


async def test_a_unique_index_on_values_that_are_not_is_refused(storage: Storage) -> None:
    await storage.insert(WARD, [ward("w1", name="a"), ward("w2", name="a")])
    with pytest.raises(DuplicateValue):
        await add_unique(storage, WARD, "name")
    assert "unique_name" not in {index.name for index in await storage.list_indexes("Ward")}


async def test_texts_are_found_whatever_their_case_if_asked(storage: Storage) -> None:
    await storage.change_schema(CreateClass(USER))
    await storage.change_schema(AddIndexes(DEFAULT_INDEXES))
    await storage.insert(USER, [ward("u1", username="Zoë"), ward("u2", username="zoe"), ward("u3")])
    page = Page(case_insensitive=True)
    found = await storage.find(USER, In("username", ("zoË",)), page)
    assert [user["objectId"] for user in found] == ["u1"]
    assert await storage.find(USER, In("username", ("zoË",)), WHOLE) == []
    other: Condition = AllOf((In("username", ("ZOE",)), NotIn("objectId", ("u2",))))
    assert await storage.find(USER, other, page) == []


# --- Links -----------------------------------------------------------------------------------------------

STAFF = JoinTable(class_name="Ward", field="staff")


async def test_links_are_followed_both_ways(storage: Storage) -> None:
    assert await storage.related_ids(STAFF, ["w1"]) == []
    await storage.link(STAFF, "w1", ["n3", "n1"])
    await storage.link(STAFF, "w1", ["n1", "n2"])
    await storage.link(STAFF, "w2", ["n1"])
    await storage.link(STAFF, "w3", [])
    assert await storage.related_ids(STAFF, ["w1"]) == ["n3", "n1", "n2"]
    assert sorted(await storage.related_ids(STAFF, ["w1", "w2"])) == ["n1", "n2", "n3"]
    assert await storage.owning_ids(STAFF, ["n1"]) == ["w1", "w2"]
    assert await storage.owning_ids(STAFF, ["n2", "n9"]) == ["w1"]
    assert await storage.related_ids(STAFF, []) == []


async def test_links_are_removed(storage: Storage) -> None:
    await storage.unlink(STAFF, "w1", ["n1"])
    await storage.link(STAFF, "w1", ["n1", "n2", "n3"])
    await storage.unlink(STAFF, "w1", ["n1", "n3", "n9"])
    await storage.unlink(STAFF, "w1", [])
    assert await storage.related_ids(STAFF, ["w1"]) == ["n2"]


async def test_links_are_read_as_the_rows_of_their_own_class(storage: Storage) -> None:
    await storage.link(STAFF, "w1", ["n1", "n2"])
    await storage.link(STAFF, "w2", ["n2"])
    schema = join_schema(STAFF)
    rows = await storage.find(schema, In("relatedId", ("n2",)), Page(order=(SortKey("owningId"),)))
    assert [(row["owningId"], row["relatedId"]) for row in rows] == [("w1", "n2"), ("w2", "n2")]
    assert await storage.count(schema, EVERYTHING) == 3
    assert await storage.delete(schema, In("owningId", ("w1",))) == 2
    assert await storage.related_ids(STAFF, ["w1", "w2"]) == ["n2"]


# --- Transactions ----------------------------------------------------------------------------------------


async def test_a_transaction_commits_together(storage: Storage) -> None:
    await storage.insert(WARD, [ward("w1", beds=1)])
    async with storage.transaction() as within:
        await within.insert(WARD, [ward("w2", beds=2)])
        await within.update(WARD, object_id_is("w1"), {"beds": Increment(1)})
        await within.link(STAFF, "w1", ["n1"])
        assert await ids(within, In("beds", (2,))) == ["w1", "w2"]
        assert await within.related_ids(STAFF, ["w1"]) == ["n1"]
        assert await ids(storage) == ["w1"]
    assert await ids(storage, In("beds", (2,))) == ["w1", "w2"]
    assert await storage.related_ids(STAFF, ["w1"]) == ["n1"]


async def test_a_transaction_that_fails_leaves_nothing(storage: Storage) -> None:
    await storage.insert(WARD, [ward("w1", beds=1)])

    async def fail_at_the_end() -> None:
        async with storage.transaction() as within:
            await within.insert(WARD, [ward("w2")])
            await within.delete(WARD, object_id_is("w1"))
            await within.insert(WARD, [ward("w2")])

    with pytest.raises(DuplicateValue):
        await fail_at_the_end()
    assert await find(storage) == [ward("w1", beds=1)]


async def test_a_transaction_within_a_transaction_is_the_same(storage: Storage) -> None:
    await storage.insert(WARD, [ward("w1")])

    async def fail_after_the_inner_one() -> None:
        async with storage.transaction() as outer:
            async with outer.transaction() as inner:
                await inner.insert(WARD, [ward("w2")])
            assert await ids(outer) == ["w1", "w2"]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_after_the_inner_one()
    assert await ids(storage) == ["w1"]


async def test_writes_of_others_stay_out_of_a_transaction(storage: Storage) -> None:
    await storage.insert(WARD, [ward("w1")])
    others: list[asyncio.Task[None]] = []

    async def fail_while_another_writes() -> None:
        async with storage.transaction() as within:
            await within.insert(WARD, [ward("w2")])
            others.append(asyncio.create_task(storage.insert(WARD, [ward("w3")])))
            await asyncio.sleep(0.01)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_while_another_writes()
    await asyncio.gather(*others)
    assert await ids(storage) == ["w1", "w3"]


# --- Schemas ---------------------------------------------------------------------------------------------


async def load(storage: Storage, name: str = "Ward") -> ClassSchema | None:
    return {schema.name: schema for schema in await storage.load_schemas()}.get(name)


async def test_a_class_is_kept_with_fields_options_and_permissions(storage: Storage) -> None:
    permissions: JsonObject = {
        "find": {"*": True},
        "get": {},
        "count": {},
        "create": {"role:lab": True},
        "update": {"pointerFields": ["head"]},
        "delete": {},
        "addField": {},
        "protectedFields": {"*": ["beds"]},
    }
    fields = {**WARD.fields, "code": Field(FieldType("String"), {"required": True, "defaultValue": "HB"})}
    schema = ClassSchema("Ward", fields, permissions)
    await storage.change_schema(CreateClass(schema))
    assert await load(storage) == schema
    with pytest.raises(ParseError) as refusal:
        await storage.change_schema(CreateClass(WARD))
    assert (refusal.value.code, refusal.value.message) == (103, "Class Ward already exists.")
    assert await load(storage, "ward") is None


async def test_classes_of_fixed_schema_are_not_kept(storage: Storage) -> None:
    await storage.change_schema(CreateClass(system_schema("_Idempotency")))
    assert await storage.load_schemas() == []


async def test_fields_are_added_where_they_are_absent(storage: Storage) -> None:
    await storage.change_schema(CreateClass(ClassSchema("Ward", DEFAULT_FIELDS)))
    number, text = Field(FieldType("Number")), Field(FieldType("String"), {"required": True})
    await storage.change_schema(AddFields("Ward", {"a": number}))
    await storage.change_schema(AddFields("Ward", {"a": text, "b": text}))
    found = await load(storage)
    assert found is not None
    assert found.fields == {**DEFAULT_FIELDS, "a": number, "b": text}


async def test_options_of_fields_are_replaced(storage: Storage) -> None:
    old, new = Field(FieldType("Number"), {"required": True}), Field(FieldType("Number"), {"defaultValue": 1})
    await storage.change_schema(CreateClass(ClassSchema("Ward", {**DEFAULT_FIELDS, "a": old, "b": old})))
    await storage.change_schema(SetFieldOptions("Ward", {"a": new}))
    found = await load(storage)
    assert found is not None
    assert (found.fields["a"], found.fields["b"]) == (new, old)
    await storage.change_schema(SetFieldOptions("Ward", {"a": Field(FieldType("Number"))}))
    found = await load(storage)
    assert found is not None
    assert found.fields["a"] == Field(FieldType("Number"))


async def test_permissions_are_replaced_and_taken_back(storage: Storage) -> None:
    await storage.change_schema(CreateClass(WARD))
    permissions: JsonObject = {
        **{name: {"*": True} for name in ("find", "get", "count", "create", "update", "delete", "addField")},
        "protectedFields": {},
    }
    await storage.change_schema(SetPermissions("Ward", permissions))
    found = await load(storage)
    assert found is not None
    assert found.permissions == permissions
    await storage.change_schema(SetPermissions("Ward", None))
    found = await load(storage)
    assert found is not None
    assert found.permissions is None


async def test_deleted_fields_take_their_data_along(storage: Storage) -> None:
    await storage.change_schema(CreateClass(WARD))
    full = ward(
        "w1",
        name='ü"\\',
        beds=1,
        head=pointer("u1", "_User"),
        info={"b\\ä": "\u2028"},
        ACL={"u1": {"read": True}},
    )
    await storage.insert(WARD, [full, ward("w2", beds=None)])
    await storage.link(STAFF, "w1", ["n1"])
    gone = {name: WARD.fields[name] for name in ("beds", "head", "staff")}
    await storage.change_schema(DeleteFields("Ward", gone))
    found = await load(storage)
    assert found is not None
    assert gone.keys().isdisjoint(found.fields)
    rows = await storage.find(found, EVERYTHING, Page(order=(SortKey("objectId"),)))
    assert rows == [{k: v for k, v in full.items() if k not in gone}, ward("w2")]
    assert await storage.count(found, In("info.b\\ä", ("\u2028",))) == 1
    assert await storage.related_ids(STAFF, ["w1"]) == []


async def test_a_dropped_class_leaves_nothing(storage: Storage) -> None:
    await storage.change_schema(CreateClass(WARD))
    await storage.insert(WARD, [ward("w1")])
    await storage.link(STAFF, "w1", ["n1"])
    await storage.change_schema(DropClass(WARD))
    assert await load(storage) is None
    assert await find(storage) == []
    assert await storage.related_ids(STAFF, ["w1"]) == []
    await storage.change_schema(DropClass(WARD))
    await storage.change_schema(CreateClass(WARD))


async def test_indexes_are_declared_listed_and_dropped(storage: Storage) -> None:
    await storage.change_schema(CreateClass(WARD))
    by_name = Index("Ward", "byName", (("name", 1), ("createdAt", -1)))
    by_head = Index("Ward", "byHead", (("head", 1),), unique=True)
    await storage.change_schema(AddIndexes((by_name, by_head)))
    await storage.change_schema(AddIndexes((by_name,)))
    listed = {index.name: index for index in await storage.list_indexes("Ward")}
    assert (listed["byName"], listed["byHead"]) == (by_name, by_head)
    found = await load(storage)
    assert found is not None
    assert found.indexes["byName"] == {"name": 1, "createdAt": -1}
    assert found.indexes["byHead"] == {"head": 1}
    await storage.change_schema(DropIndexes("Ward", ("byName", "byHead", "ghost")))
    assert {"byName", "byHead"}.isdisjoint(index.name for index in await storage.list_indexes("Ward"))
    found = await load(storage)
    assert found is not None
    assert {"byName", "byHead"}.isdisjoint(found.indexes)
    await storage.insert(
        WARD, [ward("w1", head=pointer("u1", "_User")), ward("w2", head=pointer("u1", "_User"))]
    )


NURSE = ClassSchema("Nurse", {**DEFAULT_FIELDS, "name": Field(FieldType("String"))})


async def test_schema_changes_are_made_together_or_not_at_all(storage: Storage) -> None:
    by_name, by_beds = Index("Ward", "byName", (("name", 1),)), Index("Ward", "byBeds", (("beds", 1),))
    await storage.change_schema(CreateClass(WARD))
    await storage.change_schema(AddIndexes((by_name,)))
    await storage.change_schema(SetPermissions("Ward", {"find": {"*": True}}))
    await storage.insert(WARD, [ward("w1", name="a", beds=1), ward("w2", name="b", beds=1)])
    before, indexes = await load(storage), await storage.list_indexes("Ward")
    changes = (
        CreateClass(NURSE),
        AddIndexes((Index("Nurse", "byName", (("name", 1),), unique=True),)),
        AddFields(
            "Ward", {"floor": Field(FieldType("Number"), {"required": True}), "name": WARD.fields["name"]}
        ),
        SetFieldOptions("Ward", {"name": Field(FieldType("String"), {"required": True})}),
        SetPermissions("Ward", {}),
        DropIndexes("Ward", ("byName",)),
        AddIndexes((by_beds, Index("Ward", "oneBed", (("beds", 1),), unique=True))),
    )

    async def change() -> None:
        async with storage.schema_changes() as together:
            for change in changes:
                await together.change_schema(change)

    with pytest.raises(DuplicateValue):
        await change()
    assert await load(storage) == before
    assert sorted(map(str, await storage.list_indexes("Ward"))) == sorted(map(str, indexes))
    assert {schema.name for schema in await storage.load_schemas()} == {"Ward"}
    assert len(await find(storage)) == 2
    await update(storage, "w2", {"beds": Set(2)})
    await change()
    assert {schema.name for schema in await storage.load_schemas()} == {"Ward", "Nurse"}
    assert {"byBeds", "oneBed"} <= {index.name for index in await storage.list_indexes("Ward")}


async def test_system_indexes_may_be_made_at_every_start(storage: Storage) -> None:
    await storage.change_schema(CreateClass(USER))
    for _ in range(2):
        await storage.change_schema(AddIndexes(DEFAULT_INDEXES))
    names = {index.name: index for index in await storage.list_indexes("_User")}
    assert names["username_1"].unique
    assert names["case_insensitive_email"].case_insensitive
    (ttl,) = [index for index in await storage.list_indexes("_Idempotency") if index.name == "ttl"]
    assert ttl.expire_after_seconds == 0


# --- Connection ------------------------------------------------------------------------------------------


async def test_a_storage_answers_a_ping(storage: Storage) -> None:
    await storage.ping()
