"""Batches: routing, order, failures of parts and of the whole, transactions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.servers import APP_ID, MASTER_KEY, REST_KEY, RunningServer

KEYS = {"X-Parse-Application-Id": APP_ID, "X-Parse-REST-API-Key": REST_KEY}
MASTER = {"X-Parse-Application-Id": APP_ID, "X-Parse-Master-Key": MASTER_KEY}


@pytest.fixture(scope="module")
def http(server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers=KEYS, timeout=30) as client:
        yield client


def create(class_name: str, **body: Any) -> dict[str, Any]:
    return {"method": "POST", "path": f"/parse/classes/{class_name}", "body": body}


def send(http: httpx.Client, *requests: Any, **more: Any) -> httpx.Response:
    return http.post("/batch", json={"requests": list(requests), **more})


def count(http: httpx.Client, class_name: str) -> int:
    counted = http.get(f"/classes/{class_name}", params={"limit": 0, "count": 1}, headers=MASTER)
    return int(counted.json()["count"])


def test_parts_run_in_order_and_answer_for_themselves(http: httpx.Client) -> None:
    created = http.post("/classes/Lab", json={"value": 4}).json()["objectId"]
    answer = send(
        http,
        create("Lab", value=1),
        {
            "method": "PUT",
            "path": f"/parse/classes/Lab/{created}",
            "body": {"value": {"__op": "Increment", "amount": 1}},
        },
        {"method": "GET", "path": f"/parse/classes/Lab/{created}"},
        {"method": "DELETE", "path": "/parse/classes/Lab/nobody"},
        {"method": "GET", "path": "/parse/classes/Lab", "body": {"where": {"value": 99}, "limit": 5}},
        {"method": "GET", "path": "/parse/schemas"},
    )
    assert answer.status_code == 200
    made, changed, read, missing, found, refused = answer.json()
    assert set(made["success"]) == {"objectId", "createdAt"}
    assert changed["success"]["value"] == 5
    assert read["success"]["value"] == 5
    assert missing == {"error": {"code": 101, "error": "Object not found."}}
    assert found == {"success": {"results": []}}
    assert refused == {"error": {"error": "Permission denied"}}  # Parse quirk: no Parse error, no code


def test_parts_of_any_size_answer_for_themselves(http: httpx.Client) -> None:
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    answer = send(
        http,
        create("Size", text="x" * 300_000),
        create("Size", text="small"),
        create("Size", text="small", deep=deep),
        create("Size", **{"bad key": 1}),
    ).json()
    assert [*map(next, map(iter, answer))] == ["success", "success", "error", "error"]
    stored = http.get("/classes/Size", params={"keys": "text"}).json()["results"]
    assert sorted(len(row["text"]) for row in stored) == [5, 300_000]


def test_an_empty_batch_is_an_empty_list(http: httpx.Client) -> None:
    assert send(http).json() == []


@pytest.mark.parametrize(
    ("requests", "error"),
    [
        ({}, "requests must be an array"),
        (None, "requests must be an array"),
        (["x"], "batch request path must be a string"),
        ([None], "batch request path must be a string"),
        ([{"method": "GET"}], "batch request path must be a string"),
        ([{"method": "GET", "path": {"$ne": 1}}], "batch request path must be a string"),
        ([{"method": "GET", "path": "/other/classes/Lab"}], "cannot route batch path /other/classes/Lab"),
        ([{"method": "GET", "path": "/parsed/classes/Lab"}], "cannot route batch path /parsed/classes/Lab"),
        ([{"method": "POST", "path": "/parse/batch"}], "nested batch requests are not allowed"),
        ([{"method": "POST", "path": "/parse//batch/"}], "nested batch requests are not allowed"),
        ([{"method": "POST", "path": "/parse/BATCH"}], "nested batch requests are not allowed"),
        ([{"method": "POST", "path": "/parse/%62atch"}], "nested batch requests are not allowed"),
        (
            [{"method": "POST", "path": "/parse/classes/Lab", "body": "x"}],
            "batch request body must be an object",
        ),
        ([{"method": "PATCH", "path": "/parse/classes/Lab"}], "cannot route PATCH /classes/Lab"),
        ([{"path": "/parse/classes/Lab"}], "cannot route undefined /classes/Lab"),
        ([{"method": "get", "path": "/parse/classes/Lab"}], "cannot route get /classes/Lab"),
        ([{"method": "GET", "path": "/parse/health"}], "cannot route GET /health"),
        ([{"method": "GET", "path": "/parse/nowhere"}], "cannot route GET /nowhere"),
    ],
)
def test_a_batch_that_cannot_be_routed_is_refused_whole(
    http: httpx.Client, requests: Any, error: str
) -> None:
    answer = http.post("/batch", json={"requests": requests})
    assert (answer.status_code, answer.json()) == (400, {"code": 107, "error": error})


def test_nothing_runs_if_a_later_part_cannot_be_routed(http: httpx.Client) -> None:
    http.post("/classes/Untouched", json={})
    assert (
        send(http, create("Untouched"), {"method": "PATCH", "path": "/parse/classes/Lab"}).status_code == 400
    )
    assert count(http, "Untouched") == 1


def test_the_query_string_of_a_path_is_no_query_string(http: httpx.Client) -> None:
    (answer,) = send(http, {"method": "GET", "path": "/parse/classes/Lab/x?keys=a"}).json()
    assert answer["error"]["code"] == 101


def test_parts_do_not_choose_their_caller(http: httpx.Client) -> None:
    part = create("Lab", _ApplicationId=APP_ID, _MasterKey=MASTER_KEY)
    (answer,) = send(http, part).json()
    assert answer["error"]["code"] == 105


def test_the_size_of_a_batch_is_limited_for_clients(start_server: Callable[..., RunningServer]) -> None:
    from parse_clone.settings import RequestComplexity

    small = start_server(request_complexity=RequestComplexity(batch_request_limit=2))
    body = {"requests": [create("Lab")] * 3}
    answer = httpx.post(f"{small.url}/batch", headers=KEYS, json=body)
    text = "Batch request contains 3 sub-requests, which exceeds the limit of 2."
    assert (answer.status_code, answer.json()) == (400, {"code": 107, "error": text})
    assert httpx.post(f"{small.url}/batch", headers=MASTER, json=body).status_code == 200


# --- Transactions ------------------------------------------------------------------------------------------


def test_a_transaction_is_done_whole(http: httpx.Client) -> None:
    http.post("/classes/Whole", json={})
    answer = send(http, create("Whole", a=1), create("Whole", a=2), transaction=True)
    assert [set(part["success"]) for part in answer.json()] == [{"objectId", "createdAt"}] * 2
    assert count(http, "Whole") == 3


def test_a_failed_transaction_changes_nothing_and_tells_the_first_error(http: httpx.Client) -> None:
    kept = http.post("/classes/Atom", json={"value": 1}).json()["objectId"]
    answer = send(
        http,
        create("Atom", value=2),
        {"method": "PUT", "path": f"/parse/classes/Atom/{kept}", "body": {"value": 9}},
        {"method": "DELETE", "path": "/parse/classes/Atom/nobody"},
        transaction=True,
    )
    assert (answer.status_code, answer.json()) == (404, {"code": 101, "error": "Object not found."})
    assert count(http, "Atom") == 1
    assert http.get(f"/classes/Atom/{kept}").json()["value"] == 1


def test_what_a_transaction_made_of_classes_is_seen_behind_it(http: httpx.Client) -> None:
    def is_seen(name: str) -> bool:
        return http.get(f"/schemas/{name}", headers=MASTER).is_success

    def is_stored(name: str) -> bool:
        schemas = http.get("/schemas", headers=MASTER).json()["results"]
        return name in {schema["className"] for schema in schemas}

    missing = {"method": "DELETE", "path": "/parse/classes/Atom/nobody"}
    assert send(http, create("Failed", a=1), missing, transaction=True).status_code == 404
    assert is_seen("Failed") == is_stored("Failed")  # MongoDB keeps classes that a transaction has made
    assert send(http, create("Done", a=1), transaction=True).status_code == 200
    assert is_seen("Done")
    assert is_stored("Done")


def test_only_true_makes_a_transaction(http: httpx.Client) -> None:
    missing = {"method": "DELETE", "path": "/parse/classes/Atom/nobody"}
    answer = send(http, create("Loose"), missing, transaction="true")
    assert [*answer.json()[0], *answer.json()[1]] == ["success", "error"]
    assert count(http, "Loose") == 1


def test_parts_of_a_transaction_see_what_earlier_parts_wrote(http: httpx.Client) -> None:
    made = http.post("/classes/Seen", json={"value": 1}).json()["objectId"]
    increment = {
        "method": "PUT",
        "path": f"/parse/classes/Seen/{made}",
        "body": {"value": {"__op": "Increment", "amount": 1}},
    }
    read = {"method": "GET", "path": f"/parse/classes/Seen/{made}"}
    answer = send(http, increment, increment, read, transaction=True)
    assert answer.json()[2]["success"]["value"] == 3
