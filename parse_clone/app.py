"""A page of assembly: settings, adapters, toolbox, catalog, hooks, routes. No global state.

Services know ports and adapters implement them; here, and only here, they are introduced to each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import structlog

from parse_clone.adapters.auth.providers import configured_providers
from parse_clone.adapters.http import HttpxSender
from parse_clone.adapters.passwords import BcryptHasher
from parse_clone.adapters.pubsub.in_process import InProcessPubSub
from parse_clone.adapters.system import RandomIds, SystemClock
from parse_clone.api.livequery import metrics
from parse_clone.api.livequery.endpoint import STOPPING, LiveQueryEndpoint
from parse_clone.api.rest.endpoint import RestEndpoint
from parse_clone.api.rest.entrance import Entrance
from parse_clone.api.rest.middleware.rate_limit import RateLimiter, limit_of_hook
from parse_clone.api.rest.middleware.route_allow_list import RouteAllowList
from parse_clone.api.rest.routes import all_routes
from parse_clone.api.rest.routes.files import FilesRoom
from parse_clone.api.rest.standby import Standby
from parse_clone.cloud.loading import load_cloud_code
from parse_clone.cloud.registration import Cloud
from parse_clone.core.class_permissions import FieldProtection
from parse_clone.core.values import KeywordDenylist
from parse_clone.errors import ParseError, SettingsError
from parse_clone.ports import (
    Analytics,
    AuthProvider,
    ChangeSource,
    Clock,
    FileStore,
    Ids,
    Mailer,
    PasswordHasher,
    PubSub,
    Storage,
)
from parse_clone.services.caches import Caches
from parse_clone.services.catalog import SchemaCatalog
from parse_clone.services.changes import Listeners
from parse_clone.services.declared_schemas import apply_declared_schemas
from parse_clone.services.file_cleaning import JOB as CLEANING
from parse_clone.services.file_cleaning import cleaning_job
from parse_clone.services.livequery.database_feed import DatabaseFeed
from parse_clone.services.livequery.feed import ChangeChannels, live_classes
from parse_clone.services.livequery.hub import LiveQueryHub
from parse_clone.services.objects.file_links import prepare_links
from parse_clone.services.processes import connect_processes
from parse_clone.services.schedules import Schedule, run_schedules
from parse_clone.services.startup import prepare_database
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import TriggerRegistry
from parse_clone.services.webhooks import load_webhooks
from parse_clone.settings import DriverOptions, RateLimit, Settings, wire_name

log = structlog.get_logger("parse_clone")

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Adapters:
    """Adapters to use instead of those that the settings choose: for tests, and for what is not built in."""

    storage: Storage | None = None
    files: FileStore | None = None
    mailer: Mailer | None = None
    analytics: Analytics | None = None
    auth_providers: Mapping[str, AuthProvider] | None = None
    clock: Clock = field(default_factory=SystemClock)
    ids: Ids = field(default_factory=RandomIds)
    passwords: PasswordHasher | None = None


CHANGES_SECONDS = 10
"""How long a database may take to open its change stream."""

Register = Callable[[Cloud], None]
"""Defines an application's hooks: what a module of cloud code offers as `register`."""


def create_app(
    settings: Settings, adapters: Adapters | None = None, register: Register | None = None
) -> Asgi:
    """Build a server as an ASGI application. It opens what it needs when its lifespan starts."""
    return _App(settings, lambda: assemble(settings, adapters or Adapters(), register))


@asynccontextmanager
async def assemble(settings: Settings, adapters: Adapters, register: Register | None) -> AsyncIterator[Asgi]:
    """Open everything, serve, close everything."""
    async with opened_toolbox(settings, adapters) as toolbox, opened_pubsub(settings) as pubsub:
        await load_webhooks(toolbox)
        cloud = load_hooks(toolbox, register)
        allowed = RouteAllowList(settings)
        limits = RateLimiter((*settings.rate_limit, *cloud_rate_limits(cloud)))
        rooms = {"files": FilesRoom(Entrance(toolbox, allowed, limits))}
        hub = LiveQueryHub(toolbox)
        routes = all_routes(settings, allowed, limits)
        routes.add(*metrics.routes(hub))
        rest = RestEndpoint(toolbox, routes, allowed, limits, rooms)
        async with (
            connected_live_queries(toolbox, hub, pubsub),
            in_background(run_schedules(toolbox, cloud.schedules)),
            in_background(hub.run()),
        ):
            live_queries = LiveQueryEndpoint(toolbox, hub)
            yield Doors(rest, live_queries)
            live_queries.close(*STOPPING)


@asynccontextmanager
async def opened_pubsub(settings: Settings) -> AsyncIterator[PubSub]:
    """The way to the other processes: Redis where the settings name one."""
    url = settings.pubsub_url
    if url is None:
        pubsub: PubSub = InProcessPubSub()
    else:
        from parse_clone.adapters.pubsub.redis import RedisPubSub

        pubsub = RedisPubSub(url)
    try:
        yield pubsub
    finally:
        await pubsub.close()


