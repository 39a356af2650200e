"""Every way by which the URL of a private file leaves the server, and every way to get at one by its name."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from parse_clone.cloud import AuditEvent, BeforeSave, Cloud, File, FunctionRequest, ParseError
from parse_clone.core.file_signatures import derive_key, read_grant, sign
from parse_clone.settings import LiveQuery
from tests.protocol.callers import Caller, pointer
from tests.protocol.live_clients import live_client
from tests.servers import MASTER_KEY, RunningServer

PASSWORD = "correct horse 9"
PRIVATE = {"private": True}
FIELDS = {
    "scan": {"type": "File", **PRIVATE},
    "files": {"type": "Array", **PRIVATE},
    "notes": {"type": "Object", **PRIVATE},
    "photo": {"type": "File"},
    "plain": {"type": "Array"},
    "key": {"type": "String"},
}
STANDARD = {"type": "File", **PRIVATE, "defaultValue": {"__type": "File", "name": "standard.png"}}


def register(cloud: Cloud) -> None:
    @cloud.function("mine")
    async def mine(request: FunctionRequest) -> Any:
        return await request.client.query("Chart").where(objectId=request.params["id"]).find()

    @cloud.function("masters")
    async def masters(request: FunctionRequest) -> Any:
        return await request.client.as_master().query("Chart").where(objectId=request.params["id"]).find()

    @cloud.function("store")
    async def store(request: FunctionRequest) -> Any:
        await request.client.create("Chart", scan=request.params["scan"])

    told: list[list[Any]] = []

    @cloud.audit("Chart")
    async def audit(event: AuditEvent) -> None:
        if event.action == "download":
            told.append([event.context.auth.user_id, *event.object_ids])
            if event.context.headers.get("x-fail-audit"):
                raise ParseError(141, "no entry, no file")

    @cloud.function("told")
    async def tell(request: FunctionRequest) -> Any:
        found = list(told)
        told.clear()
        return found

    @cloud.before_save("Hooked")
    async def fill(request: BeforeSave) -> None:
        name = request.object.get("name")
        if isinstance(name, str):
            request.object["scan"] = File(name)
        chart = request.object.get("chart")
        if isinstance(chart, str):
            seen = await request.client.get("Chart", chart)
            request.object["copies"] = [seen["scan"]]


@dataclass(frozen=True)
class Ward:
    """A server, its master, and two users who have nothing to do with each other."""

    server: RunningServer
    master: Caller
    mia: Caller
    tom: Caller
    mia_id: str
    tom_id: str

    def upload(self, caller: Caller, name: str = "scan.png") -> dict[str, Any]:
        answer = caller._client.post(f"/files/{name}", content=b"a scan")
        assert answer.status_code == 201, answer.text
        return {"__type": "File", "name": answer.json()["name"]}

    def chart(self, **fields: Any) -> str:
        """A chart of Mia's that nobody else reads."""
        body = {"ACL": self.own(self.mia_id), **fields}
        return str(self.mia.post("/classes/Chart", body)["objectId"])

    @staticmethod
    def own(user_id: str) -> dict[str, Any]:
        return {user_id: {"read": True, "write": True}}

    def url(self, file: dict[str, Any]) -> str:
        return f"{self.server.url}/files/tests/{file['name']}"

    def reads(self, caller: Caller, file: dict[str, Any]) -> bool:
        """Can the caller download a file, with his session and the plain URL?"""
        status = caller._client.get(self.url(file)).status_code
        assert status in (200, 404)
        return status == 200


