"""What only the SQLite engine promises: one file for several processes, an event loop that never waits."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parse_clone.adapters.storage.sqlite import connections
from parse_clone.adapters.storage.sqlite.storage import SqliteStorage
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.matcher import compile_matcher
from parse_clone.core.operations import Increment, Set
from parse_clone.core.query import (
    EVERYTHING,
    WHOLE,
    AllOf,
    AnyOf,
    Compare,
    Condition,
    ContainedBy,
    ContainsAll,
    ContainsAllPrefixes,
    Exists,
    GeoPoint,
    In,
    Leaf,
    Near,
    NoneOf,
    NotIn,
    Page,
    ReadableBy,
    Regex,
    SortKey,
    WithinBox,
    object_id_is,
)
from parse_clone.core.schema import (
    AddFields,
    AddIndexes,
    ClassSchema,
    CreateClass,
    DropIndexes,
    Field,
    FieldType,
    Index,
    JoinTable,
)
from parse_clone.core.system_classes import DEFAULT_FIELDS, DEFAULT_INDEXES, join_schema, system_schema
from parse_clone.core.values import date_value
from parse_clone.errors import DuplicateValue, ErrorCode, ParseError, SettingsError
from tests.adapters.sqlite_writer import ROWS
from tests.strategies import SCHEMA as PATIENT
from tests.strategies import date, geo_point, leaf_conditions, object_lists, pointer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "data.db"


@pytest.fixture
async def storage(path: Path) -> AsyncIterator[SqliteStorage]:
    opened = SqliteStorage(str(path))
    yield opened
    await opened.close()


@pytest.fixture
async def neighbour(storage: SqliteStorage, path: Path) -> AsyncIterator[SqliteStorage]:
    """A second storage over the same file, as another process has it."""
    opened = SqliteStorage(str(path))
    yield opened
    await opened.close()


FIELD = Field(FieldType("String"))


def row(object_id: str, **fields: Json) -> JsonObject:
    return {"objectId": object_id, **fields}


async def plan(
    storage: SqliteStorage, schema: ClassSchema, where: Condition, page: Page = WHOLE
) -> list[str]:
    """The steps in which SQLite would answer."""
    match await storage.explain(schema, where, page, "queryPlanner"):
        case {"queryPlanner": {"winningPlan": {"steps": list(steps)}}}:
            return [str(step) for step in steps]
    raise AssertionError("no plan")


async def ids(storage: SqliteStorage, where: Condition = EVERYTHING) -> list[str]:
    return [str(obj["objectId"]) for obj in await storage.find(ROWS, where, WHOLE)]


# --- The file --------------------------------------------------------------------------------------------


async def test_the_file_is_for_its_owner_alone(storage: SqliteStorage, path: Path) -> None:
    await storage.insert(ROWS, [row("a")])
    files = list(path.parent.iterdir())
    assert path in files
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_the_file_keeps_its_rows(path: Path) -> None:
    for object_id in ("a", "b"):
        storage = SqliteStorage(str(path))
        await storage.insert(ROWS, [row(object_id)])
        await storage.close()
    storage = SqliteStorage(str(path))
    assert await ids(storage) == ["a", "b"]
    await storage.close()


async def test_memory_keeps_nothing() -> None:
    for _ in range(2):
        storage = SqliteStorage(":memory:")
        await storage.insert(ROWS, [row("a")])
        async with storage.transaction() as within:
            await within.insert(ROWS, [row("b")])
        assert await ids(storage) == ["a", "b"]
        await storage.close()


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("no database at all " * 100)
    with pytest.raises(SettingsError, match="databaseURI"):
        SqliteStorage(str(file))


async def test_a_closed_file_is_whole_by_itself(path: Path) -> None:
    storage = SqliteStorage(str(path))
    await storage.insert(ROWS, [row("a")])
    async with storage.transaction() as within:
        await within.insert(ROWS, [row("b")])
    await storage.close()
    assert list(path.parent.iterdir()) == [path]
    copy = SqliteStorage(str(path.rename(path.with_name("copy.db"))))
    assert await ids(copy) == ["a", "b"]
    await copy.close()


async def test_a_file_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    storage = SqliteStorage(str(path))
    await storage.insert(ROWS, [row("a")])
    await storage.close()
    with closing(sqlite3.connect(path)) as connection:
        (ours,) = connection.execute("PRAGMA application_id").fetchone()
        connection.execute(f"PRAGMA application_id = {ours + 1}")
    before = path.read_bytes()
    with pytest.raises(SettingsError, match=r"data\.db is of another program, or of a newer version"):
        SqliteStorage(str(path))
    assert path.read_bytes() == before


async def test_a_damaged_file_is_refused(path: Path) -> None:
    storage = SqliteStorage(str(path))
    await storage.insert(ROWS, [row("a")])
    await storage.close()
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\x5a" * 1000 + content[1100:])
    with pytest.raises(
        SettingsError, match=r"cannot use .*data\.db as a file of SQLite \(database disk image"
    ):
        SqliteStorage(str(path))


def set_most_pages(storage: SqliteStorage, pages: int) -> None:
    """Let the disk be full, or have room again."""
    storage._database._main.driver.pragma("max_page_count", pages)
    storage._database._connection_apart().driver.pragma("max_page_count", pages)


async def test_a_full_disk_refuses_writes_as_a_whole(storage: SqliteStorage) -> None:
    filler = "x" * 100_000

    async def transact() -> None:
        async with storage.transaction() as within:
            await within.insert(ROWS, [row("c")])
            await within.insert(ROWS, [row("d", filler=filler)])

    await storage.insert(ROWS, [row("a", n=1)])
    set_most_pages(storage, 1)
    for write in (
        storage.insert(ROWS, [row("b"), row("big", filler=filler)]),
        storage.update(ROWS, object_id_is("a"), {"n": Set(2), "filler": Set(filler)}),
        storage.change_schema(CreateClass(ClassSchema("Big", {f"f{n}": FIELD for n in range(5_000)}))),
        transact(),
    ):
        with pytest.raises(ParseError) as refusal:
            await write
        assert (refusal.value.code, refusal.value.message) == (1, "Database error")
    assert await storage.find(ROWS, EVERYTHING, WHOLE) == [row("a", n=1)]
    assert await storage.load_schemas() == []
    set_most_pages(storage, 1_000_000)
    await storage.insert(ROWS, [row("b", filler=filler)])
    await transact()
    assert sorted(await ids(storage)) == ["a", "b", "c", "d"]


async def test_a_closed_storage_answers_an_error(path: Path) -> None:
    storage = SqliteStorage(str(path))
    await storage.close()
    with pytest.raises(ParseError) as refusal:
        await storage.ping()
    assert (refusal.value.code, refusal.value.message) == (1, "Database error")


async def test_a_long_log_moves_into_the_file(storage: SqliteStorage, path: Path) -> None:
    filler = "x" * 200_000
    for n in range(100):
        await storage.insert(ROWS, [row(f"r{n}", filler=filler)])
    for _ in range(1000):
        if path.stat().st_size > 15_000_000:
            break
        await asyncio.sleep(0.01)
    assert path.stat().st_size > 15_000_000


# --- Several processes -----------------------------------------------------------------------------------


def start_writer(path: Path, name: str, limit: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.adapters.sqlite_writer", str(path), name, str(limit)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def test_no_answered_write_is_lost_with_the_process(path: Path) -> None:
    process = start_writer(path, "r", 0)
    assert process.stdout is not None
    answered = [process.stdout.readline().strip() for _ in range(50)]
    process.kill()
    answered += process.stdout.read().split()
    process.wait()
    process.stdout.close()
    storage = SqliteStorage(str(path))
    assert set(answered) <= set(await ids(storage))
    await storage.close()


async def test_processes_write_at_once(path: Path) -> None:
    storage = SqliteStorage(str(path))
    await storage.insert(ROWS, [row("counter", n=0)])
    processes = [start_writer(path, name, 40) for name in ("a", "b", "c")]
    await asyncio.gather(
        *(storage.update(ROWS, object_id_is("counter"), {"n": Increment(1)}) for _ in range(40))
    )
    for process in processes:
        output, _ = await asyncio.to_thread(process.communicate)
        assert process.returncode == 0
        assert len(output.split()) == 40
    assert await storage.find(ROWS, object_id_is("counter"), WHOLE) == [row("counter", n=160)]
    assert await storage.count(ROWS, EVERYTHING) == 121
    await storage.close()


async def test_processes_may_make_the_file_together(path: Path) -> None:
    processes = [start_writer(path, name, 1) for name in ("a", "b", "c")]
    for process in processes:
        await asyncio.to_thread(process.communicate)
    assert [process.returncode for process in processes] == [0, 0, 0]


async def test_a_write_waits_for_the_transaction_of_a_neighbour(
    storage: SqliteStorage, neighbour: SqliteStorage
) -> None:
    async with storage.transaction() as within:
        await within.insert(ROWS, [row("a")])
        waiting = [asyncio.create_task(neighbour.insert(ROWS, [row(name)])) for name in ("b", "c")]
        await asyncio.sleep(0.01)
        assert await ids(neighbour) == []
    await asyncio.gather(*waiting)
    assert sorted(await ids(storage)) == ["a", "b", "c"]


async def test_who_waits_too_long_may_try_again(
    storage: SqliteStorage, neighbour: SqliteStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "PATIENCE", 0.02)

    async def transact(storage: SqliteStorage) -> None:
        async with storage.transaction() as within:
            await within.insert(ROWS, [row("late")])

    async with storage.transaction() as within:
        await within.insert(ROWS, [row("a")])
        for other in (storage, neighbour):
            for write in (other.insert(ROWS, [row("late")]), transact(other)):
                with pytest.raises(ParseError) as refusal:
                    await write
                assert refusal.value.code == ErrorCode.WRITE_CONFLICT
    await storage.insert(ROWS, [row("b")])
    await neighbour.insert(ROWS, [row("c")])
    assert await ids(storage) == ["a", "b", "c"]


async def test_changes_of_schemas_by_others_are_counted(
    storage: SqliteStorage, neighbour: SqliteStorage
) -> None:
    before = await storage.schema_version()
    await neighbour.change_schema(CreateClass(ROWS))
    created = await storage.schema_version()
    assert created > before
    assert [schema.name for schema in await storage.load_schemas()] == ["Row"]
    await neighbour.insert(ROWS, [row("a")])
    assert await storage.schema_version() == created


# --- Transactions and cancellation -----------------------------------------------------------------------


async def test_a_transaction_is_over_when_it_is_over(storage: SqliteStorage) -> None:
    async with storage.transaction() as within:
        await within.insert(ROWS, [row("a")])
    with pytest.raises(ParseError):
        await within.insert(ROWS, [row("b")])
    async with storage.transaction():
        with pytest.raises(ParseError):
            await within.find(ROWS, EVERYTHING, WHOLE)
    assert await ids(storage) == ["a"]


async def test_what_fails_in_a_transaction_leaves_the_rest(storage: SqliteStorage) -> None:
    async with storage.transaction() as within:
        await within.insert(ROWS, [row("a")])
        with pytest.raises(DuplicateValue):
            await within.insert(ROWS, [row("b"), row("a")])
        await within.insert(ROWS, [row("c")])
    assert await ids(storage) == ["a", "c"]


async def test_a_cancelled_transaction_is_rolled_back(storage: SqliteStorage) -> None:
    async def transact() -> None:
        async with storage.transaction() as within:
            await within.insert(ROWS, [row("a")])
            await asyncio.sleep(10)

    task = asyncio.create_task(transact())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await storage.insert(ROWS, [row("b")])
    assert await ids(storage) == ["b"]


async def test_a_write_cancelled_before_its_turn_does_not_happen(storage: SqliteStorage) -> None:
    tasks = [asyncio.create_task(storage.insert(ROWS, [row(name)])) for name in ("a", "b")]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await ids(storage) == ["b"]


async def test_a_class_made_in_a_transaction_goes_with_it(storage: SqliteStorage) -> None:
    async def fail() -> None:
        async with storage.transaction() as within:
            await within.change_schema(CreateClass(ROWS))
            await within.insert(ROWS, [row("a")])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await storage.load_schemas() == []
    assert await ids(storage) == []
    await storage.insert(ROWS, [row("b")])
    assert await ids(storage) == ["b"]


# --- Threads ---------------------------------------------------------------------------------------------


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything takes too long for the event loop."""
    monkeypatch.setattr(connections, "INLINE_LIMIT", -1.0)
    monkeypatch.setattr(connections, "_STEPS_BETWEEN_LOOKS", 1)


