"""Any JSON may be sent to any route, by anybody: the answer is a result or a refusal, never a crash of ours,
and it comes at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.protocol.callers import Caller
from tests.servers import APP_ID, MASTER_KEY, REST_KEY, RunningServer

EXAMPLES = int(os.environ.get("PARSE_TEST_FUZZ_EXAMPLES", "250"))

CLASSES = ("Note", "_User", "_Role", "_Session", "_Installation", "_Join:users:_Role", "_Hooks", "nothing")
IDS = ("known", "me", "unknown", "__proto__", "constructor", "a b", "ä", "\x00", "x" * 300, "..", "'", '"')
ROUTES = (
    *((method, "/classes/{class}") for method in ("GET", "POST")),
    *((method, "/classes/{class}/{id}") for method in ("GET", "PUT", "DELETE")),
    *(
        (method, f"/{name}")
        for name in ("users", "roles", "sessions", "installations")
        for method in ("GET", "POST")
    ),
    *(
        (method, f"/{name}/{{id}}")
        for name in ("users", "roles", "sessions", "installations", "push_audiences", "config")
        for method in ("GET", "PUT", "DELETE")
    ),
    ("GET", "/login"),
    *(
        ("POST", path)
        for path in (
            "/login",
            "/loginAs",
            "/logout",
            "/challenge",
            "/verifyPassword",
            "/upgradeToRevocableSession",
            "/requestPasswordReset",
            "/verificationEmailRequest",
            "/batch",
            "/push",
            "/push_audiences",
            "/functions/{id}",
            "/jobs",
            "/jobs/{id}",
            "/cloud_code/jobs",
            "/events/{id}",
            "/hooks/functions",
            "/hooks/triggers",
            "/schemas",
            "/schemas/{class}",
            "/files/{id}",
        )
    ),
    *((method, "/config") for method in ("GET", "PUT")),
    *((method, "/graphql-config") for method in ("GET", "PUT")),
    ("GET", "/aggregate/{class}"),
    ("PUT", "/schemas/{class}"),
    ("DELETE", "/schemas/{id}"),
    ("GET", "/files/tests/{id}"),
    ("GET", "/files/tests/metadata/{id}"),
    ("PUT", "/hooks/functions/{id}"),
    ("PUT", "/hooks/triggers/{class}/{id}"),
    ("GET", "/scriptlog"),
    ("GET", "/{id}"),
)

FIELDS = (
    *("title", "plays", "tags", "place", "owner", "links", "ACL", "objectId", "createdAt", "updatedAt"),
    *("username", "password", "email", "authData", "sessionToken", "user", "users", "roles", "name"),
    *(
        "deviceType",
        "deviceToken",
        "installationId",
        "_hashed_password",
        "_rperm",
        "__proto__",
        "constructor",
    ),
    *(
        "title.a",
        "place.b.c",
        "tags.0",
        "$or",
        "",
        "ä",
        "a" * 200,
        "toString",
        "length",
        "className",
        "fields",
    ),
    *(
        "classLevelPermissions",
        "indexes",
        "params",
        "requests",
        "functionName",
        "url",
        "triggerName",
        "userId",
    ),
)
OPERATORS = (
    *("$or", "$and", "$nor", "$eq", "$ne", "$lt", "$gte", "$in", "$nin", "$all", "$exists", "$regex"),
    *(
        "$options",
        "$nearSphere",
        "$maxDistance",
        "$within",
        "$box",
        "$geoWithin",
        "$polygon",
        "$centerSphere",
    ),
    *("$geoIntersects", "$point", "$text", "$search", "$inQuery", "$notInQuery", "$select", "$dontSelect"),
    *("$relatedTo", "$containedBy", "$relativeTime", "$where", "$expr", "where", "className", "key", "query"),
)
PARAMETERS = (
    *("where", "order", "keys", "excludeKeys", "include", "limit", "skip", "count", "includeAll", "explain"),
    *("hint", "distinct", "pipeline", "$match", "$group", "redirectClassNameForKey", "username", "password"),
    *("readPreference", "comment", "_method", "_SessionToken"),
)
OPS = (
    "Increment",
    "Add",
    "AddUnique",
    "Remove",
    "Delete",
    "AddRelation",
    "RemoveRelation",
    "Batch",
    "SetOnInsert",
)
TYPES = ("Pointer", "Date", "GeoPoint", "Polygon", "Bytes", "File", "Relation", "Object", "ACL", "?")

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.sampled_from([0, 1, -1, 2**31, 2**53, 1e308, -1e308, 5e-324, 0.1]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(
        [*FIELDS, *CLASSES, *TYPES, "2020-01-01T00:00:00.000Z", "^a", "(", "[a", "*", "a.b", "-title", "$"]
    ),
)
names = st.sampled_from([*FIELDS, *OPERATORS, "__type", "__op"]) | st.text(max_size=5)


def containers(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Lists, dicts, and what looks like a typed value or an operation but need not be one."""
    typed = st.fixed_dictionaries(
        {"__type": st.sampled_from(TYPES)},
        optional={
            **dict.fromkeys(("className", "objectId", "iso", "base64", "name", "url"), children),
            **dict.fromkeys(("latitude", "longitude", "coordinates"), children),
        },
    )
    ops = st.fixed_dictionaries(
        {"__op": st.sampled_from(OPS)}, optional=dict.fromkeys(("amount", "objects", "ops"), children)
    )
    constraints = st.dictionaries(st.sampled_from(OPERATORS), children, max_size=3)
    return st.one_of(
        st.lists(children, max_size=4), st.dictionaries(names, children, max_size=4), typed, ops, constraints
    )


