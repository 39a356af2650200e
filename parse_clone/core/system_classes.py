"""The built-in classes, as tables: fields, who may touch them, internal members, indexes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from parse_clone.core.javascript import is_truthy
from parse_clone.core.names import SYSTEM_CLASSES, JoinTable
from parse_clone.core.operations import Delete, Operation, Set, SetOnInsert
from parse_clone.core.schema import ClassSchema, Field, FieldType, Index, TypeName
from parse_clone.errors import ErrorCode, ParseError


def _fields(**names: str) -> dict[str, Field]:
    """Read `String="a b", Pointer="user:_User"` as fields."""
    found: dict[str, Field] = {}
    for type_name, listed in names.items():
        for entry in listed.split():
            name, _, target = entry.partition(":")
            found[name] = Field(FieldType(_TYPE_NAMES[type_name], target or None))
    return found


_TYPE_NAMES: Mapping[str, TypeName] = {
    "String": "String",
    "Number": "Number",
    "Boolean": "Boolean",
    "Date": "Date",
    "Object": "Object",
    "Array": "Array",
    "File": "File",
    "Pointer": "Pointer",
    "Relation": "Relation",
}

DEFAULT_FIELDS: Mapping[str, Field] = {
    "objectId": Field(FieldType("String")),
    "createdAt": Field(FieldType("Date")),
    "updatedAt": Field(FieldType("Date")),
    "ACL": Field(FieldType("ACL")),
}
"""The fields of every class."""

SYSTEM_FIELDS: Mapping[str, Mapping[str, Field]] = {
    "_User": _fields(String="username password email", Boolean="emailVerified", Object="authData"),
    "_Installation": _fields(
        String="installationId deviceToken deviceType pushType GCMSenderId timeZone localeIdentifier"
        " appVersion appName appIdentifier parseVersion",
        Array="channels",
        Number="badge",
    ),
    "_Role": _fields(String="name", Relation="users:_User roles:_Role"),
    "_Session": _fields(
        Pointer="user:_User", String="installationId sessionToken", Date="expiresAt", Object="createdWith"
    ),
    "_Product": _fields(
        String="productIdentifier downloadName title subtitle", File="download icon", Number="order"
    ),
    "_PushStatus": _fields(
        String="pushTime source query payload title status pushHash",
        Number="expiry expiration_interval numSent numFailed count",
        Object="errorMessage sentPerType failedPerType sentPerUTCOffset failedPerUTCOffset",
    ),
    "_JobStatus": _fields(String="jobName source status message", Object="params", Date="finishedAt"),
    "_JobSchedule": _fields(
        String="jobName description params startAfter timeOfDay",
        Array="daysOfWeek",
        Number="lastRun repeatMinutes",
    ),
    "_Audience": _fields(String="name query", Date="lastUsed", Number="timesUsed"),
    "_Idempotency": _fields(String="reqId", Date="expire"),
    "_Hooks": _fields(String="functionName className triggerName url"),
    "_GlobalConfig": _fields(Object="params masterKeyOnly"),
    "_GraphQLConfig": _fields(Object="config"),
}

VOLATILE_CLASSES = frozenset(
    {
        "_Hooks",
        "_JobStatus",
        "_JobSchedule",
        "_PushStatus",
        "_Audience",
        "_Idempotency",
        "_GlobalConfig",
        "_GraphQLConfig",
    }
)
"""Their schema is fixed and never stored."""

MASTER_ONLY_CLASSES = VOLATILE_CLASSES
"""Only privileged callers reach their objects; join tables likewise."""

WRITTEN_BY_ROUTES = frozenset({"_Hooks", "_GlobalConfig", "_GraphQLConfig"})
"""Their rows come into being by routes of their own, never as objects."""

CLIENT_CREATABLE = SYSTEM_CLASSES - WRITTEN_BY_ROUTES
"""May come into being by a client's request although `allowClientClassCreation` is off."""

INITIAL_CLASSES = ("_User", "_Role", "_Idempotency")
"""Exist from the first start."""

REQUIRED_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "_Role": ("name", "ACL"),
    "_Product": ("productIdentifier", "icon", "order", "title", "subtitle"),
}

_SYSTEM_SCHEMAS: Mapping[str, ClassSchema] = {
    name: ClassSchema(
        name, {**DEFAULT_FIELDS, **fields}, permissions={} if name in VOLATILE_CLASSES else None
    )
    for name, fields in SYSTEM_FIELDS.items()
}


def system_schema(name: str) -> ClassSchema:
    """The schema that a built-in class begins with: always the same value."""
    return _SYSTEM_SCHEMAS[name]


