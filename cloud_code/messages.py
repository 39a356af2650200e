"""Messages: between people who share a patient, fixed once sent, marked by the recipient only."""

from __future__ import annotations

from datetime import UTC, datetime

from cloud_code.access import Write
from cloud_code.cases import (
    PROVIDER_ROLE,
    case_of_subject,
    invalid,
    pointer_in,
    refused,
    team_role,
)
from cloud_code.rules import Kind, MessageFields
from parse_clone.cloud import Client

STATES = ("sent", "delivered", "read")


async def follow_message(write: Write) -> None:
    """Bring a save of a message in line with the rules."""
    fields = write.template.message
    assert fields is not None
    if write.is_new:
        await check_parties(write, fields)
        await check_conversation(write, fields)
        begin_message(write, fields)
    else:
        mark(write, fields)


async def check_parties(write: Write, fields: MessageFields) -> None:
    """Sender and recipient must be the patient and his care team, or two of them."""
    sender, recipient = write.place.named.get(Kind.SENDER), write.place.named.get(Kind.RECIPIENT)
    if sender is None or recipient is None:
        raise invalid(f"A message needs {fields.sender} and {fields.recipient}.")
    client = write.request.master_client
    if fields.patient is None:
        if not await share_a_patient(client, sender, recipient):
            raise refused("You may write to your care team and to your patients only.")
        return
    subject = pointer_in(write.object, fields.patient)
    case = None if subject is None else await case_of_subject(client, subject)
    if case is None:
        raise invalid(f"A message must name its {fields.patient}.")
    for party in (sender, recipient):
        if party != case.user_id:
            roles = await client.roles_of(party)
            if case.team not in roles or PROVIDER_ROLE not in roles:
                raise refused("You may write to the care team and its patient only.")


async def share_a_patient(client: Client, one: str, other: str) -> bool:
    """Is one of them in the other's care team, or are both providers?"""
    roles = {party: await client.roles_of(party) for party in (one, other)}
    if all(PROVIDER_ROLE in names for names in roles.values()):
        return True
    pairs = ((one, other), (other, one))
    return any(
        PROVIDER_ROLE in roles[provider] and team_role(patient) in roles[provider]
        for patient, provider in pairs
    )


async def check_conversation(write: Write, fields: MessageFields) -> None:
    """A conversation stays with its patient; where messages name none, with its two people."""
    name = fields.conversation
    conversation = write.object.get(name)
    if not isinstance(conversation, str) or not conversation:
        raise invalid(f"A message needs a {name}.")
    query = write.request.master_client.query(fields.class_name).where({name: conversation})
    first = await query.first()
    if first is None:
        return
    if fields.patient is not None:
        is_same = first.get(fields.patient) == write.object.get(fields.patient)
    else:
        is_same = {first[fields.sender], first[fields.recipient]} == {
            write.object[fields.sender],
            write.object[fields.recipient],
        }
    if not is_same:
        raise refused("This conversation is not yours.")


def begin_message(write: Write, fields: MessageFields) -> None:
    """A new message is sent, now, and nothing more."""
    write.object[fields.sent_at] = datetime.now(UTC)
    if fields.is_read is not None:
        write.object[fields.is_read] = False
    if fields.status is not None:
        write.object[fields.status] = STATES[0]
    for name in (fields.delivered_at, fields.read_at):
        if name is not None and name in write.object:
            write.object.revert(name)


def mark(write: Write, fields: MessageFields) -> None:
    """Sent, delivered, read: forward only, with the server's time."""
    original = write.original
    assert original is not None
    if fields.status is not None and fields.status in write.changed:
        before, after = original.get(fields.status) or STATES[0], write.object.get(fields.status)
        following = STATES[STATES.index(before) + 1 :]
        if after not in following:
            can = f"can become {' or '.join(following)}" if following else "stays read"
            raise invalid(f"A message that is {before} {can}, not {after}.")
    if fields.is_read is not None and fields.is_read in write.changed:
        if not write.object.get(fields.is_read):
            raise invalid("A message that was read stays read.")
        if fields.read_at is not None:
            write.object[fields.read_at] = datetime.now(UTC)
    if fields.delivered_at is not None and fields.delivered_at in write.changed:
        if original.get(fields.delivered_at) is not None:
            raise invalid("A message that was delivered stays delivered.")
        write.object[fields.delivered_at] = datetime.now(UTC)
    if fields.read_at is not None and fields.read_at in write.changed and fields.is_read not in write.changed:
        write.object.revert(fields.read_at)
