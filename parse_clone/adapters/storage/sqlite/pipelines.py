"""Aggregation over a file: `core.aggregation` runs the stages, SQLite hands it the objects.

Of a leading `$match`, what is said about plain fields is asked of SQLite too, which may know an index. That
only leaves out objects that cannot match: the stage itself still runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from random import SystemRandom
from typing import Final, Literal

import orjson

from parse_clone.adapters.storage.sqlite.connections import Connection
from parse_clone.adapters.storage.sqlite.layout import ClassLayout
from parse_clone.adapters.storage.sqlite.query_compiler import compile_matches
from parse_clone.core.aggregation import run_pipeline
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.names import is_class_name
from parse_clone.core.query import EVERYTHING, Compare, Condition, In, all_of
from parse_clone.core.schema import ClassSchema


def aggregate(
    connection: Connection, schema: ClassSchema, stages: Sequence[JsonObject], options: Mapping[str, Json]
) -> list[JsonObject]:
    """Run a pipeline over a class's objects."""
    return run_pipeline(
        _objects(connection, schema, leading_condition(schema, stages)),
        list(stages),
        schema,
        options=options,
        other_class=partial(_other_class, connection),
        now=datetime.now(UTC),
        random=SystemRandom(),
    )


def _objects(
    connection: Connection, schema: ClassSchema, where: Condition = EVERYTHING
) -> Iterator[JsonObject]:
    return (orjson.loads(row[0]) for row in connection.rows(compile_matches(ClassLayout(schema), where)))


def _other_class(connection: Connection, name: str) -> Iterator[JsonObject]:
    return _objects(connection, ClassSchema(name, {})) if is_class_name(name) else iter(())


# --- What a leading $match demands -----------------------------------------------------------------------

_COMPARISONS: Final[Mapping[str, Literal["<", "<=", ">", ">="]]] = {
    "$lt": "<",
    "$lte": "<=",
    "$gt": ">",
    "$gte": ">=",
}
_PLAIN_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "String": (str,),
    "Number": (int, float),
    "Boolean": (bool,),
}


def leading_condition(schema: ClassSchema, stages: Sequence[JsonObject]) -> Condition:
    """Read a condition that everything passing the first stage satisfies."""
    match stages:
        case [{"$match": dict(query)}, *_]:
            return all_of(*(part for path, value in query.items() for part in _demands(schema, path, value)))
        case _:
            return EVERYTHING


def _demands(schema: ClassSchema, name: str, value: Json) -> Iterator[Condition]:
    path = "objectId" if name == "_id" else name
    if not isinstance(value, dict):
        yield from _demand(schema, path, "$eq", value)
        return
    for operator, operand in value.items():
        yield from _demand(schema, path, operator, operand)


def _demand(schema: ClassSchema, path: str, operator: str, operand: Json) -> Iterator[Condition]:
    field_type = schema.type_of(path)
    plain = _PLAIN_TYPES.get(field_type.name, ()) if field_type is not None else ()
    operands = operand if isinstance(operand, list) else [operand]
    if not all(type(value) in plain for value in operands):
        return
    if operator == "$in" or (operator == "$eq" and not isinstance(operand, list)):
        yield In(path, tuple(operands))
    elif operator in _COMPARISONS and not isinstance(operand, list):
        yield Compare(path, _COMPARISONS[operator], operand)
