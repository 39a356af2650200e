"""A server with a template's classes, the clinic's cloud code, and its people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud_code.main import register_templates
from cloud_code.rules import Template
from cloud_code.templates import TEMPLATES
from tests.protocol.callers import Caller, pointer
from tests.protocol.clinic import import_schemas
from tests.servers import RunningServer, running_server

SCHEMAS = Path(__file__).parents[2] / "schemas"
CLOUD_CODE = Path(__file__).parents[2] / "cloud_code"
PASSWORD = "correct horse 9"


@dataclass(frozen=True)
class Person:
    """A user with a session, and the profile that makes him a patient or names him as a provider."""

    id: str
    caller: Caller
    profile: dict[str, str] | None = None

    @property
    def pointer(self) -> dict[str, str]:
        return pointer("_User", self.id)


@dataclass(frozen=True)
class Clinic:
    """A running clinic: two patients, the provider of the first one's care team, another one, staff."""

    server: RunningServer
    template: Template
    master: Caller
    visitor: Caller
    people: dict[str, Person]

    def __getattr__(self, name: str) -> Person:
        try:
            return self.people[name]
        except KeyError:
            raise AttributeError(name) from None

    def call(self, caller: Caller, function: str, **params: Any) -> Any:
        """Call a function that must succeed."""
        return caller.post(f"/functions/{function}", params, status=200).get("result")

    def subject(self, person: Person) -> str:
        """The id under which functions know a patient."""
        return person.id if person.profile is None else person.profile["objectId"]


def schema_files(template: str) -> list[Path]:
    """The schema files that a template needs, with the application's own."""
    own = [SCHEMAS / f"{template}.json", SCHEMAS / "roles.json", SCHEMAS / "clinic.json"]
    if "oncology" in template:
        own.append(SCHEMAS / "audit_log.json")
    if template in ("patient_portal", "medical_concierge", "wound_care", "cardiology_suite"):
        own.append(SCHEMAS / "message_receipts.json")
    return own


@contextmanager
def open_clinic(engine: str, mongo_uri: str, template: str, **options: Any) -> Iterator[Clinic]:
    """Run a clinic."""
    files = schema_files(template)

    def prepare(settings: Any) -> None:
        import_schemas(settings, *files)

    register = lambda cloud: register_templates(cloud, [template])  # noqa: E731
    with running_server(
        engine, mongo_uri, prepare, register=register, allow_client_class_creation=False, **options
    ) as server:
        callers: list[Caller] = []
        try:
            yield populate(server, TEMPLATES[template], callers)
        finally:
            for caller in callers:
                caller.close()


def populate(server: RunningServer, template: Template, callers: list[Caller]) -> Clinic:
    """Let people sign up, and get their roles and care teams the way the application says."""
    master, visitor = Caller(server, master=True), Caller(server)
    callers += [master, visitor]
    claim = {template.user_role_field: "admin"} if template.user_role_field else {}
    people = {name: sign_up(server, visitor, name, claim) for name in NAMES}
    callers += [person.caller for person in people.values()]
    clinic = Clinic(server, template, master, visitor, people)
    clinic.call(master, "grantRole", user=people["admin"].id, role="admin")
    clinic.call(master, "grantRole", user=people["auditor"].id, role="auditor")
    for name in ("provider", "other_provider"):
        clinic.call(people[name].caller, "applyAsProvider", specialty="Cardiology")
        clinic.call(people["admin"].caller, "approveProvider", user=people[name].id)
        if template.provider_class is not None:
            body = {"specialty": "Cardiology"} if template.provider_class == "ProviderProfile" else {}
            people[name] = with_profile(people[name], template.provider_class, body)
    if template.profile is not None:
        for name in ("patient", "other_patient"):
            label = "fullName" if template.profile.active is None else "displayName"
            body = {} if template.profile.class_name == "Patient" else {label: name.title()}
            people[name] = with_profile(people[name], template.profile.class_name, body)
    clinic.call(
        people["admin"].caller,
        "assignProvider",
        patient=clinic.subject(people["patient"]),
        provider=people["provider"].id,
    )
    return clinic


NAMES = ("patient", "other_patient", "provider", "other_provider", "admin", "auditor")


def sign_up(server: RunningServer, visitor: Caller, username: str, claim: dict[str, str]) -> Person:
    """Sign up as everybody does: as a patient, whatever one claims to be."""
    user = {"username": username, "password": PASSWORD, "email": f"{username}@example.org", **claim}
    created = visitor.post("/users", user)
    return Person(created["objectId"], Caller(server, created["sessionToken"]))


def with_profile(person: Person, class_name: str, body: dict[str, Any]) -> Person:
    """Let a person create his own profile."""
    created = person.caller.post(f"/classes/{class_name}", body)
    return Person(person.id, person.caller, pointer(class_name, created["objectId"]))