async def test_what_takes_long_is_done_by_threads(no_patience: None, path: Path) -> None:
    storage = SqliteStorage(str(path))
    await storage.insert(ROWS, [row(f"r{n}", n=n) for n in range(50)])
    answers = await asyncio.gather(*(storage.count(ROWS, Compare("n", ">=", n)) for n in range(50)))
    assert answers == list(range(50, 0, -1))
    assert len(await storage.find_json(ROWS, Regex("objectId", "r[0-9]$"), WHOLE)) == 10
    changed = await asyncio.gather(
        *(storage.update(ROWS, object_id_is("r1"), {"n": Increment(1)}) for _ in range(10))
    )
    assert sorted(obj["n"] for obj in changed if obj) == list(range(2, 12))  # type: ignore[type-var]
    assert await storage.update_many(ROWS, EVERYTHING, {"n": Set(0)}) == 50
    assert await storage.delete(ROWS, Compare("objectId", "<", "r2")) == 12
    async with storage.transaction() as within:
        assert await within.delete(ROWS, object_id_is("r2")) == 1
        assert await within.count(ROWS, In("n", (0,))) == 37
        found = await asyncio.gather(*(within.find(ROWS, object_id_is("r3"), WHOLE) for _ in range(5)))
        assert found == [[row("r3", n=0)]] * 5
    await storage.close()


