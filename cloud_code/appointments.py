"""Appointments: an end after the start, and no provider in two places at once.

A booking first claims its time in the provider's calendar: one row per provider, whose revision says whether
somebody else was faster. Claims count while their appointment is on its way to the database; what is stored
there counts by itself. One row that is changed under a condition is exact on every engine, without
transactions and with any number of server processes.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from cloud_code.access import Write
from cloud_code.cases import PROVIDER_ROLE, invalid, named_user, user_pointer
from cloud_code.rules import AppointmentFields
from parse_clone.cloud import Client, DuplicateValue, ErrorCode, ParseError, ParseObject

CALENDAR = "ProviderCalendar"
CLAIM_LASTS = timedelta(seconds=60)
"""Longer than a request may take between its claim and its write."""

ATTEMPTS = 50


async def follow_appointment(write: Write) -> None:
    """Check the times of an appointment, and claim them where they are new."""
    fields = write.template.appointment
    assert fields is not None
    times = {fields.start, fields.end, "provider", "status"}
    if not write.is_new and not times & set(write.changed):
        return
    client = write.request.master_client
    provider = await named_user(client, write.object, "provider")
    span = times_of(write.object, fields) if write.object.get("status") == "scheduled" else None
    if provider is None or (span and PROVIDER_ROLE not in await client.roles_of(provider)):
        raise invalid("An appointment is with an approved provider.")
    await claim(client, write.object, fields, provider, span)


def times_of(obj: ParseObject, fields: AppointmentFields) -> tuple[datetime, datetime]:
    """When an appointment begins and ends."""
    start = obj.get(fields.start)
    end = obj.get(fields.end) if fields.end is not None else None
    if isinstance(start, datetime) and fields.end is None:
        end = start + timedelta(minutes=fields.minutes)
    if not isinstance(start, datetime) or not isinstance(end, datetime):
        raise invalid(f"An appointment needs {fields.start}{' and ' + fields.end if fields.end else ''}.")
    if end <= start:
        raise invalid("An appointment ends after its start.")
    return start, end


async def claim(
    client: Client,
    obj: ParseObject,
    fields: AppointmentFields,
    provider: str,
    span: tuple[datetime, datetime] | None,
) -> None:
    """Claim a provider's time for an appointment, or refuse it. Without a span: give up the claim."""
    for _ in range(ATTEMPTS):
        calendar, now = await open_calendar(client, provider), datetime.now(UTC)
        claims = [
            entry
            for entry in calendar["claims"]
            if entry["at"] > now - CLAIM_LASTS and entry["appointment"] != obj.id
        ]
        if span is not None:
            start, end = span
            is_claimed = any(entry["start"] < end and start < entry["end"] for entry in claims)
            if is_claimed or await is_booked(client, obj, fields, start, end):
                text = "The provider has another appointment at that time."
                raise ParseError(ErrorCode.DUPLICATE_VALUE, text)
            own: dict[str, Any] = {"appointment": obj.id, "start": start, "end": end, "at": now}
            claims.append(own)
        try:
            await client.update(
                calendar.pointer,
                only_if={"revision": calendar["revision"]},
                revision=calendar["revision"] + 1,
                claims=claims,
            )
        except ParseError as error:
            if error.code not in (ErrorCode.WRITE_CONFLICT, ErrorCode.OBJECT_NOT_FOUND):
                raise
        else:
            return
    raise ParseError(ErrorCode.WRITE_CONFLICT, "The provider's calendar is too busy. Try again.")


async def open_calendar(client: Client, provider: str) -> ParseObject:
    """The provider's calendar row; a unique index lets there be one."""
    owner = user_pointer(provider)
    query = client.query(CALENDAR).where(provider=owner)
    found = await query.first()
    if found is not None:
        return found
    fresh = ParseObject.new(CALENDAR, provider=owner, revision=0, claims=[])
    fresh.acl = {}
    with suppress(DuplicateValue):
        await client.save(fresh)
    found = await query.first()
    assert found is not None
    return found


async def is_booked(
    client: Client, obj: ParseObject, fields: AppointmentFields, start: datetime, end: datetime
) -> bool:
    """Does a stored appointment of the provider overlap?"""
    query = client.query(obj.class_name).where(provider=obj["provider"], status="scheduled")
    length = timedelta(minutes=fields.minutes)
    if fields.end is None:
        query = query.where({fields.start: {"$lt": end, "$gt": start - length}})
    else:
        query = query.where({fields.start: {"$lt": end}, fields.end: {"$gt": start}})
    others = query if obj.id is None else query.where({"objectId": {"$ne": obj.id}})
    return await others.first() is not None
