"""Loading an application's cloud code: a file or package that defines `register(cloud)`."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

from parse_clone.cloud.registration import Cloud
from parse_clone.errors import SettingsError

PACKAGE_FILE = "__init__.py"
MAIN_FILE = "main.py"


def load_cloud_code(path: Path, cloud: Cloud) -> None:
    """Run `register(cloud)` of the file at `path`, or of `main.py` in the folder at `path`.

    Raises SettingsError with file and line if the code cannot be loaded.
    """
    file = path / MAIN_FILE if path.is_dir() else path
    if not file.is_file():
        raise SettingsError(f"cloud code: there is no file {file}")
    module = _import(file)
    register = getattr(module, "register", None)
    if not callable(register):
        raise SettingsError(f"cloud code: {file} does not define register(cloud)")
    try:
        register(cloud)
    except Exception as failure:
        raise SettingsError(_explain(file, failure)) from failure


def _import(file: Path) -> ModuleType:
    """Import a file; one that stands in a package is imported as a part of it, so that it may import its
    neighbours."""
    root, name = file.parent, file.stem
    while (root / PACKAGE_FILE).is_file():
        root, name = root.parent, f"{root.name}.{name}"
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        if "." in name:
            return importlib.import_module(name)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module
    except SyntaxError as failure:
        raise SettingsError(f"cloud code: {failure.filename}:{failure.lineno}: {failure.msg}") from failure
    except Exception as failure:
        raise SettingsError(_explain(file, failure)) from failure


def _explain(file: Path, failure: Exception) -> str:
    frames = traceback.extract_tb(failure.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(file.parent)]
    place = f"{own[-1].filename}:{own[-1].lineno}" if own else str(file)
    return f"cloud code: {place}: {type(failure).__name__}: {failure}"
