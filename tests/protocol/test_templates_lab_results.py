"""The sequence diagram of patient portal and medical concierge (they are one), arrow by arrow."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

from tests.protocol.callers import date
from tests.protocol.clinic import Clinic, create_profile, message_to_clinician, open_clinic
from tests.servers import ENGINES


@pytest.fixture(
    scope="module", params=product(("patient_portal", "medical_concierge"), ENGINES), ids="-".join
)
def clinic(request: pytest.FixtureRequest) -> Iterator[Clinic]:
    template, engine = request.param
    uri = request.getfixturevalue("mongo_uri") if engine == "mongo" else ""
    with open_clinic(engine, uri, template) as opened:
        yield opened


def test_sequence_diagram(clinic: Clinic) -> None:
    patient, clinician = clinic.patient, clinic.clinician
    chart = create_profile(clinic, "MRN-0001")
    lab = {"patient": chart, "orderedBy": clinician.pointer, "ACL": clinic.shared_acl()}
    for name, status, published in (
        ("CRP", "final", "2026-01-01T08:00:00.000Z"),
        ("TSH", "pending", "2026-02-01T08:00:00.000Z"),
    ):
        clinician.caller.post(
            "/classes/LabResult",
            {**lab, "testName": name, "status": status, "publishedAt": date(published)},
        )
    plan = {"patient": chart, "createdBy": clinician.pointer, "ACL": clinic.shared_acl()}
    for summary, status in (("Rest", "completed"), ("Walk daily", "active")):
        clinician.caller.post("/classes/TreatmentPlan", {**plan, "summary": summary, "status": status})

    # Open dashboard: profile and recent labs
    (found,) = patient.caller.get("/classes/PatientProfile", where={"user": patient.pointer})["results"]
    assert found["displayName"] == "Mia Wong"
    assert found["medicalRecordNumber"] == "MRN-0001"
    labs = patient.caller.get("/classes/LabResult", where={"patient": chart}, order="-publishedAt")["results"]
    assert [result["testName"] for result in labs] == ["TSH", "CRP"]

    # View active treatment plan
    (active,) = patient.caller.get("/classes/TreatmentPlan", where={"patient": chart, "status": "active"})[
        "results"
    ]
    assert active["summary"] == "Walk daily"

    # Send secure message to clinician
    message = patient.caller.post("/classes/Message", message_to_clinician(clinic, chart))["objectId"]
    (received,) = clinician.caller.get("/classes/Message", where={"to": clinician.pointer})["results"]
    assert received["objectId"] == message

    # Clinician finalizes the lab result; the app fetches it
    pending = labs[0]["objectId"]
    clinician.caller.put(f"/classes/LabResult/{pending}", {"status": "final", "resultValue": "2.1"})
    assert patient.caller.get(f"/classes/LabResult/{pending}")["status"] == "final"


def test_everybody_else_is_kept_out(clinic: Clinic) -> None:
    other, patient = clinic.other_patient.caller, clinic.patient.caller
    for name in ("PatientProfile", "LabResult", "TreatmentPlan", "Message", "Appointment"):
        assert clinic.visitor.sees_nothing(f"/classes/{name}")
        assert other.sees_nothing(f"/classes/{name}")
    for name in ("LabResult", "TreatmentPlan"):
        assert patient.refusal("POST", f"/classes/{name}", {}) == 119
        found = patient.get(f"/classes/{name}")["results"][0]["objectId"]
        assert patient.refusal("PUT", f"/classes/{name}/{found}", {"status": "x"}) in (101, 119)
        assert clinic.clinician.caller.refusal("DELETE", f"/classes/{name}/{found}") == 119
    assert patient.refusal("GET", "/classes/AuditLog") == 119
    assert clinic.clinician.caller.refusal("POST", "/classes/AuditLog", {}) == 119


def test_medical_record_numbers_are_unique(clinic: Clinic) -> None:
    profile = {"user": clinic.other_patient.pointer, "displayName": "Tom", "isActive": True}
    clinic.master.post("/classes/PatientProfile", {**profile, "medicalRecordNumber": "MRN-7"})
    again = {**profile, "medicalRecordNumber": "MRN-7"}
    assert clinic.master.refusal("POST", "/classes/PatientProfile", again) == 137


def test_required_fields_are_demanded(clinic: Clinic) -> None:
    code = clinic.clinician.caller.refusal("POST", "/classes/LabResult", {"status": "final"})
    assert code == 142
