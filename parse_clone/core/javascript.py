"""How JavaScript sees JSON, where answers depend on it: error texts, comma lists, truth."""

from __future__ import annotations

import orjson

from parse_clone.core.json_types import Json


def text_of(value: Json) -> str:
    """Write a value as `String` does: an array is its elements, joined by commas at any depth."""
    if not isinstance(value, list):
        return _text_of_single(value)
    texts: list[str] = []
    remaining = value[::-1]
    while remaining:
        item = remaining.pop()
        if isinstance(item, list) and item:
            remaining.extend(item[::-1])
        else:
            texts.append("" if item is None or item == [] else _text_of_single(item))
    return ",".join(texts)


def _text_of_single(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case dict():
            return "[object Object]"
        case _:
            return str(value)


def json_of(value: Json) -> str:
    """Write a value as `JSON.stringify` does; what is nested too deep to write is left out."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return "..."


def is_truthy(value: Json) -> bool:
    """Tell as JavaScript does: empty arrays and objects are true."""
    return isinstance(value, (list, dict)) or bool(value)