@pytest.fixture(scope="module")
def ward(start_server: Callable[..., RunningServer]) -> Iterator[Ward]:
    server = start_server(register=register, live_query=LiveQuery(class_names=("Chart",)))
    master, visitor = Caller(server, master=True), Caller(server)
    master.post("/schemas/Chart", {"fields": FIELDS}, 200)
    master.post("/schemas/Hooked", {"fields": FIELDS}, 200)
    master.post("/schemas/Letter", {"fields": {"scan": FIELDS["scan"], "head": STANDARD}}, 200)
    master.put("/schemas/_User", {"fields": {"portrait": {"type": "File", **PRIVATE}}})
    people = [visitor.post("/users", {"username": name, "password": PASSWORD}) for name in ("mia", "tom")]
    mia, tom = (Caller(server, person["sessionToken"]) for person in people)
    yield Ward(server, master, mia, tom, people[0]["objectId"], people[1]["objectId"])
    for caller in (master, visitor, mia, tom):
        caller.close()


def principals(answer: Any) -> list[str]:
    """For whom the URLs of files in an answer are signed; `-` for those without a signature."""
    found = []
    waiting = [answer]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
            if value.get("__type") == "File":
                proof = parse_qs(urlsplit(value["url"]).query).get("access", [""])[0]
                payload = base64.urlsafe_b64decode(proof.partition(".")[0] + "===").decode()
                found.append(payload.partition(".")[2] or "-")
    return found


# --- URLs that leave -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chart_id(ward: Ward) -> str:
    scan, first, deep = (ward.upload(ward.mia) for _ in range(3))
    return ward.chart(scan=scan, files=[first], notes={"a": {"b": [deep]}})


DOORS: dict[str, Callable[[Caller, str], Any]] = {
    "get": lambda caller, chart: caller.get(f"/classes/Chart/{chart}"),
    "find": lambda caller, chart: caller.get("/classes/Chart", where={"objectId": chart}),
    "keys": lambda caller, chart: caller.get(f"/classes/Chart/{chart}", keys="scan,files,notes"),
    "post find": lambda caller, chart: caller.post(
        "/classes/Chart", {"_method": "GET", "where": {"objectId": chart}}, 200
    ),
    "batch": lambda caller, chart: caller.post(
        "/batch", {"requests": [{"method": "GET", "path": f"/parse/classes/Chart/{chart}"}]}, 200
    ),
    "function": lambda caller, chart: caller.post("/functions/mine", {"id": chart}, 200),
    "function with master rights": lambda caller, chart: caller.post(
        "/functions/masters", {"id": chart}, 200
    ),
}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_urls_are_signed_for_the_one_who_reads(ward: Ward, chart_id: str, door: Any) -> None:
    assert principals(door(ward.mia, chart_id)) == [ward.mia_id] * 3
    assert principals(door(ward.master, chart_id)) == ["+master"] * 3


def test_a_url_that_cloud_code_reads_with_master_rights_is_good_for_its_caller_only(
    ward: Ward, chart_id: str
) -> None:
    answer = ward.tom.post("/functions/masters", {"id": chart_id}, 200)
    assert principals(answer) == [ward.tom_id] * 3  # who may not read the object
    with httpx.Client() as browser:
        assert browser.get(answer["result"][0]["scan"]["url"]).status_code == 404


def test_included_objects_have_signed_urls(ward: Ward, chart_id: str) -> None:
    reference = ward.mia.post("/classes/Reference", {"chart": pointer("Chart", chart_id)})["objectId"]
    found = ward.mia.get(f"/classes/Reference/{reference}", include="chart")
    assert principals(found) == [ward.mia_id] * 3


def test_frames_have_urls_for_the_one_who_listens(ward: Ward, chart_id: str) -> None:
    with live_client(ward.server, sessionToken=ward.mia.session) as live:
        live.subscribe(1, "Chart", {"objectId": chart_id})
        ward.mia.put(f"/classes/Chart/{chart_id}", {"key": "changed"})
        frame = live.next()
        assert (frame["op"], principals(frame)) == ("update", [ward.mia_id] * len(principals(frame)))
        assert len(principals(frame["object"])) == 3


