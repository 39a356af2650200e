"""A server whose classes differ in who may see and change them, and everybody who asks: the stage of the
security tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from parse_clone.cloud import Cloud, FunctionRequest, JobRequest
from parse_clone.settings import LiveQuery
from tests.protocol.callers import Caller, pointer
from tests.servers import RunningServer

READ_ONLY_KEY = "tests-read-only-key"
MAINTENANCE_KEY = "tests-maintenance-key"
PASSWORD = "correct horse 9"
SECRET = "only-for-friends"

PUBLIC = {"*": True}
OPERATIONS = ("find", "get", "count", "create", "update", "delete", "addField")


def everywhere(granted: dict[str, bool]) -> dict[str, Any]:
    """The same for every operation on a class."""
    return dict.fromkeys(OPERATIONS, granted)


PERMISSIONS: dict[str, dict[str, Any]] = {
    "Open": everywhere(PUBLIC),
    "Closed": everywhere({}),
    "LoggedIn": everywhere({"requiresAuthentication": True}),
    "Staff": everywhere({"role:staff": True}),
    "ByOwner": {
        **everywhere({}),
        "readUserFields": ["owner"],
        "writeUserFields": ["owner"],
    },
    "ByAcl": everywhere(PUBLIC),
    "Shielded": {**everywhere(PUBLIC), "protectedFields": {"*": ["secret", "nested"]}},
}
"""Class to class-level permissions."""

PEOPLE = ("owner", "stranger", "member")
PRINCIPALS = ("nobody", *PEOPLE, "reader", "master")

READERS: dict[str, frozenset[str]] = {
    "Open": frozenset(PRINCIPALS),
    "Closed": frozenset({"reader", "master"}),
    "LoggedIn": frozenset({*PEOPLE, "reader", "master"}),
    "Staff": frozenset({"member", "reader", "master"}),
    "ByOwner": frozenset({"owner", "reader", "master"}),
    "ByAcl": frozenset({"owner", "reader", "master"}),
}
"""Class to those who may see its one object. Who may see it may change it, but for the read-only key."""

WRITERS = {name: readers - {"reader"} for name, readers in READERS.items()}


@dataclass(frozen=True)
class Stage:
    """A running server, the callers by name, the users' ids, and one object of each class."""

    server: RunningServer
    callers: dict[str, Caller]
    ids: dict[str, str]
    rows: dict[str, str]

    def close(self) -> None:
        for caller in self.callers.values():
            caller.close()

    @property
    def master(self) -> Caller:
        return self.callers["master"]

    @property
    def nobody(self) -> Caller:
        return self.callers["nobody"]


def register(cloud: Cloud) -> None:
    """A function that finds with the rights of its caller, and a job."""

    @cloud.function("find")
    async def find(request: FunctionRequest) -> list[str | None]:
        rows = await request.client.query(request.params["className"]).find()
        return [row.id for row in rows]

    @cloud.job("j")
    async def job(request: JobRequest) -> None:
        await request.message("done")


def set_the_stage(start_server: Callable[..., RunningServer], **options: Any) -> Stage:
    """Start the server, sign people up, define the classes and fill them."""
    server = start_server(
        register=register,
        read_only_master_key=READ_ONLY_KEY,
        maintenance_key=MAINTENANCE_KEY,
        live_query=LiveQuery(class_names=tuple(PERMISSIONS)),
        **options,
    )
    nobody, master = Caller(server), Caller(server, master=True)
    users = {name: sign_up(nobody, name) for name in PEOPLE}
    ids = {name: user["objectId"] for name, user in users.items()}
    staff = {"name": "staff", "ACL": {}, "users": link("_User", ids["member"])}
    master.post("/roles", staff)
    for name, permissions in PERMISSIONS.items():
        fields = {
            "owner": {"type": "Pointer", "targetClass": "_User"},
            "secret": {"type": "String"},
            "nested": {"type": "Object"},
            "title": {"type": "String"},
        }
        master.post(
            f"/schemas/{name}",
            {"className": name, "fields": fields, "classLevelPermissions": permissions},
            200,
        )
    callers = {
        "nobody": nobody,
        "master": master,
        "reader": Caller(server, master_key=READ_ONLY_KEY),
        **{name: Caller(server, user["sessionToken"]) for name, user in users.items()},
    }
    stage = Stage(server, callers, ids, {})
    for name in PERMISSIONS:
        stage.rows[name] = new_row(stage, name)
    return stage


def new_row(stage: Stage, class_name: str) -> str:
    """Store an object; its id."""
    owner = stage.ids["owner"]
    row = {
        "title": uuid4().hex,
        "secret": SECRET,
        "nested": {"secret": SECRET},
        "owner": pointer("_User", owner),
        "ACL": {owner: {"read": True, "write": True}} if class_name == "ByAcl" else PUBLIC_ACL,
    }
    return str(stage.master.post(f"/classes/{class_name}", row)["objectId"])


PUBLIC_ACL = {"*": {"read": True, "write": True}}


def sign_up(caller: Caller, name: str, **fields: Any) -> dict[str, Any]:
    """Sign a user up."""
    body = {"username": name, "password": PASSWORD, "email": f"{name}@example.com", **fields}
    answer: dict[str, Any] = caller.post("/users", body)
    return answer


def link(class_name: str, *object_ids: str) -> dict[str, Any]:
    """An operation that links objects."""
    return {"__op": "AddRelation", "objects": [pointer(class_name, object_id) for object_id in object_ids]}
