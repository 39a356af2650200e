"""Routes about the server itself, rooms that are not furnished yet, and refusals that are no Parse errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from parse_clone.settings import IdempotencyOptions, RateLimit, Security
from tests.servers import APP_ID, MASTER_KEY, REST_KEY, RunningServer

KEYS = {"X-Parse-Application-Id": APP_ID, "X-Parse-REST-API-Key": REST_KEY}
MASTER = {"X-Parse-Application-Id": APP_ID, "X-Parse-Master-Key": MASTER_KEY}
REFUSED = (403, {"error": "Permission denied"})

CLOUD = """
from parse_clone.cloud import Cloud, FunctionRequest, JobRequest, ParseError, RateLimit, Validator

def register(cloud: Cloud) -> None:
    @cloud.function("echo")
    async def echo(request: FunctionRequest):
        return dict(request.params)

    @cloud.function("nothing")
    async def nothing(request: FunctionRequest):
        return None

    @cloud.function("refuse")
    async def refuse(request: FunctionRequest):
        raise ParseError(9001, "no")

    limit = Validator(rate_limit=RateLimit(
        request_time_window=60_000, request_count=1, include_internal_requests=True
    ))

    @cloud.function("rare", validator=limit)
    async def rare(request: FunctionRequest):
        return 1

    @cloud.before_save("Rare", validator=limit)
    async def before_rare(request):
        pass

    @cloud.job("nightly")
    async def nightly(request: JobRequest):
        return "done"
