"""The clock and the random source of the machine."""

from __future__ import annotations

import os
import string
from datetime import UTC, datetime

_ALPHABET = (string.ascii_letters + string.digits).encode()
_USABLE = 256 - 256 % len(_ALPHABET)
_TO_ALPHABET = bytes(_ALPHABET[byte % len(_ALPHABET)] for byte in range(256))
_UNUSABLE = bytes(range(_USABLE, 256))  # dropped, so that every character is equally likely

TOKEN_SIZE = 25


class SystemClock:
    """What time it is."""

    def now(self) -> datetime:
        """The time, aware, UTC."""
        return datetime.now(UTC)


class RandomIds:
    """Identifiers that nobody can guess."""

    def object_id(self, size: int = 10) -> str:
        """`size` random characters of `[A-Za-z0-9]`."""
        text = b""
        while len(text) < size:
            text += os.urandom(size + 4).translate(_TO_ALPHABET, _UNUSABLE)
        return text[:size].decode()

    def session_token(self) -> str:
        """`r:` and 32 hexadecimal digits."""
        return "r:" + os.urandom(16).hex()

    def token(self) -> str:
        """25 random characters of `[A-Za-z0-9]`, for mails."""
        return self.object_id(TOKEN_SIZE)
