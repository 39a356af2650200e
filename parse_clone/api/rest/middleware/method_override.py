"""`_method`: how a browser that wants to avoid a CORS preflight says GET, PUT or DELETE."""

from __future__ import annotations

from parse_clone.core.json_types import JsonObject


def take_method(method: str, body: JsonObject) -> str:
    """Take `_method` out of a POST's body: the method the client means. Only a text that is not
    empty counts."""
    if method != "POST" or "_method" not in body:
        return method
    override = body.pop("_method")
    return override.upper() if isinstance(override, str) and override else method
