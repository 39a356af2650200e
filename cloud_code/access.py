"""Who may write a record, and who reads it: the ACL comes from the tables, whatever the client sends."""

from __future__ import annotations

from dataclasses import dataclass

from cloud_code.cases import (
    ADMIN_ROLE,
    AUDITOR_ROLE,
    PATIENT_ROLE,
    PROVIDER_ROLE,
    Case,
    acting,
    case_of,
    changed_fields,
    invalid,
    is_server,
    kinds_of,
    named_user,
    own_provider_profile,
    refused,
    user_pointer,
)
from cloud_code.rules import Kind, Kinds, Record, Template
from parse_clone.cloud import BeforeSave, ParseObject, Request

Acl = dict[str, dict[str, bool]]

ROLES = {Kind.ADMIN: (ADMIN_ROLE,), Kind.AUDITOR: (AUDITOR_ROLE,)}
EVERYBODY = (PATIENT_ROLE, PROVIDER_ROLE, ADMIN_ROLE)


@dataclass(frozen=True)
class Place:
    """Where an object stands: whose it is, whom it names, and what the caller is to it."""

    case: Case | None
    named: dict[Kind, str | None]
    kinds: Kinds


@dataclass(frozen=True)
class Write:
    """A save of a record on its way through the rules."""

    request: BeforeSave
    template: Template
    record: Record
    place: Place
    changed: list[str]

    @property
    def kinds(self) -> Kinds:
        return self.place.kinds

    @property
    def object(self) -> ParseObject:
        return self.request.object

    @property
    def original(self) -> ParseObject | None:
        return self.request.original

    @property
    def is_new(self) -> bool:
        return self.request.original is None

    @property
    def is_server(self) -> bool:
        return is_server(self.request)


async def begin(request: BeforeSave, template: Template, record: Record) -> Write:
    """Find out whose the object is, and what the caller is to it."""
    fill_own(request, template, record)
    place = await look_up(request, template, record, request.original or request.object)
    return Write(request, template, record, place, changed_fields(request))


async def look_up(request: Request, template: Template, record: Record, obj: ParseObject) -> Place:
    """Follow an object's pointers to the people they name."""
    client, message = request.master_client, template.message
    named: dict[Kind, str | None] = {}
    if record.provider is not None:
        named[Kind.PROVIDER] = await named_user(client, obj, record.provider)
    if message is not None and record.class_name == message.class_name:
        named[Kind.SENDER] = await named_user(client, obj, message.sender)
        named[Kind.RECIPIENT] = await named_user(client, obj, message.recipient)
    if record.subject:
        case = await case_of(client, template, record, obj)
    else:
        case = None if named else owner_case(request, obj)
    return Place(case, named, kinds_of(acting(request), case, named))


def fill_own(request: BeforeSave, template: Template, record: Record) -> None:
    """Name the caller where only he can be meant: he needs not, and cannot, name another one."""
    user_id, roles = acting(request).user_id, acting(request).roles
    if request.original is not None or user_id is None or is_server(request):
        return
    if record.subject == "user" and not (ADMIN_ROLE in roles and record.class_name != template.access_log):
        request.object["user"] = user_pointer(user_id)
    if template.message is not None and record.class_name == template.message.class_name:
        request.object[template.message.sender] = user_pointer(user_id)


def owner_case(request: Request, obj: ParseObject) -> Case | None:
    """The case of a record that names nobody: whoever created it, as its ACL remembers."""
    user_id = acting(request).user_id
    if not obj.is_new:
        writers = [name for name, rights in (obj.acl or {}).items() if rights.get("write")]
        user_id = next((name for name in writers if not name.startswith("role:")), None)
    return None if user_id is None else Case(user_id)


def check_rights(write: Write) -> None:
    """Refuse a caller to whom the table gives nothing, and changes of what is not his to change."""
    record = write.record
    allowed = record.create if write.is_new else record.update
    if not (write.is_server or write.kinds & allowed):
        raise refused(f"You may not {'create' if write.is_new else 'change'} this {record.class_name}.")
    if not write.is_new:
        check_fixed(write)
    if not (write.is_new or write.is_server):
        check_own_fields(write, write.kinds & allowed)


def check_fixed(write: Write) -> None:
    """Refuse to move a record to another patient or author, whatever keys are shown."""
    record = write.record
    for name in (record.subject.partition(".")[0], *record.fixed, record.author):
        if name and name in write.changed:
            raise invalid(f"{name} of a {record.class_name} cannot be changed.")


def check_own_fields(write: Write, granting: Kinds) -> None:
    """Refuse changes of fields that nothing of what the caller is lets him change."""
    record = write.record
    limits = [record.changeable.get(kind) for kind in granting]
    if all(limit is not None for limit in limits):
        own = {name for limit in limits if limit is not None for name in limit}
        foreign = [name for name in write.changed if name not in own]
        if foreign:
            raise refused(f"You may not change {', '.join(foreign)} of a {record.class_name}.")


async def fill_author(write: Write) -> None:
    """Name the provider who writes the record."""
    author, user_id = write.record.author, acting(write.request).user_id
    if author is None or not write.is_new or user_id is None or is_server(write.request):
        return
    own = await own_provider_profile(write.request.master_client, write.template, user_id)
    if own is None:
        raise invalid(f"You need a {write.template.provider_class} to write a {write.record.class_name}.")
    write.object[author] = own


async def set_acl(write: Write) -> None:
    """Give the object the ACL that the table says."""
    case = write.place.case
    if case is None and write.record.class_name != getattr(write.template.message, "class_name", None):
        raise invalid(f"A {write.record.class_name} must name its patient ({write.record.subject or 'you'}).")
    named = await renamed(write) if write.is_new else write.place.named
    write.object.acl = acl_of(write.record, case, named, visible_to(write))


async def renamed(write: Write) -> dict[Kind, str | None]:
    """The users whom the object names now that the rules have filled it."""
    if write.record.provider is None:
        return write.place.named
    provider = await named_user(write.request.master_client, write.object, write.record.provider)
    return {**write.place.named, Kind.PROVIDER: provider}


def visible_to(write: Write) -> Kinds:
    """Narrow the readers where a field of the record says so."""
    reading, name = write.record.read, write.record.visibility
    match write.object.get(name) if name else None:
        case "patient-only":
            return reading - {Kind.TEAM}
        case "provider-only":
            return reading - {Kind.PATIENT}
        case None | "shared":
            return reading
        case other:
            raise invalid(f"{name} is shared, patient-only or provider-only, not {other!r}.")


def acl_of(record: Record, case: Case | None, named: dict[Kind, str | None], readers: Kinds) -> Acl:
    """An ACL from a row of the table."""
    acl: Acl = {}
    for kinds, right in ((readers, "read"), (record.update | record.delete, "write")):
        for kind in kinds:
            for principal in principals(kind, case, named):
                acl.setdefault(principal, {})[right] = True
    return acl


def principals(kind: Kind, case: Case | None, named: dict[Kind, str | None]) -> list[str]:
    """The names under which ACLs know a kind of caller."""
    match kind:
        case Kind.PATIENT:
            return [] if case is None else [case.user_id]
        case Kind.TEAM:
            return [] if case is None else [f"role:{case.team}"]
        case Kind.CLINIC:
            return [f"role:{name}" for name in EVERYBODY]
        case Kind.ADMIN | Kind.AUDITOR:
            return [f"role:{name}" for name in ROLES[kind]]
        case _:
            user_id = named.get(kind)
            return [] if user_id is None else [user_id]
