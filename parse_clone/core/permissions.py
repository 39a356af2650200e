"""Who may do what: the one place that decides, for every door.

Class permissions refuse an operation or return a `Condition` that rows must satisfy; field protection says
what a caller may name in a query and which members of a row it sees. Privileged callers pass everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

from parse_clone.core.class_permissions import (
    READ_OPERATIONS,
    ClassOperation,
    FieldProtection,
    OperationRule,
    ProtectedLists,
)
from parse_clone.core.context import Auth
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.names import root_of
from parse_clone.core.query import EVERYTHING, NOTHING, AnyOf, Condition, In, ReadableBy, WritableBy, all_of
from parse_clone.core.schema import ClassSchema
from parse_clone.core.system_classes import MASTER_ONLY_CLASSES, WRITTEN_BY_ROUTES
from parse_clone.core.values import pointer
from parse_clone.errors import ErrorCode, ParseError, permission_denied
from parse_clone.immutable import immutable

ObjectOperation: TypeAlias = Literal["find", "get", "count", "create", "update", "delete"]

_WRITES = frozenset({"create", "update", "delete"})

# --- Classes -----------------------------------------------------------------------------------------------


def check_class_access(class_name: str, operation: ObjectOperation, auth: Auth) -> None:
    """Refuse what no class permission can grant: closed classes, writes with the read-only key, links that
    are not written through their relation (119), objects of classes that have routes of their own (103)."""
    if not auth.is_privileged:
        method = "find" if operation == "count" else operation
        if class_name == "_Installation" and method in ("find", "delete"):
            raise _closed(method, "installation")
        if class_name in MASTER_ONLY_CLASSES or class_name.startswith("_Join:"):
            raise _closed(method, class_name)
    elif auth.is_read_only and operation in _WRITES:
        raise permission_denied(f"read-only masterKey isn't allowed to perform the {operation} operation.")
    elif class_name.startswith("_Join:") and operation in _WRITES:
        raise permission_denied(f"{class_name} is written by operations on its relation field only.")
    elif class_name in WRITTEN_BY_ROUTES and operation == "create":
        raise ParseError(ErrorCode.INVALID_CLASS_NAME, f"invalid className: {class_name}")


def _closed(method: str, collection: str) -> ParseError:
    return permission_denied(
        f"Clients aren't allowed to perform the {method} operation on the {collection} collection."
    )


def authorize(
    schema: ClassSchema, operation: ClassOperation, auth: Auth, *, updating: bool = True
) -> Condition:
    """Ask the class-level permissions: refuses (119, 101), or returns the condition for the rows, which is
    `EVERYTHING` unless pointer permissions decide.

    `updating`: False where an `addField` belongs to a create.
    """
    if auth.is_privileged:
        return EVERYTHING
    rule = schema.rules.operations.get(operation)
    if rule is None or not rule.granted.isdisjoint(auth.principals):
        return EVERYTHING
    if rule.requires_authentication:
        if auth.user is None:
            raise permission_denied(
                "Permission denied, user needs to be authenticated.", ErrorCode.OBJECT_NOT_FOUND
            )
    elif not _leaves_it_to_rows(rule, operation, updating):
        raise permission_denied(f"Permission denied for action {operation} on class {schema.name}.")
    return _points_to_caller(rule, auth)


def _leaves_it_to_rows(rule: OperationRule, operation: ClassOperation, updating: bool) -> bool:
    """Do pointer permissions decide? Never on create: there is no row yet that could point to somebody."""
    if operation == "create":
        return False
    return bool(rule.group_fields or (rule.own_fields and updating))


def _points_to_caller(rule: OperationRule, auth: Auth) -> Condition:
    if not rule.row_fields:
        return EVERYTHING
    if auth.user_id is None:
        return NOTHING
    caller = pointer("_User", auth.user_id)
    conditions = [In(name, (caller,)) for name in rule.row_fields]
    return conditions[0] if len(conditions) == 1 else AnyOf(tuple(conditions))


def row_condition(schema: ClassSchema, operation: ClassOperation, auth: Auth) -> Condition:
    """Authorize, and add what the rows' ACLs demand: `EVERYTHING` for privileged callers."""
    if auth.is_privileged:
        return EVERYTHING
    principals = auth.principals
    readable_or_writable = ReadableBy(principals) if operation in READ_OPERATIONS else WritableBy(principals)
    return all_of(authorize(schema, operation, auth), readable_or_writable)


def default_acl(schema: ClassSchema, auth: Auth) -> JsonObject | None:
    """The ACL that a class gives to new objects that bring none; None where it gives none."""
    default = schema.rules.default_acl
    if default is None:
        return None
    acl = {principal: entry for principal, entry in default.items() if principal != "currentUser"}
    if "currentUser" in default and auth.user_id is not None and not auth.is_privileged:
        acl[auth.user_id] = default["currentUser"]
    return acl


# --- Fields ------------------------------------------------------------------------------------------------

NO_FIELDS: frozenset[str] = frozenset()
_USER_SECRETS = frozenset({"password", "sessionToken"})
_SECRETS_OF_OTHERS = _USER_SECRETS | {"authData"}


def protected_fields(
    schema: ClassSchema, auth: Auth, protection: FieldProtection, *, object_id: str | None = None
) -> frozenset[str]:
    """The fields that a query of this caller must not mention. `object_id`: the row to which the query is
    pinned; users may ask everything about their own row."""
    if auth.is_privileged or _is_own_row(schema, auth, protection, object_id):
        return NO_FIELDS
    return _of_groups(schema.rules.protected_lists(protection), auth)