def join_schema(table: JoinTable) -> ClassSchema:
    """The schema under which a privileged caller reads the rows of a join table."""
    return ClassSchema(table.name, {**DEFAULT_FIELDS, **_fields(String="relatedId owningId")}, permissions={})


def with_system_fields(schema: ClassSchema) -> ClassSchema:
    """Complete a stored schema by the fields that its class has in any case."""
    fields = {**DEFAULT_FIELDS, **SYSTEM_FIELDS.get(schema.name, {}), **schema.fields, **DEFAULT_FIELDS}
    return schema if fields == schema.fields else replace(schema, fields=fields)


def new_schema(name: str) -> ClassSchema:
    """The schema of a class that is about to come into being."""
    return _SYSTEM_SCHEMAS.get(name) or ClassSchema(name, DEFAULT_FIELDS)


def check_required_columns(class_name: str, operations: Mapping[str, Operation], *, creating: bool) -> None:
    """Refuse to create a built-in object without its required columns, or to delete one of them (111)."""
    for column in REQUIRED_COLUMNS.get(class_name, ()):
        operation = operations.get(column)
        if _is_missing(operation) if creating else isinstance(operation, Delete):
            raise ParseError(ErrorCode.INCORRECT_TYPE, f"{column} is required.")


def _is_missing(operation: Operation | None) -> bool:
    match operation:
        case None | Delete():
            return True
        case Set(value) | SetOnInsert(value):
            return not is_truthy(value)
        case _:
            return False


# --- Internal members --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InternalField:
    """A member of stored rows that no client sees. `queryable`: the master key may name it in a query;
    `writable`: the maintenance key may write it."""

    name: str
    queryable: bool = True
    writable: bool = False


INTERNAL_FIELDS: Mapping[str, InternalField] = {
    field.name: field
    for field in (
        InternalField("_hashed_password", queryable=False, writable=True),
        InternalField("_email_verify_token", writable=True),
        InternalField("_email_verify_token_expires_at", writable=True),
        InternalField("_perishable_token", writable=True),
        InternalField("_perishable_token_expires_at", writable=True),
        InternalField("_failed_login_count", writable=True),
        InternalField("_account_lockout_expires_at", writable=True),
        InternalField("_password_changed_at", writable=True),
        InternalField("_password_history", writable=True),
        InternalField("_tombstone"),
        InternalField("_session_token"),
    )
}
"""Internal members of `_User`."""

ACL_COLUMNS = frozenset({"_rperm", "_wperm"})
"""Names that queries of anybody may mention, without effect."""


def is_internal_query_key(name: str) -> bool:
    """May the master key name this internal member in a query?"""
    internal = INTERNAL_FIELDS.get(name)
    return internal is not None and internal.queryable


WRITABLE_INTERNAL_FIELDS: Mapping[str, frozenset[str]] = {
    "_User": frozenset(name for name, field in INTERNAL_FIELDS.items() if field.writable)
}
"""By class, the internal members that the maintenance key may write."""


# --- Indexes -----------------------------------------------------------------------------------------------

DEFAULT_INDEXES: tuple[Index, ...] = (
    Index("_User", "username_1", (("username", 1),), unique=True),
    Index("_User", "email_1", (("email", 1),), unique=True),
    Index("_User", "case_insensitive_username", (("username", 1),), case_insensitive=True),
    Index("_User", "case_insensitive_email", (("email", 1),), case_insensitive=True),
    Index("_User", "_email_verify_token", (("_email_verify_token", 1),)),
    Index("_User", "_perishable_token", (("_perishable_token", 1),)),
    Index("_Role", "name_1", (("name", 1),), unique=True),
    Index("_Session", "sessionToken_1", (("sessionToken", 1),)),
    Index("_Session", "user_1", (("user", 1),)),
    Index("_Installation", "installationId_1", (("installationId", 1),)),
    Index("_Installation", "deviceToken_1", (("deviceToken", 1),)),
    Index("_Idempotency", "reqId_1", (("reqId", 1),), unique=True),
    Index("_Idempotency", "ttl", (("expire", 1),), expire_after_seconds=0),
)
"""Made at every start: parse-server's own, and those that look-ups of sessions and installations need. All
are sparse: rows without the field are not in them."""


def auth_data_index(provider: str) -> Index:
    """The index that lets one identity of a login provider belong to one user only."""
    return Index("_User", f"_auth_data_{provider}_id", ((f"authData.{provider}.id", 1),), unique=True)
