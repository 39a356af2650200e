"""Run Parse Server's own specs, as a black box, against this server on each engine.

    python -m tests.conformance [--engine sqlite] [--spec ParseQuery,ParseUser] [--fair] [-- harness options]

The harness is a program of its own: `PARSE_SPEC_HARNESS` names its folder. What it needs besides, it reads
from its own variables (`PSPEC_MIRROR`, `PSPEC_DEPS`). It runs every test of the files in `scope.json` that
can be asked from outside; `--fair` takes the harness's selection, about two thirds. Results are kept per test
in `build/`: a later run of some tests replaces theirs. The specs are of an older version than ours: where we
differ on purpose, `deviations.json` says why, and the failure is expected.
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
from tempfile import TemporaryDirectory

from tests.conformance.results import keep, scope, unexpected_failures
from tests.servers import ENGINES, end, free_port, mongo_server, wait_for_port

ROOT = Path(__file__).parents[2]


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
            end(process)


def run_harness(harness: Path, engine: str, specs: list[str], further: list[str]) -> list[str]:
    """Run the chosen specs, file by file, and keep the results; returns the failures that nobody expects."""
    unexpected = []
    with TemporaryDirectory() as folder, control_server(engine) as pair:
        out = Path(folder, "results.json")
        command = ["sh", str(harness / "run.sh"), "--out", str(out)]
        for spec in specs:
            ports = random.randrange(10_000, 30_000, 100)  # below the system's own choices
            chosen = ["--spec", spec, "--port-base", str(ports), *further, pair]
            subprocess.run([*command, *chosen], check=False)
            results = json.loads(out.read_text())
            if "--fair" not in further:
                keep(results["files"], engine)
            unexpected += unexpected_failures(results, engine)
    return unexpected


def main() -> int:
    """Read the command line and run each chosen engine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, action="append")
    parser.add_argument("--spec", help="some files (default: those of scope.json)")
    parser.add_argument("--fair", action="store_true", help="only the harness's fair set")
    parser.add_argument("further", nargs="*")
    chosen = parser.parse_args()
    harness = os.environ.get("PARSE_SPEC_HARNESS")
    if not harness:
        parser.error("PARSE_SPEC_HARNESS has to name the folder of the harness")
    engines = chosen.engine or ENGINES
    further = ["--fair", *chosen.further] if chosen.fair else chosen.further
    specs = chosen.spec.split(",") if chosen.spec else [file for files in scope().values() for file in files]
    failed = 0
    for engine in engines:
        failures = run_harness(Path(harness), engine, specs, further)
        print(f"{engine}: {len(failures)} unexpected failures", *failures, sep="\n  ")
        failed += len(failures)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