@asynccontextmanager
async def connected_live_queries(toolbox: Toolbox, hub: LiveQueryHub, pubsub: PubSub) -> AsyncIterator[None]:
    """Send the changes of the classes that may be watched to those who watch, in all processes."""
    assert isinstance(toolbox.changes, Listeners)
    options = toolbox.settings.live_query
    is_live = live_classes(options.class_names if options else ())
    is_shared = not isinstance(pubsub, InProcessPubSub)
    if is_shared:
        await connect_processes(toolbox, pubsub)
    if options and options.change_streams:
        feed = DatabaseFeed(toolbox, change_source(toolbox.storage), hub, is_live)
        async with in_background(feed.run()):
            await wait_for_changes(feed)
            yield
        return
    if is_shared:
        channels = ChangeChannels(toolbox, pubsub, hub)
        toolbox.changes.add(is_live, channels.publish)
        await channels.listen()
    else:
        toolbox.changes.add(is_live, hub.receive)
    yield


def change_source(storage: Storage) -> ChangeSource:
    """The database as one that tells of every write."""
    from parse_clone.adapters.storage.mongo.storage import MongoStorage

    if not isinstance(storage, MongoStorage):
        raise SettingsError("liveQuery.changeStreams needs MongoDB")
    return storage


async def wait_for_changes(feed: DatabaseFeed) -> None:
    """Serve nobody before the database tells its changes."""
    try:
        async with asyncio.timeout(CHANGES_SECONDS):
            await feed.opened.wait()
    except TimeoutError:
        raise SettingsError("liveQuery.changeStreams needs a replica set of MongoDB 6 or newer") from None


@dataclass(frozen=True, slots=True)
class Doors:
    """The open server: REST and LiveQuery on one port."""

    rest: Asgi
    live_queries: Asgi

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        door = self.live_queries if scope["type"] == "websocket" else self.rest
        await door(scope, receive, send)


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let work go on beside what is done meanwhile, and end it after that."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (failure := task.exception()) is not None:
            log.error("background work had failed", exc_info=failure)


def load_hooks(toolbox: Toolbox, register: Register | None) -> Cloud:
    """Let the application register its hooks: in Python, and by the module that the settings name."""
    cloud = Cloud(toolbox)
    toolbox.triggers.jobs[CLEANING] = cleaning_job(toolbox)
    if toolbox.settings.file_cleaning_grace is not None:
        cloud.schedules.append(Schedule(CLEANING, None, "17 3 * * *"))
    if register is not None:
        register(cloud)
    if toolbox.settings.cloud is not None:
        load_cloud_code(Path(toolbox.settings.cloud), cloud)
    return cloud


def cloud_rate_limits(cloud: Cloud) -> list[RateLimit]:
    """The limits that hooks ask for, as limits of the routes that run them."""
    return [
        limit_of_hook(hook, RateLimit(request_path="/", **asdict(limit))) for hook, limit in cloud.rate_limits
    ]


@asynccontextmanager
async def opened_toolbox(settings: Settings, adapters: Adapters | None = None) -> AsyncIterator[Toolbox]:
    """Open what services use, without a door: for the command line and for tests."""
    async with AsyncExitStack() as stack:
        toolbox = await open_toolbox(settings, adapters or Adapters(), stack)
        try:
            await prepare_database(toolbox)
            await apply_declared_schemas(toolbox)
            await prepare_links(toolbox)
        except ParseError as error:
            place = settings.database_uri.rpartition("@")[2]  # what stands before may be a password
            raise SettingsError(f"The database {place} cannot be used: {reason_of(error)}") from error
        yield toolbox


def reason_of(error: ParseError) -> str:
    """What the database or its driver said, for the operator: as much of it as tells a person something."""
    reason = str(error.__cause__ or error.message)
    for verbose in (" (configured timeouts:", ", Timeout: ", ", full error:", ", Topology Description:"):
        reason = reason.partition(verbose)[0]
    return reason or str(error)


async def open_toolbox(settings: Settings, adapters: Adapters, stack: AsyncExitStack) -> Toolbox:
    """Choose and open the adapters; the stack closes them."""
    storage = adapters.storage or open_storage(settings)
    stack.push_async_callback(storage.close)
    files = adapters.files or open_files(settings)
    stack.push_async_callback(files.close)
    http = HttpxSender(settings.webhook_timeout, allow_private=settings.webhook_allow_private_addresses)
    stack.push_async_callback(http.close)
    return Toolbox(
        settings=settings,
        storage=storage,
        catalog=SchemaCatalog(storage, schema_lifetime(settings)),
        triggers=TriggerRegistry(),
        changes=Listeners(),
        caches=Caches(settings.cache_ttl / 1000, settings.cache_max_size),
        clock=adapters.clock,
        ids=adapters.ids,
        passwords=adapters.passwords or BcryptHasher(),
        auth_providers={
            **configured_providers(settings.auth, anonymous=settings.enable_anonymous_users),
            **(adapters.auth_providers or {}),
        },
        files=files,
        mailer=adapters.mailer,
        analytics=adapters.analytics,
        http=http,
        keywords=keyword_denylist(settings),
        protection=field_protection(settings),
    )


