"""Where settings come from: command line, environment, a file, defaults; in this order, the first wins.

Options carry parse-server's names everywhere: `appId` in a file, `--app-id`, `PARSE_SERVER_APPLICATION_ID`.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import Field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from parse_clone.errors import SettingsError
from parse_clone.settings import Settings, embedded_path
from parse_clone.settings_json import (
    IGNORED_VARIABLES,
    TRUE,
    Options,
    Text,
    check_options,
    decode_json,
    decode_option,
    decode_settings,
    group_of,
    hints_of,
    ignored_options,
    inner_prefix,
    options_of,
)

Tell = Callable[[str], None]


def load_settings(
    cli: Options | None = None,
    env: Mapping[str, str] | None = None,
    config_file: Path | None = None,
    tell: Tell = lambda text: None,
) -> Settings:
    """Read the settings of this server; `tell` is told of what was passed over. The embedded database brings
    keys of its own if none are given."""
    options = _merge(read_file(config_file) if config_file else {}, read_environment(env or {}))
    for name in ignored_options(options):
        tell(f"The option '{name}' has no meaning here: it is passed over.")
    for text in unknown_variables(env or {}):
        tell(text)
    options = _merge(options, {name: value for name, value in (cli or {}).items() if value is not None})
    options = _with_local_keys(options)
    for name, variable in (("appId", "APPLICATION_ID"), ("masterKey", "MASTER_KEY")):
        if not options.get(name):
            article = "an" if name == "appId" else "a"
            advice = f"Set PARSE_SERVER_{variable}, or {name} in the file of --config."
            raise SettingsError(f"You must provide {article} {name}! {advice}")
    return decode_settings(options)


# --- Sources -----------------------------------------------------------------------------------------------


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
    options = {**{k: v for k, v in content.items() if k != "apps"}, **apps[0]}
    with naming(str(path)):
        check_options(options)
    return options


def read_environment(env: Mapping[str, str]) -> Options:
    """Read the variables that name an option; those of a group's members go on top of the group's own."""
    return _read_group(Settings, "PARSE_SERVER_", env)


def _read_group(kind: type, prefix: str, env: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for option, name, variable in options_of(kind, prefix):
        group = group_of(hints_of(kind)[option.name])
        if variable in env:
            found[name] = _read_variable(kind, option, name, variable, env[variable])
        if group is not None:
            inner = _read_group(group, inner_prefix(variable), env)
            if inner:
                found[name] = _merge(found.get(name, {}), inner)
    return found


def _read_variable(kind: type, option: Field[Any], name: str, variable: str, value: str) -> Any:
    with naming(variable):
        if group_of(hints_of(kind)[option.name]):
            return decode_json(value, name)  # other variables may name members that it lacks
        decode_option(kind, option, name, Text(value), "")
        return Text(value)


def unknown_variables(env: Mapping[str, str]) -> Iterator[str]:
    """Tell of variables that look like those of options and are none: they are no errors, for other programs
    may be meant, parse-server among them."""
    known = set(_variables(Settings, "PARSE_SERVER_"))
    for variable in env:
        if variable.startswith("PARSE_SERVER_") and variable not in known | IGNORED_VARIABLES:
            near = get_close_matches(variable, known, n=1, cutoff=0.8)
            hint = f" Did you mean {near[0]}?" if near else ""
            yield f"The variable {variable} names no option: it is passed over.{hint}"


def _variables(kind: type, prefix: str) -> Iterator[str]:
    for option, _, variable in options_of(kind, prefix):
        yield variable
        group = group_of(hints_of(kind)[option.name])
        if group is not None:
            yield from _variables(group, inner_prefix(variable))


@contextmanager
def naming(source: str) -> Iterator[None]:
    """Say where a value that is refused comes from."""
    try:
        yield
    except SettingsError as error:
        raise SettingsError(f"{source}: {error}") from None


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
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make_keys(path)
        kept = json.loads(path.read_text())
    except OSError as error:
        raise SettingsError(f"The keys cannot be kept in {path}: {error.strerror}") from None
    except ValueError:
        kept = None
    if not (isinstance(kept, dict) and all(isinstance(key, str) for key in kept.values())):
        raise SettingsError(f'{path}: expected {{"appId": "...", "masterKey": "..."}}')
    return kept


def _make_keys(path: Path) -> None:
    """Make the file as a whole or not at all, also when several processes do."""
    keys = {"appId": "parse-clone", "masterKey": secrets.token_urlsafe(32)}
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(keys, file, indent=2)
        with suppress(FileExistsError):  # another process was faster
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _default_of(field_name: str) -> Any:
    return next(option.default for option in fields(Settings) if option.name == field_name)


def _is_true(value: object) -> bool:
    return value is True or (isinstance(value, str) and value.lower() in TRUE)
