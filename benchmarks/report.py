"""The figures of a run as markdown tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from benchmarks.measure import Figures
from benchmarks.subjects import AUDITED, MONGO, PEER_NAME, SQLITE

AUDITED_READ_AT_MOST = 1.6
"""How many times the cost of a read the audited one may have."""


class Measured(Protocol):
    """A scenario, as far as the tables show it."""

    @property
    def name(self) -> str: ...
    @property
    def targets(self) -> Mapping[str, float]: ...
    @property
    def is_read(self) -> bool: ...


@dataclass(frozen=True)
class Footprint:
    """What a server took besides CPU time: seconds until it listened, the most megabytes
    that it had before the run and in it."""

    start_seconds: float
    fresh_mb: float
    used_mb: float


@dataclass
class Results:
    """Figures by scenario and server, and what each server took."""

    scenarios: Sequence[Measured]
    figures: Mapping[str, Mapping[str, Figures]]
    footprints: dict[str, Footprint] = field(default_factory=dict)

    def cpu(self, scenario: Measured, server: str) -> float | None:
        """CPU microseconds per request; None if that was not measured."""
        found = self.figures[scenario.name].get(server)
        return None if found is None else found.cpu_us


def markdown(results: Results) -> str:
    """All tables of which something was measured."""
    tables = (cpu_table(results), audit_table(results), latency_table(results), footprint_table(results))
    return "\n\n".join("\n".join(lines) for lines in tables if len(lines) > 2)


def cpu_table(results: Results) -> list[str]:
    """CPU time, and how many times cheaper than the npm parse-server that is; a missed target is bold."""
    lines = [
        f"| CPU µs a request | {PEER_NAME} | {SQLITE} | cheaper | target | {MONGO} | cheaper | target |",
        "|---|" + "---:|" * 7,
    ]
    for scenario in results.scenarios:
        peer = results.cpu(scenario, PEER_NAME)
        cells = [scenario.name, microseconds(peer)]
        for server in (SQLITE, MONGO):
            ours, target = results.cpu(scenario, server), scenario.targets.get(server)
            cells.append(microseconds(ours))
            cells.append("" if not peer or not ours else judged(peer / ours, at_least=target or 0))
            cells.append("" if target is None else f"{target:.1f}×")
        lines.append(row(cells))
    return lines


def audit_table(results: Results) -> list[str]:
    """What the audit trail adds; a read that costs too many times more is bold."""
    lines = [
        f"| CPU µs a request | {SQLITE} | {AUDITED} | times | at most |",
        "|---|" + "---:|" * 4,
    ]
    for scenario in results.scenarios:
        plain, audited = results.cpu(scenario, SQLITE), results.cpu(scenario, AUDITED)
        if plain and audited and scenario.is_read:
            times = judged(audited / plain, at_most=AUDITED_READ_AT_MOST)
            cells = (scenario.name, microseconds(plain), microseconds(audited), times)
            lines.append(row((*cells, f"{AUDITED_READ_AT_MOST}×")))
    return lines


def latency_table(results: Results) -> list[str]:
    """What clients saw."""
    servers = list(results.footprints)
    lines = [
        row(["requests/s; p50, p99 in ms", *servers]),
        "|---|" + "---:|" * len(servers),
    ]
    for scenario in results.scenarios:
        figures = results.figures[scenario.name]
        lines.append(row([scenario.name, *(seen(figures.get(server)) for server in servers)]))
    return lines


def footprint_table(results: Results) -> list[str]:
    """Start-up time and memory."""
    lines = [
        "| | start, s | MB, started | MB, at most | KB a LiveQuery connection |",
        "|---|---:|---:|---:|---:|",
    ]
    for server, took in results.footprints.items():
        memory = (f"{took.start_seconds:.1f}", f"{took.fresh_mb:.0f}", f"{took.used_mb:.0f}")
        found = (figures[server].connection_kb for figures in results.figures.values() if server in figures)
        connection = max(found, default=0.0)
        lines.append(row((server, *memory, f"{connection:.0f}" if connection else "–")))
    return lines


def judged(ratio: float, *, at_least: float = 0, at_most: float = float("inf")) -> str:
    """A ratio, bold if it misses its target, both rounded."""
    text = f"{ratio:.1f}"
    return f"{text}×" if at_least <= float(text) <= at_most else f"**{text}×**"


def microseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def seen(figures: Figures | None) -> str:
    if figures is None:
        return "–"
    return f"{figures.requests_per_second:,.0f}; {figures.p50_ms:.1f}, {figures.p99_ms:.1f}"


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
