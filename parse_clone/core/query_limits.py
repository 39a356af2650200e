"""How large a query may be. Settings narrow it for clients; nobody is without a limit."""

from __future__ import annotations

from dataclasses import dataclass

from parse_clone.core.names import MAX_PATH_SEGMENTS


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """How large a `where` may be. `query_depth`: nesting of logical operators; `constraints` in total;
    `values` of one `$in` and its like; `path_segments` of a dotted path."""

    query_depth: int = 20
    constraints: int = 1_000
    values: int = 100_000
    path_segments: int = MAX_PATH_SEGMENTS
    regex_length: int = 1_000
    allow_regex: bool = True


CLIENT_LIMITS = QueryLimits()
MASTER_LIMITS = QueryLimits(query_depth=100, constraints=100_000, values=1_000_000, regex_length=10_000)
"""What the master and the maintenance key may ask; no setting lets clients nest deeper."""
