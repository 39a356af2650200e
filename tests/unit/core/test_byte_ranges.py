"""Ranges of bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parse_clone.core.byte_ranges import ByteRange, UnsatisfiableRange, read_range


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (None, None),
        ("", None),
        ("bytes=0-0", ByteRange(0, 1)),
        ("Bytes = 2 - 5", ByteRange(2, 6)),
        ("bytes=2-", ByteRange(2, 10)),
        ("bytes=-4", ByteRange(6, 10)),
        ("bytes=-40", ByteRange(0, 10)),
        ("bytes=3-400", ByteRange(3, 10)),
        ("bytes=5-4", None),
        ("bytes=-", None),
        ("bytes=0-1, 3-4", None),
        ("items=0-1", None),
        ("bytes=1.0-2", None),
        ("bytes=" + "9" * 19 + "-", None),
    ],
)
def test_reading(header: str | None, found: ByteRange | None) -> None:
    assert read_range(header, 10) == found


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-11", "bytes=-0"])
def test_what_lies_outside(header: str) -> None:
    with pytest.raises(UnsatisfiableRange) as refusal:
        read_range(header, 10)
    assert refusal.value.size == 10


@given(st.integers(0, 100), st.integers(0, 100), st.integers(1, 100))
def test_a_range_lies_in_the_file(first: int, last: int, size: int) -> None:
    try:
        found = read_range(f"bytes={first}-{last}", size)
    except UnsatisfiableRange:
        assert first >= size
        return
    if found is not None:
        assert 0 <= found.start < found.end <= size
        assert found.header(size) == f"bytes {first}-{min(last, size - 1)}/{size}"
        assert found.size == min(last + 1, size) - first
