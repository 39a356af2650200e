"""Analytics events: taken from anybody, handed on where an application listens."""

from __future__ import annotations

import httpx

from parse_clone.app import Adapters
from parse_clone.core.json_types import JsonObject
from tests.servers import APP_ID, REST_KEY, running_server

HEADERS = {"X-Parse-Application-Id": APP_ID, "X-Parse-REST-API-Key": REST_KEY}


class RecordingAnalytics:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, JsonObject]] = []

    async def track(self, event: str, parameters: JsonObject) -> None:
        self.events.append((event, parameters))


def test_events_reach_the_application() -> None:
    analytics = RecordingAnalytics()
    with running_server("sqlite", adapters=Adapters(analytics=analytics)) as server:
        for event in ("AppOpened", "search"):
            body = {"dimensions": {"ward": event}}
            answer = httpx.post(f"{server.url}/events/{event}", json=body, headers=HEADERS)
            assert (answer.status_code, answer.json()) == (200, {})
    assert analytics.events == [
        ("AppOpened", {"dimensions": {"ward": "AppOpened"}}),
        ("search", {"dimensions": {"ward": "search"}}),
    ]


def test_without_a_listener_events_are_welcome_too() -> None:
    with running_server("sqlite") as server:
        answer = httpx.post(f"{server.url}/events/search", json={}, headers=HEADERS)
    assert (answer.status_code, answer.json()) == (200, {})
