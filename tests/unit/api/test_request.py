"""Paths, bodies, keys and addresses, before anything is decided."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parse_clone.api.rest.request import (
    BodyTooLarge,
    ClientGone,
    client_address,
    decode_body,
    read_body,
    read_caller,
    split_path,
)
from parse_clone.api.rest.responses import HttpError
from parse_clone.core.networks import Networks
from parse_clone.errors import ParseError, Unauthorized
from parse_clone.settings import Settings

SETTINGS = Settings(app_id="clinic", master_key="master")


# --- Paths -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "segments"),
    [
        (b"/parse/classes/Note", ["classes", "Note"]),
        (b"/PARSE/classes/Note/", ["classes", "Note"]),
        (b"/parse//classes/Note", ["classes", "Note"]),
        (b"/parse/classes/a%2Fb%20c", ["classes", "a/b c"]),
        (b"/parse/classes//x", ["classes", "", "x"]),
        (b"/parse", []),
        (b"/parse/", []),
        (b"/parsed", None),
        (b"/", None),
    ],
)
def test_paths_are_cut_below_the_mount(path: bytes, segments: list[str] | None) -> None:
    assert split_path(path, b"/parse") == segments


def test_the_mount_may_be_the_root() -> None:
    assert split_path(b"/classes/Note", b"") == ["classes", "Note"]


@settings(max_examples=50)
@given(st.binary())
def test_any_path_is_cut(path: bytes) -> None:
    split_path(path, b"")


# --- Bodies ------------------------------------------------------------------------------------------------


def receiving(*chunks: bytes, gone: bool = False) -> Any:
    messages: list[Mapping[str, Any]] = [
        {"type": "http.request", "body": chunk, "more_body": gone or chunk is not chunks[-1]}
        for chunk in chunks
    ]
    rest = iter([*messages, {"type": "http.disconnect"}])

    async def receive() -> Mapping[str, Any]:
        return next(rest)

    return receive


async def test_bodies_are_read_whole() -> None:
    assert await read_body(receiving(b"ab"), {}, 2) == b"ab"
    assert await read_body(receiving(b"a", b"b"), {}, 2) == b"ab"


async def test_the_byte_counter_ends_a_body_whatever_its_headers_say() -> None:
    for chunks in ((b"abc",), (b"ab", b"c"), (b"abc", b"d")):
        with pytest.raises(BodyTooLarge):
            await read_body(receiving(*chunks), {"content-length": "1"}, 2)
    with pytest.raises(BodyTooLarge):
        await read_body(receiving(b"a"), {"content-length": "3"}, 2)


async def test_nobody_waits_for_a_client_that_is_gone() -> None:
    with pytest.raises(ClientGone):
        await read_body(receiving(b"a", gone=True), {}, 2)


@settings(max_examples=50)
@given(st.binary(), st.sampled_from(["", "text/plain", "application/x-www-form-urlencoded", "multipart/x"]))
def test_any_body_is_read_or_refused(body: bytes, content_type: str) -> None:
    with suppress(HttpError):
        assert isinstance(decode_body(body, content_type), dict)


# --- Callers -----------------------------------------------------------------------------------------------


def basic(text: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def test_headers_win_over_the_body_where_they_name_the_application() -> None:
    body: dict[str, Any] = {"_ApplicationId": "clinic", "_SessionToken": "r:1"}
    caller = read_caller({"x-parse-application-id": "clinic"}, body, "", SETTINGS)
    assert caller.credentials.session_token is None
    assert "_SessionToken" in body


def test_keys_are_taken_out_of_the_body() -> None:
    body: dict[str, Any] = {
        "_ApplicationId": "clinic",
        "_JavaScriptKey": "js",
        "_ClientVersion": "js8",
        "_InstallationId": "i",
        "_SessionToken": "r:1",
        "_context": {"a": 1},
        "_noBody": True,
        "name": "Ada",
    }
    caller = read_caller({}, body, "1.2.3.4", SETTINGS)
    assert body == {"name": "Ada"}
    assert caller.credentials.client_keys == {"javascriptKey": "js"}
    assert (caller.credentials.session_token, caller.installation_id) == ("r:1", "i")
    assert (caller.cloud_context, caller.credentials.ip) == ({"a": 1}, "1.2.3.4")


def test_only_a_key_in_a_header_makes_a_call_an_internal_one() -> None:
    in_header = {"x-parse-application-id": "clinic", "x-parse-master-key": "master"}
    assert read_caller(in_header, {}, "", SETTINGS).is_key_in_header
    assert not read_caller(basic("clinic:master"), {}, "", SETTINGS).is_key_in_header
    in_body: dict[str, Any] = {"_ApplicationId": "clinic", "_MasterKey": "master"}
    assert not read_caller({}, in_body, "", SETTINGS).is_key_in_header


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"_ApplicationId": "other"},
        {"_ApplicationId": ["clinic"]},
        *(
            {"_ApplicationId": "clinic", key: {"$ne": ""}}
            for key in ("_MasterKey", "_SessionToken", "_InstallationId")
        ),
        {"_ApplicationId": "clinic", "_ContentType": 1},
    ],
)
def test_keys_that_are_no_texts_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(Unauthorized):
        read_caller({}, body, "", SETTINGS)


def test_a_context_that_is_no_object_is_refused() -> None:
    with pytest.raises(ParseError, match="Invalid object for context"):
        read_caller({"x-parse-cloud-context": "[]"}, {}, "", SETTINGS)


# --- Addresses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("6.6.6.6", "1.1.1.1", "6.6.6.6"),
        ("10.0.0.1", "1.1.1.1", "1.1.1.1"),
        ("10.0.0.1", "9.9.9.9, 1.1.1.1", "1.1.1.1"),
        ("10.0.0.1", "1.1.1.1, 10.0.0.2", "1.1.1.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1, unknown", "10.0.0.1"),
    ],
)
def test_only_trusted_proxies_say_who_the_client_is(peer: str, forwarded: str, address: str) -> None:
    assert client_address(peer, {"x-forwarded-for": forwarded}, Networks(["10.0.0.0/8"])) == address
