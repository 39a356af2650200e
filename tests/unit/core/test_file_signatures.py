"""Grants in URLs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parse_clone.core.file_signatures import Grant, derive_key, expiry, read_grant, sign, unsigned

KEY = derive_key("a secret")
GRANT = Grant("u1", 2_000)


def test_a_grant_is_read_until_it_ends() -> None:
    text = sign(GRANT, "a.txt", KEY)
    assert read_grant(text, "a.txt", KEY, 1_999.9) == GRANT
    assert read_grant(text, "a.txt", KEY, 2_000) is None


@pytest.mark.parametrize(
    ("text", "name", "key"),
    [
        (sign(GRANT, "a.txt", KEY), "b.txt", KEY),
        (sign(GRANT, "a.txt", KEY), "a.txt", derive_key("another")),
        (sign(GRANT, "a.txt", KEY) + "A" * 600, "a.txt", KEY),
        ("", "a.txt", KEY),
        (".", "a.txt", KEY),
        ("a.b.c", "a.txt", KEY),
        ("ä.ö", "a.txt", KEY),
        ("A.A", "a.txt", KEY),
        ("_w.AAAA", "a.txt", KEY),
    ],
)
def test_what_is_no_grant(text: str, name: str, key: bytes) -> None:
    assert read_grant(text, name, key, 0) is None


@pytest.mark.parametrize(
    ("query", "left"),
    [
        (f"?access={sign(GRANT, 'a.txt', KEY)}", ""),
        (f"?a=1&access={sign(GRANT, 'a.txt', KEY)}&b=2", "?a=1&b=2"),
        ("?access=granted&a=1", "?access=granted&a=1"),
        ("?a=1", "?a=1"),
        ("", ""),
    ],
)
def test_a_url_without_its_grant(query: str, left: str) -> None:
    assert unsigned(f"https://example.org/a.txt{query}") == f"https://example.org/a.txt{left}"


@given(st.integers(0, 200), st.integers(1, 255))
def test_an_altered_grant_is_none(position: int, change: int) -> None:
    text = sign(GRANT, "a.txt", KEY)
    position %= len(text)
    altered = text[:position] + chr(ord(text[position]) ^ change) + text[position + 1 :]
    found = read_grant(altered, "a.txt", KEY, 0)
    assert found is None or found == GRANT  # the last bits of base64 may be spare


@given(st.integers(0, 10**10), st.integers(1, 10**6))
def test_a_grant_lasts_as_long_as_it_should(now: int, lifetime: int) -> None:
    assert lifetime <= expiry(now, lifetime) - now <= lifetime + max(1, lifetime // 4)
