"""The table of login providers: what the settings name is made, what they decline is not there."""

from __future__ import annotations

import pytest

from parse_clone.adapters.auth.anonymous import Anonymous
from parse_clone.adapters.auth.providers import configured_providers
from parse_clone.core.auth_data import ProviderOutcome, ProviderRequest
from parse_clone.errors import SettingsError


def test_anonymous_users_are_there_unless_declined() -> None:
    assert list(configured_providers({})) == ["anonymous"]
    assert configured_providers({}, anonymous=False) == {}
    assert configured_providers({"anonymous": {}}, anonymous=False) == {}


def test_a_provider_that_is_made_already_is_taken_as_it_is() -> None:
    mine = Anonymous()
    assert configured_providers({"mine": mine})["mine"] is mine


def test_a_provider_that_is_off_is_not_there() -> None:
    assert "facebook" not in configured_providers({"facebook": {"enabled": False}})


def test_an_unknown_provider_stops_the_server() -> None:
    with pytest.raises(SettingsError, match=r"auth\.nonsense"):
        configured_providers({"nonsense": {}})


async def test_anonymous_data_is_believed_and_shown() -> None:
    provider, request = Anonymous(), ProviderRequest("setUp")
    data = await provider.before_find({"id": "uuid"})
    assert await provider.validate(data, request) == ProviderOutcome()
    assert await provider.after_find(data, request) == {"id": "uuid"}
    assert await provider.challenge({}, data, request) is None
