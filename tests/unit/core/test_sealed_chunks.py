"""Encryption of files in chunks. What a whole file promises is in the tests of file stores."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parse_clone.core.sealed_chunks import (
    CHUNK,
    HEADER,
    TAG,
    NotAuthentic,
    Seal,
    chunk_count,
    chunk_range,
    content_size,
    key_of_text,
    read_key_id,
    write_header,
)

HEAD = write_header("2026", bytes(16))


@given(st.integers(0, 10**12))
def test_sizes(size: int) -> None:
    count = max(1, -(-size // CHUNK))
    stored = HEADER + size + TAG * count
    assert chunk_count(stored) == count
    assert content_size(stored) == size
    assert chunk_range(stored, 0, count - 1) == (HEADER, stored)


def test_headers_name_their_key() -> None:
    assert len(HEAD) == HEADER
    assert read_key_id(HEAD) == "2026"
    assert read_key_id(HEAD[:-1]) is None
    assert read_key_id(bytes(HEADER)) is None


@pytest.mark.parametrize(
    ("name", "header", "number", "is_last"),
    [
        ("b.txt", HEAD, 3, False),
        ("a.txt", write_header("2027", bytes(16)), 3, False),
        ("a.txt", write_header("2026", b"x" * 16), 3, False),
        ("a.txt", HEAD, 4, False),
        ("a.txt", HEAD, 3, True),
    ],
)
def test_a_chunk_opens_only_in_its_place(name: str, header: bytes, number: int, is_last: bool) -> None:
    key = key_of_text("a secret")
    sealed = Seal(key, HEAD, "a.txt").seal(3, b"content", is_last=False)
    assert Seal(key, HEAD, "a.txt").open(3, sealed, is_last=False) == b"content"
    with pytest.raises(NotAuthentic):
        Seal(key, header, name).open(number, sealed, is_last=is_last)
