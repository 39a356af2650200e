"""What a person reads whose cloud code cannot be loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from parse_clone.cloud import Cloud
from parse_clone.cloud.loading import load_cloud_code
from parse_clone.errors import SettingsError
from parse_clone.services.toolbox import Toolbox

NO_TOOLBOX = cast(Toolbox, None)


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], None]:
    def load(text: str) -> None:
        file = tmp_path / "main.py"
        file.write_text(text)
        load_cloud_code(file, Cloud(NO_TOOLBOX))

    return load


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("def register(cloud:\n    pass\n", r"main\.py:1: '\(' was never closed"),
        ("import nothing_of_this_name\n", r"main\.py:1: ModuleNotFoundError: No module named"),
        ("x = 1\n", r"main\.py does not define register\(cloud\)"),
        ("def register(cloud):\n    cloud.nonsense()\n", r"main\.py:2: AttributeError"),
        (
            "def register(cloud):\n    cloud.before_save('_Session')(print)\n",
            r"main\.py:2: ValueError: Only the afterLogout trigger is allowed",
        ),
        (
            "def register(cloud):\n    cloud.job('x', cron='nonsense')(print)\n",
            r"is no cron expression|NoneType",
        ),
    ],
)
def test_mistakes_name_file_and_line(load: Callable[[str], None], text: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        load(text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"there is no file .*gone\.py"):
        load_cloud_code(tmp_path / "gone.py", Cloud(NO_TOOLBOX))


def test_a_package_may_import_its_neighbours(tmp_path: Path) -> None:
    package = tmp_path / "clinic_hooks"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "names.py").write_text("NAME = 'neighbour'\n")
    (package / "main.py").write_text(
        "from clinic_hooks.names import NAME\n\ndef register(cloud):\n    cloud.schedules.append(NAME)\n"
    )
    cloud = Cloud(NO_TOOLBOX)
    load_cloud_code(package, cloud)
    assert cloud.schedules == ["neighbour"]  # type: ignore[comparison-overlap]
