"""`parse-clone seed demo`: a clinic to look around in, made by the rules that hold for everybody."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from parse_clone.app import opened_toolbox
from parse_clone.cli import cli
from parse_clone.core.audit_chain import Head
from parse_clone.core.query import EVERYTHING, WHOLE
from parse_clone.services.audit_trail import AuditTrail
from parse_clone.settings import Settings
from tests.clinic.people import CLOUD_CODE, SCHEMAS
from tests.protocol.clinic import import_schemas
from tests.servers import APP_ID, MASTER_KEY

Rows = dict[str, list[dict[str, Any]]]


def seed(settings: Settings) -> str:
    """Run the command; what it says."""
    environment = {"PARSE_SERVER_APPLICATION_ID": APP_ID, "PARSE_SERVER_MASTER_KEY": MASTER_KEY}
    options = ["--cloud", str(CLOUD_CODE), "--database-uri", settings.database_uri]
    result = CliRunner().invoke(cli, ["seed", "demo", *options], env=environment)
    assert result.exit_code == 0, result.output
    return " ".join(result.stderr.split())


async def contents(settings: Settings) -> tuple[Rows, object]:
    """Every object of the database by class, and whether the chain of the log is whole."""
    async with opened_toolbox(settings) as toolbox:
        classes = toolbox.catalog.classes.values()
        rows = {schema.name: await toolbox.storage.find(schema, EVERYTHING, WHOLE) for schema in classes}
        return rows, await AuditTrail(toolbox).verify()


def test_demo_data_are_made_once_and_are_plausible(tmp_path: Path) -> None:
    settings = Settings(
        app_id=APP_ID, master_key=MASTER_KEY, database_uri=f"sqlite:///{tmp_path}/demo.sqlite3"
    )
    import_schemas(settings, *sorted(SCHEMAS.glob("*.json")))
    assert seed(settings).startswith("Made 12 User")
    rows, verdict = asyncio.run(contents(settings))
    assert "The demo data are there already." in seed(settings)
    again, _ = asyncio.run(contents(settings))
    assert again == rows

    assert isinstance(verdict, Head)
    assert Counter(result["status"] for result in rows["LabResult"]) == {"final": 18, "preliminary": 6}
    assert all(("publishedAt" in result) is (result["status"] == "final") for result in rows["LabResult"])
    assert {plan["status"] for plan in rows["TreatmentPlan"]} == {"active", "acknowledged"}
    assert {profile["primaryClinic"] for profile in rows["PatientProfile"]} == {
        "Harbour Clinic",
        "Linden Practice",
    }
    booked = [(visit["provider"]["objectId"], visit["startAt"]["iso"]) for visit in rows["Appointment"]]
    assert len(booked) == len(set(booked)) == 6
    recorded = {(entry["entityType"], entry["entityId"]) for entry in rows["AuditLog"]}
    for class_name in ("LabResult", "ECGReport", "WoundAssessment", "ChemoCycle", "Message"):
        for row in rows.get(class_name, []):
            assert (class_name, row["objectId"]) in recorded
            assert row["ACL"]
            assert "*" not in row["ACL"]
