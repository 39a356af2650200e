"""`parse-clone files`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer
from rich.progress import Progress

from parse_clone.adapters.files.encrypted import EncryptedFiles
from parse_clone.cli.console import Config, DatabaseUri, err, out, tell, with_toolbox
from parse_clone.errors import SettingsError
from parse_clone.services.file_cleaning import clean_files
from parse_clone.services.toolbox import Toolbox

cli = typer.Typer(help="Look after stored files.", no_args_is_help=True)


@cli.command("clean")
def clean(
    grace_hours: Annotated[float, typer.Option(help="Leave files alone that are younger.", min=0)] = 24,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be deleted.")] = False,
    config: Config = None,
    database_uri: DatabaseUri = None,
) -> None:
    """Delete the files that no object holds."""

    async def work(toolbox: Toolbox) -> None:
        found = await clean_files(toolbox, timedelta(hours=grace_hours), dry_run=dry_run)
        for name in found.orphans:
            out.print(name, markup=False, highlight=False, soft_wrap=True)
        done = "would be deleted" if dry_run else "deleted"
        tell(f"{len(found.orphans)} files {done}, {found.kept} are held by objects.")

    with_toolbox(config, database_uri, work)


@cli.command("rotate-key")
def rotate_key(config: Config = None, database_uri: DatabaseUri = None) -> None:
    """Encrypt every file anew that is not encrypted with the first of `fileEncryptionKeys`. It can be
    interrupted and run again, and the server may serve meanwhile."""

    async def work(toolbox: Toolbox) -> None:
        files = toolbox.files
        if not isinstance(files, EncryptedFiles):
            raise SettingsError("There is no key to rotate to: set fileEncryptionKeys")
        renewed, failed = 0, 0
        names = [name async for name, _ in files.list_names()]
        with Progress(console=err) as progress:
            for name in progress.track(names, description="Files"):
                try:
                    renewed += await files.renew(name)
                except OSError as failure:
                    failed += 1
                    tell(f"{name}: {failure}")
        tell(f"{renewed} of {len(names)} files encrypted anew, {failed} failed.")
        if failed:
            raise SettingsError("Some files could not be encrypted anew; they are as they were.")

    with_toolbox(config, database_uri, work)
