"""What is measured: one table of scenarios, each a list of prepared requests, sent round and round."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from benchmarks.client import Api
from benchmarks.dataset import PASSWORD, Dataset, lab_result, owned_by
from benchmarks.subjects import MONGO, SQLITE

Prepare = Callable[[Api, Dataset, random.Random], list[bytes]]


@dataclass(frozen=True)
class Scenario:
    """A kind of request. `targets`: how many times cheaper than the npm parse-server it is to be, by server;
    `is_read`: whether it reads clinical objects; `connections`: how many requests are in flight at once."""

    name: str
    prepare: Prepare
    targets: Mapping[str, float] = field(default_factory=dict)
    is_read: bool = False
    connections: int = 32


def cheaper(sqlite: float, mongo: float) -> Mapping[str, float]:
    """The targets on both engines."""
    return {SQLITE: sqlite, MONGO: mongo}


def get_each(parameters: str = "", **how: Any) -> Prepare:
    """Get one lab result by its id."""

    def prepare(api: Api, data: Dataset, chance: random.Random) -> list[bytes]:
        paths = [f"/classes/LabResult/{identifier}{parameters}" for identifier in data.ids[:500]]
        return [api.request("GET", path, **how) for path in paths]

    return prepare


def get_each_by_user(api: Api, data: Dataset, chance: random.Random) -> list[bytes]:
    return get_each(session=data.session)(api, data, chance)


def users_me(api: Api, data: Dataset, chance: random.Random) -> list[bytes]:
    return [api.request("GET", "/users/me", session=data.session)]


def find(parameters: str, *, by_user: bool = False) -> Prepare:
    """Find with the same parameters again and again."""

    def prepare(api: Api, data: Dataset, chance: random.Random) -> list[bytes]:
        session = data.session if by_user else ""
        return [api.request("GET", f"/classes/LabResult?{parameters}", session=session)]

    return prepare


def create(api: Api, data: Dataset, chance: random.Random) -> list[bytes]:
    bodies = [lab_result(chance, data.patients, status="bench") for _ in range(300)]
    return [api.request("POST", "/classes/LabResult", body) for body in bodies]


def create_by_user(api: Api, data: Dataset, chance: random.Random) -> list[bytes]:
    acl = owned_by(data.user_id)
    bodies = [lab_result(chance, data.patients, status="bench", ACL=acl) for _ in range(300)]
    return [api.request("POST", "/classes/LabResult", body, session=data.session) for body in bodies]


def update(api: Api, data: Dataset, chance: random.Random) -> list[bytes]:
    def body() -> dict[str, Any]:
        value, priority = round(chance.random() * 100, 2), chance.randrange(5)
        return {"value": value, "status": "final", "priority": priority, "notes": "amended by the ward"}

    paths = [f"/classes/LabResult/{identifier}" for identifier in data.own_ids]
    return [api.request("PUT", path, body(), session=data.session) for path in paths]


def increment(api: Api, data: Dataset, chance: random.Random) -> list[bytes]:
    body = {"priority": {"__op": "Increment", "amount": 1}}
    paths = [f"/classes/LabResult/{identifier}" for identifier in data.own_ids]
    return [api.request("PUT", path, body, session=data.session) for path in paths]


def batch_of_50(api: Api, data: Dataset, chance: random.Random) -> list[bytes]:
    path = f"{api.path}/classes/LabResult"

    def part() -> dict[str, Any]:
        return {"method": "POST", "path": path, "body": lab_result(chance, data.patients, status="bench")}

    return [api.request("POST", "/batch", {"requests": [part() for _ in range(50)]}) for _ in range(8)]


def login(api: Api, data: Dataset, chance: random.Random) -> list[bytes]:
    bodies = [{"username": name, "password": PASSWORD} for name in data.usernames]
    return [api.request("POST", "/login", body) for body in bodies]


def health(api: Api, data: Dataset, chance: random.Random) -> list[bytes]:
    return [api.request("GET", "/health")]


ACTIVE = f"where={quote(json.dumps({'status': 'active'}))}&limit=20&order=-createdAt"

SCENARIOS = (
    Scenario("health", health, cheaper(4.7, 4.7)),
    Scenario("get by id", get_each(), cheaper(7.3, 2.6), is_read=True),
    Scenario("get by id, session", get_each_by_user, cheaper(7.6, 2.8), is_read=True),
    Scenario("get by id, master key", get_each(master=True), is_read=True),
    Scenario("get, include", get_each("?include=patient"), cheaper(7.7, 2.7), is_read=True),
    Scenario("users/me", users_me, cheaper(8.5, 3.1)),
    Scenario("find 20", find(ACTIVE), cheaper(9.6, 2.8), is_read=True),
    Scenario("find 20, session", find(ACTIVE, by_user=True), is_read=True),
    Scenario("find 20, include", find(f"{ACTIVE}&include=patient"), cheaper(6.8, 3.0), is_read=True),
    Scenario("find 100", find("limit=100"), cheaper(14.4, 3.1), is_read=True),
    Scenario("create", create, cheaper(4.4, 2.6)),
    Scenario("create, session", create_by_user),
    Scenario("update", update, cheaper(4.7, 2.2)),
    Scenario("increment", increment, cheaper(4.7, 2.2)),
    Scenario("batch of 50 creates", batch_of_50, cheaper(3.2, 2.5), connections=8),
    Scenario("login", login, cheaper(1.0, 1.0), connections=8),
)
