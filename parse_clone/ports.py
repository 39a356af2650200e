"""Every plug in the outer wall, on one page: protocol classes, and what they speak of. Adapters fill them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from parse_clone.core.auth_data import ProviderOutcome, ProviderRequest
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.operations import Operations
from parse_clone.core.query import Condition, Page
from parse_clone.core.schema import ClassSchema, Index, JoinTable, SchemaChange

EncodedRow: TypeAlias = tuple[str, bytes]
"""An object as its id and its JSON text."""


class Storage(Protocol):
    """A database engine. Objects are REST JSON plus internal members.

    A stored object: `objectId`; `createdAt`, `updatedAt` as ISO texts (`2026-01-05T10:00:00.123Z`); `ACL` as
    JSON, absent for public objects; fields in their wire encoding (Files as `{"__type": "File", "name"}`, no
    url; relation fields absent). Internal members of system classes begin with `_` (`_hashed_password`,
    `_perishable_token`, ...; their dates as `__type` Date). `_User.authData` is one object by provider;
    `_Session.sessionToken` is a plain field. Reads return internal members too: services hide them.

    Errors: `DuplicateValue` where a unique index refuses; `ParseError` 1 "Database error" where the database
    cannot be reached; nothing of the driver's own text otherwise.
    """

    async def find(self, schema: ClassSchema, where: Condition, page: Page) -> list[JsonObject]: ...

    async def find_json(self, schema: ClassSchema, where: Condition, page: Page) -> list[EncodedRow]:
        """As `find`, each row as encoded JSON: the fast path of rows that nobody needs to change."""
        ...

    async def count(self, schema: ClassSchema, where: Condition) -> int: ...

    async def distinct(self, schema: ClassSchema, path: str, where: Condition) -> list[Json]: ...

    async def aggregate(
        self, schema: ClassSchema, stages: Sequence[JsonObject], options: Mapping[str, Json]
    ) -> list[JsonObject]:
        """Run a pipeline as the aggregate route takes it (REST names). `options`: hint, comment, explain,
        readPreference, rawValues, rawFieldNames. Raises 102 with the reason for a stage it cannot run."""
        ...

    async def explain(self, schema: ClassSchema, where: Condition, page: Page, verbosity: str) -> Json: ...

    async def insert(
        self, schema: ClassSchema, objects: Sequence[JsonObject], *, keeps_first: bool = False
    ) -> None:
        """All or none. `keeps_first`: in this order, and what stands before a refused one may stay."""
        ...

    async def update(
        self, schema: ClassSchema, where: Condition, operations: Operations, *, upsert: bool = False
    ) -> JsonObject | None:
        """Change the one match atomically and return its new state; None if nothing matches.
        `upsert` (with a `where` that names an objectId) inserts instead."""
        ...

    async def update_many(self, schema: ClassSchema, where: Condition, operations: Operations) -> int: ...

    async def delete(self, schema: ClassSchema, where: Condition) -> int: ...

    async def link(self, table: JoinTable, owning_id: str, related_ids: Sequence[str]) -> None:
        """Idempotent."""
        ...

    async def unlink(self, table: JoinTable, owning_id: str, related_ids: Sequence[str]) -> None: ...

    async def related_ids(self, table: JoinTable, owning_ids: Sequence[str]) -> list[str]:
        """In order of linking."""
        ...

    async def owning_ids(self, table: JoinTable, related_ids: Sequence[str]) -> list[str]: ...

    def transaction(self) -> AbstractAsyncContextManager[Storage]:
        """Everything done through the yielded storage commits together or not at all.
        Raises 251 on a write conflict: the caller may repeat the whole."""
        ...

    async def load_schemas(self) -> list[ClassSchema]: ...

    async def change_schema(self, change: SchemaChange) -> None: ...

    def schema_changes(self) -> AbstractAsyncContextManager[Storage]:
        """Schema changes made through the yielded storage are made together; if something raises, none is.
        Only the deletion of data may be beyond an engine's power to take back."""
        ...

    async def list_indexes(self, class_name: str) -> list[Index]: ...

    async def ping(self) -> None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What a store tells about a file. `modified` is aware, UTC."""

    size: int
    metadata: JsonObject
    modified: datetime


class FileStore(Protocol):
    """Where the bytes of files lie. Names are stored names (`labs/2026/<hex>_ecg.pdf`), checked before.

    A store that cannot do its work raises `OSError`; nothing of the reason reaches a client.
    """

    async def write(
        self,
        name: str,
        content: AsyncIterator[bytes],
        content_type: str,
        metadata: JsonObject,
        tags: Mapping[str, str],
        *,
        replacing: StoredFile | None = None,
    ) -> int:
        """Store a whole file or nothing, in the place of a file of that name; returns its size in bytes.
        Whatever `content` raises passes through, and nothing is stored. With `replacing` only if the file is
        still in that state: else `FileNotFoundError`."""
        ...

    async def stat(self, name: str) -> StoredFile | None: ...

    def read(self, name: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` to `end` (exclusive), in chunks. One call sees one state of the file."""
        ...

    async def delete(self, name: str) -> bool:
        """Delete a file; False if there is none."""
        ...

    def list_names(self) -> AsyncIterator[tuple[str, datetime]]:
        """Every stored name with the time of its last write."""
        ...

    async def location(self, name: str, headers: Mapping[str, str]) -> str | None:
        """A URL under which the store itself serves the file for a while, with these headers, to the one who
        is given it, if it does."""
        ...

    async def sweep(self, before: datetime) -> int:
        """Remove what interrupted or replaced writes left behind before a moment; tells how much."""
        ...

    async def close(self) -> None: ...


