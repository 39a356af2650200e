"""What passes between the server and a login provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from parse_clone.core.json_types import Json, JsonObject


@dataclass(frozen=True, slots=True)
class ProviderRequest:
    """Who is being authenticated, for what. `stage`: the provider is new to the user (`setUp`), proves an
    existing link (`login`), or changes it (`update`). `user` is the caller, `original` the stored user whom
    the data is about, `object` the same as the request would make him."""

    stage: Literal["setUp", "login", "update"]
    ip: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    is_master: bool = False
    is_challenge: bool = False
    user: JsonObject | None = None
    original: JsonObject | None = None
    object: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class ProviderOutcome:
    """`save`: store this instead of what was given; `keep_stored`: leave what is stored; `response` goes back
    to the client in `authDataResponse`."""

    save: JsonObject | None = None
    keep_stored: bool = False
    response: Json = None