def schema_lifetime(settings: Settings) -> float | None:
    """Seconds that schemas are remembered; None: until a change that this server hears of."""
    milliseconds = settings.database_options.schema_cache_ttl
    return None if milliseconds is None else milliseconds / 1000


def open_storage(settings: Settings) -> Storage:
    """The engine that the database URI names. Only that engine's driver is loaded."""
    if settings.is_embedded:
        from parse_clone.adapters.storage.sqlite.storage import SqliteStorage

        path = settings.database_path
        return SqliteStorage(":memory:" if path is None else str(path))
    from parse_clone.adapters.storage.mongo.storage import MongoStorage

    return MongoStorage(
        settings.database_uri,
        prefix=settings.collection_prefix,
        max_time_ms=settings.database_options.max_time_ms,
        **driver_options(settings),
    )


def driver_options(settings: Settings) -> dict[str, Any]:
    """The chosen options of MongoDB's driver."""
    given = {
        member.metadata["name"] or wire_name(member.name): getattr(settings.database_options, member.name)
        for member in fields(DriverOptions)
    }
    if tags := settings.database_options.read_preference_tags:
        given["readPreferenceTags"] = [
            ",".join(f"{name}:{value}" for name, value in group.items()) for group in tags
        ]
    return {name: value for name, value in given.items() if value is not None}


def open_files(settings: Settings) -> FileStore:
    """The file store that the settings name, encrypted if they have keys."""
    from parse_clone.adapters.files.encrypted import EncryptedFiles
    from parse_clone.adapters.files.gridfs import GridFsFiles
    from parse_clone.adapters.files.parse_server_encryption import ParseServerEncryption

    files, keys = open_plain_files(settings), dict(settings.file_encryption_keys)
    if isinstance(files, GridFsFiles):
        # Parse quirk: what parse-server encrypts files in MongoDB with is its `fileKey`.
        secret = settings.encryption_key or settings.file_key
        older: FileStore = files if secret is None else ParseServerEncryption(files, secret)
        return EncryptedFiles(files, keys, older) if keys else older
    if settings.encryption_key is not None:
        keys = keys or {"encryptionKey": settings.encryption_key}
    return EncryptedFiles(files, keys) if keys else files


def open_plain_files(settings: Settings) -> FileStore:
    """The file store that the settings name: by default, files lie where the database lies."""
    from parse_clone.adapters.files.local import LocalFiles

    url = settings.files_url or "database:"
    if url.startswith("file://"):
        return LocalFiles(Path(unquote(url.removeprefix("file://"))))
    if url.startswith("s3://"):
        from parse_clone.adapters.files.s3 import S3Files

        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        return S3Files(bucket, prefix, **asdict(settings.s3))
    if settings.is_embedded:
        path = settings.database_path
        return LocalFiles.in_memory_of_the_process() if path is None else LocalFiles(path.parent / "files")
    from parse_clone.adapters.files.gridfs import GridFsFiles

    return GridFsFiles(settings.database_uri, **driver_options(settings))


def keyword_denylist(settings: Settings) -> KeywordDenylist:
    """The denied keywords, compiled."""
    return KeywordDenylist(
        tuple(
            {name: value for name, value in (("key", rule.key), ("value", rule.value)) if value is not None}
            for rule in settings.request_keyword_denylist
        )
    )


def field_protection(settings: Settings) -> FieldProtection:
    """The protected fields: those of the settings, of the older option, and e-mail addresses in any case."""
    lists = {name: dict(groups) for name, groups in settings.protected_fields.items()}
    of_users = lists.setdefault("_User", {})
    everybody = (*of_users.get("*", ()), "email", *settings.user_sensitive_fields)
    of_users["*"] = tuple(dict.fromkeys(everybody))
    return FieldProtection(lists, owner_exempt=settings.protected_fields_owner_exempt)


class _App:
    """The ASGI application: the lifespan opens and closes the server, everything else goes to it."""

    def __init__(self, settings: Settings, opens: Callable[[], AbstractAsyncContextManager[Asgi]]) -> None:
        self._opens = opens
        self._standby = Standby(settings)
        self._server: Asgi = self._standby

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket" and self._server is self._standby:
            await receive()
            await send({"type": "websocket.close", "code": 1013, "reason": "not ready"})
        else:
            await self._server(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._standby.state = "starting"
        try:
            async with self._opens() as self._server:
                await send({"type": "lifespan.startup.complete"})
                await receive()
                self._server = self._standby
        except Exception as error:
            self._standby.state = "error"
            self._server = self._standby
            if not isinstance(error, SettingsError):
                log.error("cannot start", exc_info=error)
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})
