"""The global config: parameters for everybody, and some for the master key alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from parse_clone.core.context import Auth, Privilege, RequestContext
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.services.global_config import read_config, update_config
from parse_clone.services.triggers import CONFIG, ConfigEvent, TriggerKind
from tests.unit.services.clinic import Clinic, master, open_clinic, refusal


async def put(clinic: Clinic, params: dict[str, Any], **flags: bool) -> None:
    body = {"params": params, "masterKeyOnly": flags}
    assert await update_config(clinic.toolbox, master(), body) == {"result": True}


async def test_nothing_stored_is_an_empty_config() -> None:
    async with open_clinic() as clinic:
        assert await read_config(clinic.toolbox, await clinic.context()) == {"params": {}}


async def test_parameters_are_merged_and_flags_fall_back() -> None:
    async with open_clinic() as clinic:
        await put(clinic, {"greeting": "hi", "secret": 1}, secret=True)
        await put(clinic, {"greeting": "hello"})
        assert await read_config(clinic.toolbox, master()) == {
            "params": {"greeting": "hello", "secret": 1},
            "masterKeyOnly": {"greeting": False, "secret": True},
        }
        assert await read_config(clinic.toolbox, await clinic.context()) == {
            "params": {"greeting": "hello"},
            "masterKeyOnly": {"greeting": False},
        }
        await put(clinic, {"secret": 2})
        assert (await read_config(clinic.toolbox, await clinic.context()))["params"]["secret"] == 2


async def test_operations_work_on_parameters() -> None:
    async with open_clinic() as clinic:
        await put(clinic, {"count": {"__op": "Increment", "amount": 2}, "wards": ["W1"], "old": 1})
        await put(
            clinic,
            {
                "count": {"__op": "Increment", "amount": 3},
                "wards": {"__op": "AddUnique", "objects": ["W1", "W2"]},
                "old": {"__op": "Delete"},
            },
        )
        config = await read_config(clinic.toolbox, master())
        assert config["params"] == {"count": 5, "wards": ["W1", "W2"]}
        assert "old" not in config["masterKeyOnly"]


async def test_any_name_but_a_path_is_a_name() -> None:
    async with open_clinic() as clinic:
        await put(clinic, {"bad-name": 1, "ünïcode": {"__type": "Date", "iso": "2026-01-05T10:00:00.000Z"}})
        assert (await read_config(clinic.toolbox, master()))["params"]["bad-name"] == 1
        for name in ("a.b", "$where", ""):
            with refusal(ErrorCode.INVALID_KEY_NAME):
                await put(clinic, {name: 1})
        with refusal(ErrorCode.INVALID_KEY_NAME):
            await put(clinic, {"x": {"__proto__": 1}})


async def test_an_empty_change_changes_nothing() -> None:
    async with open_clinic() as clinic:
        for body in ({}, {"params": {}}, {"params": None}):
            assert await update_config(clinic.toolbox, master(), body) == {"result": True}
        assert await read_config(clinic.toolbox, master()) == {"params": {}}


async def test_the_read_only_key_changes_nothing() -> None:
    async with open_clinic() as clinic:
        context = RequestContext(auth=Auth(privilege=Privilege.READ_ONLY_MASTER))
        with refusal(ErrorCode.OPERATION_FORBIDDEN):
            await update_config(clinic.toolbox, context, {"params": {"a": 1}})


async def test_twenty_first_changes_at_once_all_arrive() -> None:
    async with open_clinic() as clinic:
        await asyncio.gather(*(put(clinic, {f"p{n}": n}) for n in range(20)))
        params = (await read_config(clinic.toolbox, master()))["params"]
        assert params == {f"p{n}": n for n in range(20)}


async def test_hooks_see_what_comes_and_what_was_there() -> None:
    async with open_clinic() as clinic:
        await put(clinic, {"a": 1})
        events = clinic.record((TriggerKind.BEFORE_SAVE, CONFIG), (TriggerKind.AFTER_SAVE, CONFIG))
        await put(clinic, {"b": 2})
        before, after = events
        assert isinstance(before, ConfigEvent)
        assert isinstance(after, ConfigEvent)
        assert (before.params, before.original) == ({"b": 2}, {"a": 1})
        assert (after.params, after.original) == ({"a": 1, "b": 2}, {"a": 1})


async def test_a_hook_refuses_a_change() -> None:
    async with open_clinic() as clinic:
        clinic.refuse(TriggerKind.BEFORE_SAVE, CONFIG, ParseError(ErrorCode.SCRIPT_FAILED, "no"))
        with refusal(ErrorCode.SCRIPT_FAILED, "no"):
            await put(clinic, {"a": 1})
        assert await read_config(clinic.toolbox, master()) == {"params": {}}


@pytest.mark.parametrize("count", [1, 3])
async def test_readers_do_not_ask_the_database_twice(count: int) -> None:
    async with open_clinic() as clinic:
        await put(clinic, {"a": 1})
        for _ in range(count):
            await read_config(clinic.toolbox, await clinic.context())
        assert clinic.toolbox.caches.config.get("1") is not None
