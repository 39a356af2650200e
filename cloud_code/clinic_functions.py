"""What patients and providers do with one call: acknowledge a plan, mark a message, read a history."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from cloud_code.care_team import asked_id
from cloud_code.cases import invalid, refused
from cloud_code.rules import Kind, MessageFields, Template
from cloud_code.versions import VERSIONS
from parse_clone.cloud import Cloud, FunctionRequest, Pointer


def register_functions(cloud: Cloud, template: Template) -> None:
    """Register the functions."""

    @cloud.function("acknowledgePlan")
    async def acknowledge_plan(request: FunctionRequest) -> None:
        """The patient says that he has read his active treatment plan."""
        plan = Pointer("TreatmentPlan", asked_id(request, "plan"))
        found = await request.client.fetch(plan)
        if found.get("status") == "acknowledged":
            return
        await request.master_client.update(plan, status="acknowledged")

    @cloud.function("markMessage")
    async def mark_message(request: FunctionRequest) -> None:
        """The recipient says that a message was delivered, or read."""
        fields, state = template.message, request.params.get("state", "read")
        if fields is None or state not in ("delivered", "read"):
            raise invalid("state is delivered or read.")
        message = Pointer(fields.class_name, asked_id(request, "message"))
        await request.client.update(message, **marks(fields, state))

    @cloud.function("recordVersions")
    async def record_versions(request: FunctionRequest) -> list[dict[str, Any]]:
        """The former versions of a record, the latest first, as far as the caller may read them."""
        entity_type, entity_id = request.params.get("className"), asked_id(request, "record")
        record = template.record(entity_type) if isinstance(entity_type, str) else None
        if record is None or Kind.PATIENT not in record.read:
            raise refused("There are no versions of that.")
        query = request.client.query(VERSIONS).where(entityType=entity_type, entityId=entity_id)
        return [version.to_json() for version in await query.order_by("-version").find()]


def marks(fields: MessageFields, state: str) -> dict[str, Any]:
    """The fields by which a recipient marks a message."""
    if fields.status is not None:
        return {fields.status: state}
    if state == "read":
        return {str(fields.is_read): True}
    return {str(fields.delivered_at): datetime.now(UTC)}