async def test_a_long_write_in_a_transaction_can_be_cancelled(no_patience: None, path: Path) -> None:
    storage = SqliteStorage(str(path))
    await storage.insert(ROWS, [row(f"r{n}", n=n) for n in range(2000)])

    async def transact() -> None:
        async with storage.transaction() as within:
            await within.update_many(ROWS, EVERYTHING, {"n": Set(-1)})
            await within.update_many(ROWS, EVERYTHING, {"n": Set(-2)})

    task = asyncio.create_task(transact())
    await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await storage.count(ROWS, Compare("n", "<", 0)) == 0
    await storage.close()


async def test_long_texts_are_written_by_a_thread(storage: SqliteStorage) -> None:
    text = "x" * 500_000
    await storage.insert(ROWS, [row("short", note="a")])
    assert storage._database._apart is None
    await asyncio.gather(
        storage.insert(ROWS, [row("b", n=1)]),
        storage.insert(ROWS, [row("long", note=text)]),
        storage.update(ROWS, object_id_is("short"), {"n": Increment(1)}),
    )
    assert storage._database._apart is not None
    await storage.update(ROWS, object_id_is("long"), {"n": Increment(1)})
    async with storage.transaction() as within:
        await within.update(ROWS, object_id_is("long"), {"n": Increment(1)})
        await within.insert(ROWS, [row("other", note=text)])
    found = await storage.find(ROWS, EVERYTHING, Page(order=(SortKey("objectId"),)))
    assert found == [
        row("b", n=1),
        row("long", note=text, n=2),
        row("other", note=text),
        row("short", note="a", n=1),
    ]


