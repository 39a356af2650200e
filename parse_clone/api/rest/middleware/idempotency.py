"""`X-Parse-Request-Id`: a request that a client sends again because the network failed is not done twice."""

from __future__ import annotations

import re

from parse_clone.api.rest.request import Request
from parse_clone.services.idempotency import remember_request


async def check_first_time(request: Request) -> None:
    """Refuse a request that came before, where the settings ask for it."""
    paths = request.toolbox.settings.idempotency_options.paths
    request_id = request.context.headers.get("x-parse-request-id")
    if not paths or not request_id:
        return
    path = request.path.strip("/")
    if any(re.match(pattern, path) for pattern in paths):
        await remember_request(request.toolbox, request_id)
