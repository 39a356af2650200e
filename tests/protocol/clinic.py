"""A server that holds one template's classes, and the people of its sequence diagram.

Cloud code gives clinical objects their ACL in an application; here the tests do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parse_clone.app import opened_toolbox
from parse_clone.services.schema_files import apply_import, load_plan, read_schema_files
from parse_clone.settings import Settings
from tests.protocol.callers import Caller, date, pointer
from tests.servers import RunningServer, running_server

SCHEMAS = Path(__file__).parents[2] / "schemas"
PASSWORD = "correct horse 9"


@dataclass(frozen=True)
class Person:
    """A user with a session."""

    id: str
    username: str
    caller: Caller

    @property
    def pointer(self) -> dict[str, str]:
        return pointer("_User", self.id)


@dataclass(frozen=True)
class Clinic:
    """The server, the administrator (master key), a visitor without session, two patients, a clinician."""

    server: RunningServer
    master: Caller
    visitor: Caller
    patient: Person
    other_patient: Person
    clinician: Person

    def shared_acl(self) -> dict[str, Any]:
        """The patient reads, the clinician writes."""
        rights = {"read": True, "write": True}
        return {self.patient.id: {"read": True}, self.clinician.id: rights}

    def common_acl(self) -> dict[str, Any]:
        """Patient and clinician write."""
        rights = {"read": True, "write": True}
        return {self.patient.id: rights, self.clinician.id: rights}


def import_schemas(settings: Settings, *paths: Path) -> None:
    """Bring schema files into the database of a server that is not running."""

    async def run() -> None:
        async with opened_toolbox(settings) as toolbox:
            await apply_import(toolbox, await load_plan(toolbox, read_schema_files(paths)))
            assert not await load_plan(toolbox, read_schema_files(paths)), "the second import has work to do"

    asyncio.run(run())


@contextmanager
def open_clinic(engine: str, mongo_uri: str, template: str) -> Iterator[Clinic]:
    """Run a server with the classes of a template, and let its people sign up."""
    files = [SCHEMAS / f"{template}.json", SCHEMAS / "roles.json"]
    prepare = lambda settings: import_schemas(settings, *files)  # noqa: E731
    with running_server(engine, mongo_uri, prepare, allow_client_class_creation=False) as server:
        master, visitor = Caller(server, master=True), Caller(server)
        people = [sign_up(server, visitor, name) for name in ("mia", "tom", "drlee")]
        clinic = Clinic(server, master, visitor, *people)
        role = {
            "name": "provider",
            "ACL": {},
            "users": {"__op": "AddRelation", "objects": [people[2].pointer]},
        }
        master.post("/roles", role)
        yield clinic
        for caller in (master, visitor, *(person.caller for person in people)):
            caller.close()


def sign_up(server: RunningServer, visitor: Caller, username: str) -> Person:
    """Sign up, then log in with the password: the first arrow of every diagram."""
    user = {"username": username, "password": PASSWORD, "email": f"{username}@example.org", "role": "member"}
    visitor.post("/users", user)
    session = visitor.post("/login", {"username": username, "password": PASSWORD}, status=200)
    assert session["sessionToken"].startswith("r:")
    return Person(session["objectId"], username, Caller(server, session["sessionToken"]))


def create_profile(clinic: Clinic, number: str) -> dict[str, str]:
    """Register the patient; returns the pointer that clinical objects carry."""
    profile = {
        "user": clinic.patient.pointer,
        "medicalRecordNumber": number,
        "displayName": "Mia Wong",
        "dateOfBirth": date("1980-05-01T00:00:00.000Z"),
        "isActive": True,
        "ACL": clinic.shared_acl(),
    }
    created = clinic.master.post("/classes/PatientProfile", profile)
    return pointer("PatientProfile", created["objectId"])


def message_to_clinician(clinic: Clinic, chart: dict[str, str]) -> dict[str, Any]:
    """A secure message of the patient."""
    return {
        "conversationId": "c-1",
        "from": clinic.patient.pointer,
        "to": clinic.clinician.pointer,
        "patient": chart,
        "body": "Is the result in?",
        "isRead": False,
        "ACL": clinic.common_acl(),
    }
