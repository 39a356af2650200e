"""One connection's way out: at once where nothing is in front, in order, never without bound."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from parse_clone.api.livequery import endpoint
from parse_clone.api.livequery.endpoint import LARGEST_LINE, TOO_SLOW, Rest, Socket, begin


class Wire:
    """Takes what is sent; while it is congested, senders wait."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.farewells: list[tuple[int, str]] = []
        self.is_free = asyncio.Event()
        self.is_free.set()
        self.is_broken = False
        self.stops = 0
        self.writes = 0

    async def __call__(self, message: Mapping[str, Any]) -> None:
        await self.is_free.wait()
        if self.is_broken:
            raise OSError("gone")
        if message["type"] == "websocket.close":
            self.farewells.append((message["code"], message["reason"]))
        else:
            self.sent += message.get("texts") or [message["text"]]
            self.writes += 1

    def stop(self) -> None:
        self.stops += 1


@pytest.fixture
def wire() -> Wire:
    return Wire()


async def test_a_frame_goes_out_at_once(wire: Wire) -> None:
    socket = Socket(wire, 2, wire.stop)
    socket.deliver("a")
    assert wire.sent == ["a"]


@pytest.mark.parametrize(("sends_many", "writes"), [(True, 1), (False, 3)])
async def test_what_is_held_goes_out_together_and_first(wire: Wire, sends_many: bool, writes: int) -> None:
    socket = Socket(wire, 2, wire.stop, sends_many=sends_many)
    assert [socket.hold("a"), socket.hold("b")] == [True, False]
    assert wire.sent == []
    socket.deliver("c")
    assert (wire.sent, wire.writes) == (["a", "b", "c"], writes)
    assert socket.hold("d")
    await socket.end()
    socket.flush()
    assert wire.sent == ["a", "b", "c"]


async def test_frames_wait_in_line_and_keep_their_order(wire: Wire) -> None:
    socket = Socket(wire, 2, wire.stop)
    wire.is_free.clear()
    for frame in "abc":
        socket.deliver(frame)
    assert wire.sent == []
    wire.is_free.set()
    await asyncio.sleep(0.01)
    socket.deliver("d")
    assert wire.sent == ["a", "b", "c", "d"]


async def test_a_client_that_does_not_keep_up_is_given_up_with_a_reason(wire: Wire) -> None:
    socket = Socket(wire, 2, wire.stop)
    wire.is_free.clear()
    for frame in "abcdef":
        socket.deliver(frame)
    assert (wire.stops, socket.farewell) == (1, TOO_SLOW)
    wire.is_free.set()
    await socket.end()
    assert wire.farewells == [TOO_SLOW]
    assert "d" not in wire.sent


async def test_the_line_is_bounded_by_its_size_too(wire: Wire) -> None:
    socket = Socket(wire, 1_000, wire.stop)
    wire.is_free.clear()
    socket.deliver("first")
    socket.deliver("x" * LARGEST_LINE)
    assert wire.stops == 0
    socket.deliver("x")
    assert wire.stops == 1
    wire.is_free.set()
    await socket.end()
    assert wire.farewells == [TOO_SLOW]


async def test_a_client_that_takes_nothing_is_left_without_a_farewell(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "FAREWELL_SECONDS", 0.01)
    socket = Socket(wire, 1, wire.stop)
    wire.is_free.clear()
    for frame in "abc":
        socket.deliver(frame)
    assert socket.farewell == TOO_SLOW
    await socket.end()
    wire.is_free.set()
    await asyncio.sleep(0)
    assert wire.farewells == []


async def test_a_client_that_is_gone_is_not_written_to(wire: Wire) -> None:
    socket = Socket(wire, 2, wire.stop)
    wire.is_broken = True
    socket.deliver("a")
    wire.is_broken = False
    socket.deliver("b")
    assert wire.sent == []
    await socket.end()


async def test_a_client_that_goes_while_frames_wait_is_not_written_to(wire: Wire) -> None:
    socket = Socket(wire, 2, wire.stop)
    wire.is_free.clear()
    socket.deliver("a")
    socket.deliver("b")
    wire.is_broken = True
    wire.is_free.set()
    await asyncio.sleep(0.01)
    assert not socket.is_open
    await socket.end()


async def test_work_that_need_not_wait_is_done_when_it_has_begun() -> None:
    done = []

    async def work() -> None:
        done.append(1)

    assert begin(work()) is None
    assert done == [1]


async def test_the_rest_of_work_goes_on_where_it_waited() -> None:
    steps: list[Any] = []

    async def work() -> None:
        steps.append("begun")
        await asyncio.sleep(0)
        steps.append(await asyncio.sleep(0.001, "slept"))

    rest = begin(work())
    assert steps == ["begun"]
    assert isinstance(rest, Rest)
    await rest
    assert steps == ["begun", "slept"]


async def test_what_ends_the_rest_ends_the_work() -> None:
    ended = []

    async def work() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    rest = begin(work())
    assert rest is not None

    async def wait() -> None:
        await rest

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["cancelled"]
