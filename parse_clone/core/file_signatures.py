"""Signed URLs of private files: who may read which file until when, and the proof that the server said so.

A grant is good for one file, one principal and reading; that its principal may still read an object with the
file is asked again at every download.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from functools import lru_cache

from parse_clone.immutable import immutable

PARAMETER = "access"
"""The URL's parameter that holds a grant."""

MASTER_PRINCIPAL = "+master"
"""Who reads with a master key: no user id begins like this."""

LONGEST_GRANT = 512

_is_granting = re.compile(rf"{PARAMETER}=[\w-]+\.[\w-]{{43}}", re.ASCII).fullmatch


@immutable()
class Grant:
    """`principal` (a user id, `*` for everybody, or the master key) may read a file until `expires`, in
    seconds since 1970."""

    principal: str
    expires: int


@lru_cache(maxsize=8)
def derive_key(secret: str) -> bytes:
    """Make the key of signatures from a secret of the settings."""
    return hmac.digest(secret.encode(), b"signed file URLs", hashlib.sha256)


def sign(grant: Grant, name: str, key: bytes) -> str:
    """Write a grant for a file as text for a URL."""
    payload = f"{grant.expires:x}.{grant.principal}"
    return f"{_encode(payload.encode())}.{_encode(_proof(payload, name, key))}"


def read_grant(text: str, name: str, key: bytes, now: float) -> Grant | None:
    """Read a grant, if it is one for this file, unaltered and not expired."""
    if len(text) > LONGEST_GRANT or text.count(".") != 1:
        return None
    try:
        payload_bytes, proof = (_decode(part) for part in text.split("."))
        payload = payload_bytes.decode()
    except (NotBase64, ValueError):
        return None
    if not hmac.compare_digest(proof, _proof(payload, name, key)):
        return None
    expires, _, principal = payload.partition(".")
    grant = Grant(principal, int(expires, 16))
    return grant if now < grant.expires else None


def unsigned(url: str) -> str:
    """A URL without the grants in it."""
    if f"{PARAMETER}=" not in url:
        return url
    place, _, query = url.partition("?")
    left = "&".join([part for part in query.split("&") if not _is_granting(part)])
    return f"{place}?{left}" if left else place


def expiry(now: float, lifetime: int) -> int:
    """When a grant made now ends. It is rounded up, so that a URL stays the same for a while and what it
    names can be kept by a browser."""
    step = max(1, lifetime // 4)
    return (int(now) + lifetime) // step * step + step


def _proof(payload: str, name: str, key: bytes) -> bytes:
    return hmac.digest(key, f"GET\n{payload}\n{name}".encode(), hashlib.sha256)


def _encode(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