async def test_a_scan_leaves_the_event_loop_free(storage: SqliteStorage) -> None:
    await storage.insert(ROWS, [row(f"r{n}", note="x" * 1000) for n in range(3000)])
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    assert await storage.count(ROWS, Regex("note", "(y|z)+$")) == 0
    ticking.cancel()
    assert ticks > 1


# --- Time to live ----------------------------------------------------------------------------------------


async def test_rows_go_when_their_time_is_over(storage: SqliteStorage) -> None:
    requests = system_schema("_Idempotency")
    await storage.change_schema(AddIndexes(DEFAULT_INDEXES[-2:]))
    now = datetime(2026, 1, 5, 10, tzinfo=UTC)
    expiries = [now - timedelta(seconds=1), now, now + timedelta(seconds=1)]
    await storage.insert(
        requests, [row(f"i{n}", reqId=f"q{n}", expire=date_value(at)) for n, at in enumerate(expiries)]
    )
    await storage.insert(requests, [row("never", reqId="q9")])
    assert await storage.expire(now) == 2
    left = await storage.find(requests, EVERYTHING, WHOLE)
    assert [obj["objectId"] for obj in left] == ["i2", "never"]
    assert await storage.expire(now) == 0


# --- Indexes ---------------------------------------------------------------------------------------------

