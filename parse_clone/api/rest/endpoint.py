"""The REST door: one request from socket to answer, as a visible sequence.

Order matters: CORS and health need no keys, a bad body is refused before keys are looked at, keys before
routes, and rate limits before anything that costs.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from time import perf_counter
from typing import Any

from parse_clone.api.rest.entrance import Entrance, Visit
from parse_clone.api.rest.middleware.cors import Cors
from parse_clone.api.rest.middleware.method_override import take_method
from parse_clone.api.rest.middleware.rate_limit import RateLimiter
from parse_clone.api.rest.middleware.request_log import log, log_refusal, start_request
from parse_clone.api.rest.middleware.route_allow_list import RouteAllowList
from parse_clone.api.rest.multipart import form_too_large, is_multipart
from parse_clone.api.rest.request import (
    BodyTooLarge,
    ClientGone,
    Receive,
    Request,
    Scope,
    client_address,
    decode_body,
    decode_headers,
    read_caller,
    read_plain_body,
    request_scheme,
    split_path,
)
from parse_clone.api.rest.responses import (
    NOT_MODIFIED,
    PREFLIGHT,
    Answer,
    body_too_large,
    entity_tag,
    failure,
    health,
    no_such_route,
)
from parse_clone.api.rest.router import Router, run_route
from parse_clone.core.context import NOBODY
from parse_clone.core.networks import Networks
from parse_clone.services.toolbox import Toolbox

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Room = Callable[[Visit], Awaitable[Answer]]
"""Answers everything below one first segment by itself, bodies included: files, pages."""


class RestEndpoint:
    """All REST routes of one server, as an ASGI application."""

    def __init__(
        self,
        toolbox: Toolbox,
        router: Router,
        allowed: RouteAllowList,
        limits: RateLimiter,
        rooms: Mapping[str, Room] | None = None,
    ) -> None:
        settings = toolbox.settings
        self._toolbox = toolbox
        self._router = router
        self._allowed = allowed
        self._entrance = Entrance(toolbox, allowed, limits)
        self._rooms = rooms or {}
        self._cors = Cors(settings)
        self._log = log.bind()
        self._logs_requests = self._log.is_enabled_for(logging.DEBUG)
        self._proxies = Networks(settings.trust_proxy)
        self._mount = settings.mount_path.rstrip("/")
        self._mount_bytes = self._mount.lower().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = perf_counter()
        method: str = scope["method"]
        answer = PREFLIGHT if method == "OPTIONS" else await self._answer(scope, receive, method)
        if answer is not None:
            await self._send(scope, send, answer)
            if self._logs_requests:
                milliseconds = round((perf_counter() - begun) * 1000, 1)
                self._log.debug(
                    "request", method=method, path=scope["path"], status=answer.status, ms=milliseconds
                )

    async def _answer(self, scope: Scope, receive: Receive, method: str) -> Answer | None:
        try:
            segments = split_path(scope["raw_path"], self._mount_bytes)
            if segments is None:
                return no_such_route(method, scope["path"])
            first = segments[0].lower() if segments else ""
            if first == "health" and len(segments) == 1:
                self._allowed.check(method, first, NOBODY)
                return health("ok")
            visit = self._welcome(scope, receive, method, segments)
            room = self._rooms.get(first)
            return await self._route(visit) if room is None else await room(visit)
        except ClientGone:
            return None
        except Exception as error:
            log_refusal(method, scope["path"], error)
            return failure(error, sanitized=self._toolbox.settings.enable_sanitized_error_response)

    def _welcome(self, scope: Scope, receive: Receive, method: str, segments: Sequence[str]) -> Visit:
        headers = decode_headers(scope["headers"])
        peer = str((scope.get("client") or ("127.0.0.1", 0))[0])
        base_url = self._toolbox.settings.public_server_url
        if base_url is None:
            scheme = request_scheme(scope, peer, headers, self._proxies)
            base_url = f"{scheme}://{headers.get('host', '')}{self._mount}"
        return Visit(
            scope=scope,
            receive=receive,
            toolbox=self._toolbox,
            method=method,
            segments=segments,
            headers=headers,
            ip=client_address(peer, headers, self._proxies),
            base_url=base_url.rstrip("/"),
            request_id=start_request(headers.get("x-request-id")),
        )

    async def _route(self, visit: Visit) -> Answer:
        settings = self._toolbox.settings
        raw = await self._read_body(visit)
        body = decode_body(raw, visit.headers.get("content-type", ""))
        method = take_method(visit.method, body)
        caller = read_caller(visit.headers, body, visit.ip, settings)
        path = visit.path
        context, limits = await self._entrance.admit(visit, caller, method, path)
        request = Request(
            toolbox=self._toolbox,
            context=context,
            method=method,
            path=path,
            body=body,
            query_string=visit.scope["query_string"].decode("latin-1"),
            raw_body=raw,
        )
        found = self._router.find(method, visit.segments)
        if found is None:
            return no_such_route(method, visit.scope["path"])
        answer = await run_route(found, request)
        return replace(answer, headers=answer.headers + limits) if limits else answer

    async def _read_body(self, visit: Visit) -> bytes:
        limit = self._toolbox.settings.max_upload_size
        try:
            return await read_plain_body(visit.receive, visit.headers, limit)
        except BodyTooLarge:
            raise form_too_large() if is_multipart(visit.headers) else body_too_large() from None

    async def _send(self, scope: Scope, send: Send, answer: Answer) -> None:
        headers = [*self._cors.headers(scope["headers"]), *answer.headers]
        if scope["method"] == "GET" and answer.status == 200 and answer.stream is None:
            tag = entity_tag(answer.body)
            headers.append((b"etag", tag))
            if has_already(scope["headers"], tag):
                answer = NOT_MODIFIED
        if answer is not NOT_MODIFIED:
            headers.append((b"content-type", answer.content_type))
        await send_answer(send, answer, headers, with_body=scope["method"] != "HEAD")


async def send_answer(
    send: Send, answer: Answer, headers: list[tuple[bytes, bytes]], *, with_body: bool
) -> None:
    """Write an answer: its body in one piece, or piece by piece where it is a stream."""
    if answer.stream is None and answer.status != 304:
        headers.append((b"content-length", b"%d" % len(answer.body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if with_body and answer.stream is not None:
        async with aclosing(answer.stream) as chunks:
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": answer.body if with_body else b""})


def has_already(request_headers: list[tuple[bytes, bytes]], tag: bytes) -> bool:
    """Does the client say that it has the answer with this tag?"""
    for name, value in request_headers:
        if name == b"if-none-match":
            return tag in value
    return False
