"""The results of conformance runs: which files are in scope, what is kept, what is expected to fail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

BUILD = Path(__file__).parents[2] / "build"

Reasons: TypeAlias = Mapping[str, Mapping[str, str]]


def keep(files: Mapping[str, Any], engine: str) -> None:
    """Replace the earlier results of these tests. Raises ValueError for a spec file that did not run."""
    for file, outcome in files.items():
        if not outcome["tests"]:
            raise ValueError(f"{file} did not run: {outcome}")
        place = place_of(file, engine)
        place.parent.mkdir(parents=True, exist_ok=True)
        tests = [*(kept_tests(file, engine) if place.exists() else ()), *outcome["tests"]]
        place.write_text(json.dumps({"tests": list({test["id"]: test for test in tests}.values())}, indent=1))


def kept_tests(file: str, engine: str) -> list[dict[str, Any]]:
    """The last results of a spec file: `id` and `status` of each test."""
    tests: list[dict[str, Any]] = json.loads(place_of(file, engine).read_text())["tests"]
    return tests


def place_of(file: str, engine: str) -> Path:
    """Where the results of a spec file are kept."""
    return BUILD / f"conformance-{engine}" / f"{file}.json"


def scope() -> dict[str, list[str]]:
    """The spec files about what this server does, by subject."""
    subjects: dict[str, list[str]] = json.loads(Path(__file__).with_name("scope.json").read_text())
    return subjects


@dataclass(frozen=True)
class Deviations:
    """Which tests are expected to fail, and why. `differs`: this server answers otherwise. `not_there`: what
    the test needs does not exist here. Both go from spec file to the end of a test's name to the reason."""

    differs: Reasons
    differs_on_mongo: Reasons
    not_there: Reasons

    @classmethod
    def read(cls) -> Deviations:
        content = json.loads(Path(__file__).with_name("deviations.json").read_text())
        return cls(content["differs"], content["differs on mongo"], content["not there"])

    def needs(self, file: str, test: str) -> str | None:
        """What the test needs that is not there."""
        return _reason(self.not_there, file, test)

    def reason(self, file: str, test: str, engine: str) -> str | None:
        """Why the test fails; None where it should not."""
        on_this = _reason(self.differs_on_mongo, file, test) if engine == "mongo" else None
        return on_this or _reason(self.differs, file, test) or self.needs(file, test)


def _reason(reasons: Reasons, file: str, test: str) -> str | None:
    return next((why for name, why in reasons.get(file, {}).items() if test.endswith(name)), None)


def unexpected_failures(results: Any, engine: str) -> list[str]:
    """The failed tests that are not among the known deviations."""
    deviations = Deviations.read()
    return [
        f"{file}: {test['id']}"
        for file, outcome in results["files"].items()
        for test in outcome["tests"]
        if test["status"] == "failed" and deviations.reason(file, test["id"], engine) is None
    ]
