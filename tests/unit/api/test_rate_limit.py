"""How requests are counted."""

from __future__ import annotations

from typing import Any

import pytest

from parse_clone.api.rest.middleware.rate_limit import RateLimiter, compile_path
from parse_clone.api.rest.responses import TooManyRequests
from parse_clone.core.context import MASTER, Auth, RequestContext
from parse_clone.settings import RateLimit

HERE = RequestContext(ip="6.6.6.6")


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def limiter(clock: Clock | None = None, **rule: Any) -> RateLimiter:
    chosen = {"request_path": "/functions/*path", "request_time_window": 1000, "request_count": 2, **rule}
    return RateLimiter([RateLimit(**chosen)], clock or Clock())


def count_until_refused(
    limits: RateLimiter, *, path: str = "/functions/f", context: RequestContext = HERE
) -> int:
    for passed in range(10):
        try:
            limits.check(("POST",), path, context)
        except TooManyRequests:
            return passed
    return 10


def test_requests_over_the_count_are_refused_until_the_window_ends() -> None:
    clock = Clock()
    limits = limiter(clock)
    assert count_until_refused(limits) == 2
    clock.now += 0.9
    assert count_until_refused(limits) == 0
    clock.now += 0.2
    assert count_until_refused(limits) == 2


def test_the_answer_tells_how_much_is_left() -> None:
    limits = limiter()
    assert dict(limits.check(("POST",), "/functions/f", HERE))[b"x-ratelimit-remaining"] == b"1"
    limits.check(("POST",), "/functions/f", HERE)
    with pytest.raises(TooManyRequests) as refusal:
        limits.check(("POST",), "/functions/f", HERE)
    headers = dict(refusal.value.headers)
    assert (headers[b"x-ratelimit-limit"], headers[b"x-ratelimit-remaining"]) == (b"2", b"0")
    assert headers[b"retry-after"] == b"1"


@pytest.mark.parametrize(
    ("rule", "contexts", "passed"),
    [
        ({}, [HERE, RequestContext(ip="7.7.7.7")], 4),
        ({"zone": "global"}, [HERE, RequestContext(ip="7.7.7.7")], 2),
        ({"zone": "session"}, [RequestContext(auth=Auth(session_token=t), ip="1.1.1.1") for t in "ab"], 4),
        ({"zone": "user"}, [RequestContext(auth=Auth(user={"objectId": u}), ip="1.1.1.1") for u in "ab"], 4),
        ({"zone": "user"}, [RequestContext(ip="1.1.1.1"), RequestContext(ip="1.1.1.1")], 2),
    ],
)
def test_zones_share_counters(rule: dict[str, Any], contexts: list[RequestContext], passed: int) -> None:
    limits = limiter(**rule)
    assert sum(count_until_refused(limits, context=context) for context in contexts) == passed


@pytest.mark.parametrize(
    ("rule", "context", "is_limited"),
    [
        ({}, RequestContext(ip="127.0.0.1"), False),
        ({"include_internal_requests": True}, RequestContext(ip="127.0.0.1"), True),
        ({}, RequestContext(auth=MASTER, ip="6.6.6.6"), False),
        ({"include_master_key": True}, RequestContext(auth=MASTER, ip="6.6.6.6"), True),
        ({"request_methods": ("GET",)}, HERE, False),
        ({"request_methods": ("GET", "post")}, HERE, True),
        ({"request_path": "/jobs/*path"}, HERE, False),
    ],
)
def test_some_requests_are_not_counted(
    rule: dict[str, Any], context: RequestContext, is_limited: bool
) -> None:
    assert (count_until_refused(limiter(**rule), context=context) == 2) is is_limited


def test_a_part_of_a_batch_comes_under_its_method_and_that_of_the_batch() -> None:
    limits = limiter(request_methods=("POST",), request_path="/classes/*path", request_count=1)
    limits.check(("PUT", "POST"), "/classes/Note", HERE)
    with pytest.raises(TooManyRequests, match=r"Too many requests\."):
        limits.check(("PUT", "POST"), "/classes/Note", HERE)


@pytest.mark.parametrize(
    ("pattern", "path", "is_match"),
    [
        ("/functions/f", "/FUNCTIONS/F/", True),
        ("functions/f", "/functions/f", True),
        ("/functions/f", "/functions/f2", False),
        ("/functions/f.x", "/functions/fax", False),
        ("/classes/*", "/classes/Note/x", True),
        ("/classes/*path", "/classes", False),
        ("/classes/:name", "/classes/Note", True),
        ("/classes/:name", "/classes/Note/x", False),
        ("/(login|logout)", "/logout", True),
    ],
)
def test_patterns_match_paths(pattern: str, path: str, is_match: bool) -> None:
    assert (compile_path(pattern).fullmatch(path) is not None) is is_match
