"""How the server writes its log: lines for a person, or JSON for a machine. Set once for a process."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any
from urllib.parse import urlsplit

import structlog
from structlog.dev import plain_traceback
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor, WrappedLogger

from parse_clone.api.rest.middleware.request_log import REQUEST_ID
from parse_clone.settings import Settings

LEVELS = {
    "debug": logging.DEBUG,
    "verbose": logging.DEBUG,
    "silly": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "none": logging.CRITICAL,  # at which nothing is written
}

SHORTEST_KEY = 8
"""A shorter key is nothing to be hidden: it would be found in the middle of words."""

TRACEBACKS = ExceptionDictTransformer(show_locals=False)
"""Neither form of the log shows the values of variables: passwords and session tokens are among them."""


def configure_logs(settings: Settings) -> None:
    """Write the log of this process to standard error, at the level that the settings name. What libraries
    log by Python's own means joins it where it is a warning or worse; of a silent server only errors."""
    about: list[Processor] = [
        add_request_id,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendered = [*renderers(settings), hiding_secrets(settings)]
    structlog.configure(
        processors=[*about, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(log_level(settings)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.ERROR if settings.silent else logging.WARNING)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=about,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
        )
    )
    logging.basicConfig(handlers=[handler], force=True)


def renderers(settings: Settings) -> list[Processor]:
    """What makes text of an event: JSON, or a line for a person."""
    if settings.json_logs:
        return [ExceptionRenderer(TRACEBACKS), structlog.processors.JSONRenderer()]
    colors = sys.stderr.isatty()
    return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain_traceback)]


def hiding_secrets(settings: Settings) -> Processor:
    """Takes the server's keys and session tokens out of finished lines: nothing is written there on purpose,
    but clients put them into paths, and authors of cloud code into error texts."""
    passwords = (urlsplit(url or "").password for url in (settings.database_uri, settings.pubsub_url))
    keys = {
        settings.master_key,
        settings.maintenance_key,
        settings.read_only_master_key,
        settings.webhook_key,
        settings.file_key,
        settings.file_signing_key,
        settings.encryption_key,
        *settings.file_encryption_keys.values(),
        *settings.client_keys.values(),
        *passwords,
    }
    told_apart = sorted((key for key in keys if key and len(key) >= SHORTEST_KEY), key=len, reverse=True)
    secret = re.compile("|".join([r"r:[0-9a-f]{32}", *map(re.escape, told_apart)]))

    def hide(logger: WrappedLogger, method: str, line: Any) -> Any:
        return secret.sub("***", line) if isinstance(line, str) else line

    return hide


def log_level(settings: Settings) -> int:
    """The lowest level that is written."""
    if settings.silent:
        return LEVELS["none"]
    return LEVELS["debug"] if settings.verbose else LEVELS.get(settings.log_level.lower(), logging.INFO)


def add_request_id(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Say in which request a line was written."""
    request_id = REQUEST_ID.get()
    if request_id:
        event["request"] = request_id
    return event
