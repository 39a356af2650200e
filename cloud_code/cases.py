"""Whose an object is, and what the caller is to it. Nothing is decided here."""

from __future__ import annotations

from dataclasses import dataclass

from cloud_code.rules import Kind, Kinds, Record, Template
from parse_clone.cloud import Auth, BeforeSave, Client, ErrorCode, ParseError, ParseObject, Pointer, Request

PROVIDER_ROLE, ADMIN_ROLE, AUDITOR_ROLE, PATIENT_ROLE = "provider", "admin", "auditor", "patient"


@dataclass(frozen=True)
class Case:
    """The patient whom an object is about."""

    user_id: str

    @property
    def team(self) -> str:
        """The role of his care team."""
        return team_role(self.user_id)


def team_role(user_id: str) -> str:
    """The role of a patient's care team. It bears the id of his user, whom every template has."""
    return f"careTeam_{user_id}"


def acting(request: Request) -> Auth:
    """Who acts: the caller, also where the server does something for him with master rights."""
    return request.caller.on_behalf_of or request.caller.auth


def is_server(request: Request) -> bool:
    """Does the server itself, or the holder of the master key, act?"""
    return bool(request.caller.auth.is_privileged)


def is_provider(auth: Auth) -> bool:
    """Is this an approved provider?"""
    return PROVIDER_ROLE in auth.roles


async def case_of(client: Client, template: Template, record: Record, obj: ParseObject) -> Case | None:
    """Follow an object's pointers to its patient; None where nothing points anywhere."""
    if template.profile is not None and record.class_name == template.profile.class_name:
        user = obj.get("user")
        return Case(user.object_id) if isinstance(user, Pointer) else None
    if not record.subject:
        return None
    first, *rest = record.subject.split(".")
    target = pointer_in(obj, first)
    for name in rest:
        if target is None:
            return None
        target = pointer_in(await find(client, target), name)
    return None if target is None else await case_of_subject(client, target)


async def case_of_subject(client: Client, subject: Pointer) -> Case | None:
    """The case of a patient profile, or of a user."""
    if subject.class_name == "_User":
        return Case(subject.object_id)
    user = pointer_in(await find(client, subject), "user")
    return None if user is None else Case(user.object_id)


async def find(client: Client, target: Pointer) -> ParseObject | None:
    """The object that a pointer names, if there is one."""
    return await client.query(target.class_name).where(objectId=target.object_id).first()


def pointer_in(obj: ParseObject | None, name: str) -> Pointer | None:
    """The pointer in a field."""
    value = None if obj is None else obj.get(name)
    return value if isinstance(value, Pointer) else None


async def named_user(client: Client, obj: ParseObject, name: str | None) -> str | None:
    """The user whom a field names: directly, or by his provider profile."""
    target = None if name is None else pointer_in(obj, name)
    if target is None or target.class_name == "_User":
        return None if target is None else target.object_id
    user = pointer_in(await find(client, target), "user")
    return None if user is None else user.object_id


async def own_provider_profile(client: Client, template: Template, user_id: str) -> Pointer | None:
    """The pointer by which a template's records name a provider."""
    if template.provider_class is None:
        return Pointer("_User", user_id)
    own = await client.query(template.provider_class).where(user=Pointer("_User", user_id)).first()
    return None if own is None else own.pointer


def kinds_of(auth: Auth, case: Case | None, named: dict[Kind, str | None]) -> Kinds:
    """What a caller is to an object. `named` are the users whom its fields name."""
    found: set[Kind] = {kind for kind, user_id in named.items() if user_id and user_id == auth.user_id}
    if not is_provider(auth):
        found.discard(Kind.PROVIDER)
    if case is not None and auth.user_id == case.user_id:
        found.add(Kind.PATIENT)
    if case is not None and is_provider(auth) and case.team in auth.roles:
        found.add(Kind.TEAM)
    if ADMIN_ROLE in auth.roles:
        found.add(Kind.ADMIN)
    return frozenset(found)


def changed_fields(request: BeforeSave) -> list[str]:
    """The fields whose value this save changes; the ACL is the server's own business."""
    original = request.original
    names = dict.fromkeys(key.partition(".")[0] for key in request.object.dirty_keys if key != "ACL")
    if original is None:
        return list(names)
    return [name for name in names if request.object.get(name) != original.get(name)]


def refused(text: str) -> ParseError:
    """Build the refusal of what a caller may not do."""
    return ParseError(ErrorCode.OPERATION_FORBIDDEN, text)


def invalid(text: str) -> ParseError:
    """Build the refusal of what nobody can do."""
    return ParseError(ErrorCode.VALIDATION_ERROR, text)


def user_pointer(user_id: str) -> Pointer:
    """A pointer to a user."""
    return Pointer("_User", user_id)
