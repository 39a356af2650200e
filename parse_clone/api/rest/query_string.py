"""Query strings and forms: names and texts, read as Parse reads them.

A value that is JSON counts as JSON (`limit=10`), any other as text (`order=-name`); a name that comes again
(`keys=a&keys=b`) makes a list. In a query string `where[ward]=W2` nests; `keys[]=a`, `keys[0]=a` are lists.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

import orjson

from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.names import is_array_index

MAX_PARAMETERS = 1000
MAX_DEPTH = 5
_begins_like_json = re.compile(r'\s*(?:[\[{"tfn]|-?\d)').match  # a refusal by the parser costs more
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")


def decode_query_string(text: str) -> JsonObject:
    """Read the parameters of a URL."""
    return (
        {name: _decode_json(_with_lists(value)) for name, value in _read(text, nests=True).items()}
        if text
        else {}
    )


def decode_form(text: str) -> JsonObject:
    """Read a form: every value is text, or a list of texts."""
    return _read(text, nests=False)


def _read(text: str, *, nests: bool) -> JsonObject:
    form: JsonObject = {}
    first = "&".join(text.split("&", MAX_PARAMETERS)[:MAX_PARAMETERS])
    for name, value in parse_qsl(first, keep_blank_values=True):
        if nests and "[" in name:
            _put(form, name, value)
        elif name in form:
            form[name] = [*_listed(form[name]), value]
        else:
            form[name] = value
    return form


def _with_lists(value: Json) -> Json:
    """Turn maps whose keys only count (`keys[0]`, `keys[]`) into lists, at any depth."""
    if not isinstance(value, dict):
        return value
    inner = {key: _with_lists(member) for key, member in value.items()}
    return list(inner.values()) if all(map(is_array_index, inner)) else inner


def _listed(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value]


def _decode_json(value: Json) -> Json:
    if not isinstance(value, str) or not _begins_like_json(value):
        return value
    try:
        decoded: Json = orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
    return decoded


def _put(form: JsonObject, name: str, value: str) -> None:
    head = name[: name.index("[")]
    keys = [head, *_BRACKETS.findall(name[len(head) :])][: MAX_DEPTH + 1]
    if not head or len(keys) == 1:
        form[name] = value
        return
    target = form
    for key in keys[:-1]:
        if not isinstance(target.get(key), dict):
            target[key] = {}
        inner = target[key]
        assert isinstance(inner, dict)
        target = inner
    target[keys[-1] or str(len(target))] = value
