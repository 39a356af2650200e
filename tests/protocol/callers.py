"""REST callers for tests: who asks, with which keys and session, and what must come back."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.servers import APP_ID, MASTER_KEY, REST_KEY, RunningServer


class Caller:
    """Speaks REST to a running server as one user, as nobody, or with the master key."""

    def __init__(
        self, server: RunningServer, session: str = "", *, master: bool = False, master_key: str = ""
    ) -> None:
        self.server = server
        self.session = session
        headers = {"X-Parse-Application-Id": APP_ID, "X-Parse-REST-API-Key": REST_KEY}
        if session:
            headers["X-Parse-Session-Token"] = session
        if master or master_key:
            headers["X-Parse-Master-Key"] = master_key or MASTER_KEY
        self._client = httpx.Client(base_url=server.url, headers=headers, timeout=30)

    def close(self) -> None:
        self._client.close()

    def ask(self, method: str, path: str, body: Any = None, **parameters: Any) -> httpx.Response:
        """Send a request; parameters that are no text are written as JSON."""
        texts = {name: v if isinstance(v, str) else json.dumps(v) for name, v in parameters.items()}
        return self._client.request(method, path, json=body, params=texts)

    def get(self, path: str, **parameters: Any) -> Any:
        """GET what must be there."""
        return self._answer(self.ask("GET", path, **parameters), 200)

    def post(self, path: str, body: Any, status: int = 201) -> Any:
        """POST what must be accepted."""
        return self._answer(self.ask("POST", path, body), status)

    def put(self, path: str, body: Any) -> Any:
        """PUT what must be accepted."""
        return self._answer(self.ask("PUT", path, body), 200)

    def refusal(self, method: str, path: str, body: Any = None, **parameters: Any) -> int:
        """The error code of a call that must be refused."""
        answer = self.ask(method, path, body, **parameters)
        assert answer.status_code >= 400, (method, path, answer.text)
        return int(answer.json()["code"])

    def sees_nothing(self, path: str) -> bool:
        """Is a query refused, or answered by an empty list?"""
        answer = self.ask("GET", path)
        if answer.status_code == 200:
            return bool(answer.json()["results"] == [])
        return answer.json()["code"] in (101, 119)

    @staticmethod
    def _answer(answer: httpx.Response, status: int) -> Any:
        assert answer.status_code == status, (str(answer.request.url), answer.status_code, answer.text)
        return answer.json()


def pointer(class_name: str, object_id: str) -> dict[str, str]:
    """A pointer as the REST API writes it."""
    return {"__type": "Pointer", "className": class_name, "objectId": object_id}


def date(iso: str) -> dict[str, str]:
    """A date as the REST API writes it."""
    return {"__type": "Date", "iso": iso}
