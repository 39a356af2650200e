"""What a server answers while it is not ready: how it is, and that it cannot serve yet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from parse_clone.api.rest.endpoint import send_answer
from parse_clone.api.rest.middleware.cors import Cors
from parse_clone.api.rest.request import split_path
from parse_clone.api.rest.responses import PREFLIGHT, health, not_ready
from parse_clone.settings import Settings


class Standby:
    """Stands in for the server before it has started, and after it has ended or failed."""

    def __init__(self, settings: Settings) -> None:
        self.state = "initialized"
        self._mount = settings.mount_path.rstrip("/").lower().encode()
        self._cors = Cors(settings)

    async def __call__(
        self,
        scope: Mapping[str, Any],
        receive: Callable[[], Awaitable[Mapping[str, Any]]],
        send: Callable[[Mapping[str, Any]], Awaitable[None]],
    ) -> None:
        if scope["method"] == "OPTIONS":
            answer = PREFLIGHT
        elif split_path(scope["raw_path"], self._mount) == ["health"]:
            answer = health(self.state)
        else:
            answer = not_ready(self.state)
        headers = [
            *self._cors.headers(scope["headers"]),
            *answer.headers,
            (b"content-type", answer.content_type),
        ]
        await send_answer(send, answer, headers, with_body=scope["method"] != "HEAD")
