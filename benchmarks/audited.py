"""Cloud code of the audited subject: the clinic's auditor for the benchmark's class, and nothing else."""

from __future__ import annotations

from cloud_code.audit import register_audit
from cloud_code.templates import TEMPLATES
from parse_clone.cloud import Cloud


def register(cloud: Cloud) -> None:
    """Record who reads and writes lab results."""
    register_audit(cloud, TEMPLATES["patient_portal"])
