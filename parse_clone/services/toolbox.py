"""What services use, and nothing else: ports, settings, catalog and hooks. Never a service.

A transaction is `replace(toolbox, storage=...)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from parse_clone.core.class_permissions import FieldProtection
from parse_clone.core.values import KeywordDenylist
from parse_clone.ports import (
    Analytics,
    AuthProvider,
    Clock,
    FileStore,
    HttpSender,
    Ids,
    Mailer,
    PasswordHasher,
    Storage,
)
from parse_clone.services.caches import Caches
from parse_clone.services.catalog import SchemaCatalog
from parse_clone.services.changes import ChangeFeed
from parse_clone.services.triggers import TriggerRegistry
from parse_clone.settings import Settings


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The frozen set of things a service reaches for."""

    settings: Settings
    storage: Storage
    catalog: SchemaCatalog
    triggers: TriggerRegistry
    changes: ChangeFeed
    caches: Caches
    clock: Clock
    ids: Ids
    passwords: PasswordHasher
    auth_providers: Mapping[str, AuthProvider]
    files: FileStore | None = None
    mailer: Mailer | None = None
    http: HttpSender | None = None
    analytics: Analytics | None = None
    keywords: KeywordDenylist = field(default_factory=KeywordDenylist)
    protection: FieldProtection = field(default_factory=FieldProtection)
