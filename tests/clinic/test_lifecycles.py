"""The states of records, their former versions, messages, appointments, care teams, roles."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.clinic.people import PASSWORD, Clinic, Person
from tests.clinic.records import a_date, create, hours, message, new_body
from tests.clinic.watching import heard, watching
from tests.protocol.callers import Caller, pointer
from tests.servers import APP_ID, REST_KEY


def refusal(caller: Caller, method: str, path: str, body: Any = None) -> tuple[int, str]:
    """Code and text of a call that must be refused."""
    answer = caller.ask(method, path, body)
    assert answer.status_code >= 400, answer.text
    return answer.json()["code"], answer.json()["error"]


def test_a_result_is_published_and_amended_and_keeps_its_versions(clinic: Clinic) -> None:
    doctor, path = clinic.provider.caller, f"/classes/LabResult/{create(clinic, 'LabResult')}"
    assert "publishedAt" not in doctor.get(path)
    doctor.put(path, {"status": "final"})
    published = clinic.patient.caller.get(path)
    assert published["status"] == "final"
    assert published["publishedAt"]["__type"] == "Date"
    doctor.put(path, {"resultValue": "2.9"})
    assert doctor.get(path)["status"] == "amended"

    result_id = path.rpartition("/")[2]
    for reader in (clinic.patient, clinic.provider):
        versions = clinic.call(reader.caller, "recordVersions", className="LabResult", record=result_id)
        assert [version["version"] for version in versions] == [2, 1]
        assert [version["snapshot"]["status"] for version in versions] == ["final", "preliminary"]
        assert versions[0]["snapshot"]["resultValue"] == "3.1"
        assert versions[0]["changed"] == ["resultValue"]
        assert versions[0]["changedBy"]["objectId"] == clinic.provider.id
        assert versions[0]["author"]["objectId"] == clinic.provider.id
    kept = f"/classes/RecordVersion/{versions[0]['objectId']}"
    assert clinic.master.refusal("PUT", kept, {"version": 9}) == 119
    assert clinic.master.refusal("DELETE", kept) == 119
    for stranger in (clinic.other_patient, clinic.other_provider, clinic.admin):
        assert clinic.call(stranger.caller, "recordVersions", className="LabResult", record=result_id) == []


def test_publishing_notifies_the_patient(clinic: Clinic) -> None:
    result = create(clinic, "LabResult")
    clinic.provider.caller.put(f"/classes/LabResult/{result}", {"status": "final"})
    notices = clinic.patient.caller.get("/classes/Notification", where={"entityId": result})["results"]
    assert [(notice["kind"], notice["isRead"]) for notice in notices] == [("published", False)]


def test_forbidden_transitions_name_the_allowed_ones(clinic: Clinic) -> None:
    path = f"/classes/LabResult/{create(clinic, 'LabResult')}"
    doctor = clinic.provider.caller
    code, text = refusal(doctor, "PUT", path, {"status": "amended"})
    assert (code, text) == (142, "A LabResult that is preliminary can become final, not amended.")
    body = {**new_body(clinic, "LabResult"), "status": "amended"}
    code, text = refusal(doctor, "POST", "/classes/LabResult", body)
    assert (code, text) == (142, "A new LabResult is preliminary or final, not amended.")
    plan = f"/classes/TreatmentPlan/{create(clinic, 'TreatmentPlan')}"
    code, text = refusal(doctor, "PUT", plan, {"status": "completed"})
    assert (code, text) == (142, "A TreatmentPlan that is draft can become active, not completed.")


def test_a_plan_is_activated_by_the_team_and_acknowledged_by_the_patient(clinic: Clinic) -> None:
    plan = create(clinic, "TreatmentPlan")
    path, doctor = f"/classes/TreatmentPlan/{plan}", clinic.provider.caller
    code, text = refusal(clinic.master, "PUT", path, {"status": "active"})
    assert (code, text) == (119, "Only the care team can make a TreatmentPlan active.")
    answer = clinic.patient.caller.ask("POST", "/functions/acknowledgePlan", {"plan": plan})
    assert answer.json() == {
        "code": 142,
        "error": "A TreatmentPlan that is draft can become active, not acknowledged.",
    }
    doctor.put(path, {"status": "active"})
    assert refusal(doctor, "PUT", path, {"status": "acknowledged"})[0] == 119
    assert refusal(clinic.patient.caller, "PUT", path, {"status": "acknowledged"})[0] in (101, 119)
    for stranger in (clinic.other_patient, clinic.other_provider, clinic.provider):
        answer = stranger.caller.ask("POST", "/functions/acknowledgePlan", {"plan": plan})
        assert answer.json()["code"] in (101, 119)
    clinic.call(clinic.patient.caller, "acknowledgePlan", plan=plan)
    assert doctor.get(path)["status"] == "acknowledged"
    doctor.put(path, {"summary": "Run"})
    assert doctor.get(path)["status"] == "active", "a changed plan asks to be acknowledged again"
    doctor.put(path, {"status": "completed"})
    assert refusal(doctor, "PUT", path, {"summary": "Rest"})[1].startswith(
        "A TreatmentPlan that is completed"
    )


def test_acl_and_patient_of_a_record_are_not_the_clients_business(clinic: Clinic) -> None:
    doctor = clinic.provider.caller
    body = {**new_body(clinic, "LabResult"), "ACL": {"*": {"read": True, "write": True}}}
    result = doctor.post("/classes/LabResult", body)["objectId"]
    path, patient = f"/classes/LabResult/{result}", clinic.patient
    acl = {
        patient.id: {"read": True},
        f"role:careTeam_{patient.id}": {"read": True, "write": True},
    }
    assert doctor.get(path)["ACL"] == acl
    for caller in (doctor, clinic.master):
        caller.put(path, {"ACL": {"*": {"read": True, "write": True}}})
        assert doctor.get(path)["ACL"] == acl
        code, text = refusal(caller, "PUT", path, {"patient": clinic.other_patient.profile})
        assert (code, text) == (142, "patient of a LabResult cannot be changed.")
    assert refusal(doctor, "POST", "/classes/LabResult", {"testName": "LDL"})[0] in (119, 142)


def test_no_form_of_a_request_changes_an_acl(clinic: Clinic) -> None:
    doctor, open_to_all = clinic.provider.caller, {"*": {"read": True, "write": True}}
    result = create(clinic, "LabResult")
    path = f"/classes/LabResult/{result}"
    acl = doctor.get(path)["ACL"]
    forms: list[Any] = [
        {"ACL": open_to_all, "units": "x"},
        {"ACL": None},
        {"ACL": {}},
        {"ACL": {"__op": "Delete"}},
        {"ACL": {"__op": "Set", "value": open_to_all}},
        {"ACL": {"__op": "Add", "objects": ["*"]}},
        {"ACL.*": {"read": True}},
        {"ACL.*.read": True},
        {"_acl": {"*": {"r": True}}},
        {"_rperm": ["*"]},
        {"_wperm": {"__op": "Add", "objects": ["*"]}},
    ]
    for caller in (doctor, clinic.master):
        for form in forms:
            part = {"method": "PUT", "path": f"/parse{path}", "body": form}
            caller.ask("PUT", path, form)
            caller.ask("POST", "/batch", {"requests": [part]})
            caller.ask("POST", "/batch", {"requests": [part], "transaction": True})
            assert doctor.get(path)["ACL"] == acl, form
    body = new_body(clinic, "LabResult")
    for form in ({"ACL": open_to_all}, {"ACL": {}}, {"ACL": None}, {"_rperm": ["*"]}, {"objectId": "mine"}):
        for transaction in (False, True):
            part = {"method": "POST", "path": "/parse/classes/LabResult", "body": {**body, **form}}
            doctor.ask("POST", "/batch", {"requests": [part], "transaction": transaction})
        doctor.ask("POST", "/classes/LabResult", {**body, **form})
        doctor.ask("PUT", "/classes/LabResult/unknown", {**body, **form})
    own = {"patient": clinic.patient.profile}
    stored = clinic.master.get("/classes/LabResult", where=own, limit=1000)["results"]
    assert {json.dumps(row["ACL"], sort_keys=True) for row in stored} == {json.dumps(acl, sort_keys=True)}


def test_messages_are_marked_by_the_recipient_and_fixed(clinic: Clinic) -> None:
    sender, recipient = clinic.patient.caller, clinic.provider.caller
    body = {**message(clinic, clinic.patient), "from": clinic.admin.pointer, "isRead": True}
    path = f"/classes/Message/{sender.post('/classes/Message', body)['objectId']}"
    sent = recipient.get(path)
    assert sent["from"]["objectId"] == clinic.patient.id
    assert (sent["isRead"], "readAt" in sent, "sentAt" in sent) == (False, False, True)
    assert refusal(sender, "PUT", path, {"isRead": True})[0] == 119
    for caller in (sender, recipient, clinic.master):
        assert refusal(caller, "PUT", path, {"body": "Other"})[0] == 142
    message_id = path.rpartition("/")[2]
    clinic.call(recipient, "markMessage", message=message_id, state="delivered")
    clinic.call(recipient, "markMessage", message=message_id)
    read = sender.get(path)
    assert (read["isRead"], "deliveredAt" in read, "readAt" in read) == (True, True, True)
    assert refusal(recipient, "PUT", path, {"isRead": False})[0] == 142


def test_conversations_stay_with_their_patient(clinic: Clinic) -> None:
    first = message(clinic, clinic.patient)
    clinic.patient.caller.post("/classes/Message", first)
    clinic.call(
        clinic.admin.caller,
        "assignProvider",
        patient=clinic.subject(clinic.other_patient),
        provider=clinic.provider.id,
    )
    intruder = {**first, "patient": clinic.other_patient.profile}
    assert refusal(clinic.other_patient.caller, "POST", "/classes/Message", intruder)[0] == 119
    thread = clinic.provider.caller.get(
        "/classes/Message", where={"conversationId": first["conversationId"]}, order="sentAt"
    )
    assert len(thread["results"]) == 1


def test_appointments_end_after_their_start_and_do_not_overlap(clinic: Clinic) -> None:
    patient, first = clinic.patient.caller, new_body(clinic, "Appointment")
    upside_down = {**first, "startAt": first["endAt"], "endAt": first["startAt"]}
    assert refusal(patient, "POST", "/classes/Appointment", upside_down)[0] == 142
    path = f"/classes/Appointment/{patient.post('/classes/Appointment', first)['objectId']}"
    assert refusal(clinic.admin.caller, "POST", "/classes/Appointment", first)[0] == 137
    assert refusal(patient, "PUT", path, {"status": "completed"})[0] == 119
    patient.put(path, {"status": "cancelled"})
    patient.post("/classes/Appointment", first)
    assert refusal(clinic.provider.caller, "PUT", path, {"status": "scheduled"})[0] == 142


def test_of_racing_bookings_one_wins(clinic: Clinic) -> None:
    hour = next(hours) * 2
    body = {
        **new_body(clinic, "Appointment"),
        "startAt": a_date(hour),
        "endAt": a_date(hour + 1),
    }
    callers = [clinic.patient.caller, clinic.provider.caller, clinic.admin.caller] * 4
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda caller: caller.ask("POST", "/classes/Appointment", body), callers))
    assert sorted(answer.status_code for answer in answers) == [201] + [400] * 11
    assert {answer.json()["code"] for answer in answers if answer.status_code == 400} <= {137, 251}


def test_care_teams_are_joined_and_left_at_once(clinic: Clinic) -> None:
    path, doctor = f"/classes/LabResult/{create(clinic, 'LabResult')}", clinic.other_provider
    who = {"patient": clinic.subject(clinic.patient), "provider": doctor.id}
    for stranger in (clinic.patient, clinic.other_patient, clinic.other_provider):
        answer = stranger.caller.ask("POST", "/functions/assignProvider", who)
        assert answer.json()["code"] == 119
    assert doctor.caller.refusal("GET", path) == 101
    clinic.call(clinic.provider.caller, "assignProvider", **who)
    assert doctor.caller.get(path)["testName"] == "LDL"
    clinic.call(doctor.caller, "unassignProvider", **who)
    assert doctor.caller.refusal("GET", path) == 101
    assert doctor.caller.refusal("PUT", path, {"units": "x"}) == 101


def test_who_leaves_a_care_team_loses_every_way_to_its_records(clinic: Clinic) -> None:
    """Objects, lists, former versions, running subscriptions, and addresses of files that he still has."""
    doctor, who = clinic.other_provider, {"patient": clinic.subject(clinic.patient)}
    who["provider"] = doctor.id
    clinic.call(clinic.admin.caller, "assignProvider", **who)
    body = {**new_body(clinic, "LabResult"), "attachments": [upload(clinic, clinic.provider)]}
    result = clinic.provider.caller.post("/classes/LabResult", body)["objectId"]
    path = f"/classes/LabResult/{result}"
    clinic.provider.caller.put(path, {"units": "g/l"})
    address = doctor.caller.get(path)["attachments"][0]["url"]
    assert httpx.get(address).content == CONTENT
    with (
        watching(clinic, doctor, "LabResult") as socket,
        watching(clinic, clinic.patient, "LabResult") as own,
    ):
        clinic.provider.caller.put(path, {"units": "mg/l"})
        assert heard(socket)["object"]["units"] == "mg/l"
        clinic.call(clinic.admin.caller, "unassignProvider", **who)
        assert httpx.get(address).status_code >= 400
        assert doctor.caller.refusal("GET", path) == 101
        assert doctor.caller.get("/classes/LabResult", where={"objectId": result})["results"] == []
        assert doctor.caller.get("/classes/LabResult", count=1, limit=0)["count"] == 0
        assert clinic.call(doctor.caller, "recordVersions", className="LabResult", record=result) == []
        assert doctor.caller.refusal("PUT", path, {"units": "x"}) == 101
        clinic.provider.caller.put(path, {"units": "ng/l"})
        clinic.provider.caller.put(path, {"units": "pg/l"})
        while heard(own)["object"]["units"] != "pg/l":
            pass  # what comes before has then been delivered to everybody
        socket.send(json.dumps({"op": "unsubscribe", "requestId": 1}))
        assert heard(socket)["op"] == "unsubscribed", "nothing was delivered meanwhile"


def test_a_former_file_is_read_by_who_reads_the_former_version(clinic: Clinic) -> None:
    doctor = clinic.provider
    body = {**new_body(clinic, "LabResult"), "attachments": [upload(clinic, doctor)]}
    result = doctor.caller.post("/classes/LabResult", body)["objectId"]
    doctor.caller.put(f"/classes/LabResult/{result}", {"attachments": [upload(clinic, doctor)]})
    (former,) = doctor.caller.get("/classes/RecordVersion", where={"entityId": result})["results"]
    address = former["snapshot"]["attachments"][0]["url"]
    assert address.startswith(f"{body['attachments'][0]['url']}?access=")
    assert httpx.get(address).content == CONTENT
    assert httpx.get(body["attachments"][0]["url"]).status_code == 404


CONTENT = b"%PDF-1.7 values"


def upload(clinic: Clinic, by: Person) -> dict[str, str]:
    """Store a file, and say how a record names it."""
    keys = {"X-Parse-Application-Id": APP_ID, "X-Parse-REST-API-Key": REST_KEY}
    headers = {**keys, "X-Parse-Session-Token": by.caller.session, "Content-Type": "application/pdf"}
    stored = httpx.post(f"{clinic.server.url}/files/result.pdf", content=CONTENT, headers=headers).json()
    return {"__type": "File", "name": stored["name"], "url": stored["url"]}


def test_an_appointment_of_the_team_brings_its_provider_in_and_one_of_the_patient_does_not(
    clinic: Clinic,
) -> None:
    path, doctor = f"/classes/LabResult/{create(clinic, 'LabResult')}", clinic.other_provider
    body = {**new_body(clinic, "Appointment"), "provider": doctor.pointer}
    booked = clinic.patient.caller.post("/classes/Appointment", body)["objectId"]
    assert doctor.caller.get(f"/classes/Appointment/{booked}")["status"] == "scheduled"
    assert doctor.caller.refusal("GET", path) == 101
    body = {**new_body(clinic, "Appointment"), "provider": doctor.pointer}
    clinic.provider.caller.post("/classes/Appointment", body)
    assert doctor.caller.get(path)["testName"] == "LDL"
    who = {"patient": clinic.subject(clinic.patient), "provider": doctor.id}
    clinic.call(clinic.admin.caller, "unassignProvider", **who)
    assert doctor.caller.refusal("GET", path) == 101


def test_nobody_gives_himself_a_role(clinic: Clinic) -> None:
    caller, me = clinic.other_patient.caller, clinic.other_patient
    roles = clinic.master.get("/roles")["results"]
    add = {"users": {"__op": "AddRelation", "objects": [me.pointer]}}
    for role in roles:
        assert caller.refusal("PUT", f"/roles/{role['objectId']}", add) in (101, 119)
    everybody = {"*": {"read": True, "write": True}}
    assert caller.refusal("POST", "/roles", {"name": "admin2", "ACL": everybody, **add}) == 119
    for function, params in (
        ("grantRole", {"user": me.id, "role": "admin"}),
        ("approveProvider", {"user": me.id}),
        ("revokeProvider", {"user": clinic.provider.id}),
    ):
        assert caller.ask("POST", f"/functions/{function}", params).json()["code"] == 119
    admin = next(role for role in roles if role["name"] == "admin")
    assert clinic.admin.caller.refusal("PUT", f"/roles/{admin['objectId']}", add) in (101, 119)


def test_nobody_gives_himself_a_role_by_a_detour(clinic: Clinic) -> None:
    """By the tables behind roles, parts of batches, fields of users and sessions, hooks, jobs, schemas."""
    caller, me = clinic.other_patient.caller, clinic.other_patient
    role = clinic.master.get("/roles", where={"name": "admin"})["results"][0]["objectId"]
    add = {"users": {"__op": "AddRelation", "objects": [me.pointer]}}
    link, everybody = {"relatedId": me.id, "owningId": role}, {"*": {"read": True, "write": True}}
    for method, path, body in (
        ("POST", "/classes/_Join:users:_Role", link),
        ("POST", "/classes/_Join:roles:_Role", link),
        ("PUT", f"/classes/_Role/{role}", add),
        ("POST", "/classes/_Role", {"name": "own", "ACL": everybody, **add}),
        ("DELETE", f"/roles/{role}", None),
    ):
        assert caller.refusal(method, path, body) in (101, 119), path
        part = {"method": method, "path": f"/parse{path}", "body": body or {}}
        answer = caller.ask("POST", "/batch", {"requests": [part]}).json()
        assert answer[0]["error"]["code"] in (101, 119), path
    for path in ("/schemas/_Role", "/hooks/triggers", "/jobs/seedDemo", "/purge/_Role"):
        assert caller.ask("PUT" if "schemas" in path else "POST", path, {}).status_code in (403, 404)
    claims = {"role": "admin", "roles": ["admin"], "approved": True, "ACL": everybody}
    caller.put(f"/users/{me.id}", claims)
    signed_up = clinic.visitor.post(
        "/users", {"username": f"liar{next(hours)}", "password": PASSWORD, **claims}
    )
    liar = Caller(clinic.server, signed_up["sessionToken"])
    for claimant, user_id in ((caller, me.id), (liar, signed_up["objectId"])):
        claimant.post("/sessions", {"user": clinic.admin.pointer})
        assert (
            claimant.ask("POST", "/functions/grantRole", {"user": user_id, "role": "admin"}).json()["code"]
            == 119
        )
        assert claimant.sees_nothing("/classes/AuditLog")
        assert claimant.refusal("POST", "/classes/LabResult", new_body(clinic, "LabResult")) == 119
        acl = clinic.master.get(f"/users/{user_id}")["ACL"]
        assert set(acl) == {user_id, "role:admin", f"role:careTeam_{user_id}"}
    liar.close()


def test_a_user_has_one_profile_however_fast_he_asks(clinic: Clinic) -> None:
    signed_up = clinic.visitor.post("/users", {"username": f"fast{next(hours)}", "password": PASSWORD})
    caller = Caller(clinic.server, signed_up["sessionToken"])
    with ThreadPoolExecutor(8) as threads:
        ask = lambda _: caller.ask("POST", "/classes/PatientProfile", {"displayName": "F"})  # noqa: E731
        answers = list(threads.map(ask, range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [400] * 7
    caller.close()


def test_a_provider_has_no_rights_before_he_is_approved(clinic: Clinic) -> None:
    name = f"new{next(hours)}"
    signed_up = clinic.visitor.post("/users", {"username": name, "password": PASSWORD})
    caller = Caller(clinic.server, signed_up["sessionToken"])
    clinic.call(caller, "applyAsProvider", specialty="Oncology")
    assert caller.sees_nothing("/classes/PatientProfile")
    assert caller.refusal("POST", "/classes/LabResult", new_body(clinic, "LabResult")) == 119
    assert caller.refusal("POST", "/classes/PatientProfile", {"displayName": "Me"}) == 119
    who = {"patient": clinic.subject(clinic.patient), "provider": signed_up["objectId"]}
    answer = clinic.admin.caller.ask("POST", "/functions/assignProvider", who)
    assert answer.json() == {"code": 142, "error": "This user is no approved provider."}
    clinic.call(clinic.admin.caller, "approveProvider", user=signed_up["objectId"])
    clinic.call(clinic.admin.caller, "assignProvider", **who)
    caller.post("/classes/LabResult", new_body(clinic, "LabResult"))
    clinic.call(clinic.admin.caller, "revokeProvider", user=signed_up["objectId"])
    assert caller.refusal("POST", "/classes/LabResult", new_body(clinic, "LabResult")) == 119
    assert caller.sees_nothing("/classes/PatientProfile")
    caller.close()


def test_of_two_changes_of_the_same_version_one_is_refused(clinic: Clinic) -> None:
    path = f"/classes/LabResult/{create(clinic, 'LabResult')}"
    bodies = [{"units": f"u{number}"} for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        change = lambda body: clinic.provider.caller.ask("PUT", path, body)  # noqa: E731
        answers = list(threads.map(change, bodies))
    done = sum(answer.status_code == 200 for answer in answers)
    assert {answer.json()["code"] for answer in answers if answer.status_code != 200} <= {251}
    versions = clinic.call(
        clinic.patient.caller, "recordVersions", className="LabResult", record=path.rpartition("/")[2]
    )
    assert len({version["snapshot"].get("units") for version in versions}) == done


@pytest.mark.parametrize("clinic", ["oncology_care_planner"], indirect=True)
def test_an_account_is_closed_by_its_user_alone(clinic: Clinic) -> None:
    path = f"/users/{clinic.patient.id}"
    for stranger in (clinic.other_patient, clinic.provider, clinic.other_provider, clinic.admin):
        assert stranger.caller.refusal("DELETE", path) in (101, 119, 206, 209)
    assert clinic.visitor.refusal("DELETE", path) in (101, 119, 206, 209)
    name = f"leaver{next(hours)}"
    user = {"username": name, "password": PASSWORD, "email": f"{name}@example.org", "role": "patient"}
    signed_up = clinic.visitor.post("/users", user)
    caller = Caller(clinic.server, signed_up["sessionToken"])
    assert caller.ask("DELETE", f"/users/{signed_up['objectId']}").status_code == 200
    assert clinic.master.refusal("GET", f"/users/{signed_up['objectId']}") == 101
    caller.close()


@pytest.mark.parametrize("clinic", ["oncology_care_planner"], indirect=True)
def test_the_field_for_the_role_follows_the_roles(clinic: Clinic) -> None:
    def role_of(person: Person) -> str:
        return str(clinic.master.get(f"/users/{person.id}")["role"])

    people = (clinic.patient, clinic.provider, clinic.admin, clinic.auditor)
    assert [role_of(person) for person in people] == ["patient", "provider", "admin", "auditor"]
    doctor, admin = clinic.other_provider, clinic.admin.caller
    doctor.caller.put(f"/users/{doctor.id}", {"role": "admin"})
    assert role_of(doctor) == "provider"
    clinic.call(admin, "revokeProvider", user=doctor.id)
    assert role_of(doctor) == "none"
    assert clinic.patient.caller.refusal("GET", f"/users/{doctor.id}") == 101
    clinic.call(doctor.caller, "applyAsProvider")
    clinic.call(admin, "rejectProvider", user=doctor.id)
    assert role_of(doctor) == "patient"


@pytest.mark.parametrize("clinic", ["agent/patient_portal"], indirect=True)
def test_former_versions_are_read_by_those_who_read_the_record_now(clinic: Clinic) -> None:
    doctor, patient = clinic.provider.caller, clinic.patient.caller
    result = create(clinic, "LabResult")
    path = f"/classes/LabResult/{result}"

    def versions(caller: Caller) -> list[int]:
        found = caller.get("/classes/RecordVersion", where={"entityId": result}, order="version")["results"]
        return [version["version"] for version in found]

    doctor.put(path, {"reportType": "urine"})
    assert versions(patient) == versions(doctor) == [1]
    doctor.put(path, {"visibility": "provider-only"})
    assert (versions(patient), versions(doctor)) == ([], [1, 2])
    doctor.put(path, {"visibility": "shared"})
    assert versions(patient) == versions(doctor) == [1, 2, 3]


@pytest.mark.parametrize("clinic", ["agent/patient_portal"], indirect=True)
def test_the_same_rules_serve_other_names(clinic: Clinic) -> None:
    doctor, patient = clinic.provider.caller, clinic.patient.caller
    result = f"/classes/LabResult/{create(clinic, 'LabResult')}"
    assert doctor.get(result)["provider"] == clinic.provider.profile
    assert (doctor.get(result)["version"], "reportedAt" in doctor.get(result)) == (1, True)
    doctor.put(result, {"reportType": "urine", "version": 9})
    assert patient.get(result)["version"] == 2
    doctor.put(result, {"visibility": "provider-only"})
    assert patient.refusal("GET", result) == 101
    sent = f"/classes/Message/{patient.post('/classes/Message', message(clinic, clinic.patient))['objectId']}"
    assert doctor.get(sent)["status"] == "sent"
    code, text = refusal(doctor, "PUT", sent, {"status": "sent2"})
    assert (code, text) == (142, "A message that is sent can become delivered or read, not sent2.")
    doctor.put(sent, {"status": "read"})
    first = new_body(clinic, "Appointment")
    patient.post("/classes/Appointment", first)
    assert refusal(patient, "POST", "/classes/Appointment", first)[0] == 137
    plan = create(clinic, "TreatmentPlan")
    doctor.put(f"/classes/TreatmentPlan/{plan}", {"status": "active"})
    clinic.call(patient, "acknowledgePlan", plan=plan)
    assert doctor.get(f"/classes/TreatmentPlan/{plan}")["status"] == "acknowledged"
    assert pointer("TreatmentPlan", plan)
