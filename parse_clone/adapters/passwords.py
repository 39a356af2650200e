"""Password hashes: bcrypt, on a few threads beside the event loop.

The work factor makes a hash cost tens of milliseconds on purpose; bcrypt releases the GIL meanwhile.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import bcrypt

# Parse quirk: bcrypt looks at 72 bytes; longer passwords are cut, never refused (test_password_rules).
SIGNIFICANT_BYTES = 72


class BcryptHasher:
    """Writes `$2b$`; verifies `$2a$`, `$2b$` and `$2y$`, as other servers on the same database write them."""

    def __init__(self, cost: int = 10, threads: int = 2) -> None:
        self._cost = cost
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="bcrypt")
        self._nobodys_hash = bcrypt.hashpw(b"nobody", bcrypt.gensalt(cost))

    async def hash(self, password: str) -> str:
        """Hash a password with a salt of its own."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._hash, _significant(password))

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Compare a password with a stored hash; without one the answer is no, after the same time."""
        loop = asyncio.get_running_loop()
        stored = self._nobodys_hash if hashed is None else hashed.encode()
        matches = await loop.run_in_executor(self._threads, _verify, _significant(password), stored)
        return matches and hashed is not None

    def _hash(self, password: bytes) -> str:
        return bcrypt.hashpw(password, bcrypt.gensalt(self._cost)).decode()


def _verify(password: bytes, stored: bytes) -> bool:
    try:
        return bcrypt.checkpw(password, stored)
    except ValueError:  # not a bcrypt hash at all
        return False


def _significant(password: str) -> bytes:
    # A lone surrogate is legal in JSON text, but not in UTF-8.
    return password.encode(errors="surrogatepass")[:SIGNIFICANT_BYTES]
