"""Answering a query: one list of steps, read top to bottom.

Who may see a row is part of the query that the engine runs, not a filter afterwards. System classes have
lists of their own in their rooms, made of these steps and a few more.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from functools import lru_cache

import orjson

from parse_clone.core.class_permissions import ClassOperation
from parse_clone.core.context import RequestContext
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.names import RESERVED_FIELDS, root_of
from parse_clone.core.permissions import ObjectOperation, check_class_access, check_query_paths, row_condition
from parse_clone.core.query import NOTHING, In, Page, all_of, object_id_is
from parse_clone.core.query_json import (
    FindParameters,
    asked_paths,
    decode_find_parameters,
    decode_get_parameters,
    decode_order,
    decode_where,
)
from parse_clone.core.query_limits import CLIENT_LIMITS, MASTER_LIMITS, QueryLimits
from parse_clone.core.schema import ClassSchema
from parse_clone.core.system_classes import CLIENT_CREATABLE, new_schema
from parse_clone.errors import ErrorCode, ParseError, object_not_found, permission_denied
from parse_clone.ports import EncodedRow
from parse_clone.services.objects.auditing import audit_found
from parse_clone.services.objects.include import (
    check_includes,
    include_pointers,
    included_paths,
    inclusive_fields,
)
from parse_clone.services.objects.present import Presenter, relation_fields
from parse_clone.services.objects.relations import redirected_class
from parse_clone.services.objects.requests import FindAnswer, FindRequest
from parse_clone.services.objects.steps import Find, Finder, FindStep, changed
from parse_clone.services.objects.subqueries import check_subquery_depth, resolve_subqueries
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import FindEvent, FoundEvent, TriggerKind, run_trigger
from parse_clone.settings import RequestComplexity


async def walk_find(
    steps: Sequence[FindStep], run: Finder, toolbox: Toolbox, context: RequestContext, request: FindRequest
) -> FindAnswer:
    """Walk a query through its steps; a step that sets an answer ends the walk."""
    find = await start_find(run, toolbox, context, request)
    for step in steps:
        find = await step(toolbox, context, find)
        if find.answer is not None:
            return find.answer
    return answer_find(find)


async def start_find(run: Finder, toolbox: Toolbox, context: RequestContext, request: FindRequest) -> Find:
    """Decode a request: may this caller query the class at all, and what does he ask for?"""
    parameters = decode_parameters(toolbox, request)
    operation: ObjectOperation = "get" if is_one_object(request, parameters) else "find"
    check_class_access(request.class_name, operation, context.auth)
    check_explain(toolbox, context, parameters)
    check_subquery_depth(toolbox, context, request)
    schema = await toolbox.catalog.get(request.class_name)
    is_known_class = schema is not None
    return Find(request, parameters, run, schema or new_schema(request.class_name), is_known_class)


# --- Parameters ------------------------------------------------------------------------------------------


def decode_parameters(toolbox: Toolbox, request: FindRequest) -> FindParameters:
    """Decode what a request asks for; a get becomes a query for one id."""
    if request.object_id is None:
        return with_limit(toolbox, request, decode_find_parameters(request.parameters))
    where: JsonObject = {"objectId": request.object_id}
    if not request.parameters:
        return FindParameters(where=where, limit=1)
    return replace(decode_get_parameters(request.parameters), where=where, limit=1)


def with_limit(toolbox: Toolbox, request: FindRequest, parameters: FindParameters) -> FindParameters:
    """Bound the rows: a client's query without a limit has the default one."""
    if request.is_get:
        limit: int | None = 1
    elif parameters.limit is None:
        limit = toolbox.settings.default_limit if request.purpose == "client" else None
    elif request.max_limit is not None and parameters.limit > request.max_limit:
        limit = request.max_limit
    else:
        return parameters
    return parameters if limit == parameters.limit else replace(parameters, limit=limit)


def check_explain(toolbox: Toolbox, context: RequestContext, parameters: FindParameters) -> None:
    """Refuse to tell clients how the engine works."""
    if parameters.explain is None or context.auth.is_master:
        return
    if not toolbox.settings.database_options.allow_public_explain:
        text = "Using the explain query parameter requires the master key"
        raise ParseError(ErrorCode.INVALID_QUERY, text)


