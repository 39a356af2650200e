"""Who may use the file when: the connections of a process, its event loop and its threads.

- Reads run on the event loop for as long as a bounded read takes; one that runs longer is stopped there and
  done again by a reader thread, and queries of its shape go there at once for a while.
- Writes wait for the end of the event loop's tick, run together and are answered after their one commit.
  A write that fails, fails alone. One that runs long is done again by the writer thread.
- A transaction has a connection of its own. While it is open, this process's other writes wait. Other
  processes are kept out by SQLite: who cannot begin tries again, without blocking the event loop.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from time import thread_time  # the clock runs on while a busy machine serves others
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import apsw

from parse_clone.adapters.storage.sqlite.layout import Binding, Sql, SqlRow
from parse_clone.errors import ErrorCode, ParseError, SettingsError

T = TypeVar("T")

IN_MEMORY = ":memory:"
INLINE_LIMIT = 0.001
"""Seconds of computing for which one read may hold the event loop."""
PATIENCE = 5.0
"""Seconds to wait for other writers."""
READERS = 2
"""Reader threads."""

MANY_ROWS = 200
"""More are not written on the event loop."""

_STEPS_BETWEEN_LOOKS = 500  # of SQLite's machine
_FEWEST_SPARED, _MOST_SPARED = 8, 512  # queries that go to a thread at once, after one was too slow
_MOST_SLOW_SHAPES = 1000
_RETRY_INTERVAL = 0.002
_CHECKPOINT_PAGES = 4000  # 16 MB: what is written again meanwhile is moved once
_OVERFULL_PAGES = 20_000  # 80 MB: the log must start anew, though writers wait for it


class TooSlow(Exception):
    """Something takes longer, or took longer, than the event loop can wait."""


_LONG_TEXT = 256 * 1024


def _is_long(values: Sequence[object]) -> bool:
    return any(isinstance(value, str) and len(value) > _LONG_TEXT for value in values)


def database_error(error: Exception) -> ParseError:
    """Build the answer for what only the log may know."""
    return ParseError(
        ErrorCode.INTERNAL_SERVER_ERROR, "Database error", detail=f"{type(error).__name__}: {error}"
    )


def write_conflict() -> ParseError:
    """Build the answer for a write that others kept from happening."""
    return ParseError(ErrorCode.WRITE_CONFLICT, "The database is busy with other writes, please retry.")


# --- What storage asks for -------------------------------------------------------------------------------

Decode: TypeAlias = Callable[[list[SqlRow]], T]
Work: TypeAlias = Callable[["Connection"], T]
"""Something done with a connection. It may be done twice: what it did is rolled back in between."""


class Session(Protocol):
    """Reads and writes, in a transaction or outside of one."""

    async def read(self, query: Sql, decode: Decode[T]) -> T:
        """Run a query and decode its rows."""
        ...

    async def scan(self, work: Work[T]) -> T:
        """Do something that only reads, but long."""
        ...

    async def write(self, work: Work[T], *, long: bool = False) -> T:
        """Do something that changes rows: all of it or nothing. `long`: it is known to take long."""
        ...


# --- One connection --------------------------------------------------------------------------------------


class Connection:
    """A connection to the file, with the functions that compiled queries call."""

    def __init__(self, path: str, *, durable: bool, busy_timeout: float, read_only: bool = False) -> None:
        self.driver = apsw.Connection(path, statementcachesize=500)
        self.driver.set_busy_timeout(int(PATIENCE * 1000))
        for pragma in (
            "journal_mode = WAL",
            f"synchronous = {'FULL' if durable else 'OFF'}",
            "temp_store = MEMORY",
            "cache_size = -8192",  # KB; the system caches the file, too, and commits walk over what is cached
            f"query_only = {int(read_only)}",
        ):
            self.driver.execute(f"PRAGMA {pragma}")
        self.driver.set_busy_timeout(int(busy_timeout * 1000))
        self.driver.create_scalar_function("call", _call)
        self.driver.create_scalar_function("casefold", _casefold, 1, deterministic=True)
        if not read_only:  # a thread that reads may take its time, and need not ask for Python's lock
            self.driver.set_progress_handler(self._is_late, _STEPS_BETWEEN_LOOKS)
        self.time_limit = inf
        self._deadline = inf

    def _is_late(self) -> bool:
        return thread_time() > self._deadline

    def rows(self, query: Sql) -> list[SqlRow]:
        """Run a query; a table that nobody made yet is empty. Raises `TooSlow` behind the time limit."""
        self._deadline = thread_time() + self.time_limit
        try:
            return self.driver.execute(query.text, query.parameters).fetchall()
        except apsw.InterruptError as error:
            raise TooSlow from error
        except apsw.SQLError as error:
            if "no such table" in str(error):
                return []
            raise
        finally:
            self._deadline = inf

    def rows_to_change(self, query: Sql) -> list[SqlRow]:
        """Run a query for rows that will be written. Raises `TooSlow` for many, too."""
        found = self.rows(query)
        if self.time_limit < inf and (len(found) > MANY_ROWS or any(map(_is_long, found))):
            raise TooSlow
        return found

    def change(self, statement: str, parameters: Sequence[Binding] = ()) -> None:
        """Run a statement that writes. Raises `TooSlow` for a long text, before anything is done with it."""
        if self.time_limit < inf and _is_long(parameters):
            raise TooSlow
        self.driver.execute(statement, tuple(parameters))

    def change_each(self, statement: str, rows: Sequence[tuple[Binding, ...]]) -> None:
        """Run a statement that writes for each of some rows. Raises `TooSlow` as `change` does."""
        if self.time_limit < inf and any(map(_is_long, rows)):
            raise TooSlow
        self.driver.executemany(statement, rows)

    def atomically(self, work: Work[T]) -> T:
        """Do a part of the open transaction as a whole or not at all."""
        self.driver.execute("SAVEPOINT part")
        try:
            result = work(self)
        except BaseException:
            self.driver.execute("ROLLBACK TO part")
            self.driver.execute("RELEASE part")
            raise
        self.driver.execute("RELEASE part")
        return result

    def roll_back(self) -> None:
        """End the open transaction, if there is one."""
        if self.driver.in_transaction:
            self.driver.execute("ROLLBACK")


def _call(*arguments: Any) -> bool | float | None:
    function, *rest = arguments
    return None if None in rest else function(*rest)


def _casefold(*arguments: Any) -> Any:
    (value,) = arguments
    return value.casefold() if isinstance(value, str) else value


# --- The database of a process ---------------------------------------------------------------------------


class _Waiting(Generic[T]):
    """A write that waits for the end of the tick."""

    __slots__ = ("answer", "since", "work")

    def __init__(self, work: Work[T], loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.answer: asyncio.Future[T] = loop.create_future()
        self.since = loop.time()


@dataclass(slots=True)
class _Slowness:
    """How many more queries of a shape go to a thread at once, and how many after the next slow one."""

    left: int = 0
    spared: int = _FEWEST_SPARED


class Database:
    """The file, as one process uses it. `:memory:` is a file of its own that goes away with it."""

    def __init__(self, path: str, setup: Sequence[str] = (), application_id: int = 0) -> None:
        """`setup`: statements that make what every file has; `application_id`: how files tell whose they are
        and in which form. Raises `SettingsError` for a file that cannot be used, or is of another kind."""
        self._ephemeral = tempfile.TemporaryDirectory(prefix="parse_clone-") if path == IN_MEMORY else None
        self._path = _create_file(Path(self._ephemeral.name, "data.db") if self._ephemeral else Path(path))
        self._open: list[Connection] = []
        self._idle_readers: list[Connection] = []
        self._readers = ThreadPoolExecutor(READERS, "sqlite-reader")
        self._writer = ThreadPoolExecutor(1, "sqlite-writer")
        self._waiting: list[_Waiting[Any]] = []
        self._scheduled = False
        self._turn = asyncio.Lock()  # held by the open transaction
        self._slow_shapes: dict[str, _Slowness] = {}
        self._apart: Connection | None = None
        self._mover: Connection | None = None  # of the log, by one thread at a time
        self._log_pages = 0
        self._checkpoint: asyncio.Future[None] | None = None
        try:
            self._set_up(setup, application_id)
            self._main = self._connect()
        except apsw.Error as error:
            raise SettingsError(f"databaseURI: cannot use {path} as a file of SQLite ({error})") from error
        self._main.time_limit = INLINE_LIMIT
        self._main.driver.set_wal_hook(self._note_log)

    def _connect(self, *, busy_timeout: float = 0, read_only: bool = False) -> Connection:
        durable = self._ephemeral is None
        connection = Connection(self._path, durable=durable, busy_timeout=busy_timeout, read_only=read_only)
        self._open.append(connection)
        return connection

    def _set_up(self, statements: Sequence[str], application_id: int) -> None:
        connection = self._connect(busy_timeout=PATIENCE)
        found = connection.rows(Sql("PRAGMA application_id"))[0][0]
        if found not in (0, application_id):
            self._close(connection)
            raise SettingsError(
                f"databaseURI: {self._path} is of another program, or of a newer version of this one"
            )
        if found != application_id:
            connection.change(f"PRAGMA application_id = {application_id}")
        for statement in statements:
            connection.change(statement)
        self._close(connection)

    def _close(self, connection: Connection) -> None:
        connection.driver.close(force=True)
        self._open.remove(connection)

    # --- Reads --------------------------------------------------------------------------------------------

    async def read(self, query: Sql, decode: Decode[T]) -> T:
        """Run a query: here while it is quick, else by a reader thread."""
        if not self._is_slow(query.text):
            try:
                rows = self._main.rows(query)
                self._slow_shapes.pop(query.text, None)
                return decode(rows)
            except TooSlow:
                self._remember_slow(query.text)
            except apsw.BusyError:
                pass  # another process opens or repairs the file: a thread can wait
            except apsw.Error as error:
                raise database_error(error) from error
        return await self.scan(lambda connection: decode(connection.rows(query)))

    async def scan(self, work: Work[T]) -> T:
        """Read by a reader thread."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._scan, work)

    def _scan(self, work: Work[T]) -> T:
        try:
            connection = (
                self._idle_readers.pop()
                if self._idle_readers
                else self._connect(busy_timeout=PATIENCE, read_only=True)
            )
            try:
                return work(connection)
            finally:
                self._idle_readers.append(connection)
        except (apsw.Error, TooSlow) as error:  # too slow: interrupted, because the database closes
            raise database_error(error) from error

    def _is_slow(self, shape: str) -> bool:
        slowness = self._slow_shapes.get(shape)
        if slowness is None or slowness.left == 0:
            return False
        slowness.left -= 1
        return True

    def _remember_slow(self, shape: str) -> None:
        """Spare a shape the event loop for a while: briefly at first, a busy machine may be to blame."""
        if len(self._slow_shapes) >= _MOST_SLOW_SHAPES:
            self._slow_shapes.clear()
        slowness = self._slow_shapes.setdefault(shape, _Slowness())
        slowness.left = slowness.spared
        slowness.spared = min(2 * slowness.spared, _MOST_SPARED)

    # --- Writes -------------------------------------------------------------------------------------------

    async def write(self, work: Work[T], *, long: bool = False) -> T:
        """Do a write with all others of this tick; apart, if it is long or turns out to be."""
        if not long:
            try:
                return await self._write_soon(work)
            except TooSlow:
                pass
        async with self.transaction() as transaction:
            return await transaction.write(work, long=True)

    async def _write_soon(self, work: Work[T]) -> T:
        waiting = _Waiting(work, asyncio.get_running_loop())
        self._waiting.append(waiting)
        self._schedule()
        try:
            if not self._turn.locked():
                return await waiting.answer
            async with asyncio.timeout(PATIENCE):
                return await waiting.answer
        except TimeoutError as error:
            raise write_conflict() from error

    def _schedule(self, delay: float = 0) -> None:
        if not self._scheduled and self._waiting and not self._turn.locked():
            self._scheduled = True
            loop = asyncio.get_running_loop()
            if delay:
                loop.call_later(delay, self._write_waiting)
            else:
                loop.call_soon(self._write_waiting)

    def _write_waiting(self) -> None:
        """Do all that waits in one commit."""
        self._scheduled = False
        if self._turn.locked():
            return  # the end of the transaction schedules it
        waiting, self._waiting = self._waiting, []
        batch = [write for write in waiting if not write.answer.done()]
        if not batch:
            return
        try:
            self._main.driver.execute("BEGIN IMMEDIATE")
        except apsw.BusyError:
            self._wait_on(batch)
            return
        except apsw.Error as error:
            _refuse(batch, error)
            return
        try:
            outcomes = self._attempt(batch)
            if any(failure is None for _, failure in outcomes):
                self._main.driver.execute("COMMIT")
            else:
                self._main.roll_back()
        except apsw.BusyError:
            self._main.roll_back()
            self._wait_on(batch)
            return
        except apsw.Error as error:  # a full disk takes all of them with it
            self._main.roll_back()
            _refuse(batch, error)
            return
        for write, (result, failure) in zip(batch, outcomes, strict=True):
            if failure is None:
                write.answer.set_result(result)
            else:
                write.answer.set_exception(failure)
        self._shorten_log()

    def _attempt(self, batch: Sequence[_Waiting[Any]]) -> list[tuple[Any, Exception | None]]:
        """Do writes in one go. Only if one fails, do them again, each with a place to go back to."""
        if len(batch) > 1:
            try:
                return [(write.work(self._main), None) for write in batch]
            except Exception:
                self._main.roll_back()
                self._main.driver.execute("BEGIN IMMEDIATE")
        return [_attempt(self._main, write, alone=len(batch) == 1) for write in batch]

    def _wait_on(self, batch: Sequence[_Waiting[Any]]) -> None:
        """Try again soon: another process is writing."""
        now = asyncio.get_running_loop().time()
        for write in batch:
            if now - write.since < PATIENCE:
                self._waiting.append(write)
            else:
                write.answer.set_exception(write_conflict())
        self._schedule(_RETRY_INTERVAL)

    # --- Transactions -------------------------------------------------------------------------------------

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Open a transaction when it is this one's turn; commit it, or roll it back if something raises."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._turn.acquire()
        except TimeoutError as error:
            raise write_conflict() from error
        transaction = Transaction(self._connection_apart(), self._writer)
        try:
            await transaction.begin()
            yield transaction
            await transaction.commit()
            self._shorten_log()
        finally:
            await asyncio.shield(self._end(transaction))

    def _connection_apart(self) -> Connection:
        if self._apart is None:
            self._apart = self._connect()
            self._apart.driver.set_wal_hook(self._note_log)
        return self._apart

    async def _end(self, transaction: Transaction) -> None:
        try:
            await transaction.end()
        finally:
            self._turn.release()
            self._schedule()

    # --- The write-ahead log ------------------------------------------------------------------------------

    def _note_log(self, driver: apsw.Connection, name: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _shorten_log(self) -> None:
        """After a commit: let a thread move a long log into the file, which would hold up the event loop."""
        if self._log_pages > _CHECKPOINT_PAGES and self._checkpoint is None:
            is_overfull = self._log_pages > _OVERFULL_PAGES
            mode = apsw.SQLITE_CHECKPOINT_RESTART if is_overfull else apsw.SQLITE_CHECKPOINT_PASSIVE
            loop = asyncio.get_running_loop()
            self._checkpoint = loop.run_in_executor(self._readers, self._move_log, mode)
            self._checkpoint.add_done_callback(self._forget_checkpoint)

    def _move_log(self, mode: int) -> None:
        if self._mover is None:
            self._mover = self._connect(busy_timeout=0.1)
        with suppress(apsw.BusyError):  # the next commit asks again
            self._mover.driver.wal_checkpoint(mode=mode)

    def _forget_checkpoint(self, checkpoint: asyncio.Future[None]) -> None:
        self._checkpoint = None
        checkpoint.exception()

    # --- The end ------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Finish what waits and close all connections; the last one moves the log into the file."""
        self._write_waiting()
        for connection in [*self._open]:
            if connection is not self._main:  # what is interrupted leaves the log where it is
                connection.driver.interrupt()
        for threads in (self._readers, self._writer):
            await asyncio.to_thread(threads.shutdown)
        for connection in reversed([*self._open]):
            self._close(connection)
        if self._ephemeral is not None:
            self._ephemeral.cleanup()


def _create_file(path: Path) -> str:
    """Make the file and its directories where they are missing, for this user alone."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise SettingsError(f"databaseURI: cannot open {error.filename or path} ({error.strerror})") from None
    return str(path)


def _attempt(connection: Connection, write: _Waiting[Any], *, alone: bool) -> tuple[Any, Exception | None]:
    """Do one write of a batch; alone it needs no place to go back to but the transaction's beginning."""
    try:
        return (write.work(connection) if alone else connection.atomically(write.work)), None
    except apsw.Error as error:
        if not connection.driver.in_transaction:
            raise
        return None, database_error(error)
    except Exception as error:
        return None, error


def _refuse(batch: Sequence[_Waiting[Any]], error: apsw.Error) -> None:
    for write in batch:
        write.answer.set_exception(database_error(error))


# --- One transaction -------------------------------------------------------------------------------------


class Transaction:
    """Reads and writes that commit together. One at a time; none after the end."""

    def __init__(self, connection: Connection, thread: ThreadPoolExecutor) -> None:
        self._connection = connection
        self._thread = thread
        self._turn = asyncio.Lock()
        self._is_long = False
        self._is_over = False

    async def begin(self) -> None:
        """Get hold of the file for writing."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        while True:
            try:
                self._connection.change("BEGIN IMMEDIATE")
                return
            except apsw.BusyError as error:
                if loop.time() > deadline:
                    raise write_conflict() from error
                await asyncio.sleep(_RETRY_INTERVAL)
            except apsw.Error as error:
                raise database_error(error) from error

    async def read(self, query: Sql, decode: Decode[T]) -> T:
        """Run a query that sees the transaction's own writes."""
        return await self._run(lambda connection: decode(connection.rows(query)))

    async def scan(self, work: Work[T]) -> T:
        """Read by the writer thread."""
        return await self._run(work, apart=True)

    async def write(self, work: Work[T], *, long: bool = False) -> T:
        """Do a write here while it is quick, else by the writer thread."""
        return await self._run(lambda connection: connection.atomically(work), apart=long)

    async def commit(self) -> None:
        """Make everything last."""
        await self._run(lambda connection: connection.change("COMMIT"), apart=self._is_long)

    async def end(self) -> None:
        """Roll back what is not committed."""
        async with self._turn:
            self._is_over = True
            self._connection.roll_back()

    async def _run(self, work: Work[T], *, apart: bool = False) -> T:
        async with self._turn:
            if self._is_over or not self._connection.driver.in_transaction:
                raise write_conflict()  # a full disk ends it, too
            try:
                if not apart:
                    try:
                        self._connection.time_limit = INLINE_LIMIT
                        return work(self._connection)
                    except TooSlow:
                        pass
                    finally:
                        self._connection.time_limit = inf
                return await self._run_in_thread(work)
            except apsw.Error as error:
                raise database_error(error) from error

    async def _run_in_thread(self, work: Work[T]) -> T:
        self._is_long = True
        running = asyncio.get_running_loop().run_in_executor(self._thread, work, self._connection)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:  # nobody else may use the connection before the thread is done with it
            self._connection.driver.interrupt()
            await asyncio.wait([running])
            running.exception()
            raise
