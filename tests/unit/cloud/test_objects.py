"""Objects in the hands of hook authors."""

from __future__ import annotations

from parse_clone.cloud.client import Client
from parse_clone.cloud.objects import ParseObject
from parse_clone.cloud.values import Pointer, to_wire
from tests.unit.services.clinic import open_clinic

WARD = {"objectId": "w1", "name": "East"}
IN_FULL = {"__type": "Object", "className": "Ward", **WARD}
POINTER = {"__type": "Pointer", "className": "Ward", "objectId": "w1"}


def test_a_field_set_to_an_object_stores_a_pointer_and_answers_the_object() -> None:
    patient = ParseObject("Patient", {"objectId": "p1"})
    patient["ward"] = ParseObject("Ward", WARD)
    patient["stays"] = [{"ward": ParseObject("Ward", WARD)}]
    patient.add("wards", ParseObject("Ward", WARD))
    assert patient["ward"] == Pointer("Ward", "w1")
    assert patient.to_json() == {
        "objectId": "p1",
        "ward": POINTER,
        "stays": [{"ward": POINTER}],
        "wards": [POINTER],
    }
    assert patient.to_answer() == {**patient.to_json(), "ward": IN_FULL, "stays": [{"ward": IN_FULL}]}
    assert patient.pending_json()["ward"] == POINTER


def test_an_object_is_answered_only_where_its_pointer_still_stands() -> None:
    patient = ParseObject("Patient", {"objectId": "p1"})
    patient["ward"] = ParseObject("Ward", WARD)
    patient["ward"] = Pointer("Ward", "w2")
    patient["other"] = ParseObject("Ward", WARD)
    del patient["other"]
    assert patient.to_answer() == {
        "objectId": "p1",
        "ward": {"__type": "Pointer", "className": "Ward", "objectId": "w2"},
    }


def test_a_stored_object_is_answered_in_full_and_a_changed_one_as_a_pointer() -> None:
    ward = ParseObject("Ward", WARD)
    assert to_wire({"found": [ward]}) == {"found": [IN_FULL]}
    ward["name"] = "West"
    assert to_wire(ward) == POINTER


async def test_objects_are_stored_and_asked_for_by_their_pointers() -> None:
    async with open_clinic() as clinic:
        client = Client.master(clinic.toolbox)
        ward = ParseObject.new("Ward", name="East")
        await client.save(ward)
        patient = ParseObject.new("Patient", ward=ward, stays=[ward])
        await client.save(patient)
        row = await clinic.row("Patient", patient.id or "")
        assert row["ward"] == row["stays"][0] == {**POINTER, "objectId": ward.id}
        found = await client.query("Patient").where({"stays": ward}, ward=ward).find()
        assert [each.id for each in found] == [patient.id]
