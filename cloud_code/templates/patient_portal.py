"""Patient portal: lab results, plans, messages, appointments."""

from cloud_code.rules import AppointmentFields, Template
from cloud_code.templates.shared import APPOINTMENT, LAB_RESULT, MESSAGE, PROFILE, TREATMENT_PLAN

TEMPLATE = Template(
    name="patient_portal",
    records=(PROFILE, LAB_RESULT, TREATMENT_PLAN, MESSAGE, APPOINTMENT),
    appointment=AppointmentFields(),
)
