"""The clinic: the rules of the healthcare templates as hooks of the server.

`CLINIC_TEMPLATES` names the templates in use, separated by commas: by default the five exports, which share
one database; `agent/patient_portal` and its like for the models of the agent prompts, one per database.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from cloud_code.access import Write, begin, check_rights, fill_author, look_up, set_acl
from cloud_code.accounts import register_accounts
from cloud_code.appointments import follow_appointment
from cloud_code.audit import Audit, register_audit
from cloud_code.care_team import join_by_appointment, register_care_team
from cloud_code.cases import invalid, refused
from cloud_code.clinic_functions import register_functions
from cloud_code.demo import register_demo
from cloud_code.lifecycle import follow, is_published
from cloud_code.messages import follow_message
from cloud_code.notices import notify, register_notices
from cloud_code.profiles import check_single, follow_profile
from cloud_code.rules import Kind, Record, Template
from cloud_code.templates import EXPORTS, TEMPLATES
from cloud_code.versions import keep_former, register_versions, show_versions
from parse_clone.cloud import AfterSave, BeforeDelete, BeforeSave, Cloud


def register(cloud: Cloud) -> None:
    """Register the hooks of the templates in use."""
    names = os.environ.get("CLINIC_TEMPLATES", ",".join(EXPORTS)).split(",")
    register_templates(cloud, [name.strip() for name in names if name.strip()])


def register_templates(cloud: Cloud, names: Iterable[str]) -> None:
    """Register the hooks of templates that share one database."""
    template = united([TEMPLATES[name] for name in names])
    audit = register_audit(cloud, template)
    register_accounts(cloud, template, audit)
    register_care_team(cloud, template, audit)
    register_notices(cloud)
    register_versions(cloud)
    register_functions(cloud, template)
    if is_export(template):
        register_demo(cloud, template)
    for record in template.records:
        register_record(cloud, template, record, audit)


def united(templates: list[Template]) -> Template:
    """One table of several: equal rows count once. Raises ValueError where two disagree."""
    records: dict[str, Record] = {}
    for template in templates:
        for record in template.records:
            if records.setdefault(record.class_name, record) != record:
                raise ValueError(f"the templates disagree about {record.class_name}")
    first = next((each for each in templates if each.profile is not None), templates[0])
    return replace(
        first,
        records=tuple(records.values()),
        access_log=next((each.access_log for each in templates if each.access_log), None),
        user_role_field=next((each.user_role_field for each in templates if each.user_role_field), None),
    )


def register_record(cloud: Cloud, template: Template, record: Record, audit: Audit) -> None:
    """Register the hooks of one class: the same rules for all, in this order."""

    @cloud.before_save(record.class_name)
    async def guard(request: BeforeSave) -> None:
        write = await begin(request, template, record)
        check_rights(write)
        await fill_author(write)
        await follow_own_rules(write)
        await follow(write)
        if is_appointment(template, record):
            await follow_appointment(write)
        await set_acl(write)
        await keep_former(write)

    @cloud.after_save(record.class_name)
    async def tell(request: AfterSave) -> None:
        await tell_others(request, template, record, audit)

    @cloud.before_delete(record.class_name)
    async def keep(request: BeforeDelete) -> None:
        if not record.delete:
            raise refused(f"A {record.class_name} is never deleted.")


def is_export(template: Template) -> bool:
    """Does the template have the field names of the exports, which demo data use?"""
    return not template.name.startswith("agent/")


def is_appointment(template: Template, record: Record) -> bool:
    """Is this the class of appointments?"""
    return template.appointment is not None and record.class_name == "Appointment"


async def follow_own_rules(write: Write) -> None:
    """The rules of a class that is more than a record."""
    template, name = write.template, write.record.class_name
    if template.message is not None and name == template.message.class_name:
        await follow_message(write)
    elif template.profile is not None and name == template.profile.class_name:
        await follow_profile(write)
    elif name == template.provider_class:
        await check_single(write)
    elif name == template.access_log:
        if not write.is_new:
            raise invalid("An access log keeps its entries.")
        write.object["accessTime"] = datetime.now(UTC)


async def tell_others(request: AfterSave, template: Template, record: Record, audit: Audit) -> None:
    """Notify whoever waits for this, and let a provider join whom an appointment brings to the patient."""
    stored, client = request.object, request.master_client
    place = await look_up(request, template, record, stored)
    is_new = request.original is None
    recipient = place.named.get(Kind.RECIPIENT)
    if recipient is not None and is_new:
        await notify(client, recipient, "message", stored)
    if is_appointment(template, record) and is_new:
        await join_by_appointment(request, audit, place)
    if record.versioned and request.original is not None and request.original.acl != stored.acl:
        await show_versions(client, stored, stored.acl or {})
    lifecycle, case = record.lifecycle, place.case
    is_told = case is not None and case.user_id in (stored.acl or {})
    if lifecycle is not None and case and is_told and is_published(lifecycle, request.original, stored):
        await notify(client, case.user_id, "published", stored)
