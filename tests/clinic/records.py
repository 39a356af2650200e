"""Objects of the first patient, as the people of the clinic write them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from tests.clinic.people import Clinic, Person
from tests.protocol.callers import date, pointer

Body = dict[str, Any]
NOW = "2026-05-01T10:00:00.000Z"
FILE = {"__type": "File", "name": "ecg.pdf", "url": "http://files.example.org/ecg.pdf"}

hours = count()


def a_date(after_hours: float = 0) -> Body:
    """A date that lies some hours later."""
    moment = datetime(2031, 1, 1, tzinfo=UTC) + timedelta(hours=after_hours)
    return date(moment.strftime("%Y-%m-%dT%H:%M:%S.000Z"))


def new_body(clinic: Clinic, class_name: str, by: Person | None = None) -> Body:
    """What a client sends to create an object of the first patient; `by` is who is going to."""
    make = BODIES.get(class_name)
    return {} if make is None else make(clinic, by or clinic.provider)


def change_of(clinic: Clinic, class_name: str) -> Body:
    """A change that whoever may write the object may make."""
    if class_name in ("Message", "PatientMessage"):
        message = clinic.template.message
        assert message is not None
        return {str(message.is_read): True} if message.is_read else {"status": "read"}
    chosen = AGENT_CHANGES if is_agent(clinic) else CHANGES
    return dict(chosen.get(class_name, CHANGES.get(class_name, {})))


def is_agent(clinic: Clinic) -> bool:
    """Is this the model of an agent prompt?"""
    return clinic.template.name.startswith("agent/")


def chart(clinic: Clinic) -> Body:
    """The pointer that names the first patient."""
    return clinic.patient.profile or clinic.patient.pointer


def message(clinic: Clinic, by: Person) -> Body:
    """A message of anybody about the first patient: to his provider, or from him to the patient."""
    other = clinic.patient if by.id == clinic.provider.id else clinic.provider
    names = clinic.template.message
    assert names is not None
    body: Body = {names.recipient: other.pointer, names.conversation: f"c{next(hours)}", "body": "Hello"}
    if names.patient is not None:
        body |= {names.patient: chart(clinic)}
    return body


def appointment(clinic: Clinic, by: Person) -> Body:
    """A visit at a time that is free."""
    hour = next(hours) * 2
    body: Body = {"patient": chart(clinic), "provider": clinic.provider.pointer}
    if is_agent(clinic):
        return {**body, "provider": clinic.provider.profile, "scheduledAt": a_date(hour)}
    return {**body, "startAt": a_date(hour), "endAt": a_date(hour + 1), "reason": "Check"}


def lab_result(clinic: Clinic, by: Person) -> Body:
    """A result that is not final."""
    if is_agent(clinic):
        return {"patient": chart(clinic), "reportType": "blood", "resultData": {"ldl": 3}}
    return {"patient": chart(clinic), "testName": "LDL", "resultValue": "3.1", "status": "preliminary"}


def ecg_report(clinic: Clinic, by: Person) -> Body:
    """An ECG."""
    if is_agent(clinic):
        return {"patient": chart(clinic), "reportType": "ECG", "resultData": {"rate": 61}}
    return {"patient": chart(clinic), "reportData": FILE, "status": "preliminary"}


def plan(clinic: Clinic, by: Person) -> Body:
    """A draft."""
    return {"patient": chart(clinic), "summary": "Walk"}


def rehab_log(clinic: Clinic, by: Person) -> Body:
    """An exercise."""
    if is_agent(clinic):
        return {"patient": chart(clinic), "provider": clinic.provider.profile, "status": "upcoming"}
    day = {"date": a_date()}
    return {"patient": chart(clinic), "exerciseType": "bike", "duration": 20, "caloriesBurned": 90, **day}


def side_effect(clinic: Clinic, by: Person) -> Body:
    """A side effect, of a cycle where the template has cycles."""
    body: Body = {"description": "Headache", "severity": "mild"}
    if is_agent(clinic):
        return body
    cycle = create(clinic, "ChemoCycle")
    return {**body, "chemoCycle": pointer("ChemoCycle", cycle), "recordedAt": a_date()}


def lab_trend(clinic: Clinic, by: Person) -> Body:
    """A value that the patient keeps."""
    if is_agent(clinic):
        return {"test": "Hb", "result": "13", "date": a_date()}
    return {"labTestName": "Hb", "result": 13.1, "date": a_date(), "patient": clinic.patient.pointer}


BODIES: dict[str, Callable[[Clinic, Person], Body]] = {
    "PatientProfile": lambda clinic, by: {"user": clinic.patient.pointer, "displayName": "A"},
    "Patient": lambda clinic, by: {"user": clinic.patient.pointer},
    "ProviderProfile": lambda clinic, by: {"user": clinic.provider.pointer},
    "Provider": lambda clinic, by: {"user": clinic.provider.pointer},
    "LabResult": lab_result,
    "ECGReport": ecg_report,
    "WoundAssessment": lambda clinic, by: {
        "patient": chart(clinic),
        "location": "Heel",
        "woundType": "Ulcer",
        "size": "2 cm",
    },
    "WoundProfile": lambda clinic, by: {"patient": chart(clinic), "woundDetails": {"location": "heel"}},
    "TreatmentPlan": plan,
    "Message": message,
    "PatientMessage": message,
    "Appointment": appointment,
    "CardiacRehabLog": rehab_log,
    "ChemoCycle": lambda clinic, by: {
        "patient": clinic.patient.pointer,
        "cycleNumber": 1,
        "startDate": a_date(),
        "endDate": a_date(500),
    },
    "LabTrend": lab_trend,
    "SideEffect": side_effect,
    "Treatment": lambda clinic, by: {"type": "Chemo", "date": a_date()},
    "AccessLog": lambda clinic, by: {"user": clinic.patient.pointer, "accessTime": a_date()},
    "ProviderApplication": lambda clinic, by: {"user": by.pointer, "status": "approved"},
    "ProviderCalendar": lambda clinic, by: {"provider": by.pointer, "revision": 0, "claims": []},
    "RecordVersion": lambda clinic, by: {"entityType": "LabResult", "entityId": "x", "version": 1},
    "Notification": lambda clinic, by: {"user": by.pointer, "kind": "message", "isRead": False},
    "AuditLog": lambda clinic, by: {
        "actor": by.pointer,
        "action": "create",
        "entityType": "x",
        "entityId": "x",
    },
    "_Role": lambda clinic, by: {"name": f"own{next(hours)}", "ACL": {by.id: {"read": True, "write": True}}},
}

CHANGES: dict[str, Body] = {
    "PatientProfile": {"displayName": "Mia Wong"},
    "ProviderProfile": {"clinic": "North"},
    "LabResult": {"units": "mmol/l"},
    "ECGReport": {"reportData": {**FILE, "name": "ecg2.pdf"}},
    "WoundAssessment": {"notes": "Smaller"},
    "WoundProfile": {"assessment": {"size": 2}},
    "TreatmentPlan": {"summary": "Walk more"},
    "Appointment": {"status": "scheduled"},
    "CardiacRehabLog": {"duration": 30},
    "ChemoCycle": {"cycleNumber": 2},
    "LabTrend": {"result": 14},
    "SideEffect": {"severity": "severe"},
    "Treatment": {"notes": "Tired"},
    "AccessLog": {"accessTime": a_date(1)},
    "RecordVersion": {"version": 7},
    "Notification": {"isRead": True},
    "AuditLog": {"action": "nothing"},
    "ProviderApplication": {"status": "approved"},
    "ProviderCalendar": {"claims": []},
    "_Role": {"users": {"__op": "AddRelation", "objects": []}},
    "_User": {"username": "patient"},
}

AGENT_CHANGES: dict[str, Body] = {
    "PatientProfile": {"contact": {"phone": "1"}},
    "LabResult": {"reportType": "urine"},
    "ECGReport": {"resultData": {"rate": 62}},
    "CardiacRehabLog": {"status": "completed"},
    "LabTrend": {"result": "14"},
}

AUTHORS = ("ChemoCycle", "LabTrend", "SideEffect", "Treatment", "AccessLog", "CardiacRehabLog", "Message")
"""Classes that the patient writes himself."""


def create(clinic: Clinic, class_name: str) -> str:
    """Create an object of the first patient, as whoever usually does."""
    by_patient = class_name in (*AUTHORS, "PatientMessage")
    author = clinic.patient if by_patient else clinic.provider
    body = new_body(clinic, class_name, author)
    return str(author.caller.post(f"/classes/{class_name}", body)["objectId"])