def with_changes(toolbox: Toolbox, find: Find, changes: JsonObject) -> Find:
    """Ask for something else than the request does."""
    wire: JsonObject = {**find.request.parameters, "where": find.parameters.where, **changes}
    parameters = with_limit(toolbox, find.request, decode_find_parameters(wire))
    return changed(find, request=replace(find.request, parameters=wire), parameters=parameters)


def named_id(parameters: FindParameters) -> str | None:
    """The object id, if the query asks for nothing but one id."""
    object_id = parameters.where.get("objectId")
    return object_id if len(parameters.where) == 1 and isinstance(object_id, str) else None


BY_IDS = ("include", "holder")
"""Purposes of queries that get objects by their ids."""


def included_ids(find: Find) -> tuple[str, ...] | None:
    """The object ids of an include that no hook has changed: they are the server's own, and may be many."""
    if find.request.purpose not in BY_IDS:
        return None
    match find.parameters:
        case FindParameters(where={"objectId": {"$in": list(ids)}, **others}, order="") if not others:
            return tuple([text for text in ids if isinstance(text, str)])
    return None


def is_one_object(request: FindRequest, parameters: FindParameters) -> bool:
    """Does this get one object by its id? So does an include of a single object."""
    return request.is_get or (request.purpose in BY_IDS and named_id(parameters) is not None)


# --- Steps -----------------------------------------------------------------------------------------------


async def redirect(toolbox: Toolbox, context: RequestContext, find: Find) -> Find:
    """`redirectClassNameForKey`: query the class that a relation leads to; its rows name their class."""
    key = find.parameters.redirect_key
    if key is None:
        return find
    target = await redirected_class(toolbox, find.schema.name, key)
    rest = {k: value for k, value in find.request.parameters.items() if k != "redirectClassNameForKey"}
    request = replace(find.request, class_name=target, parameters=rest, accepts_encoded=False)
    answer = await find.run(toolbox, context, request)
    for row in answer.results:
        row["className"] = target
    return changed(find, answer=answer)


async def check_class_exists(toolbox: Toolbox, context: RequestContext, find: Find) -> Find:
    """Refuse a class that does not exist, unless a save of this caller could make it: then it is empty."""
    if (
        find.is_known_class
        or context.auth.is_privileged
        or toolbox.settings.allow_client_class_creation
        or find.schema.name in CLIENT_CREATABLE
    ):
        return find
    raise permission_denied(f"This user is not allowed to access non-existent class: {find.schema.name}")


async def decode_query(toolbox: Toolbox, context: RequestContext, find: Find) -> Find:
    """Decode the query by the class's field types; refuse what is too large or asks for protected fields."""
    includes = included_paths(find.parameters, find.schema)
    check_includes(toolbox, context, includes)
    object_id = named_id(find.parameters)
    if object_id is not None and not find.parameters.order:
        return changed(find, where=object_id_is(object_id), includes=includes)
    if (ids := included_ids(find)) is not None:
        return changed(find, where=In("objectId", ids), includes=includes)
    where = decode_where(
        find.parameters.where,
        find.schema,
        context.auth,
        query_limits(toolbox.settings.request_complexity),
        now=toolbox.clock.now(),
    )
    order = decode_order(find.parameters.order, find.schema)
    pinned = find.parameters.where.get("objectId")
    check_query_paths(
        find.schema,
        context.auth,
        toolbox.protection,
        asked_paths(where),
        [key.path for key in order],
        object_id=pinned if isinstance(pinned, str) else None,
    )
    return changed(find, where=where, order=order, includes=includes)


@lru_cache(maxsize=16)
def query_limits(complexity: RequestComplexity) -> QueryLimits:
    """What the settings say about the size of a query."""
    depth = MASTER_LIMITS.query_depth if complexity.query_depth is None else complexity.query_depth
    return replace(CLIENT_LIMITS, query_depth=depth, allow_regex=complexity.allow_regex)