class PubSub(Protocol):
    """Messages between the server processes of one application."""

    async def publish(self, channel: str, message: str) -> None: ...

    async def subscribe(self, channel: str, listener: Callable[[str], Awaitable[None]]) -> None: ...

    def on_gap(self, listener: Callable[[bool], Awaitable[None]]) -> None:
        """Tell when messages cannot arrive (True), and when they can again (False)."""
        ...

    async def close(self) -> None: ...


StoredChange: TypeAlias = tuple[str, JsonObject | None, JsonObject | None]
"""The class, the row before and after a write. Both are None for classes that are told by name only."""


class ChangeSource(Protocol):
    """A database that tells of every write itself, whoever made it."""

    def changes(
        self, schema_of: Callable[[str], Awaitable[ClassSchema | None]], wants: Callable[[str], bool]
    ) -> AbstractAsyncContextManager[AsyncIterator[StoredChange]]:
        """Once entered, every later write is told, in the order of commits; rows of the classes that `wants`
        names, the others by name."""
        ...


class AuthProvider(Protocol):
    """One way to log in with `authData`."""

    @property
    def policy(self) -> str:
        """`default`, `solo` or `additional`."""
        ...

    async def before_find(self, auth_data: JsonObject) -> JsonObject:
        """Fill in what the lookup by `id` needs (a code exchanged for an id)."""
        ...

    async def validate(self, auth_data: JsonObject, request: ProviderRequest) -> ProviderOutcome: ...

    async def after_find(self, auth_data: JsonObject, request: ProviderRequest) -> JsonObject:
        """What readers of the user see of the data."""
        ...

    async def challenge(
        self, challenge_data: JsonObject, auth_data: JsonObject | None, request: ProviderRequest
    ) -> Json:
        """None: this provider has no challenges."""
        ...


class Mailer(Protocol):
    async def send(self, to: str, subject: str, text: str) -> None: ...


class HttpSender(Protocol):
    """Calls the application's webhooks."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer. Raises OSError if there is none: unreachable, too slow, too large,
        or at an address that must not be called."""
        ...

    async def close(self) -> None: ...


class Analytics(Protocol):
    """Where clients' analytics events go."""

    async def track(self, event: str, parameters: JsonObject) -> None:
        """One event (`AppOpened` is one of them), with what the client sent along."""
        ...


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware, UTC."""
        ...


class Ids(Protocol):
    def object_id(self, size: int = 10) -> str:
        """Random `[A-Za-z0-9]`."""
        ...

    def session_token(self) -> str:
        """`r:` and 32 hexadecimal digits."""
        ...

    def token(self) -> str:
        """25 random `[A-Za-z0-9]`, for mails."""
        ...


class PasswordHasher(Protocol):
    async def hash(self, password: str) -> str: ...

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Without a hash (nobody's password) the answer is no, after the same time."""
        ...
