"""Demo data: two clinics, their people and a few weeks of records. All of it is invented.

Everything is written the way clients write it, with the rights of the people who would, so the rules hold
for demo data too, and the audit log tells how it came about.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from cloud_code.rules import Template
from parse_clone.cloud import Client, Cloud, JobRequest, ParseError, ParseObject, Pointer

PASSWORD = "demo-Password-1"  # noqa: S105
CLINICS = ("Harbour Clinic", "Linden Practice")
STAFF = (("demo_admin", "admin"), ("demo_auditor", "auditor"))
PROVIDERS = (
    ("dr.okafor", "Cardiology"),
    ("dr.lindqvist", "Oncology"),
    ("dr.moreau", "General practice"),
    ("nurse.tanaka", "Wound care"),
)
PATIENTS = (
    ("mia.wong", "Mia Wong", 1984),
    ("tom.becker", "Tom Becker", 1957),
    ("aisha.rahman", "Aisha Rahman", 1991),
    ("luis.ortega", "Luis Ortega", 1969),
    ("eva.novak", "Eva Novak", 1948),
    ("noah.jensen", "Noah Jensen", 2001),
)
TESTS = (
    ("4548-4", "Haemoglobin A1c", "%", "4.0-5.6", (5.0, 7.8)),
    ("13457-7", "LDL cholesterol", "mmol/l", "< 3.0", (1.9, 4.6)),
    ("2160-0", "Creatinine", "µmol/l", "60-110", (55, 140)),
    ("718-7", "Haemoglobin", "g/dl", "12.0-16.0", (10.5, 16.5)),
)
DIALOGUE = (
    "Is there anything I should watch out for after the new tablets?",
    "Dizziness in the first days is common. Please stand up slowly, and write if it stays.",
    "Thank you, that helps.",
)


def register_demo(cloud: Cloud, template: Template) -> None:
    """Register the job that `parse-clone seed demo` runs."""

    @cloud.job("seedDemo")
    async def seed_demo(request: JobRequest) -> str:
        """Fill an empty clinic."""
        if await request.client.query("_User").where(username=PATIENTS[0][0]).first() is not None:
            return "The demo data are there already."
        counts = await Demo(request.client, template, random.Random(7)).fill()  # noqa: S311
        made = ", ".join(f"{number} {name}" for name, number in counts.items())
        return f"Made {made}. Log in as {PATIENTS[0][0]}, {PROVIDERS[0][0]} or {STAFF[0][0]}: {PASSWORD}"


class Demo:
    """One filling of a clinic: remembers who is who."""

    def __init__(self, master: Client, template: Template, chance: random.Random) -> None:
        self.master, self.template, self.chance = master, template, chance
        self.now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        self.counts: dict[str, int] = {}

    async def fill(self) -> dict[str, int]:
        """Make people, then what happened to them."""
        admin = await self.make_staff()
        providers = [await self.make_provider(admin, *provider) for provider in PROVIDERS]
        for number, patient in enumerate(PATIENTS):
            user = await self.make_user(patient[0])
            own = await self.master.acting_as(user.object_id)
            provider = providers[number % len(providers)]
            subject = await self.make_profile(own, user, patient[1], patient[2], CLINICS[number % 2])
            await admin.call("assignProvider", patient=subject.object_id, provider=provider.object_id)
            await self.make_history(subject, user, provider)
        return self.counts

    async def make_staff(self) -> Client:
        """An admin and an auditor; returns the admin's client."""
        for username, role in STAFF:
            user = await self.make_user(username)
            await self.master.call("grantRole", user=user.object_id, role=role)
        found = await self.master.query("_User").where(username=STAFF[0][0]).first()
        assert found is not None
        return await self.master.acting_as(str(found.id))

    async def make_user(self, username: str) -> Pointer:
        """Sign somebody up."""
        address = f"{username}@demo.example.org"
        fields: dict[str, Any] = {"username": username, "password": PASSWORD, "email": address}
        if self.template.user_role_field is not None:
            fields[self.template.user_role_field] = "patient"
        user = await self.create(self.master, "_User", fields)
        return user.pointer

    async def make_provider(self, admin: Client, username: str, specialty: str) -> Pointer:
        """Let somebody apply, and approve him."""
        user = await self.make_user(username)
        await (await self.master.acting_as(user.object_id)).call("applyAsProvider", specialty=specialty)
        await admin.call("approveProvider", user=user.object_id)
        return user

    async def make_profile(self, own: Client, user: Pointer, name: str, year: int, clinic: str) -> Pointer:
        """Register a patient; where the template has no profiles, the user is the patient."""
        if self.template.profile is None:
            return user
        born = datetime(year, self.chance.randint(1, 12), self.chance.randint(1, 28), tzinfo=UTC)
        fields = {"displayName": name, "dateOfBirth": born, "primaryClinic": clinic}
        return (await self.create(own, self.template.profile.class_name, fields)).pointer

    async def make_history(self, subject: Pointer, user: Pointer, provider: Pointer) -> None:
        """A few weeks of records of one patient."""
        own = await self.master.acting_as(user.object_id)
        doctor = await self.master.acting_as(provider.object_id)
        await self.make_results(doctor, subject)
        await self.make_plan(doctor, own, subject)
        await self.make_messages(doctor, own, subject, provider, user)
        await self.make_appointment(own, subject, provider)
        await self.make_care(doctor, own, subject)

    async def make_results(self, doctor: Client, subject: Pointer) -> None:
        """Lab results: some final, the last one preliminary."""
        if self.template.record("LabResult") is None:
            return
        for number, (code, name, units, reference, (low, high)) in enumerate(TESTS):
            fields = {
                "patient": subject,
                "testCode": code,
                "testName": name,
                "resultValue": f"{self.chance.uniform(low, high):.1f}",
                "units": units,
                "referenceRange": reference,
                "status": "preliminary" if number == len(TESTS) - 1 else "final",
            }
            await self.create(doctor, "LabResult", fields)

    async def make_plan(self, doctor: Client, own: Client, subject: Pointer) -> None:
        """A plan that some patients have acknowledged."""
        if self.template.record("TreatmentPlan") is None:
            return
        fields = {
            "patient": subject,
            "summary": "Blood pressure under control",
            "details": "Amlodipine 5 mg in the morning; 30 minutes of walking on five days a week.",
            "startDate": self.now - timedelta(days=14),
        }
        plan = await self.create(doctor, "TreatmentPlan", fields)
        await doctor.update(plan.pointer, status="active")
        if self.chance.random() < 0.6:
            await own.call("acknowledgePlan", plan=plan.id)

    async def make_messages(
        self, doctor: Client, own: Client, subject: Pointer, provider: Pointer, user: Pointer
    ) -> None:
        """A short conversation."""
        if self.template.record("Message") is None:
            return
        for number, body in enumerate(DIALOGUE):
            writer, to = (doctor, user) if number % 2 else (own, provider)
            fields = {"conversationId": f"{user.object_id}-1", "to": to, "patient": subject, "body": body}
            await self.create(writer, "Message", fields)

    async def make_appointment(self, own: Client, subject: Pointer, provider: Pointer) -> None:
        """A visit next week, at the first hour that is free."""
        if self.template.record("Appointment") is None:
            return
        for hour in range(40):
            start = self.now + timedelta(days=7, hours=hour)
            fields = {
                "patient": subject,
                "provider": provider,
                "startAt": start,
                "endAt": start + timedelta(minutes=30),
                "location": "Room 2",
                "reason": "Check-up",
            }
            try:
                await self.create(own, "Appointment", fields)
            except ParseError:
                continue
            return

    async def make_care(self, doctor: Client, own: Client, subject: Pointer) -> None:
        """What only some templates have."""
        if self.template.record("CardiacRehabLog") is not None:
            for days in (1, 3, 5):
                fields: dict[str, Any] = {
                    "patient": subject,
                    "exerciseType": "Ergometer",
                    "duration": 20 + days,
                }
                fields |= {"caloriesBurned": 90 + 8 * days, "date": self.now - timedelta(days=days)}
                await self.create(own, "CardiacRehabLog", fields)
        if self.template.record("WoundAssessment") is not None:
            wound = {
                "patient": subject,
                "location": "Left heel",
                "woundType": "Pressure ulcer",
                "size": "2 x 1 cm",
            }
            await self.create(
                doctor, "WoundAssessment", {**wound, "status": "final", "notes": "Clean, healing"}
            )
        if self.template.record("ChemoCycle") is not None:
            await self.make_chemo(own)

    async def make_chemo(self, own: Client) -> None:
        """A cycle with a side effect, and the trend of a lab value."""
        user = own.user
        assert user is not None
        dates = {"startDate": self.now - timedelta(days=21), "endDate": self.now}
        cycle = await self.create(own, "ChemoCycle", {"patient": user, "cycleNumber": 1, **dates})
        effect = {"description": "Nausea in the evening", "severity": "mild", "recordedAt": self.now}
        await self.create(own, "SideEffect", {**effect, "chemoCycle": cycle.pointer})
        for days in (21, 14, 7):
            value = round(self.chance.uniform(2.5, 6.5), 1)
            trend = {"labTestName": "Leukocytes", "result": value, "date": self.now - timedelta(days=days)}
            await self.create(own, "LabTrend", {**trend, "patient": user})

    async def create(self, client: Client, class_name: str, fields: dict[str, Any]) -> ParseObject:
        """Create an object, and count it."""
        created = await client.create(class_name, **fields)
        self.counts[class_name.lstrip("_")] = self.counts.get(class_name.lstrip("_"), 0) + 1
        return created
