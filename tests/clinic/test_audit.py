"""The audit log: who did and who viewed what; nobody changes it, and who does is found out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner
from websockets.sync.client import connect

from parse_clone.app import opened_toolbox
from parse_clone.cli import cli
from parse_clone.core.audit_chain import entry_id
from parse_clone.core.operations import Delete, Set
from parse_clone.core.query import object_id_is
from parse_clone.services.toolbox import Toolbox
from tests.clinic.people import PASSWORD, Clinic
from tests.clinic.records import create, new_body
from tests.servers import APP_ID, REST_KEY


def entries(clinic: Clinic, **where: Any) -> list[dict[str, Any]]:
    """Entries, as an auditor reads them."""
    parameters = {"where": where, "limit": 1000, "order": "objectId"}
    found: list[dict[str, Any]] = clinic.auditor.caller.get("/classes/AuditLog", **parameters)["results"]
    return found


def actions(clinic: Clinic, object_id: str) -> list[tuple[str, str]]:
    """What happened to an object, and who did it."""
    return [
        (entry["action"], entry["actor"]["objectId"])
        for entry in entries(clinic)
        if object_id in (entry["entityId"], *entry["metadata"].get("objectIds", ()))
    ]


def test_the_flow_of_a_result_is_recorded_end_to_end(clinic: Clinic) -> None:
    doctor, patient = clinic.provider, clinic.patient
    result = create(clinic, "LabResult")
    path = f"/classes/LabResult/{result}"
    doctor.caller.put(path, {"units": "mmol/l"})
    doctor.caller.put(path, {"status": "final"})
    patient.caller.get(path)
    chart = clinic.patient.profile
    patient.caller.get("/classes/LabResult", where={"patient": chart}, order="-publishedAt")
    doctor.caller.put(path, {"resultValue": "2"})
    assert actions(clinic, result) == [
        ("create", doctor.id),
        ("update", doctor.id),
        ("publish", doctor.id),
        ("view", patient.id),
        ("list", patient.id),
        ("publish", doctor.id),
    ]
    changes = [
        entry["metadata"].get("changed") for entry in entries(clinic, entityId=result, action="update")
    ]
    assert "units" in changes[0]
    assert "mmol" not in json.dumps(entries(clinic, entityId=result)), "values stay out of the log"


def test_a_list_is_one_entry_and_an_include_is_recorded(clinic: Clinic) -> None:
    for _ in range(3):
        create(clinic, "LabResult")
    before = len(entries(clinic))
    found = clinic.patient.caller.get("/classes/LabResult", include="patient", limit=3)["results"]
    new = [entry for entry in entries(clinic)[before:] if entry["actor"]["objectId"] == clinic.patient.id]
    assert [entry["entityType"] for entry in new] == ["PatientProfile", "LabResult"]
    listed = new[1]
    assert listed["metadata"]["objectIds"] == [row["objectId"] for row in found]


def test_logins_and_failed_logins_are_recorded(clinic: Clinic) -> None:
    before = len(entries(clinic))
    clinic.visitor.post("/login", {"username": "patient", "password": PASSWORD}, status=200)
    assert clinic.visitor.refusal("POST", "/login", {"username": "patient", "password": "wrong"}) == 101
    new = [(entry["action"], entry["metadata"].get("username")) for entry in entries(clinic)[before:]]
    assert ("login", None) in new
    assert ("loginFailed", "patient") in new


def test_role_and_care_team_changes_are_recorded(clinic: Clinic) -> None:
    who = {"patient": clinic.subject(clinic.patient), "provider": clinic.other_provider.id}
    clinic.call(clinic.provider.caller, "assignProvider", **who)
    clinic.call(clinic.other_provider.caller, "unassignProvider", **who)
    team = f"careTeam_{clinic.patient.id}"
    found = entries(clinic, entityType="_Role", entityId=team)[-2:]
    assert [(entry["action"], entry["actor"]["objectId"]) for entry in found] == [
        ("joinCareTeam", clinic.provider.id),
        ("leaveCareTeam", clinic.other_provider.id),
    ]
    assert entries(clinic, action="grantRole")[0]["actor"]["objectId"] == "server"
    assert entries(clinic, action="approveProvider")[0]["actor"]["objectId"] == clinic.admin.id


def test_what_the_master_key_does_is_recorded(clinic: Clinic) -> None:
    result = create(clinic, "LabResult")
    clinic.master.get(f"/classes/LabResult/{result}")
    clinic.master.get("/aggregate/LabResult", pipeline=[{"$match": {"testName": "LDL"}}])
    assert actions(clinic, result)[-1] == ("view", "server")
    assert entries(clinic, entityType="LabResult", action="aggregate")


def test_nobody_changes_the_log(clinic: Clinic) -> None:
    one = entries(clinic)[0]["objectId"]
    everybody = [person.caller for person in clinic.people.values()]
    for caller in (*everybody, clinic.master, clinic.visitor):
        for method, path, body in (
            ("POST", "/classes/AuditLog", {"action": "forged"}),
            ("PUT", f"/classes/AuditLog/{one}", {"action": "forged"}),
            ("DELETE", f"/classes/AuditLog/{one}", None),
        ):
            assert caller.refusal(method, path, body) in (101, 119, 209)
    assert clinic.master.refusal("DELETE", "/purge/AuditLog") == 119
    assert entries(clinic)[0]["objectId"] == one


def test_without_an_entry_nothing_happens(clinic: Clinic) -> None:
    result = create(clinic, "LabResult")
    path, in_the_way = f"/classes/LabResult/{result}", entry_id(len(entries(clinic)) + 1)
    in_database(clinic, lambda toolbox: insert_entry(toolbox, in_the_way))
    try:
        unread = clinic.patient.caller.ask("GET", path)
        unwritten = clinic.provider.caller.ask("PUT", path, {"units": "x"})
    finally:
        in_database(clinic, lambda toolbox: remove_entry(toolbox, in_the_way))
    assert (unread.status_code, unwritten.status_code) == (500, 500)
    assert "testName" not in unread.text
    assert "units" not in clinic.patient.caller.get(path)


# --- Somebody with access to the database ----------------------------------------------------------------


def in_database(clinic: Clinic, work: Callable[[Toolbox], Awaitable[None]]) -> None:
    """Work on the database of the running server, past all rules."""

    async def run() -> None:
        async with opened_toolbox(clinic.server.settings) as toolbox:
            await work(toolbox)

    asyncio.run(run())


async def change_entry(toolbox: Toolbox, object_id: str, operations: dict[str, Any]) -> None:
    schema = await toolbox.catalog.get("AuditLog")
    assert schema is not None
    assert await toolbox.storage.update(schema, object_id_is(object_id), operations)


async def insert_entry(toolbox: Toolbox, object_id: str) -> None:
    schema = await toolbox.catalog.get("AuditLog")
    assert schema is not None
    long_ago = "2026-01-01T00:00:00.000Z"
    row = {"objectId": object_id, "createdAt": long_ago, "updatedAt": long_ago}
    await toolbox.storage.insert(schema, [{**row, "action": "forged", "metadata": {"sequence": "x"}}])


async def remove_entry(toolbox: Toolbox, object_id: str) -> None:
    schema = await toolbox.catalog.get("AuditLog")
    assert schema is not None
    assert await toolbox.storage.delete(schema, object_id_is(object_id))


def command(clinic: Clinic, *arguments: str) -> Result:
    """Run the command line on the clinic's database."""
    settings = clinic.server.settings
    environment = {
        "PARSE_SERVER_DATABASE_URI": settings.database_uri,
        "PARSE_SERVER_APPLICATION_ID": settings.app_id,
        "PARSE_SERVER_MASTER_KEY": settings.master_key,
    }
    return CliRunner().invoke(cli, ["audit", *arguments], env=environment)


