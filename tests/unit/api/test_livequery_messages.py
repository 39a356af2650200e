"""Frames as LiveQuery clients send them: what they mean, what breaks the protocol."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parse_clone.api.livequery.messages import (
    Connect,
    InvalidFrame,
    Message,
    Subscribe,
    Unsubscribe,
    decode_message,
)
from parse_clone.api.livequery.protocol import text_frames

QUERY = {"className": "LabResult", "where": {"status": "final"}}


def decode(frame: Any) -> Message | None:
    return decode_message(orjson.dumps(frame).decode())


def test_connect_carries_keys_session_and_installation() -> None:
    frame = {
        "op": "connect",
        "applicationId": "clinic",
        "javascriptKey": "js",
        "masterKey": "m",
        "sessionToken": "r:1",
        "installationId": "phone",
    }
    keys = {"javascriptKey": "js", "masterKey": "m"}
    assert decode(frame) == Connect("clinic", keys, "r:1", "phone")


def test_an_empty_session_token_is_none() -> None:
    message = decode({"op": "connect", "applicationId": "clinic", "sessionToken": ""})
    assert isinstance(message, Connect)
    assert message.session_token is None


def test_subscribe_and_update_differ_in_one_thing() -> None:
    subscribe = {"op": "subscribe", "requestId": 1, "query": {**QUERY, "keys": ["a"], "watch": ["b"]}}
    message = Subscribe(1, "LabResult", {"status": "final"}, ("a",), ("b",), None)
    assert decode(subscribe) == message
    assert decode({**subscribe, "op": "update"}) == Subscribe(
        1, "LabResult", {"status": "final"}, ("a",), ("b",), None, is_update=True
    )


def test_older_clients_call_keys_fields() -> None:
    message = decode({"op": "subscribe", "requestId": 1, "query": {**QUERY, "fields": ["a"]}})
    assert isinstance(message, Subscribe)
    assert message.keys == ("a",)


@pytest.mark.parametrize("request_id", [0, -1, 1.5, 12345678901])
def test_any_number_is_a_request_id(request_id: float) -> None:
    assert decode({"op": "unsubscribe", "requestId": request_id}) == Unsubscribe(request_id)


@pytest.mark.parametrize("request_id", [True, "1", None, [1], {}])
def test_nothing_else_is(request_id: Any) -> None:
    with pytest.raises(InvalidFrame, match="expected number"):
        decode({"op": "unsubscribe", "requestId": request_id})


@pytest.mark.parametrize("names", [[1], [None], [["a"]], ["a", 5]])
def test_names_are_texts(names: Any) -> None:
    with pytest.raises(InvalidFrame, match="expected string"):
        decode({"op": "subscribe", "requestId": 1, "query": {**QUERY, "keys": names}})


@pytest.mark.parametrize("text", ["", "{", "nonsense", '{"op":"\\ud800"}'])
def test_what_is_no_json_is_no_message(text: str) -> None:
    assert decode_message(text) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
members = st.sampled_from(["op", "requestId", "query", "applicationId", "sessionToken", "className", "where"])
operations = st.sampled_from(["connect", "subscribe", "update", "unsubscribe"])


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(members, json_values | operations | st.just(QUERY)))
def test_a_frame_is_a_message_or_refused(frame: dict[str, Any]) -> None:
    try:
        message = decode(frame)
    except InvalidFrame:
        pass
    else:
        assert isinstance(message, Connect | Subscribe | Unsubscribe)


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_a_text_frame_tells_its_length(size: int, header: bytes) -> None:
    assert text_frames(["x" * size]) == header + b"x" * size


def test_the_length_counts_bytes_and_frames_follow_each_other() -> None:
    assert text_frames(["ü", "a"]) == b"\x81\x02" + "ü".encode() + b"\x81\x01a"
