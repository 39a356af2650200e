"""The page that documents every option, `docs/settings.md`, made from the options themselves."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, get_args, get_origin

from parse_clone.settings import Settings, wire_name
from parse_clone.settings_json import IGNORED, group_of, hints_of, inner_prefix, options_of


def settings_page() -> str:
    """Write the page that documents every option, as Markdown."""
    parts = [PAGE_HEAD, _options_table(Settings, "PARSE_SERVER_", "")]
    for option, name, variable in options_of(Settings, "PARSE_SERVER_"):
        group = group_of(hints_of(Settings)[option.name]) or _member_group_of(hints_of(Settings)[option.name])
        if group is not None:
            is_list = get_origin(hints_of(Settings)[option.name]) is tuple
            prefix = "" if is_list else inner_prefix(variable)
            heading = f"## `{name}`" + (" (a list of these)" if is_list else "")
            parts += [heading, inspect.getdoc(group) or "", _options_table(group, prefix, f"{name}.")]
    parts += [IGNORED_HEAD, ", ".join(f"`{name}`" for name in sorted(IGNORED)) + "."]
    return "\n\n".join(parts) + "\n"


PAGE_HEAD = """# Settings

Every option of the server, under the names that parse-server gives them. Where a value comes from, the first
that has one wins: command line, environment variable, configuration file (`--config file.json`), default.

In a variable, lists are comma-separated or JSON, objects are JSON, yes and no are `true` and `false`.
A file holds the options as one JSON object; a name that is no option is refused. Such a variable may be meant
for another program: it is told at start, and passed over. Options whose type is a function can only be given
in Python (`create_app(Settings(...))`).

This page is written by `make docs`."""


IGNORED_HEAD = """## Without meaning here

These options of parse-server are told at start and passed over, so that a configuration can be taken over:"""


def _options_table(kind: type, prefix: str, path: str) -> str:
    rows = ["| Option | Default | Meaning | Variable |", "|---|---|---|---|"]
    for option, name, variable in options_of(kind, prefix):
        variable = f"`{variable}`" if prefix or option.metadata["env"] else ""
        help_text = option.metadata["help"].replace("|", "\\|")
        rows.append(f"| `{path}{name}` | {_shown_default(option)} | {help_text} | {variable} |")
    return "\n".join(rows)


def _shown_default(option: Field[Any]) -> str:
    if option.default is MISSING and option.default_factory is MISSING:
        return "required"
    value = option.default if option.default_factory is MISSING else option.default_factory()
    if value is None or value in ("", ()) or is_dataclass(value):
        return ""
    return "`" + json.dumps(_plain(value)).replace("|", "\\|") + "`"


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        members = {wire_name(member.name): getattr(value, member.name) for member in fields(value)}
        return {name: member for name, member in members.items() if member is not None}
    if isinstance(value, Mapping):
        return {name: _plain(member) for name, member in value.items()}
    return [_plain(member) for member in value] if isinstance(value, tuple) else value


def _member_group_of(hint: Any) -> type | None:
    return group_of(get_args(hint)[0]) if get_origin(hint) is tuple else None
