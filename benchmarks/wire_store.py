"""A stand-in for MongoDB that costs little: it speaks the wire protocol and keeps everything in memory.

    python -m benchmarks.wire_store PORT

It knows what the scenarios ask, and refuses the rest. Answers to finds are kept until the next write to their
collection, as an index would make them quick. Projections are left to the asker, and only ids are unique.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, TypeAlias, cast

import bson
import uvloop

Row: TypeAlias = dict[str, Any]

_MESSAGE, _OLD_QUERY, _OLD_REPLY = 2013, 2004, 1
_CHECKSUM = 1
_DUPLICATE_KEY, _UNKNOWN_COMMAND = 11000, 59
_HELLO: Row = {
    "ismaster": True,
    "isWritablePrimary": True,
    "helloOk": True,
    "maxBsonObjectSize": 16 << 20,
    "maxMessageSizeBytes": 48_000_000,
    "maxWriteBatchSize": 100_000,
    "logicalSessionTimeoutMinutes": 30,
    "localTime": datetime(2026, 1, 1),
    "minWireVersion": 0,
    "maxWireVersion": 21,
    "readOnly": False,
}
_IDLE_COMMANDS = frozenset({"ping", "create", "createIndexes", "dropIndexes", "endSessions", "killCursors"})


class CommandError(Exception):
    """A command that the store does not know, or that breaks the uniqueness of ids."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


# --- Conditions and changes -------------------------------------------------------------------------------


def value_at(row: Row, path: str) -> Any:
    """What lies at a dotted path; None if nothing does."""
    value: Any = row
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def equals(value: Any, operand: Any) -> bool:
    """Is a value, or for an array one of its elements, this one?"""
    if isinstance(value, list) and not isinstance(operand, list):
        return operand in value
    return bool(value == operand)


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "$eq": equals,
    "$ne": lambda value, operand: not equals(value, operand),
    "$in": lambda value, operands: any(equals(value, operand) for operand in operands),
    "$nin": lambda value, operands: not any(equals(value, operand) for operand in operands),
    "$exists": lambda value, present: (value is not None) == bool(present),
    "$gt": lambda value, operand: value is not None and value > operand,
    "$gte": lambda value, operand: value is not None and value >= operand,
    "$lt": lambda value, operand: value is not None and value < operand,
    "$lte": lambda value, operand: value is not None and value <= operand,
}


def matches(row: Row, condition: Row) -> bool:
    """Does a row match a filter?"""
    for path, wanted in condition.items():
        if path == "$and":
            matched = all(matches(row, part) for part in wanted)
        elif path == "$or":
            matched = any(matches(row, part) for part in wanted)
        elif isinstance(wanted, dict) and next(iter(wanted), "").startswith("$"):
            value = value_at(row, path)
            matched = all(_OPERATORS[name](value, operand) for name, operand in wanted.items())
        else:
            matched = equals(value_at(row, path), wanted)
        if not matched:
            return False
    return True


def change(row: Row, update: Row, *, is_new: bool = False) -> None:
    """Apply an update document."""
    for operator, members in update.items():
        if operator not in ("$set", "$setOnInsert", "$inc", "$unset"):
            raise CommandError(_UNKNOWN_COMMAND, f"no such operator: {operator}")
        for path, operand in members.items():
            *parents, name = path.split(".")
            target = row
            for parent in parents:
                target = target.setdefault(parent, {})
            if operator == "$set" or (operator == "$setOnInsert" and is_new):
                target[name] = operand
            elif operator == "$inc":
                target[name] = (target.get(name) or 0) + operand
            elif operator == "$unset":
                target.pop(name, None)


class Collection:
    """Rows by id, and the answers to finds since the last write."""

    def __init__(self) -> None:
        self.rows: dict[Any, Row] = {}
        self.answers: dict[bytes, bytes] = {}

    def insert(self, row: Row) -> None:
        """Store a new row."""
        if row["_id"] in self.rows:
            raise CommandError(_DUPLICATE_KEY, "E11000 duplicate key error")
        self.rows[row["_id"]] = row

    def matching(self, condition: Row) -> Iterator[Row]:
        """The rows that match, in order of insertion."""
        wanted = condition.get("_id")
        if isinstance(wanted, str):
            ids: Iterable[Any] = (wanted,)
        elif isinstance(wanted, dict) and "$in" in wanted:
            ids = wanted["$in"]
        else:
            ids = self.rows
        return (row for key in ids if (row := self.rows.get(key)) and matches(row, condition))

    def page(self, condition: Row, order: Row, skip: int, limit: int) -> list[Row]:
        """Some of the rows that match."""
        found: Iterable[Row] = self.matching(condition)
        for path, direction in reversed(order.items()):

            def rank(row: Row, path: str = path) -> tuple[bool, Any]:
                value = value_at(row, path)
                return value is not None, value

            found = sorted(found, key=rank, reverse=direction < 0)
        return list(islice(found, skip, skip + limit if limit else None))

    def update(self, update: Row) -> list[Row]:
        """Change what one update statement matches; answers the changed rows."""
        found = list(islice(self.matching(update["q"]), None if update.get("multi") else 1))
        for row in found:
            change(row, update["u"])
        return found

    def upsert(self, update: Row) -> Row:
        """Store what an update statement that matched nothing describes."""
        row = {name: value for name, value in update["q"].items() if not isinstance(value, dict)}
        row.setdefault("_id", str(bson.ObjectId()))
        change(row, update["u"], is_new=True)
        self.insert(row)
        return row


# --- Commands ---------------------------------------------------------------------------------------------