READABLE = ReadableBy(frozenset({"*", "u1"}))

INDEXES = (
    Index("Patient", "age_then_name", (("age", 1), ("name", -1))),
    Index("Patient", "name", (("name", 1),)),
    Index("Patient", "folded", (("note", 1),), case_insensitive=True),
    Index("Patient", "bornAt", (("bornAt", 1),)),
    Index("Patient", "ward", (("ward", 1), ("createdAt", -1))),
    Index("Patient", "pulse", (("vitals.pulse", 1),)),
    Index("Patient", "site", (("site", "2dsphere"),)),
    Index("Patient", "internal", (("_token", 1),)),
    Index("Patient", "scan", (("scan", 1),), unique=True),
    Index("Patient", "tags", (("tags", 1),)),
    Index("Patient", "words", (("note", "text"),)),
)

SERVED: dict[str, tuple[Condition, Page]] = {
    "id": (object_id_is("p1"), WHOLE),
    "ids": (In("objectId", ("p1", "p2", "p3")), WHOLE),
    "id prefix": (Regex("objectId", "^\\Qp\\E"), WHOLE),
    "number": (In("age", (1,)), WHOLE),
    "number and order": (In("age", (1,)), Page(order=(SortKey("name", True),), limit=5)),
    "range": (AllOf((Compare("age", ">", 1), Compare("age", "<=", 2))), WHOLE),
    "texts": (In("name", ("a", "b")), WHOLE),
    "prefix": (Regex("name", "^\\Qab\\E"), WHOLE),
    "any case": (In("note", ("ÄB",)), Page(case_insensitive=True)),
    "date": (Compare("bornAt", "<", date("2026-01-05T10:00:00.000Z")), WHOLE),
    "pointer": (In("ward", (pointer("w1"),)), WHOLE),
    "pointer and order": (In("ward", (pointer("w1"),)), Page(order=(SortKey("createdAt", True),))),
    "all of one": (ContainsAll("name", ("a",)), WHOLE),
    "below an object": (In("vitals.pulse", ("a", 1)), WHOLE),
    "internal": (In("_token", ("a",)), WHOLE),
    "file": (In("scan", ({"__type": "File", "name": "a"},)), WHOLE),
    "box": (WithinBox("site", GeoPoint(0, 0), GeoPoint(1, 1)), WHOLE),
    "circle": (Near("site", GeoPoint(0, 0), 0.001), WHOLE),
    "order alone": (EVERYTHING, Page(order=(SortKey("bornAt"),), limit=5)),
}


@pytest.fixture
async def indexed(storage: SqliteStorage) -> SqliteStorage:
    await storage.change_schema(CreateClass(PATIENT))
    await storage.change_schema(AddIndexes(INDEXES))
    return storage


@pytest.mark.parametrize("name", SERVED)
async def test_an_index_serves(indexed: SqliteStorage, name: str) -> None:
    where, page = SERVED[name]
    steps = await plan(indexed, PATIENT, AllOf((where, READABLE)), page)
    assert any("USING INDEX" in step for step in steps), steps
    assert not [step for step in steps if step.startswith("SCAN class:") and "USING INDEX" not in step], steps
    if page.order:
        assert "USE TEMP B-TREE FOR ORDER BY" not in steps


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(objects=object_lists(), leaves=st.lists(leaf_conditions(), min_size=1, max_size=8))
async def test_indexes_change_no_answer(
    indexed: SqliteStorage, objects: list[JsonObject], leaves: list[Leaf]
) -> None:
    await indexed.delete(PATIENT, EVERYTHING)
    await indexed.insert(PATIENT, [{**obj, "scan": None} for obj in objects])
    stored = await indexed.find(PATIENT, EVERYTHING, WHOLE)
    for where in leaves:
        found = await indexed.find(PATIENT, where, Page(order=(SortKey("objectId"),)))
        assert found == list(filter(compile_matcher(where), stored)), where


