"""What every command needs: the terminal, the settings, an opened database, errors a person can read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from parse_clone.app import opened_toolbox
from parse_clone.configuration import load_settings
from parse_clone.core.context import MASTER, RequestContext
from parse_clone.errors import ParseError, SettingsError
from parse_clone.logs import configure_logs
from parse_clone.services.schema_definitions import SchemaFileError
from parse_clone.services.toolbox import Toolbox
from parse_clone.settings import Settings

Result = TypeVar("Result")

out = Console()
err = Console(stderr=True, highlight=False)

Config = Annotated[Path | None, typer.Option("--config", help="JSON file with parse-server's option names.")]
DatabaseUri = Annotated[
    str | None,
    typer.Option(
        "--database-uri",
        help="sqlite:///file or mongodb://...; default: ./data/parse.sqlite3 in this folder.",
    ),
]
CloudCode = Annotated[str | None, typer.Option("--cloud", help="Module with the cloud code.")]

INTERNAL = RequestContext(auth=MASTER, installation_id="cloud")


def tell(text: str) -> None:
    """Write a line for the person at the terminal, as it is."""
    err.print(text, markup=False, soft_wrap=True)


def settings_of(options: Mapping[str, Any], config: Path | None) -> Settings:
    """Read the settings, and set up the log as they say. `options`: those of the command line."""
    settings = load_settings(options, os.environ, config, tell)
    configure_logs(settings)
    return settings


def with_toolbox(
    config: Path | None, database_uri: str | None, work: Callable[[Toolbox], Awaitable[None]]
) -> None:
    """Open the database that the settings name, and work on it."""
    with readable_errors():
        run(settings_of({"databaseURI": database_uri}, config), work)


def run(settings: Settings, work: Callable[[Toolbox], Awaitable[Result]]) -> Result:
    """Run work on an opened server."""

    async def opened() -> Result:
        async with opened_toolbox(settings) as toolbox:
            return await work(toolbox)

    coroutine: Coroutine[Any, Any, Result] = opened()
    return asyncio.run(coroutine)


@contextmanager
def readable_errors() -> Iterator[None]:
    """Turn what can go wrong into a sentence and an exit status."""
    try:
        yield
    except (SettingsError, SchemaFileError, ParseError) as error:
        fail(str(error))
    except OSError as error:
        if error.filename is None:
            raise
        fail(f"{error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        fail("Interrupted.")


def fail(reason: str) -> None:
    """End with an error."""
    err.print(reason, style="red", markup=False, soft_wrap=True)
    raise typer.Exit(1) from None
