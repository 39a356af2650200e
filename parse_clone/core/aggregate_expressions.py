"""Expressions of an aggregation pipeline, compiled to functions of a document.

Documents are in the document database's form with its names (`_id`, `_created_at`, `_p_ward`), but as JSON:
dates are `__type` Date, pointers are texts. An operator is a function of its arguments (`FUNCTIONS`) or reads
them in its own way (`SPECIAL`); any other is refused (102).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from parse_clone.core.aggregate_functions import (
    ANY_NUMBER,
    DATE_FORMATS,
    DATE_PARTS,
    FUNCTIONS,
    array_of,
    as_json,
    bounded_text,
    is_date,
    is_null,
    is_true,
    local_moment,
    refuse,
    text_of,
    to_date,
)
from parse_clone.core.comparison import MISSING, Found, Missing
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.regex import compile_regex

Variables: TypeAlias = Mapping[str, Found]
Expression: TypeAlias = Callable[[JsonObject, Variables], Found]
"""Computes a value from a document and the variables in scope (`$$name`)."""

DEEPEST: Final = 50  # how far expressions, `$match` and stages may be nested


def compile_expression(source: Json, depth: int = 0) -> Expression:
    """Compile an expression: a path (`$a.b`), a variable (`$$ROOT`), an operator, or a literal."""
    if depth > DEEPEST:
        raise refuse("The pipeline is nested too deep.")
    match source:
        case str() if source.startswith("$$"):
            return _variable(source[2:])
        case str() if source.startswith("$") and len(source) > 1:
            find = compile_field(source[1:])
            return lambda document, variables: find(document)
        case list():
            parts = [compile_expression(part, depth + 1) for part in source]
            return lambda document, variables: [as_json(part(document, variables)) for part in parts]
        case dict():
            return _compile_object(source, depth)
        case _:
            return lambda document, variables: source


def compile_field(path: str) -> Callable[[Found], Found]:
    """Compile a path in expressions: it maps over arrays; a number is no index."""
    segments = path.split(".")

    def find(value: Found) -> Found:
        for place, segment in enumerate(segments):
            if isinstance(value, list):
                rest = compile_field(".".join(segments[place:]))
                found = (rest(element) for element in value if isinstance(element, dict))
                return [item for item in found if not isinstance(item, Missing)]
            value = value.get(segment, MISSING) if isinstance(value, dict) else MISSING
        return value

    return find


def _variable(text: str) -> Expression:
    name, _, path = text.partition(".")
    find = compile_field(path) if path else None

    def evaluate(document: JsonObject, variables: Variables) -> Found:
        if name in ("ROOT", "CURRENT"):
            value: Found = variables.get("ROOT", document) if name == "ROOT" else document
        elif name == "REMOVE":
            return MISSING
        elif name in variables:
            value = variables[name]
        else:
            raise refuse(f"Use of undefined variable: {name}")
        return value if find is None else find(value)

    return evaluate


def _compile_object(source: JsonObject, depth: int) -> Expression:
    operators = [name for name in source if name.startswith("$")]
    if operators and len(source) > 1:
        raise refuse(
            "an expression specification must contain exactly one field, the name of the expression."
        )
    if operators:
        return _compile_operator(operators[0], source[operators[0]], depth + 1)
    if is_date(source):
        return lambda document, variables: source
    members = {name: compile_expression(part, depth + 1) for name, part in source.items()}

    def evaluate(document: JsonObject, variables: Variables) -> Found:
        found = ((name, part(document, variables)) for name, part in members.items())
        return {name: value for name, value in found if not isinstance(value, Missing)}

    return evaluate


def _compile_operator(name: str, argument: Json, depth: int) -> Expression:
    if name in SPECIAL:
        return SPECIAL[name](name, argument, depth)
    if name in FUNCTIONS:
        return _compile_function(name, argument, depth)
    raise refuse(f"Unrecognized expression '{name}'")


def _compile_function(name: str, argument: Json, depth: int) -> Expression:
    """Compile an operator that is a function of its evaluated arguments."""
    function, least, most = FUNCTIONS[name]
    arguments = argument if isinstance(argument, list) else [argument]
    if not least <= len(arguments) <= most:
        raise refuse(
            f"Expression {name} takes {_arity(least, most)} arguments. {len(arguments)} were passed in."
        )
    parts = [compile_expression(part, depth) for part in arguments]
    if len(parts) == 1:
        only = parts[0]
        return lambda document, variables: function(only(document, variables))
    return lambda document, variables: function(*[part(document, variables) for part in parts])


def _arity(least: int, most: int) -> str:
    if least == most:
        return f"exactly {least}"
    return f"at least {least}" if most == ANY_NUMBER else f"at least {least} and at most {most}"


# --- Operators with named or unevaluated arguments ---------------------------------------------------------


def _compile_condition(name: str, argument: Json, depth: int) -> Expression:
    match argument:
        case [test, yes, no] | {"if": test, "then": yes, "else": no}:
            decide, then, otherwise = (compile_expression(part, depth) for part in (test, yes, no))
        case _:
            raise refuse("$cond needs 'if', 'then' and 'else'")
    return lambda document, variables: (then if is_true(decide(document, variables)) else otherwise)(
        document, variables
    )


def _compile_switch(name: str, argument: Json, depth: int) -> Expression:
    branches = argument.get("branches") if isinstance(argument, dict) else None
    if not isinstance(argument, dict) or not isinstance(branches, list):
        raise refuse("$switch requires at least one branch.")
    cases: list[tuple[Expression, Expression]] = []
    for branch in branches:
        match branch:
            case {"case": test, "then": then}:
                cases.append((compile_expression(test, depth), compile_expression(then, depth)))
            case _:
                raise refuse("$switch requires each branch have a 'case' and a 'then' expression")
    default = compile_expression(argument["default"], depth) if "default" in argument else None

    def evaluate(document: JsonObject, variables: Variables) -> Found:
        for test, then in cases:
            if is_true(test(document, variables)):
                return then(document, variables)
        if default is None:
            raise refuse(
                "$switch could not find a matching branch for an input, and no default was specified."
            )
        return default(document, variables)

    return evaluate


def _compile_trim(name: str, argument: Json, depth: int) -> Expression:
    given = _members(name, argument, ("input",))
    source = compile_expression(given["input"], depth)
    characters = compile_expression(given.get("chars"), depth)
    strip = {"$trim": str.strip, "$ltrim": str.lstrip, "$rtrim": str.rstrip}[name]

    def evaluate(document: JsonObject, variables: Variables) -> Found:
        value, chars = source(document, variables), characters(document, variables)
        return (
            None if is_null(value) else strip(text_of(name, value), chars if isinstance(chars, str) else None)
        )

    return evaluate


def _compile_replace(name: str, argument: Json, depth: int) -> Expression:
    given = _members(name, argument, ("input", "find", "replacement"))
    parts = [compile_expression(given[key], depth) for key in ("input", "find", "replacement")]
    count = 1 if name == "$replaceOne" else -1

    def evaluate(document: JsonObject, variables: Variables) -> Found:
        values = [part(document, variables) for part in parts]
        if is_null(*values):
            return None
        text, find, replacement = (text_of(name, value) for value in values)
        return bounded_text(text.replace(find, replacement, count))

    return evaluate


def _compile_regex_match(name: str, argument: Json, depth: int) -> Expression:
    given = _members(name, argument, ("input", "regex"))
    pattern, options = given["regex"], given.get("options", "")
    if not isinstance(pattern, str) or not isinstance(options, str):
        raise refuse("$regexMatch needs 'regex' and 'options' to be strings")
    search, source = compile_regex(pattern, options), compile_expression(given["input"], depth)

    def evaluate(document: JsonObject, variables: Variables) -> Found:
        value = source(document, variables)
        return not is_null(value) and search(text_of(name, value))

    return evaluate


def _compile_map(name: str, argument: Json, depth: int) -> Expression:
    given = _members(name, argument, ("input", "in"))
    source, body = compile_expression(given["input"], depth), compile_expression(given["in"], depth)
    variable = str(given.get("as", "this"))

    def evaluate(document: JsonObject, variables: Variables) -> Found:
        values = source(document, variables)
        if is_null(values):
            return None
        return [as_json(body(document, {**variables, variable: value})) for value in array_of(name, values)]

    return evaluate


def _compile_filter(name: str, argument: Json, depth: int) -> Expression:
    given = _members(name, argument, ("input", "cond"))
    source, test = compile_expression(given["input"], depth), compile_expression(given["cond"], depth)
    variable = str(given.get("as", "this"))

    def evaluate(document: JsonObject, variables: Variables) -> Found:
        values = source(document, variables)
        if is_null(values):
            return None
        return [
            value
            for value in array_of(name, values)
            if is_true(test(document, {**variables, variable: value}))
        ]

    return evaluate


def _compile_reduce(name: str, argument: Json, depth: int) -> Expression:
    given = _members(name, argument, ("input", "initialValue", "in"))
    source, initial, body = (compile_expression(given[key], depth) for key in ("input", "initialValue", "in"))

    def evaluate(document: JsonObject, variables: Variables) -> Found:
        values = source(document, variables)
        if is_null(values):
            return None
        result = initial(document, variables)
        for value in array_of(name, values):
            result = body(document, {**variables, "value": result, "this": value})
        return result

    return evaluate


def _compile_let(name: str, argument: Json, depth: int) -> Expression:
    given = _members(name, argument, ("vars", "in"))
    assigned, body = given["vars"], compile_expression(given["in"], depth)
    if not isinstance(assigned, dict):
        raise refuse("invalid parameter: expected an object (vars)")
    parts = {variable: compile_expression(part, depth) for variable, part in assigned.items()}

    def evaluate(document: JsonObject, variables: Variables) -> Found:
        local = {variable: part(document, variables) for variable, part in parts.items()}
        return body(document, {**variables, **local})

    return evaluate


def _compile_literal(name: str, argument: Json, depth: int) -> Expression:
    return lambda document, variables: argument


def _members(name: str, argument: Json, required: Sequence[str]) -> JsonObject:
    if not isinstance(argument, dict):
        raise refuse(f"{name} only supports an object as its argument")
    for key in required:
        if key not in argument:
            raise refuse(f"Missing '{key}' parameter to {name}")
    return argument


def _compile_date_part(name: str, argument: Json, depth: int) -> Expression:
    given = argument if isinstance(argument, dict) and "date" in argument else {"date": argument}
    source = (
        given["date"][0] if isinstance(given["date"], list) and len(given["date"]) == 1 else given["date"]
    )
    date, zone = compile_expression(source, depth), compile_expression(given.get("timezone"), depth)
    part = DATE_PARTS[name]

    def evaluate(document: JsonObject, variables: Variables) -> Found:
        moment = local_moment(name, date(document, variables), zone(document, variables))
        return None if moment is None else part(moment)

    return evaluate


def _compile_date_to_string(name: str, argument: Json, depth: int) -> Expression:
    given = _members(name, argument, ("date",))
    date, zone = compile_expression(given["date"], depth), compile_expression(given.get("timezone"), depth)
    on_null = compile_expression(given.get("onNull"), depth)
    template = given.get("format", "%Y-%m-%dT%H:%M:%S.%LZ")
    if not isinstance(template, str):
        raise refuse("$dateToString requires that 'format' be a string")
    pieces = re.findall(r"%.|[^%]+|%$", template)
    for piece in pieces:
        if piece.startswith("%") and piece not in DATE_FORMATS:
            raise refuse(f"Invalid format character '{piece}' in format string")

    def evaluate(document: JsonObject, variables: Variables) -> Found:
        moment = local_moment(name, date(document, variables), zone(document, variables))
        if moment is None:
            return on_null(document, variables)
        return "".join(DATE_FORMATS[piece](moment) if piece in DATE_FORMATS else piece for piece in pieces)

    return evaluate


def _compile_date_from_string(name: str, argument: Json, depth: int) -> Expression:
    given = _members(name, argument, ("dateString",))
    source = compile_expression(given["dateString"], depth)
    return lambda document, variables: to_date(source(document, variables))


SPECIAL: Mapping[str, Callable[[str, Json, int], Expression]] = {
    "$cond": _compile_condition,
    "$switch": _compile_switch,
    "$literal": _compile_literal,
    "$let": _compile_let,
    "$map": _compile_map,
    "$filter": _compile_filter,
    "$reduce": _compile_reduce,
    "$regexMatch": _compile_regex_match,
    "$dateToString": _compile_date_to_string,
    "$dateFromString": _compile_date_from_string,
    **dict.fromkeys(("$trim", "$ltrim", "$rtrim"), _compile_trim),
    **dict.fromkeys(("$replaceOne", "$replaceAll"), _compile_replace),
    **dict.fromkeys(DATE_PARTS, _compile_date_part),
}
"""Operators with named or unevaluated arguments."""