async def test_values_that_are_no_scalars_are_found_beside_an_index(indexed: SqliteStorage) -> None:
    await indexed.insert(
        PATIENT,
        [
            row("p1", vitals={"pulse": 60}),
            row("p2", vitals={"pulse": [50, 60]}),
            row("p3", vitals={"pulse": "60"}),
            row("p4", vitals={"pulse": True}),
            row("p5", _token=["a"]),
            row("p6", _token="a"),
        ],
    )

    async def found(path: str, value: Json) -> list[str]:
        rows = await indexed.find(PATIENT, In(path, (value,)), WHOLE)
        return sorted(str(obj["objectId"]) for obj in rows)

    assert await found("vitals.pulse", 60) == ["p1", "p2"]
    assert await found("vitals.pulse", 1) == []
    assert await found("_token", "a") == ["p5", "p6"]


async def test_an_index_made_before_its_field_serves_the_field(storage: SqliteStorage) -> None:
    await storage.change_schema(CreateClass(ClassSchema("Patient", DEFAULT_FIELDS)))
    await storage.change_schema(AddIndexes((Index("Patient", "bornAt", (("bornAt", 1),)),)))
    await storage.change_schema(AddFields("Patient", {"bornAt": Field(FieldType("Date"))}))
    (schema,) = await storage.load_schemas()
    where = In("bornAt", (date("2026-01-05T10:00:00.000Z"),))
    assert [step for step in await plan(storage, schema, where) if "USING INDEX" in step]


async def test_a_declared_index_of_creation_is_the_one_that_every_class_has(storage: SqliteStorage) -> None:
    created = Index("Patient", "created", (("createdAt", -1),))
    await storage.change_schema(CreateClass(PATIENT))
    await storage.change_schema(AddIndexes((created,)))
    assert created in await storage.list_indexes("Patient")
    newest = Page(order=(SortKey("createdAt", True),), limit=5)
    assert "newest:" in str(await plan(storage, PATIENT, EVERYTHING, newest))
    await storage.change_schema(DropIndexes("Patient", ("created",)))
    assert created not in await storage.list_indexes("Patient")
    assert "newest:" in str(await plan(storage, PATIENT, EVERYTHING, newest))


async def test_links_are_found_by_both_ends(storage: SqliteStorage) -> None:
    table = JoinTable(class_name="Ward", field="staff")
    await storage.link(table, "w1", ["n1"])
    for field in ("owningId", "relatedId"):
        steps = await plan(storage, join_schema(table), In(field, ("x",)))
        assert [step for step in steps if "SEARCH" in step], steps


async def test_places_on_both_sides_of_the_date_line_are_near(storage: SqliteStorage) -> None:
    await storage.insert(
        PATIENT, [row("east", site=geo_point(10, 179.9)), row("west", site=geo_point(10, -179.9))]
    )
    near = Near("site", GeoPoint(10, 180), 0.01)
    assert len(await storage.find(PATIENT, near, WHOLE)) == 2


# --- Values at the edge ----------------------------------------------------------------------------------

ODD_TEXTS = [
    "",
    "a",
    "a\0b",
    "a\0",
    "\ud7ff",
    "\ue000",
    "\U0010ffff",
    "a\U0010ffff",
    "a\U0010ffffb",
    "😀",
    "'",
    '"',
    "\\",
]
ODD_NUMBERS = [0, -0.0, 0.1, 1 / 3, 5e-324, 1.7e308, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 1.5]


@pytest.mark.parametrize("field", ["name", "unknown", "vitals.pulse"])
async def test_odd_texts_are_compared_exactly(storage: SqliteStorage, field: str) -> None:
    objects = [with_value(f"p{n}", field, text) for n, text in enumerate(ODD_TEXTS)]
    await storage.insert(PATIENT, objects)
    for text in ODD_TEXTS:
        for where in (
            In(field, (text,)),
            In(field, (text, "b")),
            Compare(field, "<", text),
            Compare(field, ">=", text),
            Regex(field, f"^\\Q{text}\\E"),
            ContainsAllPrefixes(field, (text,)),
        ):
            await check(storage, objects, where)


