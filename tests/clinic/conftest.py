"""One clinic per engine and template; the tests of a template share it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from parse_clone.settings import LiveQuery
from tests.clinic.people import Clinic, open_clinic
from tests.sdk.conftest import node
from tests.servers import ENGINES

__all__ = ["node"]


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The engine below the clinic."""
    return str(request.param)


@pytest.fixture(scope="module")
def clinic(engine: str, request: pytest.FixtureRequest) -> Iterator[Clinic]:
    """The clinic of the template that the test module names."""
    uri = request.getfixturevalue("mongo_uri") if engine == "mongo" else ""
    template = getattr(request, "param", None) or getattr(request.module, "TEMPLATE", "patient_portal")
    watched = LiveQuery(class_names=("LabResult", "Message", "Notification"))
    with open_clinic(engine, uri, template, live_query=watched) as opened:
        yield opened
