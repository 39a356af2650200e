from __future__ import annotations

import pytest

from parse_clone.core.javascript import is_truthy, json_of, text_of
from parse_clone.core.json_types import Json


def nested(depth: int) -> Json:
    value: Json = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (1.0, "1"),
        (1.5, "1.5"),
        ("a", "a"),
        ({"a": 1}, "[object Object]"),
        ([], ""),
        (["a", None, ["b", []], {}], "a,,b,,[object Object]"),
        (nested(100_000), "1"),
    ],
)
def test_texts(value: Json, text: str) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("value", "truth"),
    [(None, False), (0, False), ("", False), (False, False), ("0", True), ([], True), ({}, True), (-1, True)],
)
def test_truth(value: Json, truth: bool) -> None:
    assert is_truthy(value) is truth


def test_json_of_deep_values_is_left_out() -> None:
    assert json_of({"a": [1, None]}) == '{"a":[1,null]}'
    assert json_of(nested(100_000)) == "..."
