"""Anonymous users: whoever holds the id is the user. Nothing is checked."""

from __future__ import annotations

from parse_clone.core.auth_data import ProviderOutcome, ProviderRequest
from parse_clone.core.json_types import Json, JsonObject


class Anonymous:
    """The provider `anonymous`."""

    policy = "default"

    async def before_find(self, auth_data: JsonObject) -> JsonObject:
        return auth_data

    async def validate(self, auth_data: JsonObject, request: ProviderRequest) -> ProviderOutcome:
        return ProviderOutcome()

    async def after_find(self, auth_data: JsonObject, request: ProviderRequest) -> JsonObject:
        return auth_data

    async def challenge(
        self, challenge_data: JsonObject, auth_data: JsonObject | None, request: ProviderRequest
    ) -> Json:
        return None
