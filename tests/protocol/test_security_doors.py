"""One rule, every door: who may see or change an object does not depend on the way by which he comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from parse_clone.core.system_classes import MASTER_ONLY_CLASSES
from tests.protocol.callers import Caller, pointer
from tests.protocol.live_clients import live_client
from tests.protocol.secured import (
    PERMISSIONS,
    PRINCIPALS,
    READERS,
    WRITERS,
    Stage,
    new_row,
    set_the_stage,
)
from tests.servers import MASTER_KEY, RunningServer

CLASSES = tuple(READERS)


@pytest.fixture(scope="module")
def stage(start_server: Callable[..., RunningServer]) -> Iterator[Stage]:
    with closing(set_the_stage(start_server)) as stage:
        yield stage


# --- Reading ---------------------------------------------------------------------------------------------


def sees(answer: Any, object_id: str) -> bool:
    """Does an answer that is no refusal hold the object?"""
    return answer.status_code == 200 and object_id in answer.text


def batched(caller: Caller, method: str, path: str, body: Any = None) -> dict[str, Any]:
    """The answer of the one part of a batch."""
    part = {"method": method, "path": f"/parse{path}", "body": body or {}}
    answer: dict[str, Any] = caller.post("/batch", {"requests": [part]}, 200)[0]
    return answer


def by_find(caller: Caller, name: str, row: str) -> bool:
    return sees(caller.ask("GET", f"/classes/{name}"), row)


def by_get(caller: Caller, name: str, row: str) -> bool:
    return sees(caller.ask("GET", f"/classes/{name}/{row}"), row)


def by_find_with_its_id(caller: Caller, name: str, row: str) -> bool:
    return sees(caller.ask("GET", f"/classes/{name}", where={"objectId": row}), row)


def by_count(caller: Caller, name: str, row: str) -> bool:
    answer = caller.ask("GET", f"/classes/{name}", where={"objectId": row}, count=1, limit=0)
    return answer.status_code == 200 and answer.json()["count"] == 1


def by_post_with_method(caller: Caller, name: str, row: str) -> bool:
    return sees(caller.ask("POST", f"/classes/{name}", {"_method": "GET", "where": {}}), row)


def by_batched_find(caller: Caller, name: str, row: str) -> bool:
    return row in str(batched(caller, "GET", f"/classes/{name}").get("success"))


def by_batched_get(caller: Caller, name: str, row: str) -> bool:
    return row in str(batched(caller, "GET", f"/classes/{name}/{row}").get("success"))


def by_include(caller: Caller, name: str, row: str) -> bool:
    held = caller.ask("GET", "/classes/Holder", where={"held_id": row}, include=f"one{name}")
    return sees(held, '"title"')


def by_include_all(caller: Caller, name: str, row: str) -> bool:
    held = caller.ask("GET", "/classes/Holder", where={"held_id": row}, includeAll=1)
    return sees(held, '"title"')


def by_subquery(caller: Caller, name: str, row: str) -> bool:
    """Whether a pointer's target matches tells about the target."""
    inner = {"className": name, "where": {"objectId": row}}
    return sees(caller.ask("GET", "/classes/Holder", where={f"one{name}": {"$inQuery": inner}}), row)


def by_select(caller: Caller, name: str, row: str) -> bool:
    query = {"className": name, "where": {"objectId": row}}
    where = {"held_id": {"$select": {"query": query, "key": "objectId"}}}
    return sees(caller.ask("GET", "/classes/Holder", where=where), row)


def by_relation(caller: Caller, name: str, row: str) -> bool:
    holder = pointer(
        "Holder", caller.get("/classes/Holder", where={"held_id": row})["results"][0]["objectId"]
    )
    related = {"$relatedTo": {"object": holder, "key": f"all{name}"}}
    return sees(caller.ask("GET", f"/classes/{name}", where=related), row)


def by_redirect(caller: Caller, name: str, row: str) -> bool:
    answer = caller.ask("GET", "/classes/Holder", redirectClassNameForKey=f"all{name}")
    return sees(answer, row) and '"title"' in answer.text


def by_function(caller: Caller, name: str, row: str) -> bool:
    return sees(caller.ask("POST", "/functions/find", {"className": name}), row)


def by_join_table(caller: Caller, name: str, row: str) -> bool:
    return sees(caller.ask("GET", f"/classes/_Join:all{name}:Holder"), row)


