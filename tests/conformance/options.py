"""parse-server's options as the harness sends them, read as our settings and adapters.

The harness speaks of parse-server 7.4: where later versions (and we) are stricter by default, its default is
restored here. Functions among the options live in the test process; adapters made of them stand in for ours.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

from parse_clone.app import Adapters
from parse_clone.core.auth_data import ProviderOutcome, ProviderRequest
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.ports import AuthProvider, StoredFile
from parse_clone.settings import RequestComplexity, Settings, wire_name
from parse_clone.settings_json import decode_settings
from tests.conformance.wire import UNDEFINED, RemoteError, RemoteFunction

OLDER_DEFAULTS = {
    "enableSanitizedErrorResponse": False,
    "enableInsecureAuthAdapters": True,
    "webhookAllowPrivateAddresses": True,
}

KNOWN = {option.metadata["name"] or wire_name(option.name) for option in fields(Settings)}

UNLIMITED = RequestComplexity(
    **{option.name: None for option in fields(RequestComplexity) if option.name != "allow_regex"}
)


def read_settings(options: Mapping[str, Any], database_uri: str, port: int) -> Settings:
    """Read the options; what the harness decides (port, data, mount path) is laid over them. Files lie where
    the data lie."""
    refuse_unconnected(options)
    known = {name: value for name, value in options.items() if name in KNOWN}
    if isinstance(known.get("cloud"), str):
        del known["cloud"]  # cloud code is connected by the control protocol
    known["auth"] = {
        name: provider for name, provider in known.get("auth", {}).items() if not has_functions(provider)
    }
    if "websocketTimeout" in options:  # parse-server takes it beside the group, too
        group = {"websocketTimeout": options["websocketTimeout"]}
        known["liveQueryServerOptions"] = {**(known.get("liveQueryServerOptions") or {}), **group}
    ours = {
        "databaseURI": database_uri,
        "filesURL": "database:",
        "host": "localhost",
        "port": port,
        "mountPath": "/1",
    }
    settings = decode_settings({**OLDER_DEFAULTS, **known, **ours})
    if "requestComplexity" in options:
        return settings
    return replace(settings, request_complexity=UNLIMITED)


def refuse_unconnected(options: Mapping[str, Any]) -> None:
    """Say so if an option wants a room of the server that is not connected to the harness."""
    push = options.get("push") or {}
    if isinstance(push, dict) and has_functions(push.get("adapter")):
        raise NotImplementedError("push.adapter of the test process")


def read_adapters(options: Mapping[str, Any]) -> Adapters:
    """The adapters whose methods live in the test process."""
    auth = options.get("auth") or {}
    providers: dict[str, AuthProvider] = {
        name: RemoteProvider(provider)
        for name, provider in auth.items()
        if has_functions(provider) and provider.get("enabled") is not False
    }
    mailer, files = options.get("emailAdapter"), options.get("filesAdapter")
    analytics = options.get("analyticsAdapter")
    return Adapters(
        auth_providers=providers,
        mailer=RemoteMailer(mailer) if isinstance(mailer, dict) else None,
        analytics=RemoteAnalytics(analytics) if has_functions(analytics) else None,
        files=RemoteFiles(files) if has_functions(files) else None,
    )


def has_functions(adapter: Any) -> bool:
    """Is this an adapter of the test process, rather than options for one of ours?"""
    return isinstance(adapter, dict) and any(
        isinstance(member, RemoteFunction) for member in adapter.values()
    )


class RemoteMailer:
    """Mails go to the test process. The parameters of the two special mails are not told by the port."""

    def __init__(self, adapter: Mapping[str, Any]) -> None:
        self._adapter = adapter

    async def send(self, to: str, subject: str, text: str) -> None:
        await self._adapter["sendMail"]({"to": to, "subject": subject, "text": text})


class RemoteAnalytics:
    """Analytics events go to the test process."""

    def __init__(self, adapter: Mapping[str, Any]) -> None:
        self._adapter = adapter

    async def track(self, event: str, parameters: JsonObject) -> None:
        if event == "AppOpened":
            await self._adapter["appOpened"](parameters)
        else:
            await self._adapter["trackEvent"](event, parameters)


class RemoteFiles:
    """A file store in the test process."""

    def __init__(self, adapter: Mapping[str, Any]) -> None:
        self._adapter = adapter

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
        options: JsonObject = {"metadata": metadata}
        if tags:
            options["tags"] = dict(tags)
        whole = b"".join([piece async for piece in content])
        await self._call("createFile", name, whole, content_type, options)
        return len(whole)

    async def stat(self, name: str) -> StoredFile | None:
        content = await self._content(name)
        return None if content is None else StoredFile(len(content), {}, datetime.now(UTC))

    async def read(self, name: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        yield (await self._content(name) or b"")[start:end]

    async def _content(self, name: str) -> bytes | None:
        answer = await self._call("getFileData", name)
        return b64decode(answer["base64"]) if isinstance(answer, dict) else None

    async def delete(self, name: str) -> bool:
        await self._call("deleteFile", name)
        return True

    async def list_names(self) -> AsyncGenerator[tuple[str, datetime], None]:
        for name in ():
            yield name, datetime.now(UTC)

    async def location(self, name: str, headers: Mapping[str, str]) -> str | None:
        location = await self._call("getFileLocation", {}, name)
        return location if isinstance(location, str) else None

    async def _call(self, method: str, *arguments: Any) -> Any:
        try:
            return await self._adapter[method](*arguments)
        except (ParseError, RemoteError) as failure:
            raise OSError(str(failure)) from failure

    async def sweep(self, before: datetime) -> int:
        return 0

    async def close(self) -> None: ...


class RemoteProvider:
    """A login provider made of functions of the test process."""

    def __init__(self, adapter: Mapping[str, Any]) -> None:
        self._adapter = adapter

    @property
    def policy(self) -> str:
        given = self._adapter.get("policy", "default")
        return given if isinstance(given, str) else "default"

    async def before_find(self, auth_data: JsonObject) -> JsonObject:
        return auth_data

    async def validate(self, auth_data: JsonObject, request: ProviderRequest) -> ProviderOutcome:
        adapter = self._adapter
        app_ids, told = adapter.get("appIds"), encode_request(request)
        if app_ids is not None and "validateAppId" in adapter:
            await adapter["validateAppId"](app_ids, auth_data, adapter, told)
        method = self._method(request)
        answer = await adapter[method](auth_data, adapter, {**told, "triggerName": method})
        if not isinstance(answer, dict):
            return ProviderOutcome()
        return ProviderOutcome(
            save=answer.get("save"),
            keep_stored=bool(answer.get("doNotSave")),
            response=answer.get("response"),
        )

    def _method(self, request: ProviderRequest) -> str:
        if "validateAuthData" in self._adapter:
            return "validateAuthData"
        stages = {"setUp": "validateSetUp", "login": "validateLogin", "update": "validateUpdate"}
        if not self._adapter.keys() >= set(stages.values()):
            raise ParseError(
                ErrorCode.OTHER_CAUSE,
                "Adapter is not configured. Implement either validateAuthData or all of the following: "
                "validateSetUp, validateLogin and validateUpdate",
            )
        return stages[request.stage]

    async def after_find(self, auth_data: JsonObject, request: ProviderRequest) -> JsonObject:
        if "afterFind" not in self._adapter:
            return auth_data
        answer = await self._adapter["afterFind"](encode_request(request), auth_data)
        return answer if isinstance(answer, dict) else auth_data

    async def challenge(
        self, challenge_data: JsonObject, auth_data: JsonObject | None, request: ProviderRequest
    ) -> Json:
        if "challenge" not in self._adapter:
            return None
        answer: Json = await self._adapter["challenge"](
            challenge_data,
            UNDEFINED if auth_data is None else auth_data,
            self._adapter,
            encode_request(request),
        )
        return answer


def encode_request(request: ProviderRequest) -> JsonObject:
    """What a provider of the test process is told about the request."""
    told: JsonObject = {
        "ip": request.ip,
        "headers": dict(request.headers),
        "master": request.is_master,
    }
    if request.is_challenge:
        told["isChallenge"] = True
    for name, user in (("user", request.user), ("original", request.original), ("object", request.object)):
        if user is not None:
            told[name] = {"__type": "Object", "className": "_User", **user}
    return told
