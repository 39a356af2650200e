"""The figures of a run as a markdown table, with ratios to the first server."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.measure import Figures

Results = Mapping[str, Mapping[str, Figures]]
"""Server, then scenario, then figures."""


def ratio(base: Figures | None, other: Figures | None) -> str:
    """How many times cheaper, as text."""
    return "" if base is None or other is None else f"{base.cpu_us / other.cpu_us:.1f}×"


def cell(figures: Figures | None) -> str:
    """One server's figures for one scenario."""
    if figures is None:
        return "– | – | – | –"
    return (
        f"{figures.cpu_us:,.0f} | {figures.requests_per_second:,.0f} | "
        f"{figures.p50_ms:.1f} | {figures.p99_ms:.1f}"
    )


def markdown(results: Results, memory: Mapping[str, float]) -> str:
    """CPU microseconds per request, requests per second and latencies of every scenario and server."""
    base, *others = results
    scenarios = list(dict.fromkeys(name for found in results.values() for name in found))
    head = f"| scenario | {base}: CPU µs | req/s | p50 ms | p99 ms |"
    head += "".join(f" {other}: CPU µs | req/s | p50 ms | p99 ms | cheaper |" for other in others)
    lines = [head, "|---|" + "---:|" * (4 + 5 * len(others))]
    for scenario in scenarios:
        of_base = results[base].get(scenario)
        line = f"| {scenario} | {cell(of_base)} |"
        for other in others:
            figures = results[other].get(scenario)
            line += f" {cell(figures)} | {ratio(of_base, figures)} |"
        lines.append(line)
    used = ", ".join(f"{name} {megabytes:.0f} MB" for name, megabytes in memory.items())
    return "\n".join([*lines, "", f"Memory after the run: {used}."])