def by_aggregate(caller: Caller, name: str, row: str) -> bool:
    return sees(caller.ask("GET", f"/aggregate/{name}", pipeline=[{"$match": {"objectId": row}}]), row)


def by_distinct(caller: Caller, name: str, row: str) -> bool:
    return sees(caller.ask("GET", f"/aggregate/{name}", distinct="objectId"), row)


READ_DOORS = (
    *(by_find, by_get, by_find_with_its_id, by_count, by_post_with_method, by_batched_find, by_batched_get),
    *(by_include, by_include_all, by_subquery, by_select, by_relation, by_redirect, by_function),
)
MASTER_DOORS = (by_join_table, by_aggregate, by_distinct)
"""Nobody without a master key comes in here, whatever the class."""


@pytest.fixture(scope="module")
def holders(stage: Stage) -> None:
    """An object for each class, open to everybody, that points to the class's one object."""
    for name in CLASSES:
        row = stage.rows[name]
        held = pointer(name, row)
        relation = {"__op": "AddRelation", "objects": [held]}
        stage.master.post("/classes/Holder", {f"one{name}": held, "held_id": row, f"all{name}": relation})


@pytest.mark.usefixtures("holders")
@pytest.mark.parametrize("door", READ_DOORS, ids=lambda door: door.__name__)
def test_every_door_shows_a_row_to_its_readers_only(stage: Stage, door: Callable[..., bool]) -> None:
    found = {
        name: {who for who in PRINCIPALS if door(stage.callers[who], name, stage.rows[name])}
        for name in CLASSES
    }
    assert found == READERS


@pytest.mark.usefixtures("holders")
@pytest.mark.parametrize("door", MASTER_DOORS, ids=lambda door: door.__name__)
def test_doors_of_the_master_stay_shut_for_all_others(stage: Stage, door: Callable[..., bool]) -> None:
    for name in CLASSES:
        found = {who for who in PRINCIPALS if door(stage.callers[who], name, stage.rows[name])}
        assert found == {"reader", "master"}


def test_live_queries_tell_of_a_row_to_its_readers_only(stage: Stage) -> None:
    marker = new_row(stage, "Open")
    for name in CLASSES:
        row = new_row(stage, name)
        for who in ("nobody", "owner", "stranger", "member"):
            token = stage.callers[who].session
            with live_client(stage.server, **({"sessionToken": token} if token else {})) as client:
                query = {"className": name, "where": {"objectId": row}}
                client.ask({"op": "subscribe", "requestId": 1, "query": query})
                client.subscribe(2, "Open", {"objectId": marker})
                stage.master.put(f"/classes/{name}/{row}", {"title": f"seen by {who}"})
                stage.master.put(f"/classes/Open/{marker}", {"title": f"seen by all, {who} too"})
                frames = [frame["op"] for frame in client.until(2)]
                assert frames == (["update"] if who in READERS[name] else []), (name, who)


# --- Writing ---------------------------------------------------------------------------------------------


def by_create(caller: Caller, name: str, row: str) -> bool:
    return caller.ask("POST", f"/classes/{name}", {"title": "new"}).status_code == 201


def by_update(caller: Caller, name: str, row: str) -> bool:
    return caller.ask("PUT", f"/classes/{name}/{row}", {"title": "changed"}).status_code == 200


def by_increment(caller: Caller, name: str, row: str) -> bool:
    body = {"plays": {"__op": "Increment", "amount": 1}}
    return caller.ask("PUT", f"/classes/{name}/{row}", body).status_code == 200


def by_put_of_post(caller: Caller, name: str, row: str) -> bool:
    return caller.ask("POST", f"/classes/{name}/{row}", {"_method": "PUT", "title": "x"}).status_code == 200


def by_batched_update(caller: Caller, name: str, row: str) -> bool:
    return "success" in batched(caller, "PUT", f"/classes/{name}/{row}", {"title": "batched"})


def by_batched_delete(caller: Caller, name: str, row: str) -> bool:
    return "success" in batched(caller, "DELETE", f"/classes/{name}/{row}")


def by_delete(caller: Caller, name: str, row: str) -> bool:
    return caller.ask("DELETE", f"/classes/{name}/{row}").status_code == 200


