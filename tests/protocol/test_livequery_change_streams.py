"""MongoDB tells of all writes itself: also of those that no server of ours made."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest
from pymongo import MongoClient

from parse_clone.app import change_source
from parse_clone.errors import SettingsError
from parse_clone.settings import LiveQuery
from tests.protocol.callers import Caller
from tests.protocol.live_clients import live_client
from tests.servers import RunningServer, running_server
from tests.unit.services.clinic import open_clinic

OPTIONS = LiveQuery(class_names=("Live.*",), change_streams=True)


@pytest.fixture(scope="module")
def server(mongo_uri: str) -> Iterator[RunningServer]:
    uri = f"{mongo_uri}/stream_{uuid4().hex[:10]}"
    with running_server("mongo", database_uri=uri, live_query=OPTIONS, collection_prefix="app_") as running:
        yield running


def test_another_programs_writes_are_heard_of(server: RunningServer) -> None:
    with (
        live_client(server) as client,
        closing(Caller(server, master=True)) as master,
        MongoClient[dict[str, Any]](server.settings.database_uri) as mongo,
    ):
        client.subscribe(1, "LiveStream", {"ward": 7})
        object_id = master.post("/classes/LiveStream", {"ward": 7, "value": 1})["objectId"]
        assert client.next()["op"] == "create"
        rows = mongo.get_default_database()["app_LiveStream"]
        rows.update_one({"_id": object_id}, {"$set": {"value": 2}})
        update = client.next()
        assert (update["op"], update["original"]["value"], update["object"]["value"]) == ("update", 1, 2)
        rows.update_one({"_id": object_id}, {"$set": {"ward": 8}})
        assert client.next()["op"] == "leave"
        rows.update_one({"_id": object_id}, {"$set": {"ward": 7, "_rperm": []}})
        master.post("/classes/LiveStream", {"ward": 7, "value": 9})
        assert client.next()["object"]["value"] == 9
        rows.update_one({"_id": object_id}, {"$set": {"_rperm": ["*"]}})
        assert client.next()["op"] == "enter"
        rows.delete_one({"_id": object_id})
        assert client.next()["op"] == "delete"
        mongo.get_default_database()["LiveStream"].insert_one({"_id": "x", "ward": 7, "_rperm": ["*"]})
        rows.insert_one({"_id": "y", "ward": 7, "_rperm": ["*"]})
        assert client.next()["object"]["objectId"] == "y", "another application's collection is none of ours"


def test_a_transaction_is_heard_of_once_when_it_has_committed(server: RunningServer) -> None:
    with live_client(server) as client, closing(Caller(server, master=True)) as master:
        client.subscribe(1, "LiveTransaction")
        path = "/parse/classes/LiveTransaction"
        master.post("/classes/LiveTransaction", {"n": 0})
        assert client.next()["object"]["n"] == 0
        parts = [{"method": "POST", "path": path, "body": {"n": n}} for n in (1, 2)]
        bad = {"method": "PUT", "path": f"{path}/missing", "body": {}}
        master.refusal("POST", "/batch", {"requests": [*parts, bad], "transaction": True})
        assert master.ask("POST", "/batch", {"requests": parts, "transaction": True}).status_code == 200
        master.post("/classes/LiveTransaction", {"n": 3})
        assert [client.next()["object"]["n"] for _ in range(3)] == [1, 2, 3]


def test_classes_are_heard_of_from_their_first_object_on(server: RunningServer) -> None:
    """The process that listens and the one that writes then make the collection at the same time."""
    names = [f"LiveFirst{number}" for number in range(40)]
    with live_client(server) as client, closing(Caller(server, master=True)) as master:
        for number, name in enumerate(names):
            client.subscribe(number, name)
        with ThreadPoolExecutor(8) as writers:
            made = list(writers.map(lambda name: master.post(f"/classes/{name}", {"n": 1}), names))
        heard = [client.next() for _ in names]
        assert {event["object"]["objectId"] for event in heard} == {row["objectId"] for row in made}
        for name, row in zip(names, made, strict=True):
            master.put(f"/classes/{name}/{row['objectId']}", {"n": 2})
            update = client.next()
            assert (update["original"]["n"], update["object"]["n"]) == (1, 2)


def test_a_class_that_is_made_anew_is_heard_of_like_the_first(server: RunningServer) -> None:
    with live_client(server) as client, closing(Caller(server, master=True)) as master:
        client.subscribe(1, "LiveAnew")
        for _ in range(2):
            object_id = master.post("/classes/LiveAnew", {"n": 1})["objectId"]
            assert client.next()["op"] == "create"
            master.put(f"/classes/LiveAnew/{object_id}", {"n": 2})
            update = client.next()
            assert (update["original"]["n"], update["object"]["n"]) == (1, 2)
            assert master.ask("DELETE", f"/classes/LiveAnew/{object_id}").status_code == 200
            assert client.next()["op"] == "delete"
            assert master.ask("DELETE", "/schemas/LiveAnew").status_code == 200


async def test_an_embedded_database_tells_nothing_by_itself() -> None:
    async with open_clinic() as clinic:
        with pytest.raises(SettingsError, match="needs MongoDB"):
            change_source(clinic.toolbox.storage)
