"""`parse-clone users` and `parse-clone roles`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from parse_clone.cli.console import INTERNAL, Config, DatabaseUri, out, with_toolbox
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.values import pointer
from parse_clone.errors import SettingsError
from parse_clone.services.classes import find_objects, save_object
from parse_clone.services.objects.requests import FindRequest, SaveRequest
from parse_clone.services.toolbox import Toolbox

users_cli = typer.Typer(help="Make users.", no_args_is_help=True)
roles_cli = typer.Typer(help="Make roles, and put users into them.", no_args_is_help=True)


def read_field(text: str) -> tuple[str, Json]:
    """Read `name=value`."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise typer.BadParameter(f"expected name=value, not {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


@users_cli.command("create")
def create_user(
    username: Annotated[str, typer.Argument(help="The name to log in with.")],
    email: Annotated[str | None, typer.Option(help="E-mail address.")] = None,
    fields: Annotated[
        list[str] | None,
        typer.Option(
            "--field", help="Another field, name=value; the value is JSON or text. May be repeated."
        ),
    ] = None,
    password: Annotated[
        str | None,
        typer.Option(
            help="Asked for if neither this nor the variable has it. Others on this machine see options.",
            envvar="PARSE_CLONE_PASSWORD",
        ),
    ] = None,
    config: Config = None,
    database_uri: DatabaseUri = None,
) -> None:
    """Create a user."""
    others = dict(map(read_field, fields or ()))
    if not password:
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    body: JsonObject = {"username": username, "password": password, **others}
    if email is not None:
        body["email"] = email

    async def work(toolbox: Toolbox) -> None:
        answer = await save_object(toolbox, INTERNAL, SaveRequest("_User", None, body))
        out.print(f"User {username} has the id {answer.body['objectId']}.", markup=False, highlight=False)

    with_toolbox(config, database_uri, work)


@roles_cli.command("add")
def add_role(
    role: Annotated[str, typer.Argument(help="The role's name.")],
    users: Annotated[list[str] | None, typer.Argument(help="Usernames to put into the role.")] = None,
    config: Config = None,
    database_uri: DatabaseUri = None,
) -> None:
    """Create a role if there is none of that name, and put users into it."""

    async def work(toolbox: Toolbox) -> None:
        role_id = await find_id(toolbox, "_Role", {"name": role})
        members: list[Json] = [pointer("_User", await require_user(toolbox, name)) for name in users or ()]
        body: JsonObject = {"users": {"__op": "AddRelation", "objects": members}} if members else {}
        if role_id is None:
            body = {"name": role, "ACL": {"*": {"read": True}}, **body}
        if body:
            await save_object(toolbox, INTERNAL, SaveRequest("_Role", role_id, body))
        out.print(f"Role {role}: {len(members)} users added.", markup=False, highlight=False)

    with_toolbox(config, database_uri, work)


async def require_user(toolbox: Toolbox, username: str) -> str:
    """The id of a user who must exist."""
    found = await find_id(toolbox, "_User", {"username": username})
    if found is None:
        raise SettingsError(f"There is no user {username}")
    return found


async def find_id(toolbox: Toolbox, class_name: str, where: JsonObject) -> str | None:
    """The id of the object that matches, if there is one."""
    answer = await find_objects(toolbox, INTERNAL, FindRequest(class_name, {"where": where, "limit": 1}))
    return str(answer.results[0]["objectId"]) if answer.results else None
