"""The command line: serve, and look after the database from a terminal. Errors are for a person to read."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from parse_clone import __version__
from parse_clone.adapters.files.encrypted import EncryptedFiles
from parse_clone.api.livequery.protocol import LiveQueryProtocol
from parse_clone.app import Asgi, create_app, load_hooks, opened_toolbox
from parse_clone.configuration import load_settings, settings_page
from parse_clone.core.audit_chain import Break, Head, canonical_json, check_entry
from parse_clone.core.context import MASTER, RequestContext
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.query import EVERYTHING
from parse_clone.core.schema import SchemaChange
from parse_clone.core.values import encode_date, pointer
from parse_clone.errors import ParseError, SettingsError
from parse_clone.logs import configure_logs
from parse_clone.services.audit_checkpoints import (
    BadCheckpoint,
    check_export,
    public_key_of,
    read_checkpoint,
    sign_checkpoint,
)
from parse_clone.services.audit_trail import AuditTrail
from parse_clone.services.classes import find_objects, save_object
from parse_clone.services.file_cleaning import clean_files
from parse_clone.services.objects.requests import FindRequest, SaveRequest
from parse_clone.services.schema_definitions import SchemaFileError
from parse_clone.services.schema_files import (
    apply_import,
    describe_change,
    describe_plan,
    export_schemas,
    load_plan,
    read_schema_files,
)
from parse_clone.services.security_report import make_security_report
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import JobCall
from parse_clone.settings import Settings

Result = TypeVar("Result")

cli = typer.Typer(
    help="The Parse server for Python.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # keys are among them
)
schema_cli = typer.Typer(help="Bring classes into the database, or out of it.", no_args_is_help=True)
users_cli = typer.Typer(help="Users.", no_args_is_help=True)
roles_cli = typer.Typer(help="Roles.", no_args_is_help=True)
audit_cli = typer.Typer(help="The audit log: verify it, take it out.", no_args_is_help=True)
cli.add_typer(schema_cli, name="schema")
cli.add_typer(audit_cli, name="audit")
cli.add_typer(users_cli, name="users")
cli.add_typer(roles_cli, name="roles")
files_cli = typer.Typer(help="Stored files.", no_args_is_help=True)
cli.add_typer(files_cli, name="files")

out = Console()
err = Console(stderr=True, highlight=False)

Config = Annotated[Path | None, typer.Option("--config", help="JSON file with parse-server's option names.")]
DatabaseUri = Annotated[str | None, typer.Option("--database-uri", help="sqlite:///file or mongodb://...")]
Files = Annotated[list[Path], typer.Argument(help="Schema files, or folders of them.", exists=True)]

AUDIT_KEY = "PARSE_CLONE_AUDIT_KEY"
"""Names the file with the key that signs checkpoints of the audit log."""

SHUTDOWN_SECONDS = 30
"""How long requests in flight may take once the server is told to stop."""

INTERNAL = RequestContext(auth=MASTER, installation_id="cloud")


def main() -> None:
    """Run the command line."""
    cli()


# --- Serve -------------------------------------------------------------------------------------------------


@cli.command()
def serve(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    workers: Annotated[int, typer.Option(help="Processes; more than one needs MongoDB.")] = 1,
    database_uri: DatabaseUri = None,
    app_id: Annotated[str | None, typer.Option(help="Application id.")] = None,
    master_key: Annotated[str | None, typer.Option(help="Better given by PARSE_SERVER_MASTER_KEY.")] = None,
    mount_path: Annotated[str | None, typer.Option(help="Path below which the API lies.")] = None,
    cloud: Annotated[str | None, typer.Option(help="Module with the cloud code.")] = None,
    schemas: Annotated[list[Path] | None, typer.Option(help="Schema files to import first.")] = None,
    production: Annotated[bool | None, typer.Option("--production", help="Refuse weak keys.")] = None,
    reload: Annotated[bool, typer.Option("--reload", help="Start again when code changes.")] = False,
) -> None:
    """Serve REST (and what the settings add) until interrupted."""
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
        settings = load_settings(given, os.environ, config)
        if workers > 1 and settings.is_embedded:
            raise SettingsError("The embedded database serves one process; --workers needs MongoDB")
        configure_logs(settings)
        if schemas:
            run(settings, lambda toolbox: import_files(toolbox, schemas, dry_run=False))
            run(settings, offer_seed)
        print_welcome(settings)
        if workers == 1 and not reload:
            relieve_collector()
            run_server(create_app(settings), settings)
            return
    if workers > 1:
        warn_of_strangers(settings)
    os.environ[HANDED_DOWN] = json.dumps({"options": given, "config": str(config or "")})
    run_server(
        "parse_clone.cli:handed_down_app",
        settings,
        factory=True,
        workers=workers,
        reload=reload,
        reload_dirs=watched_folders(settings) if reload else None,
    )


def watched_folders(settings: Settings) -> list[str]:
    """Where a change of code starts the server again: the server's own folder, and that of the cloud code."""
    cloud = [] if settings.cloud is None else [Path(settings.cloud).resolve()]
    folders = [path if path.is_dir() else path.parent for path in cloud]
    return [str(folder) for folder in (Path(__file__).parent, *folders)]


