"""Setup of the log by the settings HEADRACE_LOG_FORMAT and HEADRACE_LOG_LEVEL."""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType
from typing import Any

from config import Config

from .json_lines import JsonHandler

log = logging.getLogger("headrace")


def install(config: Config) -> None:
    """Set up the log of this process and of its forks. The default, text at the level `info`, needs no change."""
    level = logging.getLevelNamesMapping()[config.log_level.upper()]
    if config.log_level == "debug":
        # Not for libraries: what they log for their developers includes SQL with its values.
        log.setLevel(level)
    if config.log_format == "json" or level > logging.INFO:
        logging.getLogger().setLevel(max(level, logging.INFO))
    if config.log_format == "json":
        _write_json()


def write(logger: str, *messages: str) -> None:
    """Write these messages at the level `info`, even if the log has only higher ones: what nobody may miss."""
    target = logging.getLogger(logger)
    for message in messages:
        target.handle(logging.LogRecord(logger, logging.INFO, __file__, 0, message, (), None))


def _write_json() -> None:
    """Write everything that is logged, warned of or raised without a handler as JSON."""
    logging.getLogger().handlers[:] = [JsonHandler()]
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_end_of_thread
    sys.unraisablehook = _log_unraisable


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    log.critical("the process ends because of an error", exc_info=(kind, error, trace))


def _log_end_of_thread(given: threading.ExceptHookArgs) -> None:
    if given.exc_value is not None and not isinstance(given.exc_value, SystemExit):
        name = given.thread.name if given.thread else "?"
        log.critical("the thread %s ends because of an error", name, exc_info=given.exc_value)


def _log_unraisable(given: Any) -> None:
    log.error("%s", given.err_msg or "an error that cannot be raised", exc_info=given.exc_value)
