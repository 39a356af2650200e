"""Signed checkpoints: what the head of an audit chain was at some time, provable without the database.

A checkpoint that is kept elsewhere shows what the chain alone cannot: that its end was cut off, or that
somebody who can write to the database computed it anew. Signatures are Ed25519 over canonical JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from parse_clone.core.audit_chain import Break, Head, canonical_json, check_entry
from parse_clone.core.json_types import JsonObject


class BadCheckpoint(ValueError):
    """The text is no checkpoint, or nobody whom we trust has signed it."""


def public_key_of(key: Ed25519PrivateKey) -> str:
    """The key that others need to check signatures, as hexadecimal text."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def sign_checkpoint(head: Head, class_name: str, signed_at: str, key: Ed25519PrivateKey) -> JsonObject:
    """Write and sign a checkpoint."""
    content: JsonObject = {
        "class": class_name,
        "sequence": head.sequence,
        "hash": head.hash,
        "signedAt": signed_at,
        "publicKey": public_key_of(key),
    }
    return {"checkpoint": content, "signature": key.sign(canonical_json(content)).hex()}


def read_checkpoint(line: JsonObject, public_key: str | None = None) -> Head:
    """Check a checkpoint's signature and return its head. `public_key` is the one that is trusted; without it
    a checkpoint proves only that it was not altered by somebody without the key that it names."""
    content, signature = line.get("checkpoint"), line.get("signature")
    if not isinstance(content, dict) or not isinstance(signature, str):
        raise BadCheckpoint("this is no checkpoint")
    named = str(content.get("publicKey"))
    if public_key is not None and named != public_key:
        raise BadCheckpoint("the checkpoint is signed with another key")
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(named)).verify(
            bytes.fromhex(signature), canonical_json(content)
        )
    except (InvalidSignature, ValueError) as error:
        raise BadCheckpoint("the signature of the checkpoint is wrong") from error
    sequence = content.get("sequence")
    if not isinstance(sequence, int):
        raise BadCheckpoint("the checkpoint has no sequence number")
    return Head(sequence, str(content.get("hash")))


def read_line(line: str, number: int) -> JsonObject:
    """Read a line of an export."""
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise BadCheckpoint(f"line {number}: expected an entry or a checkpoint, as JSON")
    return row


def check_export(lines: Iterable[str], field: str, public_key: str | None = None) -> Head | Break:
    """Check an exported log, offline: every entry, and that the checkpoint at its end is about them."""
    head, checkpoint = Head(), None
    for number, line in enumerate(lines, 1):
        row = read_line(line, number)
        if "checkpoint" in row:
            checkpoint = read_checkpoint(row, public_key)
            continue
        checked = check_entry(row, field, head)
        if isinstance(checked, Break):
            return checked
        head = checked
    if checkpoint is None:
        raise BadCheckpoint("the export has no checkpoint")
    if checkpoint.sequence > head.sequence:
        reason = f"removed: the checkpoint knows {checkpoint.sequence} entries"
        return Break(head.sequence + 1, "", reason)
    if checkpoint != head:
        return Break(head.sequence, "", "altered: the checkpoint knows another hash")
    return head