def test_users_have_signed_urls_wherever_they_are_shown(ward: Ward) -> None:
    portrait = ward.upload(ward.mia)
    ward.mia.put(f"/users/{ward.mia_id}", {"portrait": portrait})
    login = {"username": "mia", "password": PASSWORD}
    answers = [
        ward.mia.get("/users/me"),
        ward.mia.get(f"/users/{ward.mia_id}"),
        ward.mia.post("/login", login, 200),
        ward.mia.post("/verifyPassword", login, 200),
        ward.mia.get("/sessions", include="user", limit=1),
    ]
    assert [principals(answer) for answer in answers] == [[ward.mia_id]] * len(answers)
    assert not ward.reads(ward.tom, portrait)


def test_a_file_of_a_session_is_read_by_its_user_alone(ward: Ward) -> None:
    ward.master.put("/schemas/_Session", {"fields": {"voucher": {"type": "File", **PRIVATE}}})
    session = ward.mia.get("/sessions/me")["objectId"]
    voucher = ward.upload(ward.mia)
    ward.master.put(f"/sessions/{session}", {"voucher": voucher})
    assert (ward.reads(ward.mia, voucher), ward.reads(ward.tom, voucher)) == (True, False)


def test_answers_of_saves_have_signed_urls(ward: Ward) -> None:
    name = ward.upload(ward.mia)["name"]
    answer = ward.mia.post("/classes/Hooked", {"name": name, "ACL": ward.own(ward.mia_id)})
    assert (answer["scan"]["name"], principals(answer)) == (name, [ward.mia_id])
    path = f"/classes/Hooked/{answer['objectId']}"
    added = {"files": {"__op": "Add", "objects": [ward.upload(ward.mia)]}}
    assert principals(ward.mia.put(path, added)["files"]) == [ward.mia_id]


def test_downloads_are_audited(ward: Ward, chart_id: str) -> None:
    scan = ward.mia.get(f"/classes/Chart/{chart_id}")["scan"]
    ward.mia.post("/functions/told", {}, 200)
    with httpx.Client() as browser:
        for url in (scan["url"], ward.url(scan)):
            browser.get(url)
        refused = browser.get(scan["url"], headers={"X-Fail-Audit": "yes"})
        assert (refused.status_code, refused.json()["code"]) == (400, 141)
    entry = [ward.mia_id, chart_id]
    assert ward.mia.post("/functions/told", {}, 200) == {"result": [entry, entry]}


def test_an_aggregate_shows_no_signatures(ward: Ward, chart_id: str) -> None:
    found = ward.master.get("/aggregate/Chart", pipeline=[{"$match": {"objectId": chart_id}}])
    assert chart_id in json.dumps(found)
    assert "access=" not in json.dumps(found)


# --- Names that are copied -------------------------------------------------------------------------------


def place(**fields: Any) -> Callable[[Ward, dict[str, Any]], httpx.Response]:
    """Create a chart of one's own with a file somewhere in it."""

    def ask(ward: Ward, file: dict[str, Any]) -> httpx.Response:
        text = json.dumps({**fields, "ACL": ward.own(ward.tom_id)}).replace('"FILE"', json.dumps(file))
        return ward.tom.ask("POST", "/classes/Chart", json.loads(text))

    return ask


def put(body: dict[str, Any], before: dict[str, Any] | None = None) -> Any:
    """Put a file into a chart that is there."""

    def ask(ward: Ward, file: dict[str, Any]) -> httpx.Response:
        own = ward.tom.post("/classes/Chart", {"ACL": ward.own(ward.tom_id), **(before or {})})["objectId"]
        text = json.dumps(body).replace('"FILE"', json.dumps(file)).replace("NAME", file["name"])
        return ward.tom.ask("PUT", f"/classes/Chart/{own}", json.loads(text))

    return ask


def batch(ward: Ward, file: dict[str, Any]) -> httpx.Response:
    request = {
        "method": "POST",
        "path": "/parse/classes/Chart",
        "body": {"scan": file, "ACL": ward.own(ward.tom_id)},
    }
    return ward.tom.ask("POST", "/batch", {"requests": [request]})


