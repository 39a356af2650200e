"""`parse-clone check` and `parse-clone options`: what the settings may be, and what is weak about them."""

from __future__ import annotations

from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table

from parse_clone.cli.console import Config, DatabaseUri, out, with_toolbox
from parse_clone.core.json_types import Json
from parse_clone.errors import SettingsError
from parse_clone.services.security_report import make_security_report
from parse_clone.services.startup import missing_indexes, wanted_indexes
from parse_clone.services.toolbox import Toolbox
from parse_clone.settings_page import settings_page


def check(config: Config = None, database_uri: DatabaseUri = None) -> None:
    """Look at the configuration, the database and what is weak about both. Ends with status 1 if the database
    lacks something; what is weak is only told."""

    async def work(toolbox: Toolbox) -> None:
        await toolbox.storage.ping()
        table = Table("", "Check", "What to do", show_edge=False)
        for mark, title, advice in report_rows(make_security_report(toolbox)):
            table.add_row(mark, title, advice)
        out.print(table)
        wanted, missing = wanted_indexes(toolbox), await missing_indexes(toolbox)
        out.print(
            f"The database answers; it has {len(toolbox.catalog.classes)} classes, and "
            f"{len(wanted) - len(missing)} of {len(wanted)} indexes of the built-in classes."
        )
        for index in missing:
            keys = ", ".join(name for name, _ in index.keys)
            out.print(escape(f"Missing: {index.name} on {index.class_name} ({keys})"))
        if missing:
            raise SettingsError("Without these indexes names may be taken twice, and logins are slow.")

    with_toolbox(config, database_uri, work)


def report_rows(report: Json) -> Iterator[tuple[str, str, str]]:
    """The rows of a security report, for a table."""
    groups = report["groups"] if isinstance(report, dict) else None
    for group in groups if isinstance(groups, list) else ():
        checks = group["checks"] if isinstance(group, dict) else None
        for found in checks if isinstance(checks, list) else ():
            if isinstance(found, dict):
                mark = "[green]ok[/]" if found["state"] == "success" else "[red]weak[/]"
                yield mark, str(found["title"]), str(found.get("solution", ""))


def options() -> None:
    """Tell every option, as the page `docs/settings.md`."""
    print(settings_page(), end="")
