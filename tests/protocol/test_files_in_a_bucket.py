"""A server that leads its clients to a bucket: rights are asked here, bytes come from there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from parse_clone.cloud import Cloud, FileRequest, ParseError
from parse_clone.settings import S3Options
from tests.protocol.callers import Caller
from tests.servers import RunningServer, running_server


@pytest.fixture(scope="module")
def server(bucket: S3Options) -> Iterator[RunningServer]:
    options = replace(bucket, presigned_seconds=60)
    with running_server(
        "sqlite", register=register, files_url="s3://files/presigned/", s3=options
    ) as running:
        yield running


def register(cloud: Cloud) -> None:
    @cloud.before_delete_file()
    async def tell_url(request: FileRequest) -> None:
        raise ParseError(9001, str(request.file["url"]))


@pytest.fixture(scope="module")
def master(server: RunningServer) -> Iterator[Caller]:
    caller = Caller(server, master=True)
    caller.post("/schemas/Report", {"fields": {"scan": {"type": "File", "private": True}}}, 200)
    yield caller
    caller.close()


def upload(master: Caller, name: str) -> dict[str, Any]:
    answer = master._client.post(f"/files/{name}", content=b"content")
    assert answer.status_code == 201, answer.text
    return {"__type": "File", **answer.json()}


def test_a_private_file_is_led_to_only_for_who_may_read_it(server: RunningServer, master: Caller) -> None:
    file = upload(master, "scan.png")
    assert file["url"] == f"{server.url}/files/tests/{file['name']}"
    report = master.post("/classes/Report", {"scan": file, "ACL": {}})["objectId"]
    with httpx.Client() as browser:
        assert browser.get(file["url"]).status_code == 404
        master.put(f"/classes/Report/{report}", {"ACL": {"*": {"read": True}}})
        visitor = Caller(server)
        signed = visitor.get(f"/classes/Report/{report}")["scan"]["url"]
        visitor.close()
        answer = browser.get(signed)
        assert (answer.status_code, answer.headers["cache-control"]) == (302, "private, no-cache")
        query = parse_qs(urlsplit(answer.headers["location"]).query)
        assert query["response-cache-control"] == ["private, no-cache"]
        assert query["response-content-type"] == ["image/png"]
        assert query["Expires"]
        assert browser.get(answer.headers["location"]).content == b"content"
        master.put(f"/classes/Report/{report}", {"ACL": {}})
        assert browser.get(signed).status_code == 404


def test_a_hook_on_a_delete_is_told_where_the_file_is(master: Caller) -> None:
    name = upload(master, "page.html")["name"]
    refused = master._client.delete(f"/files/{name}").json()
    assert refused["code"] == 9001
    answer = httpx.get(refused["error"])
    assert answer.content == b"content"
    assert answer.headers["content-disposition"].startswith("attachment;filename=")


def test_the_server_decides_what_the_bucket_says_of_a_file(master: Caller) -> None:
    url = upload(master, "page.html")["url"]
    with httpx.Client() as browser:
        query = parse_qs(urlsplit(browser.get(url).headers["location"]).query)
    assert query["response-content-disposition"][0].startswith("attachment;filename=")
    assert query["response-content-type"] == ["text/html; charset=utf-8"]
