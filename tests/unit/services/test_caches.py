"""The caches: bounded, and never refilled with what a write has outdated."""

from __future__ import annotations

from parse_clone.core.json_types import JsonObject
from parse_clone.services.caches import Caches, TimedCache


def session_of(user_id: str) -> tuple[JsonObject, JsonObject]:
    return {"sessionToken": f"r:{user_id}"}, {"objectId": user_id}


def test_the_oldest_entry_makes_room() -> None:
    cache: TimedCache[int] = TimedCache(ttl=60, max_size=2)
    for number, key in enumerate("abc"):
        cache.put(key, number)
    assert [cache.get(key) for key in "abc"] == [None, 1, 2]


def test_entries_grow_old() -> None:
    cache: TimedCache[int] = TimedCache(ttl=-1, max_size=2)
    cache.put("a", 1)
    assert cache.get("a") is None


def test_groups_are_forgotten_together_and_leave_nothing_behind() -> None:
    cache: TimedCache[int] = TimedCache(ttl=60, max_size=3)
    for number, key in enumerate("abcd"):
        cache.put(key, number, group="x" if key in "abc" else "y")
    cache.put("d", 9, group="x")
    cache.drop_group("y")
    assert [cache.get(key) for key in "abcd"] == [None, 1, 2, 9]
    cache.drop_group("x")
    assert [cache.get(key) for key in "abcd"] == [None] * 4
    cache.drop_group("x")


def test_what_was_read_before_a_drop_is_not_stored_after_it() -> None:
    cache: TimedCache[int] = TimedCache(ttl=60, max_size=2)
    drops = cache.drops
    cache.drop("a")
    cache.put("a", 1, drops)
    assert cache.get("a") is None
    cache.put("a", 2, cache.drops)
    assert cache.get("a") == 2


async def test_a_changed_user_loses_his_sessions_and_roles_only() -> None:
    caches = Caches(ttl=60, max_size=10)
    for user_id in ("ada", "bob"):
        caches.sessions.put(f"r:{user_id}", session_of(user_id), group=user_id)
        caches.roles.put(user_id, ("Doctor",))
    await caches.invalidate_user("ada")
    assert caches.sessions.get("r:ada") is None
    assert caches.roles.get("ada") is None
    assert caches.sessions.get("r:bob") is not None
    assert caches.roles.get("bob") == ("Doctor",)


async def test_an_invalidation_travels_to_other_processes() -> None:
    here, there = Caches(ttl=60, max_size=10), Caches(ttl=60, max_size=10)

    async def tell(message: str) -> None:
        there.forget(message)

    here.on_invalidation(tell)
    there.sessions.put("r:ada", session_of("ada"), group="ada")
    there.roles.put("bob", ("Nurse",))
    there.config.put("1", {"params": {}})
    await here.invalidate_user("ada")
    assert there.sessions.get("r:ada") is None
    await here.invalidate_roles()
    assert there.roles.get("bob") is None
    await here.invalidate_config()
    assert there.config.get("1") is None


async def test_a_transaction_keeps_its_reads_and_its_invalidations_to_itself() -> None:
    caches, told = Caches(60, 10), list[str]()

    async def tell(message: str) -> None:
        told.append(message)

    caches.on_invalidation(tell)
    caches.roles.put("ada", ("Nurse",))
    inside = caches.held_back()
    assert inside.roles.get("ada") is None
    inside.roles.put("ada", ("Doctor",))
    await inside.invalidate_user("ada")
    await inside.invalidate_roles()
    assert inside.roles.get("ada") is None
    assert (caches.roles.get("ada"), told) == (("Nurse",), [])
    await inside.release()
    assert (caches.roles.get("ada"), told) == (None, ["user ada", "roles"])


def test_who_cannot_hear_remembers_nothing() -> None:
    caches = Caches(60, 10)
    caches.roles.put("ada", ("Nurse",))
    caches.pause(True)
    caches.roles.put("ada", ("Nurse",))
    assert caches.roles.get("ada") is None
    caches.pause(False)
    caches.roles.put("ada", ("Nurse",))
    assert caches.roles.get("ada") == ("Nurse",)


async def test_everything_is_forgotten_when_nobody_knows_what_has_changed() -> None:
    caches = Caches(60, 10)
    caches.roles.put("ada", ("Nurse",))
    caches.sessions.put("r:ada", session_of("ada"), group="ada")
    await caches.invalidate_all()
    assert caches.roles.get("ada") is None
    assert caches.sessions.get("r:ada") is None
