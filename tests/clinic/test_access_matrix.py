"""The matrix: everybody tries everything with an object of the first patient, through every door."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from cloud_code.templates import EXPORTS
from tests.clinic.doors import OPERATIONS, Door, SdkDoor, by_batch, by_rest, path_of
from tests.clinic.expectations import MATRIX
from tests.clinic.people import NAMES, Clinic
from tests.clinic.records import change_of, create, new_body
from tests.servers import ENGINES

ACTORS = ("anonymous", *NAMES)
CASES = [(engine, template) for engine in ENGINES for template in MATRIX]
BY_BATCH = {"sqlite": tuple(MATRIX), "mongo": ("patient_portal",)}
BY_SDK = {"sqlite": (*EXPORTS, "agent/patient_portal"), "mongo": ("patient_portal",)}
"""All doors lead to the same steps: REST is asked about every template on every engine, the others about all
or most of them on one engine, and about one on the other."""


@pytest.mark.parametrize(("engine", "clinic"), CASES, indirect=True)
def test_everybody_may_do_what_the_table_says_and_nothing_else(
    clinic: Clinic, engine: str, request: pytest.FixtureRequest
) -> None:
    expected = MATRIX[clinic.template.name]
    doors: dict[str, Door] = {"rest": by_rest}
    with ExitStack() as stack:
        if clinic.template.name in BY_BATCH[engine]:
            doors["batch"] = by_batch
        if clinic.template.name in BY_SDK[engine]:
            doors["sdk"] = sdk = SdkDoor(request.getfixturevalue("node"), clinic.visitor)
            stack.callback(sdk.close)
        for name, door in doors.items():
            observed = {class_name: observe(clinic, door, class_name) for class_name in expected}
            assert observed == expected, name


def observe(clinic: Clinic, door: Door, class_name: str) -> dict[str, str]:
    """Try everything; who succeeded in what."""
    rights = {actor: attempts(clinic, door, class_name, actor) for actor in ACTORS}
    return {actor: letters for actor, letters in rights.items() if letters}


def attempts(clinic: Clinic, door: Door, class_name: str, actor: str) -> str:
    """What one caller succeeds in, with an object of his own test."""
    caller = clinic.visitor if actor == "anonymous" else clinic.people[actor].caller
    person = clinic.people.get(actor, clinic.patient)
    target = object_of(clinic, class_name)
    found = ""
    for letter, op in OPERATIONS.items():
        if class_name == "_User" and op in ("create", "delete"):
            continue  # everybody signs up; nobody but oneself closes an account
        body = new_body(clinic, class_name, person) if op == "create" else change_of(clinic, class_name)
        if door(caller, op, class_name, target, body if op in ("create", "update") else {}):
            found += letter
    return found


def object_of(clinic: Clinic, class_name: str) -> str:
    """An object of the first patient, new where it can be."""
    profile = clinic.template.profile
    if profile is not None and class_name == profile.class_name:
        return clinic.subject(clinic.patient)
    if class_name == clinic.template.provider_class:
        assert clinic.provider.profile is not None
        return clinic.provider.profile["objectId"]
    if class_name == "_User":
        return clinic.patient.id
    if class_name == "RecordVersion":
        result = create(clinic, "LabResult")
        clinic.provider.caller.put(f"/classes/LabResult/{result}", {"units": "g/l"})
        return found_by_master(clinic, class_name, {"entityId": result})
    if class_name == "Notification":
        result = create(clinic, "LabResult")
        clinic.provider.caller.put(f"/classes/LabResult/{result}", {"status": "final"})
        return found_by_master(clinic, class_name, {"entityId": result})
    if class_name == "ProviderApplication":
        return found_by_master(clinic, class_name, {"user": clinic.provider.pointer})
    if class_name == "ProviderCalendar":
        create(clinic, "Appointment")
        return found_by_master(clinic, class_name, {"provider": clinic.provider.pointer})
    if class_name == "_Role":
        return found_by_master(clinic, class_name, {"name": f"careTeam_{clinic.patient.id}"})
    if class_name == "AuditLog":
        return found_by_master(clinic, class_name, {})
    return create(clinic, class_name)


def found_by_master(clinic: Clinic, class_name: str, where: dict[str, Any]) -> str:
    """The id of an object that the server made."""
    found = clinic.master.get(path_of(class_name), where=where, limit=1)["results"]
    return str(found[0]["objectId"])
