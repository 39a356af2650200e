from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parse_clone.core.class_permissions import CLASS_OPERATIONS, ClassOperation, FieldProtection
from parse_clone.core.context import MASTER, NOBODY, Auth, Privilege
from parse_clone.core.json_types import Json, JsonObject
from parse_clone.core.permission_json import complete_permissions
from parse_clone.core.permissions import (
    ObjectOperation,
    authorize,
    check_class_access,
    check_query_paths,
    default_acl,
    field_view,
    protected_fields,
    row_condition,
    visible,
)
from parse_clone.core.query import EVERYTHING, NOTHING, AllOf, AnyOf, In, ReadableBy, WritableBy
from parse_clone.core.schema import ClassSchema, Field, FieldType
from parse_clone.core.system_classes import MASTER_ONLY_CLASSES, system_schema, with_system_fields
from parse_clone.core.values import pointer
from parse_clone.errors import ParseError

ADA = Auth(user={"objectId": "ada"})
DOCTOR = Auth(user={"objectId": "doc"}, roles=("Doctor", "Staff"))
READER = Auth(privilege=Privilege.READ_ONLY_MASTER)
MAINTENANCE = Auth(privilege=Privilege.MAINTENANCE)
PRIVILEGED = [MASTER, READER, MAINTENANCE]

FIELDS = {
    "owner": Field(FieldType("Pointer", "_User")),
    "team": Field(FieldType("Array")),
    "ssn": Field(FieldType("String")),
    "note": Field(FieldType("String")),
}


def lab(permissions: JsonObject | None = None) -> ClassSchema:
    complete = None if permissions is None else complete_permissions(permissions)
    return with_system_fields(ClassSchema("LabResult", FIELDS, complete))


def owned_by(user_id: str, *fields: str) -> list[In]:
    return [In(field, (pointer("_User", user_id),)) for field in fields]


# --- Classes ---


@pytest.mark.parametrize("auth", [NOBODY, ADA, DOCTOR])
@pytest.mark.parametrize("class_name", [*sorted(MASTER_ONLY_CLASSES), "_Join:staff:Ward"])
def test_closed_classes_are_closed_to_clients(class_name: str, auth: Auth) -> None:
    with pytest.raises(ParseError) as caught:
        check_class_access(class_name, "find", auth)
    assert (caught.value.code, caught.value.message) == (119, "Permission denied")
    assert caught.value.detail == (
        f"Clients aren't allowed to perform the find operation on the {class_name} collection."
    )


@pytest.mark.parametrize("auth", PRIVILEGED)
@pytest.mark.parametrize("class_name", ["_JobStatus", "_Installation", "_Join:staff:Ward", "Ward"])
def test_privileged_callers_read_every_class(class_name: str, auth: Auth) -> None:
    check_class_access(class_name, "find", auth)


@pytest.mark.parametrize("class_name", ["_Hooks", "_GlobalConfig", "_GraphQLConfig"])
def test_what_has_routes_of_its_own_is_not_created_as_an_object(class_name: str) -> None:
    with pytest.raises(ParseError) as caught:
        check_class_access(class_name, "create", MASTER)
    assert (caught.value.code, caught.value.message) == (103, f"invalid className: {class_name}")


@pytest.mark.parametrize(
    ("operation", "method"),
    [("find", "find"), ("count", "find"), ("delete", "delete"), ("get", None), ("create", None)],
)
def test_installations_are_neither_listed_nor_deleted_by_clients(
    operation: ObjectOperation, method: str | None
) -> None:
    if method is None:
        check_class_access("_Installation", operation, NOBODY)
        return
    with pytest.raises(ParseError) as caught:
        check_class_access("_Installation", operation, NOBODY)
    assert caught.value.detail == (
        f"Clients aren't allowed to perform the {method} operation on the installation collection."
    )


@pytest.mark.parametrize("operation", ["create", "update", "delete"])
def test_links_are_written_through_their_relation_only(operation: ObjectOperation) -> None:
    with pytest.raises(ParseError) as caught:
        check_class_access("_Join:staff:Ward", operation, MASTER)
    assert caught.value.code == 119


