"""Private files: signed URLs, who may use them, and what ends them, with the ECG reports of a clinic."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from parse_clone.core.file_signatures import Grant, derive_key, sign
from tests.protocol.callers import Caller
from tests.protocol.clinic import Clinic, create_profile, open_clinic
from tests.servers import ENGINES, MASTER_KEY

CONTENT = b"%PDF-1.4 a heart"


@pytest.fixture(scope="module", params=ENGINES)
def clinic(request: pytest.FixtureRequest) -> Iterator[Clinic]:
    engine: str = request.param
    uri = request.getfixturevalue("mongo_uri") if engine == "mongo" else ""
    with open_clinic(engine, uri, "cardiology_suite") as opened:
        yield opened


@pytest.fixture(scope="module")
def chart(clinic: Clinic) -> dict[str, Any]:
    return create_profile(clinic, "MRN-0001")


@pytest.fixture(scope="module")
def browser() -> Iterator[httpx.Client]:
    """Somebody with a URL and nothing else."""
    with httpx.Client() as client:
        yield client


def upload(caller: Caller, name: str = "ecg.pdf") -> dict[str, Any]:
    headers = {"Content-Type": "application/pdf"}
    answer = caller._client.post(f"/files/{name}", content=CONTENT, headers=headers)
    assert answer.status_code == 201, answer.text
    return {"__type": "File", **answer.json()}


def report(clinic: Clinic, chart: dict[str, Any], file: dict[str, Any], **fields: Any) -> str:
    body = {
        "patient": chart,
        "orderedBy": clinic.clinician.pointer,
        "reportData": file,
        "status": "final",
        "ACL": clinic.shared_acl(),
        **fields,
    }
    return str(clinic.clinician.caller.post("/classes/ECGReport", body)["objectId"])


def url_for(caller: Caller, object_id: str) -> str:
    return str(caller.get(f"/classes/ECGReport/{object_id}")["reportData"]["url"])


def status(client: httpx.Client, url: str, **headers: str) -> int:
    answer = client.get(url, headers=headers)
    if answer.status_code == 404:
        assert answer.text == "File not found."
    return answer.status_code


def test_a_url_is_good_for_the_one_it_was_made_for(
    clinic: Clinic, chart: dict[str, Any], browser: httpx.Client
) -> None:
    file = upload(clinic.clinician.caller)
    assert status(browser, file["url"]) == 200  # nobody's yet, and nobody else knows its name
    held = report(clinic, chart, file)
    assert status(browser, file["url"]) == 404
    url = url_for(clinic.patient.caller, held)
    answer = browser.get(url)
    assert answer.content == CONTENT
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert clinic.patient.caller._client.get(url).content == CONTENT
    assert clinic.patient.caller._client.get(file["url"]).content == CONTENT  # with his session
    for stranger in (clinic.other_patient.caller, clinic.visitor):
        assert stranger._client.get(file["url"]).status_code == 404
    assert clinic.other_patient.caller._client.get(url).status_code == 404
    assert browser.head(url).headers["content-length"] == str(len(CONTENT))
    assert browser.get(url, headers={"Range": "bytes=0-3"}).content == b"%PDF"
    assert status(browser, file["url"], Range="bytes=0-3") == 404
    assert browser.head(file["url"]).status_code == 404


def test_metadata_are_as_private_as_the_file(
    clinic: Clinic, chart: dict[str, Any], browser: httpx.Client
) -> None:
    held = report(clinic, chart, upload(clinic.clinician.caller))
    url = url_for(clinic.patient.caller, held)
    metadata = url.replace("/files/tests/", "/files/tests/metadata/")
    assert browser.get(metadata).json() == {"metadata": {}}
    assert browser.get(metadata.partition("?")[0]).json() == {}


def test_what_ends_a_url(clinic: Clinic, chart: dict[str, Any], browser: httpx.Client) -> None:
    clinician, acl = clinic.clinician.caller, clinic.shared_acl()
    path = f"/classes/ECGReport/{report(clinic, chart, upload(clinician))}"
    url = str(clinic.patient.caller.get(path)["reportData"]["url"])
    clinician.put(path, {"ACL": {clinic.clinician.id: {"read": True, "write": True}}})
    assert status(browser, url) == 404
    clinician.put(path, {"ACL": acl})
    assert status(browser, url) == 200
    clinician.put(path, {"reportData": upload(clinician)})  # another file in its place
    assert status(browser, url) == 404
    url = str(clinic.patient.caller.get(path)["reportData"]["url"])
    clinic.master.ask("DELETE", path)
    assert status(browser, url) == 404
    assert clinic.master._client.get(url.partition("?")[0]).status_code == 200


def forged(url: str, clinic: Clinic, key: str = MASTER_KEY, **changes: Any) -> str:
    """A URL with a grant of our own making."""
    plain = url.partition("?")[0]
    grant = Grant(changes.get("principal", clinic.patient.id), changes.get("expires", 2**40))
    name = changes.get("name", plain.rpartition("/")[2])
    return f"{plain}?access={sign(grant, name, derive_key(key))}"


def test_a_url_cannot_be_made_or_altered(
    clinic: Clinic, chart: dict[str, Any], browser: httpx.Client
) -> None:
    url = url_for(clinic.patient.caller, report(clinic, chart, upload(clinic.clinician.caller)))
    plain, _, query = url.partition("?")
    proof = parse_qs(query)["access"][0]
    payload, _, mac = proof.partition(".")
    assert status(browser, forged(url, clinic)) == 200
    now = int(datetime.now(UTC).timestamp())
    for wrong in (
        forged(url, clinic, key="another key"),
        forged(url, clinic, expires=now - 1),
        forged(url, clinic, principal=clinic.other_patient.id),
        forged(url, clinic, principal="*"),
        forged(url, clinic, principal="nobodyatall"),
        forged(url, clinic, name="other.pdf"),
        f"{plain}?access={payload}.{mac[:-2]}AA",
        f"{plain}?access={payload[:-2]}AA.{mac}",
        f"{plain}?access={payload}.",
        f"{plain}?access=.",
        f"{plain}?access={proof}.{mac}",
        f"{plain}?access={proof}&access=x",
        f"{plain}?access=" + "A" * 5000,
        f"{plain}?access=%ff%00.%ff",
        plain,
    ):
        assert status(browser, wrong) == 404, wrong


def test_a_url_lasts_a_quarter_of_an_hour(clinic: Clinic, chart: dict[str, Any]) -> None:
    held = report(clinic, chart, upload(clinic.clinician.caller))
    url = url_for(clinic.patient.caller, held)
    assert urlsplit(url).query == urlsplit(url_for(clinic.patient.caller, held)).query  # can be cached
    at_most = datetime.now(UTC) + timedelta(seconds=900 + 225)
    payload = parse_qs(urlsplit(url).query)["access"][0].partition(".")[0]
    expires = int(base64.urlsafe_b64decode(payload + "==").partition(b".")[0], 16)
    assert datetime.now(UTC) < datetime.fromtimestamp(expires, UTC) <= at_most


def test_who_knows_a_name_cannot_make_the_file_his(clinic: Clinic, chart: dict[str, Any]) -> None:
    file = upload(clinic.clinician.caller)
    report(clinic, chart, file)
    other = clinic.other_patient
    stolen = {"__type": "File", "name": file["name"]}
    mine = {
        "from": other.pointer,
        "to": other.pointer,
        "conversationId": "c1",
        "patient": chart,
        "isRead": False,
        "body": "x",
        "ACL": {other.id: {"read": True}},
    }
    for attachments in ([stolen], [{"deep": [stolen]}]):
        assert other.caller.refusal("POST", "/classes/Message", {**mine, "attachments": attachments}) == 119
    sent = other.caller.post("/classes/Message", {**mine, "ACL": {other.id: {"read": True, "write": True}}})[
        "objectId"
    ]
    for operation in ("Add", "AddUnique"):
        body = {"attachments": {"__op": operation, "objects": [stolen]}}
        assert other.caller.refusal("PUT", f"/classes/Message/{sent}", body) == 119
    assert other.caller._client.get(file["url"]).status_code == 404


def test_files_in_an_array_are_private_and_their_urls_are_not_stored(
    clinic: Clinic, chart: dict[str, Any], browser: httpx.Client
) -> None:
    clinician, patient = clinic.clinician, clinic.patient
    files = [upload(clinician.caller, f"{name}.pdf") for name in "ab"]
    message = {
        "from": clinician.pointer,
        "to": patient.pointer,
        "conversationId": "c1",
        "patient": chart,
        "isRead": False,
        "body": "two results",
        "attachments": files,
        "ACL": clinic.shared_acl(),
    }
    sent = clinician.caller.post("/classes/Message", message)["objectId"]
    urls = [file["url"] for file in patient.caller.get(f"/classes/Message/{sent}")["attachments"]]
    assert [browser.get(url).content for url in urls] == [CONTENT, CONTENT]
    assert [status(browser, file["url"]) for file in files] == [404, 404]
    seen = clinician.caller.get(f"/classes/Message/{sent}")["attachments"]
    removal = {"attachments": {"__op": "Remove", "objects": [seen[0]]}}  # as a kit sends it, with its URL
    clinician.caller.put(f"/classes/Message/{sent}", removal)
    (left,) = patient.caller.get(f"/classes/Message/{sent}")["attachments"]
    assert left["name"] == files[1]["name"]
    assert [status(browser, url) for url in urls] == [404, 200]
    pipeline = clinic.master.get(
        "/aggregate/Message", pipeline=[{"$match": {"objectId": sent}}, {"$project": {"attachments": 1}}]
    )
    assert "access=" not in json.dumps(pipeline)


def test_a_reader_may_pass_a_file_on(clinic: Clinic, chart: dict[str, Any], browser: httpx.Client) -> None:
    file = upload(clinic.clinician.caller)
    held = report(clinic, chart, file)
    other = clinic.other_patient
    passed = {
        "from": clinic.clinician.pointer,
        "to": other.pointer,
        "conversationId": "c1",
        "patient": chart,
        "isRead": False,
        "body": "a second opinion",
        "attachments": [{"__type": "File", "name": file["name"]}],
        "ACL": {other.id: {"read": True}},
    }
    clinic.clinician.caller.post("/classes/Message", passed)
    assert other.caller._client.get(file["url"]).content == CONTENT
    assert other.caller.sees_nothing(f"/classes/ECGReport/{held}")
