"""The sequence diagram of the template oncology care planner, arrow by arrow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.protocol.callers import date, pointer
from tests.protocol.clinic import Clinic, open_clinic
from tests.servers import ENGINES


@pytest.fixture(scope="module", params=ENGINES)
def clinic(request: pytest.FixtureRequest) -> Iterator[Clinic]:
    engine: str = request.param
    uri = request.getfixturevalue("mongo_uri") if engine == "mongo" else ""
    with open_clinic(engine, uri, "oncology_care_planner") as opened:
        yield opened


def test_sequence_diagram(clinic: Clinic) -> None:
    patient, clinician = clinic.patient, clinic.clinician
    cycle = clinician.caller.post(
        "/classes/ChemoCycle",
        {
            "cycleNumber": 1,
            "startDate": date("2026-01-05T00:00:00.000Z"),
            "endDate": date("2026-01-26T00:00:00.000Z"),
            "patient": patient.pointer,
            "ACL": clinic.shared_acl(),
        },
    )["objectId"]
    trend = {"labTestName": "ANC", "patient": patient.pointer, "ACL": clinic.shared_acl()}
    for result, day in ((1.4, "2026-01-12"), (0.9, "2026-01-19")):
        body = {**trend, "result": result, "date": date(f"{day}T08:00:00.000Z")}
        clinician.caller.post("/classes/LabTrend", body)

    # View chemotherapy cycles
    (found,) = patient.caller.get("/classes/ChemoCycle")["results"]
    assert found["objectId"] == cycle

    # Log side effect
    effect = {
        "description": "nausea",
        "severity": "mild",
        "chemoCycle": pointer("ChemoCycle", cycle),
        "recordedAt": date("2026-01-07T09:00:00.000Z"),
        "ACL": clinic.common_acl(),
    }
    logged = patient.caller.post("/classes/SideEffect", effect)["objectId"]
    read = clinician.caller.get(f"/classes/SideEffect/{logged}", include="chemoCycle")
    assert read["chemoCycle"]["cycleNumber"] == 1

    # View lab trends
    trends = patient.caller.get("/classes/LabTrend", order="date")["results"]
    assert [one["result"] for one in trends] == [1.4, 0.9]

    # Log access
    access = {"user": patient.pointer, "accessTime": date("2026-01-20T09:00:00.000Z")}
    entry = patient.caller.post("/classes/AccessLog", access)["objectId"]
    assert patient.caller.get("/classes/AccessLog")["results"][0]["objectId"] == entry
    assert patient.caller.refusal("PUT", f"/classes/AccessLog/{entry}", {"user": patient.pointer}) == 119


def test_everybody_else_is_kept_out(clinic: Clinic) -> None:
    other = clinic.other_patient.caller
    for name in ("ChemoCycle", "SideEffect", "LabTrend", "AccessLog"):
        assert clinic.visitor.sees_nothing(f"/classes/{name}")
        assert other.sees_nothing(f"/classes/{name}")
    found = clinic.patient.caller.get("/classes/ChemoCycle")["results"][0]["objectId"]
    assert other.refusal("DELETE", f"/classes/ChemoCycle/{found}") == 101


def test_users_say_their_role_and_nobody_else_sees_it(clinic: Clinic) -> None:
    user = {"username": "eve", "password": "x", "email": "eve@example.org"}
    assert clinic.visitor.refusal("POST", "/users", user) == 142
    patient = clinic.patient
    assert patient.caller.get(f"/users/{patient.id}")["role"] == "member"
    clinic.master.put(f"/users/{patient.id}", {"ACL": {"*": {"read": True}}})
    seen = clinic.other_patient.caller.get(f"/users/{patient.id}")
    assert "role" not in seen
    assert "email" not in seen
