"""The part of `docs/healthcare.md` that is made from the tables: who may do what.

python -m cloud_code.rights_page docs/healthcare.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from cloud_code.rules import Kinds, Lifecycle, Record, Template
from cloud_code.templates import TEMPLATES

BEGIN, END = "<!-- rights: made by `make docs` -->", "<!-- end of rights -->"


def with_rights(page: str) -> str:
    """The page with its made part made anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{rights()}\n{END}{after}"


def rights() -> str:
    """All templates, one table each."""
    return "\n".join(line for template in TEMPLATES.values() for line in table_of(template))


def table_of(template: Template) -> Iterator[str]:
    """One template's table."""
    yield f"### `{template.name}`\n"
    yield "| class | create | read | change | delete | states |"
    yield "|---|---|---|---|---|---|"
    for record in template.records:
        cells = (record.create, record.read, record.update, record.delete)
        names = " | ".join(named(kinds) for kinds in cells)
        yield f"| `{record.class_name}` | {names} | {states(record)} |"
    yield "| `AuditLog` | | admin, auditor | | | |"
    yield ""


def named(kinds: Kinds) -> str:
    """Who that is."""
    return ", ".join(sorted(kind.value for kind in kinds))


def states(record: Record) -> str:
    """The states of a record and what follows them."""
    lifecycle = record.lifecycle
    if lifecycle is None:
        return ""
    if lifecycle.state is None:
        return "published when stored" + (f"; counted in `{lifecycle.version}`" if lifecycle.version else "")
    return "; ".join(step(lifecycle, state) for state in lifecycle.next if lifecycle.next[state])


def step(lifecycle: Lifecycle, state: str) -> str:
    """One state and its successors, with who alone brings them about."""
    following = []
    for name in lifecycle.next[state]:
        kinds = lifecycle.only.get(name)
        following.append(f"{name} ({named(kinds)})" if kinds else name)
    return f"{state} → {' or '.join(following)}"


def main() -> None:
    """Make the part of a page anew."""
    page = Path(sys.argv[1])
    page.write_text(with_rights(page.read_text()))


if __name__ == "__main__":
    main()
