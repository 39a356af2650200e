"""Which files objects hold, and which a write brings."""

from __future__ import annotations

import pytest

from parse_clone.core.json_types import Json
from parse_clone.core.operations import (
    Add,
    AddUnique,
    Delete,
    Increment,
    Operation,
    Remove,
    Set,
    SetOnInsert,
)
from parse_clone.core.private_files import (
    Holder,
    holds,
    names_in,
    names_set,
    without_signatures,
    without_urls,
)
from parse_clone.core.schema import ClassSchema, Field, FieldType

A: Json = {"__type": "File", "name": "a.txt", "url": "https://example.org/a.txt?access=x"}
BARE: Json = {"__type": "File", "name": "a.txt"}
RANDOM = "0123456789abcdef0123456789abcdef_b.txt"
REPORT = ClassSchema(
    "Report",
    {
        "photo": Field(FieldType("File")),
        "scan": Field(FieldType("File"), {"private": True}),
        "files": Field(FieldType("Array"), {"private": True}),
        "notes": Field(FieldType("Array")),
        "title": Field(FieldType("String"), {"private": True}),
        "last": Field(FieldType("File"), {"private": True}),
    },
)


def test_holders_are_texts() -> None:
    holder = Holder("Report", "scan", "x:y.z")
    assert str(holder) == "Report.scan:x:y.z"
    assert Holder.read(str(holder)) == holder


def test_fields_that_hold_files() -> None:
    assert REPORT.private_fields == ("scan", "files", "last")
    assert set(REPORT.holding_fields) == {"photo", "scan", "files", "last"}


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (A, {"a.txt"}),
        ([A, {"deep": [A, {"__type": "File", "name": "b.txt"}]}], {"a.txt", "b.txt"}),
        (
            {"__type": "File", "name": "a.txt", "more": [{"__type": "File", "name": "b.txt"}]},
            {"a.txt", "b.txt"},
        ),
        ({"__type": "File", "name": 5}, set()),
        ({"name": "a.txt"}, set()),
        ("a.txt", set()),
        (None, set()),
    ],
)
def test_names_in_values(value: Json, names: set[str]) -> None:
    assert set(names_in(value)) == names
    assert holds({"files": value}, "files", "a.txt") == ("a.txt" in names)


@pytest.mark.parametrize(
    ("path", "operation", "names"),
    [
        ("scan", Set(A), {"scan": {"a.txt"}}),
        ("scan", SetOnInsert(A), {"scan": {"a.txt"}}),
        ("files", Add((A, "x")), {"files": {"a.txt"}}),
        ("files", AddUnique((A,)), {"files": {"a.txt"}}),
        ("files.0", Set(A), {"files": {"a.txt"}}),
        ("files.0.name", Set(f"labs/{RANDOM}"), {"files": {f"labs/{RANDOM}"}}),
        ("files.0.name", Set("b.txt"), {}),
        ("files.0.note", Set(RANDOM), {}),
        ("files", Remove((A,)), {}),
        ("files", Set([]), {}),
        ("scan", Delete(), {}),
        ("notes", Set([A]), {}),
        ("title", Set("a.txt"), {}),
    ],
)
def test_names_that_a_write_brings(path: str, operation: Operation, names: dict[str, set[str]]) -> None:
    assert names_set(REPORT, {path: operation}) == names


def test_urls_of_private_files_are_not_stored() -> None:
    write: dict[str, Operation] = {
        "scan": Set(A),
        "files": Add((A, 1, [A], {"deep": A})),
        "last": SetOnInsert(A),
        "notes": Set([A]),
    }
    assert without_urls(REPORT, write) == {
        "scan": Set(BARE),
        "files": Add((BARE, 1, [BARE], {"deep": BARE})),
        "last": SetOnInsert(BARE),
        "notes": Set([A]),
    }
    bare: dict[str, Operation] = {"scan": Set(BARE), "files": Remove((BARE,)), "title": Delete()}
    assert without_urls(REPORT, bare) is bare
    dropped: dict[str, Operation] = {"scan": Delete()}
    assert without_urls(REPORT, dropped) is dropped


SIGNED = {**A, "url": f"https://example.org/a.txt?access=x.{'y' * 43}"}  # type: ignore[dict-item]
UNSIGNED = {**A, "url": "https://example.org/a.txt"}  # type: ignore[dict-item]


def test_signatures_are_not_stored_anywhere() -> None:
    write: dict[str, Operation] = {
        "notes": Set([SIGNED, {"deep": SIGNED}]),
        "more": Add((SIGNED, 1)),
        "title": Set("access="),
        "count": Increment(1),
    }
    assert without_signatures(write) == {
        "notes": Set([UNSIGNED, {"deep": UNSIGNED}]),
        "more": Add((UNSIGNED, 1)),
        "title": Set("access="),
        "count": Increment(1),
    }
