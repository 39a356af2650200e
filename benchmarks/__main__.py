"""Compare this server with the npm parse-server in one run.

    python -m benchmarks [--only NAME] [--seconds 3] [--repeats 3] [--objects 10000]

CPU time per request is the figure to compare: it holds on a shared machine, requests per second do not.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.client import Api
from benchmarks.dataset import store_dataset
from benchmarks.livequery import LIVE_SCENARIOS, measure_live
from benchmarks.measure import Figures, measure
from benchmarks.processes import memory_mb
from benchmarks.report import markdown
from benchmarks.scenarios import SCENARIOS
from benchmarks.subjects import SUBJECTS, Subject

RESULT = Path(__file__).parents[1] / "build" / "benchmark.md"


async def measure_subject(subject: Subject, chosen: argparse.Namespace) -> dict[str, Figures]:
    """Fill a server and measure every chosen scenario."""
    api = Api(subject.url)
    data = await store_dataset(api, chosen.objects)
    found: dict[str, Figures] = {}
    for scenario in SCENARIOS:
        if chosen.only and chosen.only not in scenario.name:
            continue
        requests = scenario.prepare(api, data, random.Random(11))
        measuring = measure(api, requests, scenario.connections, subject.pid, chosen.seconds, chosen.repeats)
        await note(found, scenario.name, measuring)
    for live in LIVE_SCENARIOS:
        if not chosen.only or chosen.only in live.name:
            await note(found, live.name, measure_live(api, live, subject.pid))
    return found


async def note(found: dict[str, Figures], name: str, measuring: Coroutine[Any, Any, Figures]) -> None:
    """Tell the figures of a scenario, or why there are none, and keep them."""
    try:
        found[name] = await measuring
    except RuntimeError as error:
        print(f"  {name}: {error}", file=sys.stderr)
    else:
        print(f"  {name}: {found[name].cpu_us:,.0f} µs", file=sys.stderr)


def main() -> None:
    """Read the command line, measure server after server, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", help="part of a scenario's name")
    parser.add_argument("--server", action="append", choices=list(SUBJECTS), help="default: all")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--objects", type=int, default=10_000)
    chosen = parser.parse_args()
    results: dict[str, dict[str, Figures]] = {}
    memory: dict[str, float] = {}
    for name in [known for known in SUBJECTS if not chosen.server or known in chosen.server]:
        print(name, file=sys.stderr)
        with SUBJECTS[name]() as subject:
            results[name] = uvloop.run(measure_subject(subject, chosen))
            memory[name] = memory_mb(subject.pid)
    table = markdown(results, memory)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(table + "\n")
    print(table)


if __name__ == "__main__":
    main()
