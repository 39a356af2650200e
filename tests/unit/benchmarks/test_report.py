"""The tables of a benchmark's run."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.measure import Figures
from benchmarks.report import Footprint, Results, markdown
from benchmarks.scenarios import Scenario, cheaper, health
from benchmarks.subjects import AUDITED, MONGO, PEER_NAME, SQLITE


def figures(cpu_us: float) -> Figures:
    return Figures(cpu_us, requests_per_second=1234, p50_ms=1.25, p99_ms=20)


def test_a_missed_target_is_bold_and_a_hole_is_a_dash() -> None:
    get = Scenario("get by id", health, cheaper(7.3, 2.6), is_read=True)
    create = Scenario("create", health)
    results = Results(
        [get, create],
        {
            "get by id": {
                PEER_NAME: figures(1000),
                SQLITE: figures(100),
                AUDITED: figures(170),
                MONGO: figures(400),
            },
            "create": {SQLITE: replace(figures(50), connection_kb=19.2)},
        },
        dict.fromkeys((SQLITE, MONGO), Footprint(start_seconds=0.74, fresh_mb=61.2, used_mb=80)),
    )
    assert markdown(results) == (
        "| CPU µs a request | parse-server 9.10 | SQLite | cheaper | target | MongoDB | cheaper | target |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|\n"
        "| get by id | 1,000 | 100 | 10.0× | 7.3× | 400 | **2.5×** | 2.6× |\n"
        "| create | – | 50 |  |  | – |  |  |\n"
        "\n"
        "| CPU µs a request | SQLite | SQLite, audited | times | at most |\n"
        "|---|---:|---:|---:|---:|\n"
        "| get by id | 100 | 170 | **1.7×** | 1.6× |\n"
        "\n"
        "| requests/s; p50, p99 in ms | SQLite | MongoDB |\n"
        "|---|---:|---:|\n"
        "| get by id | 1,234; 1.2, 20.0 | 1,234; 1.2, 20.0 |\n"
        "| create | 1,234; 1.2, 20.0 | – |\n"
        "\n"
        "| | start, s | MB, started | MB, at most | KB a LiveQuery connection |\n"
        "|---|---:|---:|---:|---:|\n"
        "| SQLite | 0.7 | 61 | 80 | 19 |\n"
        "| MongoDB | 0.7 | 61 | 80 | – |"
    )
