"""From a stored object to what one caller may read: the one projection that every answer goes through.

Hides protected fields and internal members, shows relation fields, completes files by their URL.
"""

from __future__ import annotations

from collections.abc import Hashable

from parse_clone.core.context import RequestContext
from parse_clone.core.file_names import historic_url, url_path
from parse_clone.core.file_signatures import MASTER_PRINCIPAL, PARAMETER, Grant, derive_key, expiry, sign
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.permissions import FieldView, field_view, visible
from parse_clone.core.schema import ClassSchema
from parse_clone.core.values import relation
from parse_clone.services.toolbox import Toolbox
from parse_clone.settings import Settings


class Presenter:
    """Presents the rows of one class to one caller; made once per request."""

    def __init__(self, toolbox: Toolbox, context: RequestContext, schema: ClassSchema) -> None:
        self.view: FieldView = field_view(schema, context.auth, toolbox.protection)
        self._schema = schema
        self._toolbox = toolbox
        self._context = context

    @property
    def sight(self) -> Hashable:
        """What the visible form depends on besides the row: callers of equal sight see the same."""
        schema, context = self._schema, self._context
        base_url = context.base_url if schema.holding_fields else ""
        return self.view, base_url, principal_of(context) if self._signs else ""

    @property
    def _signs(self) -> bool:
        return signs(self._toolbox, self._schema)

    @property
    def shows_stored_form(self) -> bool:
        """Are rows shown as they are stored, but for the relation fields?"""
        return self.view.shows_all and not self._schema.holding_fields

    @property
    def shows_rows_themselves(self) -> bool:
        """Are rows shown exactly as they are stored?"""
        return self.shows_stored_form and not self._schema.relations

    def present(self, row: JsonObject) -> JsonObject:
        """Build the visible form of a row; the row itself stays as it is."""
        schema = self._schema
        shown = visible(row, self.view)
        if shown is row or schema.relations or schema.holding_fields:
            shown = {**shown, **relation_fields(schema)}
        return with_urls(self._toolbox, self._context, schema, shown)


def present(toolbox: Toolbox, context: RequestContext, schema: ClassSchema, row: JsonObject) -> JsonObject:
    """Show one stored object to the caller."""
    return Presenter(toolbox, context, schema).present(row)


def relation_fields(schema: ClassSchema) -> JsonObject:
    """What an object shows of its relations: their class. The links are found by queries."""
    return {name: relation(target) for name, target in schema.relations.items()}


# --- URLs of files ---------------------------------------------------------------------------------------


def with_urls(
    toolbox: Toolbox, context: RequestContext, schema: ClassSchema, shown: JsonObject
) -> JsonObject:
    """Complete the files of an object, or of a part of it, by URLs; those of private ones are good for this
    caller, for a while."""
    found: JsonObject = {
        name: with_url(toolbox, context, shown[name]) for name in schema.file_fields if name in shown
    }
    if signs(toolbox, schema):
        settings, now = toolbox.settings, toolbox.clock.now().timestamp()
        grant = Grant(principal_of(context), expiry(now, settings.file_url_lifetime))
        for name in schema.private_fields:
            if name in shown:
                found[name] = with_signed_urls(toolbox, context, shown[name], grant)
    return {**shown, **found} if found else shown


def with_signed_urls(toolbox: Toolbox, context: RequestContext, value: Json, grant: Grant) -> Json:
    """Sign the URLs of all files in a value."""
    match value:
        case {"__type": "File", "name": str(name)}:
            proof = sign(grant, name, signing_key(toolbox.settings))
            url = file_url(toolbox, context, name)
            return {"__type": "File", "name": name, "url": f"{url}?{PARAMETER}={proof}"}
        case list():
            return [with_signed_urls(toolbox, context, member, grant) for member in value]
        case dict():
            return {key: with_signed_urls(toolbox, context, member, grant) for key, member in value.items()}
        case _:
            return value


def with_url(toolbox: Toolbox, context: RequestContext, value: Json) -> Json:
    """Complete a file value by the URL under which it can be read now; only the name is stored."""
    if isinstance(value, dict) and value.get("__type") == "File":
        name = value.get("name")
        if isinstance(name, str):
            return {**value, "url": file_url(toolbox, context, name)}
    return value


def file_url(toolbox: Toolbox, context: RequestContext, name: str) -> str:
    """The URL of a stored file."""
    settings = toolbox.settings
    return historic_url(settings.file_key, name) or context.base_url + url_path(settings.app_id, name)


# --- Signatures ------------------------------------------------------------------------------------------


def signs(toolbox: Toolbox, schema: ClassSchema) -> bool:
    """Has the class private files?"""
    return bool(schema.private_fields) and toolbox.settings.private_files


def principal_of(context: RequestContext) -> str:
    """The name under which a caller is given signed URLs. What cloud code reads with master rights is still
    meant for the one who made it act."""
    auth = context.on_behalf_of or context.auth
    return MASTER_PRINCIPAL if auth.is_privileged else auth.user_id or "*"


def signing_key(settings: Settings) -> bytes:
    """The key of signed URLs."""
    return derive_key(settings.file_signing_key or settings.master_key)
