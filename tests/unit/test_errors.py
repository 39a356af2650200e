"""Every error that a client can see is documented, and shown as its settings have it."""

from __future__ import annotations

from pathlib import Path

import pytest

from parse_clone.errors import ErrorCode, ParseError, permission_denied

PAGE = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()


@pytest.mark.parametrize("code", ErrorCode)
def test_every_code_is_documented(code: ErrorCode) -> None:
    row = next(
        (line for line in PAGE.splitlines() if line.startswith(f"| {int(code)} | `{code.name}` |")), ""
    )
    assert len(row.split("|")[3].strip()) > 5


def test_details_are_shown_only_where_answers_are_not_sanitized() -> None:
    error = permission_denied("you lack the role")
    assert error.shown(sanitized=True) == "Permission denied"
    assert error.shown(sanitized=False) == "you lack the role"


def test_a_hook_may_answer_json() -> None:
    assert ParseError(141, "text", value={"reason": 7}).shown(sanitized=True) == {"reason": 7}