@pytest.mark.parametrize("operation", ["create", "update", "delete"])
def test_the_read_only_key_writes_nothing(operation: ObjectOperation) -> None:
    with pytest.raises(ParseError) as caught:
        check_class_access("Ward", operation, READER)
    assert (caught.value.code, caught.value.detail) == (
        119,
        f"read-only masterKey isn't allowed to perform the {operation} operation.",
    )
    check_class_access("Ward", operation, MASTER)
    check_class_access("Ward", operation, ADA)


def denial(
    schema: ClassSchema, operation: ClassOperation, auth: Auth, *, updating: bool = True
) -> tuple[int, str | None]:
    with pytest.raises(ParseError) as caught:
        authorize(schema, operation, auth, updating=updating)
    assert caught.value.message == "Permission denied"
    return caught.value.code, caught.value.detail


@pytest.mark.parametrize("operation", CLASS_OPERATIONS)
@pytest.mark.parametrize("auth", [NOBODY, ADA, *PRIVILEGED])
def test_a_class_without_permissions_is_open(operation: ClassOperation, auth: Auth) -> None:
    assert authorize(lab(), operation, auth) is EVERYTHING
    assert authorize(system_schema("_JobStatus"), operation, auth) is EVERYTHING


@pytest.mark.parametrize("operation", CLASS_OPERATIONS)
def test_an_operation_that_is_left_out_is_closed_to_all_but_keys(operation: ClassOperation) -> None:
    schema = lab({"ACL": {"*": {"read": True}}})
    text = f"Permission denied for action {operation} on class LabResult."
    for auth in (NOBODY, ADA, DOCTOR):
        assert denial(schema, operation, auth) == (119, text)
    for auth in PRIVILEGED:
        assert authorize(schema, operation, auth) is EVERYTHING


@pytest.mark.parametrize(
    ("entry", "allowed", "denied"),
    [
        ({"*": True}, [NOBODY, ADA, DOCTOR], []),
        ({"ada": True}, [ADA], [NOBODY, DOCTOR]),
        ({"role:Doctor": True}, [DOCTOR], [NOBODY, ADA]),
        ({"role:Staff": True, "ada": True}, [ADA, DOCTOR], [NOBODY]),
        ({"*": True, "pointerFields": ["owner"]}, [NOBODY, ADA], []),
        ({"authenticated": True}, [], [NOBODY, ADA, DOCTOR]),
        ([], [], [NOBODY, ADA, DOCTOR]),
    ],
)
def test_grants_are_given_by_name(entry: Json, allowed: list[Auth], denied: list[Auth]) -> None:
    schema = lab({"get": entry})
    for auth in allowed:
        assert authorize(schema, "get", auth) is EVERYTHING
    for auth in denied:
        assert denial(schema, "get", auth)[0] == 119


def test_authentication_may_be_demanded() -> None:
    schema = lab({"find": {"requiresAuthentication": True}, "create": {"requiresAuthentication": True}})
    for operation in ("find", "create"):
        assert authorize(schema, operation, ADA) is EVERYTHING
        assert denial(schema, operation, NOBODY) == (
            101,
            "Permission denied, user needs to be authenticated.",
        )


@pytest.mark.parametrize(
    ("permissions", "operation", "fields"),
    [
        ({"update": {"pointerFields": ["owner"]}}, "update", ["owner"]),
        ({"get": {"pointerFields": ["owner", "team"]}}, "get", ["owner", "team"]),
        ({"readUserFields": ["team"]}, "find", ["team"]),
        ({"readUserFields": ["team"]}, "count", ["team"]),
        (
            {"readUserFields": ["team", "owner"], "get": {"pointerFields": ["owner"]}},
            "get",
            ["owner", "team"],
        ),
        ({"writeUserFields": ["owner"]}, "update", ["owner"]),
        ({"writeUserFields": ["owner"]}, "delete", ["owner"]),
        ({"writeUserFields": ["owner"]}, "addField", ["owner"]),
        ({"addField": {"pointerFields": ["owner"]}}, "addField", ["owner"]),
        ({"get": {"requiresAuthentication": True, "pointerFields": ["owner"]}}, "get", ["owner"]),
    ],
)
def test_pointer_permissions_restrict_the_rows(
    permissions: JsonObject, operation: ClassOperation, fields: list[str]
) -> None:
    schema = lab(permissions)
    conditions = owned_by("ada", *fields)
    expected = conditions[0] if len(conditions) == 1 else AnyOf(tuple(conditions))
    assert authorize(schema, operation, ADA) == expected
    if "requiresAuthentication" not in str(permissions):
        assert authorize(schema, operation, NOBODY) is NOTHING