async def fetch(toolbox: Toolbox, context: RequestContext, find: Find) -> Find:
    """Read what matches and the caller may read, with one call; for no rows at all nothing is asked."""
    if find.parameters.limit == 0:
        return find
    operation = class_operation(find)
    readable = row_condition(find.schema, operation, context.auth)
    if readable is NOTHING and operation == "get" and find.request.purpose == "client":
        raise object_not_found()  # Parse quirk: also to a query that names one id and nothing else
    if not find.is_known_class:
        return find
    where = all_of(find.matching, readable)
    presenter = Presenter(toolbox, context, find.schema)
    page = page_of(find, presenter)
    if find.parameters.explain is not None:
        plan = await toolbox.storage.explain(find.schema, where, page, find.parameters.explain)
        return changed(find, plan=plan)
    if is_seen_by_nobody(toolbox, find, presenter):
        texts = await toolbox.storage.find_json(find.schema, where, page)
        return changed(find, encoded=with_relations(texts, find.schema))
    rows = await toolbox.storage.find(find.schema, where, page)
    if not presenter.shows_rows_themselves:
        rows = [presenter.present(row) for row in rows]
    drop_unasked(rows, find, presenter)
    return changed(find, rows=rows)


def class_operation(find: Find) -> ClassOperation:
    """Which class permission the query needs: one object by its id is a `get`, and so are includes."""
    is_get = find.request.is_get or find.request.purpose in BY_IDS or named_id(find.parameters) is not None
    return "get" if is_get else "find"


def is_seen_by_nobody(toolbox: Toolbox, find: Find, presenter: Presenter) -> bool:
    """Can the rows go from the engine to the client without a look into them?"""
    return (
        find.request.accepts_encoded
        and not find.includes
        and presenter.shows_stored_form
        and not toolbox.triggers.has(find.schema.name, TriggerKind.AFTER_FIND)
    )


def with_relations(rows: list[EncodedRow], schema: ClassSchema) -> list[EncodedRow]:
    """Add what objects show of their relations to rows that are text."""
    if not schema.relations:
        return rows
    relations = orjson.dumps(relation_fields(schema))[1:]
    return [(object_id, b"%b,%b" % (text[:-1], relations)) for object_id, text in rows]


def page_of(find: Find, presenter: Presenter) -> Page:
    """The part of the matches to read, with what it takes to decide which fields the caller sees."""
    asked = asked_fields(find)
    parameters = find.parameters
    return Page(
        limit=parameters.limit,
        skip=parameters.skip,
        order=find.order,
        keys=None if asked is None else asked | presenter.view.needed_fields,
        hint=parameters.hint,
        comment=parameters.comment,
        read_preference=parameters.read_preference,
    )


def asked_fields(find: Find) -> frozenset[str] | None:
    """The root fields that `keys` and `excludeKeys` leave; None: all."""
    keys, excluded = find.parameters.keys, find.parameters.exclude_keys
    if keys is None and not excluded:
        return None
    names = find.schema.fields if keys is None else keys
    asked = {root_of(name) for name in names if name not in excluded}
    if find.parameters.include_all:
        asked.update(inclusive_fields(find.schema))
    return frozenset(asked)


def drop_unasked(rows: Sequence[JsonObject], find: Find, presenter: Presenter) -> None:
    """Take away again what was read only to decide which fields the caller sees."""
    asked = asked_fields(find) if presenter.view.needed_fields else None
    if asked is not None:
        for name in presenter.view.needed_fields - asked - RESERVED_FIELDS:
            for row in rows:
                row.pop(name, None)


async def count(toolbox: Toolbox, context: RequestContext, find: Find) -> Find:
    """Count what matches and the caller may count, whatever part of it was read."""
    if not find.parameters.count:
        return find
    countable = row_condition(find.schema, "count", context.auth)
    if not find.is_known_class:
        return changed(find, count=0)
    counted = await toolbox.storage.count(find.schema, all_of(find.matching, countable))
    return changed(find, count=counted)


# --- Hooks -----------------------------------------------------------------------------------------------


