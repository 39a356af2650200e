"""The log tells what happened, not what anybody typed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from parse_clone.api.rest.middleware.request_log import log_refusal
from parse_clone.api.rest.responses import HttpError
from parse_clone.errors import Unauthorized
from parse_clone.logs import configure_logs
from parse_clone.settings import Settings


@pytest.fixture(autouse=True)
def _other_tests_keep_their_log() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers.clear()


def configure(as_json: bool) -> None:
    configure_logs(Settings(app_id="a", master_key="b", database_uri="sqlite:///x", json_logs=as_json))


@pytest.mark.parametrize("as_json", [False, True])
def test_a_crash_is_told_without_the_values_of_variables(
    as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(as_json)
    password = "correct horse"  # a value that the frame of the crash holds
    try:
        raise ValueError(len(password))
    except ValueError as error:
        structlog.get_logger().error("crashed", exc_info=error)
    written = capsys.readouterr().err
    assert "ValueError" in written
    assert "correct horse" not in written


@pytest.mark.parametrize("refusal", [HttpError(403, "Permission denied"), Unauthorized()])
def test_a_refusal_is_no_crash(refusal: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    configure(as_json=False)
    log_refusal("GET", "/schemas", refusal)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("as_json", [False, True])
def test_keys_and_session_tokens_are_hidden_wherever_they_come_from(
    as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = {"master_key": "master-secret", "webhook_key": "webhook-secret", "javascript_key": "script-secret"}
    uri = "mongodb://clinic:p4ssword-secret@db.example/clinic"
    configure_logs(Settings(app_id="a", database_uri=uri, json_logs=as_json, **keys))
    token = "r:" + "0123456789abcdef" * 2
    structlog.get_logger().error("failed", path=f"/sessions/{token}", reason=" ".join([*keys.values(), uri]))
    try:
        raise ValueError(f"master-secret {token}")
    except ValueError as error:
        structlog.get_logger().error("crashed", exc_info=error)
    logging.getLogger("asyncio").error("a library knows master-secret")
    written = capsys.readouterr().err
    assert written.count("***") >= 8
    assert "secret" not in written
    assert token not in written


def test_what_libraries_log_joins_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    configure(as_json=True)
    logging.getLogger("asyncio").warning("%s connections", 7)
    logging.getLogger("asyncio").info("unimportant")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"]) == ("7 connections", "warning")
    assert line["timestamp"].endswith("Z")
