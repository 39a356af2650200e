"""What the servers are filled with before the measurement: patients, 10,000 lab results, a few users."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from benchmarks.client import Api, Connection

NAMES = ["Amara Okafor", "Jonathan Archer", "Mei-Ling Zhou", "Søren Kjær", "Priya Raghavan", "Tom Baker"]
STATUSES = ["active", "active", "final", "pending", "archived"]
CODES = ["CBC-4471", "HBA1C-12", "LIPID-03", "TSH-77", "CRP-09", "NA-K-CL-1"]
PASSWORD = "correct horse 9"
READABLE = {"*": {"read": True}}


@dataclass
class Dataset:
    """Names of what was stored, for the requests to come. The first user may write `own_ids`."""

    usernames: list[str] = field(default_factory=list)
    user_id: str = ""
    session: str = ""
    patients: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    own_ids: list[str] = field(default_factory=list)


def lab_result(chance: random.Random, patients: list[str], **fields: Any) -> dict[str, Any]:
    """A lab result of about 700 bytes."""
    month, day, minute = chance.randrange(1, 12), chance.randrange(1, 28), chance.randrange(60)
    return {
        "patientName": chance.choice(NAMES),
        "testCode": chance.choice(CODES),
        "value": round(chance.random() * 100, 2),
        "unit": "g/dL",
        "status": chance.choice(STATUSES),
        "priority": chance.randrange(5),
        "abnormal": chance.random() < 0.2,
        "flags": chance.sample(["H", "L", "verified", "stat", "repeat"], 2),
        "takenAt": {"__type": "Date", "iso": f"2026-{month:02d}-{day:02d}T08:{minute:02d}:00.000Z"},
        "patient": {"__type": "Pointer", "className": "Patient", "objectId": chance.choice(patients)},
        "meta": {"device": "XN-1000", "lot": chance.randrange(10000), "qc": True},
        "notes": "Sample slightly hemolysed; repeat if clinically indicated by the ward.",
        "ACL": {**READABLE, "role:lab": {"read": True, "write": True}},
        **fields,
    }


def owned_by(user_id: str) -> dict[str, Any]:
    """The ACL of a lab result that its user may write."""
    writable = {"read": True, "write": True}
    return {**READABLE, "role:lab": writable, user_id: writable}


def patient(chance: random.Random) -> dict[str, Any]:
    """A patient."""
    return {
        "name": chance.choice(NAMES),
        "mrn": f"MRN{chance.randrange(10**8)}",
        "born": {"__type": "Date", "iso": "1970-03-04T00:00:00.000Z"},
        "ward": chance.choice("ABCD"),
        "ACL": READABLE,
    }


async def store_dataset(api: Api, objects: int) -> Dataset:
    """Fill an empty server over its own API."""
    chance = random.Random(7)
    connection = await api.connect()
    data = Dataset()
    for number in range(4):
        data.usernames.append(f"user{number}")
        user = {"username": f"user{number}", "password": PASSWORD, "email": f"user{number}@example.org"}
        created = await api.call(connection, api.request("POST", "/users", user))
        if number == 0:
            data.user_id, data.session = created["objectId"], created["sessionToken"]
    await index(api, connection)
    data.patients = await store(api, connection, "Patient", [patient(chance) for _ in range(200)])
    results = [lab_result(chance, data.patients) for _ in range(objects)]
    data.ids = await store(api, connection, "LabResult", results)
    own = [lab_result(chance, data.patients, ACL=owned_by(data.user_id)) for _ in range(500)]
    data.own_ids = await store(api, connection, "LabResult", own)
    connection.close()
    return data


async def index(api: Api, connection: Connection) -> None:
    """Index what is filtered and sorted by, as the application's schema files would."""
    schema = {
        "className": "LabResult",
        "fields": {"status": {"type": "String"}},
        "indexes": {"status_created": {"status": 1, "createdAt": -1}},
    }
    await api.call(connection, api.request("POST", "/schemas/LabResult", schema, master=True))


async def store(
    api: Api, connection: Connection, class_name: str, objects: list[dict[str, Any]]
) -> list[str]:
    """Create objects in batches of 50; returns their ids."""
    ids: list[str] = []
    path = f"{api.path}/classes/{class_name}"
    for start in range(0, len(objects), 50):
        parts = [{"method": "POST", "path": path, "body": body} for body in objects[start : start + 50]]
        answers = await api.call(connection, api.request("POST", "/batch", {"requests": parts}, master=True))
        ids += [answer["success"]["objectId"] for answer in answers]
    return ids