def words_of(result: Result) -> str:
    """What a command said, on one line."""
    return " ".join(result.stderr.split())


@pytest.mark.parametrize(
    "damage", [{"summary": Set("nothing happened")}, {"actor": Delete()}], ids=["changed", "emptied"]
)
def test_verify_names_the_entry_that_was_altered(clinic: Clinic, damage: dict[str, Any]) -> None:
    third, field = entries(clinic)[2], next(iter(damage))
    in_database(clinic, lambda toolbox: change_entry(toolbox, third["objectId"], damage))
    broken = command(clinic, "verify")
    original = {field: Set(third[field])}
    in_database(clinic, lambda toolbox: change_entry(toolbox, third["objectId"], original))
    assert broken.exit_code == 1
    assert f"entry 3 {third['objectId']}: altered" in words_of(broken)
    assert command(clinic, "verify").exit_code == 0


def test_a_transaction_that_fails_leaves_a_whole_chain(clinic: Clinic) -> None:
    body, path = new_body(clinic, "LabResult"), "/parse/classes/LabResult"
    bodies = [body, {**body, "status": "amended"}]
    requests = [{"method": "POST", "path": path, "body": sent} for sent in bodies]
    clinic.provider.caller.ask("POST", "/batch", {"requests": requests, "transaction": True})
    create(clinic, "LabResult")
    assert command(clinic, "verify").exit_code == 0


