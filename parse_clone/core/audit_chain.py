"""The chain of an append-only log: what a hash covers, and whether entries follow one another.

An entry is a stored object. One of its fields (`metadata`, say) holds four members of the chain:

    sequence   1 for the first entry, then one more each time
    previous   the hash of the entry before; 64 zeros for the first
    nonce      random: no two entries are the same, so that each writer knows his own
    hash       SHA-256 over the canonical JSON of the whole entry without this member

Canonical JSON: UTF-8, keys sorted, no white space, whole numbers without a fraction. The object id is the
sequence number too, so the primary key lets nobody take a number twice.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import orjson

from parse_clone.core.json_types import Json, JsonObject

NO_HASH = "0" * 64
ID_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry: what the next one continues."""

    sequence: int = 0
    hash: str = NO_HASH


@dataclass(frozen=True, slots=True)
class Break:
    """The first entry at which a chain is broken, and how."""

    sequence: int
    object_id: str
    reason: str


def entry_id(sequence: int) -> str:
    """The object id of an entry: ids sort as numbers do."""
    return f"a{sequence:0{ID_DIGITS}d}"


def link_entry(content: JsonObject, field: str, head: Head, nonce: str) -> tuple[JsonObject, Head]:
    """Continue a chain: the entry with its id and its members of the chain, and the new head."""
    sequence = head.sequence + 1
    known = content.get(field)
    chain: JsonObject = {"sequence": sequence, "previous": head.hash, "nonce": nonce}
    members: JsonObject = {**(known if isinstance(known, dict) else {}), **chain}
    members.pop("hash", None)
    entry: JsonObject = {**content, "objectId": entry_id(sequence), field: members}
    digest = members["hash"] = digest_of(entry)
    return entry, Head(sequence, digest)


def digest_of(entry: JsonObject) -> str:
    """The hash of an entry that has none yet."""
    return hashlib.sha256(canonical_json(entry)).hexdigest()


def hash_entry(entry: JsonObject, field: str) -> str:
    """The hash that belongs to an entry."""
    members = entry.get(field)
    rest = (
        {name: value for name, value in members.items() if name != "hash"}
        if isinstance(members, dict)
        else members
    )
    return digest_of({**entry, field: rest})


def head_of(entry: JsonObject, field: str) -> Head:
    """The head that an entry is. Raises ValueError if it has no place in a chain."""
    members = entry.get(field)
    sequence = members.get("sequence") if isinstance(members, dict) else None
    if not isinstance(members, dict) or isinstance(sequence, bool) or not isinstance(sequence, int | float):
        raise ValueError("has no place in the chain")
    return Head(int(sequence), str(members.get("hash")))


def check_entry(entry: JsonObject, field: str, head: Head) -> Head | Break:
    """Does an entry continue a chain? The new head, or what is wrong."""
    object_id = str(entry.get("objectId"))
    expected = head.sequence + 1
    try:
        found = head_of(entry, field)
    except ValueError as error:
        return Break(expected, object_id, f"inserted: the entry {error}")
    if object_id != entry_id(found.sequence):
        return Break(expected, object_id, "inserted: the id is not that of the sequence number")
    if found.sequence > expected:
        missing = f"{expected}" if found.sequence == expected + 1 else f"{expected} to {found.sequence - 1}"
        return Break(expected, entry_id(expected), f"removed: {missing} is missing")
    if found.sequence < expected:
        return Break(found.sequence, object_id, "inserted: the sequence number is taken")
    if hash_entry(entry, field) != found.hash:
        return Break(expected, object_id, "altered: the content does not match its hash")
    members = entry[field]
    if not isinstance(members, dict) or members.get("previous") != head.hash:
        return Break(expected, object_id, "altered: it does not continue the entry before")
    return found


def check_chain(entries: Iterable[JsonObject], field: str, head: Head | None = None) -> Head | Break:
    """Check entries in their order; the last head, or the first break."""
    current = head or Head()
    for entry in entries:
        checked = check_entry(entry, field, current)
        if isinstance(checked, Break):
            return checked
        current = checked
    return current


def canonical_json(value: Json) -> bytes:
    """Write JSON in the one form that hashes and signatures cover."""
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    if find_whole_float(text) is None:
        return text
    return orjson.dumps(_canonical(value), option=orjson.OPT_SORT_KEYS)


find_whole_float = re.compile(rb"\.0[,}\]]").search
"""Finds what may be a whole number with a fraction: nearly every entry is without one."""


def _canonical(value: Json) -> Json:
    """Numbers as every engine gives them back: 1.0 and 1 are the same."""
    match value:
        case bool():
            return value
        case float() if value.is_integer():
            return int(value)
        case dict():
            return dict(_members(value))
        case list():
            return [_canonical(item) for item in value]
        case _:
            return value


def _members(value: JsonObject) -> Iterator[tuple[str, Json]]:
    for name, item in value.items():
        yield name, _canonical(item)
