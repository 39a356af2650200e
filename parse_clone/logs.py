"""How the server writes its log: lines for a person, or JSON for a machine. Set once for a process."""

from __future__ import annotations

import logging
import sys

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
    rendered = renderers(settings)
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
