"""`parse-clone seed`: data to try the application with."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from parse_clone.app import load_hooks
from parse_clone.cli.console import (
    INTERNAL,
    CloudCode,
    Config,
    DatabaseUri,
    readable_errors,
    run,
    settings_of,
    tell,
)
from parse_clone.core.query import EVERYTHING
from parse_clone.errors import SettingsError
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import JobCall


def seed(
    name: Annotated[str, typer.Argument(help="Which data: `demo`.")] = "demo",
    cloud: CloudCode = None,
    config: Config = None,
    database_uri: DatabaseUri = None,
) -> None:
    """Fill the database with the data that the application's job `seed<Name>` makes."""
    with readable_errors():
        settings = settings_of({"databaseURI": database_uri, "cloud": cloud}, config)
        if settings.cloud is None:
            raise SettingsError(
                "There is no cloud code to seed with: name it with --cloud, as `make run` does"
            )
        run(settings, lambda toolbox: run_seed(toolbox, name))


async def run_seed(toolbox: Toolbox, name: str) -> None:
    """Run the job that makes data."""
    load_hooks(toolbox, None)
    job = toolbox.triggers.jobs.get(seed_job(name))
    if job is None:
        raise SettingsError(f"The cloud code has no job {seed_job(name)}")

    async def report(message: str) -> None:
        tell(message)

    call = JobCall(seed_job(name), "", {}, INTERNAL, report)
    tell(str(await job(call) or "Done."))


def seed_job(name: str) -> str:
    """The job that makes data of a name."""
    return f"seed{name[:1].upper()}{name[1:]}"


async def offer_seed(toolbox: Toolbox) -> None:
    """Ask a person who starts a server without any user whether he wants demo data."""
    users = await toolbox.catalog.get("_User")
    if not sys.stdin.isatty() or users is None or await toolbox.storage.count(users, EVERYTHING):
        return
    load_hooks(toolbox, None)
    if seed_job("demo") in toolbox.triggers.jobs and typer.confirm("Fill the empty database with demo data?"):
        await run_seed(toolbox, "demo")
