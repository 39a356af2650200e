"""A LiveQuery process of ours hears of the writes of the npm parse-server, and the other way round: one
database, one Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest

from parse_clone.settings import LiveQuery
from tests import parse_server
from tests.protocol.callers import Caller
from tests.protocol.live_clients import live_client, redis_server
from tests.servers import RunningServer, running_server

CLASS = "LiveShared"


@pytest.fixture(scope="module")
def servers(mongo_uri: str) -> Iterator[tuple[RunningServer, parse_server.Client]]:
    """Ours and the other."""
    uri = f"{mongo_uri}/shared_{uuid4().hex[:10]}"
    with redis_server() as redis_url:
        options: dict[str, Any] = {"live_query": LiveQuery(class_names=("Live.*",), redis_url=redis_url)}
        with (
            running_server("mongo", database_uri=uri, **options) as ours,
            parse_server.running(uri, redis_url) as other,
        ):
            yield ours, other


def test_each_hears_of_the_others_writes(servers: tuple[RunningServer, parse_server.Client]) -> None:
    ours, other = servers
    their_address = RunningServer(str(other.http.base_url).rstrip("/"), ours.settings)
    with (
        live_client(ours) as here,
        live_client(their_address) as there,
        closing(Caller(ours, master=True)) as master,
    ):
        for client in (here, there):
            client.subscribe(1, CLASS, {"ward": 7})

        created = other.post(f"/classes/{CLASS}", {"ward": 7, "n": 1})
        for client in (here, there):
            event = client.next()
            assert (event["op"], event["object"]["objectId"]) == ("create", created["objectId"])
        other.put(f"/classes/{CLASS}/{created['objectId']}", {"ward": 8})
        for client in (here, there):
            event = client.next()
            assert (event["op"], event["original"]["ward"], event["object"]["ward"]) == ("leave", 7, 8)

        at = {"__type": "Date", "iso": "2026-01-05T10:00:00.123Z"}
        created = master.post(f"/classes/{CLASS}", {"ward": 7, "at": at})
        for client in (here, there):
            event = client.next()
            assert (event["op"], event["object"]["objectId"]) == ("create", created["objectId"])
            assert event["object"]["at"] == at
        master.put(f"/classes/{CLASS}/{created['objectId']}", {"n": 2})
        for client in (here, there):
            event = client.next()
            assert (event["op"], event["object"]["n"], event["original"].get("n")) == ("update", 2, None)
        assert master.ask("DELETE", f"/classes/{CLASS}/{created['objectId']}").status_code == 200
        assert [here.next()["op"], there.next()["op"]] == ["delete", "delete"]


def test_permissions_that_the_other_takes_away_count_here_with_its_next_write(
    servers: tuple[RunningServer, parse_server.Client],
) -> None:
    ours, other = servers
    with live_client(ours) as here, closing(Caller(ours, master=True)) as master:
        here.subscribe(1, "LiveClosing")
        here.subscribe(2, "LiveOpen")
        other.post("/classes/LiveClosing", {"n": 1})
        assert here.next()["object"]["n"] == 1
        closed = {"find": {}, "get": {}, "create": {"*": True}}
        other.put("/schemas/LiveClosing", {"classLevelPermissions": closed})
        other.post("/classes/LiveClosing", {"n": 2})
        master.post("/classes/LiveOpen", {})
        assert here.next()["requestId"] == 2