THEFTS: dict[str, Any] = {
    "create": place(scan="FILE"),
    "public field": place(photo="FILE"),
    "array": place(files=["FILE"]),
    "nested arrays": place(files=[1, [{"a": ["FILE"]}]]),
    "object": place(notes={"a": "FILE"}),
    "inside of a file": place(files=[{"__type": "File", "name": "decoy.png", "more": "FILE"}]),
    "no private field": place(plain=["FILE"]),
    "SetOnInsert": place(scan={"__op": "SetOnInsert", "amount": "FILE"}),
    "update": put({"scan": "FILE"}),
    "new field": put({"another": "FILE"}),
    "Add": put({"files": {"__op": "Add", "objects": ["FILE"]}}),
    "AddUnique": put({"files": {"__op": "AddUnique", "objects": ["FILE"]}}),
    "dotted": put({"notes.a": "FILE"}, {"notes": {}}),
    "member": put({"notes.a.name": "NAME"}, {"notes": {"a": {"__type": "File", "name": "x.png"}}}),
    "type": put({"notes.a.__type": "File"}, {"notes": {"a": {"__type": "X", "name": "NAME"}}}),
    "user": lambda ward, file: ward.tom.ask("PUT", f"/users/{ward.tom_id}", {"portrait": file}),
    "batch": batch,
    "cloud code": lambda ward, file: ward.tom.ask("POST", "/functions/store", {"scan": file}),
    "hook": lambda ward, file: ward.tom.ask("POST", "/classes/Hooked", {"name": file["name"]}),
}


@pytest.mark.parametrize("theft", THEFTS.values(), ids=THEFTS)
def test_who_copies_a_name_gets_no_file(ward: Ward, theft: Any) -> None:
    file = ward.upload(ward.mia)
    ward.chart(scan=file)
    theft(ward, file)
    assert not ward.reads(ward.tom, file)
    assert ward.reads(ward.mia, file)


@pytest.mark.parametrize("theft", THEFTS.values(), ids=THEFTS)
def test_the_same_is_accepted_with_a_file_of_ones_own(ward: Ward, theft: Any) -> None:
    answer = theft(ward, ward.upload(ward.tom))
    assert answer.is_success, answer.text
    assert "error" not in answer.text


def test_a_text_that_is_no_name_of_a_file_may_be_in_many_objects(ward: Ward) -> None:
    for caller, user_id in ((ward.mia, ward.mia_id), (ward.tom, ward.tom_id)):
        chart = caller.post("/classes/Chart", {"notes": {"a": {}}, "ACL": ward.own(user_id)})["objectId"]
        caller.put(f"/classes/Chart/{chart}", {"notes.a.name": "the same", "notes.state": "done"})


# --- What is stored --------------------------------------------------------------------------------------


def test_signatures_are_stored_nowhere(ward: Ward, chart_id: str) -> None:
    seen = ward.mia.get(f"/classes/Chart/{chart_id}")
    back = {"plain": [seen["scan"], {"deep": seen["scan"]}], "files": [seen["scan"]], "scan": seen["scan"]}
    path = f"/classes/Chart/{ward.chart(**back)}"
    ward.mia.put(path, {"plain": {"__op": "Add", "objects": [seen["scan"]]}})
    pipeline = [{"$match": {"objectId": path.rpartition("/")[2]}}]
    raw = ward.master.get("/aggregate/Chart", pipeline=pipeline)
    assert seen["scan"]["name"] in json.dumps(raw)
    assert "access=" not in json.dumps(raw)
    assert len(principals(ward.mia.get(path)["plain"])) == 3


