"""Paths, methods, bodies, keys and headers: what a request may look like, and what the answer does."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import httpx
import pytest

from tests.servers import APP_ID, JAVASCRIPT_KEY, MASTER_KEY, REST_KEY, RunningServer

KEYS = {"X-Parse-Application-Id": APP_ID, "X-Parse-REST-API-Key": REST_KEY}
MASTER = {"X-Parse-Application-Id": APP_ID, "X-Parse-Master-Key": MASTER_KEY}
BODY_KEYS = {"_ApplicationId": APP_ID, "_JavaScriptKey": JAVASCRIPT_KEY, "_ClientVersion": "js8.6.0"}


@pytest.fixture(scope="module")
def http(server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def note(http: httpx.Client) -> dict[str, Any]:
    """An object to read."""
    answer = http.post("/classes/Note", headers=KEYS, json={"text": "hello", "rank": 1})
    assert answer.status_code == 201
    created: dict[str, Any] = answer.json()
    return created


# --- Paths and methods -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/classes/Note", 200),
        ("GET", "/CLASSES/Note", 200),
        ("GET", "/classes/Note/", 200),
        ("GET", "//classes/Note", 200),
        ("HEAD", "/classes/Note", 200),
        ("GET", "/%63lasses/Note", 200),
        ("GET", "/classes/", 404),
        ("GET", "/classes//Note", 404),
        ("GET", "///classes/Note", 404),
        ("PATCH", "/classes/Note", 404),
        ("GET", "/nowhere", 404),
        ("GET", "/", 404),
        ("GET", "/functions/hello", 404),
    ],
)
def test_paths_are_found_as_clients_write_them(
    http: httpx.Client, server: RunningServer, note: dict[str, Any], method: str, path: str, status: int
) -> None:
    assert http.request(method, f"{server.url}{path}", headers=KEYS).status_code == status


def test_unknown_routes_answer_a_page_once_the_keys_are_right(http: httpx.Client) -> None:
    page = http.get("/<b>nowhere", headers=KEYS)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "Cannot GET /parse/&lt;b&gt;nowhere" in page.text
    assert http.get("/nowhere").status_code == 403


def test_paths_outside_of_the_mount_are_unknown(server: RunningServer) -> None:
    root = server.url.removesuffix("/parse")
    assert httpx.get(f"{root}/").status_code == 404
    assert httpx.get(f"{root}/parsed/classes/Note", headers=KEYS).status_code == 404


def test_path_parameters_are_decoded_after_the_path_is_cut(http: httpx.Client) -> None:
    answer = http.get("/classes/Note/a%2Fb%20c", headers=KEYS)
    assert (answer.status_code, answer.json()) == (404, {"code": 101, "error": "Object not found."})


def test_head_answers_headers_only(http: httpx.Client, note: dict[str, Any]) -> None:
    path = f"/classes/Note/{note['objectId']}"
    head, get = http.head(path, headers=KEYS), http.get(path, headers=KEYS)
    assert head.content == b""
    assert head.headers["content-length"] == str(len(get.content))


def test_health_needs_no_keys(http: httpx.Client) -> None:
    for method in ("GET", "POST"):
        answer = http.request(method, "/health")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


# --- Bodies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/xml", ""])
def test_bodies_are_json_whatever_their_content_type_says(http: httpx.Client, content_type: str) -> None:
    headers = {**KEYS, "Content-Type": content_type} if content_type else KEYS
    assert http.post("/classes/Note", headers=headers, content=b'{"text":"x"}').status_code == 201


def test_forms_are_texts(http: httpx.Client) -> None:
    created = http.post("/classes/Form", headers=KEYS, data={"size": "5"}).json()
    assert http.get(f"/classes/Form/{created['objectId']}", headers=KEYS).json()["size"] == "5"


def test_names_in_forms_do_not_nest(http: httpx.Client) -> None:
    refused = http.post("/classes/Form", headers=KEYS, data={"a[b]": "1"})
    assert refused.json() == {"code": 105, "error": "Invalid field name: a[b]."}


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xef\xbb\xbf{}"])
def test_an_empty_body_is_an_empty_object(http: httpx.Client, body: bytes) -> None:
    assert http.post("/classes/Note", headers=KEYS, content=body).status_code == 201


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_bodies_may_come_compressed(
    http: httpx.Client, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    headers = {**KEYS, "Content-Encoding": encoding}
    content = json.dumps({"text": encoding * 20}).encode()
    created = http.post("/classes/Note", headers=headers, content=compress(content)).json()
    assert http.get(f"/classes/Note/{created['objectId']}", headers=KEYS).json()["text"] == encoding * 20
    for broken in (content, compress(content)[:-9], compress(content) * 2):
        assert http.post("/classes/Note", headers=headers, content=broken).status_code == 400


def test_what_cannot_be_inflated_is_refused(http: httpx.Client, server: RunningServer) -> None:
    refused = http.post("/classes/Note", headers={**KEYS, "Content-Encoding": "br"}, content=b"x")
    assert (refused.status_code, refused.json()) == (415, {"error": 'unsupported content encoding "br"'})
    bomb = gzip.compress(b" " * (server.settings.max_upload_size + 1))
    refused = http.post("/classes/Note", headers={**KEYS, "Content-Encoding": "gzip"}, content=bomb)
    assert (refused.status_code, refused.json()) == (413, {"error": "request entity too large"})


@pytest.mark.parametrize(
    "body", [b"{", b"5", b'"x"', b"null", b"[1]", b'{"a":NaN}', b'{"a":1e999}', b"{\xff}"]
)
def test_bodies_that_are_no_json_object_are_refused_before_the_keys(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/classes/Note", content=body)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}


def test_a_body_over_the_limit_is_refused(start_server: Callable[..., RunningServer]) -> None:
    small = start_server(max_upload_size=1000)
    answer = httpx.post(f"{small.url}/classes/Note", headers=KEYS, content=b" " * 1001)
    assert (answer.status_code, answer.json()) == (413, {"error": "request entity too large"})
    chunks = (b" " * 600 for _ in range(2))  # chunked: no Content-Length to look at
    assert httpx.post(f"{small.url}/classes/Note", headers=KEYS, content=chunks).status_code == 413
    assert httpx.post(f"{small.url}/classes/Note", headers=KEYS, content=b"{}".rjust(1000)).status_code == 201


def test_query_parameters_are_json_or_text(
    http: httpx.Client, server: RunningServer, note: dict[str, Any]
) -> None:
    found = http.get(
        "/classes/Note", headers=KEYS, params={"where": '{"rank":1}', "limit": "1", "keys": "rank"}
    )
    assert found.json()["results"][0]["rank"] == 1
    nested = http.get(f"{server.url}/classes/Note?where[text]=hello&where[rank]=1", headers=KEYS)
    assert nested.json() == {"results": []}  # texts only: "1" is not 1
    assert http.get(f"{server.url}/classes/Note?where[text]=hello", headers=KEYS).json()["results"]


def test_the_body_of_a_get_is_merged_and_the_url_wins(http: httpx.Client, note: dict[str, Any]) -> None:
    answer = http.request("GET", "/classes/Note?limit=0", headers=KEYS, json={"limit": 5, "count": 1})
    assert answer.json()["results"] == []
    assert answer.json()["count"] >= 1


def test_post_means_the_method_that_its_body_names(http: httpx.Client, note: dict[str, Any]) -> None:
    body = {"_method": "get", "where": {"objectId": note["objectId"]}}
    assert len(http.post("/classes/Note", headers=KEYS, json=body).json()["results"]) == 1
    for method in ({"$ne": "GET"}, ""):
        assert http.post("/classes/Note", headers=KEYS, json={"_method": method}).status_code == 201
    update = http.put(f"/classes/Note/{note['objectId']}", headers=KEYS, json={"_method": "DELETE"})
    assert update.json()["code"] == 105


# --- Keys --------------------------------------------------------------------------------------------------


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    ("headers", "body", "allowed"),
    [
        (KEYS, {}, True),
        (MASTER, {}, True),
        (basic(f"{APP_ID}:{MASTER_KEY}"), {}, True),
        (basic(f"{APP_ID}:javascript-key={JAVASCRIPT_KEY}"), {}, True),
        ({**KEYS, **basic(f"{APP_ID}:{MASTER_KEY}")}, {}, True),
        (basic(f"{APP_ID}:{MASTER_KEY}:more"), {}, False),
        (basic(f"other:{MASTER_KEY}"), {}, False),
        ({"Authorization": "Basic !"}, {}, False),
        ({}, BODY_KEYS, True),
        ({"X-Parse-Application-Id": "other"}, BODY_KEYS, True),
        ({}, {"_ApplicationId": APP_ID, "_MasterKey": MASTER_KEY}, True),
        ({"X-Parse-Master-Key": MASTER_KEY}, BODY_KEYS, True),
        ({"X-Parse-Master-Key": "wrong"}, BODY_KEYS, False),
        ({}, {}, False),
        ({"X-Parse-Application-Id": "other", "X-Parse-REST-API-Key": REST_KEY}, {}, False),
        ({"X-Parse-Application-Id": APP_ID}, {}, False),
        ({"X-Parse-Application-Id": APP_ID, "X-Parse-REST-API-Key": "wrong"}, {}, False),
        ({"X-Parse-Application-Id": APP_ID, "X-Parse-Javascript-Key": REST_KEY}, {}, False),
        ({}, {**BODY_KEYS, "_ApplicationId": {"$ne": ""}}, False),
        ({}, {**BODY_KEYS, "_SessionToken": {"$regex": "^r"}}, False),
        ({}, {**BODY_KEYS, "_InstallationId": ["x"]}, False),
        ({}, {**BODY_KEYS, "_MasterKey": {"$ne": ""}}, False),
        ({}, {**BODY_KEYS, "_ContentType": 5}, False),
    ],
)
def test_keys_stand_in_headers_or_in_the_body(
    http: httpx.Client, headers: dict[str, str], body: dict[str, Any], allowed: bool
) -> None:
    answer = http.post("/classes/Note", headers=headers, json=body)
    if allowed:
        assert answer.status_code == 201
    else:
        assert (answer.status_code, answer.json()) == (403, {"error": "unauthorized"})


def test_keys_in_the_body_are_fields_where_headers_name_the_application(http: httpx.Client) -> None:
    answer = http.post("/classes/Note", headers=KEYS, json=BODY_KEYS)
    assert answer.status_code == 400
    assert answer.json()["code"] == 105
    assert http.post("/classes/Note", headers=KEYS, json={"_noBody": True}).status_code == 201


def test_a_wrong_master_key_is_no_error_but_opens_nothing(http: httpx.Client) -> None:
    headers = {**KEYS, "X-Parse-Master-Key": "wrong"}
    assert http.get("/classes/Note", headers=headers).status_code == 200
    answer = http.get("/schemas", headers=headers)
    assert (answer.status_code, answer.json()) == (403, {"error": "Permission denied"})


def test_the_master_key_works_from_its_addresses_only(start_server: Callable[..., RunningServer]) -> None:
    remote = start_server(master_key_ips=("10.0.0.1",), trust_proxy=("127.0.0.1",))
    url = f"{remote.url}/classes/Note"
    assert httpx.get(url, headers=MASTER).status_code == 403
    forwarded = {**MASTER, "X-Forwarded-For": "10.0.0.1"}
    assert httpx.get(url, headers=forwarded).status_code == 200
    assert httpx.get(url, headers={**MASTER, "X-Forwarded-For": "10.0.0.1, 6.6.6.6"}).status_code == 403


def test_forwarded_addresses_are_not_believed_by_default(server: RunningServer) -> None:
    answer = httpx.get(f"{server.url}/schemas", headers={**MASTER, "X-Forwarded-For": "6.6.6.6"})
    assert answer.status_code == 200


@pytest.mark.parametrize("context", ["5", "[]", '"x"', "{", "null"])
def test_the_cloud_context_is_an_object(http: httpx.Client, context: str) -> None:
    answer = http.post("/classes/Note", headers={**KEYS, "X-Parse-Cloud-Context": context})
    assert (answer.status_code, answer.json()) == (400, {"code": 107, "error": "Invalid object for context."})


@pytest.mark.parametrize("context", [{"a": 1}, '{"a": 1}', ""])
def test_the_cloud_context_may_stand_in_the_body(http: httpx.Client, context: Any) -> None:
    assert http.post("/classes/Note", json={**BODY_KEYS, "_context": context}).status_code == 201


# --- Sessions ----------------------------------------------------------------------------------------------


def test_an_unknown_session_token_fails_every_request_but_a_login(http: httpx.Client) -> None:
    headers = {**KEYS, "X-Parse-Session-Token": "r:" + "0" * 32}
    invalid = (400, {"code": 209, "error": "Invalid session token"})
    for method, path in (("GET", "/classes/Note"), ("POST", "/classes/Note"), ("POST", "/logout")):
        answer = http.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()) == invalid
    login = http.post("/login", headers=headers, json={"username": "nobody", "password": "x"})
    assert (login.status_code, login.json()) == (404, {"code": 101, "error": "Invalid username/password."})


def test_what_providers_want_to_see_is_not_taken_from_urls(http: httpx.Client) -> None:
    user = {"username": "from-the-url", "password": "s3cret"}
    http.post("/users", headers=KEYS, json=user)
    answer = http.get("/login", headers=KEYS, params={**user, "authData": '{"anonymous": {"id": "1"}}'})
    assert (answer.status_code, answer.json()["username"]) == (200, "from-the-url")
    assert "authDataResponse" not in answer.json()


# --- CORS and caching --------------------------------------------------------------------------------------


def test_options_answer_the_cors_headers_on_any_path(http: httpx.Client) -> None:
    answer = http.options("/anything")
    assert (answer.status_code, answer.text) == (200, "OK")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-methods"] == "GET,PUT,POST,DELETE,OPTIONS"
    assert answer.headers["access-control-expose-headers"] == "X-Parse-Job-Status-Id, X-Parse-Push-Status-Id"
    assert "X-Parse-Session-Token, X-Requested-With" in answer.headers["access-control-allow-headers"]


def test_refusals_carry_the_cors_headers(http: httpx.Client) -> None:
    assert http.get("/classes/Note").headers["access-control-allow-origin"] == "*"


def test_a_listed_origin_is_answered_and_any_other_gets_the_first(
    start_server: Callable[..., RunningServer],
) -> None:
    listed = start_server(
        allow_origin=("https://one.example", "https://two.example"), allow_headers=("X-One",)
    )
    for origin, answered in (
        ("https://two.example", "https://two.example"),
        ("https://evil.example", "https://one.example"),
    ):
        answer = httpx.get(f"{listed.url}/health", headers={"Origin": origin})
        assert answer.headers["access-control-allow-origin"] == answered
        assert answer.headers["access-control-allow-headers"].endswith("Cache-Control, X-One")


def test_what_the_client_has_already_is_not_sent_again(http: httpx.Client, note: dict[str, Any]) -> None:
    path = f"/classes/Note/{note['objectId']}"
    first = http.get(path, headers=KEYS)
    assert first.headers["etag"].startswith('W/"')
    again = http.get(path, headers={**KEYS, "If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = http.get(path, headers={**KEYS, "If-None-Match": 'W/"other"'})
    assert other.json() == first.json()


def test_answers_are_json_in_utf_8(http: httpx.Client) -> None:
    created = http.post("/classes/Note", headers=KEYS, json={"text": "Käthe 🩺"})
    assert created.headers["content-type"] == "application/json; charset=utf-8"
    read = http.get(f"/classes/Note/{created.json()['objectId']}", headers=KEYS)
    assert json.loads(read.content)["text"] == "Käthe 🩺"


def test_what_a_client_may_not_know_yet_has_a_location(http: httpx.Client, server: RunningServer) -> None:
    created = http.post("/classes/Note", headers=KEYS, json={})
    assert created.headers["location"] == f"{server.url}/classes/Note/{created.json()['objectId']}"
    update = http.put(f"/classes/Note/{created.json()['objectId']}", headers=KEYS, json={"rank": 2})
    assert update.status_code == 200
    assert "location" not in update.headers
    identity = {"authData": {"anonymous": {"id": "a-device"}}}
    signup, login = (http.post("/users", headers=KEYS, json=identity) for _ in range(2))
    assert (signup.status_code, login.status_code) == (201, 200)
    assert login.headers["location"] == f"{server.url}/users/{signup.json()['objectId']}"


def test_locations_follow_the_request_where_no_public_url_is_set(
    start_server: Callable[..., RunningServer],
) -> None:
    plain = start_server(public_server_url=None, trust_proxy=("127.0.0.1",))
    headers = {**KEYS, "Host": "clinic.example", "X-Forwarded-Proto": "https"}
    location = httpx.post(f"{plain.url}/classes/Note", headers=headers).headers["location"]
    assert location.startswith("https://clinic.example/parse/classes/Note/")


# --- Connections -------------------------------------------------------------------------------------------

HEALTH = b"%s /parse/health HTTP/1.1\r\nHost: localhost\r\n%s\r\n"


@pytest.fixture
def raw(server: RunningServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.settings.port), 30) as connected:
        yield connected


def received(raw: socket.socket, end: bytes) -> bytes:
    """All that comes until the end."""
    found = b""
    while not found.endswith(end):
        piece = raw.recv(100_000)
        assert piece, found
        found += piece
    return found


def test_answers_on_a_connection_come_whole_and_in_order(raw: socket.socket) -> None:
    raw.sendall(HEALTH % (b"HEAD", b"") + HEALTH % (b"GET", b"") + HEALTH % (b"OPTIONS", b""))
    raw.sendall(HEALTH % (b"HEAD", b"Connection: close\r\n"))
    answers = received(raw, b"connection: close\r\n\r\n").split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert [answer.partition(b"\r\n\r\n")[2] for answer in answers] == [b"", b'{"status":"ok"}', b"OK", b""]
    assert raw.recv(100) == b""


def test_a_client_may_ask_whether_to_send_a_body(raw: socket.socket) -> None:
    keys = "".join(f"{name}: {value}\r\n" for name, value in KEYS.items())
    raw.sendall(b"POST /parse/classes/Note HTTP/1.1\r\nHost: localhost\r\n" + keys.encode())
    raw.sendall(b"Expect: 100-continue\r\nContent-Length: 13\r\n\r\n")
    assert received(raw, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    raw.sendall(b'{"rank":  10}')
    assert received(raw, b"}").startswith(b"HTTP/1.1 201 Created\r\n")


def test_a_connection_goes_on_after_an_answer_without_a_body(
    server: RunningServer, note: dict[str, Any]
) -> None:
    path = f"/parse/classes/Note/{note['objectId']}"
    with closing(HTTPConnection("127.0.0.1", server.settings.port, timeout=30)) as connection:
        connection.request("GET", path, headers=KEYS)
        first = connection.getresponse()
        content = first.read()
        for _ in range(2):
            connection.request("GET", path, headers={**KEYS, "If-None-Match": first.headers["ETag"]})
            again = connection.getresponse()
            assert (again.status, again.read()) == (304, b"")
        connection.request("GET", path, headers=KEYS)
        assert connection.getresponse().read() == content
