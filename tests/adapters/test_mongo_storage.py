"""What is MongoDB's own in its storage: collections, indexes on demand, failures of the server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from parse_clone.adapters.storage.mongo.storage import MongoStorage
from parse_clone.core.json_types import JsonObject
from parse_clone.core.names import JoinTable
from parse_clone.core.operations import Set
from parse_clone.core.query import (
    EVERYTHING,
    WHOLE,
    Condition,
    GeoPoint,
    In,
    Near,
    Page,
    Regex,
    SortKey,
    TextSearch,
    object_id_is,
)
from parse_clone.core.schema import (
    AddFields,
    AddIndexes,
    ClassSchema,
    CreateClass,
    Field,
    FieldType,
    Index,
)
from parse_clone.core.system_classes import DEFAULT_FIELDS, system_schema
from parse_clone.errors import DuplicateValue, ErrorCode, ParseError
from tests.servers import mongo_stand_in

NOW = "2026-01-05T10:00:00.123Z"
WARD = ClassSchema(
    "Ward",
    {
        **DEFAULT_FIELDS,
        "name": Field(FieldType("String")),
        "site": Field(FieldType("GeoPoint")),
        "area": Field(FieldType("Polygon")),
        "head": Field(FieldType("Pointer", "_User")),
        "staff": Field(FieldType("Relation", "Nurse")),
    },
)
STAFF = JoinTable(class_name="Ward", field="staff")


def ward(object_id: str, **fields: Any) -> JsonObject:
    return {"objectId": object_id, "createdAt": NOW, "updatedAt": NOW, **fields}


@pytest.fixture
def database_uri(mongo_uri: str) -> str:
    return f"{mongo_uri}/test_{uuid4().hex}"


@pytest.fixture
async def mongo(database_uri: str) -> AsyncIterator[MongoStorage]:
    """An empty storage whose collections have a prefix."""
    storage = MongoStorage(database_uri, prefix="app_")
    yield storage
    await storage.close()


@pytest.fixture
def rows(database_uri: str) -> Iterator[Database[dict[str, Any]]]:
    """The database as it lies there."""
    with MongoClient[dict[str, Any]](database_uri) as client:
        yield client.get_default_database()


# --- Collections and indexes -----------------------------------------------------------------------------


async def test_every_collection_has_the_prefix(mongo: MongoStorage, rows: Database[Any]) -> None:
    await mongo.change_schema(CreateClass(WARD))
    await mongo.insert(WARD, [ward("w1")])
    await mongo.link(STAFF, "w1", ["n1"])
    assert set(rows.list_collection_names()) == {"app__SCHEMA", "app_Ward", "app__Join:staff:Ward"}


async def test_links_and_polygons_are_indexed_when_their_fields_come(
    mongo: MongoStorage, rows: Database[Any]
) -> None:
    await mongo.change_schema(CreateClass(ClassSchema("Ward", DEFAULT_FIELDS)))
    await mongo.change_schema(AddFields("Ward", {name: WARD.fields[name] for name in ("staff", "area")}))
    assert "area_2dsphere" in rows["app_Ward"].index_information()
    assert len(rows["app__Join:staff:Ward"].index_information()) == 3


async def test_a_class_shows_its_real_indexes(mongo: MongoStorage, rows: Database[Any]) -> None:
    await mongo.change_schema(CreateClass(WARD))
    await mongo.change_schema(AddIndexes((Index("Ward", "by.head", (("head", 1), ("createdAt", -1))),)))
    row = rows["app__SCHEMA"].find_one("Ward")
    assert row is not None
    assert row["_metadata"]["indexes"] == {
        "_id_": {"_id": 1},
        "area_2dsphere": {"area": "2dsphere"},
        "by.head": {"_p_head": 1, "_created_at": -1},
    }
    [loaded] = await mongo.load_schemas()
    assert loaded.indexes["by.head"] == {"head": 1, "createdAt": -1}


async def test_links_made_twice_are_followed_once(mongo: MongoStorage, rows: Database[Any]) -> None:
    rows["app__Join:staff:Ward"].insert_many([{"owningId": "w1", "relatedId": "n1"} for _ in range(2)])
    assert await mongo.related_ids(STAFF, ["w1"]) == ["n1"]
    await mongo.unlink(STAFF, "w1", ["n1"])
    assert await mongo.related_ids(STAFF, ["w1"]) == []


# --- Finds -----------------------------------------------------------------------------------------------


async def test_hints_comments_and_read_preferences_are_passed_on(mongo: MongoStorage) -> None:
    await mongo.insert(WARD, [ward("w1", name="a")])
    await mongo.change_schema(AddIndexes((Index("Ward", "byName", (("name", 1),)),)))
    page = Page(hint="byName", comment="why", read_preference="nearest")
    assert len(await mongo.find(WARD, In("name", ("a",)), page)) == 1
    with pytest.raises(ParseError) as refusal:
        await mongo.find(WARD, EVERYTHING, Page(hint="ghost"))
    assert (refusal.value.code, refusal.value.message) == (1, "An internal server error occurred")


async def test_more_rows_than_a_first_batch_are_found(mongo: MongoStorage) -> None:
    await mongo.insert(WARD, [ward(f"w{n}") for n in range(300)])
    assert len(await mongo.find(WARD, EVERYTHING, Page(limit=250))) == 250
    assert len(await mongo.find(WARD, EVERYTHING, WHOLE)) == 300


async def test_auth_data_is_selected_with_every_provider(mongo: MongoStorage) -> None:
    user = system_schema("_User")
    auth_data: JsonObject = {"ldap": {"id": "1"}, "oauth": {"id": "2"}}
    await mongo.insert(user, [ward("u1", username="a", email="b", authData=auth_data)])
    page = Page(keys=frozenset({"authData", "username"}))
    assert await mongo.find(user, EVERYTHING, page) == [ward("u1", username="a", authData=auth_data)]
    page = Page(keys=frozenset({"username"}))
    assert await mongo.find(user, EVERYTHING, page) == [ward("u1", username="a")]


async def test_places_are_listed_whole(mongo: MongoStorage) -> None:
    places = [{"__type": "GeoPoint", "latitude": n, "longitude": 2} for n in (1, 1, 3)]
    await mongo.insert(WARD, [ward(f"w{n}", site=place) for n, place in enumerate(places)])
    await mongo.insert(WARD, [ward("w9")])
    assert sorted(await mongo.distinct(WARD, "site", EVERYTHING), key=str) == [places[0], places[2]]


async def test_the_nearest_of_a_page_with_an_order_come_in_that_order(mongo: MongoStorage) -> None:
    places = [{"__type": "GeoPoint", "latitude": n, "longitude": 0} for n in (3, 1, 2)]
    await mongo.insert(WARD, [ward(f"w{n}", site=place) for n, place in enumerate(places)])
    near = Near("site", GeoPoint(0, 0), 0.04)
    found = await mongo.find(WARD, near, Page(order=(SortKey("objectId", descending=True),)))
    assert [obj["objectId"] for obj in found] == ["w2", "w1"]
    assert await mongo.count(WARD, near) == 2


# --- Failures: a server that fails on command ------------------------------------------------------------


@pytest.fixture(scope="module")
def failing_server() -> Iterator[str]:
    """The stand-in for MongoDB, with its commands for tests."""
    with mongo_stand_in("--enable-test-commands") as uri:
        yield uri


class Failures:
    """Makes the server fail the next command of a name."""

    def __init__(self, client: MongoClient[dict[str, Any]]) -> None:
        self._client = client

    def next(self, command: str, code: int, *labels: str, times: int = 1) -> None:
        self._fail(command, times, errorCode=code, errorLabels=list(labels))

    def drop_connection(self, command: str) -> None:
        self._fail(command, 1, closeConnection=True)

    def _fail(self, command: str, times: int, **data: Any) -> None:
        data |= {"failCommands": [command]}
        self._client.admin.command("configureFailPoint", "failCommand", mode={"times": times}, data=data)


@pytest.fixture
def failures(failing_server: str) -> Iterator[Failures]:
    with MongoClient[dict[str, Any]](failing_server) as client:
        yield Failures(client)


@pytest.fixture
async def failing(failing_server: str) -> AsyncIterator[MongoStorage]:
    """An empty storage on the server that fails."""
    storage = MongoStorage(f"{failing_server}/test_{uuid4().hex}")
    yield storage
    await storage.close()


@pytest.mark.parametrize("code", [291, 27])
async def test_a_find_makes_the_index_that_it_needs_for_places(
    failing: MongoStorage, failures: Failures, code: int
) -> None:
    await failing.change_schema(CreateClass(ClassSchema("Ward", DEFAULT_FIELDS)))
    place = {"__type": "GeoPoint", "latitude": 1, "longitude": 2}
    await failing.insert(WARD, [ward("w1", site=place)])
    failures.next("find", code)
    assert len(await failing.find(WARD, Near("site", GeoPoint(1, 2)), WHOLE)) == 1
    assert Index("Ward", "site_2d", (("site", "2d"),)) in await failing.list_indexes("Ward")
    [loaded] = await failing.load_schemas()
    assert loaded.indexes["site_2d"] == {"site": "2d"}


async def test_an_index_for_words_is_asked_for(failing: MongoStorage, failures: Failures) -> None:
    failures.next("find", 27)
    with pytest.raises(ParseError) as refusal:  # by this server, which has none
        await failing.find(WARD, TextSearch("name", "x"), WHOLE)
    assert "text indexes" in str(refusal.value.__cause__)


@pytest.mark.parametrize(
    ("condition", "server_code", "code"),
    [
        (EVERYTHING, 291, 1),
        (EVERYTHING, 13, 1),
        (Regex("name", "a"), 50, 124),
    ],
)
async def test_a_refused_find_says_nothing_of_the_server(
    failing: MongoStorage, failures: Failures, condition: Condition, server_code: int, code: int
) -> None:
    failures.next("find", server_code)
    with pytest.raises(ParseError) as refusal:
        await failing.find(WARD, condition, WHOLE)
    assert refusal.value.code == code
    assert "fail" not in refusal.value.message


async def test_a_commit_whose_answer_is_lost_is_asked_for_again(
    failing: MongoStorage, failures: Failures
) -> None:
    failures.next("commitTransaction", 64, "UnknownTransactionCommitResult", times=4)
    async with failing.transaction() as within:
        await within.insert(WARD, [ward("w1")])
    assert await failing.count(WARD, EVERYTHING) == 1


async def test_a_commit_that_stays_unanswered_fails(failing: MongoStorage, failures: Failures) -> None:
    failures.next("commitTransaction", 64, "UnknownTransactionCommitResult", times=10)
    with pytest.raises(ParseError) as refusal:
        async with failing.transaction() as within:
            await within.insert(WARD, [ward("w1")])
    assert refusal.value.code == ErrorCode.INTERNAL_SERVER_ERROR
    failures.next("commitTransaction", 64, times=0)


async def test_a_server_that_stands_alone_has_no_transactions(
    failing: MongoStorage, failures: Failures
) -> None:
    failures.next("insert", 20)
    with pytest.raises(ParseError) as refusal:
        async with failing.transaction() as within:
            await within.insert(WARD, [ward("w1")])
    assert refusal.value.code == ErrorCode.COMMAND_UNAVAILABLE


async def test_a_lost_connection_is_a_database_error_until_the_next_request(
    failing: MongoStorage, failures: Failures
) -> None:
    failures.drop_connection("ping")
    with pytest.raises(ParseError) as refusal:
        await failing.ping()
    assert (refusal.value.code, refusal.value.message) == (1, "Database error")
    await failing.ping()


# --- Concurrency -----------------------------------------------------------------------------------------


async def test_transactions_that_meet_may_be_repeated(mongo: MongoStorage) -> None:
    await mongo.insert(WARD, [ward("w1")])
    async with mongo.transaction() as first:
        await first.update(WARD, object_id_is("w1"), {"name": Set("first")})
        with pytest.raises(ParseError) as refusal:
            async with mongo.transaction() as second:
                await second.update(WARD, object_id_is("w1"), {"name": Set("second")})
        assert refusal.value.code == ErrorCode.WRITE_CONFLICT
    [stored] = await mongo.find(WARD, EVERYTHING, WHOLE)
    assert stored["name"] == "first"


async def test_a_refused_row_takes_back_those_before_it(mongo: MongoStorage) -> None:
    await mongo.insert(WARD, [ward("w3", name="kept")])
    with pytest.raises(DuplicateValue) as refusal:
        await mongo.insert(WARD, [ward("w1"), ward("w2"), ward("w3"), ward("w4")])
    assert refusal.value.field == "objectId"
    assert await mongo.find(WARD, EVERYTHING, WHOLE) == [ward("w3", name="kept")]


async def test_an_update_without_operations_only_looks(mongo: MongoStorage) -> None:
    await mongo.insert(WARD, [ward("w1")])
    assert await mongo.update(WARD, object_id_is("w1"), {}) == ward("w1")
    assert await mongo.update_many(WARD, EVERYTHING, {}) == 1