def by_transaction(caller: Caller, name: str, row: str) -> bool:
    part = {"method": "PUT", "path": f"/parse/classes/{name}/{row}", "body": {"title": "together"}}
    return caller.ask("POST", "/batch", {"requests": [part], "transaction": True}).status_code == 200


WRITE_DOORS = (
    *(by_update, by_increment, by_put_of_post, by_batched_update, by_transaction),
    *(by_delete, by_batched_delete),
)


@pytest.mark.parametrize("door", WRITE_DOORS, ids=lambda door: door.__name__)
def test_every_door_lets_writers_write_only(stage: Stage, door: Callable[..., bool]) -> None:
    for name in CLASSES:
        for who in PRINCIPALS:
            row = new_row(stage, name)
            before = stage.master.get(f"/classes/{name}/{row}")
            if door(stage.callers[who], name, row):
                assert who in WRITERS[name], (name, who)
            else:
                assert who not in WRITERS[name], (name, who)
                assert stage.master.get(f"/classes/{name}/{row}") == before


def test_only_those_may_create_whom_the_class_names(stage: Stage) -> None:
    # Pointer permissions say nothing about rows that do not exist yet.
    creators = {**WRITERS, "ByOwner": {"master"}, "ByAcl": WRITERS["Open"]}
    for name in CLASSES:
        found = {who for who in PRINCIPALS if by_create(stage.callers[who], name, "")}
        assert found == creators[name], name


# --- Classes of the server -------------------------------------------------------------------------------

SYSTEM = (*sorted(MASTER_ONLY_CLASSES), "_Join:users:_Role", "_Join:roles:_Role")


@pytest.mark.parametrize("name", SYSTEM)
def test_classes_of_the_server_are_closed_to_clients(stage: Stage, name: str) -> None:
    for who in ("nobody", "owner", "member"):
        caller = stage.callers[who]
        for method, path in (
            ("GET", f"/classes/{name}"),
            ("GET", f"/classes/{name}/x"),
            ("POST", f"/classes/{name}"),
            ("PUT", f"/classes/{name}/x"),
            ("DELETE", f"/classes/{name}/x"),
        ):
            assert caller.refusal(method, path, {"name": "x"} if method in ("POST", "PUT") else None) == 119
            answer = batched(caller, method, path)
            assert answer["error"]["code"] == 119, (who, method, path)
        inner = {"held": {"$inQuery": {"className": name, "where": {}}}}
        assert caller.refusal("GET", "/classes/Open", where=inner) == 119
        assert caller.refusal("GET", "/classes/Open", where={"title": {"$select": {
            "query": {"className": name, "where": {}}, "key": "objectId"}}}) == 119  # fmt: skip


def test_the_master_key_reaches_the_classes_of_the_server(stage: Stage) -> None:
    assert stage.master.get("/classes/_Join:users:_Role")["results"] != []
    assert stage.master.get("/classes/_Audience")["results"] == []


MASTER_ROUTES = (
    *(("GET", path) for path in ("/schemas", "/schemas/Open", "/serverInfo", "/hooks/functions")),
    *(
        ("GET", path)
        for path in ("/hooks/triggers", "/cloud_code/jobs", "/graphql-config", "/push_audiences")
    ),
    *(("GET", path) for path in ("/aggregate/Open", "/scriptlog", "/security", "/cloud_code/jobs/data")),
    *(("POST", path) for path in ("/schemas/New", "/jobs/x", "/push", "/hooks/functions", "/loginAs")),
    *(("PUT", path) for path in ("/config", "/schemas/Open", "/graphql-config")),
    *(("DELETE", path) for path in ("/schemas/Open", "/purge/Open")),
)


@pytest.mark.parametrize(("method", "path"), MASTER_ROUTES)
def test_routes_of_the_master_are_shut(stage: Stage, method: str, path: str) -> None:
    for who in ("nobody", "owner", "member"):
        caller = stage.callers[who]
        assert caller.ask(method, path).status_code in (400, 403), (who, method, path)
        answer = batched(caller, method, path)
        assert "error" in answer, (who, method, path)
        overridden = caller.ask("POST", path, {"_method": method})
        assert overridden.status_code in (400, 403)
        assert caller.ask("GET", "/classes/Open").status_code == 200