"""


@pytest.fixture(scope="module")
def http(server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/serverInfo"),
        ("GET", "/schemas"),
        ("POST", "/schemas/Note"),
        ("DELETE", "/purge/Note"),
        ("PUT", "/config"),
        ("GET", "/aggregate/Note"),
        ("POST", "/jobs/nightly"),
        ("GET", "/cloud_code/jobs"),
        ("GET", "/hooks/functions"),
        ("POST", "/push"),
        ("GET", "/push_audiences"),
        ("GET", "/graphql-config"),
        ("GET", "/scriptlog"),
        ("GET", "/security"),
    ],
)
def test_routes_for_the_master_key_refuse_everybody_else(http: httpx.Client, method: str, path: str) -> None:
    answer = http.request(method, path, headers=KEYS)
    assert (answer.status_code, answer.json()) == REFUSED


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        ("POST", "/functions/nope", {}, 400, {"code": 141, "error": 'Invalid function: "nope"'}),
        ("POST", "/functions/toString", {}, 400, {"code": 141, "error": 'Invalid function: "toString"'}),
        ("POST", "/functions/__class__", {}, 400, {"code": 141, "error": 'Invalid function: "__class__"'}),
        ("POST", "/jobs/nope", {}, 400, {"code": 141, "error": "Invalid job."}),
        ("POST", "/jobs", {"jobName": "nope"}, 400, {"code": 141, "error": "Invalid job."}),
        ("POST", "/push", {}, 400, {"code": 115, "error": "Push controller is not set"}),
        ("GET", "/hooks/functions/f", {}, 400, {"code": 143, "error": "no function named: f is defined"}),
        (
            "POST",
            "/requestPasswordReset",
            {"email": "a@b.c"},
            500,
            {
                "code": 1,
                "error": "An appName, publicServerURL, and emailAdapter are required for password reset and "
                "email verification functionality.",
            },
        ),
        ("GET", "/schemas/Ghost", {}, 400, {"code": 103, "error": "Class Ghost does not exist."}),
        (
            "GET",
            "/security",
            {},
            409,
            {"error": "Enable Parse Server option `security.enableCheck` to run security check."},
        ),
    ],
)
def test_what_is_not_there_says_so(
    http: httpx.Client, method: str, path: str, body: Any, status: int, error: Any
) -> None:
    answer = http.request(method, path, headers=MASTER, json=body)
    assert (answer.status_code, answer.json()) == (status, error)


def test_the_server_tells_its_features(http: httpx.Client) -> None:
    info = http.get("/serverInfo", headers=MASTER).json()
    assert info["parseServerVersion"] == "9.10.0"
    assert info["features"]["schemas"]["exportClass"] is False
    assert info["features"]["push"]["immediatePush"] is False


@pytest.mark.parametrize("name", ["AppOpened", "anything"])
def test_analytics_events_are_listened_to(http: httpx.Client, name: str) -> None:
    answer = http.post(f"/events/{name}", headers=KEYS, json={"dimensions": {}})
    assert (answer.status_code, answer.json()) == (200, {})


def test_the_graphql_config_is_kept_whole(http: httpx.Client) -> None:
    params = {"enabledForClasses": ["Note"]}
    changed = http.put("/graphql-config", headers=MASTER, json={"params": params})
    assert changed.json() == {"response": {"result": True}}
    assert http.get("/graphql-config", headers=MASTER).json() == params


def test_the_security_report_names_what_is_weak(start_server: Callable[..., RunningServer]) -> None:
    watched = start_server(security=Security(enable_check=True))
    report = httpx.get(f"{watched.url}/security", headers=MASTER).json()["report"]
    assert report["state"] == "fail"
    states = {check["title"]: check["state"] for group in report["groups"] for check in group["checks"]}
    assert states["Client class creation disabled"] == "fail"
    assert states["Security log disabled"] == "success"


def test_refusals_are_told_in_full_where_settings_say_so(start_server: Callable[..., RunningServer]) -> None:
    frank = start_server(enable_sanitized_error_response=False)
    answer = httpx.get(f"{frank.url}/schemas", headers=KEYS)
    assert answer.json() == {"error": "unauthorized: master key is required"}


# --- The route allow-list ----------------------------------------------------------------------------------


def test_only_listed_routes_are_open_to_clients(start_server: Callable[..., RunningServer]) -> None:
    closed = start_server(route_allow_list=("classes/Note(/.*)?", "batch"))
    url = closed.url
    denied = (400, {"code": 119, "error": "Permission denied"})
    assert httpx.get(f"{url}/classes/Note", headers=KEYS).status_code == 200
    for path in ("classes/Notes", "users", "health"):
        answer = httpx.get(f"{url}/{path}", headers=KEYS)
        assert (answer.status_code, answer.json()) == denied
    hidden = {"requests": [{"method": "GET", "path": "/parse/users"}]}
    answer = httpx.post(f"{url}/batch", headers=KEYS, json=hidden)
    assert (answer.status_code, answer.json()) == denied
    assert httpx.get(f"{url}/users", headers=MASTER).status_code == 200


# --- Idempotency -------------------------------------------------------------------------------------------


def test_a_repeated_request_is_refused(start_server: Callable[..., RunningServer]) -> None:
    once = start_server(idempotency_options=IdempotencyOptions(paths=("classes/Once.*", "functions/.*")))
    url = f"{once.url}/classes"
    first = {**KEYS, "X-Parse-Request-Id": "1"}
    duplicate = (400, {"code": 159, "error": "Duplicate request"})
    created = httpx.post(f"{url}/Once", headers=first)
    assert created.status_code == 201
    again = httpx.post(f"{url}/Once", headers=first, json={"other": "body"})
    assert (again.status_code, again.json()) == duplicate
    same = httpx.put(f"{url}/Once/{created.json()['objectId']}", headers=first)
    assert (same.status_code, same.json()) == duplicate
    assert httpx.get(f"{url}/Once", headers=first).status_code == 200
    assert httpx.post(f"{url}/Often", headers=first).status_code == 201
    assert httpx.post(f"{url}/Once", headers={**KEYS, "X-Parse-Request-Id": "2"}).status_code == 201
    for _ in range(2):  # it counts before it is done
        failed = httpx.post(f"{once.url}/functions/nope", headers={**KEYS, "X-Parse-Request-Id": "3"})
    assert failed.json()["code"] == 159


# --- Rate limits -------------------------------------------------------------------------------------------


def test_requests_over_the_limit_are_refused(start_server: Callable[..., RunningServer]) -> None:
    rule = RateLimit(
        request_path="/classes/*path",
        request_time_window=60_000,
        request_count=2,
        include_internal_requests=True,
        error_response_message="Slow down.",
    )
    slow = start_server(rate_limit=(rule,))
    url = f"{slow.url}/classes/Note"
    assert httpx.get(url, headers=KEYS).headers["x-ratelimit-remaining"] == "1"
    batch = {"requests": [{"method": "GET", "path": "/parse/classes/Note"}]}
    assert httpx.post(f"{slow.url}/batch", headers=KEYS, json=batch).status_code == 200
    refused = httpx.get(url, headers=KEYS)
    assert (refused.status_code, refused.json()) == (429, {"code": 100, "error": "Slow down."})
    assert int(refused.headers["retry-after"]) > 0
    in_batch = httpx.post(f"{slow.url}/batch", headers=KEYS, json=batch)
    assert (in_batch.status_code, in_batch.json()) == (400, {"code": 100, "error": "Slow down."})
    assert httpx.get(url, headers=MASTER).status_code == 200


# --- Cloud code --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clouded(
    start_server: Callable[..., RunningServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of a server with functions, jobs and hooks."""
    main: Path = tmp_path_factory.mktemp("cloud") / "main.py"
    main.write_text(CLOUD)
    running = start_server(cloud=str(main), max_upload_size=10_000)
    with httpx.Client(base_url=running.url, timeout=30, headers=KEYS) as client:
        yield client


