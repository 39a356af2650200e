"""Settings as JSON has them: under parse-server's names, read as what each option wants, refused by name.

Texts of an environment or a command line (`Text`) are read as numbers, lists and so on where the option asks
for it; other values have to be of the option's type.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Callable as AnyFunction
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from parse_clone.errors import SettingsError
from parse_clone.settings import Settings, read_size, wire_name

Options = Mapping[str, Any]
Kind = TypeVar("Kind")

TRUE = ("true", "1", "yes", "on")
FALSE = ("false", "0", "no", "off", "")

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
        "databaseOptions.autoSelectFamily",
        "databaseOptions.autoSelectFamilyAttemptTimeout",
        "databaseOptions.batchSize",
        "databaseOptions.clientMetadata",
        "databaseOptions.enableSchemaHooks",
        "databaseOptions.forceServerObjectId",
        "databaseOptions.logClientEvents",
        "liveQuery.pubSubAdapter",
        "liveQuery.redisOptions",
        "liveQuery.wssAdapter",
        "liveQueryServerOptions.appId",
        "liveQueryServerOptions.logLevel",
        "liveQueryServerOptions.masterKey",
        "liveQueryServerOptions.port",
        "liveQueryServerOptions.pubSubAdapter",
        "liveQueryServerOptions.redisOptions",
        "liveQueryServerOptions.serverURL",
        "liveQueryServerOptions.wssAdapter",
        "security.checkGroups",
    }
)
"""Options of parse-server that have no meaning here: read and passed over, so that a file can be shared."""

IGNORED_VARIABLES = frozenset(
    "PARSE_SERVER_" + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper() for name in IGNORED if "." not in name
) | {"PARSE_SERVER_GRAPH_QLSCHEMA"}
"""Their variables, those of groups' members left out."""


class Text(str):
    """A value from an environment or a command line: still to be read."""


def decode_settings(options: Options) -> Settings:
    """Make settings of options under parse-server's names. Raises `SettingsError` for the first that is
    unknown, of the wrong type or missing."""
    if "serverURL" in options and options["serverURL"] is None:
        raise SettingsError("You must provide a serverURL!")
    return _decode_group(Settings, options, "")


def check_options(options: Options) -> None:
    """Refuse what `decode_settings` would refuse about each of some options."""
    known = {name: option for option, name, _ in options_of(Settings, "")}
    _check_names(options, known, "")
    for name, value in options.items():
        if name in known:
            decode_option(Settings, known[name], name, value, "")


def ignored_options(options: Options, path: str = "") -> Iterator[str]:
    """Which of these options have no meaning here."""
    for name, value in options.items():
        if f"{path}{name}" in IGNORED:
            yield f"{path}{name}"
        elif isinstance(value, Mapping):
            yield from ignored_options(value, f"{path}{name}.")


def options_of(kind: type, prefix: str) -> list[tuple[Field[Any], str, str]]:
    """The options of a group: each with its name, and with the variable that `prefix` begins."""
    return [
        (
            option,
            option.metadata["name"] or wire_name(option.name),
            option.metadata["env"] or prefix + option.name.upper(),
        )
        for option in fields(kind)
    ]


def inner_prefix(variable: str) -> str:
    """How the variables of a group's members begin."""
    return variable.removesuffix("_OPTIONS") + "_"


class _WrongType(Exception):
    """A value is not what its option wants; the word says what that is."""

    def __init__(self, wanted: str) -> None:
        super().__init__(wanted)
        self.wanted = wanted


def _decode_group(kind: type[Kind], options: Options, path: str) -> Kind:
    known = {name: option for option, name, _ in options_of(kind, "")}
    _check_names(options, known, path)
    values: dict[str, Any] = {}
    for name, option in known.items():
        value = options.get(name)
        if value is None and (name not in options or option.metadata["takes_null"]):
            if option.default is MISSING and option.default_factory is MISSING:
                raise SettingsError(option.metadata["missing"] or f"{path}{name} must be defined")
            continue
        values[option.name] = decode_option(kind, option, name, value, path)
    return kind(**values)


def _check_names(options: Options, known: Mapping[str, object], path: str) -> None:
    for name in options:
        if name in known or f"{path}{name}" in IGNORED:
            continue
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean '{path}{near[0]}'?" if near else ""
        raise SettingsError(f"There is no option '{path}{name}'{hint}")


def decode_option(kind: type, option: Field[Any], name: str, value: Any, path: str) -> Any:
    """Read the value of one option."""
    try:
        if value is None:
            if option.metadata["takes_null"]:
                return None
            raise _WrongType("a boolean" if hints_of(kind)[option.name] is bool else "given")
        if option.name == "max_upload_size":
            return _decode_size(value)
        if option.metadata["takes_text"] and isinstance(value, str):
            value = Text(value)
        return _decode(hints_of(kind)[option.name], value, f"{path}{name}")
    except _WrongType as error:
        text = f"Parse Server option {path}{name} must be {error.wanted}."
        raise SettingsError(option.metadata["refusal"] or text) from None


def _decode(hint: Any, value: Any, path: str) -> Any:
    """Read a value as a type; the types are those that occur among the settings."""
    if value is None:
        return None
    group = group_of(hint)
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
    if isinstance(value, Text) and value.lower() in (*TRUE, *FALSE):
        return value.lower() in TRUE
    raise _WrongType("a boolean")


def _number(value: Any, kind: type[int] | type[float]) -> int | float | None:
    if isinstance(value, Text):
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
    if isinstance(value, Text):
        if value.lstrip().startswith(("[", "{")):
            value = decode_json(value)
        else:
            return [Text(part.strip()) for part in value.split(",") if part.strip()]
    if isinstance(value, Mapping) and is_dataclass(item):
        return [value]  # parse-server takes a single rate limit without its list
    if isinstance(value, list | tuple):
        return value
    raise _WrongType("an array")


def _mapping(value: Any) -> Mapping[str, Any]:
    if isinstance(value, Text):
        value = decode_json(value)
    if isinstance(value, Mapping):
        return value
    raise _WrongType("an object")


def decode_json(text: str, name: str = "") -> Any:
    """Read what has to be JSON; an error names the option, if it is known."""
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
def hints_of(kind: type) -> Mapping[str, Any]:
    """The types of a group's options."""
    return get_type_hints(kind)


def group_of(hint: Any) -> type | None:
    """The dataclass that a type names, possibly as optional; None for any other type."""
    for kind in (hint, *get_args(hint)):
        if isinstance(kind, type) and is_dataclass(kind) and get_origin(hint) is not tuple:
            return kind
    return None
