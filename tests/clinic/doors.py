"""The ways to ask the server: REST, batch and the JavaScript SDK, each with the same six operations."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Protocol

from tests.protocol.callers import Caller

SDK = Path(__file__).parents[1] / "sdk"
OPERATIONS = {"g": "get", "f": "find", "n": "count", "C": "create", "U": "update", "D": "delete"}


class Door(Protocol):
    """Tries an operation; answers whether the caller got what he asked for."""

    def __call__(self, caller: Caller, op: str, class_name: str, object_id: str, body: Any) -> bool: ...


def path_of(class_name: str) -> str:
    """Where a class is served."""
    return {"_User": "/users", "_Role": "/roles"}.get(class_name, f"/classes/{class_name}")


def by_rest(caller: Caller, op: str, class_name: str, object_id: str, body: Any) -> bool:
    """One request each."""
    path = path_of(class_name)
    one, where = f"{path}/{object_id}", {"objectId": object_id}
    match op:
        case "get":
            answer = caller.ask("GET", one)
        case "find":
            answer = caller.ask("GET", path, where=where)
        case "count":
            answer = caller.ask("GET", path, where=where, count=1, limit=0)
        case "create":
            answer = caller.ask("POST", path, body)
        case "update":
            answer = caller.ask("PUT", one, body)
        case _:
            answer = caller.ask("DELETE", one)
    return answer.status_code < 300 and is_found(op, answer.json())


def by_batch(caller: Caller, op: str, class_name: str, object_id: str, body: Any) -> bool:
    """A part of a batch."""
    path = f"/parse{path_of(class_name)}"
    one, where = f"{path}/{object_id}", json.dumps({"objectId": object_id})
    method, target, sent = {
        "get": ("GET", one, {}),
        "find": ("GET", path, {"where": {"objectId": object_id}}),
        "count": ("GET", path, {"where": where, "count": 1, "limit": 0}),
        "create": ("POST", path, body),
        "update": ("PUT", one, body),
        "delete": ("DELETE", one, {}),
    }[op]
    answer = caller.ask("POST", "/batch", {"requests": [{"method": method, "path": target, "body": sent}]})
    part = answer.json()[0]
    return "success" in part and is_found(op, part["success"])


def is_found(op: str, answer: Any) -> bool:
    """Does the answer show the object?"""
    if op == "find":
        return bool(answer["results"])
    return bool(answer["count"]) if op == "count" else True


class SdkDoor:
    """A process that acts through the SDK."""

    def __init__(self, node: str, caller: Caller) -> None:
        settings = caller.server.settings
        environment = {
            **os.environ,
            "PARSE_SERVER_URL": caller.server.url,
            "PARSE_APP_ID": settings.app_id,
            "PARSE_JAVASCRIPT_KEY": settings.javascript_key or "",
            "PARSE_MASTER_KEY": settings.master_key,
        }
        self._process = subprocess.Popen(
            [node, "door.mjs"],
            cwd=SDK,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __call__(self, caller: Caller, op: str, class_name: str, object_id: str, body: Any) -> bool:
        request = {"op": op, "className": class_name, "id": object_id, "body": body, "token": caller.session}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return bool(answer["ok"] and answer.get("count", 1))

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
