"""From a stored object to what one caller may read: the one projection that every answer goes through.

Hides protected fields and internal members, shows relation fields, completes files by their URL.
"""

from __future__ import annotations

from parse_clone.core.context import RequestContext
from parse_clone.core.file_names import historic_url, url_path
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.permissions import FieldView, field_view, visible
from parse_clone.core.schema import ClassSchema
from parse_clone.core.values import relation
from parse_clone.services.toolbox import Toolbox


class Presenter:
    """Presents the rows of one class to one caller; made once per request."""

    def __init__(self, toolbox: Toolbox, context: RequestContext, schema: ClassSchema) -> None:
        self.view: FieldView = field_view(schema, context.auth, toolbox.protection)
        self._schema = schema
        self._toolbox = toolbox
        self._context = context

    @property
    def shows_stored_form(self) -> bool:
        """Are rows shown as they are stored, but for the relation fields?"""
        return self.view.shows_all and not self._schema.file_fields

    def present(self, row: JsonObject) -> JsonObject:
        """Build the visible form of a row; the row itself stays as it is."""
        schema = self._schema
        shown = visible(row, self.view)
        if shown is row or schema.relations or schema.file_fields:
            shown = {**shown, **relation_fields(schema)}
        for name in schema.file_fields:
            if name in shown:
                shown[name] = with_url(self._toolbox, self._context, shown[name])
        return shown


def present(toolbox: Toolbox, context: RequestContext, schema: ClassSchema, row: JsonObject) -> JsonObject:
    """Show one stored object to the caller."""
    return Presenter(toolbox, context, schema).present(row)


def relation_fields(schema: ClassSchema) -> JsonObject:
    """What an object shows of its relations: their class. The links are found by queries."""
    return {name: relation(target) for name, target in schema.relations.items()}


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
