"""`Range` headers: which bytes of a file a client wants. One range at a time; what is no range is ignored."""

from __future__ import annotations

import re
from dataclasses import dataclass

_read_range = re.compile(r"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.IGNORECASE).fullmatch


@dataclass(frozen=True, slots=True)
class ByteRange:
    """From `start` to `end`, exclusive."""

    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start

    def header(self, total: int) -> str:
        """Write the `Content-Range` of an answer."""
        return f"bytes {self.start}-{self.end - 1}/{total}"


class UnsatisfiableRange(Exception):
    """A client wants bytes that the file of this size does not have."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def read_range(header: str | None, size: int) -> ByteRange | None:
    """Read a `Range` header for a file of `size` bytes; None: the whole file. Several ranges at once, other
    units and nonsense are the whole file, as HTTP allows."""
    found = _read_range(header) if header else None
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= end:
        raise UnsatisfiableRange(size)
    return ByteRange(start, end)
