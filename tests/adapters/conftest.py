"""One contract, every engine: a test that takes `storage` runs on each of them.

Which MongoDB that is says `tests/servers.py`; what its stand-in cannot do, `stand_in.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from parse_clone.ports import Storage

ENGINES = ("sqlite", "mongo")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The engine under test."""
    return str(request.param)


@pytest.fixture
async def storage(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    """An empty storage of the engine under test."""
    opened: Storage
    if engine == "sqlite":
        from parse_clone.adapters.storage.sqlite.storage import SqliteStorage

        opened = SqliteStorage(str(tmp_path / "data.db"))
    else:
        server: str = request.getfixturevalue("mongo_uri")
        from parse_clone.adapters.storage.mongo.storage import MongoStorage

        opened = MongoStorage(f"{server}/test_{uuid4().hex}")
    yield opened
    await opened.close()