@pytest.mark.parametrize(
    "permissions", [{"create": {"pointerFields": ["owner"]}}, {"writeUserFields": ["owner"]}]
)
def test_pointer_permissions_never_grant_create(permissions: JsonObject) -> None:
    assert denial(lab(permissions), "create", ADA)[0] == 119


def test_a_create_adds_fields_by_group_fields_only() -> None:
    assert denial(lab({"addField": {"pointerFields": ["owner"]}}), "addField", ADA, updating=False)[0] == 119
    assert authorize(lab({"writeUserFields": ["owner"]}), "addField", ADA, updating=False) != NOTHING


def test_rows_must_also_be_granted_by_their_acl() -> None:
    schema = lab({"find": {"*": True}, "update": {"pointerFields": ["owner"]}})
    assert row_condition(schema, "find", NOBODY) == ReadableBy(frozenset({"*"}))
    assert row_condition(schema, "find", DOCTOR) == ReadableBy(
        frozenset({"*", "doc", "role:Doctor", "role:Staff"})
    )
    assert row_condition(schema, "update", ADA) == AllOf(
        (*owned_by("ada", "owner"), WritableBy(frozenset({"*", "ada"})))
    )
    for auth in PRIVILEGED:
        assert row_condition(schema, "delete", auth) is EVERYTHING


@pytest.mark.parametrize(
    ("acl", "auth", "expected"),
    [
        (None, ADA, None),
        ({"*": {"read": True, "write": True}}, ADA, None),
        ({"*": {"read": True}}, NOBODY, {"*": {"read": True}}),
        ({"currentUser": {"read": True}}, ADA, {"ada": {"read": True}}),
        ({"currentUser": {"read": True}, "role:D": {"write": True}}, NOBODY, {"role:D": {"write": True}}),
        ({"currentUser": {"read": True}}, MASTER, {}),
        ({}, ADA, {}),
    ],
)
def test_a_class_may_give_new_objects_an_acl(
    acl: JsonObject | None, auth: Auth, expected: JsonObject | None
) -> None:
    schema = lab({} if acl is None else {"ACL": acl})
    assert default_acl(schema, auth) == expected


# --- Fields ---

USERS = system_schema("_User")
PROTECTION = FieldProtection()
STRICT = FieldProtection(owner_exempt=False)


@pytest.mark.parametrize(
    ("lists", "hidden_from_nobody", "hidden_from_ada", "hidden_from_doctor"),
    [
        ({}, set(), set(), set()),
        ({"*": ["ssn", "note"]}, {"ssn", "note"}, {"ssn", "note"}, {"ssn", "note"}),
        ({"*": ["ssn", "note"], "authenticated": ["ssn"]}, {"ssn", "note"}, {"ssn"}, {"ssn"}),
        ({"*": ["ssn"], "role:Doctor": []}, {"ssn"}, {"ssn"}, set()),
        ({"*": ["ssn"], "ada": []}, {"ssn"}, set(), {"ssn"}),
        ({"authenticated": ["ssn"]}, set(), {"ssn"}, {"ssn"}),
        ({"role:Doctor": ["ssn"]}, set(), set(), {"ssn"}),
        ({"role:Doctor": ["ssn"], "role:Staff": ["note"]}, set(), set(), set()),
        ({"userField:owner": ["ssn"]}, set(), set(), set()),
    ],
)
def test_lists_of_several_groups_intersect(
    lists: JsonObject, hidden_from_nobody: set[str], hidden_from_ada: set[str], hidden_from_doctor: set[str]
) -> None:
    schema = lab({"protectedFields": lists})
    assert protected_fields(schema, NOBODY, PROTECTION) == hidden_from_nobody
    assert protected_fields(schema, ADA, PROTECTION) == hidden_from_ada
    assert protected_fields(schema, DOCTOR, PROTECTION) == hidden_from_doctor
    for auth in PRIVILEGED:
        assert protected_fields(schema, auth, PROTECTION) == set()
    row: JsonObject = {"objectId": "x", "ssn": 1, "note": 2, "name": 3}
    for auth, hidden in ((NOBODY, hidden_from_nobody), (ADA, hidden_from_ada), (DOCTOR, hidden_from_doctor)):
        assert visible(row, field_view(schema, auth, PROTECTION)).keys() == row.keys() - hidden


