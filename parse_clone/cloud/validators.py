"""Rules that a request must meet before its handler runs, with Parse's own texts (code 142)."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Protocol

from parse_clone.cloud.values import to_wire
from parse_clone.core.context import RequestContext
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.values import is_typed
from parse_clone.errors import ErrorCode, ParseError

Options = Any  # a value, a list of values, or a function that accepts or refuses a value
Roles = Sequence[str] | Callable[[], Iterable[str] | Awaitable[Iterable[str]]]


@dataclass(frozen=True, kw_only=True)
class Field:
    """What one parameter or field must be. `type`: str, float (or int), bool, list, dict, datetime."""

    type: type | None = None
    required: bool = False
    default: Any = None
    constant: bool = False
    options: Options = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """At most `request_count` requests in `request_time_window` milliseconds."""

    request_time_window: int
    request_count: int
    error_response_message: str = "Too many requests."
    request_methods: Sequence[str] | None = None
    zone: str = "ip"
    include_internal_requests: bool = False
    include_master_key: bool = False
    redis_url: str | None = None


@dataclass(frozen=True, kw_only=True)
class Validator:
    """The conditions of a hook. `fields` and `require_user_keys` are names, or names with a `Field` each."""

    require_user: bool = False
    require_master: bool = False
    validate_master_key: bool = False
    skip_with_master_key: bool = False
    require_any_user_roles: Roles | None = None
    require_all_user_roles: Roles | None = None
    require_user_keys: Sequence[str] | Mapping[str, Field] = ()
    fields: Sequence[str] | Mapping[str, Field | str] = ()
    rate_limit: RateLimit | None = None

    @property
    def is_empty(self) -> bool:
        """Nothing to check?"""
        return all(getattr(self, f.name) == f.default for f in fields(self) if f.name != "rate_limit")


class Subject(Protocol):
    """What a validator looks at: the caller and the values, in wire JSON."""

    @property
    def caller(self) -> RequestContext: ...

    def value(self, key: str) -> Json: ...

    def has(self, key: str) -> bool:
        """Was the key given? A null counts."""
        ...

    def replace(self, key: str, value: Json) -> None: ...

    @property
    def original(self) -> JsonObject | None: ...

    @property
    def is_object(self) -> bool: ...

    @property
    def effective_user(self) -> JsonObject | None: ...


@dataclass(frozen=True, slots=True)
class ParamsSubject:
    """The parameters of a function, or nothing at all."""

    caller: RequestContext
    params: JsonObject = field(default_factory=dict)

    original = None
    is_object = False

    def value(self, key: str) -> Json:
        return self.params.get(key)

    def has(self, key: str) -> bool:
        return key in self.params

    def replace(self, key: str, value: Json) -> None:
        self.params[key] = value

    @property
    def effective_user(self) -> JsonObject | None:
        return self.caller.auth.user


async def check(validator: Validator, subject: Subject) -> bool:
    """Refuse a request (142); answers False if the hook is to be skipped for the master key."""
    auth = subject.caller.auth
    if auth.is_master and not validator.validate_master_key:
        return not validator.skip_with_master_key
    user = subject.effective_user
    needs_user = (
        validator.require_user
        or validator.require_any_user_roles is not None
        or validator.require_all_user_roles is not None
    )
    if needs_user and user is None:
        raise _failed("Validation failed. Please login to continue.")
    if validator.require_master and not auth.is_master:
        raise _failed("Validation failed. Master key is required to complete this request.")
    await _check_fields(validator, subject)
    await _check_roles(validator, auth.roles)
    await _check_user_keys(validator, user)
    return not (auth.is_master and validator.skip_with_master_key)


async def _check_fields(validator: Validator, subject: Subject) -> None:
    if not isinstance(validator.fields, Mapping):
        for key in validator.fields:
            _require(subject, key)
        return
    for key, rule in validator.fields.items():
        if isinstance(rule, str):
            _require(subject, rule)
        else:
            await _check_field(key, rule, subject)


async def _check_field(key: str, rule: Field, subject: Subject) -> None:
    if rule.default is not None and subject.value(key) is None:
        subject.replace(key, to_wire(rule.default))
    if rule.constant and subject.is_object:
        if subject.original is not None:
            subject.replace(key, subject.original.get(key))
        elif rule.default is not None:
            subject.replace(key, to_wire(rule.default))
    if rule.required:
        _require(subject, key)
    value = subject.value(key)
    if not rule.required and not subject.has(key):
        return
    if rule.type is not None and not _has_type(value, rule.type):
        raise _failed(
            rule.error or f"Validation failed. Invalid type for {key}. Expected: {_TYPE_NAMES[rule.type]}"
        )
    if rule.options is not None:
        await _check_options(key, rule.options, rule.error, value)


def _require(subject: Subject, key: str) -> None:
    if subject.value(key) is None:
        raise _failed(f"Validation failed. Please specify data for {key}.")


_TYPE_NAMES: Mapping[type, str] = {
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    list: "array",
    dict: "object",
    datetime: "date",
}


def _has_type(value: Json, wanted: type) -> bool:
    if wanted in (int, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if wanted is datetime:
        return is_typed(value, "Date")
    return isinstance(value, wanted)


async def _check_options(key: str, options: Options, error: str | None, value: Json) -> None:
    if callable(options):
        try:
            verdict = options(value)
            if inspect.isawaitable(verdict):
                verdict = await verdict
        except Exception as failure:
            raise _failed(error) if error else as_validation_error(failure) from failure
        if verdict is not None and not verdict:
            raise _failed(error or f"Validation failed. Invalid value for {key}.")
        return
    allowed = list(options) if isinstance(options, list | tuple | set | frozenset) else [options]
    if value not in allowed:
        expected = ", ".join(_text(option) for option in allowed)
        raise _failed(error or f"Validation failed. Invalid option for {key}. Expected: {expected}")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


async def _check_roles(validator: Validator, roles: Sequence[str]) -> None:
    for wanted, enough, text in (
        (validator.require_any_user_roles, any, "match the required roles"),
        (validator.require_all_user_roles, all, "match all the required roles"),
    ):
        if wanted is None:
            continue
        names = wanted() if callable(wanted) else wanted
        if inspect.isawaitable(names):
            names = await names
        if not enough(name.removeprefix("role:") in roles for name in names):
            raise _failed(f"Validation failed. User does not {text}.")


async def _check_user_keys(validator: Validator, user: JsonObject | None) -> None:
    keys = validator.require_user_keys
    if not keys:
        return
    if user is None:
        raise _failed("Please login to make this request.")
    for key in keys:
        if isinstance(keys, Mapping):
            rule = keys[key]
            if rule.options is not None:
                await _check_options(key, rule.options, rule.error, user.get(key))
        elif user.get(key) is None:
            raise _failed(f"Validation failed. Please set data for {key} on your account.")


def as_validation_error(failure: Exception) -> ParseError:
    """What a validator function's exception means: a Parse error keeps its code, the rest is 142."""
    if isinstance(failure, ParseError):
        return failure
    return _failed(str(failure) or "Validation failed.")


def _failed(text: str) -> ParseError:
    return ParseError(ErrorCode.VALIDATION_ERROR, text)