def warn_of_strangers(settings: Settings) -> None:
    """Tell what several processes cannot do when they cannot talk to each other."""
    if not (settings.redis_url or (settings.live_query and settings.live_query.redis_url)):
        err.print(
            "Without redisURL each process tells LiveQuery clients of its own writes only, and learns of "
            f"lost rights after cacheTTL ({settings.cache_ttl} ms).",
            soft_wrap=True,
        )


HANDED_DOWN = "PARSE_CLONE_HANDED_DOWN"
"""How the command line reaches the processes that serve, when there are several."""


def handed_down_app() -> Asgi:
    """Build the application in a process of its own, from what the first process was told."""
    handed_down = json.loads(os.environ[HANDED_DOWN])
    config = Path(handed_down["config"]) if handed_down["config"] else None
    settings = load_settings(handed_down["options"], os.environ, config)
    configure_logs(settings)
    relieve_collector()
    return create_app(settings)


def relieve_collector() -> None:
    """Let the garbage collector pass over what the server is made of, and come less often: a large request
    makes many thousands of objects at once, each look at which would hold the event loop."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def run_server(app: Asgi | str, settings: Settings, **options: Any) -> None:
    """Run uvicorn with what makes it fast; requests in flight are finished before it ends."""
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        http="httptools",
        lifespan="on",
        access_log=False,
        log_level="warning",
        proxy_headers=False,  # whom to believe is the business of `trustProxy`
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        **websocket_options(settings),
        **options,
    )


def websocket_options(settings: Settings) -> dict[str, Any]:
    """How uvicorn keeps WebSockets. Compression costs more CPU time and memory than the small frames save."""
    server = settings.live_query_server_options
    return {
        "ws": LiveQueryProtocol,
        "ws_ping_interval": server.websocket_timeout / 1000,
        "ws_ping_timeout": server.websocket_timeout / 1000,
        "ws_max_size": server.max_frame_size,
        "ws_per_message_deflate": False,
    }


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
    err.print(f"parse_clone {__version__}")
    for name, value in lines.items():
        if value:
            err.print(f"{name:16}{value}", markup=False, soft_wrap=True)
    err.print(f"\nTry:  curl {url}/health\n", markup=False, soft_wrap=True)


# --- Schema ------------------------------------------------------------------------------------------------


@schema_cli.command("import")
def import_schemas(
    files: Files,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")] = False,
    config: Config = None,
    database_uri: DatabaseUri = None,
) -> None:
    """Bring the classes of schema files into the database. Adds and adjusts, deletes nothing."""
    with_toolbox(config, database_uri, lambda toolbox: import_files(toolbox, files, dry_run=dry_run))


@schema_cli.command("diff")
def diff_schemas(files: Files, config: Config = None, database_uri: DatabaseUri = None) -> None:
    """Tell what an import would do."""
    with_toolbox(config, database_uri, lambda toolbox: import_files(toolbox, files, dry_run=True))


@schema_cli.command("export")
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
        out.print(describe_plan(plan), markup=False, highlight=False)
        return
    await apply_import(toolbox, plan, tell_change)
    err.print(f"{len(plan.changes)} schema changes made.")


def tell_change(change: SchemaChange) -> None:
    """Tell one change that is about to be made: its first line says what it is about."""
    err.print(next(describe_change(change)), markup=False)


# --- Users and roles ---------------------------------------------------------------------------------------


@users_cli.command("create")
def create_user(
    username: str,
    email: Annotated[str | None, typer.Option(help="E-mail address.")] = None,
    fields: Annotated[
        list[str] | None, typer.Option("--field", help="name=value; value is JSON or text.")
    ] = None,
    password: Annotated[
        str,
        typer.Option(prompt=True, confirmation_prompt=True, hide_input=True, envvar="PARSE_CLONE_PASSWORD"),
    ] = "",
    config: Config = None,
    database_uri: DatabaseUri = None,
) -> None:
    """Create a user."""
    body: JsonObject = {"username": username, "password": password}
    if email is not None:
        body["email"] = email
    body.update(read_field(text) for text in fields or ())

    async def work(toolbox: Toolbox) -> None:
        answer = await save_object(toolbox, INTERNAL, SaveRequest("_User", None, body))
        out.print(f"User {username} has the id {answer.body['objectId']}.")

    with_toolbox(config, database_uri, work)


def read_field(text: str) -> tuple[str, Json]:
    """Read `name=value`."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


