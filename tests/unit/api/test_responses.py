"""How answers are written."""

from __future__ import annotations

import orjson
import pytest

from parse_clone.api.rest.responses import failure
from parse_clone.errors import ParseError


@pytest.mark.parametrize(
    ("error", "body"),
    [
        (ParseError(141, "no bed is free"), {"code": 141, "error": "no bed is free"}),
        (ParseError(141, value={"beds": 0}), {"code": 141, "error": {"beds": 0}}),
        (ParseError(141, ""), {"code": 141, "error": ""}),
        (ParseError(141), {"code": 141}),
    ],
)
def test_an_error_brings_the_text_that_it_has(error: ParseError, body: object) -> None:
    assert orjson.loads(failure(error, sanitized=True).body) == body
