from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parse_clone.core.regex import compile_regex, quoted_prefix
from parse_clone.errors import ErrorCode, ParseError


@pytest.mark.parametrize(
    ("pattern", "flags", "text", "found"),
    [
        (r"o+", "", "football", True),
        (r"^fo*\wb[^o]l+$", "", "football", True),
        (r"Foot", "", "football", False),
        (r"Foot", "i", "football", True),
        (r"^\Qa.b\E", "", "a.bc", True),
        (r"^\Qa.b\E", "", "axbc", False),
        (r"^\Qa.b\E", "i", "A.Bc", True),
        (r"^\Qb\E", "m", "a\nb", True),
        (r"^\Qb\E", "", "a\nb", False),
        (r"\Q(a\E", "", "x(ay", True),
        (r"\Qa.b", "", "xa.by", True),
        (r"x\Qa.b", "", "xa.b", True),
        (r"\Qa\E$", "", "ba", True),
        (r"\Qa\E$", "", "ab", False),
        (r"^\Qa\E$", "", "a\n", True),
        (r"^\Qa\E$", "", "ab", False),
        (r"\Qa\E\\E\Qb\E", "", "a\\Eb", True),
        (r"\E", "", "", True),
        (r"a$", "", "a\n", True),
        (r"a$", "", "a\nb", False),
        (r"a$", "m", "a\nb", True),
        (r"(?m)a$", "", "a\nb", True),
        (r"a\Z", "", "a\n", True),
        (r"a.b", "", "a\nb", False),
        (r"a.b", "s", "a\nb", True),
        (r"a.b", "u", "aéb", True),
        (" a b # comment", "x", "ab", True),
        ("a # comment\n b", "x", "ab", True),
        (r"\Q \Eb", "x", " b", True),
        (r"a(?# comment)b", "", "ab", True),
        (r"ab(?# comment", "", "ab", True),
        (r"\u0041\cA\e\h", "", "A\x01\x1b\t", True),
        (r"\é\ ", "", "é ", True),
        (r"[]a]", "", "]", True),
        (r"[^]a]", "", "]", False),
        (r"[\]\-x]", "", "-", True),
        (r"[[:digit:]\h]", "", "7", True),
        (r"^[\Q^]\E]$", "", "]", True),
        (r"[\Qa-c\E]", "", "b", False),
        (r"(?<first>a)(?P<second>b)(?i:C)", "", "abc", True),
        (r"a", "", "\ud800a", True),
    ],
)
def test_search(pattern: str, flags: str, text: str, found: bool) -> None:
    assert compile_regex(pattern, flags)(text) is found


@pytest.mark.parametrize(
    "pattern",
    ["(", "[", "[a", "\\", "a{1001}", "\ud800", "*", r"\y", r"(a)\1", r"(?<n>a)\k<n>", "(?R)", "(?1)"]
    + [f"(?{kind}a)" for kind in ("=", "!", "<=", "<!", ">")]
    + [f"a{quantifier}+" for quantifier in ("+", "*", "?", "{1}")],
)
def test_what_re2_cannot_run_is_refused(pattern: str) -> None:
    with pytest.raises(ParseError, match=r"^Bad \$regex value: ") as caught:
        compile_regex(pattern)
    assert caught.value.code == ErrorCode.INVALID_QUERY


def test_catastrophic_patterns_take_linear_time() -> None:
    assert compile_regex("(x+x+)+y")("x" * 100_000) is False


@given(st.text("aQE\\.$^*b\n"), st.text("aQE\\.$^*b\n"))
def test_what_sdks_quote_is_found_literally(part: str, text: str) -> None:
    quoted = "\\Q" + part.replace("\\E", "\\E\\\\E\\Q") + "\\E"
    assert compile_regex(quoted)(text) is (part in text)
    assert compile_regex("^" + quoted)(text) is text.startswith(part)


@given(st.text(), st.text())
def test_escaped_texts_are_found_literally(part: str, text: str) -> None:
    assert compile_regex(re.escape(part))(text) is (part in text)


@given(st.text("\\QE[](){}?*+-:^$.|#ahuxc01 \n"), st.text("imsux"))
def test_any_pattern_is_compiled_or_refused(pattern: str, flags: str) -> None:
    with suppress(ParseError):
        compile_regex(pattern, flags)("some text")


@pytest.mark.parametrize(
    ("pattern", "prefix"),
    [
        (r"^\Qlazy\E", "lazy"),
        (r"^\Q\E", ""),
        (r"\Qlazy\E", None),
        (r"^\Qlazy\E$", None),
        (r"^\Qlazy", None),
        ("^a", None),
    ],
)
def test_starts_with_expressions_are_recognised(pattern: str, prefix: str | None) -> None:
    assert quoted_prefix(pattern) == prefix
