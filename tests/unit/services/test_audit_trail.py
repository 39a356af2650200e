"""Writers of one chain that meet: each entry is stored, once."""

from __future__ import annotations

import asyncio

from parse_clone.core.audit_chain import Head
from parse_clone.core.json_types import JsonObject
from parse_clone.services.audit_trail import AuditTrail
from tests.unit.services.clinic import master, open_clinic

ENTRY: JsonObject = {"action": "update", "entityId": "one", "metadata": {"changed": ["name"]}}


async def test_what_two_processes_record_alike_at_the_same_time_is_two_entries() -> None:
    async with open_clinic() as clinic:
        await clinic.save(master(), "AuditLog", dict(ENTRY))
        (made_with_the_class,) = await clinic.rows("AuditLog")
        await clinic.delete(master(), "AuditLog", str(made_with_the_class["objectId"]))
        processes = [AuditTrail(clinic.toolbox), AuditTrail(clinic.toolbox)]
        for _ in range(3):  # the second one does not hear of what the first one stores
            for process in processes:
                await process.append(ENTRY)
        await asyncio.gather(*(process.append(ENTRY) for process in processes))
        verdict = await processes[0].verify()
        assert isinstance(verdict, Head)
        assert verdict.sequence == 8
