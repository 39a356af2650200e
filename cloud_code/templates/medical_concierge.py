"""Medical concierge: the same classes as the patient portal."""

from cloud_code.rules import AppointmentFields, Template
from cloud_code.templates.shared import APPOINTMENT, LAB_RESULT, MESSAGE, PROFILE, TREATMENT_PLAN

TEMPLATE = Template(
    name="medical_concierge",
    records=(PROFILE, LAB_RESULT, TREATMENT_PLAN, MESSAGE, APPOINTMENT),
    appointment=AppointmentFields(),
)
