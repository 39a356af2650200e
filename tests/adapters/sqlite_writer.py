"""A process of its own that writes to a file of SQLite.

`python -m tests.adapters.sqlite_writer FILE NAME COUNT`

It inserts rows `NAME0`, `NAME1`, ... and increments the row `counter`, and prints an id when its insert is
answered. COUNT 0: for ever.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import count

from parse_clone.adapters.storage.sqlite.storage import SqliteStorage
from parse_clone.core.operations import Increment
from parse_clone.core.query import object_id_is
from parse_clone.core.schema import ClassSchema
from parse_clone.core.system_classes import DEFAULT_FIELDS

ROWS = ClassSchema("Row", DEFAULT_FIELDS)


async def write(path: str, name: str, limit: int) -> None:
    storage = SqliteStorage(path)
    for n in range(limit) if limit else count():
        await storage.insert(ROWS, [{"objectId": f"{name}{n}"}])
        print(f"{name}{n}", flush=True)
        await storage.update(ROWS, object_id_is("counter"), {"n": Increment(1)})
    await storage.close()


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], sys.argv[2], int(sys.argv[3])))
