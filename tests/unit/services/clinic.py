"""A server without a door, for tests of services: real storage in memory, a clock that waits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from parse_clone.adapters.passwords import BcryptHasher
from parse_clone.app import Adapters, opened_toolbox
from parse_clone.core.context import MASTER, NOBODY, Auth, Credentials, Privilege, RequestContext
from parse_clone.core.query import EVERYTHING, WHOLE
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.ports import AuthProvider
from parse_clone.services.classes import delete_object, find_objects, save_object
from parse_clone.services.objects.requests import DeleteRequest, FindRequest, SaveAnswer, SaveRequest
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import TriggerEvent, TriggerKind
from parse_clone.services.users.authentication import authenticate
from parse_clone.settings import Settings

Json = dict[str, Any]

MAINTENANCE = Auth(privilege=Privilege.MAINTENANCE)


class FrozenClock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 5, 10, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def advance(self, **duration: float) -> None:
        self.moment += timedelta(**duration)


@dataclass(frozen=True)
class Clinic:
    """The toolbox of one server, and what tests do with it."""

    toolbox: Toolbox
    clock: FrozenClock

    async def context(self, token: str | None = None, **changes: Any) -> RequestContext:
        """The request of whoever holds the token."""
        auth = NOBODY if token is None else await self.authenticate(session_token=token)
        return replace(RequestContext(auth=auth, base_url="https://host/parse"), **changes)

    async def authenticate(self, **credentials: Any) -> Auth:
        """Present credentials at the door."""
        app_id = self.toolbox.settings.app_id
        return await authenticate(
            self.toolbox, Credentials(**{"application_id": app_id, "ip": "127.0.0.1", **credentials})
        )

    async def save(
        self, context: RequestContext, class_name: str, body: Json, object_id: str | None = None
    ) -> SaveAnswer:
        """Create or update."""
        return await save_object(self.toolbox, context, SaveRequest(class_name, object_id, body))

    async def sign_up(self, username: str = "ada", password: str = "s3cret", **fields: Any) -> Json:
        """Create a user as anybody; answers what the client reads."""
        body = {"username": username, "password": password, **fields}
        return (await self.save(await self.context(), "_User", body)).body

    async def get(self, context: RequestContext, class_name: str, object_id: str) -> Json:
        """Read one object as the caller."""
        request = FindRequest(class_name, object_id=object_id)
        return (await find_objects(self.toolbox, context, request)).results[0]

    async def find(self, context: RequestContext, class_name: str, **where: Any) -> list[Json]:
        """Query as the caller."""
        request = FindRequest(class_name, {"where": where} if where else {})
        return (await find_objects(self.toolbox, context, request)).results

    async def delete(self, context: RequestContext, class_name: str, object_id: str) -> Json:
        """Delete as the caller."""
        return await delete_object(self.toolbox, context, DeleteRequest(class_name, object_id))

    async def row(self, class_name: str, object_id: str) -> Json:
        """The stored row, secrets included."""
        rows = {str(row["objectId"]): row for row in await self.rows(class_name)}
        return rows[object_id]

    async def rows(self, class_name: str) -> list[Json]:
        """All stored rows of a class."""
        schema = await self.toolbox.catalog.get(class_name)
        return [] if schema is None else await self.toolbox.storage.find(schema, EVERYTHING, WHOLE)

    def record(self, *hooks: tuple[TriggerKind, str]) -> list[TriggerEvent]:
        """Note every event of these hooks."""
        events: list[TriggerEvent] = []

        async def note(event: TriggerEvent) -> None:
            events.append(event)

        for kind, class_name in hooks:
            self.toolbox.triggers.set(kind, class_name, note)
        return events

    def refuse(self, kind: TriggerKind, class_name: str, error: ParseError) -> None:
        """Let a hook refuse everything."""

        async def refusing(event: TriggerEvent) -> None:
            raise error

        self.toolbox.triggers.set(kind, class_name, refusing)


@asynccontextmanager
async def open_clinic(
    providers: Mapping[str, AuthProvider] | None = None, **options: Any
) -> AsyncIterator[Clinic]:
    """Open a server with these options."""
    settings = Settings(
        app_id="clinic",
        master_key="the-clinic's-master-key",
        database_uri="sqlite://",
        **{"allow_client_class_creation": True, **options},
    )
    clock = FrozenClock()
    adapters = Adapters(clock=clock, passwords=BcryptHasher(cost=4), auth_providers=providers)
    async with opened_toolbox(settings, adapters) as toolbox:
        yield Clinic(toolbox, clock)


def master(**changes: Any) -> RequestContext:
    """A request with the master key."""
    return replace(RequestContext(auth=MASTER, base_url="https://host/parse"), **changes)


def maintenance() -> RequestContext:
    """A request with the maintenance key."""
    return RequestContext(auth=MAINTENANCE)


def refusal(code: ErrorCode, text: str | None = None) -> Any:
    """Expect a refusal with this code, and with this text if one is given."""
    return pytest.raises(
        ParseError,
        check=lambda error: (
            isinstance(error, ParseError) and error.code == code and text in (None, error.message)
        ),
    )
