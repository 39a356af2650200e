from __future__ import annotations

import pytest

from parse_clone.core.query import TextSearch
from parse_clone.core.text_search import compile_text_score


def finds(term: str, text: str, *, case_sensitive: bool = False, diacritic_sensitive: bool = False) -> bool:
    search = TextSearch("note", term, None, case_sensitive, diacritic_sensitive)
    return compile_text_score(search)(text) > 0


@pytest.mark.parametrize(
    ("term", "text", "found"),
    [
        ("coffee", "Coffee Shopping", True),
        ("coffee", "coffeehouse", False),
        ("coffee tea", "green tea", True),
        ("cafe", "Café Con Leche", True),
        ("СЫРНИКИ", "Сырники", True),
        ('"coffee and"', "coffee and cream", True),
        ('"coffee cream"', "coffee and cream", False),
        ("coffee -cream", "coffee and cream", False),
        ("-cream", "coffee", False),
        ('""', "coffee", False),
        ("coffee", "", False),
    ],
)
def test_whole_words_are_found(term: str, text: str, found: bool) -> None:
    assert finds(term, text) is found


def test_case_and_diacritics_may_count() -> None:
    assert not finds("Coffee", "coffee", case_sensitive=True)
    assert finds("Coffee", "Coffee", case_sensitive=True)
    assert not finds("CAFÉ", "cafe", diacritic_sensitive=True)
    assert finds("CAFÉ", "café", diacritic_sensitive=True)


def test_the_denser_text_scores_higher() -> None:
    score = compile_text_score(TextSearch("note", "coffee"))
    assert score("coffee") > score("coffee and cream") > 0
    assert score("coffee coffee") > score("coffee")
