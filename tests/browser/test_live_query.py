"""The last arrows of the sequence diagrams: the patient's app, in a real browser, is told in real time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from parse_clone.settings import LiveQuery
from tests.clinic.people import PASSWORD, Clinic, open_clinic
from tests.clinic.records import create, message

STORIES: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("sqlite", "patient_portal", "LabResult", {"status": "final"}),
    ("sqlite", "cardiology_suite", "ECGReport", {"status": "final"}),
    ("mongo", "wound_care", "WoundAssessment", {"status": "final"}),
)


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
    profile = clinic.other_patient.profile
    assert profile is not None
    return {
        "password": PASSWORD,
        "provider": clinic.provider.caller.session,
        "otherPatient": clinic.other_patient.caller.session,
        "message": message(clinic, clinic.provider),
        "bodyField": "body",
        "className": class_name,
        "record": create(clinic, class_name),
        "change": change,
        "otherProfile": [profile["className"], profile["objectId"]],
        "profileChange": {"displayName": "Tom Wong"},
    }
