"""Accounts and their roles: everybody signs up as a patient; more rights come from an admin.

Roles are rows that only the server writes: their ACL names nobody.
"""

from __future__ import annotations

from cloud_code.audit import Audit
from cloud_code.care_team import asked_id, is_admin
from cloud_code.cases import (
    ADMIN_ROLE,
    AUDITOR_ROLE,
    PATIENT_ROLE,
    PROVIDER_ROLE,
    invalid,
    is_server,
    refused,
    team_role,
    user_pointer,
)
from cloud_code.rules import Template
from parse_clone.cloud import AfterSave, BeforeSave, Client, Cloud, FunctionRequest, ParseObject, Request

APPLICATIONS = "ProviderApplication"
GRANTED = (ADMIN_ROLE, AUDITOR_ROLE)
ROLES = (PATIENT_ROLE, PROVIDER_ROLE, *GRANTED)
NO_ROLE = "none"
"""What the field for the role says of somebody who has none."""
READ, WRITE = {"read": True}, {"read": True, "write": True}


def register_accounts(cloud: Cloud, template: Template, audit: Audit) -> None:
    """Register the hooks of users and the functions that change roles."""

    @cloud.before_save("_User")
    async def protect_user(request: BeforeSave) -> None:
        """Keep a user to himself, and his role out of his hands."""
        user, field = request.object, template.user_role_field
        if field is not None and not is_server(request):
            if request.original is None:
                user[field] = PATIENT_ROLE
            elif field in user.dirty_keys:
                user.revert(field)
        if request.original is None:
            user.acl = user_acl(str(user.id))
        elif "ACL" in user.dirty_keys and not is_server(request):
            user.revert("ACL")

    @cloud.after_save("_User")
    async def make_patient(request: AfterSave) -> None:
        """Everybody begins as a patient."""
        if request.original is None:
            await request.master_client.add_to_role(PATIENT_ROLE, str(request.object.id))

    @cloud.before_save("_Role")
    async def protect_role(request: BeforeSave) -> None:
        """Roles change by functions, or with the master key."""
        if not is_server(request):
            raise refused("Roles are given by an admin, with a function.")
        request.object.acl = {}

    @cloud.function("applyAsProvider")
    async def apply(request: FunctionRequest) -> None:
        """Ask to become a provider; until an admin agrees the account has no rights at all."""
        user_id = request.caller.auth.user_id
        if user_id is None:
            raise refused("Log in first.")
        client = request.master_client
        if PROVIDER_ROLE in request.roles:
            raise invalid("You are a provider.")
        application = ParseObject.new(APPLICATIONS, user=user_pointer(user_id), status="pending")
        for name in ("specialty", "clinic"):
            if isinstance(request.params.get(name), str):
                application[name] = request.params[name]
        application.acl = {user_id: READ, f"role:{ADMIN_ROLE}": READ}
        await audit.note(request, "applyAsProvider", "_User", user_id)
        await client.save(application)
        await client.remove_from_role(PATIENT_ROLE, user_id)
        await show_role(client, template, user_id, NO_ROLE)

    @cloud.function("approveProvider")
    async def approve(request: FunctionRequest) -> None:
        """Make a user a provider."""
        await decide(request, audit, template, approved=True)

    @cloud.function("rejectProvider")
    async def reject(request: FunctionRequest) -> None:
        """Refuse an application; the user is a patient again."""
        await decide(request, audit, template, approved=False)

    @cloud.function("revokeProvider")
    async def revoke(request: FunctionRequest) -> None:
        """Take all rights of a provider away: the role, and every care team."""
        check_admin(request)
        user_id, client = asked_id(request, "user"), request.master_client
        for role in await client.roles_of(user_id):
            if role == PROVIDER_ROLE or role.startswith(team_role("")):
                await audit.note(request, "revokeRole", "_Role", role, {"user": user_id})
                await client.remove_from_role(role, user_id)
        await show_role(client, template, user_id, NO_ROLE)

    @cloud.function("grantRole")
    async def grant(request: FunctionRequest) -> None:
        """Make a user an admin or an auditor."""
        await change_role(request, audit, template, "grantRole")

    @cloud.function("revokeRole")
    async def take_back(request: FunctionRequest) -> None:
        """Take that back."""
        await change_role(request, audit, template, "revokeRole")


async def decide(request: FunctionRequest, audit: Audit, template: Template, *, approved: bool) -> None:
    """Answer an application."""
    check_admin(request)
    user_id, client = asked_id(request, "user"), request.master_client
    query = client.query(APPLICATIONS).where(user=user_pointer(user_id), status="pending")
    applications = await query.find()
    if not applications:
        raise invalid("This user has not applied.")
    action, role = ("approveProvider", PROVIDER_ROLE) if approved else ("rejectProvider", PATIENT_ROLE)
    await audit.note(request, action, "_Role", role, {"user": user_id})
    await client.add_to_role(role, user_id)
    await show_role(client, template, user_id, role)
    for application in applications:
        application["status"] = "approved" if approved else "rejected"
        if request.user is not None:
            application["decidedBy"] = request.user.pointer
        await client.save(application)


async def show_role(client: Client, template: Template, user_id: str, role: str) -> None:
    """Let the user tell his role, if he has a field for it, and the people of the clinic see who a provider
    is. Rights come from roles alone."""
    user = await client.get("_User", user_id)
    everybody = {f"role:{name}": READ for name in (PATIENT_ROLE, PROVIDER_ROLE, ADMIN_ROLE)}
    user.acl = {**everybody, user_id: WRITE} if role == PROVIDER_ROLE else user_acl(user_id)
    if template.user_role_field is not None:
        user[template.user_role_field] = role
    await client.save(user)


async def change_role(request: FunctionRequest, audit: Audit, template: Template, action: str) -> None:
    """Give or take one of the roles that need no application; staff are no patients."""
    check_admin(request)
    user_id, role = asked_id(request, "user"), request.params.get("role")
    if role not in GRANTED:
        raise invalid(f"role is {' or '.join(GRANTED)}.")
    client = request.master_client
    await audit.note(request, action, "_Role", role, {"user": user_id})
    if action == "grantRole":
        await client.add_to_role(role, user_id)
        await client.remove_from_role(PATIENT_ROLE, user_id)
    else:
        await client.remove_from_role(role, user_id)
    await show_role(client, template, user_id, role if action == "grantRole" else NO_ROLE)


def user_acl(user_id: str) -> dict[str, dict[str, bool]]:
    """Who knows a user: himself, admins, and his care team if he is a patient."""
    return {user_id: WRITE, f"role:{ADMIN_ROLE}": READ, f"role:{team_role(user_id)}": READ}


def check_admin(request: Request) -> None:
    """Refuse everybody but admins and the master key."""
    if not is_admin(request):
        raise refused("Only an admin may do this.")