async def run_before_find(toolbox: Toolbox, context: RequestContext, find: Find) -> Find:
    """Let cloud code change the query, answer it, or refuse it."""
    if not toolbox.triggers.has(find.schema.name, TriggerKind.BEFORE_FIND):
        return find
    event = FindEvent(
        TriggerKind.BEFORE_FIND,
        find.schema.name,
        context,
        parameters=hook_parameters(find),
        is_get=is_one_object(find.request, find.parameters),
        is_count=find.parameters.count,
    )
    await run_trigger(toolbox, event)
    find = with_changes(toolbox, find, changes_by_hook(event.parameters))
    return find if event.results is None else await take_results(toolbox, context, find, event.results)


def hook_parameters(find: Find) -> JsonObject:
    """The parameters as a hook sees them: its own copy, the default limit filled in."""
    parameters = deepcopy(find.request.parameters)
    parameters["where"] = deepcopy(find.parameters.where)
    if find.request.purpose == "client" and not find.request.is_get:
        parameters["limit"] = find.parameters.limit
    return parameters


CHANGEABLE = (
    "limit",
    "skip",
    "order",
    "keys",
    "excludeKeys",
    "include",
    "hint",
    "explain",
    "comment",
    "readPreference",
    "includeReadPreference",
    "subqueryReadPreference",
)
"""What a hook may change, besides `where`."""


def changes_by_hook(parameters: JsonObject) -> JsonObject:
    """Read what a hook made of the parameters.

    Parse quirk: it can take nothing away; an empty or zero parameter means "as it was".
    """
    changes: JsonObject = {name: parameters[name] for name in CHANGEABLE if parameters.get(name)}
    if isinstance(parameters.get("where"), dict):
        changes["where"] = parameters["where"]
    return changes


async def take_results(
    toolbox: Toolbox, context: RequestContext, find: Find, results: Sequence[JsonObject]
) -> Find:
    """Take the objects that a hook answers with; for a client they are read again, with its rights."""
    ids: list[Json] = [row["objectId"] for row in results if row.get("objectId")]
    if ids and not context.auth.is_privileged:
        return with_changes(
            toolbox, find, {"where": {"objectId": ids[0] if find.request.is_get else {"$in": ids}}}
        )
    rows = [{name: value for name, value in row.items() if name not in ENVELOPE} for row in results]
    find = await run_after_find(toolbox, context, changed(find, rows=rows))
    find = await audit_found(toolbox, context, find)
    return changed(find, answer=answer_find(find))


ENVELOPE = ("__type", "className")
"""What an object says about itself where its class is not known from the place."""


async def run_after_find(toolbox: Toolbox, context: RequestContext, find: Find) -> Find:
    """Let cloud code change or replace what was found. Parse quirk: the rows then name their class."""
    if find.plan is not None or not toolbox.triggers.has(find.schema.name, TriggerKind.AFTER_FIND):
        return find
    for row in find.rows:
        row.setdefault("className", find.schema.name)
    event = FoundEvent(
        TriggerKind.AFTER_FIND,
        find.schema.name,
        context,
        objects=find.rows,
        parameters=hook_parameters(find),
        is_get=is_one_object(find.request, find.parameters),
    )
    await run_trigger(toolbox, event)
    return changed(find, rows=event.objects)


# --- Answer ----------------------------------------------------------------------------------------------


def answer_find(find: Find) -> FindAnswer:
    """What the door gets; a get without a row is an error."""
    if find.request.is_get and not find.rows and not find.encoded:
        raise object_not_found()
    encoded = None if find.encoded is None else [text for _, text in find.encoded]
    return FindAnswer(find.rows, find.count, encoded, find.plan)


READ_STEPS: tuple[FindStep, ...] = (
    redirect,
    check_class_exists,
    run_before_find,
    decode_query,
    resolve_subqueries,
    fetch,
    count,
    include_pointers,
    run_after_find,
)
"""All that makes what is read; nothing is done to it after the audit."""

FIND_STEPS: tuple[FindStep, ...] = (*READ_STEPS, audit_found)
