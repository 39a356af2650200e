"""Four server processes, two hundred writers, one process killed in the middle: the chain stays whole."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from parse_clone.app import opened_toolbox
from parse_clone.core.audit_chain import Break, Head, entry_id
from parse_clone.core.operations import Set
from parse_clone.core.query import object_id_is
from parse_clone.services.audit_trail import AuditTrail
from parse_clone.settings import Settings
from tests.clinic.people import CLOUD_CODE, PASSWORD, schema_files
from tests.protocol.clinic import import_schemas
from tests.servers import APP_ID, MASTER_KEY, free_port, wait_for_port

PROCESSES, WRITERS, ROUNDS = 4, 200, 2


@contextmanager
def server_processes(settings: Settings) -> Iterator[list[tuple[subprocess.Popen[bytes], str]]]:
    """Start servers that share a database, each in a process of its own."""
    environment = {
        **os.environ,
        "CLINIC_TEMPLATES": "patient_portal",
        "PARSE_SERVER_DATABASE_URI": settings.database_uri,
        "PARSE_SERVER_APPLICATION_ID": settings.app_id,
        "PARSE_SERVER_MASTER_KEY": settings.master_key,
        "PARSE_SERVER_SILENT": "true",
    }
    started = []
    try:
        for _ in range(PROCESSES):
            port = free_port()
            command = [sys.executable, "-m", "parse_clone", "serve", "--port", str(port)]
            command += ["--host", "127.0.0.1", "--cloud", str(CLOUD_CODE)]
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            started.append((process, f"http://127.0.0.1:{port}"))
        for _, url in started:
            wait_for_port(int(url.rpartition(":")[2]))
        yield started
    finally:
        for process, _ in started:
            process.kill()
            process.wait()


def test_the_chain_survives_writers_and_a_killed_process(mongo_uri: str) -> None:
    settings = Settings(
        app_id=APP_ID, master_key=MASTER_KEY, database_uri=f"{mongo_uri}/fire_{uuid.uuid4().hex[:8]}"
    )
    import_schemas(settings, *schema_files("patient_portal"))
    with server_processes(settings) as servers:
        answered = asyncio.run(write_and_kill(servers))
    updates, verdict, damaged = asyncio.run(verify_twice(settings))
    assert answered > WRITERS
    assert isinstance(verdict, Head)
    assert updates >= answered, "no answered write is without its entry"
    assert isinstance(damaged, Break)
    assert damaged.object_id == entry_id(verdict.sequence // 2)


async def write_and_kill(servers: list[tuple[subprocess.Popen[bytes], str]]) -> int:
    """Let everybody write to some server; kill one of them meanwhile. How many writes were answered?"""
    limits = httpx.Limits(max_connections=WRITERS)
    async with httpx.AsyncClient(timeout=60, limits=limits) as client:
        headers = {"X-Parse-Application-Id": APP_ID}
        user = {"username": "mia", "password": PASSWORD}
        urls = [await mount_of(client, url) for _, url in servers]
        signed_up = (await client.post(f"{urls[0]}/users", json=user, headers=headers)).json()
        session = {**headers, "X-Parse-Session-Token": signed_up["sessionToken"]}
        profile = await client.post(
            f"{urls[0]}/classes/PatientProfile", json={"displayName": "Mia"}, headers=session
        )
        assert profile.status_code == 201, profile.text
        path = f"/classes/PatientProfile/{profile.json()['objectId']}"

        async def write(number: int) -> int:
            done = 0
            for round_number in range(ROUNDS):
                body = {"displayName": f"Mia {number} {round_number}"}
                try:
                    answer = await client.put(f"{urls[number % PROCESSES]}{path}", json=body, headers=session)
                except httpx.HTTPError:
                    continue  # the killed one
                done += answer.status_code == 200
            return done

        async def kill() -> int:
            await asyncio.sleep(0.7)
            servers[-1][0].kill()
            return 0

        return sum(await asyncio.gather(*(write(number) for number in range(WRITERS)), kill()))


async def mount_of(client: httpx.AsyncClient, url: str) -> str:
    """Where a server has its API."""
    for mount in ("/parse", ""):
        if (await client.get(f"{url}{mount}/health")).status_code == 200:
            return f"{url}{mount}"
    raise AssertionError("the server does not answer")


async def verify_twice(settings: Settings) -> tuple[int, Head | Break, Head | Break]:
    """Count the updates that the log tells of; verify it as it is, and with one byte changed."""
    async with opened_toolbox(settings) as toolbox:
        trail = AuditTrail(toolbox)
        updates = [entry async for entry in trail.entries() if entry["action"] == "update"]
        verdict = await trail.verify()
        schema = await toolbox.catalog.get("AuditLog")
        assert schema is not None
        middle = verdict.sequence // 2
        victim = object_id_is(entry_id(middle))
        assert await toolbox.storage.update(schema, victim, {"entityType": Set("QatientProfile")})
        return len(updates), verdict, await trail.verify()
