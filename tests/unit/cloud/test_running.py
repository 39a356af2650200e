"""A hook that raises, hangs or answers nonsense fails its own request, and the log says where it stands."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from parse_clone.cloud import Cloud, Field, ParseError, Validator
from parse_clone.core.context import RequestContext
from parse_clone.services.functions import call_function
from parse_clone.services.triggers import (
    FILE,
    FileEvent,
    ObjectEvent,
    SubscribeEvent,
    TriggerKind,
    run_trigger,
)
from tests.unit.services.clinic import Clinic, master, open_clinic

HERE = Path(__file__).name


@pytest.fixture
async def clinic() -> AsyncIterator[Clinic]:
    async with open_clinic() as opened:
        yield opened


def cloud_of(clinic: Clinic, time_limit: float = 0.05) -> Cloud:
    return Cloud(clinic.toolbox, time_limit=time_limit)


async def refusal(work: Awaitable[Any]) -> tuple[int, str]:
    with pytest.raises(ParseError) as caught:
        await work
    return caught.value.code, caught.value.message


async def outcome(clinic: Clinic, function: str = "f") -> tuple[int, str]:
    return await refusal(call_function(clinic.toolbox, RequestContext(), function, {}))


async def test_a_function_that_hangs_is_ended_and_named(clinic: Clinic) -> None:
    @cloud_of(clinic).function("f")
    async def hang(request: Any) -> None:
        await asyncio.Event().wait()

    with capture_logs() as entries:
        assert await outcome(clinic) == (141, "Script timed out.")
    (entry,) = entries
    assert entry["event"] == "cloud code took too long"
    assert f"{HERE}:{hang.__code__.co_firstlineno}" in entry["hook"]


async def test_a_validator_has_a_time_limit_too(clinic: Clinic) -> None:
    async def never(value: Any) -> bool:
        await asyncio.Event().wait()
        return True

    cloud = cloud_of(clinic)

    @cloud.function("by_function", never)
    async def guarded(request: Any) -> None: ...

    @cloud.function("by_option", Validator(fields={"a": Field(default=1, options=never)}))
    async def checked(request: Any) -> None: ...

    for name in ("by_function", "by_option"):
        assert await outcome(clinic, name) == (142, "Script timed out.")


async def test_plain_functions_that_hang_take_nobody_the_threads(clinic: Clinic) -> None:
    release = threading.Event()

    @cloud_of(clinic).function("f")
    def hang(request: Any) -> None:
        release.wait()

    outcomes = await asyncio.gather(*(outcome(clinic) for _ in range(40)))
    assert set(outcomes) == {(141, "Script timed out.")}
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "done"), 5) == "done"
    release.set()


@pytest.mark.parametrize("error", [KeyError("lamp"), TimeoutError("lamp"), StopIteration("lamp")])
async def test_what_raises_is_named_by_file_and_line(clinic: Clinic, error: Exception) -> None:
    cloud = cloud_of(clinic, 5)

    @cloud.function("f")
    def plain(request: Any) -> None:
        raise error

    with capture_logs() as entries:
        code, text = await outcome(clinic)
    assert (code, "lamp" in text) == (141, True)
    (entry,) = entries
    assert entry["event"] == "cloud code failed"
    assert HERE in entry["hook"]
    assert ":" in entry["at"]


async def test_a_hook_that_the_master_key_calls_is_told_so(clinic: Clinic) -> None:
    seen: list[Any] = []

    @cloud_of(clinic).before_password_reset_request()
    async def note(request: Any) -> None:
        seen.append((request.object["username"], request.master, request.client.user))

    event = ObjectEvent(
        TriggerKind.BEFORE_PASSWORD_RESET_REQUEST, "_User", master(), object={"username": "ada"}
    )
    await run_trigger(clinic.toolbox, event)
    assert seen == [("ada", True, None)]


Spoil = Callable[[Any], Any]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda request: request.query.update(where=object()),
        lambda request: setattr(request, "query", "everything"),
        lambda request: setattr(request, "results", [1, 2]),
    ],
)
async def test_a_query_that_is_none_is_refused(clinic: Clinic, spoil: Spoil) -> None:
    await clinic.save(master(), "Note", {"a": 1})

    @cloud_of(clinic).before_find("Note")
    async def spoiled(request: Any) -> None:
        spoil(request)

    with capture_logs() as entries:
        code, _ = await refusal(clinic.find(master(), "Note"))
    assert code == 141
    assert [entry["event"] for entry in entries] == ["cloud code answered nonsense"]
    assert HERE in entries[0]["hook"]
    await clinic.save(master(), "Other", {"a": 1})
    assert len(await clinic.find(master(), "Other")) == 1


@pytest.mark.parametrize("answer", ["text", 7, [1], {"results": []}])
async def test_found_objects_that_are_none_are_refused(clinic: Clinic, answer: Any) -> None:
    await clinic.save(master(), "Note", {"a": 1})

    @cloud_of(clinic).after_find("Note")
    async def spoiled(request: Any) -> Any:
        return answer

    with capture_logs() as entries:
        code, _ = await refusal(clinic.find(master(), "Note"))
    assert (code, [entry["event"] for entry in entries]) == (141, ["cloud code answered nonsense"])


async def test_a_value_that_cannot_be_stored_is_refused(clinic: Clinic) -> None:
    @cloud_of(clinic).before_save("Note")
    async def spoiled(request: Any) -> None:
        request.object["a"] = object()

    with capture_logs() as entries:
        code, text = await refusal(clinic.save(master(), "Note", {"a": 1}))
    assert (code, text) == (141, "a object cannot be stored or answered")
    assert [entry["event"] for entry in entries] == ["cloud code failed"]
    assert await clinic.rows("Note") == []


async def test_nonsense_about_files_and_subscriptions_is_refused(clinic: Clinic) -> None:
    cloud = cloud_of(clinic)

    @cloud.before_save_file()
    async def spoil_file(request: Any) -> None:
        request.file = ["not", "a", "file"]

    @cloud.before_subscribe("Note")
    async def spoil_subscription(request: Any) -> None:
        request.keys = 5

    file = FileEvent(TriggerKind.BEFORE_SAVE, FILE, master(), file={"name": "a.txt"}, content=b"a")
    assert (await refusal(run_trigger(clinic.toolbox, file)))[0] == 130
    subscription = SubscribeEvent(TriggerKind.BEFORE_SUBSCRIBE, "Note", master())
    assert (await refusal(run_trigger(clinic.toolbox, subscription)))[0] == 141