values = st.recursive(scalars, containers, max_leaves=12)
bodies = st.dictionaries(st.sampled_from([*FIELDS, *PARAMETERS]) | names, values, max_size=5)
parts = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "POST", "PUT", "DELETE"]) | values,
        "path": st.sampled_from(
            ["/parse/classes/Note", "/parse/classes/Note/known", "/parse/login", "/parse/users"]
        )
        | values,
    },
    optional={"body": bodies | values},
)
batches = st.fixed_dictionaries(
    {"requests": st.lists(parts | values, max_size=4) | values}, optional={"transaction": values}
)
queries = st.dictionaries(st.sampled_from(PARAMETERS), values, max_size=4)
pipelines = st.fixed_dictionaries({"pipeline": st.lists(bodies | values, max_size=3) | values})
NEEDS_MAIL = "An appName, publicServerURL, and emailAdapter are required"
SECRET = ("_hashed_password", "$2b$")


@pytest.fixture(scope="module")
def known(server: RunningServer) -> dict[str, str]:
    """A user and an object that requests may hit."""
    nobody = Caller(server)
    user = nobody.post(
        "/users", {"username": "fuzz", "password": "correct horse", "email": "fuzz@example.com"}
    )
    note = nobody.post("/classes/Note", {"title": "a", "plays": 1, "tags": ["a"], "place": {"a": 1}})
    nobody.close()
    return {"known": note["objectId"], "me": user["objectId"], "session": user["sessionToken"]}


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[httpx.Client]:
    """One connection; what takes longer than a moment hangs."""
    with httpx.Client(base_url=server.url, timeout=20) as client:
        yield client


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(
    route=st.sampled_from(ROUTES),
    class_name=st.sampled_from(CLASSES),
    object_id=st.sampled_from(IDS),
    principal=st.sampled_from(["nobody", "user", "master"]),
    body=bodies | batches,
    query=queries | pipelines,
)
def test_no_request_crashes_the_server(
    client: httpx.Client,
    known: dict[str, str],
    route: tuple[str, str],
    class_name: str,
    object_id: str,
    principal: str,
    body: Any,
    query: dict[str, Any],
) -> None:
    method, template = route
    path = template.replace("{class}", quote(class_name, safe="")).replace(
        "{id}", quote(known.get(object_id, object_id), safe="")
    )
    answer = client.request(
        method,
        path,
        headers=headers_of(principal, known["session"]),
        content=b"" if method in ("GET", "DELETE") else encode(body),
        params={name: v if isinstance(v, str) else encode(v).decode() for name, v in query.items()},
    )
    check_answer(answer)


def headers_of(principal: str, session: str) -> dict[str, str]:
    headers = {"X-Parse-Application-Id": APP_ID, "X-Parse-REST-API-Key": REST_KEY}
    if principal == "user":
        headers["X-Parse-Session-Token"] = session
    if principal == "master":
        headers["X-Parse-Master-Key"] = MASTER_KEY
    return headers


def encode(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)


def check_answer(answer: httpx.Response) -> None:
    """A result or a refusal: no crash, and nothing in it that is nobody's business."""
    assert b"Internal server error." not in answer.content, answer.text
    assert answer.status_code < 500 or NEEDS_MAIL in answer.text, answer.text
    assert not any(secret in answer.text for secret in SECRET), answer.text
