"""The ECG report of the cardiology suite, end to end: uploaded by the clinician, seen by the patient."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.clinic.people import PASSWORD, open_clinic
from tests.clinic.records import new_body
from tests.servers import ENGINES


@pytest.mark.parametrize("engine", ENGINES)
def test_only_the_patients_app_shows_the_report(
    engine: str, request: pytest.FixtureRequest, run_in_browser: Callable[..., None]
) -> None:
    uri = request.getfixturevalue("mongo_uri") if engine == "mongo" else ""
    with open_clinic(engine, uri, "cardiology_suite", files_url=None) as clinic:
        body = new_body(clinic, "ECGReport", clinic.provider)
        story = {
            "password": PASSWORD,
            "report": {**body, "status": "final"},
            "provider": "provider",
            "patient": "patient",
            "other": "other_patient",
        }
        run_in_browser("private_files.test.mjs", clinic.server, STORY=json.dumps(story))
