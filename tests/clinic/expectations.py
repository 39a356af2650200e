"""Who may do what with an object of the first patient: the table that the server must obey.

Letters: `g` get, `f` find, `n` count, `C` create, `U` update, `D` delete. Who is not named may do nothing.
"""

from __future__ import annotations

Rights = dict[str, str]

RESULT: Rights = {"patient": "gfn", "provider": "gfnCU"}
PROFILE: Rights = {"patient": "gfnU", "provider": "gfnU", "admin": "gfnU"}
MESSAGE: Rights = {"patient": "gfnC", "provider": "gfnCU"}  # from the patient to the provider
APPOINTMENT: Rights = {"patient": "gfnCU", "provider": "gfnCU", "admin": "gfnCU"}
AUDIT: Rights = {"admin": "gfn", "auditor": "gfn"}
EVERYBODY = ("patient", "other_patient", "provider", "other_provider", "admin", "auditor")
OWN: Rights = {**dict.fromkeys(EVERYBODY, "C"), "patient": "gfnCUD", "provider": "gfnC"}  # each his own
AGENT_MESSAGE: Rights = {**MESSAGE, "other_provider": "C"}  # from one provider to another

PORTAL: dict[str, Rights] = {
    "PatientProfile": PROFILE,
    "LabResult": RESULT,
    "TreatmentPlan": RESULT,
    "Message": MESSAGE,
    "Appointment": APPOINTMENT,
    "RecordVersion": {"patient": "gfn", "provider": "gfn"},
    "Notification": {"patient": "gfnU"},
    "AuditLog": AUDIT,
}

PROVIDER_PROFILE: Rights = {
    "patient": "gfn",
    "other_patient": "gfn",
    "provider": "gfnU",
    "other_provider": "gfn",
    "admin": "gfnU",
}

OWN_CLASSES: dict[str, Rights] = {
    "ProviderApplication": {"provider": "gfn", "admin": "gfn"},
    "ProviderCalendar": {},
    "_Role": {},
    "_User": {"patient": "gfnU", "provider": "gfn", "admin": "gfn"},
}
"""The classes of the application itself: they are the same with every template."""

MATRIX: dict[str, dict[str, Rights]] = {
    "patient_portal": {**PORTAL, **OWN_CLASSES},
    "medical_concierge": PORTAL,
    "wound_care": {
        "PatientProfile": PROFILE,
        "WoundAssessment": {"patient": "gfnC", "provider": "gfnCU"},
        "TreatmentPlan": RESULT,
        "Message": MESSAGE,
        "Appointment": APPOINTMENT,
        "AuditLog": AUDIT,
    },
    "cardiology_suite": {
        "PatientProfile": PROFILE,
        "ECGReport": RESULT,
        "CardiacRehabLog": {"patient": "gfnCU", "provider": "gfn"},
        "Message": MESSAGE,
        "Appointment": APPOINTMENT,
        "AuditLog": AUDIT,
    },
    "oncology_care_planner": {
        "ChemoCycle": {"patient": "gfnCUD", "provider": "gfnU"},
        "LabTrend": {"patient": "gfnCUD", "provider": "gfnU"},
        "SideEffect": {"patient": "gfnCU", "provider": "gfn"},
        "AccessLog": {
            **dict.fromkeys(EVERYBODY, "C"),  # everybody his own
            "patient": "gfnC",
            "admin": "gfnC",
            "auditor": "gfnC",
        },
        "_User": {"patient": "gfnU", "provider": "gfn", "admin": "gfn"},
        "AuditLog": AUDIT,
    },
    "agent/patient_portal": {
        "PatientProfile": PROFILE,
        "ProviderProfile": PROVIDER_PROFILE,
        "LabResult": RESULT,
        "TreatmentPlan": RESULT,
        "Message": AGENT_MESSAGE,
        "Appointment": APPOINTMENT,
        "AuditLog": AUDIT,
    },
    "agent/medical_concierge": {
        "PatientProfile": PROFILE,
        "ProviderProfile": PROVIDER_PROFILE,
        "Message": AGENT_MESSAGE,
        "Appointment": APPOINTMENT,
        "AuditLog": AUDIT,
    },
    "agent/wound_care": {
        "PatientProfile": PROFILE,
        "ProviderProfile": PROVIDER_PROFILE,
        "WoundProfile": RESULT,
        "TreatmentPlan": RESULT,
        "Message": AGENT_MESSAGE,
        "Appointment": APPOINTMENT,
        "AuditLog": AUDIT,
    },
    "agent/cardiology_suite": {
        "Patient": {**PROFILE, "provider": "gfn"},
        "Provider": PROVIDER_PROFILE,
        "ECGReport": RESULT,
        "CardiacRehabLog": {"patient": "gfnCU", "provider": "gfnCU"},
        "PatientMessage": AGENT_MESSAGE,
        "AuditLog": AUDIT,
    },
    "agent/oncology_care_planner": {
        "Treatment": OWN,
        "SideEffect": OWN,
        "LabTrend": OWN,
        "AuditLog": AUDIT,
    },
}
