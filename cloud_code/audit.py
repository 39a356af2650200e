"""The audit log: who did and who viewed what, written by the server before the answer leaves.

One entry per action, one for a whole list that was read. Entries continue a chain; nobody changes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from cloud_code.cases import ADMIN_ROLE, AUDITOR_ROLE, acting
from cloud_code.lifecycle import is_published
from cloud_code.rules import Template
from parse_clone.cloud import (
    AuditEvent,
    AuditTrail,
    Auth,
    Client,
    Cloud,
    ParseObject,
    Pointer,
    RelationChange,
    Request,
)

AUDIT_LOG = "AuditLog"
SERVER, NOBODY = "server", "nobody"
"""Stand in for the actor where there is no user: the master key, and callers without a session."""

READS = {
    "get": "view",
    "find": "list",
    "count": "count",
    "aggregate": "aggregate",
    "download": "download",
    "deliver": "deliver",
    "search": "search",
}
"""What is read, in the words of the log. A delivery is an event of LiveQuery, a search a subquery: its answer
is not shown, and yet decides what is."""
READERS = {f"role:{role}": {"read": True} for role in (ADMIN_ROLE, AUDITOR_ROLE)}
ALWAYS = ("_User", "_Role", "RecordVersion")


@dataclass(frozen=True)
class Audit:
    """Turns what happens into entries of the trail, in a template's own field names."""

    template: Template
    trail: AuditTrail
    client: Client

    async def note(
        self,
        request: Request,
        action: str,
        class_name: str,
        object_id: str,
        details: dict[str, Any] | None = None,
    ) -> None:
        """Record what a function is about to do."""
        entry = self.entry(acting(request), action, class_name, (object_id,), details or {}, request.ip)
        await self.trail.append(entry, request.client.work)

    async def record(self, event: AuditEvent) -> None:
        """Record an event. What the server reads for itself is no event of its own."""
        context = event.context
        is_read = event.action in READS
        if context.on_behalf_of is not None and (is_read or event.class_name in ALWAYS):
            return
        auth = context.on_behalf_of or context.auth
        entry = self.entry(
            auth, self.action_of(event), event.class_name, event.object_ids, details_of(event), context.ip
        )
        await self.trail.append(entry, event.work)
        log = self.template.access_log
        if is_read and log is not None and auth.user_id and self.template.record(event.class_name):
            user, now = Pointer("_User", auth.user_id), datetime.now(UTC)
            await self.client.create(log, user=user, accessTime=now)

    def action_of(self, event: AuditEvent) -> str:
        """Name an event: a publication and a refused login have names of their own."""
        if event.action in READS:
            return READS[event.action]
        if event.action == "login" and event.failure is not None:
            return "loginFailed"
        record = self.template.record(event.class_name)
        if event.action in ("create", "update") and record is not None and record.lifecycle is not None:
            before = None if event.original is None else ParseObject(event.class_name, event.original)
            if is_published(record.lifecycle, before, ParseObject(event.class_name, event.object)):
                return "publish"
        return event.action

    def entry(
        self,
        auth: Auth,
        action: str,
        class_name: str,
        ids: Iterable[str],
        details: dict[str, Any],
        ip: str,
    ) -> dict[str, Any]:
        """An entry in the template's own fields."""
        known = list(ids)
        user_id = auth.user_id or (SERVER if auth.is_privileged else NOBODY)
        name = auth.user.get("username") if auth.user else user_id
        one = known[0] if len(known) == 1 else "*"
        summary = f"{name}: {action} {class_name} {one if len(known) == 1 else f'({len(known)})'}"
        members = {"ip": ip, **details, **({"objectIds": known} if len(known) != 1 else {})}
        entry: dict[str, Any] = {
            "actor": {"__type": "Pointer", "className": "_User", "objectId": user_id},
            "action": action,
            "entityType": class_name,
            "entityId": one,
            "ACL": READERS,
        }
        if self.template.has_summary:
            return {**entry, "summary": summary, self.template.audit_field: members}
        return {**entry, self.template.audit_field: {**members, "summary": summary}}


def details_of(event: AuditEvent) -> dict[str, Any]:
    """What an entry tells besides: the names of changed fields, never their values."""
    details: dict[str, Any] = {}
    if event.operations:
        details["changed"] = sorted(name for name in event.operations if not name.startswith("_"))
    if event.class_name == "_Role":
        details |= {name: sorted(ids) for name, ids in members_changed(event).items() if ids}
    if event.where and event.action != "get":
        details["where"] = orjson.dumps(event.where).decode()
    if event.failure is not None:
        details["failed"] = event.failure.code
    if event.action == "login" and event.failure is not None and event.object is not None:
        provider = event.object.get("authProvider")
        name = provider or event.object.get("username") or event.object.get("email")
        details["authProvider" if provider else "username"] = name[:100] if isinstance(name, str) else ""
    return details


def members_changed(event: AuditEvent) -> dict[str, list[str]]:
    """Who joins and who leaves a role: the ids of users, and of roles that are in it."""
    changes = [change for change in event.operations.values() if isinstance(change, RelationChange)]
    return {
        "added": [object_id for change in changes for object_id in change.add],
        "removed": [object_id for change in changes for object_id in change.remove],
    }


def register_audit(cloud: Cloud, template: Template, *, is_recording: bool = True) -> Audit:
    """Register the auditor of all clinical classes. The trail is written by the server alone."""
    trail = cloud.audit_trail(AUDIT_LOG, template.audit_field)
    audit = Audit(template, trail, cloud.client)
    names = [record.class_name for record in template.records if record.class_name != template.access_log]
    if is_recording:
        cloud.audit(*names, *ALWAYS)(audit.record)
    return audit
