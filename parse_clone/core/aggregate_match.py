"""`$match` in an aggregation pipeline: the document database's own query language.

What Parse's queries know too is asked of the matcher, so that both mean the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

from parse_clone.core.aggregate_expressions import DEEPEST, Variables, compile_expression
from parse_clone.core.aggregate_functions import is_true, refuse, type_name
from parse_clone.core.comparison import Found, compile_path
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.matcher import compile_matcher
from parse_clone.core.query import Compare, Condition, ContainsAll, Exists, In, NotIn, Regex
from parse_clone.core.values import is_number

Test: TypeAlias = Callable[[JsonObject, Variables], bool]


def compile_match(query: Json, depth: int = 0) -> Test:
    """Compile a query to a test of documents."""
    if depth > DEEPEST:
        raise refuse("The query is nested too deep.")
    if not isinstance(query, dict):
        raise refuse("the match filter must be an expression in an object")
    tests: list[Test] = []
    for key, value in query.items():
        if key in _LOGIC:
            tests.append(_LOGIC[key](_branches(key, value, depth)))
        elif key == "$expr":
            tests.append(_expression(value))
        elif key == "$comment":
            continue
        elif key.startswith("$"):
            raise refuse(f"unknown top level operator: {key}")
        else:
            tests.append(_constraint(key, value, depth))
    return _all(tests)


def _branches(key: str, value: Json, depth: int) -> list[Test]:
    if not isinstance(value, list) or not value:
        raise refuse(f"{key} must be a nonempty array")
    return [compile_match(branch, depth + 1) for branch in value]


def _all(tests: Sequence[Test]) -> Test:
    return lambda document, variables: all(test(document, variables) for test in tests)


def _any(tests: Sequence[Test]) -> Test:
    return lambda document, variables: any(test(document, variables) for test in tests)


def _none(tests: Sequence[Test]) -> Test:
    return lambda document, variables: not any(test(document, variables) for test in tests)


_LOGIC: Mapping[str, Callable[[Sequence[Test]], Test]] = {"$and": _all, "$or": _any, "$nor": _none}


def _expression(source: Json) -> Test:
    expression = compile_expression(source)
    return lambda document, variables: is_true(expression(document, variables))


def _holds(condition: Condition) -> Test:
    matches = compile_matcher(condition)
    return lambda document, variables: matches(document)


def _constraint(path: str, value: Json, depth: int) -> Test:
    if not isinstance(value, dict) or not any(name.startswith("$") for name in value):
        return _holds(In(path, (value,)))
    tests: list[Test] = []
    for name, operand in value.items():
        if name not in _OPERATORS:
            raise refuse(f"unknown operator: {name}")
        test = _OPERATORS[name](path, operand, value, depth + 1)
        if test is not None:
            tests.append(test)
    return _all(tests)


# --- Operators -------------------------------------------------------------------------------------------

_Compile: TypeAlias = Callable[[str, Json, JsonObject, int], "Test | None"]


def _values(name: str, operand: Json) -> tuple[Json, ...]:
    if not isinstance(operand, list):
        raise refuse(f"{name} needs an array")
    return tuple(operand)


def _comparison(operator: Literal["<", "<=", ">", ">="]) -> _Compile:
    return lambda path, operand, constraint, depth: _holds(Compare(path, operator, operand))


def _regex(path: str, operand: Json, constraint: JsonObject, depth: int) -> Test:
    options = constraint.get("$options", "")
    if not isinstance(operand, str) or not isinstance(options, str):
        raise refuse("$regex and $options have to be strings")
    return _holds(Regex(path, operand, options))


def _not(path: str, operand: Json, constraint: JsonObject, depth: int) -> Test:
    if not isinstance(operand, dict):
        raise refuse("$not needs an object")
    return _none([_constraint(path, operand, _checked(depth))])


def _checked(depth: int) -> int:
    if depth > DEEPEST:
        raise refuse("The query is nested too deep.")
    return depth


def _on_leaves(path: str, test_leaf: Callable[[Found], bool]) -> Test:
    find = compile_path(path)
    return lambda document, variables: any(map(test_leaf, find(document)))


def _size(path: str, operand: Json, constraint: JsonObject, depth: int) -> Test:
    return _on_leaves(path, lambda leaf: isinstance(leaf, list) and len(leaf) == operand)


def _type(path: str, operand: Json, constraint: JsonObject, depth: int) -> Test:
    wanted = set(map(str, operand)) if isinstance(operand, list) else {str(operand)}
    if "number" in wanted:
        wanted |= {"int", "long", "double"}
    return _on_leaves(path, lambda leaf: type_name(leaf) in wanted)


def _mod(path: str, operand: Json, constraint: JsonObject, depth: int) -> Test:
    match operand:
        case [int(divisor), int(remainder)] if divisor:
            return _on_leaves(
                path,
                lambda leaf: (
                    isinstance(leaf, int | float) and is_number(leaf) and leaf % divisor == remainder
                ),
            )
        case _:
            raise refuse("malformed mod, needs to be an array with two numbers")


def _element_match(path: str, operand: Json, constraint: JsonObject, depth: int) -> Test:
    if not isinstance(operand, dict):
        raise refuse("$elemMatch needs an Object")
    of_values = any(name.startswith("$") and name not in _LOGIC for name in operand)
    test = _constraint("value", operand, _checked(depth)) if of_values else compile_match(operand, depth)
    find = compile_path(path)

    def passes(element: Json, variables: Variables) -> bool:
        if of_values:
            return test({"value": element}, variables)
        return isinstance(element, dict) and test(element, variables)

    return lambda document, variables: any(
        passes(element, variables) for leaf in find(document) if isinstance(leaf, list) for element in leaf
    )


_OPERATORS: Mapping[str, _Compile] = {
    "$eq": lambda path, operand, constraint, depth: _holds(In(path, (operand,))),
    "$ne": lambda path, operand, constraint, depth: _holds(NotIn(path, (operand,))),
    "$in": lambda path, operand, constraint, depth: _holds(In(path, _values("$in", operand))),
    "$nin": lambda path, operand, constraint, depth: _holds(NotIn(path, _values("$nin", operand))),
    "$all": lambda path, operand, constraint, depth: _holds(ContainsAll(path, _values("$all", operand))),
    "$lt": _comparison("<"),
    "$lte": _comparison("<="),
    "$gt": _comparison(">"),
    "$gte": _comparison(">="),
    "$exists": lambda path, operand, constraint, depth: _holds(Exists(path, is_true(operand))),
    "$regex": _regex,
    "$options": lambda path, operand, constraint, depth: None,
    "$not": _not,
    "$size": _size,
    "$type": _type,
    "$mod": _mod,
    "$elemMatch": _element_match,
}
