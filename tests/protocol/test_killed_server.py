"""A server on the embedded database that is killed while clients write: what it has answered is there, and a
transaction is there as a whole or not at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.protocol.test_serving import serve
from tests.servers import free_port, wait_for_port

KEYS = {
    "PARSE_SERVER_APPLICATION_ID": "tests",
    "PARSE_SERVER_MASTER_KEY": "tests-master-key",
    "PARSE_SERVER_ALLOW_CLIENT_CLASS_CREATION": "true",
}
HEADERS = {"X-Parse-Application-Id": "tests", "X-Parse-Master-Key": "tests-master-key"}
ENOUGH = 10
"""Answers that each writer waits for before the server is killed."""

Write = Callable[[httpx.Client, int], httpx.Response]


def create(client: httpx.Client, n: int) -> httpx.Response:
    return client.post("/classes/Note", json={"n": n})


def create_class(client: httpx.Client, n: int) -> httpx.Response:
    return client.post("/classes/Grown", json={"n": n, f"field{n}": n})


def sign_up(client: httpx.Client, n: int) -> httpx.Response:
    return client.post("/users", json={"username": f"user {n}", "password": "x"})


def change_schema(client: httpx.Client, n: int) -> httpx.Response:
    fields = {"code": {"type": "String"}, f"f{n}": {"type": "Number"}}
    body = {"className": f"Made{n}", "fields": fields, "indexes": {"byCode": {"code": 1}}}
    return client.post(f"/schemas/Made{n}", json=body)


def batch(client: httpx.Client, n: int) -> httpx.Response:
    requests = [{"method": "POST", "path": "/parse/classes/Batched", "body": {"n": n}} for _ in range(5)]
    return client.post("/batch", json={"requests": requests})


def transaction(client: httpx.Client, n: int) -> httpx.Response:
    classes = [f"Of{n}", "Moved", "Moved", "Moved"]
    requests = [
        {"method": "POST", "path": f"/parse/classes/{name}", "body": {"n": n, f"field{n}": n}}
        for name in classes
    ]
    return client.post("/batch", json={"transaction": True, "requests": requests})


def write_until_it_dies(url: str, write: Write, answered: list[int], enough: threading.Semaphore) -> None:
    with httpx.Client(base_url=url, headers=HEADERS, timeout=30) as client:
        for n in range(10_000):
            try:
                answer = write(client, n)
            except httpx.TransportError:
                return
            assert answer.is_success, answer.text
            assert "error" not in answer.text
            answered.append(n)
            if len(answered) == ENOUGH:
                enough.release()


def test_no_answered_write_is_lost_and_no_transaction_is_torn(tmp_path: Path) -> None:
    writes: tuple[Write, ...] = (create, create_class, sign_up, change_schema, batch, transaction)
    answered: dict[str, list[int]] = {write.__name__: [] for write in writes}
    enough = threading.Semaphore(0)
    port = free_port()
    with serve(tmp_path, port=port, **KEYS) as process:
        wait_for_port(port)
        url = f"http://127.0.0.1:{port}/parse"
        writers = [
            threading.Thread(target=write_until_it_dies, args=(url, write, answered[write.__name__], enough))
            for write in writes
        ]
        for writer in writers:
            writer.start()
        for _ in writers:
            assert enough.acquire(timeout=90)
        process.kill()
        for writer in writers:
            writer.join()
    with serve(tmp_path, port=port, **KEYS) as process:
        wait_for_port(port)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/parse", headers=HEADERS, timeout=30) as client:
            check_what_is_left(client, answered)
        process.terminate()
        process.communicate()


def check_what_is_left(client: httpx.Client, answered: dict[str, list[int]]) -> None:
    def find(path: str, **where: Any) -> list[dict[str, Any]]:
        parameters: dict[str, Any] = {"limit": 100_000, "where": json.dumps(where)}
        found: list[dict[str, Any]] = client.get(path, params=parameters).raise_for_status().json()["results"]
        return found

    def numbers(path: str) -> list[int]:
        return [row["n"] for row in find(path)]

    assert set(answered["create"]) <= set(numbers("/classes/Note"))
    assert {(n, n) for n in answered["create_class"]} <= {
        (row["n"], row[f"field{row['n']}"]) for row in find("/classes/Grown")
    }
    assert {f"user {n}" for n in answered["sign_up"]} <= {row["username"] for row in find("/users")}
    schemas = {schema["className"]: schema for schema in client.get("/schemas").json()["results"]}
    for n in answered["change_schema"]:
        made = schemas[f"Made{n}"]
        assert (made["fields"][f"f{n}"], made["indexes"]["byCode"]) == ({"type": "Number"}, {"code": 1})
    for name in (name for name in schemas if name.startswith("Made")):
        assert "indexes" in schemas[name], "a schema is made with its indexes or not at all"
    batched = numbers("/classes/Batched")
    assert all(batched.count(n) == 5 for n in answered["batch"])
    moved = numbers("/classes/Moved")
    assert set(answered["transaction"]) <= set(moved)
    for n in set(moved):
        assert moved.count(n) == 3, "a transaction is whole"
        assert numbers(f"/classes/Of{n}") == [n]
        assert f"field{n}" in schemas["Moved"]["fields"]
    kept = {f"Of{n}" for n in moved}
    assert {name for name in schemas if name.startswith("Of")} == kept, (
        "the class of a transaction went with it"
    )
