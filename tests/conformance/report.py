"""Writes docs/compatibility.md from the results of the last conformance run on each engine.

python -m tests.conformance.report
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.servers import ENGINES

ROOT = Path(__file__).parents[2]
DEVIATIONS = Path(__file__).with_name("deviations.json")
PAGE = ROOT / "docs" / "compatibility.md"

NAMES = {"sqlite": "SQLite", "mongo": "MongoDB wire"}

OPENING = """# Compatibility

Parse Server's own specs, run over HTTP against this server on both engines: those of its tests that its own
server passes as a black box. The specs are of version 7.4, this server answers as 9.10; where the two differ,
the later one decides. This page is written by `python -m tests.conformance.report` from the results of
`make conformance`.

MongoDB is a stand-in that speaks its wire protocol. "Left out" are tests that need what cannot be asked from
outside.

| spec file | SQLite | MongoDB wire | left out |
|---|---:|---:|---:|
"""

DIFFERENCES = """
## Differences

Each test that fails, with the reason. "Not there" is work that has not been done.

| spec file | test | engine | reason |
|---|---|---|---|
"""

NOT_THERE = "not there: mails, public pages, push"

CHOICES = """
## Choices of our own

Where parse-server answers with an internal error, loses data or leaks, this server does not follow:

| | parse-server | here |
|---|---|---|
| unknown `__op`, `SetOnInsert` | 500 | 108; supported |
| an unparsable Date, a Polygon of two points | stored, 500 | 111, 107 |
| `where=5`, `$or: []`, a broken regular expression, a negative `limit` | 500 or undefined | 102 or 107 |
| look-around and back-references in `$regex` | run for as long as they take | 102: linear time only |
| Bytes in arrays, dotted keys on create | mangled, stored with the dot | kept, nested |
| a failed transaction | 500 without a reason | the first part's error |
| dates as group ids of an aggregate | null | the date |
| byte ranges of files | end exclusive, never 416 | the standard's form |
| `ACL: {"__op": "Delete"}` | locks the object | removes the ACL |
| `username`, `password` set to null, deleted or empty | 500 or accepted | 200, 201 |
| an installation changed under another installation's header | changes the other row | the path's row |
| an update by the master key that carries `authData` | opens a session | does not |
| LiveQuery: roles and the master key in class permissions | not honoured | honoured, as in REST |
| LiveQuery: a subscription whose class is closed to it | an error for every event | nothing |
| Webhooks | get the log and the keys | get neither |
"""


def results() -> dict[str, dict[str, dict[str, str]]]:
    """Engine to spec file to test to status."""
    found = {}
    for engine in ENGINES:
        content = json.loads((ROOT / "build" / f"conformance-{engine}.json").read_text())
        found[engine] = {
            file: {test["id"]: test["status"] for test in outcome["tests"]}
            for file, outcome in content["files"].items()
        }
    return found


def cell(statuses: dict[str, str]) -> str:
    """How many of the tests that ran have passed."""
    ran = [status for status in statuses.values() if status != "skipped"]
    return f"{ran.count('passed')} / {len(ran)}"


def overview(found: dict[str, dict[str, dict[str, str]]]) -> Iterator[str]:
    """The rows of the table, and their sum."""
    files = sorted({file for engine in found.values() for file in engine}, key=str.lower)
    for file in files:
        cells = [cell(found[engine].get(file, {})) for engine in ENGINES]
        skipped = max(list(found[engine].get(file, {}).values()).count("skipped") for engine in ENGINES)
        yield f"| {file.removesuffix('.spec.js')} | {cells[0]} | {cells[1]} | {skipped or ''} |"
    sums = []
    for engine in ENGINES:
        everything = {
            f"{file} {test}": status for file, t in found[engine].items() for test, status in t.items()
        }
        ran = [status for status in everything.values() if status != "skipped"]
        sums.append(f"**{cell(everything)}** ({ran.count('passed') / len(ran):.1%})")
    yield f"| **all** | {sums[0]} | {sums[1]} | |"


def differences(found: dict[str, dict[str, dict[str, str]]]) -> Iterator[str]:
    """A row for each test that fails."""
    known: Any = json.loads(DEVIATIONS.read_text())
    failed: dict[tuple[str, str], list[str]] = {}
    for engine in ENGINES:
        for file, tests in found[engine].items():
            for test, status in tests.items():
                if status == "failed":
                    failed.setdefault((file, test), []).append(engine)
    for (file, test), engines in sorted(failed.items()):
        where = "both" if len(engines) == len(ENGINES) else NAMES[engines[0]]
        reasons = [
            reason
            for part in ("any engine", *engines)
            for name, reason in known.get(part, {}).get(file, {}).items()
            if test.endswith(name)
        ]
        reason = reasons[0] if reasons else NOT_THERE
        yield f"| {file.removesuffix('.spec.js')} | {test} | {where} | {reason} |"


def main() -> None:
    """Write the page."""
    found = results()
    rows = "\n".join(overview(found))
    PAGE.write_text(f"{OPENING}{rows}\n{DIFFERENCES}" + "\n".join(differences(found)) + f"\n{CHOICES}")


if __name__ == "__main__":
    main()