def _is_own_row(schema: ClassSchema, auth: Auth, protection: FieldProtection, object_id: str | None) -> bool:
    return (
        protection.owner_exempt
        and schema.name == "_User"
        and object_id is not None
        and object_id == auth.user_id
    )


def _secret_fields(
    schema: ClassSchema, auth: Auth, protection: FieldProtection, object_id: str | None
) -> frozenset[str]:
    if schema.name != "_User" or auth.is_privileged or _is_own_row(schema, auth, protection, object_id):
        return NO_FIELDS
    return _SECRETS_OF_OTHERS


def _of_groups(lists: ProtectedLists, auth: Auth) -> frozenset[str]:
    """The intersection of the lists of the caller's groups: one list more can only uncover."""
    if not lists.by_group:
        return NO_FIELDS
    groups = auth.principals if auth.user is None else auth.principals | {"authenticated"}
    found = [names for group, names in lists.by_group.items() if group in groups]
    return frozenset.intersection(*found) if found else NO_FIELDS


def check_query_paths(
    schema: ClassSchema,
    auth: Auth,
    protection: FieldProtection,
    where: Iterable[str],
    order: Iterable[str] = (),
    *,
    object_id: str | None = None,
) -> None:
    """Refuse a query whose paths, at any depth, begin at a protected field, or at what nobody sees of other
    users (119). `where` and `order` are as `asked_paths` and sort keys name them: whether an identity that is
    known whole is somebody's (`authData.facebook.id`) may be asked by everybody.
    """
    protected = protected_fields(schema, auth, protection, object_id=object_id)
    secret = _secret_fields(schema, auth, protection, object_id)
    if not protected and not secret:
        return
    for verb, paths in (("query", where), ("sort by", map(root_of, order))):
        for path in paths:
            if path in secret or root_of(path) in protected:
                raise permission_denied(f"This user is not allowed to {verb} {path} on class {schema.name}")


@immutable()
class FieldView:
    """What one caller sees of the rows of one class.

    `protected` is hidden in every row, less what the lists of `by_user_field` do not name where such a field
    points to the caller; `secret` is hidden as well. The row `own_id` lacks `hidden_of_own` only.
    """

    user_id: str | None = None
    protected: frozenset[str] = NO_FIELDS
    by_user_field: tuple[tuple[str, frozenset[str]], ...] = ()
    secret: frozenset[str] = NO_FIELDS
    own_id: str | None = None
    hidden_of_own: frozenset[str] = NO_FIELDS
    hides_internal: bool = False

    @property
    def shows_all(self) -> bool:
        """May rows leave as they are?"""
        return not (self.protected or self.secret or self.hides_internal)

    @property
    def needed_fields(self) -> frozenset[str]:
        """Fields that must be read to decide, even where the caller did not ask for them."""
        return frozenset(name for name, _ in self.by_user_field)


_SHOWS_ALL = FieldView()
_USER_FOR_MASTER = FieldView(secret=_USER_SECRETS, hides_internal=True)
_USER_FOR_MAINTENANCE = FieldView(secret=frozenset({"sessionToken"}))


def field_view(schema: ClassSchema, auth: Auth, protection: FieldProtection) -> FieldView:
    """Decide once per request what the caller sees of each row."""
    is_user = schema.name == "_User"
    if auth.is_privileged:
        if not is_user:
            return _SHOWS_ALL
        return _USER_FOR_MAINTENANCE if auth.is_maintenance else _USER_FOR_MASTER
    lists = schema.rules.protected_lists(protection)
    protected = _of_groups(lists, auth)
    if not is_user and not protected:
        return _SHOWS_ALL
    return FieldView(
        user_id=auth.user_id,
        protected=protected,
        by_user_field=lists.by_user_field if protected and auth.user is not None else (),
        secret=_SECRETS_OF_OTHERS if is_user else NO_FIELDS,
        own_id=auth.user_id if is_user else None,
        hidden_of_own=_USER_SECRETS if protection.owner_exempt else _USER_SECRETS | protected,
        hides_internal=is_user,
    )


def visible(obj: JsonObject, view: FieldView) -> JsonObject:
    """The row as the caller may see it; the row itself if nothing is hidden."""
    if view.own_id is not None and obj.get("objectId") == view.own_id:
        hidden = view.hidden_of_own
    else:
        hidden = view.secret | _protected_in(obj, view)
    if view.hides_internal:
        return {name: value for name, value in obj.items() if name not in hidden and not name.startswith("_")}
    if hidden.isdisjoint(obj):
        return obj
    return {name: value for name, value in obj.items() if name not in hidden}


def _protected_in(obj: JsonObject, view: FieldView) -> frozenset[str]:
    protected = view.protected
    for name, names in view.by_user_field:
        if _points_to_user(obj.get(name), view.user_id):
            protected &= names
    return protected


def _points_to_user(value: Json, user_id: str | None) -> bool:
    """Is this a pointer to the user, or an array with such a pointer? An included user counts as well."""
    if isinstance(value, list):
        return any(_points_to_user(item, user_id) for item in value if isinstance(item, dict))
    return (
        isinstance(value, dict)
        and value.get("className") == "_User"
        and value.get("objectId") == user_id
        and value.get("__type") in ("Pointer", "Object")
    )
