"""One table per template: what its classes and fields are called, and who may do what."""

from collections.abc import Mapping

from cloud_code.rules import Template
from cloud_code.templates import (
    agent,
    cardiology_suite,
    medical_concierge,
    oncology_care_planner,
    patient_portal,
    wound_care,
)

EXPORTS = ("patient_portal", "medical_concierge", "wound_care", "cardiology_suite", "oncology_care_planner")

TEMPLATES: Mapping[str, Template] = {
    template.name: template
    for template in (
        patient_portal.TEMPLATE,
        medical_concierge.TEMPLATE,
        wound_care.TEMPLATE,
        cardiology_suite.TEMPLATE,
        oncology_care_planner.TEMPLATE,
        agent.PORTAL,
        agent.CONCIERGE,
        agent.WOUND_CARE,
        agent.CARDIOLOGY,
        agent.ONCOLOGY,
    )
}
