"""Somebody of the clinic watches a class by LiveQuery."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.clinic.people import Clinic, Person
from tests.servers import APP_ID, REST_KEY


@contextmanager
def watching(clinic: Clinic, person: Person, class_name: str) -> Iterator[ClientConnection]:
    """A connection with a subscription to everything of a class."""
    address = clinic.server.url.replace("http", "ws", 1).removesuffix("/parse")
    opening = {"op": "connect", "applicationId": APP_ID, "restAPIKey": REST_KEY}
    subscription = {"op": "subscribe", "requestId": 1, "query": {"className": class_name, "where": {}}}
    with connect(address) as socket:
        socket.send(json.dumps({**opening, "sessionToken": person.caller.session}))
        assert heard(socket)["op"] == "connected"
        socket.send(json.dumps(subscription))
        assert heard(socket)["op"] == "subscribed"
        yield socket


def heard(socket: ClientConnection, seconds: float = 10) -> dict[str, Any]:
    """The next message."""
    message: dict[str, Any] = json.loads(socket.recv(seconds))
    return message