class WireStore:
    """All collections, and the commands on them."""

    def __init__(self) -> None:
        self._collections: dict[str, Collection] = {}
        self._commands: Mapping[str, Callable[[Collection, Row], Row]] = {
            "insert": self._insert,
            "update": self._update,
            "findAndModify": self._find_and_modify,
            "delete": self._delete,
            "count": self._count,
        }

    def answer(self, command: Row) -> bytes:
        """Run a command."""
        name = next(iter(command))
        try:
            if name.lower() in ("hello", "ismaster"):
                return encode_answer(_HELLO)
            if name in ("listCollections", "listIndexes"):
                return encode_answer(cursor([]))
            if name == "buildInfo":
                return encode_answer({"version": "7.0.0", "versionArray": [7, 0, 0, 0]})
            if name in _IDLE_COMMANDS:
                return encode_answer({})
            collection = self._collections.setdefault(str(command[name]), Collection())
            if name == "find":
                return self._find(collection, command)
            if name not in self._commands:
                raise CommandError(_UNKNOWN_COMMAND, f"no such command: {name}")
            return encode_answer(self._commands[name](collection, command))
        except CommandError as error:
            return bson.encode({"ok": 0.0, "code": error.code, "errmsg": str(error)})

    def _find(self, collection: Collection, command: Row) -> bytes:
        question: Row = {
            name: command[name] for name in ("filter", "sort", "skip", "limit") if name in command
        }
        key = bson.encode(question)
        if key not in collection.answers:
            rows = collection.page(
                question.get("filter", {}),
                question.get("sort", {}),
                question.get("skip", 0),
                question.get("limit", 0),
            )
            collection.answers[key] = encode_answer(cursor(rows))
        return collection.answers[key]

    def _insert(self, collection: Collection, command: Row) -> Row:
        collection.answers.clear()

        def insert(number: int, row: Row) -> int:
            collection.insert(row)
            return 1

        return run_each(command, "documents", insert)

    def _update(self, collection: Collection, command: Row) -> Row:
        collection.answers.clear()
        upserted: list[Row] = []

        def update(number: int, statement: Row) -> int:
            found = len(collection.update(statement))
            if found == 0 and statement.get("upsert"):
                upserted.append({"index": number, "_id": collection.upsert(statement)["_id"]})
                return 1
            return found

        answer = run_each(command, "updates", update)
        return answer | ({"upserted": upserted} if upserted else {})

    def _find_and_modify(self, collection: Collection, command: Row) -> Row:
        collection.answers.clear()
        update = {"q": command["query"], "u": command["update"]}
        rows = collection.update(update)
        outcome = {"updatedExisting": bool(rows)}
        if not rows and command.get("upsert"):
            rows = [collection.upsert(update)]
        return {"lastErrorObject": outcome | {"n": len(rows)}, "value": rows[0] if rows else None}

    def _delete(self, collection: Collection, command: Row) -> Row:
        collection.answers.clear()
        removed = 0
        for part in command["deletes"]:
            for row in collection.page(part["q"], {}, 0, part["limit"]):
                del collection.rows[row["_id"]]
                removed += 1
        return {"n": removed}

    def _count(self, collection: Collection, command: Row) -> Row:
        return {"n": sum(1 for _ in collection.matching(command.get("query", {})))}


def run_each(command: Row, part: str, run: Callable[[int, Row], int]) -> Row:
    """Run the statements of a command, which tell how many rows they meant; ordered ones up to the first that
    is refused."""
    done, refused = 0, []
    for number, statement in enumerate(command[part]):
        try:
            done += run(number, statement)
        except CommandError as error:
            refused.append({"index": number, "code": error.code, "errmsg": str(error)})
            if command.get("ordered", True):
                break
    return {"n": done, "nModified": done} | ({"writeErrors": refused} if refused else {})


def cursor(rows: list[Row]) -> Row:
    """All rows in one batch."""
    return {"cursor": {"firstBatch": rows, "id": bson.Int64(0), "ns": "bench.rows"}}


def encode_answer(answer: Row) -> bytes:
    """The answer to a command that succeeded."""
    return bson.encode({**answer, "ok": 1.0})


# --- The wire ---------------------------------------------------------------------------------------------


def read_message(message: bytes) -> Row:
    """The command of an OP_MSG: its body, with its document sequences as members."""
    (flags,) = struct.unpack_from("<I", message, 16)
    end = len(message) - (4 if flags & _CHECKSUM else 0)
    command: Row = {}
    position = 20
    while position < end:
        kind, (size,) = message[position], struct.unpack_from("<i", message, position + 1)
        section = message[position + 1 : position + 1 + size]
        if kind == 0:
            command |= bson.decode(section)
        else:
            name, _, documents = section[4:].partition(b"\0")
            command[name.decode()] = bson.decode_all(documents)
        position += 1 + size
    return command


class Wire(asyncio.Protocol):
    """One connection of a driver."""

    def __init__(self, store: WireStore) -> None:
        self._store = store
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while len(self._received) >= 16:
            size, request, _, operation = struct.unpack_from("<iiii", self._received)
            if len(self._received) < size:
                return
            message, self._received = self._received[:size], self._received[size:]
            self._answer(message, request, operation)

    def _answer(self, message: bytes, request: int, operation: int) -> None:
        if operation == _OLD_QUERY:  # drivers shake hands with it
            head, answer = struct.pack("<iqii", 8, 0, 0, 1), encode_answer(_HELLO)
            kind = _OLD_REPLY
        else:
            head, answer = b"\0\0\0\0\0", self._store.answer(read_message(message))
            kind = _MESSAGE
        size = 16 + len(head) + len(answer)
        if self._transport is not None:
            self._transport.write(struct.pack("<iiii", size, 0, request, kind) + head + answer)


async def serve(port: int) -> None:
    """Serve one empty store."""
    store = WireStore()
    server = await asyncio.get_running_loop().create_server(lambda: Wire(store), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
