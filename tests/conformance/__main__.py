"""Run Parse Server's own specs, as a black box, against this server on each engine.

    python -m tests.conformance [--engine sqlite] [--spec ParseQuery,ParseUser] [-- harness options]

The harness is a program of its own: `PARSE_SPEC_HARNESS` names its folder. What it needs besides, it reads
from its own variables (`PSPEC_MIRROR`, `PSPEC_DEPS`). Results are written to `build/`. The specs are of an
older version than ours: where we differ on purpose, `deviations.json` says why, and the failure is expected.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.servers import ENGINES, free_port, mongo_server, wait_for_port

ROOT = Path(__file__).parents[2]
DEVIATIONS = Path(__file__).with_name("deviations.json")


@contextmanager
def control_server(engine: str) -> Iterator[str]:
    """A server behind the control protocol; yields the pair of URLs that the harness wants."""
    port, control_port = free_port(), free_port()
    command = [sys.executable, "-m", "tests.conformance.control", "--engine", engine]
    command += ["--port", str(port), "--control-port", str(control_port)]
    with ExitStack() as stack:
        if engine == "mongo":
            command += ["--mongo-uri", stack.enter_context(mongo_server())]
        process = subprocess.Popen(command, cwd=ROOT)
        try:
            wait_for_port(control_port)
            yield f"http://localhost:{port}/1=http://127.0.0.1:{control_port}"
        finally:
            process.terminate()
            process.wait()


def run_harness(harness: Path, engine: str, specs: str, further: list[str]) -> list[str]:
    """Run the fair set, or what the further options choose; returns the failures that nobody expects."""
    results = ROOT / "build" / f"conformance-{engine}.json"
    results.parent.mkdir(exist_ok=True)
    results.unlink(missing_ok=True)
    command = [str(harness / "run.sh"), "--fair", "--out", str(results)]
    command += ["--port-base", str(random.randrange(10_000, 30_000, 100))]  # below the system's own choices
    command += ["--spec", specs] if specs else []
    with control_server(engine) as pair:
        subprocess.run(["sh", *command, *further, pair], check=False)
    return unexpected_failures(json.loads(results.read_text()), engine)


def unexpected_failures(results: Any, engine: str) -> list[str]:
    """The failed tests that are not among the known deviations."""
    known = json.loads(DEVIATIONS.read_text())
    return [
        f"{file}: {test['id']}"
        for file, outcome in results["files"].items()
        for test in outcome["tests"]
        if test["status"] == "failed"
        and not any(
            test["id"].endswith(name)
            for expected in (known["any engine"], known.get(engine, {}))
            for name in expected.get(file, {})
        )
    ]


def main() -> int:
    """Read the command line and run each chosen engine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, action="append")
    parser.add_argument("--spec", default="")
    parser.add_argument("further", nargs="*")
    chosen = parser.parse_args()
    harness = os.environ.get("PARSE_SPEC_HARNESS")
    if not harness:
        parser.error("PARSE_SPEC_HARNESS has to name the folder of the harness")
    engines = chosen.engine or ENGINES
    failed = 0
    for engine in engines:
        failures = run_harness(Path(harness), engine, chosen.spec, chosen.further)
        print(f"{engine}: {len(failures)} unexpected failures", *failures, sep="\n  ")
        failed += len(failures)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
