"""The benchmarks run, and every request is answered. How fast is not a test's business."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.client import Api
from benchmarks.dataset import store_dataset
from benchmarks.livequery import LIVE_SCENARIOS, measure_live
from benchmarks.measure import drive
from benchmarks.scenarios import SCENARIOS
from benchmarks.subjects import AUDITED, our_server, our_server_on_mongo


def test_tables_are_printed_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "tables.md"
    scope = ("--server", AUDITED, "--only", "get by id, master key", "--objects", "50")
    main([*scope, "--seconds", "0.01", "--repeats", "1", "--output", str(output)])
    tables = output.read_text()
    assert "| get by id, master key |" in tables
    assert f"| {AUDITED} |" in tables
    assert capsys.readouterr().out == tables


async def test_every_scenario_is_answered() -> None:
    with our_server_on_mongo() as subject:
        api = Api(subject.url)
        data = await store_dataset(api, objects=50)
        for scenario in SCENARIOS:
            requests = scenario.prepare(api, data, random.Random(1))
            answered = await drive(api, requests, connections=2, seconds=0)
            assert len(answered.latencies) == 2, scenario.name


async def test_every_delivery_of_live_queries_arrives() -> None:
    with our_server() as subject:
        for scenario in LIVE_SCENARIOS:
            small = replace(scenario, subscribers=5, saves=4)
            figures = await measure_live(Api(subject.url), small, subject.pid)
            assert 0 < figures.p50_ms <= figures.p99_ms, scenario.name
