"""Files over HTTP: every form of upload, what may be uploaded, ranges, headers, hooks, refusals."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from parse_clone.cloud import Cloud, FileRequest, ParseError
from parse_clone.settings import FileDownload, FileUpload
from tests.servers import APP_ID, JAVASCRIPT_KEY, MASTER_KEY, REST_KEY, RunningServer

EVERYBODY = FileUpload(enable_for_public=True, enable_for_anonymous_user=True)
KEYS = {"X-Parse-Application-Id": APP_ID, "X-Parse-REST-API-Key": REST_KEY}
MASTER = {**KEYS, "X-Parse-Master-Key": MASTER_KEY}
STREAM = {"X-Parse-Upload-Mode": "stream"}


class Files:
    """Speaks to the file routes of a server."""

    def __init__(self, server: RunningServer) -> None:
        self.url = f"{server.url}/files"
        self.client = httpx.Client(timeout=30)

    def upload(self, name: str, content: Any = b"content", **headers: str) -> httpx.Response:
        given = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.client.post(f"{self.url}/{name}", content=content, headers={**KEYS, **given})

    def stored(self, name: str = "a.txt", content: Any = b"content", **headers: str) -> dict[str, str]:
        answer = self.upload(name, content, **headers)
        assert answer.status_code == 201, answer.text
        assert answer.headers["location"] == answer.json()["url"]
        return answer.json()  # type: ignore[no-any-return]

    def refusal(self, answer: httpx.Response) -> tuple[int, Any, str]:
        body = answer.json()
        return answer.status_code, body.get("code"), body["error"]

    def get(self, url: str, **headers: str) -> httpx.Response:
        return self.client.get(url, headers=headers)


@pytest.fixture(scope="module")
def start_files(start_server: Callable[..., RunningServer]) -> Iterator[Callable[..., Files]]:
    """Start a server and speak to its files."""
    with ExitStack() as stack:

        def start(**options: Any) -> Files:
            files = Files(start_server(**{"file_upload": EVERYBODY, **options}))
            stack.enter_context(files.client)
            return files

        yield start


@pytest.fixture(scope="module")
def files(start_files: Callable[..., Files], engine: str) -> Files:
    """A server where everybody may upload; with MongoDB the files lie there, too."""
    return start_files(**({"files_url": None} if engine == "mongo" else {}))


# --- Upload ----------------------------------------------------------------------------------------------


def test_a_raw_body_is_stored_as_it_is(files: Files) -> None:
    content = bytes(range(256)) * 5000
    stored = files.stored("scan.bin", content)
    assert re.fullmatch(r"[0-9a-f]{32}_scan\.bin", stored["name"])
    assert stored["url"] == f"{files.url}/{APP_ID}/{stored['name']}"
    assert files.get(stored["url"]).content == content


def test_json_of_a_kit_is_decoded(files: Files) -> None:
    body = {
        "_ApplicationId": APP_ID,
        "_JavaScriptKey": JAVASCRIPT_KEY,
        "_ContentType": "text/plain",
        "base64": base64.b64encode(b"hello").decode().rstrip("="),
        "fileData": {"metadata": {"ward": "7"}, "tags": {"kind": "lab"}},
    }
    answer = files.client.post(f"{files.url}/noext", content=json.dumps(body))
    assert answer.status_code == 201
    stored = answer.json()
    assert stored["name"].endswith("_noext.txt")
    assert files.get(stored["url"]).content == b"hello"
    metadata = files.get(f"{files.url}/{APP_ID}/metadata/{stored['name']}").json()
    assert metadata == {"metadata": {"ward": "7"}}


def test_json_with_keys_in_headers_is_the_file(files: Files) -> None:
    stored = files.stored("a.json", b'{"base64":"aGVsbG8="}')
    assert files.get(stored["url"]).json() == {"base64": "aGVsbG8="}


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"base64": {"$regex": "a"}}, (403, None, "unauthorized")),
        ({"base64": 5}, (403, None, "unauthorized")),
        ({}, (400, 130, "Invalid file upload.")),
        ({"base64": ""}, (400, 130, "Invalid file upload.")),
        ({"base64": "x"}, (400, 130, "Invalid file upload.")),
        ({"base64": "YQ==", "_SessionToken": {"$ne": ""}}, (403, None, "unauthorized")),
        ({"base64": "YQ==", "_ApplicationId": "another"}, (403, None, "unauthorized")),
    ],
)
def test_a_body_of_a_kit_that_makes_no_sense(files: Files, body: Any, answer: Any) -> None:
    given = {"_ApplicationId": APP_ID, "_JavaScriptKey": JAVASCRIPT_KEY, **body}
    assert files.refusal(files.client.post(f"{files.url}/a.txt", content=json.dumps(given))) == answer


def test_a_body_without_keys_that_is_no_json(files: Files) -> None:
    assert files.client.post(f"{files.url}/a.txt", content=b"\xff\x00").status_code == 403


def test_a_stream_brings_its_notes_in_headers(files: Files) -> None:
    notes = {
        "X-Parse-File-Metadata": '{"n": 1}',
        "X-Parse-File-Tags": '{"t": "x"}',
        "X-Parse-File-Directory": "labs/2026",
    }
    answer = files.upload("a.txt", iter([b"one ", b"two"]), **STREAM, **notes, **MASTER)
    stored = answer.json()
    assert re.fullmatch(r"labs/2026/[0-9a-f]{32}_a\.txt", stored["name"])
    assert files.get(stored["url"]).content == b"one two"
    assert files.get(f"{files.url}/{APP_ID}/metadata/{stored['name']}").json() == {"metadata": {"n": 1}}
    for header in ("Metadata", "Tags"):
        wrong = files.upload("a.txt", b"x", **STREAM, **{f"X-Parse-File-{header}": "[1]"})
        assert files.refusal(wrong) == (400, 107, f"Invalid JSON in X-Parse-File-{header} header.")


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("", (400, 122, "Filename not provided.")),
        ("n" * 125 + ".txt", (400, 122, "Filename too long.")),
        *(
            (name, (400, 122, "Filename contains invalid characters."))
            for name in (
                "di$a.txt",
                ".htaccess",
                "..%2Fa.txt",
                "a%00.txt",
                "a%0d%0ab.txt",
                "-a.txt",
            )
        ),
        *(
            (f"a.{ext}", (400, 130, f"File upload of extension {ext} is disabled."))
            for ext in ("html", "HTML", "svg", "xhtml", "xml", "shtml", "svgz", "rdf")
        ),
    ],
)
def test_names_that_are_refused(files: Files, name: str, answer: Any) -> None:
    assert files.refusal(files.upload(name)) == answer


@pytest.mark.parametrize(
    ("content_type", "answer"),
    [
        ("text/html", (400, 130, "File upload of extension html is disabled.")),
        ("image/svg+xml; charset=utf-8", (400, 130, "File upload of extension svg+xml is disabled.")),
        ("nonsense", (400, 130, "Invalid Content-Type.")),
        ("text/html/plain", (400, 130, "Invalid Content-Type.")),
        ("text/plain, text/html", (400, 130, "Invalid Content-Type.")),
    ],
)
def test_types_of_nameless_kinds_are_refused(files: Files, content_type: str, answer: Any) -> None:
    assert files.refusal(files.upload("a", Content_Type=content_type)) == answer
    assert files.refusal(files.upload("a.unknown", Content_Type=content_type)) == answer


def test_a_name_in_two_segments_is_no_route(files: Files) -> None:
    assert files.upload("labs/a.txt").status_code == 404


def test_only_the_master_key_names_directories(files: Files) -> None:
    answer = files.upload("a.txt", **STREAM, X_Parse_File_Directory="labs")
    assert files.refusal(answer) == (400, 119, "Directory can only be set using the Master Key.")
    for directory, reason in (
        ("a/../b", 'must not contain "..".'),
        ("/a", 'must not start or end with "/".'),
        ("a//b", "must not contain consecutive slashes."),
        ("metadata/a", 'must not start with reserved segment "metadata".'),
        (".git", "contains invalid characters."),
        ("a/.git", "contains invalid characters."),
        ("a" * 257, "path is too long."),
    ):
        answer = files.upload("a.txt", **STREAM, **MASTER, X_Parse_File_Directory=directory)
        assert files.refusal(answer) == (400, 122, f"Directory {reason}")


def test_denied_keywords_in_notes(files: Files) -> None:
    answer = files.upload("a.txt", **STREAM, X_Parse_File_Metadata='{"constructor": 1}')
    assert files.refusal(answer) == (
        400,
        105,
        'Prohibited keyword in request data: {"key":"constructor"}.',
    )


@pytest.mark.parametrize(
    "metadata",
    [
        '{"a": 18446744073709551615}',
        '{"a": 1e400}',
        '{"a": "\\u0000"}',
        '{"a\\u0000b": 1}',
        '{"": 1}',
        '{"$set": {"a": 1}}',
        '{"a.b": 1}',
        '{"a": ' + "[" * 300 + "]" * 300 + "}",
        '{"a": ' + '{"a":' * 90 + "1" + "}" * 90 + "}",
        '{"__type": "Date", "iso": "no date"}',
        '{"ward": "Z\\u00fcrich \\ud83d\\ude00"}',
    ],
)
def test_odd_notes_are_kept_or_refused(files: Files, metadata: str) -> None:
    answer = files.upload("a.txt", b"x", **STREAM, X_Parse_File_Metadata=metadata, X_Parse_File_Tags=metadata)
    assert answer.status_code in (201, 400), answer.text
    if answer.status_code == 201:
        kept = files.get(f"{files.url}/{APP_ID}/metadata/{answer.json()['name']}").json()
        assert kept == {"metadata": json.loads(metadata)}
        assert files.get(answer.json()["url"]).content == b"x"


# --- Size ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(start_files: Callable[..., Files]) -> Files:
    return start_files(max_upload_size=1000)


def chunks(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"x" * 100


def test_bytes_are_counted_whatever_the_length_says(small: Files) -> None:
    assert small.refusal(small.upload("a.txt", b"x" * 1001)) == (413, None, "request entity too large")
    assert small.refusal(small.upload("a.txt", chunks(11))) == (413, None, "request entity too large")
    text = "File size exceeds maximum allowed: 1000 bytes."
    assert small.refusal(small.upload("a.txt", b"x" * 1001, **STREAM)) == (400, 130, text)
    assert small.refusal(small.upload("a.txt", chunks(11), **STREAM)) == (400, 130, text)
    assert small.get(small.stored("a.txt", chunks(10))["url"]).content == b"x" * 1000


def test_a_body_of_a_kit_is_counted_too(small: Files) -> None:
    keys = {"_ApplicationId": APP_ID, "_JavaScriptKey": JAVASCRIPT_KEY, "_ContentType": "text/plain"}

    def send(count: int) -> httpx.Response:
        body = {**keys, "base64": base64.b64encode(b"x" * count).decode()}
        return small.client.post(f"{small.url}/a.txt", content=json.dumps(body))

    assert send(600).status_code == 201
    assert small.refusal(send(1200)) == (413, None, "request entity too large")


def test_the_master_key_may_send_more(small: Files) -> None:
    more = {"X-Parse-File-Max-Upload-Size": "2kb"}
    assert small.upload("a.txt", b"x" * 2000, **more, **MASTER).status_code == 201
    assert small.upload("a.txt", b"x" * 2049, **more, **MASTER).status_code == 413
    assert small.upload("a.txt", b"x", **more).status_code == 403
    answer = small.upload("a.txt", b"x", **MASTER, X_Parse_File_Max_Upload_Size="zz")
    assert small.refusal(answer) == (400, 130, "Invalid maxUploadSize override value: zz")


# --- Download --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "status", "content", "content_range"),
    [
        ("bytes=0-2", 206, b"012", "bytes 0-2/10"),
        ("bytes=5-", 206, b"56789", "bytes 5-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-100", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=8-100", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=-0", 416, b"", "bytes */10"),
        ("bytes=5-2", 200, b"0123456789", None),
        ("bytes=-", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("lines=0-2", 200, b"0123456789", None),
        ("bytes=99999999999999999999-", 200, b"0123456789", None),
        ("bytes=0x1-0x2", 200, b"0123456789", None),
    ],
)
def test_ranges(files: Files, header: str, status: int, content: bytes, content_range: str | None) -> None:
    url = files.stored("digits.txt", b"0123456789")["url"]
    answer = files.get(url, Range=header)
    assert (answer.status_code, answer.content) == (status, content)
    assert answer.headers.get("content-range") == content_range


def test_a_part_is_sent_only_of_the_state_that_a_client_has(files: Files) -> None:
    url = files.stored("digits.txt", b"0123456789")["url"]
    tag = files.get(url).headers["etag"]
    for if_range, status in ((tag, 206), ('"another"', 200), ("Wed, 01 Jul 2026 00:00:00 GMT", 200)):
        answer = files.get(url, Range="bytes=0-2", **{"If-Range": if_range})
        assert (answer.status_code, len(answer.content)) == (status, 3 if status == 206 else 10)


def test_headers_of_a_download(files: Files) -> None:
    url = files.stored("a.txt", b"0123456789", Content_Type="text/html")["url"]
    answer = files.get(url)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-length"] == "10"
    assert answer.headers["accept-ranges"] == "bytes"
    assert "content-disposition" not in answer.headers
    head = files.client.head(url)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "10")
    assert head.headers["etag"] == answer.headers["etag"]
    again = files.get(url, **{"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("name", "claimed", "served"),
    [
        ("a.pdf", "text/html", "application/pdf"),
        ("a.html.txt", "text/html", "text/plain; charset=utf-8"),
        ("a.html.", "text/plain", "text/plain; charset=utf-8"),
        ("html", "text/plain", "text/plain; charset=utf-8"),
        ("a.foo", "application/javascript", "application/octet-stream"),
        ("a.mht", "multipart/related", "application/octet-stream"),
        ("a.hta", "application/hta", "application/octet-stream"),
        ("a.js", "image/png", "application/javascript; charset=utf-8"),
        ("a.PHP", "image/png", "application/x-httpd-php"),
        ("a.swf", "image/png", "application/x-shockwave-flash"),
    ],
)
def test_the_name_decides_what_a_file_is_served_as(
    files: Files, name: str, claimed: str, served: str
) -> None:
    answer = files.get(files.stored(name, b"<script>alert(1)</script>", Content_Type=claimed)["url"])
    assert answer.headers["content-type"] == served
    assert answer.headers["x-content-type-options"] == "nosniff"
    is_active = name in ("a.js", "a.PHP", "a.swf")
    assert answer.headers.get("content-disposition", "").startswith("attachment;") == is_active


def test_two_content_types_are_as_bad_as_the_worse(files: Files) -> None:
    headers = [*KEYS.items(), ("Content-Type", "text/plain"), ("Content-Type", "text/html")]
    answer = files.client.post(f"{files.url}/a.foo", content=b"x", headers=headers)
    assert files.refusal(answer) == (400, 130, "File upload of extension html is disabled.")


def test_what_a_browser_would_run_is_never_shown(start_files: Callable[..., Files]) -> None:
    files = start_files(file_upload=FileUpload(enable_for_public=True, file_extensions=("*",)))
    for name in ("a.html", "a.svg", "a.xml", "a.xhtml", "a.js"):
        answer = files.get(files.stored(name, b"<script>alert(1)</script>")["url"])
        assert answer.headers["content-disposition"].startswith("attachment;filename=")
        assert "sandbox" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "..%2F..%2Fetc%2Fpasswd",
        "%2e%2e/%2e%2e/etc/passwd",
        "....//a",
        ".metadata/a.json",
        ".incoming/.lock",
        "a%00.txt",
        "%2Fetc%2Fpasswd",
        "a\\..\\b",
        "~root",
        "x" * 600,
    ],
)
def test_paths_that_lead_elsewhere(files: Files, path: str) -> None:
    url = httpx.URL(files.url).copy_with(raw_path=f"/parse/files/{APP_ID}/{path}".encode())
    assert files.client.get(url).status_code in (403, 404)


def test_what_is_not_there(files: Files) -> None:
    answer = files.get(f"{files.url}/{APP_ID}/none.txt")
    assert (answer.status_code, answer.text) == (404, "File not found.")
    assert answer.headers["content-type"].startswith("text/plain")
    assert files.get(f"{files.url}/{APP_ID}/metadata/none.txt").json() == {}
    foreign = files.get(f"{files.url}/another/none.txt")
    assert (foreign.status_code, foreign.json()["error"]) == (403, "Permission denied")
    assert files.get(f"{files.url}/another/metadata/none.txt").json() == {}


def test_who_may_not_download(start_files: Callable[..., Files]) -> None:
    files = start_files(file_download=FileDownload(enable_for_public=False))
    url = files.stored()["url"]
    assert files.refusal(files.get(url)) == (400, 119, "File download by public is disabled.")
    assert files.refusal(files.get(url, Range="bytes=0-1"))[1] == 119
    assert files.client.head(url).status_code == 400
    metadata = url.replace(f"/{APP_ID}/", f"/{APP_ID}/metadata/")
    assert files.refusal(files.get(metadata)) == (403, 119, "File download by public is disabled.")
    assert files.get(url, **MASTER).content == b"content"


# --- Rights ----------------------------------------------------------------------------------------------


def test_by_default_only_users_upload(start_files: Callable[..., Files]) -> None:
    files = start_files(file_upload=FileUpload(), enable_anonymous_users=True)
    base = files.url.removesuffix("/files")
    assert files.refusal(files.upload("a.txt")) == (400, 130, "File upload by public is disabled.")
    anonymous = {"authData": {"anonymous": {"id": "11111111-2222-3333-4444-555555555555"}}}
    tokens = [
        files.client.post(f"{base}/users", json=body, headers=KEYS).json()["sessionToken"]
        for body in (anonymous, {"username": "u", "password": "correct horse 9"})
    ]
    answers = [files.upload("a.txt", X_Parse_Session_Token=token) for token in tokens]
    assert files.refusal(answers[0]) == (400, 130, "File upload by anonymous user is disabled.")
    assert answers[1].status_code == 201
    assert files.upload("a.html", **MASTER).status_code == 201


def test_only_the_master_key_deletes(files: Files) -> None:
    stored = files.stored()
    url = f"{files.url}/{stored['name']}"
    assert files.client.delete(url, headers=KEYS).status_code == 403
    assert files.client.delete(url).status_code == 403
    answer = files.client.delete(url, headers=MASTER)
    assert (answer.status_code, answer.content) == (200, b"")
    assert files.get(stored["url"]).status_code == 404
    answer = files.client.delete(url, headers=MASTER)
    assert files.refusal(answer) == (400, 153, "FileNotFound")
    for name in ("..%2Fkeys.json", "%2e%2e", ".metadata"):
        assert files.client.delete(f"{files.url}/{name}", headers=MASTER).status_code in (400, 404)


def test_the_read_only_master_key_changes_nothing(start_files: Callable[..., Files]) -> None:
    files = start_files(read_only_master_key="read only")
    stored = files.stored()
    reading = {"X-Parse-Master-Key": "read only"}
    assert files.refusal(files.upload("a.txt", **reading)) == (403, None, "Permission denied")
    answer = files.client.delete(f"{files.url}/{stored['name']}", headers={**KEYS, **reading})
    assert files.refusal(answer) == (403, None, "Permission denied")
    assert files.get(stored["url"], **reading).content == b"content"


def test_files_are_not_reached_by_a_batch(files: Files) -> None:
    stored = files.stored()
    for method, path in (("POST", "/parse/files/a.txt"), ("DELETE", f"/parse/files/{stored['name']}")):
        body = {"requests": [{"method": method, "path": path, "body": {"base64": "YQ=="}}]}
        answer = files.client.post(f"{files.url.removesuffix('/files')}/batch", headers=MASTER, json=body)
        assert "success" not in answer.text
    assert files.get(stored["url"]).content == b"content"


def test_a_kept_name_is_replaced_only_where_nobody_minds(start_files: Callable[..., Files]) -> None:
    files = start_files(preserve_file_name=True)
    assert files.stored("kept.txt", b"one")["name"] == "kept.txt"
    url = files.stored("kept.txt", b"two")["url"]
    assert files.get(url).content == b"two"
    base = files.url.removesuffix("/files")
    private = {"type": "File", "private": True}
    files.client.post(f"{base}/schemas/Report", headers=MASTER, json={"fields": {"scan": private}})
    report = {"scan": {"__type": "File", "name": "kept.txt"}}
    assert files.client.post(f"{base}/classes/Report", headers=KEYS, json=report).status_code == 201
    assert files.refusal(files.upload("kept.txt", b"three")) == (400, 130, "Permission denied")
    assert files.upload("kept.txt", b"three", **MASTER).status_code == 201
    signed = files.client.get(f"{base}/classes/Report", headers=KEYS).json()["results"][0]["scan"]["url"]
    assert files.get(signed).content == b"three"


# --- Hooks -----------------------------------------------------------------------------------------------


def register_hooks(cloud: Cloud) -> None:
    seen: list[str] = []

    @cloud.before_save_file()
    async def before_save(request: FileRequest) -> None:
        name = str(request.file["name"])
        if name == "refused.txt":
            raise ParseError(9001, "not this one")
        if name == "broken.txt":
            raise ValueError("oh no")
        if name == "elsewhere.txt":
            request.file["url"] = "https://example.org/x.txt"
        if name == "other.txt":
            request.file.update(name="renamed.csv", metadata={"by": "hook"}, directory="hooks")
            request.content = b"from the hook"
        seen.append(f"{name} {request.size} {request.is_stream} {request.content is None}")

    @cloud.after_save_file()
    async def after_save(request: FileRequest) -> None:
        seen.append(f"saved {request.size}")

    @cloud.before_find_file()
    async def before_find(request: FileRequest) -> None:
        if str(request.file["name"]).endswith("_secret.txt"):
            raise ParseError(141, "hush")

    @cloud.after_find_file()
    async def after_find(request: FileRequest) -> None:
        name = str(request.file["name"])
        if name.endswith("_forced.txt"):
            request.force_download = True
            request.response_headers["X-Note"] = "one\r\nX-Two: two"
            request.response_headers.pop("X-Content-Type-Options")
        if name.endswith("_changed.txt"):
            request.content = b"changed"

    @cloud.before_delete_file()
    async def before_delete(request: FileRequest) -> None:
        if str(request.file["name"]).endswith("_kept.txt"):
            raise RuntimeError("keep it")

    @cloud.function("seen")
    async def tell(request: object) -> list[str]:
        told = list(seen)
        seen.clear()
        return told


@pytest.fixture(scope="module")
def hooked(start_files: Callable[..., Files]) -> Files:
    return start_files(register=register_hooks)


def seen(files: Files) -> list[str]:
    url = files.url.replace("/files", "/functions/seen")
    return files.client.post(url, headers=KEYS, json={}).json()["result"]  # type: ignore[no-any-return]


def test_hooks_of_uploads(hooked: Files) -> None:
    assert hooked.refusal(hooked.upload("refused.txt")) == (400, 9001, "not this one")
    assert hooked.refusal(hooked.upload("broken.txt")) == (400, 130, "oh no")
    seen(hooked)
    assert hooked.stored("elsewhere.txt") == {
        "url": "https://example.org/x.txt",
        "name": "elsewhere.txt",
    }
    stored = hooked.stored("other.txt")
    assert re.fullmatch(r"hooks/[0-9a-f]{32}_renamed\.csv", stored["name"])
    assert hooked.get(stored["url"]).content == b"from the hook"
    hooked.stored("streamed.txt", **STREAM)
    assert seen(hooked) == [
        "elsewhere.txt 7 False False",
        "saved None",
        "other.txt 7 False False",
        "saved 13",
        "streamed.txt None True True",
        "saved 7",
    ]


def test_hooks_of_downloads(hooked: Files) -> None:
    refused = hooked.get(hooked.stored("secret.txt")["url"])
    assert hooked.refusal(refused) == (403, 141, "hush")
    forced = hooked.get(hooked.stored("forced.txt")["url"])
    assert forced.headers["content-disposition"].startswith("attachment;filename=")
    assert forced.headers["x-content-type-options"] == "nosniff"
    assert "x-two" not in forced.headers
    changed = hooked.stored("changed.txt", b"0123456789")["url"]
    assert hooked.get(changed).content == b"changed"
    assert hooked.get(changed, Range="bytes=0-1").content == b"01"


def test_hooks_of_deletes(hooked: Files) -> None:
    name = hooked.stored("kept.txt")["name"]
    answer = hooked.client.delete(f"{hooked.url}/{name}", headers=MASTER)
    assert hooked.refusal(answer) == (400, 153, "keep it")


# --- Many at once ----------------------------------------------------------------------------------------


def test_uploads_side_by_side_do_not_mix(files: Files) -> None:
    contents = [bytes([number]) * (50_000 + number) for number in range(40)]
    with ThreadPoolExecutor(20) as pool:
        stored = list(pool.map(lambda content: files.stored("a.bin", content)["url"], contents))
        assert list(pool.map(lambda url: files.get(url).content, stored)) == contents
