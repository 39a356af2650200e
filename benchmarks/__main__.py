"""Compare this server with the npm parse-server in one run.

    python -m benchmarks [--only NAME] [--seconds 3] [--repeats 3] [--objects 10000]

CPU time per request is the figure to compare: it holds on a shared machine, requests per second do not.
All servers run at the same time and are measured in turn, scenario by scenario, so that what else the machine
does meets all of them alike.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import uvloop

from benchmarks.client import Api
from benchmarks.dataset import Dataset, store_dataset
from benchmarks.livequery import LIVE_SCENARIOS, measure_live
from benchmarks.measure import Figures, drive, measure, medians
from benchmarks.processes import peak_mb
from benchmarks.report import Footprint, Results, markdown
from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.subjects import AUDITED, SUBJECTS, Subject

RESULT = Path(__file__).parents[1] / "build" / "benchmark.md"

Measuring = Callable[[], Awaitable[Figures]]


async def measure_all(subjects: Mapping[str, Subject], chosen: argparse.Namespace) -> Results:
    """Fill all servers, measure every chosen scenario on each."""
    fresh = {name: peak_mb(subject.pid) for name, subject in subjects.items()}
    data: dict[str, Dataset] = {}
    for name, subject in subjects.items():
        print(f"filling {name}", file=sys.stderr)
        data[name] = await store_dataset(Api(subject.url), chosen.objects)
    scenarios = [known for known in (*SCENARIOS, *LIVE_SCENARIOS) if chosen.only in known.name]
    figures: dict[str, dict[str, Figures]] = {}
    for scenario in scenarios:
        measuring: dict[str, Measuring] = {}
        for name, subject in subjects.items():
            api = Api(subject.url)
            if isinstance(scenario, Scenario):
                requests = scenario.prepare(api, data[name], random.Random(11))
                await drive(api, requests, scenario.connections, chosen.seconds / 2)
                measuring[name] = partial(
                    measure, api, requests, scenario.connections, subject.pid, chosen.seconds
                )
            elif name != AUDITED:
                measuring[name] = partial(measure_live, api, scenario, subject.pid)
        figures[scenario.name] = await in_turn(measuring, chosen.repeats)
        told = ", ".join(f"{name} {found.cpu_us:,.0f}" for name, found in figures[scenario.name].items())
        print(f"{scenario.name}: {told}", file=sys.stderr)
    footprints = {
        name: Footprint(subject.start_seconds, fresh[name], peak_mb(subject.pid))
        for name, subject in subjects.items()
    }
    return Results(scenarios, figures, footprints)


async def in_turn(measuring: Mapping[str, Measuring], repeats: int) -> dict[str, Figures]:
    """Measure server after server, as often as asked; the medians. Who fails is told and left out."""
    found: dict[str, list[Figures]] = {name: [] for name in measuring}
    for _ in range(repeats):
        for name in list(found):
            try:
                found[name].append(await measuring[name]())
            except RuntimeError as error:
                print(f"  {name}: {error}", file=sys.stderr)
                del found[name]
    return {name: medians(repeated) for name, repeated in found.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, measure, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", default="", help="part of a scenario's name")
    parser.add_argument("--server", action="append", choices=list(SUBJECTS), help="default: all")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--output", type=Path, default=RESULT, help="where the tables are written")
    chosen = parser.parse_args(arguments)
    allow_many_connections()
    with ExitStack() as stack:
        subjects = {
            name: stack.enter_context(start())
            for name, start in SUBJECTS.items()
            if not chosen.server or name in chosen.server
        }
        tables = markdown(uvloop.run(measure_all(subjects, chosen)))
    chosen.output.parent.mkdir(exist_ok=True)
    chosen.output.write_text(tables + "\n")
    print(tables)


def allow_many_connections() -> None:
    """Let this process and the servers open as many sockets as the machine permits: subscribers are many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    main()
