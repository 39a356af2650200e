"""The questions of the Patient Portal's page, as `docs/healthcare.md` answers them."""

from __future__ import annotations

from pathlib import Path

import httpx

from cloud_code.rights_page import with_rights
from tests.clinic.people import Clinic
from tests.clinic.records import create, lab_result, message, new_body
from tests.protocol.callers import date
from tests.servers import APP_ID, REST_KEY

PAGE = Path(__file__).parents[2] / "docs" / "healthcare.md"


def test_the_page_shows_the_rights_of_the_tables() -> None:
    assert with_rights(PAGE.read_text()) == PAGE.read_text(), "run `make docs`"


def test_latest_result_and_its_provider_in_one_query(clinic: Clinic) -> None:
    for _ in range(2):
        latest = create(clinic, "LabResult")
        clinic.provider.caller.put(f"/classes/LabResult/{latest}", {"status": "final"})
    found = clinic.patient.caller.get(
        "/classes/LabResult",
        where={"patient": clinic.patient.profile, "status": {"$in": ["final", "amended"]}},
        order="-publishedAt",
        limit=1,
        include="orderedBy",
    )["results"]
    assert [(row["objectId"], row["orderedBy"]["username"]) for row in found] == [(latest, "provider")]
    assert "email" not in found[0]["orderedBy"]


def test_mark_a_message_as_read(clinic: Clinic) -> None:
    sent = clinic.patient.caller.post("/classes/Message", message(clinic, clinic.patient))["objectId"]
    clinic.provider.caller.put(f"/classes/Message/{sent}", {"isRead": True})
    read = clinic.patient.caller.get(f"/classes/Message/{sent}")
    assert read["isRead"] is True
    assert read["readAt"]["__type"] == "Date"


def test_a_lab_pdf_is_for_those_who_read_the_result(clinic: Clinic) -> None:
    keys = {"X-Parse-Application-Id": APP_ID, "X-Parse-REST-API-Key": REST_KEY}
    headers = {
        **keys,
        "X-Parse-Session-Token": clinic.provider.caller.session,
        "Content-Type": "application/pdf",
    }
    url = f"{clinic.server.url}/files/result.pdf"
    stored = httpx.post(url, content=b"%PDF-1.7 values", headers=headers).json()
    file = {"__type": "File", "name": stored["name"], "url": stored["url"]}
    body = {**lab_result(clinic, clinic.provider), "attachments": [file]}
    result = clinic.provider.caller.post("/classes/LabResult", body)["objectId"]

    address = clinic.patient.caller.get(f"/classes/LabResult/{result}")["attachments"][0]["url"]
    assert httpx.get(address).content == b"%PDF-1.7 values"
    bare = address.partition("?")[0]
    assert httpx.get(bare).status_code >= 400
    assert httpx.get(f"{address}x").status_code >= 400
    session = {**keys, "X-Parse-Session-Token": clinic.other_patient.caller.session}
    assert httpx.get(bare, headers=session).status_code >= 400
    assert clinic.other_patient.caller.refusal("GET", f"/classes/LabResult/{result}") == 101


def test_the_audit_flow_end_to_end(clinic: Clinic) -> None:
    result = create(clinic, "LabResult")
    clinic.provider.caller.put(f"/classes/LabResult/{result}", {"status": "final"})
    clinic.patient.caller.get(f"/classes/LabResult/{result}")
    where = {"entityType": "LabResult", "entityId": result}
    found = clinic.auditor.caller.get("/classes/AuditLog", where=where, order="objectId")["results"]
    who = [(entry["action"], entry["actor"]["objectId"]) for entry in found]
    provider, patient = clinic.provider.id, clinic.patient.id
    assert who == [("create", provider), ("publish", provider), ("view", patient)]


def test_acknowledge_a_treatment_plan(clinic: Clinic) -> None:
    plan = create(clinic, "TreatmentPlan")
    clinic.provider.caller.put(f"/classes/TreatmentPlan/{plan}", {"status": "active"})
    clinic.call(clinic.patient.caller, "acknowledgePlan", plan=plan)
    assert clinic.provider.caller.get(f"/classes/TreatmentPlan/{plan}")["status"] == "acknowledged"


def test_appointment_context(clinic: Clinic) -> None:
    clinic.patient.caller.post("/classes/Appointment", new_body(clinic, "Appointment"))
    found = clinic.patient.caller.get(
        "/classes/Appointment",
        where={"status": "scheduled", "startAt": {"$gt": date("2030-01-01T00:00:00.000Z")}},
        order="startAt",
        limit=1,
        include="patient,provider",
    )["results"][0]
    assert found["patient"]["displayName"] == "Patient"
    assert found["provider"]["username"] == "provider"
