"""Password hashes: what other servers wrote is understood, and nothing tells a user from nobody."""

from __future__ import annotations

import bcrypt
import pytest

from parse_clone.adapters.passwords import BcryptHasher

hasher = BcryptHasher(cost=4)


async def test_a_password_matches_its_own_hash_only() -> None:
    hashed = await hasher.hash("correct horse")
    assert await hasher.verify("correct horse", hashed)
    assert not await hasher.verify("correct horsf", hashed)


async def test_hashes_are_written_as_2b_with_their_own_salt() -> None:
    hashed = await hasher.hash("s3cret")
    assert hashed.startswith("$2b$04$")
    assert hashed != await hasher.hash("s3cret")


async def test_a_server_spends_a_thousand_rounds_on_a_hash() -> None:
    assert (await BcryptHasher().hash("s3cret")).startswith("$2b$10$")


@pytest.mark.parametrize("prefix", ["$2a$", "$2b$", "$2y$"])
async def test_hashes_of_other_servers_verify(prefix: str) -> None:
    hashed = prefix + bcrypt.hashpw(b"s3cret", bcrypt.gensalt(4)).decode()[4:]
    assert await hasher.verify("s3cret", hashed)


async def test_only_the_first_72_bytes_count() -> None:
    hashed = await hasher.hash("é" * 36 + "x")
    assert await hasher.verify("é" * 36 + "y", hashed)
    assert not await hasher.verify("é" * 35 + "x", hashed)


async def test_nobody_has_a_password() -> None:
    assert not await hasher.verify("nobody", None)
    assert not await hasher.verify("", None)


@pytest.mark.parametrize("stored", ["", "plain text", "$2b$04$short"])
async def test_what_is_no_hash_matches_nothing(stored: str) -> None:
    assert not await hasher.verify("plain text", stored)


async def test_any_json_text_is_a_password() -> None:
    for password in ("\ud800", "a\0b", "😀" * 30):
        assert await hasher.verify(password, await hasher.hash(password))
    assert not await hasher.verify("a\0c", await hasher.hash("a\0b"))