def test_a_master_key_that_is_no_text_is_no_key(stage: Stage) -> None:
    for wrong in ({"$ne": None}, ["tests-master-key"], {"$regex": "."}, True, 1, {"length": 1}):
        body = {"_ApplicationId": "tests", "_MasterKey": wrong, "_method": "GET"}
        assert bare(stage, "/schemas", body) == 403
        body = {"_ApplicationId": wrong, "_MasterKey": MASTER_KEY, "_method": "GET"}
        assert bare(stage, "/schemas", body) == 403
    assert (
        bare(stage, "/schemas", {"_ApplicationId": "tests", "_MasterKey": MASTER_KEY, "_method": "GET"})
        == 200
    )


def bare(stage: Stage, path: str, body: Any) -> int:
    """The status of a request whose keys, if any, are in its body."""
    return httpx.post(stage.server.url + path, json=body).status_code


# --- The key that only reads -----------------------------------------------------------------------------

WRITES: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/classes/Open", {"title": "x"}),
    ("POST", "/classes/Newborn", {"title": "x"}),
    ("POST", "/users", {"username": "x", "password": "y"}),
    ("POST", "/roles", {"name": "x", "ACL": {}}),
    ("POST", "/sessions", {}),
    ("POST", "/installations", {"installationId": "x", "deviceType": "ios"}),
    ("POST", "/loginAs", {"userId": "{owner}"}),
    ("PUT", "/users/{owner}", {"title": "x"}),
    ("DELETE", "/users/{owner}", None),
    ("PUT", "/config", {"params": {"a": 1}}),
    ("PUT", "/graphql-config", {"params": {}}),
    ("POST", "/schemas/Newborn", {"className": "Newborn"}),
    ("PUT", "/schemas/Open", {"fields": {"added": {"type": "String"}}}),
    ("DELETE", "/schemas/Open", None),
    ("DELETE", "/purge/Open", None),
    ("POST", "/hooks/functions", {"functionName": "f", "url": "https://example.com"}),
    (
        "POST",
        "/hooks/triggers",
        {"className": "Open", "triggerName": "beforeSave", "url": "https://a.example"},
    ),
    ("PUT", "/hooks/functions/f", {"url": "https://example.com"}),
    ("PUT", "/hooks/functions/f", {"__op": "Delete"}),
    ("POST", "/jobs/j", {}),
    ("POST", "/jobs", {"jobName": "j"}),
    ("POST", "/cloud_code/jobs", {"job_schedule": {"jobName": "j"}}),
    ("POST", "/push", {"data": {}, "where": {}}),
    ("POST", "/push_audiences", {"name": "x", "query": "{}"}),
    ("POST", "/files/a.txt", None),
    ("DELETE", "/files/a.txt", None),
)


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_the_read_only_key_writes_nothing(stage: Stage, method: str, path: str, body: Any) -> None:
    reader, master = stage.callers["reader"], stage.master
    path = path.replace("{owner}", stage.ids["owner"])
    body = {
        k: v.replace("{owner}", stage.ids["owner"]) if isinstance(v, str) else v
        for k, v in (body or {}).items()
    }
    before = everything(master)
    assert reader.ask(method, path, body).status_code in (400, 403)
    if body and method != "POST":
        assert reader.ask("POST", path, {**body, "_method": method}).status_code in (400, 403)
    if not path.startswith("/files"):
        assert "error" in batched(reader, method, path, body)
    assert everything(master) == before


def test_the_read_only_key_is_told_that_it_may_not_push(stage: Stage) -> None:
    refusal = stage.callers["reader"].ask("POST", "/push", {"data": {}, "where": {}})
    assert (refusal.status_code, refusal.json()["code"]) == (400, 119)


def everything(master: Caller) -> list[Any]:
    names = ("Open", "_User", "_Role", "_Session", "_Installation", "_Audience", "_JobSchedule", "_Hooks")
    kept = ("/schemas", "/config", "/graphql-config", "/hooks/functions", "/hooks/triggers")
    return [master.get(path) for path in (*kept, *(f"/classes/{name}" for name in names))]


def test_the_read_only_key_reads_all_that_the_master_key_reads(stage: Stage) -> None:
    for path in (
        "/schemas",
        "/serverInfo",
        *(f"/classes/{name}" for name in (*PERMISSIONS, "_User", "_Role")),
    ):
        assert stage.callers["reader"].get(path) == stage.master.get(path), path
