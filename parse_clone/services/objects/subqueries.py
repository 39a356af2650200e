"""A `Where` becomes a `Condition`: subqueries are answered, relations looked up. Engines meet neither.

Every subquery is a find of its own, with the caller's rights; `$relatedTo` and constraints on relation fields
are the business of `relations.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from parse_clone.core.context import RequestContext
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.names import root_of
from parse_clone.core.query import (
    AllOf,
    AnyOf,
    Condition,
    In,
    InQuery,
    Leaf,
    NoneOf,
    NotIn,
    RelatedTo,
    Select,
    Subquery,
    Where,
    leaves,
)
from parse_clone.core.values import pointer
from parse_clone.errors import ErrorCode, ParseError
from parse_clone.services.objects.relations import (
    find_related,
    is_on_relation,
    redirected_class,
    resolve_relation,
)
from parse_clone.services.objects.requests import FindRequest
from parse_clone.services.objects.steps import Find, changed
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import TriggerKind

MASTER_SUBQUERY_DEPTH = 30
"""Subqueries answer each other from the inside; without an end the program's own stack would be it."""


def check_subquery_depth(toolbox: Toolbox, context: RequestContext, request: FindRequest) -> None:
    """Refuse a subquery inside of too many others, wherever it comes from."""
    own_limit = toolbox.settings.request_complexity.subquery_depth
    limit = MASTER_SUBQUERY_DEPTH if context.auth.is_privileged or own_limit is None else own_limit
    if request.depth > limit:
        text = f"Subquery nesting depth exceeds maximum allowed depth of {limit}"
        raise ParseError(ErrorCode.INVALID_QUERY, text)


async def resolve_subqueries(toolbox: Toolbox, context: RequestContext, find: Find) -> Find:
    """Answer every subquery and look up every relation of the query."""
    return changed(find, matching=await resolve(toolbox, context, find, find.where))


async def resolve(toolbox: Toolbox, context: RequestContext, find: Find, where: Where) -> Condition:
    """Put answers into the places of a `Where` where engines have none."""
    answers: dict[int, Condition] = {}
    for leaf in leaves(where):
        if isinstance(leaf, Subquery) or is_on_relation(leaf, find.schema):
            answers[id(leaf)] = await resolve_leaf(toolbox, context, find, leaf)
    return substitute(where, answers)


async def resolve_leaf(
    toolbox: Toolbox, context: RequestContext, find: Find, leaf: Leaf | Subquery
) -> Condition:
    """Answer one subquery, one constraint on a relation field, or a subquery on a relation field."""
    match leaf:
        case RelatedTo():
            return await find_related(toolbox, context, leaf)
        case InQuery():
            values = await pointers_found(toolbox, context, find, leaf)
            leaf = one_of(leaf.path, values, negated=leaf.negated)
        case Select():
            values = await values_found(toolbox, context, find, leaf)
            leaf = one_of(leaf.path, values, negated=leaf.negated)
    if is_on_relation(leaf, find.schema):
        return await resolve_relation(toolbox, find.schema, leaf)
    return leaf


def one_of(path: str, values: Sequence[Json], *, negated: bool) -> In | NotIn:
    """The constraint that a subquery's answer stands for."""
    return NotIn(path, tuple(values)) if negated else In(path, tuple(values))


async def pointers_found(
    toolbox: Toolbox, context: RequestContext, find: Find, subquery: InQuery
) -> list[Json]:
    """Run `$inQuery`: pointers to the rows it finds."""
    rows = await run(toolbox, context, find, subquery, "objectId")
    class_name = subquery.class_name
    if subquery.redirect_key:
        class_name = await redirected_class(toolbox, class_name, subquery.redirect_key)
    return [pointer(class_name, str(row["objectId"])) for row in rows if "objectId" in row]


async def values_found(toolbox: Toolbox, context: RequestContext, find: Find, subquery: Select) -> list[Json]:
    """Run `$select`: what the rows it finds have at its key, arrays element by element, null left out."""
    rows = await run(toolbox, context, find, subquery, root_of(subquery.key))
    found = (value_at(row, subquery.key) for row in rows)
    elements = (item for value in found for item in (value if isinstance(value, list) else (value,)))
    return [element for element in elements if element is not None]


def value_at(row: JsonObject, path: str) -> Json:
    """The value at a dotted path, None if there is none."""
    value: Json = row
    for name in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


async def run(
    toolbox: Toolbox, context: RequestContext, find: Find, subquery: InQuery | Select, key: str
) -> list[JsonObject]:
    """Find a subquery's rows with the caller's rights. Hooks see whole rows, others only what is needed."""
    parameters: JsonObject = {"where": subquery.where}
    if subquery.redirect_key:
        parameters["redirectClassNameForKey"] = subquery.redirect_key
    elif not toolbox.triggers.has(subquery.class_name, TriggerKind.BEFORE_FIND, TriggerKind.AFTER_FIND):
        parameters["keys"] = key
    own_preference = find.parameters.subquery_read_preference
    preference = own_preference or find.parameters.read_preference
    if preference:
        parameters["readPreference"] = preference
    if own_preference:
        parameters["subqueryReadPreference"] = own_preference
    limit = toolbox.settings.request_complexity.subquery_limit
    if limit is not None and not context.auth.is_privileged:
        parameters["limit"] = limit
    request = FindRequest(subquery.class_name, parameters, purpose="subquery", depth=find.request.depth + 1)
    return (await find.run(toolbox, context, request)).results


def substitute(where: Where, answers: Mapping[int, Condition]) -> Condition:
    """Rebuild a tree with the answers in the places of its subqueries."""
    match where:
        case AllOf(parts):
            return AllOf(tuple([substitute(part, answers) for part in parts]))
        case AnyOf(parts):
            return AnyOf(tuple([substitute(part, answers) for part in parts]))
        case NoneOf(parts):
            return NoneOf(tuple([substitute(part, answers) for part in parts]))
        case InQuery() | Select() | RelatedTo():
            return answers[id(where)]
        case _:
            return answers.get(id(where), where)
