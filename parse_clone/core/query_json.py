"""Queries on the wire: `where`, `order` and the parameters of a find or get become typed values.

Everything a client can get wrong is refused here, so whoever holds a `Where` needs not doubt it. Its depth,
its breadth and its regular expressions are bounded, for everybody; only the bounds differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

import orjson

from parse_clone.core.context import Auth
from parse_clone.core.javascript import is_truthy, text_of
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.names import MAX_PATH_SEGMENTS, is_field_name, root_of
from parse_clone.core.query import (
    AllOf,
    AnyOf,
    In,
    Leaf,
    Near,
    NoneOf,
    NotIn,
    ReadableBy,
    RelatedTo,
    SortKey,
    Subquery,
    Where,
    WithinSphere,
    WritableBy,
    leaves,
)
from parse_clone.core.query_limits import CLIENT_LIMITS, MASTER_LIMITS, QueryLimits
from parse_clone.core.query_operators import (
    QueryField,
    decode_direct,
    decode_operators,
    invalid_json,
    invalid_query,
)
from parse_clone.core.schema import ClassSchema
from parse_clone.core.system_classes import ACL_COLUMNS, is_internal_query_key
from parse_clone.errors import ErrorCode, ParseError, permission_denied
from parse_clone.immutable import immutable


def decode_where(
    where: JsonObject,
    schema: ClassSchema | None,
    auth: Auth,
    limits: QueryLimits = CLIENT_LIMITS,
    *,
    now: datetime,
) -> Where:
    """Decode a `where`. With a schema, values are read as the fields' types ask; `now` is what relative
    times refer to."""
    if auth.is_privileged or limits.query_depth > MASTER_LIMITS.query_depth:
        limits = (
            MASTER_LIMITS if auth.is_privileged else replace(limits, query_depth=MASTER_LIMITS.query_depth)
        )
    return _Decoder(schema, auth, limits, now).where(where)


def where_paths(where: Where) -> set[str]:
    """Name the root fields that a query looks at, at any depth."""
    return {root_of(leaf.path) for leaf in leaves(where) if not isinstance(leaf, _PATHLESS)}


def asked_paths(where: Where) -> set[str]:
    """The same for permissions: an identity that the query knows is named by its whole path."""
    return {
        leaf.path if _is_known_identity(leaf) else root_of(leaf.path)
        for leaf in leaves(where)
        if not isinstance(leaf, _PATHLESS)
    }


def _is_known_identity(leaf: Leaf | Subquery) -> bool:
    """Does this ask for whole ids at a login provider? Anything else would tell them bit by bit."""
    match leaf:
        case In(path, values):
            return _is_login_id(path) is not None and all(isinstance(value, str) for value in values)
        case _:
            return False


_PATHLESS = (RelatedTo, ReadableBy, WritableBy)


# --- Trees -----------------------------------------------------------------------------------------------

_is_key = re.compile(r"[A-Za-z][A-Za-z0-9_.]*").fullmatch
_LOGIC: Mapping[str, Callable[[tuple[Where, ...]], Where]] = {"$and": AllOf, "$or": AnyOf, "$nor": NoneOf}


class _Decoder:
    """One `where` being decoded; it remembers how many constraints it has met."""

    def __init__(self, schema: ClassSchema | None, auth: Auth, limits: QueryLimits, now: datetime) -> None:
        self.schema = schema
        self.auth = auth
        self.limits = limits
        self.now = now
        self.constraints = 0

    def where(self, where: JsonObject, depth: int = 0, may_sort: bool = True) -> Where:
        """Decode one level. `may_sort`: no alternative to it exists, so it may decide the order."""
        if depth > self.limits.query_depth:
            limit = self.limits.query_depth
            raise invalid_query(f"Query condition nesting depth exceeds maximum allowed depth of {limit}")
        parts: list[Where] = []
        for key, value in where.items():
            if key in _LOGIC:
                parts.append(self.logical(key, value, depth, may_sort))
            elif key == "$relatedTo":
                parts.append(_related_to(value))
            elif root_of(key) == "ACL":
                if value:
                    raise invalid_query("Cannot query on ACL.")
            elif key not in ACL_COLUMNS:  # who may read is never the client's to say
                self.check_key(key)
                constraint = self.constraint(key, value)
                parts.extend(constraint if may_sort else map(_without_sorting, constraint))
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def logical(self, key: str, value: Json, depth: int, may_sort: bool) -> Where:
        if not isinstance(value, list):
            if self.auth.is_privileged:
                raise invalid_query(f"Bad {key} format - use an array value.")
            raise permission_denied(f"{key} must be an array", ErrorCode.INVALID_QUERY)
        if not value:
            raise invalid_query(f"Bad {key} format - use an array of at least 1 value.")
        may_sort = may_sort and key == "$and"
        return _LOGIC[key](
            tuple(self.where(self.branch(key, branch), depth + 1, may_sort) for branch in value)
        )

    def branch(self, key: str, branch: Json) -> JsonObject:
        self.count(1)
        if isinstance(branch, dict):
            return branch
        if isinstance(branch, str):
            raise ParseError(ErrorCode.INVALID_KEY_NAME, "Invalid key name: 0")
        raise invalid_query(f"Bad {key} format - use an array of objects.")

    def check_key(self, key: str) -> None:
        if not _is_key(key) and not (self.auth.is_privileged and is_internal_query_key(key)):
            raise ParseError(ErrorCode.INVALID_KEY_NAME, f"Invalid key name: {key}")
        if key.count(".") >= self.limits.path_segments:
            raise invalid_query(f"Paths may have at most {self.limits.path_segments} segments")

    def count(self, constraints: int) -> None:
        self.constraints += constraints
        if self.constraints > self.limits.constraints:
            raise invalid_query(f"A query may have at most {self.limits.constraints} constraints")

    def constraint(self, key: str, value: Json) -> list[Where]:
        field_type = None if self.schema is None else self.schema.type_of(key)
        field = QueryField(key, field_type, self.limits, self.now)
        if value in ({}, []):
            self.count(1)
            return [field.on_relation(field.memberless)]
        if isinstance(value, dict):
            value = _with_direct_part_as_operator(value)
            self.count(len(value))
            if all(name.startswith("$") for name in value):
                return [field.on_relation(part) for part in decode_operators(field, value)]
        self.count(1)
        return [field.on_relation(decode_direct(field, value))]


def _without_sorting(part: Where) -> Where:
    """Turn "nearest first" into a mere test: one branch of several cannot decide the order."""
    match part:
        case Near(path, _, None):
            return NotIn(path, (None,))
        case Near(path, point, float(radius)):
            return WithinSphere(path, point, radius)
        case _:
            return part


def _with_direct_part_as_operator(constraint: JsonObject) -> JsonObject:
    """Fold a constraint that mixes a value's members with operators: the value becomes `$eq`."""
    direct = {name: value for name, value in constraint.items() if not name.startswith("$")}
    if not direct or len(direct) == len(constraint):
        return constraint
    operators = {name: value for name, value in constraint.items() if name.startswith("$")}
    return {**operators, "$eq": direct}