def test_verify_names_what_was_removed_and_what_was_inserted(clinic: Clinic, tmp_path: Path) -> None:
    assert command(clinic, "verify").exit_code == 0
    in_database(clinic, lambda toolbox: insert_entry(toolbox, "zforged"))
    inserted = command(clinic, "verify")
    in_database(clinic, lambda toolbox: remove_entry(toolbox, "zforged"))
    assert "zforged: inserted" in words_of(inserted)

    exported = command(clinic, "export", "--key", str(tmp_path / "key.pem"))
    assert exported.exit_code == 0, exported.stderr
    file = tmp_path / "log.jsonl"
    file.write_text(exported.stdout)
    lines = exported.stdout.splitlines()
    assert command(clinic, "check-export", str(file)).exit_code == 0
    assert command(clinic, "verify", "--checkpoint", str(file)).exit_code == 0
    public_key = json.loads(lines[-1])["checkpoint"]["publicKey"]
    assert command(clinic, "check-export", str(file), "--public-key", public_key).exit_code == 0
    assert command(clinic, "check-export", str(file), "--public-key", "00" * 32).exit_code == 1

    file.write_text("\n".join([*lines[:3], *lines[4:]]))
    assert f"entry 4 {entry_id(4)}: removed" in words_of(command(clinic, "check-export", str(file)))
    file.write_text(exported.stdout.replace("grantRole", "grantrole", 1))
    assert "entry 7" in words_of(command(clinic, "check-export", str(file)))

    last = entries(clinic)[-1]["objectId"]
    file.write_text(command(clinic, "export", "--key", str(tmp_path / "key.pem")).stdout)
    in_database(clinic, lambda toolbox: remove_entry(toolbox, last))
    cut_off = command(clinic, "verify", "--checkpoint", str(file))
    assert "removed: the checkpoint knows" in words_of(cut_off)


def test_what_livequery_delivers_is_recorded(clinic: Clinic) -> None:
    address = clinic.server.url.replace("http", "ws", 1).removesuffix("/parse")
    query = {"className": "LabResult", "where": {}}
    subscription = {"op": "subscribe", "requestId": 1, "query": query}
    with connect(address) as socket:
        opening = {"op": "connect", "applicationId": APP_ID, "restAPIKey": REST_KEY}
        socket.send(json.dumps({**opening, "sessionToken": clinic.patient.caller.session}))
        assert json.loads(socket.recv(10))["op"] == "connected"
        socket.send(json.dumps(subscription))
        assert json.loads(socket.recv(10))["op"] == "subscribed"
        result = create(clinic, "LabResult")
        assert json.loads(socket.recv(10))["object"]["objectId"] == result
    assert actions(clinic, result) == [("create", clinic.provider.id), ("deliver", clinic.patient.id)]
