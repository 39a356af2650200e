"""What this process's LiveQuery rooms did so far, for whoever holds the master key."""

from __future__ import annotations

from dataclasses import asdict

from parse_clone.api.rest.request import Request
from parse_clone.api.rest.responses import Answer, ok
from parse_clone.api.rest.router import Route
from parse_clone.services.livequery.hub import LiveQueryHub


def routes(hub: LiveQueryHub) -> tuple[Route, ...]:
    """`GET /livequery/metrics`."""

    async def metrics(request: Request) -> Answer:
        return ok({**asdict(hub.metrics), "subscriptions": hub.subscriptions.count, "waiting": hub.waiting})

    return (Route("GET", "/livequery/metrics", metrics, master=True),)
