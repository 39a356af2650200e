"""Where settings come from: command line, environment, a file, defaults; in this order, the first wins.

Options carry parse-server's names everywhere: `appId` in a file, `--app-id`, `PARSE_SERVER_APPLICATION_ID`.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import types
from collections.abc import Callable as AnyFunction
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from parse_clone.errors import SettingsError
from parse_clone.settings import Settings, embedded_path, read_size, wire_name

Options = Mapping[str, Any]
Kind = TypeVar("Kind")

IGNORED = frozenset(
    {
        "analyticsAdapter",
        "cacheAdapter",
        "cluster",
        "databaseAdapter",
        "directAccess",
        "emailAdapter",
        "enableExpressErrorHandler",
        "enableProductPurchaseLegacyApi",
        "encodeParseObjectInCloudFunction",
        "filesAdapter",
        "graphQLSchema",
        "loggerAdapter",
        "logLevels",
        "logsFolder",
        "masterKeyTtl",
        "maxLogFiles",
        "middleware",
        "requestContextMiddleware",
        "serverCloseComplete",
        "startLiveQueryServer",
        "verifyServerUrl",
    }
)
"""Options of parse-server that have no meaning here: read and passed over, so that a file can be shared."""


def load_settings(
    cli: Options | None = None, env: Mapping[str, str] | None = None, config_file: Path | None = None
) -> Settings:
    """Read the settings of this server. The embedded database brings keys of its own if none are given."""
    options = _merge(read_file(config_file) if config_file else {}, read_environment(env or {}))
    options = _merge(options, {name: value for name, value in (cli or {}).items() if value is not None})
    return decode_settings(_with_local_keys(options))


def decode_settings(options: Options) -> Settings:
    """Make settings of options under parse-server's names. Texts from an environment are read as what the
    option wants; other values have to be of its type."""
    if "serverURL" in options and options["serverURL"] is None:
        raise SettingsError("You must provide a serverURL!")
    return _decode_group(Settings, options, "")


# --- Sources -----------------------------------------------------------------------------------------------


class _Text(str):
    """A value from an environment or a command line: still to be read."""


def read_file(path: Path) -> Options:
    """Read a JSON file: the options themselves, or parse-server's list of `apps` with one member."""
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise SettingsError(f"The configuration file {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"The configuration file {path} is not JSON: {error}") from None
    apps = content.get("apps") if isinstance(content, dict) else None
    if apps is None:
        apps = [content]
    if not (isinstance(apps, list) and len(apps) == 1 and isinstance(apps[0], dict)):
        raise SettingsError(f"The configuration file {path} must hold the options of one application")
    return {**{k: v for k, v in content.items() if k != "apps"}, **apps[0]}


def read_environment(env: Mapping[str, str]) -> Options:
    """Read the variables that name an option; those of a group's members go on top of the group's own."""
    return _read_group(Settings, "PARSE_SERVER_", env)


def _read_group(kind: type, prefix: str, env: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for option, name, variable in _options_of(kind, prefix):
        group = _group_of(_hints(kind)[option.name])
        if variable in env:
            value = env[variable]
            found[name] = _decode_json(value, name) if group else _Text(value)
        if group is not None:
            inner = _read_group(group, _inner_prefix(variable), env)
            if inner:
                found[name] = _merge(found.get(name, {}), inner)
    return found


def _inner_prefix(variable: str) -> str:
    return variable.removesuffix("_OPTIONS") + "_"


def _options_of(kind: type, prefix: str) -> list[tuple[Field[Any], str, str]]:
    return [
        (
            option,
            option.metadata["name"] or wire_name(option.name),
            option.metadata["env"] or prefix + option.name.upper(),
        )
        for option in fields(kind)
    ]


def _merge(below: Options, above: Options) -> dict[str, Any]:
    """Lay options over others; groups are merged member by member."""
    merged = dict(below)
    for name, value in above.items():
        lower = merged.get(name)
        both_groups = isinstance(lower, Mapping) and isinstance(value, Mapping)
        merged[name] = _merge(lower, value) if both_groups and lower is not None else value
    return merged


# --- Keys of the embedded database -------------------------------------------------------------------------


def _with_local_keys(options: dict[str, Any]) -> dict[str, Any]:
    uri = str(options.get("databaseURI", _default_of("database_uri")))
    path = embedded_path(uri)
    if path is None or _is_true(options.get("production", False)) or options.get("masterKey"):
        return options
    kept = _keep_keys(path.parent / "keys.json")
    return {**kept, **{name: value for name, value in options.items() if value is not None}}


def _keep_keys(path: Path) -> dict[str, str]:
    """Read the keys that lie beside the database; the first start makes them, for the owner's eyes only."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        keys = {"appId": "parse-clone", "masterKey": secrets.token_urlsafe(32)}
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(keys, file, indent=2)
        except FileExistsError:  # another process was faster
            pass
    kept: dict[str, str] = json.loads(path.read_text())
    return kept


def _default_of(field_name: str) -> Any:
    return next(option.default for option in fields(Settings) if option.name == field_name)


def _is_true(value: object) -> bool:
    return value is True or (isinstance(value, str) and value.lower() in TRUE)


# --- Values ------------------------------------------------------------------------------------------------

TRUE = ("true", "1", "yes", "on")
FALSE = ("false", "0", "no", "off", "")


class _WrongType(Exception):
    """A value is not what its option wants; the word says what that is."""

    def __init__(self, wanted: str) -> None:
        super().__init__(wanted)
        self.wanted = wanted


def _decode_group(kind: type[Kind], options: Options, path: str) -> Kind:
    known = {name: option for option, name, _ in _options_of(kind, "")}
    _check_names(options, known, path)
    values: dict[str, Any] = {}
    for name, option in known.items():
        value = options.get(name)
        if value is None:
            if option.default is MISSING and option.default_factory is MISSING:
                raise SettingsError(option.metadata["missing"] or f"{path}{name} must be defined")
            continue
        values[option.name] = _decode_option(kind, option, name, value, path)
    return kind(**values)


def _check_names(options: Options, known: Mapping[str, object], path: str) -> None:
    for name in options:
        if name in known or (not path and name in IGNORED):
            continue
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean '{path}{near[0]}'?" if near else ""
        raise SettingsError(f"There is no option '{path}{name}'{hint}")


def _decode_option(kind: type, option: Field[Any], name: str, value: Any, path: str) -> Any:
    try:
        if option.name == "max_upload_size":
            return _decode_size(value)
        if option.metadata["takes_text"] and isinstance(value, str):
            value = _Text(value)
        return _decode(_hints(kind)[option.name], value, f"{path}{name}")
    except _WrongType as error:
        text = f"Parse Server option {path}{name} must be {error.wanted}."
        raise SettingsError(option.metadata["refusal"] or text) from None


def _decode(hint: Any, value: Any, path: str) -> Any:
    """Read a value as a type; the types are those that occur among the settings."""
    if value is None:
        return None
    group = _group_of(hint)
    if group is not None:
        return _decode_group(group, _mapping(value), f"{path}.")
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _decode_any([kind for kind in get_args(hint) if kind is not type(None)], value, path)
    if origin is tuple:
        item = get_args(hint)[0]
        return tuple(_decode(item, member, path) for member in _list(value, item))
    if origin is Literal:
        return _one_of(get_args(hint), value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        of_values = get_args(hint)[1]
        return {str(key): _decode(of_values, member, path) for key, member in _mapping(value).items()}
    return _decode_plain(hint, value)


def _decode_any(kinds: Sequence[Any], value: Any, path: str) -> Any:
    refusals: list[_WrongType] = []
    for kind in kinds:
        try:
            return _decode(kind, value, path)
        except _WrongType as error:
            refusals.append(error)
    raise refusals[0]


def _decode_plain(hint: Any, value: Any) -> Any:
    if hint is bool:
        return _boolean(value)
    if hint in (int, float):
        return _number(value, hint)
    if hint is str:
        return _text(value)
    if get_origin(hint) is re.Pattern:
        return _pattern(value)
    if get_origin(hint) is AnyFunction:
        return _function(value)
    return value  # typed as Any: whatever a provider or a push sender wants


def _text(value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    raise _WrongType("a string")


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, _Text) and value.lower() in (*TRUE, *FALSE):
        return value.lower() in TRUE
    raise _WrongType("a boolean")


def _number(value: Any, kind: type[int] | type[float]) -> int | float | None:
    if isinstance(value, _Text):
        try:
            value = float(value)
        except ValueError:
            raise _WrongType("a number") from None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise _WrongType("a number")
    if kind is int:
        if value != int(value):
            raise _WrongType("an integer")
        return int(value)
    return value


def _pattern(value: Any) -> re.Pattern[str]:
    if isinstance(value, re.Pattern):
        return value
    try:
        return re.compile(value)
    except (TypeError, re.error):
        raise _WrongType("a regular expression") from None


def _function(value: Any) -> Any:
    if callable(value):
        return value
    raise _WrongType("a function")


def _one_of(choices: Sequence[str], value: Any) -> str:
    if value in choices:
        return str(value)
    raise _WrongType("one of " + ", ".join(choices))


def _list(value: Any, item: Any) -> Sequence[Any]:
    if isinstance(value, _Text):
        if value.lstrip().startswith(("[", "{")):
            value = _decode_json(value, "")
        else:
            return [_Text(part.strip()) for part in value.split(",") if part.strip()]
    if isinstance(value, Mapping) and is_dataclass(item):
        return [value]  # parse-server takes a single rate limit without its list
    if isinstance(value, list | tuple):
        return value
    raise _WrongType("an array")


def _mapping(value: Any) -> Mapping[str, Any]:
    if isinstance(value, _Text):
        value = _decode_json(value, "")
    if isinstance(value, Mapping):
        return value
    raise _WrongType("an object")


def _decode_json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        if name:
            raise SettingsError(f"Parse Server option {name} must be an object.") from None
        raise _WrongType("JSON") from None


def _decode_size(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return read_size(value)
    except (TypeError, ValueError):
        raise _WrongType("a size such as 20mb") from None


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _group_of(hint: Any) -> type | None:
    """The dataclass that a type names, possibly as optional; None for any other type."""
    for kind in (hint, *get_args(hint)):
        if isinstance(kind, type) and is_dataclass(kind) and get_origin(hint) is not tuple:
            return kind
    return None


# --- The page about settings -------------------------------------------------------------------------------


def settings_page() -> str:
    """Write the page that documents every option, as Markdown."""
    parts = [PAGE_HEAD, _options_table(Settings, "PARSE_SERVER_", "")]
    for option, name, variable in _options_of(Settings, "PARSE_SERVER_"):
        group = _group_of(_hints(Settings)[option.name]) or _member_group_of(_hints(Settings)[option.name])
        if group is not None:
            is_list = get_origin(_hints(Settings)[option.name]) is tuple
            prefix = "" if is_list else _inner_prefix(variable)
            heading = f"## `{name}`" + (" (a list of these)" if is_list else "")
            parts += [heading, (group.__doc__ or "").strip(), _options_table(group, prefix, f"{name}.")]
    return "\n\n".join(parts) + "\n"


PAGE_HEAD = """# Settings

Every option of the server, under the names that parse-server gives them. Where a value comes from, the first
that has one wins: command line, environment variable, configuration file (`--config file.json`), default.

In a variable, lists are comma-separated or JSON, objects are JSON, yes and no are `true` and `false`.
A file holds the options as one JSON object. Options whose type is a function can only be given in Python
(`create_app(Settings(...))`).

This page is written by `make docs`."""


def _options_table(kind: type, prefix: str, path: str) -> str:
    rows = ["| Option | Default | Meaning | Variable |", "|---|---|---|---|"]
    for option, name, variable in _options_of(kind, prefix):
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
    return _group_of(get_args(hint)[0]) if get_origin(hint) is tuple else None