def _related_to(value: Json) -> RelatedTo:
    match value:
        case {"object": {"className": str(class_name), "objectId": str(object_id)}, "key": str(key)}:
            return RelatedTo(class_name, object_id, key)
        case _:
            raise invalid_query("improper usage of $relatedTo")


# --- Order -----------------------------------------------------------------------------------------------

_ORDER_ALIASES = {"_created_at": "createdAt", "_updated_at": "updatedAt"}
_MAXIMUM_SORT_KEYS = 32
_is_login_id = re.compile(r"authData\.[A-Za-z0-9_]+\.id").fullmatch


def decode_order(order: Json, schema: ClassSchema | None) -> tuple[SortKey, ...]:
    """Decode an `order`. Fields that the schema does not have are ignored."""
    if not order:
        return ()
    keys: dict[str, SortKey] = {}
    for part in text_of(order).split(","):
        name = part.strip()
        descending = name.startswith("-")
        path = name[1:] if descending else name
        if path != "$score":
            path = _ORDER_ALIASES.get(path, path)
            _check_sortable(path, "" if schema is None else schema.name)
            if schema is not None and root_of(path) not in schema.fields:
                continue
        keys[path] = SortKey(path, descending)
    if len(keys) > _MAXIMUM_SORT_KEYS:
        raise invalid_query(f"A query may have at most {_MAXIMUM_SORT_KEYS} sort keys")
    return tuple(keys.values())


def _check_sortable(path: str, class_name: str) -> None:
    if _is_login_id(path):
        raise ParseError(ErrorCode.INVALID_KEY_NAME, f"Cannot sort by {path}")
    if not is_field_name(root_of(path), class_name) or "" in path.split("."):
        raise ParseError(ErrorCode.INVALID_KEY_NAME, f"Invalid field name: {path}.")


# --- Parameters ------------------------------------------------------------------------------------------


@immutable()
class FindParameters:
    """What a find asks for, besides the meaning of `where` and `order`, which the class's schema decides.

    `limit` None: none was given. `keys` None: all fields. `include` holds dotted paths, those that dotted
    `keys` and `exclude_keys` ask for among them; parents are not filled in. `explain` is the verbosity.
    """

    where: JsonObject
    limit: int | None = None
    skip: int = 0
    order: str = ""
    keys: tuple[str, ...] | None = None
    exclude_keys: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    include_all: bool = False
    count: bool = False
    redirect_key: str | None = None
    explain: str | None = None
    hint: str | JsonObject | None = None
    comment: str | None = None
    read_preference: str | None = None
    include_read_preference: str | None = None
    subquery_read_preference: str | None = None


