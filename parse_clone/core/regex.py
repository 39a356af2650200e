"""Regular expressions of clients: PCRE as SDKs and the document database know it, run by RE2 in linear time.

A client's pattern must never cost more than its text is long, so what only backtracking can do (look-around,
back-references, atomic groups, possessive quantifiers) is refused. Expressions that are just a quoted text,
which is what the SDKs send for `startsWith`, `contains` and `endsWith`, become plain text searches.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

import re2

from parse_clone.errors import ErrorCode, ParseError

Search: TypeAlias = Callable[[str], bool]
"""Does the expression match anywhere in the text?"""

FLAGS = frozenset("imsux")
MAXIMUM_MEMORY = 1 << 20  # bytes that RE2 may use for one expression
CACHED_EXPRESSIONS = 512

_QUOTED = re.compile(r"(\^?)\\Q((?:(?!\\E).)*)(?:\\E|\Z)(\$?)", re.DOTALL)
_BACKTRACKING_GROUP = re.compile(r"\?(?:[=!>|(&R+\-0-9]|<[=!])")
_BACKREFERENCE = re.compile(r"\\(?:[1-9]|k[<{']|g[{<'0-9-])")
_INLINE_MULTILINE = re.compile(r"\(\?[a-z]*m")
_END = r"(?:\n?\z)"  # PCRE's `$` also matches before a final line break


@lru_cache(maxsize=CACHED_EXPRESSIONS)
def compile_regex(pattern: str, flags: str = "") -> Search:
    """Compile a client's expression; raise 102 for what is invalid or would need backtracking."""
    if "i" not in flags and (quoted := _QUOTED.fullmatch(pattern)):
        start, text, end = quoted.groups()
        if not ("m" in flags and (start or end)):
            return _text_search(text, bool(start), bool(end))
    return _re2_search(_translate(pattern, flags))


def quoted_prefix(pattern: str) -> str | None:
    """Return the text of a starts-with expression (`^\\Qtext\\E`), or None for any other."""
    quoted = _QUOTED.fullmatch(pattern)
    return quoted[2] if quoted and quoted[1] and not quoted[3] and pattern.endswith("\\E") else None


def _text_search(text: str, at_start: bool, at_end: bool) -> Search:
    if at_start and at_end:
        return {text, text + "\n"}.__contains__
    if at_start:
        return lambda subject: subject.startswith(text)
    if at_end:
        return lambda subject: subject.endswith((text, text + "\n"))
    return lambda subject: text in subject


def _re2_search(translated: str) -> Search:
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = MAXIMUM_MEMORY
    try:
        expression = re2.compile(translated.encode(), options)
    except UnicodeEncodeError as error:
        raise _invalid("not a Unicode text") from error
    except re2.error as error:
        raise _invalid(error.args[0].decode("utf-8", "replace")) from error
    return lambda subject: expression.search(subject.encode("utf-8", "replace")) is not None


def _invalid(reason: str) -> ParseError:
    return ParseError(ErrorCode.INVALID_QUERY, f"Bad $regex value: {reason}")


# --- From PCRE to RE2 ------------------------------------------------------------------------------------

_ESCAPES = {  # outside of a character class
    "h": r"[\t ]",
    "H": r"[^\t ]",
    "R": r"(?:\r\n|[\n\v\f\r])",
    "N": r"[^\n]",
    "Z": _END,
    "e": r"\x1b",
    "E": "",
}
_CLASS_ESCAPES = {"h": r"\t ", "b": r"\x08", "e": r"\x1b", "E": ""}
_ESCAPE = re.compile(r"u([0-9a-fA-F]{4})|c(.)|(.)", re.DOTALL)


def _translate(pattern: str, flags: str) -> str:
    """Write a PCRE expression in RE2's dialect."""
    extended = "x" in flags
    end = "$" if "m" in flags or _INLINE_MULTILINE.search(pattern) else _END
    letters = "".join(sorted(FLAGS.intersection(flags) - {"x", "u"}))
    parts = [f"(?{letters})"] if letters else []
    at = 0
    while at < len(pattern):
        piece, at = _next_piece(pattern, at, extended, end)
        parts.append(piece)
    return "".join(parts)


def _next_piece(pattern: str, at: int, extended: bool, end: str) -> tuple[str, int]:
    """Translate what begins at a position outside of character classes; return it and the next position."""
    character = pattern[at]
    if character == "\\":
        return _escape(pattern, at, _ESCAPES)
    if character == "[":
        return _character_class(pattern, at)
    if character == "(":
        return _group(pattern, at)
    if character == "$":
        return end, at + 1
    if extended and character in " \t\n\r\f\v":
        return "", at + 1
    if extended and character == "#":
        line_end = pattern.find("\n", at)
        return "", len(pattern) if line_end < 0 else line_end + 1
    if character in "*+?}" and pattern.startswith("+", at + 1):
        raise _invalid("possessive quantifiers are not supported")
    return character, at + 1


def _group(pattern: str, at: int) -> tuple[str, int]:
    if pattern.startswith("(?#", at):
        comment_end = pattern.find(")", at)
        return "", len(pattern) if comment_end < 0 else comment_end + 1
    if _BACKTRACKING_GROUP.match(pattern, at + 1):
        raise _invalid("look-around, atomic groups and recursion are not supported")
    return "(", at + 1


def _escape(pattern: str, at: int, table: dict[str, str]) -> tuple[str, int]:
    """Translate one escape sequence, or a whole quoted passage."""
    if pattern.startswith("\\Q", at):
        text, _, _ = pattern[at + 2 :].partition("\\E")
        return _quote(text), at + 2 + len(text) + 2  # without `\E` the rest is quoted
    if table is _ESCAPES and _BACKREFERENCE.match(pattern, at):
        raise _invalid("back-references are not supported")
    found = _ESCAPE.match(pattern, at + 1)
    if found is None:
        raise _invalid("\\ at end of pattern")
    code, control, character = found.groups()
    if code is not None:
        return f"\\x{{{code}}}", found.end()
    if control is not None:
        return f"\\x{{{ord(control.upper()) ^ 64:x}}}", found.end()
    if character in table:
        return table[character], found.end()
    if character.isascii() and character.isalnum():
        return "\\" + character, found.end()
    return _quote(character), found.end()


def _character_class(pattern: str, at: int) -> tuple[str, int]:
    parts = ["["]
    at += 1
    if pattern.startswith("^", at):
        parts.append("^")
        at += 1
    if pattern.startswith("]", at):  # a `]` in the first place is literal
        parts.append("\\]")
        at += 1
    while at < len(pattern) and pattern[at] != "]":
        if pattern.startswith("[:", at) and (posix_end := pattern.find(":]", at)) > 0:
            piece, at = pattern[at : posix_end + 2], posix_end + 2
        elif pattern[at] == "\\":
            piece, at = _escape(pattern, at, _CLASS_ESCAPES)
        else:
            piece, at = pattern[at], at + 1
        parts.append(piece)
    return "".join(parts) + pattern[at : at + 1], at + 1


def _quote(text: str) -> str:
    """Escape every character that could mean something, to RE2 or in its classes."""
    return "".join(c if c.isalnum() or not c.isascii() else f"\\x{{{ord(c):x}}}" for c in text)
