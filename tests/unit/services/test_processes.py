"""What server processes tell each other, here over a bus that they share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import orjson

from parse_clone.adapters.pubsub.in_process import InProcessPubSub
from parse_clone.services.processes import connect_processes
from tests.unit.services.clinic import Clinic, open_clinic


class Bus(InProcessPubSub):
    """A bus that can be interrupted."""

    def __init__(self) -> None:
        super().__init__()
        self.gap_listeners: list[Callable[[bool], Awaitable[None]]] = []

    def on_gap(self, listener: Callable[[bool], Awaitable[None]]) -> None:
        self.gap_listeners.append(listener)


@asynccontextmanager
async def two_processes() -> AsyncIterator[tuple[Bus, Clinic, Clinic]]:
    async with open_clinic() as here, open_clinic() as there:
        bus = Bus()
        for clinic in (here, there):
            await connect_processes(clinic.toolbox, bus)
            clinic.toolbox.caches.roles.put("ada", ("Nurse",))
            clinic.toolbox.caches.roles.put("bob", ("Nurse",))
        yield bus, here, there


def remembers(clinic: Clinic, user_id: str) -> bool:
    return clinic.toolbox.caches.roles.get(user_id) is not None


async def test_what_changes_here_is_forgotten_there() -> None:
    async with two_processes() as (_, here, there):
        await here.toolbox.caches.invalidate_user("ada")
        assert [remembers(clinic, "ada") for clinic in (here, there)] == [False, False]
        assert [remembers(clinic, "bob") for clinic in (here, there)] == [True, True]
        await here.toolbox.caches.invalidate_roles()
        assert [remembers(clinic, "bob") for clinic in (here, there)] == [False, False]


async def test_parse_server_hears_of_users_and_is_heard() -> None:
    async with two_processes() as (bus, here, there):
        heard: list[str] = []

        async def listen(message: str) -> None:
            heard.append(message)

        await bus.subscribe("clinicclearCache", listen)
        await here.toolbox.caches.invalidate_user("ada")
        assert orjson.loads(heard[0])["userId"] == "ada"
        await bus.publish("clinicclearCache", '{"userId":"carla"}')
        assert not remembers(there, "bob"), "parse-server names the writer of a role, not its members"


async def test_nothing_is_remembered_while_the_others_cannot_be_heard() -> None:
    async with two_processes() as (bus, here, _):
        for tell in bus.gap_listeners:
            await tell(True)
        here.toolbox.caches.roles.put("ada", ("Nurse",))
        assert not remembers(here, "ada")
        for tell in bus.gap_listeners:
            await tell(False)
        here.toolbox.caches.roles.put("ada", ("Nurse",))
        assert remembers(here, "ada")
