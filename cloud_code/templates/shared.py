"""Rows that several templates share. A template's own table says only what is its own."""

from __future__ import annotations

from dataclasses import replace

from cloud_code.rules import Kind, Lifecycle, Record, only

PATIENT, TEAM, ADMIN = Kind.PATIENT, Kind.TEAM, Kind.ADMIN

RESULT = Lifecycle(
    initial=("preliminary", "final"),
    next={"preliminary": ("final",), "final": ("amended",), "amended": ()},
    on_change={"final": "amended"},
    published=("final", "amended"),
    published_at="publishedAt",
)

PLAN = Lifecycle(
    initial=("draft",),
    next={
        "draft": ("active",),
        "active": ("acknowledged", "completed"),
        "acknowledged": ("active", "completed"),
        "completed": (),
    },
    only={"active": only(TEAM), "acknowledged": only(PATIENT), "completed": only(TEAM)},
    on_change={"acknowledged": "active"},
    closed=("completed",),
    published=("active",),
)


def visit(cancelled: str) -> Lifecycle:
    """The states of an appointment; the templates spell one of them in two ways."""
    return Lifecycle(
        initial=("scheduled",),
        next={"scheduled": (cancelled, "completed"), cancelled: (), "completed": ()},
        only={"completed": only(TEAM, ADMIN, Kind.PROVIDER)},
        closed=(cancelled, "completed"),
    )


PROFILE = Record(
    class_name="PatientProfile",
    subject="user",
    create=only(PATIENT, ADMIN),
    read=only(PATIENT, TEAM, ADMIN),
    update=only(PATIENT, TEAM, ADMIN),
    fixed=("user",),
    changeable={
        PATIENT: ("displayName", "fullName", "dateOfBirth", "dob", "contact"),
        TEAM: ("displayName", "fullName", "dateOfBirth", "dob", "contact", "primaryClinic"),
    },
)

LAB_RESULT = Record(
    class_name="LabResult",
    create=only(TEAM),
    read=only(PATIENT, TEAM),
    update=only(TEAM),
    author="orderedBy",
    lifecycle=RESULT,
    versioned=True,
)

ECG_REPORT = replace(LAB_RESULT, class_name="ECGReport")

WOUND_ASSESSMENT = Record(
    class_name="WoundAssessment",
    create=only(
        PATIENT, TEAM
    ),  # what a patient reports of himself stays preliminary until the team says more
    read=only(PATIENT, TEAM),
    update=only(TEAM),
    author="assessedBy",
    lifecycle=replace(RESULT, published_at=None, only={"final": only(TEAM), "amended": only(TEAM)}),
    versioned=True,
)

TREATMENT_PLAN = Record(
    class_name="TreatmentPlan",
    create=only(TEAM),
    read=only(PATIENT, TEAM),
    update=only(TEAM),
    author="createdBy",
    lifecycle=PLAN,
    versioned=True,
)

REHAB_LOG = Record(
    class_name="CardiacRehabLog",
    create=only(PATIENT),
    read=only(PATIENT, TEAM),
    update=only(PATIENT),
)

MESSAGE = Record(
    class_name="Message",
    create=only(Kind.SENDER),
    read=only(Kind.SENDER, Kind.RECIPIENT),
    update=only(Kind.SENDER, Kind.RECIPIENT),
    fixed=(
        "from",
        "to",
        "sender",
        "recipient",
        "conversationId",
        "threadId",
        "body",
        "attachments",
        "sentAt",
    ),
    changeable={Kind.SENDER: (), Kind.RECIPIENT: ("isRead", "status", "deliveredAt", "readAt")},
)

APPOINTMENT = Record(
    class_name="Appointment",
    create=only(PATIENT, TEAM, ADMIN),
    read=only(PATIENT, TEAM, ADMIN, Kind.PROVIDER),
    update=only(PATIENT, TEAM, ADMIN, Kind.PROVIDER),
    provider="provider",
    fixed=("provider",),
    changeable={PATIENT: ("status",), Kind.PROVIDER: ("status",)},
    lifecycle=visit("cancelled"),
)