@roles_cli.command("add")
def add_role(
    role: str,
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
        out.print(f"Role {role}: {len(members)} users added.")

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


# --- Demo data -------------------------------------------------------------------------------------------


@cli.command()
def seed(
    name: Annotated[str, typer.Argument(help="Which data: `demo`.")] = "demo",
    cloud: Annotated[str | None, typer.Option(help="Module with the cloud code.")] = None,
    config: Config = None,
    database_uri: DatabaseUri = None,
) -> None:
    """Fill the database with the data that the application's job `seed<Name>` makes."""
    with readable_errors():
        settings = load_settings({"databaseURI": database_uri, "cloud": cloud}, os.environ, config)
        configure_logs(settings)
        run(settings, lambda toolbox: run_seed(toolbox, name))


async def run_seed(toolbox: Toolbox, name: str) -> None:
    """Run the job that makes data."""
    load_hooks(toolbox, None)
    job = toolbox.triggers.jobs.get(seed_job(name))
    if job is None:
        raise SettingsError(f"The cloud code has no job {seed_job(name)}")

    async def report(message: str) -> None:
        err.print(message, markup=False)

    call = JobCall(seed_job(name), "", {}, INTERNAL, report)
    err.print(str(await job(call) or "Done."), markup=False)


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


# --- Audit log ---------------------------------------------------------------------------------------------

LogClass = Annotated[str, typer.Option("--class", help="The class that holds the log.")]
ChainField = Annotated[str | None, typer.Option("--field", help="Its field with the chain; found by itself.")]
KeyFile = Annotated[
    Path, typer.Option("--key", help="Ed25519 key (PEM) that signs; made if there is none.", envvar=AUDIT_KEY)
]
PublicKey = Annotated[str | None, typer.Option("--public-key", help="The only key to trust, in hexadecimal.")]
CHAIN_FIELDS = ("metadata", "payload")


@audit_cli.command("verify")
def verify_audit(
    checkpoint: Annotated[
        Path | None, typer.Option(help="An earlier export or checkpoint, which must still hold.", exists=True)
    ] = None,
    public_key: PublicKey = None,
    class_name: LogClass = "AuditLog",
    field: ChainField = None,
    config: Config = None,
    database_uri: DatabaseUri = None,
) -> None:
    """Check the chain of the audit log; name the first entry that was altered, removed or inserted."""

    async def work(toolbox: Toolbox) -> None:
        anchor = None if checkpoint is None else read_last_checkpoint(checkpoint, public_key)
        trail = await open_trail(toolbox, class_name, field)
        tell_verdict(await trail.verify(anchor))

    with_toolbox(config, database_uri, work)


@audit_cli.command("export")
def export_audit(
    key: KeyFile = Path("audit-key.pem"),
    class_name: LogClass = "AuditLog",
    field: ChainField = None,
    config: Config = None,
    database_uri: DatabaseUri = None,
) -> None:
    """Write the audit log to standard output, as lines of JSON; the last one is a signed checkpoint."""

    async def work(toolbox: Toolbox) -> None:
        trail = await open_trail(toolbox, class_name, field)
        head = Head()
        async for entry in trail.entries():
            checked = check_entry(entry, trail.chain_field, head)
            if isinstance(checked, Break):
                tell_verdict(checked)
            else:
                head = checked
            print(canonical_json(entry).decode())
        now = encode_date(toolbox.clock.now())
        signed = sign_checkpoint(head, class_name, now, load_signing_key(key))
        print(canonical_json(signed).decode())
        err.print(f"{head.sequence} entries; public key {public_key_of(load_signing_key(key))}", markup=False)

    with_toolbox(config, database_uri, work)


@audit_cli.command("check-export")
def check_audit_export(
    file: Annotated[Path, typer.Argument(help="What `audit export` wrote.", exists=True)],
    public_key: PublicKey = None,
    field: ChainField = None,
) -> None:
    """Check an exported log without the database: its chain, and the signature of its checkpoint."""
    with readable_errors():
        lines = file.read_text().splitlines()
        first = json.loads(lines[0]) if lines else {}
        chain_field = field or next((name for name in CHAIN_FIELDS if name in first), CHAIN_FIELDS[0])
        tell_verdict(check_export(lines, chain_field, public_key))


async def open_trail(toolbox: Toolbox, class_name: str, field: str | None) -> AuditTrail:
    """The log that a command is about."""
    schema = await toolbox.catalog.get(class_name)
    if schema is None:
        raise SettingsError(f"There is no class {class_name}")
    chain_field = field or next((name for name in CHAIN_FIELDS if name in schema.fields), CHAIN_FIELDS[0])
    return AuditTrail(toolbox, class_name, chain_field)


def tell_verdict(verdict: Head | Break) -> None:
    """Tell whether a log is whole; end with an error if it is not."""
    if isinstance(verdict, Break):
        place = f"entry {verdict.sequence} {verdict.object_id}".rstrip()
        raise SettingsError(f"The audit log is broken at {place}: {verdict.reason}")
    err.print(f"The audit log is whole: {verdict.sequence} entries, the last hash is {verdict.hash}")


def read_last_checkpoint(file: Path, public_key: str | None) -> Head:
    """The checkpoint at the end of a file."""
    return read_checkpoint(json.loads(file.read_text().splitlines()[-1]), public_key)


def load_signing_key(file: Path) -> Ed25519PrivateKey:
    """Read the key that signs checkpoints, or make one that only its owner reads."""
    if not file.exists():
        key = Ed25519PrivateKey.generate()
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(text)
    loaded = load_pem_private_key(file.read_bytes(), None)
    if not isinstance(loaded, Ed25519PrivateKey):
        raise SettingsError(f"{file} is no Ed25519 key")
    return loaded


# --- Files -------------------------------------------------------------------------------------------------


@files_cli.command("clean")
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
        err.print(f"{len(found.orphans)} files {done}, {found.kept} are held by objects.")

    with_toolbox(config, database_uri, work)


@files_cli.command("rotate-key")
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
                    err.print(f"{name}: {failure}", markup=False, soft_wrap=True)
        err.print(f"{renewed} of {len(names)} files encrypted anew, {failed} failed.")
        if failed:
            raise SettingsError("Some files could not be encrypted anew; they are as they were.")

    with_toolbox(config, database_uri, work)


# --- Check -------------------------------------------------------------------------------------------------


@cli.command()
def check(config: Config = None, database_uri: DatabaseUri = None) -> None:
    """Look at the configuration, the database and what is weak about both."""

    async def work(toolbox: Toolbox) -> None:
        await toolbox.storage.ping()
        table = Table("", "Check", "What to do", show_edge=False)
        report = make_security_report(toolbox)
        for mark, title, advice in report_rows(report):
            table.add_row(mark, title, advice)
        out.print(table)
        out.print(f"The database answers; it has {len(toolbox.catalog.classes)} classes.")

    with_toolbox(config, database_uri, work)


def report_rows(report: Json) -> Iterator[tuple[str, str, str]]:
    """The rows of a security report, for a table."""
    groups = report["groups"] if isinstance(report, dict) else None
    for group in groups if isinstance(groups, list) else ():
        checks = group["checks"] if isinstance(group, dict) else None
        for found in checks if isinstance(checks, list) else ():
            if isinstance(found, dict):
                mark = "[green]ok[/]" if found["state"] == "success" else "[red]weak[/]"
                yield mark, str(found["title"]), str(found.get("solution", ""))


@cli.command()
def options() -> None:
    """Tell every option, as the page `docs/settings.md`."""
    print(settings_page(), end="")


@cli.command()
def version() -> None:
    """Tell the version."""
    out.print(__version__)


# --- Running -----------------------------------------------------------------------------------------------


def with_toolbox(
    config: Path | None, database_uri: str | None, work: Callable[[Toolbox], Awaitable[None]]
) -> None:
    """Open the database that the settings name, and work on it."""
    with readable_errors():
        settings = load_settings({"databaseURI": database_uri}, os.environ, config)
        configure_logs(settings)
        run(settings, work)


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
    except (SettingsError, SchemaFileError, BadCheckpoint, ParseError) as error:
        err.print(str(error), style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
