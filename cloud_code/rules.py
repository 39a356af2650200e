"""The vocabulary of the templates' tables: who may do what with which class, and how its fields are called.

Values only. The rules that read them are in the modules beside; the tables are in `templates/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Kind(Enum):
    """What a caller is to an object."""

    PATIENT = "patient"  # the object is about him
    TEAM = "care team"  # an approved provider in the patient's care team
    ADMIN = "admin"
    AUDITOR = "auditor"
    PROVIDER = "named provider"  # the object names him as the provider
    SENDER = "sender"
    RECIPIENT = "recipient"
    CLINIC = "everybody of the clinic"  # patients, providers and admins


Kinds = frozenset[Kind]
NOBODY: Kinds = frozenset()


def only(*kinds: Kind) -> Kinds:
    """These and nobody else."""
    return frozenset(kinds)


@dataclass(frozen=True, kw_only=True)
class Lifecycle:
    """The states of a record. `state` None: the class has no field for them, a published record is new or
    changed, and `version` counts."""

    state: str | None = "status"
    initial: tuple[str, ...] = ()
    next: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    only: Mapping[str, Kinds] = field(default_factory=dict)
    """States that only these kinds of caller reach, whatever keys are shown."""
    on_change: Mapping[str, str] = field(default_factory=dict)
    """The state that a change of the content leads to."""
    closed: tuple[str, ...] = ()
    """States in which the content is fixed."""
    published: tuple[str, ...] = ()
    published_at: str | None = None
    version: str | None = None


@dataclass(frozen=True, kw_only=True)
class Record:
    """A class about patients. `subject` leads to whom: pointers to a profile or a user, joined by dots;
    empty: to whoever created it."""

    class_name: str
    subject: str = "patient"
    create: Kinds = NOBODY
    read: Kinds = NOBODY
    update: Kinds = NOBODY
    delete: Kinds = NOBODY
    author: str | None = None
    """The field that names who wrote the record; the server fills it."""
    provider: str | None = None
    """The field that names a provider whom the record is with."""
    fixed: tuple[str, ...] = ()
    changeable: Mapping[Kind, tuple[str, ...]] = field(default_factory=dict)
    """The only fields that a kind of caller may change; kinds that are not named change all."""
    lifecycle: Lifecycle | None = None
    versioned: bool = False
    visibility: str | None = None
    """The field that narrows who reads: shared, patient-only, provider-only."""


@dataclass(frozen=True, kw_only=True)
class MessageFields:
    """How a template's messages are called."""

    class_name: str = "Message"
    sender: str = "from"
    recipient: str = "to"
    conversation: str = "conversationId"
    patient: str | None = "patient"
    is_read: str | None = "isRead"
    status: str | None = None
    delivered_at: str | None = "deliveredAt"
    read_at: str | None = "readAt"
    sent_at: str = "sentAt"


@dataclass(frozen=True, kw_only=True)
class AppointmentFields:
    """How a template's appointments are called. Without `end` they last `minutes`."""

    start: str = "startAt"
    end: str | None = "endAt"
    minutes: int = 30
    cancelled: str = "cancelled"


@dataclass(frozen=True, kw_only=True)
class ProfileFields:
    """The class that makes a user a patient. `assigned` are fields that the server fills and only staff
    changes, with their first values: `number` is a medical record number."""

    class_name: str = "PatientProfile"
    number: str | None = "medicalRecordNumber"
    active: str | None = "isActive"


@dataclass(frozen=True, kw_only=True)
class Template:
    """Everything that the rules need to know about a template."""

    name: str
    records: tuple[Record, ...] = ()
    profile: ProfileFields | None = ProfileFields()
    provider_class: str | None = None
    message: MessageFields | None = MessageFields()
    appointment: AppointmentFields | None = None
    audit_field: str = "metadata"
    has_summary: bool = True
    access_log: str | None = None
    user_role_field: str | None = None

    def record(self, class_name: str) -> Record | None:
        """The table's row for a class."""
        return next((record for record in self.records if record.class_name == class_name), None)
