"""CORS: which web pages may talk to this server from a browser."""

from __future__ import annotations

from parse_clone.api.rest.responses import Headers
from parse_clone.settings import Settings

METHODS = "GET,PUT,POST,DELETE,OPTIONS"
REQUEST_HEADERS = (
    "X-Parse-Master-Key",
    "X-Parse-REST-API-Key",
    "X-Parse-Javascript-Key",
    "X-Parse-Application-Id",
    "X-Parse-Client-Version",
    "X-Parse-Session-Token",
    "X-Requested-With",
    "X-Parse-Revocable-Session",
    "X-Parse-Request-Id",
    "Content-Type",
    "Pragma",
    "Cache-Control",
)
RESPONSE_HEADERS = "X-Parse-Job-Status-Id, X-Parse-Push-Status-Id"


class Cors:
    """The headers of every answer, written once for each allowed origin."""

    def __init__(self, settings: Settings) -> None:
        origins = settings.allow_origin or ("*",)
        allowed = ", ".join((*REQUEST_HEADERS, *settings.allow_headers))
        self._by_origin = {origin.encode(): _headers(origin, allowed) for origin in origins}
        self._first = _headers(origins[0], allowed)
        self._is_fixed = len(origins) == 1

    def headers(self, request_headers: list[tuple[bytes, bytes]]) -> Headers:
        """The CORS headers for a request: its own origin if that is listed, else the first."""
        if self._is_fixed:
            return self._first
        origin = next((value for name, value in request_headers if name == b"origin"), b"")
        return self._by_origin.get(origin, self._first)


def _headers(origin: str, allowed: str) -> Headers:
    return (
        (b"access-control-allow-origin", origin.encode()),
        (b"access-control-allow-methods", METHODS.encode()),
        (b"access-control-allow-headers", allowed.encode()),
        (b"access-control-expose-headers", RESPONSE_HEADERS.encode()),
    )
