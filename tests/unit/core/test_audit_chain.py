"""A chain tells which entry somebody altered, removed or inserted."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from parse_clone.core.audit_chain import (
    NO_HASH,
    Break,
    Head,
    canonical_json,
    check_chain,
    check_entry,
    entry_id,
    hash_entry,
    head_of,
    link_entry,
)


def chain(length: int) -> list[Any]:
    head, entries = Head(), []
    for number in range(length):
        content = {"action": f"a{number}", "metadata": {"changed": ["x"]}}
        entry, head = link_entry(content, "metadata", head, f"n{number}")
        entries.append(entry)
    return entries


def test_entries_continue_one_another() -> None:
    entries = chain(3)
    assert [entry["metadata"]["sequence"] for entry in entries] == [1, 2, 3]
    assert [entry["objectId"] for entry in entries] == [entry_id(1), entry_id(2), entry_id(3)]
    assert entries[0]["metadata"]["previous"] == NO_HASH
    assert entries[2]["metadata"]["previous"] == entries[1]["metadata"]["hash"]
    assert check_chain(entries, "metadata") == Head(3, entries[2]["metadata"]["hash"])
    assert check_chain(entries[1:], "metadata", Head(1, entries[0]["metadata"]["hash"])) == Head(
        3, entries[2]["metadata"]["hash"]
    )


def test_what_was_there_before_stays_in_the_field() -> None:
    entry, _ = link_entry({"payload": {"ip": "1"}}, "payload", Head(), "n")
    assert entry["payload"]["ip"] == "1"
    entry, _ = link_entry({}, "payload", Head(), "n")
    assert set(entry["payload"]) == {"sequence", "previous", "nonce", "hash"}


@pytest.mark.parametrize(
    ("damage", "sequence", "reason"),
    [
        (lambda entries: entries[1].update(action="other"), 2, "altered: the content"),
        (lambda entries: entries[1]["metadata"].update(previous=NO_HASH), 2, "altered: the content"),
        (lambda entries: entries.pop(1), 2, "removed: 2 is missing"),
        (lambda entries: [entries.pop(1), entries.pop(1)], 2, "removed: 2 to 3 is missing"),
        (lambda entries: entries.insert(1, {"objectId": "b"}), 2, "inserted: the entry has no place"),
        (lambda entries: entries[1]["metadata"].update(sequence=True), 2, "inserted: the entry has no place"),
        (
            lambda entries: entries.insert(2, deepcopy(entries[1])),
            2,
            "inserted: the sequence number",
        ),
        (lambda entries: entries[1].update(objectId="b2"), 2, "inserted: the id is not"),
        (lambda entries: entries[2:2] or rehashed(entries[2]), 3, "altered: it does not continue"),
    ],
)
def test_the_first_broken_entry_is_named(damage: Any, sequence: int, reason: str) -> None:
    entries = chain(4)
    damage(entries)
    found = check_chain(entries, "metadata")
    assert isinstance(found, Break)
    assert found.sequence == sequence
    assert found.reason.startswith(reason)


def rehashed(entry: Any) -> None:
    """Somebody who changes an entry and its hash, but not the entry before."""
    entry["metadata"]["previous"] = "1" * 64
    entry["metadata"]["hash"] = hash_entry(entry, "metadata")


def test_numbers_hash_alike_whatever_engine_gives_them_back() -> None:
    assert canonical_json({"b": 1.0, "a": [2.0, 2.5, True, None, {"c": 3.0}]}) == canonical_json(
        {"a": [2, 2.5, True, None, {"c": 3}], "b": 1}
    )
    assert canonical_json({"text": "1.0, 2.0}"}) == b'{"text":"1.0, 2.0}"}'
    entry = chain(1)[0]
    entry["metadata"]["sequence"] = 1.0
    assert check_entry(entry, "metadata", Head()) == head_of(entry, "metadata")


def test_an_entry_without_a_chain_has_a_hash_all_the_same() -> None:
    assert hash_entry({"objectId": "x"}, "metadata") == hash_entry({"objectId": "x"}, "metadata")
