"""The route allow-list: the only routes that callers without a privileged key may use."""

from __future__ import annotations

import re

from parse_clone.core.context import Auth, Privilege
from parse_clone.errors import permission_denied
from parse_clone.settings import Settings


class RouteAllowList:
    """Expressions for paths below the mount, anchored at both ends. Absent: everything is allowed."""

    def __init__(self, settings: Settings) -> None:
        patterns = settings.route_allow_list
        self._patterns = None if patterns is None else [re.compile(pattern) for pattern in patterns]

    def check(self, method: str, path: str, auth: Auth) -> None:
        """Refuse a path that no expression matches (119)."""
        if self._patterns is None or auth.privilege in (Privilege.MASTER, Privilege.MAINTENANCE):
            return
        trimmed = path.strip("/")
        if not any(pattern.fullmatch(trimmed) for pattern in self._patterns):
            raise permission_denied(f"Route not allowed by routeAllowList: {method} {trimmed}")
