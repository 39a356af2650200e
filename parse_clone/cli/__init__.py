"""The command line: serve, and look after the database from a terminal. One module for each subject.

Results go to standard output, everything else to standard error. A command that fails says why in a sentence
and ends with status 1; a command that was called wrongly, with 2.
"""

from __future__ import annotations

from typing import Annotated

import typer

from parse_clone import __version__
from parse_clone.cli import audit, checks, demo, files, people, schemas, serve
from parse_clone.cli.console import out


def _tell_version(wanted: bool) -> None:
    if wanted:
        out.print(__version__)
        raise typer.Exit


cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # keys are among them
)


@cli.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", help="Tell the version.", is_eager=True, callback=_tell_version)
    ] = False,
) -> None:
    """The Parse server for Python."""


cli.command("serve")(serve.serve)
cli.add_typer(schemas.cli, name="schema")
cli.add_typer(people.users_cli, name="users")
cli.add_typer(people.roles_cli, name="roles")
cli.command("seed")(demo.seed)
cli.add_typer(audit.cli, name="audit")
cli.add_typer(files.cli, name="files")
cli.command("check")(checks.check)
cli.command("options")(checks.options)


def main() -> None:
    """Run the command line."""
    cli()
