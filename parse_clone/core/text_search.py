"""Full-text search over one text, for engines without an index of their own: whole words, no stemming.

The grammar is the document database's: any of the words suffices, `"a phrase"` must occur, `-word` must not.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from parse_clone.core.query import TextSearch

_WORD = re.compile(r"\w+")
_TERM = re.compile(r'"([^"]*)"|-(\w+)|(\w+)')


def compile_text_score(search: TextSearch) -> Callable[[str], float]:
    """Compile a search to a function that scores a text; 0 means that it does not match."""
    fold = _folding(search)
    wanted: set[str] = set()
    refused: set[str] = set()
    phrases: list[str] = []
    for phrase, negated, word in _TERM.findall(fold(search.term)):
        if phrase:
            phrases.append(phrase)
            wanted.update(_WORD.findall(phrase))
        elif negated:
            refused.add(negated)
        elif word:
            wanted.add(word)

    def score(text: str) -> float:
        folded = fold(text)
        words = _WORD.findall(folded)
        if not refused.isdisjoint(words) or not all(phrase in folded for phrase in phrases):
            return 0.0
        hits = sum(word in wanted for word in words)
        return 0.5 * hits + 0.5 * hits / len(words) if hits else 0.0

    return score


def _folding(search: TextSearch) -> Callable[[str], str]:
    def fold(text: str) -> str:
        if not search.diacritic_sensitive:
            text = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
        return text if search.case_sensitive else text.casefold()

    return fold
