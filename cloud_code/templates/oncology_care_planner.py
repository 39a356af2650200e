"""Oncology: the user is the patient, and keeps his treatments and lab data himself."""

from cloud_code.rules import Kind, Record, Template, only
from cloud_code.templates.shared import PATIENT, TEAM

CYCLE = Record(
    class_name="ChemoCycle",
    create=only(PATIENT),
    read=only(PATIENT, TEAM),
    update=only(PATIENT, TEAM),
    delete=only(PATIENT),
)

TEMPLATE = Template(
    name="oncology_care_planner",
    records=(
        CYCLE,
        Record(
            class_name="LabTrend",
            create=only(PATIENT),
            read=only(PATIENT, TEAM),
            update=only(PATIENT, TEAM),
            delete=only(PATIENT),
        ),
        Record(
            class_name="SideEffect",
            subject="chemoCycle.patient",
            create=only(PATIENT),
            read=only(PATIENT, TEAM),
            update=only(PATIENT),
        ),
        Record(
            class_name="AccessLog",
            subject="user",
            create=only(PATIENT),
            read=only(PATIENT, Kind.ADMIN, Kind.AUDITOR),
        ),
    ),
    profile=None,
    message=None,
    access_log="AccessLog",
    user_role_field="role",
)
