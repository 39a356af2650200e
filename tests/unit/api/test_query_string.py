"""Query strings and forms as Parse reads them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parse_clone.api.rest.query_string import decode_form, decode_query_string


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("", {}),
        ("limit=10", {"limit": 10}),
        ("order=-takenAt", {"order": "-takenAt"}),
        ("count=true&skip=", {"count": True, "skip": ""}),
        ('where={"ward":"W2"}', {"where": {"ward": "W2"}}),
        ("where=%7B%22ward%22%3A%22W+2%22%7D", {"where": {"ward": "W 2"}}),
        ('keys=["a","b"]', {"keys": ["a", "b"]}),
        ("limit=NaN&skip=Infinity", {"limit": "NaN", "skip": "Infinity"}),
        ("where[ward]=W2&where[bed]=5", {"where": {"ward": "W2", "bed": "5"}}),
        ("where[a][b]=c", {"where": {"a": {"b": "c"}}}),
        ("keys[]=a&keys[]=b", {"keys": ["a", "b"]}),
        ("include[0]=ward", {"include": ["ward"]}),
        ("where[$or][0][bed]=1&where[$or][1][bed]=2", {"where": {"$or": [{"bed": "1"}, {"bed": "2"}]}}),
        ("where[0]=a&where[x]=b", {"where": {"0": "a", "x": "b"}}),
        ("keys=a&keys=b&keys=c", {"keys": ["a", "b", "c"]}),
        ("[x]=1", {"[x]": 1}),
        ("where[open=1", {"where[open": 1}),
        ("a=1&a[b]=2", {"a": {"b": "2"}}),
    ],
)
def test_values_are_json_or_text_and_brackets_nest(text: str, decoded: dict[str, Any]) -> None:
    assert decode_query_string(text) == decoded


def test_forms_keep_texts() -> None:
    assert decode_form("limit=10&name=Ada+L") == {"limit": "10", "name": "Ada L"}
    assert decode_form("a[b]=1&tags=x&tags=y") == {"a[b]": "1", "tags": ["x", "y"]}


def test_nesting_ends_somewhere() -> None:
    decoded: Any = decode_query_string("a" + "[b]" * 100 + "=x")
    depth = 0
    while isinstance(decoded, dict):
        decoded, depth = next(iter(decoded.values())), depth + 1
    assert depth <= 7


@settings(max_examples=50)
@given(st.text())
def test_any_text_is_read(text: str) -> None:
    decode_query_string(text)
