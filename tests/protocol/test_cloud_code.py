"""Every example of docs/cloud_code.md, registered as one application and used over HTTP."""

from __future__ import annotations

import asyncio
import json
import re
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from parse_clone.services.triggers import TriggerKind
from parse_clone.settings import FileUpload, LiveQuery
from tests.servers import APP_ID, MASTER_KEY, REST_KEY, RunningServer

DOCS = Path(__file__).parents[2] / "docs" / "cloud_code.md"
BLOCKS = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)

CLIENT = {"X-Parse-Application-Id": APP_ID, "X-Parse-REST-API-Key": REST_KEY}
MASTER = {"X-Parse-Application-Id": APP_ID, "X-Parse-Master-Key": MASTER_KEY}


@pytest.fixture(scope="module")
def clinic(
    start_server: Callable[..., RunningServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of a server that runs all examples."""
    module = tmp_path_factory.mktemp("cloud") / "main.py"
    imports, *examples = BLOCKS
    body = textwrap.indent("\n\n".join(examples), "    ")
    module.write_text(f"{imports}\n\ndef register(cloud):\n{body}\n")
    server = start_server(
        cloud=str(module),
        live_query=LiveQuery(class_names=("LabOrder",)),
        file_upload=FileUpload(enable_for_public=True),
    )
    with httpx.Client(base_url=server.url, headers=CLIENT, timeout=30) as client:
        yield client


def post(client: httpx.Client, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    answer = client.post(path, json=body or {}, headers=headers)
    return answer.status_code, answer.json()


def count(client: httpx.Client, class_name: str, **where: Any) -> int:
    answer = client.get(
        f"/classes/{class_name}",
        params={"where": json.dumps(where), "count": "1", "limit": "0"},
        headers=MASTER,
    )
    return int(answer.json()["count"])


def order(client: httpx.Client, **fields: Any) -> str:
    status, created = post(client, "/classes/LabOrder", {"quantity": 1, **fields})
    assert status == 201, created
    return str(created["objectId"])


def sign_up(client: httpx.Client, name: str, **fields: Any) -> tuple[str, str]:
    status, user = post(client, "/users", {"username": name, "password": "correct horse", **fields})
    assert status == 201, user
    return user["objectId"], user["sessionToken"]


def test_every_trigger_has_an_example() -> None:
    text = "\n".join(BLOCKS)
    decorators = {
        TriggerKind.BEFORE_SAVE: "before_save(",
        TriggerKind.AFTER_SAVE: "after_save(",
        TriggerKind.BEFORE_DELETE: "before_delete(",
        TriggerKind.AFTER_DELETE: "after_delete(",
        TriggerKind.BEFORE_FIND: "before_find(",
        TriggerKind.AFTER_FIND: "after_find(",
        TriggerKind.BEFORE_LOGIN: "before_login(",
        TriggerKind.AFTER_LOGIN: "after_login(",
        TriggerKind.AFTER_LOGOUT: "after_logout(",
        TriggerKind.BEFORE_PASSWORD_RESET_REQUEST: "before_password_reset_request(",
        TriggerKind.BEFORE_CONNECT: "before_connect(",
        TriggerKind.BEFORE_SUBSCRIBE: "before_subscribe(",
        TriggerKind.AFTER_EVENT: "after_live_query_event(",
        TriggerKind.ON_LIVE_QUERY_EVENT: "on_live_query_event(",
    }
    assert set(decorators) == set(TriggerKind)
    assert [name for name in decorators.values() if f"@cloud.{name}" not in text] == []


def test_before_save_fills_and_refuses(clinic: httpx.Client) -> None:
    status, created = post(clinic, "/classes/LabOrder", {"quantity": 2})
    assert status == 201
    assert created["status"] == "new"
    assert created["orderedAt"]["__type"] == "Date"
    refused = post(clinic, "/classes/LabOrder", {"quantity": 0})
    assert refused == (400, {"code": 142, "error": "order at least one"})


def test_after_save_writes_beside_the_object(clinic: httpx.Client) -> None:
    object_id = order(clinic)
    assert count(clinic, "OrderEvent", order=object_id, kind="created") == 1
    clinic.put(f"/classes/LabOrder/{object_id}", json={"quantity": 3})
    assert count(clinic, "OrderEvent", order=object_id, kind="created") == 1


def test_delete_hooks_refuse_and_note(clinic: httpx.Client) -> None:
    shipped, plain = order(clinic, status="shipped"), order(clinic)
    kept = clinic.delete(f"/classes/LabOrder/{shipped}")
    assert (kept.status_code, kept.json()) == (400, {"code": 119, "error": "a shipped order stays"})
    assert clinic.delete(f"/classes/LabOrder/{plain}").json() == {}
    assert count(clinic, "OrderEvent", order=plain, kind="deleted") == 1


def test_find_hooks_narrow_and_change(clinic: httpx.Client) -> None:
    archived = order(clinic, archived=True, mark="find")
    shown = order(clinic, note="a note that is too long for a list", mark="find")
    where = {"where": json.dumps({"mark": "find"})}
    found = clinic.get("/classes/LabOrder", params=where).json()["results"]
    assert [(row["objectId"], row["note"]) for row in found] == [(shown, "a note that is too l...")]
    assert clinic.get(f"/classes/LabOrder/{archived}").status_code == 404
    everything = clinic.get("/classes/LabOrder", params=where, headers=MASTER).json()["results"]
    assert len(everything) == 2


def test_login_hooks_refuse_and_note(clinic: httpx.Client) -> None:
    user_id, _ = sign_up(clinic, "visitor")
    status, session = post(clinic, "/login", {"username": "visitor", "password": "correct horse"})
    assert status == 200
    assert count(clinic, "Visit", user=user_id, kind="login") == 1
    clinic.post("/logout", headers={"X-Parse-Session-Token": session["sessionToken"]})
    assert count(clinic, "Visit", user=user_id, kind="logout") == 1
    sign_up(clinic, "suspended", suspended=True)
    refused = post(clinic, "/login", {"username": "suspended", "password": "correct horse"})
    assert refused == (404, {"code": 101, "error": "this account is suspended"})


def test_file_hooks_stamp_note_and_refuse(clinic: httpx.Client) -> None:
    saved = clinic.post("/files/report.txt", content=b"fine", headers={"Content-Type": "text/plain"})
    assert saved.status_code == 201, saved.text
    name = saved.json()["name"]
    assert count(clinic, "FileEvent", name=name, kind="saved") == 1
    read = httpx.get(saved.json()["url"])
    assert read.content == b"fine"
    assert read.headers["content-disposition"].startswith("attachment")
    secret = clinic.post("/files/secret.txt", content=b"no", headers={"Content-Type": "text/plain"})
    assert httpx.get(secret.json()["url"]).status_code == 403
    kept = clinic.post("/files/keep.txt", content=b"stay", headers={"Content-Type": "text/plain"})
    refused = clinic.delete(f"/files/{kept.json()['name']}", headers=MASTER)
    assert refused.json() == {"code": 153, "error": "this file stays"}
    assert clinic.delete(f"/files/{name}", headers=MASTER).status_code == 200
    assert count(clinic, "FileEvent", name=name, kind="deleted") == 1


def test_config_hooks_refuse_and_note(clinic: httpx.Client) -> None:
    refused = clinic.put("/config", json={"params": {"maxOrders": 0}}, headers=MASTER)
    assert refused.json() == {"code": 142, "error": "maxOrders is at least 1"}
    assert clinic.put("/config", json={"params": {"maxOrders": 5}}, headers=MASTER).json() == {"result": True}
    assert count(clinic, "ConfigEvent") == 1


async def test_live_query_hooks_refuse_narrow_and_silence(clinic: httpx.Client) -> None:
    url = str(clinic.base_url).replace("http", "ws")
    async with websockets.connect(url) as socket:
        blocked = {"op": "connect", "applicationId": APP_ID, "installationId": "blocked"}
        await socket.send(json.dumps(blocked))
        assert json.loads(await socket.recv())["error"] == "this device is blocked"
        await socket.send(json.dumps({"op": "connect", "applicationId": APP_ID}))
        assert json.loads(await socket.recv())["op"] == "connected"
        query = {"className": "LabOrder", "where": {"mark": "live"}}
        await socket.send(json.dumps({"op": "subscribe", "requestId": 1, "query": query}))
        assert json.loads(await socket.recv())["op"] == "subscribed"
        await asyncio.to_thread(order, clinic, mark="live", archived=True)
        await asyncio.to_thread(order, clinic, mark="live", status="draft")
        loud = await asyncio.to_thread(order, clinic, mark="live")
        event = json.loads(await asyncio.wait_for(socket.recv(), 5))
        assert (event["op"], event["object"]["objectId"]) == ("create", loud)
        assert count(clinic, "ConnectionEvent", kind="connect", clients=1) == 1
    async with asyncio.timeout(10):
        while not count(clinic, "ConnectionEvent", kind="ws_disconnect", clients=0):
            await asyncio.sleep(0.02)


def test_functions_answer_with_status_and_headers(clinic: httpx.Client) -> None:
    order(clinic, quantity=4, status="counted")
    order(clinic, quantity=5, status="counted")
    assert post(clinic, "/functions/totalQuantity", {"status": "counted"}) == (200, {"result": 9})
    brewed = clinic.post("/functions/teapot", json={})
    assert (brewed.status_code, brewed.json()) == (201, {"result": {"tea": "green"}})
    assert brewed.headers["x-brewed-by"] == "parse-clone"
    unknown = post(clinic, "/functions/constructor")
    assert unknown == (400, {"code": 141, "error": 'Invalid function: "constructor"'})


def test_clients_act_with_the_rights_they_say(clinic: httpx.Client) -> None:
    hidden = {"quantity": 1, "ACL": {}}
    assert post(clinic, "/classes/LabOrder", hidden, **MASTER)[0] == 201
    report = post(clinic, "/functions/orderReport")[1]["result"]
    assert report["all"] > report["mine"] >= 1


def test_validators_refuse_with_the_known_texts(clinic: httpx.Client) -> None:
    user_id, token = sign_up(clinic, "guest")
    session = {"X-Parse-Session-Token": token}
    nobody = post(clinic, "/functions/bookSlot", {"slot": "morning"})
    assert nobody == (400, {"code": 142, "error": "Validation failed. Please login to continue."})
    for params, text in (
        ({}, "Validation failed. Please specify data for slot."),
        ({"slot": 5}, "Validation failed. Invalid type for slot. Expected: string"),
        ({"slot": "noon"}, "Validation failed. Invalid option for slot. Expected: morning, evening"),
        ({"slot": "morning"}, "Validation failed. User does not match the required roles."),
    ):
        assert post(clinic, "/functions/bookSlot", params, **session)[1]["error"] == text
    member = {"__type": "Pointer", "className": "_User", "objectId": user_id}
    role = {
        "name": "booker",
        "ACL": {},
        "users": {"__op": "AddRelation", "objects": [member]},
    }
    assert post(clinic, "/roles", role, **MASTER)[0] == 201
    booked = post(clinic, "/functions/bookSlot", {"slot": "morning"}, **session)
    assert booked == (200, {"result": "morning for 1"})


def test_rate_limits_of_functions_hold(clinic: httpx.Client) -> None:
    answers = [clinic.post("/functions/limited", json={}).status_code for _ in range(3)]
    assert answers == [200, 200, 429]


def test_jobs_run_and_report(clinic: httpx.Client) -> None:
    order(clinic, status="shipped")
    started = clinic.post("/jobs/archiveOrders", json={}, headers=MASTER)
    assert started.json() == {}
    job_id = started.headers["x-parse-job-status-id"]
    status = wait_for(lambda: finished_job(clinic, job_id))
    assert status["status"] == "succeeded"
    assert status["message"].startswith("archived ")
    assert post(clinic, "/jobs/nothing", {}, **MASTER) == (400, {"code": 141, "error": "Invalid job."})


def finished_job(client: httpx.Client, job_id: str) -> Any:
    status = client.get(f"/classes/_JobStatus/{job_id}", headers=MASTER).json()
    return status if "finishedAt" in status else None


def wait_for(look: Callable[[], Any], seconds: float = 10) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("nothing happened")


def test_the_clock_starts_jobs(clinic: httpx.Client) -> None:
    assert wait_for(lambda: count(clinic, "Heartbeat") >= 1)


def test_context_travels_from_before_to_after(clinic: httpx.Client) -> None:
    headers = {"X-Parse-Cloud-Context": json.dumps({"trace": "client"})}
    assert post(clinic, "/classes/Traced", {"a": 1}, **headers)[1]["trace"] == "client>before>after"


def test_an_exception_harms_its_own_request_only(clinic: httpx.Client) -> None:
    assert post(clinic, "/functions/broken") == (400, {"code": 141, "error": "the lamp is broken"})
    assert post(clinic, "/functions/totalQuantity", {"status": "none"}) == (200, {"result": 0})


def test_an_auditor_records_first_and_nobody_alters_what_it_wrote(clinic: httpx.Client) -> None:
    fields = {"action": {"type": "String"}, "ids": {"type": "Array"}, "chain": {"type": "Object"}}
    assert post(clinic, "/schemas/OrderLog", {"className": "OrderLog", "fields": fields}, **MASTER)[0] == 200
    status, created = post(clinic, "/classes/SecretOrder", {"quantity": 1})
    assert status == 201
    clinic.get(f"/classes/SecretOrder/{created['objectId']}")
    rows = clinic.get("/classes/OrderLog", params={"order": "objectId"}, headers=MASTER).json()["results"]
    own = [row for row in rows if row["ids"] == [created["objectId"]]]
    assert [row["action"] for row in own] == ["create", "get"]
    purged = clinic.delete("/purge/SecretOrder", headers=MASTER)
    assert purged.json() == {"code": 119, "error": "secret orders stay"}
    forged = clinic.put(f"/classes/OrderLog/{own[0]['objectId']}", json={"action": "none"}, headers=MASTER)
    assert forged.json()["code"] == 119


def test_hooks_run_in_batches(clinic: httpx.Client) -> None:
    requests = [
        {"method": "POST", "path": "/parse/classes/LabOrder", "body": {"quantity": 0}},
        {"method": "POST", "path": "/parse/classes/LabOrder", "body": {"quantity": 1}},
    ]
    refused, created = post(clinic, "/batch", {"requests": requests})[1]
    assert refused == {"error": {"code": 142, "error": "order at least one"}}
    assert created["success"]["status"] == "new"


def test_a_refused_part_undoes_the_whole_transaction(clinic: httpx.Client) -> None:
    before = count(clinic, "LabOrder"), count(clinic, "OrderEvent")
    requests = [
        {"method": "POST", "path": "/parse/classes/LabOrder", "body": {"quantity": 1}},
        {"method": "POST", "path": "/parse/classes/LabOrder", "body": {"quantity": 0}},
    ]
    status, answer = post(clinic, "/batch", {"requests": requests, "transaction": True})
    assert status == 400
    assert answer["error"] == "order at least one"
    assert (count(clinic, "LabOrder"), count(clinic, "OrderEvent")) == before
