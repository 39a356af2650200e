"""The last arrows of the sequence diagrams: the patient's app, in a real browser, is told in real time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from parse_clone.settings import LiveQuery
from tests.clinic.people import PASSWORD, Clinic, open_clinic
from tests.clinic.records import create, message, side_effect

STORIES: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("sqlite", "patient_portal", "LabResult", {"status": "final"}),
    ("mongo", "medical_concierge", "LabResult", {"status": "final"}),
    ("sqlite", "cardiology_suite", "ECGReport", {"status": "final"}),
    ("mongo", "wound_care", "WoundAssessment", {"status": "final"}),
    ("sqlite", "oncology_care_planner", "ChemoCycle", {"cycleNumber": 2}),
)
"""Engine and template; what the provider changes of a record of the patient, and how."""


@pytest.mark.parametrize(("engine", "template", "class_name", "change"), STORIES, ids=lambda text: str(text))
def test_the_patients_app_is_told(
    engine: str,
    template: str,
    class_name: str,
    change: dict[str, Any],
    request: pytest.FixtureRequest,
    run_in_browser: Callable[..., None],
) -> None:
    uri = request.getfixturevalue("mongo_uri") if engine == "mongo" else ""
    with open_clinic(engine, uri, template, live_query=LiveQuery(class_names=(".*",))) as clinic:
        story = json.dumps(tell_story(clinic, class_name, change))
        run_in_browser("live_query.test.mjs", clinic.server, STORY=story)


def tell_story(clinic: Clinic, class_name: str, change: dict[str, Any]) -> dict[str, Any]:
    """Who does what while the apps are open."""
    return {
        "password": PASSWORD,
        "provider": clinic.provider.caller.session,
        "otherPatient": clinic.other_patient.caller.session,
        **(new_message(clinic) if clinic.template.message else new_side_effect(clinic)),
        "className": class_name,
        "record": create(clinic, class_name),
        "change": change,
        **other_row(clinic),
    }


def new_message(clinic: Clinic) -> dict[str, Any]:
    """The provider writes to the patient."""
    author, body = clinic.provider, message(clinic, clinic.provider)
    return {"author": author.caller.session, "newClass": "Message", "newObject": body, "newField": "body"}


def new_side_effect(clinic: Clinic) -> dict[str, Any]:
    """The patient logs a side effect, on another device of his."""
    author, body = clinic.patient, side_effect(clinic, clinic.patient)
    new = {"newClass": "SideEffect", "newObject": body, "newField": "description"}
    return {"author": author.caller.session, **new}


def other_row(clinic: Clinic) -> dict[str, Any]:
    """The other patient's own: his profile, or himself."""
    profile = clinic.other_patient.profile
    if profile is None:
        return {"otherRow": ["_User", clinic.other_patient.id], "rowChange": {"email": "tom@example.org"}}
    row = [profile["className"], profile["objectId"]]
    return {"otherRow": row, "rowChange": {"displayName": "Tom Wong"}}
