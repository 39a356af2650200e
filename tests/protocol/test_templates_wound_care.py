"""The sequence diagram of the template wound care, arrow by arrow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.protocol.clinic import Clinic, create_profile, message_to_clinician, open_clinic
from tests.servers import ENGINES


@pytest.fixture(scope="module", params=ENGINES)
def clinic(request: pytest.FixtureRequest) -> Iterator[Clinic]:
    engine: str = request.param
    uri = request.getfixturevalue("mongo_uri") if engine == "mongo" else ""
    with open_clinic(engine, uri, "wound_care") as opened:
        yield opened


def test_sequence_diagram(clinic: Clinic) -> None:
    patient, clinician = clinic.patient, clinic.clinician
    chart = create_profile(clinic, "MRN-0001")
    wound = {
        "patient": chart,
        "location": "left heel",
        "woundType": "pressure ulcer",
        "size": "2 x 3 cm",
        "status": "open",
    }
    clinician.caller.post(
        "/classes/WoundAssessment", {**wound, "assessedBy": clinician.pointer, "ACL": clinic.shared_acl()}
    )

    # Open wound assessment dashboard
    (profile,) = patient.caller.get("/classes/PatientProfile", where={"user": patient.pointer})["results"]
    assert profile["displayName"] == "Mia Wong"
    assessments = patient.caller.get("/classes/WoundAssessment", where={"patient": chart})["results"]
    assert [found["location"] for found in assessments] == ["left heel"]

    # Create new wound assessment
    own = {**wound, "location": "right heel", "assessedBy": patient.pointer, "ACL": clinic.common_acl()}
    created = patient.caller.post("/classes/WoundAssessment", own)["objectId"]

    # Send secure message to clinician
    patient.caller.post("/classes/Message", message_to_clinician(clinic, chart))
    (received,) = clinician.caller.get("/classes/Message", where={"conversationId": "c-1"})["results"]
    assert received["from"] == patient.pointer

    # Clinician updates the assessment; the app fetches it
    clinician.caller.put(f"/classes/WoundAssessment/{created}", {"status": "healing"})
    assert patient.caller.get(f"/classes/WoundAssessment/{created}")["status"] == "healing"


def test_everybody_else_is_kept_out(clinic: Clinic) -> None:
    other = clinic.other_patient.caller
    for name in ("PatientProfile", "WoundAssessment", "Message"):
        assert clinic.visitor.sees_nothing(f"/classes/{name}")
        assert other.sees_nothing(f"/classes/{name}")
    found = clinic.patient.caller.get("/classes/WoundAssessment")["results"][0]["objectId"]
    assert other.refusal("GET", f"/classes/WoundAssessment/{found}") == 101
    assert other.refusal("PUT", f"/classes/WoundAssessment/{found}", {"status": "x"}) == 101
    assert clinic.clinician.caller.refusal("DELETE", f"/classes/WoundAssessment/{found}") == 119
