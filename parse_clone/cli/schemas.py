"""`parse-clone schema`: classes into the database, and out of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from parse_clone.cli.console import Config, DatabaseUri, out, tell, with_toolbox
from parse_clone.core.schema import SchemaChange
from parse_clone.services.schema_files import (
    apply_import,
    describe_change,
    describe_plan,
    export_schemas,
    load_plan,
    read_schema_files,
)
from parse_clone.services.toolbox import Toolbox

cli = typer.Typer(help="Bring classes into the database, or out of it.", no_args_is_help=True)

Files = Annotated[list[Path], typer.Argument(help="Schema files, or folders of them.", exists=True)]


@cli.command("import")
def import_schemas(
    files: Files,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")] = False,
    config: Config = None,
    database_uri: DatabaseUri = None,
) -> None:
    """Bring the classes of schema files into the database: all of them, or none where one cannot be. Adds and
    adjusts, deletes nothing."""
    with_toolbox(config, database_uri, lambda toolbox: import_files(toolbox, files, dry_run=dry_run))


@cli.command("diff")
def diff_schemas(files: Files, config: Config = None, database_uri: DatabaseUri = None) -> None:
    """Tell what an import would do."""
    with_toolbox(config, database_uri, lambda toolbox: import_files(toolbox, files, dry_run=True))


@cli.command("export")
def export(
    names: Annotated[list[str] | None, typer.Argument(help="Classes; default all.")] = None,
    config: Config = None,
    database_uri: DatabaseUri = None,
) -> None:
    """Write the classes of the database to standard output, as a schema file."""

    async def work(toolbox: Toolbox) -> None:
        print(json.dumps(await export_schemas(toolbox, names or ()), indent=2))

    with_toolbox(config, database_uri, work)


async def import_files(toolbox: Toolbox, files: list[Path], *, dry_run: bool) -> None:
    """Import schema files, or tell what that would do."""
    plan = await load_plan(toolbox, read_schema_files(files))
    if dry_run:
        out.print(describe_plan(plan), markup=False, highlight=False, soft_wrap=True)
        return
    await apply_import(toolbox, plan, tell_change)
    tell(f"{len(plan.changes)} schema changes made.")


def tell_change(change: SchemaChange) -> None:
    """Tell one change that is about to be made: its first line says what it is about."""
    tell(next(describe_change(change)))
