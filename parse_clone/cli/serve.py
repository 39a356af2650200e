"""`parse-clone serve`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from parse_clone import __version__
from parse_clone.app import load_hooks
from parse_clone.cli.console import CloudCode, Config, DatabaseUri, readable_errors, run, settings_of, tell
from parse_clone.cli.demo import offer_seed
from parse_clone.cli.schemas import import_files
from parse_clone.errors import SettingsError
from parse_clone.services.toolbox import Toolbox
from parse_clone.serving import serve_here, serve_in_processes
from parse_clone.settings import Settings


def serve(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on. [default: 0.0.0.0]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on. [default: 1337]")] = None,
    workers: Annotated[int, typer.Option(help="Processes; more than one needs MongoDB.", min=1)] = 1,
    database_uri: DatabaseUri = None,
    app_id: Annotated[str | None, typer.Option(help="Application id.")] = None,
    master_key: Annotated[
        str | None, typer.Option(help="Better given by PARSE_SERVER_MASTER_KEY: others see options.")
    ] = None,
    mount_path: Annotated[
        str | None, typer.Option(help="Path below which the API lies. [default: /parse]")
    ] = None,
    cloud: CloudCode = None,
    schemas: Annotated[
        list[Path] | None, typer.Option(help="Schema file to import first. May be repeated.", exists=True)
    ] = None,
    production: Annotated[
        bool | None, typer.Option("--production", help="Refuse generated, missing and weak keys.")
    ] = None,
    reload: Annotated[bool, typer.Option("--reload", help="Start again when code changes.")] = False,
) -> None:
    """Serve REST and LiveQuery until interrupted. Every other option of the server is a variable or stands in
    the file of --config: `parse-clone options` lists them."""
    options = {
        "host": host,
        "port": port,
        "databaseURI": database_uri,
        "appId": app_id,
        "masterKey": master_key,
        "mountPath": mount_path,
        "cloud": cloud,
        "production": production,
    }
    given = {name: value for name, value in options.items() if value is not None}
    with readable_errors():
        settings = settings_of(given, config)
        if workers > 1 and settings.is_embedded:
            raise SettingsError("The embedded database serves one process; --workers needs MongoDB")
        if schemas:
            run(settings, lambda toolbox: import_files(toolbox, schemas, dry_run=False))
            run(settings, offer_seed)
        if workers == 1 and not reload:
            serve_here(settings, on_start=partial(print_welcome, settings))
            return
        if workers > 1:
            run(settings, try_hooks)
            warn_of_strangers(settings)
        print_welcome(settings)
        serve_in_processes(settings, given, config, workers, reload=reload)


async def try_hooks(toolbox: Toolbox) -> None:
    """Refuse cloud code that cannot be loaded once, before every process does."""
    load_hooks(toolbox, None)


def warn_of_strangers(settings: Settings) -> None:
    """Tell what several processes cannot do when they cannot talk to each other."""
    if settings.pubsub_url is None:
        tell(
            "Without redisURL each process tells LiveQuery clients of its own writes only, and learns of "
            f"lost rights after cacheTTL ({settings.cache_ttl:g} ms)."
        )


def print_welcome(settings: Settings) -> None:
    """Tell where the server is, where its data lie, and what to try next."""
    if settings.silent:
        return
    shown_host = "localhost" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104
    url = settings.public_server_url or f"http://{shown_host}:{settings.port}{settings.mount_path}"
    path = settings.database_path
    keys = None if path is None else path.parent / "keys.json"
    lines = {
        "URL": url,
        "Application id": settings.app_id,
        "Data": str(path.resolve()) if path else settings.database_uri.rpartition("@")[2],
        "Keys": str(keys.resolve()) if keys is not None and keys.exists() else "",
    }
    tell(f"parse_clone {__version__}")
    for name, value in lines.items():
        if value:
            tell(f"{name:16}{value}")
    tell(f"\nTry:  curl {url}/health\n")
