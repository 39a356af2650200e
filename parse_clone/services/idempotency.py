"""Requests that are done once: the ids of those that came, remembered for a while.

The unique index decides which of two equal requests is the first.
"""

from __future__ import annotations

from datetime import timedelta

from parse_clone.core.query import Compare, In, all_of
from parse_clone.core.system_classes import system_schema
from parse_clone.core.values import date_value, encode_date
from parse_clone.errors import DuplicateValue, ErrorCode, ParseError
from parse_clone.services.toolbox import Toolbox

REQUESTS = "_Idempotency"


async def remember_request(toolbox: Toolbox, request_id: str) -> None:
    """Write a request's id down, or refuse the request because it came before (159)."""
    try:
        await _insert(toolbox, request_id)
    except DuplicateValue:
        if not await _forget_expired(toolbox, request_id):
            raise ParseError(ErrorCode.DUPLICATE_REQUEST, "Duplicate request") from None
        await _insert(toolbox, request_id)


async def _insert(toolbox: Toolbox, request_id: str) -> None:
    moment = toolbox.clock.now()
    now = encode_date(moment)
    expiry = moment + timedelta(seconds=toolbox.settings.idempotency_options.ttl)
    await toolbox.storage.insert(
        system_schema(REQUESTS),
        [
            {
                "objectId": toolbox.ids.object_id(),
                "createdAt": now,
                "updatedAt": now,
                "reqId": request_id,
                "expire": date_value(expiry),
            }
        ],
    )


async def _forget_expired(toolbox: Toolbox, request_id: str) -> bool:
    expired = Compare("expire", "<=", date_value(toolbox.clock.now()))
    where = all_of(In("reqId", (request_id,)), expired)
    return await toolbox.storage.delete(system_schema(REQUESTS), where) > 0