_GET_PARAMETERS = frozenset(
    {
        "keys",
        "include",
        "excludeKeys",
        "readPreference",
        "includeReadPreference",
        "subqueryReadPreference",
    }
)
_FIND_PARAMETERS = _GET_PARAMETERS | {
    "where",
    "limit",
    "skip",
    "order",
    "count",
    "includeAll",
    "redirectClassNameForKey",
    "hint",
    "explain",
    "comment",
}
_LEGAL_READ_PREFERENCES = frozenset(
    {"PRIMARY", "PRIMARY_PREFERRED", "SECONDARY", "SECONDARY_PREFERRED", "NEAREST"}
)
_VERBOSITIES = frozenset({"queryPlanner", "queryPlannerExtended", "executionStats", "allPlansExecution"})
_LARGEST_NUMBER = 2**31 - 1


def decode_find_parameters(parameters: JsonObject) -> FindParameters:
    """Decode the parameters of a find; refuse unknown ones (102)."""
    for name in parameters:
        if name not in _FIND_PARAMETERS:
            raise invalid_query(f"Invalid parameter for query: {name}")
    return _decode_parameters(parameters)


def decode_get_parameters(parameters: JsonObject) -> FindParameters:
    """Decode the parameters of a get; refuse those of other requests (102)."""
    if not _GET_PARAMETERS.issuperset(parameters):
        raise invalid_query("Improper encode of parameter")
    return _decode_parameters(parameters) if parameters else _PLAIN_GET


_PLAIN_GET = FindParameters(where={})  # what nearly every get asks for


def decode_where_text(text: str) -> JsonObject:
    """Read a `where` that came as text; raise 107 if it is no JSON object."""
    try:
        where = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _where_is_not_json() from error
    if isinstance(where, str):
        raise _where_is_not_json()
    return _where_object(where)


def _where_object(where: Json) -> JsonObject:
    if isinstance(where, str):
        return decode_where_text(where)
    if where == []:
        return {}
    if not isinstance(where, dict):
        raise _where_is_not_json()
    return where


def _where_is_not_json() -> ParseError:
    return invalid_json("where parameter is not valid JSON")


def _decode_parameters(parameters: JsonObject) -> FindParameters:
    keys = _comma_list(parameters.get("keys"))
    exclude_keys = _comma_list(parameters.get("excludeKeys")) or ()
    include = _comma_list(parameters.get("include")) or ()
    _check_length_of_paths(*(keys or ()), *exclude_keys, *include)
    implied = [path.rpartition(".")[0] for path in (*(keys or ()), *exclude_keys) if "." in path]
    hint, comment, order = parameters.get("hint"), parameters.get("comment"), parameters.get("order")
    redirect_key = parameters.get("redirectClassNameForKey")
    return FindParameters(
        where=_where_object(parameters["where"]) if "where" in parameters else {},
        limit=_natural_number(parameters, "limit"),
        skip=_natural_number(parameters, "skip") or 0,
        order=text_of(order) if order else "",
        keys=keys,
        exclude_keys=exclude_keys,
        include=tuple(dict.fromkeys(path for path in (*include, *implied) if path != "*")),
        include_all="*" in include or is_truthy(parameters.get("includeAll")),
        count=is_truthy(parameters.get("count")),
        redirect_key=text_of(redirect_key) if redirect_key else None,
        explain=_verbosity(parameters.get("explain")),
        hint=hint if hint and isinstance(hint, str | dict) else None,
        comment=comment if comment and isinstance(comment, str) else None,
        read_preference=_read_preference(parameters.get("readPreference")),
        include_read_preference=_read_preference(parameters.get("includeReadPreference")),
        subquery_read_preference=_read_preference(parameters.get("subqueryReadPreference")),
    )


def _comma_list(value: Json) -> tuple[str, ...] | None:
    """Read a list given as array or as text; None where none is given."""
    if value is None:
        return None
    return tuple(dict.fromkeys(name for name in text_of(value).split(",") if name))


def _check_length_of_paths(*paths: str) -> None:
    if any(path.count(".") >= MAX_PATH_SEGMENTS for path in paths):
        raise invalid_query(f"Paths may have at most {MAX_PATH_SEGMENTS} segments")


def _read_preference(value: Json) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    if value.upper() not in _LEGAL_READ_PREFERENCES:
        raise invalid_query("Not supported read preference.")
    return value.upper()


def _natural_number(parameters: JsonObject, name: str) -> int | None:
    """Read `limit` or `skip`; None where there is no number, not even 0."""
    value = parameters.get(name)
    if value is None or value is False or value == "":
        return None
    if isinstance(value, str) and value.strip().isdecimal() and value.isascii():
        value = int(value[:20])
    if isinstance(value, int | float) and value >= 0 and value == int(value):
        return min(int(value), _LARGEST_NUMBER)
    raise invalid_query(f"{name} must be a non-negative integer")


def _verbosity(value: Json) -> str | None:
    if not is_truthy(value):
        return None
    if value is True:
        return "queryPlanner"
    if isinstance(value, str) and value in _VERBOSITIES:
        return value
    raise invalid_query("Invalid value for explain")