@pytest.mark.parametrize("field", ["age", "unknown", "vitals.pulse"])
async def test_odd_numbers_are_compared_exactly(storage: SqliteStorage, field: str) -> None:
    objects = [with_value(f"p{n}", field, number) for n, number in enumerate(ODD_NUMBERS)]
    await storage.insert(PATIENT, objects)
    for number in [*ODD_NUMBERS, 2**63, -(2**64), 1e300]:
        for where in (In(field, (number,)), In(field, (number, 7)), Compare(field, "<=", number)):
            await check(storage, objects, where)


async def test_arrays_on_the_way_are_followed_as_by_the_matcher(storage: SqliteStorage) -> None:
    code: list[Json] = [
        None,
        1,
        "a",
        True,
        [],
        ["a", None],
        {},
        {"deep": "a"},
        date("2026-01-05T10:00:00.000Z"),
    ]
    parts: list[Json] = [None, 1, "a", [], [1, None], [{}], [[{"code": "a"}]], {}]
    parts += [{"code": value} for value in code] + [[{"code": value}] for value in code]
    objects = [row("p0"), row("p1", vitals=None), row("p2", vitals={})]
    objects += [row(f"p{n}", vitals={"parts": value}) for n, value in enumerate(parts, start=3)]
    await storage.insert(PATIENT, objects)
    for path in ("vitals.parts", "vitals.parts.code", "vitals.parts.code.deep"):
        for values in ((None,), ("a",), (1,), (True,), (None, "a"), (), (date("2026-01-05T10:00:00.000Z"),)):
            for where in (
                In(path, values),
                NotIn(path, values),
                ContainsAll(path, values),
                ContainedBy(path, values),
            ):
                await check(storage, objects, where)
        for leaf in (Exists(path, True), Exists(path, False), Regex(path, "^a"), Compare(path, ">=", "a")):
            await check(storage, objects, leaf)


async def test_texts_of_any_case_are_found_wherever_they_are(storage: SqliteStorage) -> None:
    objects = [
        row("p1", name="ÄB", vitals={"pulse": "äb"}, tags=["x", "äB"]),
        row("p2", name="äb", vitals={"pulse": ["ÄB"]}, tags=["ab"]),
        row("p3", name="ab", vitals={"pulse": 1}),
    ]
    await storage.insert(PATIENT, objects)
    for path in ("name", "vitals.pulse", "tags", "unknown"):
        where = In(path, ("Äb", 1, None))
        matches = compile_matcher(where, case_insensitive=True)
        found = await storage.find(PATIENT, where, Page(case_insensitive=True))
        assert found == list(filter(matches, objects)), path


async def test_a_tree_too_large_for_sql_is_left_to_the_matcher(storage: SqliteStorage) -> None:
    objects = [row(f"p{n}", age=n, site=geo_point(n, n)) for n in range(5)]
    await storage.insert(PATIENT, objects)
    either: Condition = AnyOf(tuple(In("age", (n,)) for n in range(3, 600)))
    await check(storage, objects, either)
    await check(storage, objects, NoneOf((either, In("age", (0,)))))
    found = await storage.find(PATIENT, AllOf((either, Near("site", GeoPoint(9, 9)))), WHOLE)
    assert [obj["objectId"] for obj in found] == ["p4", "p3"]


def with_value(object_id: str, path: str, value: Json) -> JsonObject:
    root, _, member = path.partition(".")
    return row(object_id, **{root: {member: value} if member else value})


async def check(storage: SqliteStorage, objects: list[JsonObject], where: Condition) -> None:
    found = await storage.find(PATIENT, where, WHOLE)
    assert found == list(filter(compile_matcher(where), objects)), where


async def test_what_no_text_can_hold_is_refused(storage: SqliteStorage) -> None:
    for value in ("\ud800", 2**70):
        with pytest.raises(ParseError) as refusal:
            await storage.insert(ROWS, [row("a", value=value)])
        assert refusal.value.code == ErrorCode.INVALID_JSON
