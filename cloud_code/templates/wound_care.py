"""Wound care: assessments instead of lab results."""

from cloud_code.rules import AppointmentFields, Template
from cloud_code.templates.shared import APPOINTMENT, MESSAGE, PROFILE, TREATMENT_PLAN, WOUND_ASSESSMENT

TEMPLATE = Template(
    name="wound_care",
    records=(PROFILE, WOUND_ASSESSMENT, TREATMENT_PLAN, MESSAGE, APPOINTMENT),
    appointment=AppointmentFields(),
)
