"""`parse-clone audit`: is the audit log whole, and how is it taken out?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from parse_clone.cli.console import Config, DatabaseUri, readable_errors, tell, with_toolbox
from parse_clone.core.audit_chain import Break, Head, canonical_json, check_entry
from parse_clone.core.values import encode_date
from parse_clone.errors import SettingsError
from parse_clone.services.audit_checkpoints import (
    BadCheckpoint,
    check_export,
    public_key_of,
    read_checkpoint,
    read_line,
    sign_checkpoint,
)
from parse_clone.services.audit_trail import AuditTrail
from parse_clone.services.toolbox import Toolbox

cli = typer.Typer(help="Verify the audit log, and take it out.", no_args_is_help=True)

AUDIT_KEY = "PARSE_CLONE_AUDIT_KEY"
"""Names the file with the key that signs checkpoints of the audit log."""

LogClass = Annotated[str, typer.Option("--class", help="The class that holds the log.")]
ChainField = Annotated[str | None, typer.Option("--field", help="Its field with the chain; found by itself.")]
KeyFile = Annotated[
    Path, typer.Option("--key", help="Ed25519 key (PEM) that signs; made if there is none.", envvar=AUDIT_KEY)
]
PublicKey = Annotated[str | None, typer.Option("--public-key", help="The only key to trust, in hexadecimal.")]
CHAIN_FIELDS = ("metadata", "payload")


@cli.command("verify")
def verify_audit(
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="An earlier export or checkpoint, which must still hold.", exists=True, dir_okay=False
        ),
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


@cli.command("export")
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
        signing_key = load_signing_key(key)
        head = Head()
        async for entry in trail.entries():
            checked = check_entry(entry, trail.chain_field, head)
            if isinstance(checked, Break):
                tell_verdict(checked)
            else:
                head = checked
            print(canonical_json(entry).decode())
        now = encode_date(toolbox.clock.now())
        signed = sign_checkpoint(head, class_name, now, signing_key)
        print(canonical_json(signed).decode())
        tell(f"{head.sequence} entries; public key {public_key_of(signing_key)}")

    with_toolbox(config, database_uri, work)


@cli.command("check-export")
def check_audit_export(
    file: Annotated[
        Path, typer.Argument(help="What `audit export` wrote.", exists=True, dir_okay=False, readable=True)
    ],
    public_key: PublicKey = None,
    field: ChainField = None,
) -> None:
    """Check an exported log without the database: its chain, and the signature of its checkpoint."""
    with readable_errors(), errors_of(file):
        lines = file.read_text().splitlines()
        first = read_line(lines[0], 1) if lines else {}
        chain_field = field or next((name for name in CHAIN_FIELDS if name in first), CHAIN_FIELDS[0])
        tell_verdict(check_export(lines, chain_field, public_key))


async def open_trail(toolbox: Toolbox, class_name: str, field: str | None) -> AuditTrail:
    """The log that a command is about."""
    schema = await toolbox.catalog.get(class_name)
    if schema is None:
        raise SettingsError(f"There is no class {class_name}")
    chain_field = field or next((name for name in CHAIN_FIELDS if name in schema.fields), None)
    if chain_field is None:
        raise SettingsError(f"The class {class_name} is no audit log: it has no field {CHAIN_FIELDS[0]}")
    return AuditTrail(toolbox, class_name, chain_field)


def tell_verdict(verdict: Head | Break) -> None:
    """Tell whether a log is whole; end with an error if it is not."""
    if isinstance(verdict, Break):
        place = f"entry {verdict.sequence} {verdict.object_id}".rstrip()
        raise SettingsError(f"The audit log is broken at {place}: {verdict.reason}")
    tell(f"The audit log is whole: {verdict.sequence} entries, the last hash is {verdict.hash}")


def read_last_checkpoint(file: Path, public_key: str | None) -> Head:
    """The checkpoint at the end of a file."""
    with errors_of(file):
        lines = file.read_text().splitlines() or [""]
        return read_checkpoint(read_line(lines[-1], len(lines)), public_key)


@contextmanager
def errors_of(file: Path) -> Iterator[None]:
    """Name the file that cannot be read as a log or a checkpoint."""
    try:
        yield
    except BadCheckpoint as error:
        raise SettingsError(f"{file}: {error}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{file}: expected lines of JSON") from None


def load_signing_key(file: Path) -> Ed25519PrivateKey:
    """Read the key that signs checkpoints, or make one that only its owner reads."""
    if not file.exists():
        key = Ed25519PrivateKey.generate()
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(text)
    try:
        loaded = load_pem_private_key(file.read_bytes(), None)
    except (ValueError, TypeError):  # TypeError: it is encrypted
        loaded = None
    if not isinstance(loaded, Ed25519PrivateKey):
        raise SettingsError(f"{file}: expected an Ed25519 key (PEM) without a passphrase")
    return loaded
