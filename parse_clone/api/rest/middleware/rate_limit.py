"""Rate limits: so many requests to a path in a window of time, for one caller or for all together."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from parse_clone.api.rest.responses import Headers, TooManyRequests
from parse_clone.core.context import RequestContext
from parse_clone.settings import RateLimit

MAX_CALLERS = 100_000
"""Counters kept for one limit: clients choose their session tokens, so the number has to end somewhere."""


@dataclass(slots=True)
class _Window:
    ends: float
    used: int = 0


class _Limit:
    """One rule with its counters."""

    def __init__(self, rule: RateLimit) -> None:
        self.rule = rule
        self._pattern = compile_path(rule.request_path)
        self._methods = compile_methods(rule.request_methods)
        self._windows: OrderedDict[str, _Window] = OrderedDict()

    def applies(self, methods: Sequence[str], path: str, context: RequestContext) -> bool:
        if not self._pattern.fullmatch(path):
            return False
        if context.auth.is_master and not self.rule.include_master_key:
            return False
        if context.ip == "127.0.0.1" and not self.rule.include_internal_requests:
            return False
        return self._methods is None or any(self._methods.search(method) for method in methods)

    def count(self, context: RequestContext, now: float) -> Headers:
        key = self._key(context)
        window = self._windows.get(key)
        if window is None or window.ends <= now:
            window = self._windows[key] = _Window(now + self.rule.request_time_window / 1000)
            self._windows.move_to_end(key)
            if len(self._windows) > MAX_CALLERS:
                self._windows.popitem(last=False)
        window.used += 1
        headers = self._headers(window, now)
        if window.used > self.rule.request_count:
            retry = (b"retry-after", b"%d" % max(1, round(window.ends - now)))
            raise TooManyRequests(self.rule.error_response_message, (*headers, retry))
        return headers

    def _key(self, context: RequestContext) -> str:
        match self.rule.zone:
            case "global":
                return ""
            case "session":
                return context.auth.session_token or context.ip
            case "user":
                return context.auth.user_id or context.ip
            case "ip":
                return context.ip

    def _headers(self, window: _Window, now: float) -> Headers:
        return (
            (b"x-ratelimit-limit", b"%d" % self.rule.request_count),
            (b"x-ratelimit-remaining", b"%d" % max(0, self.rule.request_count - window.used)),
            (b"x-ratelimit-reset", b"%d" % (time.time() + window.ends - now)),
        )


class RateLimiter:
    """All limits of a server. Cloud functions add theirs while it runs."""

    def __init__(self, rules: Sequence[RateLimit], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._limits = [_Limit(rule) for rule in rules]

    def add(self, rule: RateLimit) -> None:
        """Add a limit."""
        self._limits.append(_Limit(rule))

    @property
    def needs_user(self) -> bool:
        """Must the user be known before requests are counted?"""
        return any(limit.rule.zone == "user" for limit in self._limits)

    def check(self, methods: Sequence[str], path: str, context: RequestContext) -> Headers:
        """Count a request against every limit of its path; refuse it if one is used up. A part of a batch
        comes under its own method and that of the batch."""
        headers: Headers = ()
        for limit in self._limits:
            if limit.applies(methods, path, context):
                headers = limit.count(context, self._clock())
        return headers


def compile_path(pattern: str) -> re.Pattern[str]:
    """Compile a route pattern: `:name` is one segment, `*name` all that follow, `(...)` an expression."""
    parts = re.split(r"(:\w+|\*\w*|\([^()]*\))", "/" + pattern.strip("/"))
    expression = "".join(_part_expression(part) for part in parts)
    return re.compile(expression + "/?", re.IGNORECASE)


def _part_expression(part: str) -> str:
    if part.startswith(":"):
        return "[^/]+"
    if part.startswith("*"):
        return ".+"
    return part if part.startswith("(") else re.escape(part)


def compile_methods(methods: Sequence[str] | None) -> re.Pattern[str] | None:
    """Compile a list of methods, each a name or an expression; None for all."""
    if methods is None:
        return None
    return re.compile("|".join(f"^(?:{method})$" for method in methods), re.IGNORECASE)


# --- Limits that cloud code asks for ---------------------------------------------------------------------

HOOK_METHODS: Mapping[str, tuple[str, ...]] = {
    "beforeSave": ("POST", "PUT"),
    "beforeDelete": ("DELETE",),
    "beforeFind": ("GET",),
    "beforeLogin": ("GET", "POST"),
    "beforePasswordResetRequest": ("POST",),
}
HOOK_PATHS: Mapping[str, str] = {
    "beforeLogin:_User": "/login",
    "beforePasswordResetRequest:_User": "/requestPasswordReset",
    "beforeSave:@Config": "/config",
}
OWN_PATHS: Mapping[str, str] = {
    "_User": "users",
    "_Role": "roles",
    "_Session": "sessions",
    "_Installation": "installations",
    "@File": "files",
}


def limit_of_hook(hook: str, limit: RateLimit) -> RateLimit:
    """Turn a hook's limit (`/functions/hello`, `beforeSave:Note`) into one for the routes that run it."""
    kind, _, class_name = hook.partition(":")
    if hook.startswith("/"):
        return replace(limit, request_path=hook)
    own = OWN_PATHS.get(class_name)
    names = f"classes/{class_name}" if own is None else f"classes/{class_name}|{own}"
    path = HOOK_PATHS.get(hook, f"/({names})(|/.*)")
    methods = limit.request_methods or HOOK_METHODS.get(kind)
    return replace(limit, request_path=path, request_methods=methods)