def test_functions_answer_their_result(clouded: httpx.Client) -> None:
    assert clouded.post("/functions/echo?size=5", json={"a": 1, "size": 2}).json() == {
        "result": {"a": 1, "size": "5"}
    }
    refused = clouded.post("/functions/refuse")
    assert (refused.status_code, refused.json()) == (400, {"code": 9001, "error": "no"})
    assert clouded.get("/functions/echo").status_code == 404


def test_functions_take_forms(clouded: httpx.Client) -> None:
    answer = clouded.post("/functions/echo", data={"a": "1"}, files={"f": ("f.txt", b"hello", "text/plain")})
    assert answer.json()["result"]["a"] == "1"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    malformed = clouded.post("/functions/echo", content=b"--y\r\n", headers=headers)
    assert malformed.json()["code"] == 107
    assert malformed.json()["error"].startswith("Invalid multipart request: ")
    large = clouded.post("/functions/echo", files={"f": b"x" * 20_000})
    text = "Multipart request exceeds maximum upload size."
    assert (large.status_code, large.json()) == (400, {"code": 116, "error": text})


def test_jobs_start_and_can_be_followed(clouded: httpx.Client) -> None:
    answer = clouded.post("/jobs/nightly", headers=MASTER)
    assert (answer.status_code, answer.json()) == (200, {})
    status = clouded.get(f"/classes/_JobStatus/{answer.headers['x-parse-job-status-id']}", headers=MASTER)
    assert status.json()["jobName"] == "nightly"
    known = clouded.get("/cloud_code/jobs/data", headers=MASTER).json()
    assert known == {"in_use": [], "jobs": ["cleanFiles", "nightly"]}


def test_schedules_are_kept_for_whoever_runs_them(clouded: httpx.Client) -> None:
    created = clouded.post("/cloud_code/jobs", headers=MASTER, json={"job_schedule": {"jobName": "nightly"}})
    assert created.status_code == 201
    path = f"/cloud_code/jobs/{created.json()['objectId']}"
    assert [row["jobName"] for row in clouded.get("/cloud_code/jobs", headers=MASTER).json()] == ["nightly"]
    changed = clouded.put(path, headers=MASTER, json={"job_schedule": {"timeOfDay": "08:00"}})
    assert set(changed.json()["response"]) == {"updatedAt"}
    assert clouded.delete(path, headers=MASTER).json() == {}


def test_rate_limits_of_hooks_hold_on_their_routes(clouded: httpx.Client) -> None:
    assert clouded.post("/functions/rare").json() == {"result": 1}
    assert clouded.post("/functions/rare").status_code == 429
    assert clouded.post("/classes/Rare", json={}).status_code == 201
    assert clouded.post("/classes/Rare", json={}).status_code == 429
    assert clouded.get("/classes/Rare").status_code == 200
