"""Run Parse Server's own specs, as a black box, against this server on each engine.

    python -m tests.conformance [--engine sqlite] [--spec ParseQuery,ParseUser] [--fair] [-- harness options]

The harness is a program of its own: `PARSE_SPEC_HARNESS` names its folder. What it needs besides, it reads
from its own variables (`PSPEC_MIRROR`, `PSPEC_DEPS`). It runs every test of the files in `scope.json` that
can be asked from outside; `--fair` takes the harness's selection, about two thirds. Results are kept per file
in `build/`: a later run of some files replaces theirs. The specs are of an older version than ours: where we
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
from typing import Any

from parse_clone.core.json_types import JsonObject
from tests.servers import ENGINES, free_port, mongo_server, wait_for_port

ROOT = Path(__file__).parents[2]
DEVIATIONS = Path(__file__).with_name("deviations.json")
SCOPE = Path(__file__).with_name("scope.json")


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
    """Run the chosen specs and keep the results; returns the failures that nobody expects."""
    with TemporaryDirectory() as folder, control_server(engine) as pair:
        out = Path(folder, "results.json")
        command = [str(harness / "run.sh"), "--spec", specs, "--out", str(out)]
        command += [
            "--port-base",
            str(random.randrange(10_000, 30_000, 100)),
        ]  # below the system's own choices
        subprocess.run(["sh", *command, *further, pair], check=False)
        results = json.loads(out.read_text())
    if "--fair" not in further:
        keep(results["files"], results_of(engine))
    return unexpected_failures(results, engine)


def results_of(engine: str) -> Path:
    """Where the last results of each file are kept."""
    return ROOT / "build" / f"conformance-{engine}.json"


def keep(files: JsonObject, place: Path) -> None:
    """Replace the earlier results of these spec files."""
    place.parent.mkdir(exist_ok=True)
    earlier = json.loads(place.read_text()) if place.exists() else {}
    place.write_text(json.dumps({**earlier, **files}))


def scope() -> dict[str, list[str]]:
    """The spec files about what this server does, by subject."""
    subjects: dict[str, list[str]] = json.loads(SCOPE.read_text())
    return subjects


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
    parser.add_argument("--spec", default=",".join(file for files in scope().values() for file in files))
    parser.add_argument("--fair", action="store_true", help="only the harness's fair set")
    parser.add_argument("further", nargs="*")
    chosen = parser.parse_args()
    harness = os.environ.get("PARSE_SPEC_HARNESS")
    if not harness:
        parser.error("PARSE_SPEC_HARNESS has to name the folder of the harness")
    engines = chosen.engine or ENGINES
    further = ["--fair", *chosen.further] if chosen.fair else chosen.further
    failed = 0
    for engine in engines:
        failures = run_harness(Path(harness), engine, chosen.spec, further)
        print(f"{engine}: {len(failures)} unexpected failures", *failures, sep="\n  ")
        failed += len(failures)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
