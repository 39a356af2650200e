"""Writes docs/compatibility.md from the last results of each spec file on each engine.

    python -m tests.conformance.report

`PARSE_SPEC_HARNESS` names the harness's folder: its `fair-set.json` says which tests are of the fair set.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.results import Deviations, kept_tests, scope
from tests.servers import ENGINES

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"

NAMES = {"sqlite": "SQLite", "mongo": "MongoDB wire"}

OPENING = """# Compatibility

Parse Server's own specs, run over HTTP against this server on both engines: every test that can be asked from
outside, of the files about what this server does. The *fair set* is a selection, about two thirds, which
parse-server itself passes every time. The specs are of version 7.4, this server answers as 9.10; where the
two differ, the later one decides, and the test fails here. Every failure has its reason below.

`make conformance` runs the specs (`PARSE_SPEC_HARNESS` names the harness's folder), and
`python -m tests.conformance.report` writes this page from the results. MongoDB is a stand-in that speaks its
wire protocol. *Cannot be asked* counts the tests that use parse-server's own modules or are for another
database.

## By subject

Passed of those that ran; in brackets the part, not counting what is not there (mails, pages, push, ...).

| | SQLite, fair | MongoDB wire, fair | SQLite, all | MongoDB wire, all |
|---|---:|---:|---:|---:|
"""

FILES = """
## By file

| file | SQLite, fair | MongoDB wire, fair | SQLite, all | MongoDB wire, all | not there | cannot be asked |
|---|---:|---:|---:|---:|---:|---:|
"""

DIFFERENCES = """
## Differences

Tests that fail because this server answers otherwise, with the reason. *Later version*: parse-server has
changed since these specs; *by the running server*: 9.10 was asked, and answers as this one.

| file | test | fair | engine | reason |
|---|---|---|---|---|
"""

MISSING = """
## Not there

Tests that fail because they need what this server has not.

| file | test | fair | needs |
|---|---|---|---|
"""

CHOICES = """
## Choices of our own

Where parse-server answers with an internal error, loses data or leaks, this server does not follow:

| | parse-server | here |
|---|---|---|
| unknown `__op`, `SetOnInsert` | 500 | 108; supported |
| an unparsable Date, a Polygon of two points | stored, 500 | 111, 107 |
| a pointer without an id or to an illegal class | stored as it is | 111, 103 |
| a GeoPoint of texts, a File or Bytes of numbers | stored as it is | 111 |
| a year beyond 9999 | stored, 500 | 111 |
| a polygon outside of ±90 and ±180 | 500 | 107 |
| a relation operation over two classes | all become links to the first | 111 |
| a refused create or update | leaves its class, on MongoDB its fields too, in the schema | leaves nothing |
| an illegal key with null or `Delete` on create | accepted | 105 |
| `"ACL.x": null` | MongoDB: stored | 111 |
| `"email": null` | MongoDB: the second such user is refused (203) | no address |
| an update of another user with a bad value | 202, 203, 125, 111: tells what is taken | 206 first |
| an installation by the master key without any id | an empty row | 135 |
| lone surrogates, bad UTF-8, numbers beyond a double | replaced, stored as null | 400 |
| JSON deeper than 100 levels | stored; 500 from some 3,000 on | 107, 400 |
| a compressed upload that is sent as a stream | stored compressed | inflated |
| `$or: [1]` | MongoDB: everything, PostgreSQL: 500 | 102 |
| a malformed `$relatedTo` | 500, nothing, or the end of the process | 102 |
| `$maxDistance` alone | everything, or 119 | 107 |
| class permissions `5` or `[]` | close the class | 107 |
| `_Join` rows by the master key | MongoDB: written | 119 |
| `where=5`, `$or: []`, a broken regular expression, a negative `limit` | 500 or undefined | 102 or 107 |
| look-around and back-references in `$regex` | run for as long as they take | 102: linear time only |
| Bytes in arrays, dotted keys on create | mangled, stored with the dot | kept, nested |
| a failed transaction | 500 without a reason | the first part's error |
| dates as group ids of an aggregate | null | the date |
| byte ranges of files | end exclusive, never 416 | the standard's form |
| `ACL: {"__op": "Delete"}` | locks the object | removes the ACL |
| `username`, `password` set to null, deleted or empty | 500 or accepted | 200, 201 |
| an installation changed under another installation's header | changes the other row | the path's row |
| LiveQuery: roles and the master key in class permissions | not honoured | honoured, as in REST |
| LiveQuery: a subscription whose class is closed to it | an error for every event | nothing |
| Webhooks | get the log and the keys | get neither |
| a webhook in the place of cloud code | replaces it | 143 |
| a webhook that answers anything but 2xx | an answer without an error passes | 141 |
| queries and `watch` by the login data of others | by any part | by a whole identity only, else 119 |
| a class with more than 1,000 fields, by clients | no end | 116 |
"""


@dataclass(frozen=True)
class Test:
    """One test of a spec file, as it went on one engine."""

    file: str
    name: str
    status: str
    is_fair: bool
    needs: str | None

    @property
    def ran(self) -> bool:
        return self.status != "skipped"


def read_tests(engine: str, deviations: Deviations) -> list[Test]:
    """All tests in scope with the last result that is kept."""
    fair_set = json.loads(Path(os.environ["PARSE_SPEC_HARNESS"], "fair-set.json").read_text())["files"]
    return [
        Test(
            file=name,
            name=test["id"],
            status=test["status"],
            is_fair=test_key(file, test["id"]) in fair_set.get(file, ()),
            needs=deviations.needs(file, test["id"]),
        )
        for names in scope().values()
        for name in names
        for file in [f"{name}.spec.js"]
        for test in kept_tests(file, engine)
    ]


def test_key(file: str, name: str) -> str:
    """How the harness names a test in its lists."""
    return hashlib.sha256(f"{file}\n{name}".encode()).hexdigest()[:16]


def passed(tests: Iterable[Test]) -> str:
    """How many of the tests that ran have passed."""
    ran = [test for test in tests if test.ran]
    return f"{sum(test.status == 'passed' for test in ran)} / {len(ran)}" if ran else ""


def part(tests: Iterable[Test]) -> str:
    """The part that has passed of what is there."""
    there = [test for test in tests if test.ran and test.needs is None]
    return f"{sum(test.status == 'passed' for test in there) / len(there):.1%}"


def cells(tests: Mapping[str, list[Test]], files: Iterable[str], *, parts: bool) -> Iterator[str]:
    """The results of some files: the fair set and all tests, on each engine."""
    for only_fair in (True, False):
        for engine in ENGINES:
            chosen = [t for t in tests[engine] if t.file in files and (t.is_fair or not only_fair)]
            yield f"{passed(chosen)} ({part(chosen)})" if parts and chosen else passed(chosen)


def subjects(tests: Mapping[str, list[Test]]) -> Iterator[str]:
    """A row for each subject, and their sum."""
    for subject, files in scope().items():
        yield f"| {subject} | {' | '.join(cells(tests, files, parts=True))} |"
    everything = [file for files in scope().values() for file in files]
    yield f"| **all** | {' | '.join(f'**{cell}**' for cell in cells(tests, everything, parts=True))} |"


def files(tests: Mapping[str, list[Test]]) -> Iterator[str]:
    """A row for each spec file."""
    for file in sorted((file for files in scope().values() for file in files), key=str.lower):
        own = [test for test in tests["sqlite"] if test.file == file]
        missing = sum(test.needs is not None for test in own)
        skipped = sum(not test.ran for test in own)
        results = " | ".join(cells(tests, [file], parts=False))
        yield f"| {file} | {results} | {missing or ''} | {skipped or ''} |"


def failures(tests: Mapping[str, list[Test]]) -> dict[Test, list[str]]:
    """The failed tests, and the engines on which they failed."""
    failed: dict[Test, list[str]] = {}
    for engine in ENGINES:
        for test in tests[engine]:
            if test.status == "failed":
                failed.setdefault(test, []).append(engine)
    return dict(sorted(failed.items(), key=lambda item: (item[0].file.lower(), item[0].name)))


def differences(tests: Mapping[str, list[Test]], deviations: Deviations) -> Iterator[str]:
    """A row for each test that fails although it needs nothing that is not there."""
    for test, engines in failures(tests).items():
        if test.needs is None:
            where = "both" if len(engines) == len(ENGINES) else NAMES[engines[0]]
            reason = deviations.reason(f"{test.file}.spec.js", test.name, engines[0]) or "**not explained**"
            yield f"| {test.file} | {test.name} | {'yes' if test.is_fair else ''} | {where} | {reason} |"


def missing(tests: Mapping[str, list[Test]]) -> Iterator[str]:
    """A row for each test that fails for what it needs."""
    for test in failures(tests):
        if test.needs is not None:
            yield f"| {test.file} | {test.name} | {'yes' if test.is_fair else ''} | {test.needs} |"


def main() -> None:
    """Write the page."""
    deviations = Deviations.read()
    tests = {engine: read_tests(engine, deviations) for engine in ENGINES}
    tables = (
        (OPENING, subjects(tests)),
        (FILES, files(tests)),
        (DIFFERENCES, differences(tests, deviations)),
        (MISSING, missing(tests)),
    )
    PAGE.write_text("".join(head + "".join(f"{row}\n" for row in rows) for head, rows in tables) + CHOICES)


if __name__ == "__main__":
    main()
