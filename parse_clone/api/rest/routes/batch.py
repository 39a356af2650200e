"""`/batch`: many requests in one, replayed through the same routes; in one transaction when asked.

Everything that can be refused is refused before the first part runs. Parts run in order; but writes of
different objects that stand side by side run at once, so that the storage can commit them together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from parse_clone.api.rest.middleware.rate_limit import RateLimiter
from parse_clone.api.rest.middleware.request_log import log_refusal
from parse_clone.api.rest.middleware.route_allow_list import RouteAllowList
from parse_clone.api.rest.request import Request, split_path
from parse_clone.api.rest.responses import Answer, TooManyRequests, failure, joined
from parse_clone.api.rest.router import Found, Route, Router, run_route
from parse_clone.core.context import NOBODY, RequestContext
from parse_clone.core.javascript import json_of
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.immutable import immutable
from parse_clone.services.changes import HeldBack
from parse_clone.services.objects.requests import LARGE_BODY
from parse_clone.services.toolbox import Toolbox
from parse_clone.settings import Settings

ATTEMPTS = 6
"""How often a transaction is tried while other writers are in its way."""


@immutable()
class Part:
    """One request of a batch, and the route that answers it."""

    method: str
    path: str
    body: JsonObject
    found: Found


class Batch:
    """The endpoint of `/batch`."""

    def __init__(
        self, settings: Settings, router: Router, allowed: RouteAllowList, limits: RateLimiter
    ) -> None:
        self._router = router
        self._allowed = allowed
        self._limits = limits
        self._prefixes = batch_prefixes(settings)

    async def __call__(self, request: Request) -> Answer:
        parts = self._decode(request)
        if request.body.get("transaction") is True:
            return joined(await run_in_transaction(request, parts))
        answers: list[Answer] = []
        for group in side_by_side(parts):
            answers += await asyncio.gather(*(run_part(request, part) for part in group))
        return joined(answers)

    def _decode(self, request: Request) -> list[Part]:
        entries = request.body.get("requests")
        if not isinstance(entries, list):
            raise ParseError(ErrorCode.INVALID_JSON, "requests must be an array")
        check_size(request, len(entries))
        routed = [self._route(entry) for entry in entries]
        for method, segments, _ in routed:
            self._check_may_enter(method, "/" + "/".join(segments), request.context)
        return [self._find(*route) for route in routed]

    def _route(self, entry: Json) -> tuple[str, list[str], JsonObject]:
        path = entry.get("path") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(path, str):
            raise ParseError(ErrorCode.INVALID_JSON, "batch request path must be a string")
        segments = self._cut(path)
        method, body = entry.get("method"), entry.get("body")
        if method == "POST" and [segment.lower() for segment in segments] == ["batch"]:
            raise ParseError(ErrorCode.INVALID_JSON, "nested batch requests are not allowed")
        if body and not isinstance(body, dict):
            raise ParseError(ErrorCode.INVALID_JSON, "batch request body must be an object")
        return (
            method if isinstance(method, str) else "undefined",
            segments,
            body if isinstance(body, dict) else {},
        )

    def _cut(self, path: str) -> list[str]:
        encoded = path.encode(errors="replace")
        for prefix in self._prefixes:
            segments = split_path(encoded, prefix)
            if segments is not None:
                return segments
        raise ParseError(ErrorCode.INVALID_JSON, f"cannot route batch path {path}")

    def _check_may_enter(self, method: str, path: str, context: RequestContext) -> None:
        if path == "/login":
            context = replace(context, auth=replace(context.auth, session_token=None, user=None))
        self._allowed.check(method, path, context.auth)
        try:
            self._limits.check((method, "POST"), path, context)
        except TooManyRequests as error:
            raise ParseError(error.code, error.message) from None  # Parse quirk: 400 here, not 429

    def _find(self, method: str, segments: Sequence[str], body: JsonObject) -> Part:
        path = "/" + "/".join(segments)
        found = None if method == "HEAD" else self._router.find(method, segments)
        if found is None:
            raise ParseError(ErrorCode.INVALID_JSON, f"cannot route {method} {path}")
        return Part(method, path, body, found)


def batch_prefixes(settings: Settings) -> list[bytes]:
    """What may precede the paths of a batch: the mount as clients or the server see it; longest first."""
    urls = [url for url in (settings.server_url, settings.public_server_url) if url]
    paths = {settings.mount_path, *(urlsplit(url).path for url in urls)}
    return sorted((path.rstrip("/").lower().encode() for path in paths), key=len, reverse=True)


def check_size(request: Request, size: int) -> None:
    """Refuse too many parts; the master key may send any number."""
    limit = request.toolbox.settings.request_complexity.batch_request_limit
    if limit is not None and size > limit and not request.auth.is_master:
        text = f"Batch request contains {size} sub-requests, which exceeds the limit of {limit}."
        raise ParseError(ErrorCode.INVALID_JSON, text)


AT_ONCE = 50
"""Most parts of a batch that run side by side."""


def side_by_side(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """Cut a batch into groups whose parts do not see each other: each writes an object of its own."""
    group: list[Part] = []
    written: set[str | None] = set()
    for position, part in enumerate(parts):
        target = written_object(part, position)
        if None in written or target is None or target in written or len(group) == AT_ONCE:
            if group:
                yield group
            group, written = [], set()
        group.append(part)
        written.add(target)
    if group:
        yield group


def written_object(part: Part, position: int) -> str | None:
    """Name the one object that a part writes; None for reads, and for classes that the server looks at."""
    route, values = part.found
    if not route.path.startswith("/classes/") or part.method == "GET" or values[0].startswith("_"):
        return None
    object_id = part.body.get("objectId") if part.method == "POST" else values[1]
    return f"{values[0]}/{object_id}" if object_id else f"new {position}"


async def run_part(request: Request, part: Part) -> Answer:
    """Run one part on its own: its failure is its answer."""
    try:
        answer = await _replay(request, request.toolbox, part)
    except Exception as error:
        log_refusal(part.method, part.path, error)
        sanitized = request.toolbox.settings.enable_sanitized_error_response
        return Answer(b'{"error":%b}' % failure(error, sanitized=sanitized).body)
    return Answer(b'{"success":%b}' % answer.body)


async def run_in_transaction(request: Request, parts: Sequence[Part]) -> list[Answer]:
    """Run all parts or none: the first failure is the answer to all. Write conflicts are tried again."""
    for _ in range(ATTEMPTS - 1):
        try:
            return await _run_together(request, parts)
        except ParseError as error:
            if error.code != ErrorCode.WRITE_CONFLICT:
                raise
    return await _run_together(request, parts)


async def _run_together(request: Request, parts: Sequence[Part]) -> list[Answer]:
    changes, caches = HeldBack(request.toolbox.changes), request.toolbox.caches.held_back()
    try:
        async with request.toolbox.storage.transaction() as storage:
            toolbox = replace(request.toolbox, storage=storage, changes=changes, caches=caches)
            answers = [await _replay(request, toolbox, part) for part in parts]
    finally:
        await request.toolbox.catalog.catch_up()
    await caches.release()
    await changes.release()
    return [Answer(b'{"success":%b}' % answer.body) for answer in answers]


async def _replay(request: Request, toolbox: Toolbox, part: Part) -> Answer:
    body = dict(part.body)  # a second attempt begins with the first one's body
    context = request.context if part.path != "/login" else as_nobody(request.context)
    replayed = Request(toolbox, context, part.method, part.path, body, raw_body=raw_body_of(request, part))
    return await run_route(part.found, replayed, in_batch=True)


def raw_body_of(request: Request, part: Part) -> bytes:
    """The text whose size tells whether a thread has to decode a part: of a small batch the whole will do."""
    return request.raw_body if len(request.raw_body) < LARGE_BODY else json_of(part.body).encode()


def as_nobody(context: RequestContext) -> RequestContext:
    """The context of a login: no session, but keys stay keys."""
    return context if context.auth.is_privileged else replace(context, auth=NOBODY)


def routes(
    settings: Settings, router: Router, allowed: RouteAllowList, limits: RateLimiter
) -> tuple[Route, ...]:
    """The batch route over a table of routes."""
    return (Route("POST", "/batch", Batch(settings, router, allowed, limits)),)
