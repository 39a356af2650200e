"""Care teams: one role per patient, which lists the providers who look after him.

ACLs of the patient's records name the role, so joining and leaving change what a provider may see at once.
"""

from __future__ import annotations

from cloud_code.access import Place
from cloud_code.audit import Audit
from cloud_code.cases import (
    ADMIN_ROLE,
    PROVIDER_ROLE,
    Case,
    acting,
    case_of_subject,
    invalid,
    is_provider,
    refused,
)
from cloud_code.rules import Kind, Template
from parse_clone.cloud import Cloud, FunctionRequest, Pointer, Request

TEXT = "Only an admin or a provider of the care team may do this."


def register_care_team(cloud: Cloud, template: Template, audit: Audit) -> None:
    """Register the functions about care teams."""

    @cloud.function("assignProvider")
    async def assign_provider(request: FunctionRequest) -> None:
        """Put a provider into a patient's care team."""
        case = await asked_case(request, template)
        if not (is_admin(request) or is_in_team(request, case)):
            raise refused(TEXT)
        await join(request, audit, case, asked_id(request, "provider"))

    @cloud.function("unassignProvider")
    async def unassign_provider(request: FunctionRequest) -> None:
        """Take a provider out of a care team: others, or oneself."""
        case = await asked_case(request, template)
        if not (is_admin(request) or is_in_team(request, case)):
            raise refused(TEXT)
        await leave(request, audit, case, asked_id(request, "provider"))

    @cloud.function("careTeam")
    async def list_team(request: FunctionRequest) -> list[dict[str, str]]:
        """Tell who looks after a patient: to the patient, to the team, to admins."""
        case = await asked_case(request, template)
        if not (is_admin(request) or is_in_team(request, case) or acting(request).user_id == case.user_id):
            raise refused(TEXT)
        members = await request.master_client.users_in_role(case.team)
        return [{"objectId": str(user.id), "username": user["username"]} for user in members]


async def join(request: Request, audit: Audit, case: Case, provider: str) -> None:
    """Put a provider into a care team; only approved ones can be."""
    client = request.master_client
    if PROVIDER_ROLE not in await client.roles_of(provider):
        raise invalid("This user is no approved provider.")
    await audit.note(request, "joinCareTeam", "_Role", case.team, {"user": provider})
    await client.add_to_role(case.team, provider)


async def leave(request: Request, audit: Audit, case: Case, provider: str) -> None:
    """Take a provider out of a care team; what he saw he sees no longer."""
    await audit.note(request, "leaveCareTeam", "_Role", case.team, {"user": provider})
    await request.master_client.remove_from_role(case.team, provider)


async def join_by_appointment(request: Request, audit: Audit, place: Place) -> None:
    """An appointment that an admin or the team made brings its provider into the team."""
    provider = place.named.get(Kind.PROVIDER)
    if place.case is None or provider is None or not place.kinds & {Kind.ADMIN, Kind.TEAM}:
        return
    if place.case.team not in await request.master_client.roles_of(provider):
        await join(request, audit, place.case, provider)


def is_admin(request: Request) -> bool:
    """Does an admin ask, or the master key?"""
    return request.master or ADMIN_ROLE in acting(request).roles


def is_in_team(request: Request, case: Case) -> bool:
    """Does a provider of the team ask?"""
    return is_provider(acting(request)) and case.team in acting(request).roles


async def asked_case(request: FunctionRequest, template: Template) -> Case:
    """The case that the parameter `patient` names: by a profile's id, or a user's where there are none."""
    class_name = "_User" if template.profile is None else template.profile.class_name
    subject = Pointer(class_name, asked_id(request, "patient"))
    case = await case_of_subject(request.master_client, subject)
    if case is None:
        raise invalid("There is no such patient.")
    return case


def asked_id(request: FunctionRequest, name: str) -> str:
    """The object id in a parameter: as text, or as a pointer."""
    value = request.params.get(name)
    found = value.object_id if isinstance(value, Pointer) else value
    if not isinstance(found, str) or not found:
        raise invalid(f"{name} must be an object id.")
    return found
