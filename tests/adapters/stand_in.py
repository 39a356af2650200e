"""What the stand-in for MongoDB does not do as MongoDB does, in one place.

It runs where no real server is named, see `tests/servers.py`. Some of its gaps need nothing here: it knows no
`\\Q...\\E` in expressions (ours are sent without), no `$within` (ours is `$geoWithin`) and no `distinct`
through arrays of objects; it leaves the nearest unsorted (the storage sorts whole answers, not parts of one);
it hangs for ever when `create` or `createIndexes` makes a collection while its first row is being inserted
(ours are made before anybody knows their class).
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from parse_clone.core.json_types import Json
from parse_clone.core.query import (
    Condition,
    PolygonContains,
    WithinBox,
    leaves,
)

STANDS_IN = "PARSE_TEST_MONGODB_URI" not in os.environ


TEXT_SEARCHERS = ("sqlite",) if STANDS_IN else ("sqlite", "mongo")
"""The engines that search texts: it has no text indexes."""


def misjudges(engine: str, *conditions: Condition) -> bool:
    """Places on the edge of a box are outside for it. MongoDB's own polygons bend with the earth."""
    if engine != "mongo":
        return False
    areas = (WithinBox, PolygonContains) if STANDS_IN else (PolygonContains,)
    return any(isinstance(leaf, areas) for where in conditions for leaf in leaves(where))


def confuses(engine: str, values: Iterable[Json]) -> bool:
    """Elements added or removed by value: 0 and 1 are false and true for it."""
    return engine == "mongo" and STANDS_IN and any(isinstance(value, bool | int | float) for value in values)