def test_the_servers_lists_join_those_of_the_class() -> None:
    protection = FieldProtection({"LabResult": {"*": ["note"], "authenticated": ["note"]}})
    schema = lab({"protectedFields": {"*": ["ssn"]}})
    assert protected_fields(schema, NOBODY, protection) == {"ssn", "note"}
    assert protected_fields(schema, ADA, protection) == {"note"}
    assert protected_fields(schema, NOBODY, PROTECTION) == {"ssn"}


@pytest.mark.parametrize(
    ("where", "order", "text"),
    [
        (["ssn"], [], "This user is not allowed to query ssn on class LabResult"),
        (["name", "ssn.digits"], [], "This user is not allowed to query ssn.digits on class LabResult"),
        ([], ["name", "ssn"], "This user is not allowed to sort by ssn on class LabResult"),
        (["name", "ssnx"], ["createdAt"], None),
    ],
)
def test_queries_must_not_name_protected_fields(where: list[str], order: list[str], text: str | None) -> None:
    schema = lab({"protectedFields": {"*": ["ssn"]}})
    check_query_paths(schema, MASTER, PROTECTION, where, order)
    if text is None:
        check_query_paths(schema, ADA, PROTECTION, where, order)
        return
    with pytest.raises(ParseError) as caught:
        check_query_paths(schema, ADA, PROTECTION, where, order)
    assert (caught.value.code, caught.value.detail) == (119, text)


def test_users_ask_everything_about_their_own_row() -> None:
    assert protected_fields(USERS, ADA, PROTECTION) == {"email"}
    assert protected_fields(USERS, ADA, PROTECTION, object_id="bob") == {"email"}
    assert protected_fields(USERS, ADA, PROTECTION, object_id="ada") == set()
    assert protected_fields(USERS, ADA, STRICT, object_id="ada") == {"email"}
    assert protected_fields(USERS, NOBODY, PROTECTION, object_id=None) == {"email"}
    schema = lab({"protectedFields": {"*": ["ssn"]}})
    assert protected_fields(schema, ADA, PROTECTION, object_id="ada") == {"ssn"}


OWNED: Json = pointer("_User", "ada")


@pytest.mark.parametrize(
    ("lists", "row", "hidden"),
    [
        ({"*": ["ssn"], "userField:owner": []}, {"owner": OWNED}, set()),
        ({"*": ["ssn"], "userField:owner": []}, {"owner": pointer("_User", "bob")}, {"ssn"}),
        ({"*": ["ssn"], "userField:owner": []}, {"owner": pointer("Ward", "ada")}, {"ssn"}),
        (
            {"*": ["ssn"], "userField:owner": []},
            {"owner": {"objectId": "ada", "className": "_User"}},
            {"ssn"},
        ),
        ({"*": ["ssn"], "userField:owner": []}, {}, {"ssn"}),
        ({"*": ["ssn"], "userField:team": []}, {"team": ["x", pointer("_User", "bob"), OWNED]}, set()),
        ({"*": ["ssn"], "userField:team": []}, {"team": [pointer("_User", "bob")]}, {"ssn"}),
        ({"userField:owner": ["ssn"]}, {"owner": OWNED}, set()),
        (
            {"*": ["ssn", "note"], "userField:owner": ["ssn"], "userField:team": ["note"]},
            {"owner": OWNED, "team": [OWNED]},
            set(),
        ),
        ({"*": ["ssn", "note"], "userField:owner": ["note"]}, {"owner": OWNED}, {"note"}),
        (
            {"*": ["ssn"], "userField:owner": []},
            {"owner": {"__type": "Object", "className": "_User", "objectId": "ada", "username": "a"}},
            set(),
        ),
    ],
)
def test_a_row_that_points_to_the_caller_may_show_more(
    lists: JsonObject, row: JsonObject, hidden: set[str]
) -> None:
    view = field_view(lab({"protectedFields": lists}), ADA, PROTECTION)
    row = {**row, "objectId": "x", "ssn": 1, "note": 2}
    assert visible(row, view).keys() == row.keys() - hidden
    needed = {key.split(":")[1] for key in lists if key.startswith("userField:") and "*" in lists}
    assert view.needed_fields == needed


