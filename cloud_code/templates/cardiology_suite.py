"""Cardiology: ECG reports, and a log that patients keep."""

from cloud_code.rules import AppointmentFields, Template
from cloud_code.templates.shared import APPOINTMENT, ECG_REPORT, MESSAGE, PROFILE, REHAB_LOG

TEMPLATE = Template(
    name="cardiology_suite",
    records=(PROFILE, ECG_REPORT, REHAB_LOG, MESSAGE, APPOINTMENT),
    appointment=AppointmentFields(),
)
