"""The audit log: who did and who viewed what; nobody changes it, and who does is found out."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from parse_clone.app import opened_toolbox
from parse_clone.cli import cli
from parse_clone.core.audit_chain import entry_id
from parse_clone.core.operations import Delete, Set
from parse_clone.core.query import object_id_is
from parse_clone.services.toolbox import Toolbox
from tests.clinic.people import PASSWORD, Clinic
from tests.clinic.records import create, new_body
from tests.clinic.watching import heard, watching
from tests.protocol.callers import Caller, pointer


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
    assert all("createdAt" in row["patient"] for row in found)


def test_a_view_of_a_user_is_recorded_and_shows_what_he_may_see(clinic: Clinic) -> None:
    patient = clinic.patient
    own = patient.caller.get(f"/users/{patient.id}")
    assert (own["objectId"], own["sessionToken"]) == (patient.id, patient.caller.session)
    assert actions(clinic, patient.id)[-1] == ("view", patient.id)


def test_logins_and_failed_logins_are_recorded(clinic: Clinic) -> None:
    before = len(entries(clinic))
    clinic.visitor.post("/login", {"username": "patient", "password": PASSWORD}, status=200)
    assert clinic.visitor.refusal("POST", "/login", {"username": "patient", "password": "wrong"}) == 101
    new = [(entry["action"], entry["metadata"].get("username")) for entry in entries(clinic)[before:]]
    assert ("login", None) in new
    assert ("loginFailed", "patient") in new


def test_whoever_tries_credentials_is_recorded_at_every_door(clinic: Clinic) -> None:
    before = len(entries(clinic))
    wrong = {"username": "patient", "password": "wrong"}
    assert clinic.visitor.refusal("GET", "/verifyPassword", **wrong) == 101
    assert clinic.visitor.refusal("POST", "/users", {"authData": {"google": {"id": "1", "id_token": "x"}}})
    new = [(entry["action"], entry["metadata"]) for entry in entries(clinic)[before:]]
    assert [action for action, _ in new] == ["loginFailed", "loginFailed"]
    assert (new[0][1]["username"], new[1][1]["authProvider"]) == ("patient", "google")
    assert "wrong" not in json.dumps(new)


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


def test_who_joins_a_role_by_the_master_key_is_recorded(clinic: Clinic) -> None:
    (role,) = clinic.master.get("/roles", where={"name": "auditor"})["results"]
    for operation, word in (("AddRelation", "added"), ("RemoveRelation", "removed")):
        members = {"users": {"__op": operation, "objects": [clinic.other_patient.pointer]}}
        clinic.master.put(f"/roles/{role['objectId']}", members)
        last = entries(clinic, entityType="_Role", entityId=role["objectId"])[-1]
        assert (last["action"], last["metadata"][word]) == ("update", [clinic.other_patient.id])


def test_what_the_master_key_does_is_recorded(clinic: Clinic) -> None:
    result = create(clinic, "LabResult")
    clinic.master.get(f"/classes/LabResult/{result}")
    clinic.master.get("/aggregate/LabResult", pipeline=[{"$match": {"testName": "LDL"}}])
    assert actions(clinic, result)[-1] == ("view", "server")
    assert entries(clinic, entityType="LabResult", action="aggregate")


@pytest.mark.parametrize(
    ("where", "index"),
    [
        ({"entityId": "r1"}, "entity"),
        ({"actor": pointer("_User", "u1")}, "actor_created"),
    ],
)
def test_what_auditors_ask_is_found_by_an_index(clinic: Clinic, where: dict[str, Any], index: str) -> None:
    plan = clinic.master.get("/classes/AuditLog", where=where, order="objectId", explain="queryPlanner")
    assert re.search(rf'INDEX index:\^audit\^log:{index}|"indexName": "{index}"', json.dumps(plan)), plan


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
    assert entries(clinic)[0]["objectId"] == one


def test_nobody_changes_the_log_by_a_detour(clinic: Clinic) -> None:
    """The master key, at every other door that changes or removes something."""
    one, master = entries(clinic)[0], clinic.master
    forged, path = {"action": "forged"}, f"/classes/AuditLog/{one['objectId']}"
    parts = [
        {"method": "POST", "path": "/parse/classes/AuditLog", "body": forged},
        {"method": "PUT", "path": f"/parse{path}", "body": forged},
        {"method": "DELETE", "path": f"/parse{path}", "body": {}},
    ]
    answers = master.ask("POST", "/batch", {"requests": parts}).json()
    assert [answer["error"]["code"] for answer in answers] == [119] * 3
    for part in parts:
        whole = {"requests": [part], "transaction": True}
        assert master.refusal("POST", "/batch", whole) == 119
    for method in ("PUT", "DELETE"):
        assert master.refusal("POST", path, {**forged, "_method": method}) == 119
    for fields in ({"summary": {"__op": "Delete"}}, {"note": {"type": "String"}}):
        assert master.refusal("PUT", "/schemas/AuditLog", {"className": "AuditLog", "fields": fields}) == 119
    open_to_all = {name: {"*": True} for name in ("find", "update", "delete")}
    permissions = {"className": "AuditLog", "classLevelPermissions": open_to_all}
    assert master.refusal("PUT", "/schemas/AuditLog", permissions) == 119
    assert master.refusal("DELETE", "/schemas/AuditLog") == 119
    for class_name in ("AuditLog", "RecordVersion"):
        assert master.refusal("DELETE", f"/purge/{class_name}") == 119
    stages = (
        {"$out": "AuditLog"},
        {"$merge": {"into": "AuditLog"}},
        {"$facet": {"a": [{"$out": "AuditLog"}]}},
    )
    for stage in stages:
        assert master.refusal("GET", "/aggregate/Notification", pipeline=[stage]) == 102
    for trigger in ("beforeSave", "beforeDelete"):
        hook = {"className": "AuditLog", "triggerName": trigger, "url": "http://hooks.example.org/"}
        master.ask("POST", "/hooks/triggers", hook)
        master.ask("PUT", f"/hooks/triggers/AuditLog/{trigger}", {"__op": "Delete"})
    assert master.refusal("PUT", path, forged) == 119
    assert master.refusal("DELETE", path) == 119
    assert entries(clinic)[0] == one
    assert command(clinic, "verify").exit_code == 0


def test_each_way_of_reading_is_recorded(clinic: Clinic) -> None:
    """Whatever shows something of a record, or depends on it, leaves one entry for each class."""
    result, path = create(clinic, "LabResult"), "/classes/LabResult"
    patient, master = clinic.patient.caller, clinic.master
    where = {"objectId": result}
    high = {"className": "LabResult", "where": {"resultValue": {"$gt": "2"}}}
    named = {"entityId": {"$select": {"key": "objectId", "query": high}}}
    joined = {"$lookup": {"from": "LabResult", "pipeline": [], "as": "all"}}
    nested = {"$facet": {"a": [joined]}}
    ways: list[tuple[Caller, str, dict[str, Any], list[tuple[str, str]]]] = [
        (patient, f"{path}/{result}", {}, [("view", "LabResult")]),
        (patient, path, {"where": where}, [("list", "LabResult")]),
        (patient, path, {"where": where, "keys": "testName"}, [("list", "LabResult")]),
        (patient, path, {"count": 1, "limit": 0}, [("count", "LabResult")]),
        (
            patient,
            path,
            {"where": where, "include": "patient,orderedBy"},
            [("list", "LabResult"), ("list", "PatientProfile"), ("list", "_User")],
        ),
        (patient, "/classes/Notification", {"where": named}, [("search", "LabResult")]),
        (
            patient,
            "/classes/PatientProfile",
            {"where": {"$or": [{"objectId": "x"}, {"user": {"$inQuery": high}}]}},
            [("search", "LabResult")],
        ),
        (master, "/aggregate/LabResult", {"distinct": "testName"}, [("aggregate", "LabResult")]),
        (master, "/aggregate/LabResult", {"pipeline": [{"$limit": 1}]}, [("aggregate", "LabResult")]),
        (master, "/aggregate/Notification", {"pipeline": [joined]}, [("aggregate", "LabResult")]),
        (
            master,
            "/aggregate/ProviderCalendar",
            {"pipeline": [{"$unionWith": "LabResult"}]},
            [("aggregate", "LabResult")],
        ),
        (master, "/aggregate/Notification", {"pipeline": [nested]}, [("aggregate", "LabResult")]),
        (patient, "/users/me", {}, [("view", "_User")]),
    ]
    for caller, place, parameters, expected in ways:
        before = len(entries(clinic))
        caller.ask("GET", place, **parameters)
        new = [(entry["action"], entry["entityType"]) for entry in entries(clinic)[before:]]
        assert sorted(new) == expected, (place, parameters)


def test_without_an_entry_nothing_happens(clinic: Clinic) -> None:
    result, patient, doctor = create(clinic, "LabResult"), clinic.patient.caller, clinic.provider.caller
    path, in_the_way = f"/classes/LabResult/{result}", entry_id(len(entries(clinic)) + 1)
    sessions = clinic.master.get("/sessions", count=1, limit=0)["count"]
    who = {"patient": clinic.subject(clinic.patient), "provider": clinic.other_provider.id}
    in_database(clinic, lambda toolbox: insert_entry(toolbox, in_the_way))
    try:
        answers = [
            patient.ask("GET", path),
            patient.ask("GET", "/classes/LabResult"),
            patient.ask("GET", "/classes/LabResult", count=1, limit=0),
            patient.ask("GET", "/classes/LabResult", include="patient"),
            clinic.master.ask("GET", "/aggregate/LabResult", distinct="testName"),
            clinic.visitor.ask("POST", "/login", {"username": "patient", "password": PASSWORD}),
            clinic.visitor.ask("POST", "/users", {"username": "unrecorded", "password": PASSWORD}),
            doctor.ask("PUT", path, {"units": "x"}),
            doctor.ask("POST", "/classes/LabResult", {**new_body(clinic, "LabResult"), "units": "x"}),
            doctor.ask("POST", "/functions/assignProvider", who),
            clinic.master.ask("DELETE", "/purge/LabResult"),
        ]
    finally:
        in_database(clinic, lambda toolbox: remove_entry(toolbox, in_the_way))
    assert [answer.status_code for answer in answers if answer.status_code < 400] == []
    assert [answer.text for answer in answers if "LDL" in answer.text or "sessionToken" in answer.text] == []
    assert clinic.master.get("/sessions", count=1, limit=0)["count"] == sessions
    assert clinic.master.get("/classes/LabResult", where={"units": "x"})["results"] == []
    assert clinic.master.get("/users", where={"username": "unrecorded"})["results"] == []
    assert clinic.other_provider.caller.refusal("GET", path) == 101
    assert "units" not in patient.get(path)


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
    with watching(clinic, clinic.patient, "LabResult") as socket:
        result = create(clinic, "LabResult")
        assert heard(socket)["object"]["objectId"] == result
    assert actions(clinic, result) == [("create", clinic.provider.id), ("deliver", clinic.patient.id)]


def test_the_download_of_an_attachment_is_recorded(clinic: Clinic) -> None:
    doctor, patient = clinic.provider, clinic.patient
    file = doctor.caller._client.post("/files/result.pdf", content=b"%PDF", headers={"Content-Type": "a/b"})
    attachments = [{"__type": "File", "name": file.json()["name"]}]
    body = {**new_body(clinic, "Message", doctor), "attachments": attachments}
    message = doctor.caller.post("/classes/Message", body)["objectId"]
    url = patient.caller.get(f"/classes/Message/{message}")["attachments"][0]["url"]
    assert patient.caller._client.get(url).content == b"%PDF"
    assert clinic.other_patient.caller._client.get(url).status_code == 404
    assert actions(clinic, message)[-1] == ("download", patient.id)
