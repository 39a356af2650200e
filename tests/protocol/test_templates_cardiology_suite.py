"""The sequence diagram of the template cardiology suite, arrow by arrow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.protocol.callers import date
from tests.protocol.clinic import Clinic, create_profile, message_to_clinician, open_clinic
from tests.servers import ENGINES


@pytest.fixture(scope="module", params=ENGINES)
def clinic(request: pytest.FixtureRequest) -> Iterator[Clinic]:
    engine: str = request.param
    uri = request.getfixturevalue("mongo_uri") if engine == "mongo" else ""
    with open_clinic(engine, uri, "cardiology_suite") as opened:
        yield opened


def test_sequence_diagram(clinic: Clinic) -> None:
    patient, clinician = clinic.patient, clinic.clinician
    chart = create_profile(clinic, "MRN-0001")
    uploaded = clinician.caller.post("/files/ecg.txt", "25 mm/s")
    report = {
        "patient": chart,
        "orderedBy": clinician.pointer,
        "reportData": {"__type": "File", "name": uploaded["name"]},
        "ACL": clinic.shared_acl(),
    }
    reports = []
    for status, published in (
        ("final", "2026-01-01T08:00:00.000Z"),
        ("draft", "2026-02-01T08:00:00.000Z"),
    ):
        body = {**report, "status": status, "publishedAt": date(published)}
        reports.append(clinician.caller.post("/classes/ECGReport", body)["objectId"])

    # Open dashboard: profile and recent ECG reports
    (profile,) = patient.caller.get("/classes/PatientProfile", where={"user": patient.pointer})["results"]
    assert profile["isActive"] is True
    found = patient.caller.get("/classes/ECGReport", where={"patient": chart}, order="-publishedAt")
    assert [one["objectId"] for one in found["results"]] == reports[::-1]
    assert found["results"][0]["reportData"]["url"].startswith("http")

    # Log cardiac rehab activity
    activity = {
        "patient": chart,
        "exerciseType": "walking",
        "duration": 30,
        "caloriesBurned": 120,
        "date": date("2026-02-02T17:00:00.000Z"),
        "ACL": clinic.common_acl(),
    }
    logged = patient.caller.post("/classes/CardiacRehabLog", activity)["objectId"]
    assert clinician.caller.get(f"/classes/CardiacRehabLog/{logged}")["duration"] == 30

    # Send secure message to clinician
    patient.caller.post("/classes/Message", message_to_clinician(clinic, chart))
    (received,) = clinician.caller.get("/classes/Message", where={"to": clinician.pointer})["results"]
    assert received["body"] == "Is the result in?"

    # Clinician finalizes the report; the app fetches it
    clinician.caller.put(f"/classes/ECGReport/{reports[1]}", {"status": "final"})
    assert patient.caller.get(f"/classes/ECGReport/{reports[1]}")["status"] == "final"


def test_everybody_else_is_kept_out(clinic: Clinic) -> None:
    other = clinic.other_patient.caller
    for name in ("PatientProfile", "ECGReport", "CardiacRehabLog", "Message"):
        assert clinic.visitor.sees_nothing(f"/classes/{name}")
        assert other.sees_nothing(f"/classes/{name}")
    assert clinic.patient.caller.refusal("POST", "/classes/ECGReport", {}) == 119
    found = clinic.patient.caller.get("/classes/ECGReport")["results"][0]["objectId"]
    assert clinic.clinician.caller.refusal("DELETE", f"/classes/ECGReport/{found}") == 119