def test_hooks_store_no_signatures_either(ward: Ward, chart_id: str) -> None:
    created = ward.mia.post("/classes/Hooked", {"chart": chart_id, "ACL": ward.own(ward.mia_id)})
    raw = ward.master.get(f"/classes/Hooked/{created['objectId']}")
    assert raw["copies"][0]["name"] == ward.mia.get(f"/classes/Chart/{chart_id}")["scan"]["name"]
    assert "access=" not in json.dumps(raw["copies"])


def test_a_failed_save_can_be_repeated(ward: Ward) -> None:
    file = ward.upload(ward.mia)
    foreign = ward.tom.post("/classes/Chart", {"ACL": ward.own(ward.tom_id)})["objectId"]
    assert ward.mia.refusal("PUT", f"/classes/Chart/{foreign}", {"scan": file}) == 101
    ward.master.put("/schemas/Chart", {"fields": {"number": {"type": "Number"}}})
    user = {"username": "mia", "password": PASSWORD, "portrait": file}
    assert ward.mia.refusal("POST", "/users", user) == 202
    assert ward.reads(ward.mia, file)
    ward.chart(scan=file)
    assert not ward.reads(ward.tom, file)


def test_who_takes_the_id_of_a_deleted_object_does_not_get_its_files(
    start_server: Callable[..., RunningServer],
) -> None:
    server = start_server(allow_custom_object_id=True)
    master, visitor = Caller(server, master=True), Caller(server)
    master.post("/schemas/Chart", {"fields": FIELDS}, 200)
    answer = master._client.post("/files/a.txt", content=b"x")
    file = {"__type": "File", "name": answer.json()["name"]}
    master.post("/classes/Chart", {"objectId": "chart1", "scan": file, "ACL": {}})
    assert master.ask("DELETE", "/classes/Chart/chart1").status_code == 200
    for _ in range(2):
        assert visitor.refusal("POST", "/classes/Chart", {"objectId": "chart1", "scan": file}) == 119
        assert visitor._client.get(answer.json()["url"]).status_code == 404
    master.close()
    visitor.close()


def test_what_every_object_has_by_default_keeps_nobody_out(ward: Ward) -> None:
    for caller, user_id in ((ward.mia, ward.mia_id), (ward.tom, ward.tom_id)):
        answer = caller.post("/classes/Letter", {"ACL": ward.own(user_id)})
        assert (answer["head"]["name"], principals(answer)) == ("standard.png", [user_id])


def test_a_file_that_is_no_longer_public_is_private(ward: Ward) -> None:
    file = ward.upload(ward.mia)
    chart = ward.chart(photo=file)
    assert ward.reads(ward.tom, file)
    ward.mia.put(f"/classes/Chart/{chart}", {"scan": file})
    assert ward.reads(ward.tom, file)  # it is public, too
    ward.mia.put(f"/classes/Chart/{chart}", {"photo": {"__op": "Delete"}})
    assert not ward.reads(ward.tom, file)
    assert ward.reads(ward.mia, file)


def test_a_public_file_stays_where_it_is_when_its_object_goes(ward: Ward) -> None:
    file = ward.upload(ward.mia)
    chart = ward.chart(photo=file)
    ward.mia.ask("DELETE", f"/classes/Chart/{chart}")
    assert ward.reads(ward.tom, file)


def test_a_field_that_becomes_private_protects_at_once(ward: Ward) -> None:
    scans = {"fields": {"scan": {"type": "File"}, "more": {"type": "Array"}}}
    ward.master.post("/schemas/Open", scans, 200)
    own = {"ACL": ward.own(ward.mia_id)}

    def stored() -> list[dict[str, Any]]:
        files = [ward.upload(ward.mia), ward.upload(ward.mia)]
        ward.mia.post("/classes/Open", {"scan": files[0], "more": [files[1]], **own})
        return files

    def read_by_tom(files: list[dict[str, Any]]) -> list[bool]:
        return [ward.reads(ward.tom, file) for file in files]

    files = stored()
    private = {name: {**kind, "private": True} for name, kind in scans["fields"].items()}
    ward.master.put("/schemas/Open", {"fields": private})
    assert read_by_tom(files) == [False, False]
    ward.master.put("/schemas/Open", {"fields": {name: {**kind} for name, kind in scans["fields"].items()}})
    files += stored()  # while nobody watches
    ward.master.put("/schemas/Open", {"fields": private})
    assert read_by_tom(files) == [False] * 4
    assert all(ward.reads(ward.mia, file) for file in files)


