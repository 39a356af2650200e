"""The GraphQL config: which classes and fields the GraphQL API shows. One object, replaced whole."""

from __future__ import annotations

from parse_clone.core.context import RequestContext
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.operations import Set
from parse_clone.core.query import Page, object_id_is
from parse_clone.core.system_classes import system_schema
from parse_clone.errors import ErrorCode, ParseError, permission_denied
from parse_clone.services.toolbox import Toolbox

CLASS = system_schema("_GraphQLConfig")
ROW = "1"
"""There is one config, and this is its object id."""


async def read_graphql_config(toolbox: Toolbox) -> JsonObject:
    """The stored config; empty if there is none."""
    found = await toolbox.storage.find(CLASS, object_id_is(ROW), Page(limit=1))
    config = found[0].get("config") if found else None
    return config if isinstance(config, dict) else {}


async def update_graphql_config(toolbox: Toolbox, context: RequestContext, config: Json) -> None:
    """Replace the config."""
    if context.auth.is_read_only:
        raise permission_denied("read-only masterKey isn't allowed to update the GraphQL config.")
    if not isinstance(config, dict):
        raise ParseError(ErrorCode.INVALID_JSON, "Invalid graphQLConfig: params must be an object")
    await toolbox.storage.update(CLASS, object_id_is(ROW), {"config": Set(config)}, upsert=True)
