"""The models of the agent prompts: the same rules, other names."""

from __future__ import annotations

from dataclasses import replace

from cloud_code.rules import (
    AppointmentFields,
    Kind,
    Lifecycle,
    MessageFields,
    ProfileFields,
    Record,
    Template,
    only,
)
from cloud_code.templates import shared
from cloud_code.templates.shared import ADMIN, PATIENT, TEAM

PROVIDER_PROFILE = Record(
    class_name="ProviderProfile",
    subject="user",
    create=only(Kind.PROVIDER, ADMIN),
    read=only(Kind.CLINIC),
    update=only(Kind.PROVIDER, ADMIN),
    provider="user",
    fixed=("user",),
)

VERSIONED = Lifecycle(state=None, published_at="reportedAt", version="version")
"""A result without a state: it is published when it is stored, and every change is an amendment."""

LAB_RESULT = replace(
    shared.LAB_RESULT, author="provider", lifecycle=VERSIONED, fixed=("provider",), visibility="visibility"
)

TREATMENT_PLAN = replace(
    shared.TREATMENT_PLAN, author="provider", lifecycle=replace(shared.PLAN, version="version")
)

MESSAGE = replace(shared.MESSAGE, subject="")

MESSAGE_FIELDS = MessageFields(
    sender="sender",
    recipient="recipient",
    conversation="threadId",
    patient=None,
    is_read=None,
    status="status",
    delivered_at=None,
    read_at=None,
)

APPOINTMENT = replace(shared.APPOINTMENT, lifecycle=shared.visit("canceled"))
APPOINTMENT_FIELDS = AppointmentFields(start="scheduledAt", end=None, cancelled="canceled")
PROFILE_FIELDS = ProfileFields(active=None)

WOUND_PROFILE = replace(shared.WOUND_ASSESSMENT, class_name="WoundProfile", create=only(TEAM), author=None)

PORTAL = Template(
    name="agent/patient_portal",
    records=(shared.PROFILE, PROVIDER_PROFILE, LAB_RESULT, TREATMENT_PLAN, MESSAGE, APPOINTMENT),
    profile=PROFILE_FIELDS,
    provider_class="ProviderProfile",
    message=MESSAGE_FIELDS,
    appointment=APPOINTMENT_FIELDS,
    audit_field="payload",
    has_summary=False,
)

CONCIERGE = replace(
    PORTAL,
    name="agent/medical_concierge",
    records=(shared.PROFILE, PROVIDER_PROFILE, MESSAGE, APPOINTMENT),
)

WOUND_CARE = replace(
    PORTAL,
    name="agent/wound_care",
    records=(shared.PROFILE, PROVIDER_PROFILE, WOUND_PROFILE, TREATMENT_PLAN, MESSAGE, APPOINTMENT),
)

CARDIOLOGY = replace(
    PORTAL,
    name="agent/cardiology_suite",
    records=(
        replace(shared.PROFILE, class_name="Patient"),
        replace(PROVIDER_PROFILE, class_name="Provider"),
        replace(shared.ECG_REPORT, author=None, lifecycle=Lifecycle(state=None, published_at="reportedAt")),
        replace(
            shared.REHAB_LOG,
            create=only(PATIENT, TEAM),
            update=only(PATIENT, TEAM),
            provider="provider",
            fixed=("provider",),
        ),
        replace(MESSAGE, class_name="PatientMessage"),
    ),
    profile=ProfileFields(class_name="Patient", number=None, active=None),
    provider_class="Provider",
    message=replace(MESSAGE_FIELDS, class_name="PatientMessage"),
    appointment=None,
)

OWN = Record(
    class_name="Treatment",
    subject="",
    create=only(PATIENT),
    read=only(PATIENT, TEAM),
    update=only(PATIENT),
    delete=only(PATIENT),
)

ONCOLOGY = Template(
    name="agent/oncology_care_planner",
    records=(OWN, replace(OWN, class_name="SideEffect"), replace(OWN, class_name="LabTrend")),
    profile=None,
    message=None,
)