def test_a_file_that_many_objects_hold_is_read_by_each_of_their_readers(ward: Ward) -> None:
    leaflet = ward.upload(ward.mia)
    ward.chart(files=[leaflet])
    create = {"method": "POST", "path": "/parse/classes/Chart", "body": {"files": [leaflet], "ACL": {}}}
    for _ in range(3):
        ward.master.post("/batch", {"requests": [create] * 50}, 200)
    assert not ward.reads(ward.tom, leaflet)
    last = {"files": [leaflet], "ACL": ward.own(ward.tom_id)}
    ward.master.post("/classes/Chart", last)
    assert ward.reads(ward.tom, leaflet)


def test_metadata_of_a_private_file_are_not_kept_by_caches(ward: Ward, chart_id: str) -> None:
    url = ward.mia.get(f"/classes/Chart/{chart_id}")["scan"]["url"]
    with httpx.Client() as browser:
        answer = browser.get(url.replace("/files/tests/", "/files/tests/metadata/"))
    assert (answer.json(), answer.headers["cache-control"]) == ({"metadata": {}}, "private, no-cache")


def test_what_a_browser_has_is_confirmed_only_to_who_may_read(ward: Ward, chart_id: str) -> None:
    scan = ward.mia.get(f"/classes/Chart/{chart_id}")["scan"]
    with httpx.Client() as browser:
        tag = browser.get(scan["url"]).headers["etag"]
        assert browser.get(scan["url"], headers={"If-None-Match": tag}).status_code == 304
        assert browser.get(ward.url(scan), headers={"If-None-Match": tag}).status_code == 404
        assert browser.get(ward.url(scan), headers={"Range": "bytes=0-1"}).status_code == 404
    assert ward.tom.ask("DELETE", f"/files/{scan['name']}").status_code == 403


def test_the_feature_can_be_turned_off(start_server: Callable[..., RunningServer]) -> None:
    server = start_server(private_files=False)
    master = Caller(server, master=True)
    master.post("/schemas/Chart", {"fields": FIELDS}, 200)
    file = {"__type": "File", **master._client.post("/files/a.txt", content=b"x").json()}
    chart = master.post("/classes/Chart", {"scan": file, "ACL": {}})["objectId"]
    assert principals(master.get(f"/classes/Chart/{chart}")) == ["-"]
    with httpx.Client() as browser:
        assert browser.get(file["url"]).content == b"x"
    master.close()


def test_signatures_can_have_a_key_and_a_lifetime_of_their_own(
    start_server: Callable[..., RunningServer],
) -> None:
    server = start_server(file_signing_key="of their own", file_url_lifetime=60)
    master = Caller(server, master=True)
    master.post("/schemas/Chart", {"fields": FIELDS}, 200)
    file = {"__type": "File", **master._client.post("/files/a.txt", content=b"x").json()}
    chart = master.post("/classes/Chart", {"scan": file, "ACL": {}})["objectId"]
    url = master.get(f"/classes/Chart/{chart}")["scan"]["url"]
    master.close()
    proof = parse_qs(urlsplit(url).query)["access"][0]
    grant = read_grant(proof, file["name"], derive_key("of their own"), time.time())
    assert grant is not None
    assert time.time() < grant.expires <= time.time() + 60 + 15
    with httpx.Client() as browser:
        assert browser.get(url).content == b"x"
        forged = sign(grant, file["name"], derive_key(MASTER_KEY))
        assert browser.get(f"{file['url']}?access={forged}").status_code == 404