def test_a_caller_without_user_is_pointed_to_by_no_row() -> None:
    view = field_view(lab({"protectedFields": {"*": ["ssn"], "userField:owner": []}}), NOBODY, PROTECTION)
    assert view.needed_fields == set()
    row: JsonObject = {"owner": {"__type": "Pointer", "className": "_User"}, "ssn": 1}
    assert "ssn" not in visible(row, view)


def test_rows_leave_as_they_are_where_nothing_is_hidden() -> None:
    row: JsonObject = {"objectId": "x", "name": "n"}
    for auth in (NOBODY, ADA, *PRIVILEGED):
        view = field_view(lab(), auth, PROTECTION)
        assert view.shows_all
        assert visible(row, view) is row
    view = field_view(lab({"protectedFields": {"*": ["ssn"]}}), ADA, PROTECTION)
    assert not view.shows_all
    assert visible(row, view) is row


USER_ROW: Mapping[str, Json] = {
    "objectId": "ada",
    "username": "ada",
    "email": "ada@example.org",
    "authData": {"anonymous": {"id": "1"}},
    "sessionToken": "r:1",
    "password": "p",
    "_hashed_password": "h",
    "_perishable_token": "t",
}


@pytest.mark.parametrize(
    ("auth", "protection", "shown"),
    [
        (NOBODY, PROTECTION, {"objectId", "username"}),
        (DOCTOR, PROTECTION, {"objectId", "username"}),
        (ADA, PROTECTION, {"objectId", "username", "email", "authData"}),
        (ADA, STRICT, {"objectId", "username", "authData"}),
        (MASTER, PROTECTION, {"objectId", "username", "email", "authData"}),
        (READER, PROTECTION, {"objectId", "username", "email", "authData"}),
        (MAINTENANCE, PROTECTION, set(USER_ROW) - {"sessionToken"}),
        (NOBODY, FieldProtection({}), {"objectId", "username", "email"}),
    ],
)
def test_users_show_their_secrets_to_few(auth: Auth, protection: FieldProtection, shown: set[str]) -> None:
    view = field_view(USERS, auth, protection)
    assert not view.shows_all
    assert set(visible(dict(USER_ROW), view)) == shown


groups = st.sampled_from(["*", "authenticated", "role:Doctor", "role:Staff", "doc", "ada"])
lists_of_fields = st.dictionaries(
    groups, st.lists(st.sampled_from(["ssn", "note", "owner"]), max_size=3), max_size=5
)


@given(lists_of_fields, groups, st.lists(st.sampled_from(["ssn", "note"]), max_size=2))
def test_a_further_list_only_uncovers(lists: dict[str, Json], group: str, names: list[Json]) -> None:
    if not lists or group in lists:
        return
    before = protected_fields(lab({"protectedFields": lists}), DOCTOR, PROTECTION)
    after = protected_fields(lab({"protectedFields": {**lists, group: names}}), DOCTOR, PROTECTION)
    covers_first = not ({"*", "authenticated", "role:Doctor", "role:Staff", "doc"} & lists.keys())
    assert covers_first or after <= before
