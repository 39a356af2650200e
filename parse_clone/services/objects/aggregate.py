"""Pipelines and distinct values. For the master key alone: rights of rows and fields do not count here."""

from __future__ import annotations

from collections.abc import Mapping

from parse_clone.core.aggregation import check_pipeline
from parse_clone.core.context import RequestContext
from parse_clone.core.javascript import text_of
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.names import is_field_name, root_of
from parse_clone.core.query_json import FindParameters, decode_find_parameters, decode_where
from parse_clone.errors import ErrorCode, ParseError, permission_denied
from parse_clone.services.objects.auditing import audit
from parse_clone.services.objects.find import changes_by_hook
from parse_clone.services.objects.present import with_url
from parse_clone.services.objects.requests import FindRequest
from parse_clone.services.objects.steps import Find, Finder
from parse_clone.services.objects.subqueries import resolve
from parse_clone.services.toolbox import Toolbox
from parse_clone.services.triggers import AuditEvent, FindEvent, TriggerKind, run_trigger

QUERY_PARAMETERS = frozenset({"where", "hint", "comment", "explain", "readPreference"})
RAW_PARAMETERS = frozenset({"rawValues", "rawFieldNames"})


async def walk_aggregate(
    run: Finder, toolbox: Toolbox, context: RequestContext, class_name: str, parameters: JsonObject
) -> list[Json]:
    """Answer the aggregate route: the rows with which a pipeline ends, or the distinct values of a field.
    `run` answers the subqueries of a `where`."""
    check_may_aggregate(toolbox, context)
    query = decode_find_parameters(chosen(parameters, QUERY_PARAMETERS))
    path = parameters.get("distinct")
    stages = check_pipeline(pipeline_of(parameters))
    where = await run_before_aggregate(toolbox, context, class_name, parameters, query)
    schema = await toolbox.catalog.get(class_name)
    if schema is None:
        return []
    await audit(toolbox, AuditEvent("aggregate", class_name, (), context, where=where))
    for other in sorted(classes_joined(list(stages)) - {class_name}):
        await audit(toolbox, AuditEvent("aggregate", other, (), context))
    if path:
        condition = decode_where(where, schema, context.auth, now=toolbox.clock.now())
        find = Find(FindRequest(class_name), query, run, schema, where=condition)
        return await distinct_values(toolbox, context, find, text_of(path))
    options = engine_options(toolbox, parameters, query)
    rows = await toolbox.storage.aggregate(schema, stages, options)
    if options["rawValues"] or options["rawFieldNames"]:
        return list(rows)
    return [{name: with_url(toolbox, context, value) for name, value in row.items()} for row in rows]


def check_may_aggregate(toolbox: Toolbox, context: RequestContext) -> None:
    """Refuse everybody without the master key; settings say whether the read-only one is enough."""
    if not context.auth.is_master:
        raise permission_denied("unauthorized: master key is required")
    if context.auth.is_read_only and not toolbox.settings.allow_aggregation_for_read_only_master_key:
        text = "Cannot run an aggregation pipeline when using the readOnlyMasterKey"
        raise ParseError(ErrorCode.OPERATION_FORBIDDEN, text)


def chosen(parameters: JsonObject, names: frozenset[str]) -> JsonObject:
    """The parameters of these names."""
    return {name: value for name, value in parameters.items() if name in names}


def pipeline_of(parameters: JsonObject) -> Json:
    """The pipeline: a parameter of its own, or whatever else stands at the top."""
    pipeline = parameters.get("pipeline")
    if pipeline:
        return pipeline
    others = QUERY_PARAMETERS | RAW_PARAMETERS | {"distinct", "pipeline"}
    return {name: value for name, value in parameters.items() if name not in others}


async def run_before_aggregate(
    toolbox: Toolbox, context: RequestContext, class_name: str, parameters: JsonObject, query: FindParameters
) -> JsonObject:
    """Let cloud code refuse, or change the `where` of distinct values; a pipeline it cannot change."""
    if not toolbox.triggers.has(class_name, TriggerKind.BEFORE_FIND):
        return query.where
    shown: JsonObject = {**parameters, "where": dict(query.where)}
    event = FindEvent(TriggerKind.BEFORE_FIND, class_name, context, parameters=shown)
    await run_trigger(toolbox, event)
    return decode_find_parameters(chosen(changes_by_hook(event.parameters), frozenset({"where"}))).where


JOINS = {"$lookup": "from", "$graphLookup": "from", "$unionWith": "coll"}
"""Stages that read another class, and the member of their argument that names it."""


def classes_joined(pipeline: Json) -> set[str]:
    """The classes that a pipeline reads besides its own, those of pipelines inside of it included."""
    found: set[str] = set()
    if isinstance(pipeline, dict):
        for name, argument in pipeline.items():
            member = JOINS.get(name)
            named = argument.get(member) if member and isinstance(argument, dict) else argument
            if member is not None and isinstance(named, str):
                found.add(named)
            found |= classes_joined(argument)
    elif isinstance(pipeline, list):
        found.update(*map(classes_joined, pipeline))
    return found


async def distinct_values(toolbox: Toolbox, context: RequestContext, find: Find, path: str) -> list[Json]:
    """The different values of a field among the matches."""
    if not is_field_name(root_of(path), find.schema.name):
        return []
    matching = await resolve(toolbox, context, find, find.where)
    values = await toolbox.storage.distinct(find.schema, path, matching)
    return [with_url(toolbox, context, value) for value in values]


def engine_options(toolbox: Toolbox, parameters: JsonObject, query: FindParameters) -> Mapping[str, Json]:
    """What an engine is told besides the stages; settings fill in what the request leaves open."""
    defaults = toolbox.settings.query
    raw_values, raw_names = parameters.get("rawValues"), parameters.get("rawFieldNames")
    return {
        "hint": query.hint,
        "comment": query.comment,
        "explain": query.explain,
        "readPreference": query.read_preference,
        "rawValues": raw_values if isinstance(raw_values, bool) else defaults.aggregation_raw_values,
        "rawFieldNames": raw_names if isinstance(raw_names, bool) else defaults.aggregation_raw_field_names,
    }
