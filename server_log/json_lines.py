"""Lines of the log as JSON: one object a line, written to standard error in one piece."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson

from .work_ids import RUN_IDS, read_ids

# In characters. A line of both is shorter than 16 KB, beyond which Docker splits it.
MAX_MESSAGE = 4_000
MAX_ERROR = 8_000  # of a longer one, the beginning and the end remain
ERROR_START = 2_000
CUT = "… (cut)"
STANDARD_ERROR = 2  # the file descriptor
# Attributes of a record, set by `extra`, that become fields: ids of other work than this thread's, and of a request.
EXTRAS = (*RUN_IDS, "request_id", "method", "path", "status", "duration_ms", "bytes")
# Valid in JSON, but some programs take them for ends of lines.
LINE_ENDS = [(letter.encode(), b"\\u%04x" % ord(letter)) for letter in "\x85\u2028\u2029"]


class JsonFormatter(logging.Formatter):
    """Formats a record as a JSON object in one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        return self.encode(record).decode()

    def encode(self, record: logging.LogRecord) -> bytes:
        """Return the line as UTF-8, without its end."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        error = self._format_error(record)
        message = _format_message(record).removesuffix(f"\n{error}")
        entry: dict[str, Any] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message if len(message) <= MAX_MESSAGE else message[:MAX_MESSAGE] + CUT,
            "process": record.process,
            **read_ids(),
            **{name: record.__dict__[name] for name in EXTRAS if record.__dict__.get(name) is not None},
        }
        if error:
            entry["error"] = _shorten(error)
        return _to_line(entry)

    def _format_error(self, record: logging.LogRecord) -> str:
        """Return the record's traceback; empty text if it has none."""
        parts = [str(record.__dict__.get("traceback", ""))]
        if record.exc_info and record.exc_info[0] is not None:
            parts.append(self.formatException(record.exc_info))
        if record.stack_info:
            parts.append(record.stack_info)
        return "\n".join(part for part in parts if part)


def _format_message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:
        return f"{record.msg} {record.args!r}"  # the arguments do not fit the message


def _shorten(error: str) -> str:
    """Return the error, without its middle if it is too long: the end has the exception."""
    if len(error) <= MAX_ERROR:
        return error
    return f"{error[:ERROR_START]}\n{CUT}\n{error[ERROR_START - MAX_ERROR :]}"


def _to_line(entry: dict[str, Any]) -> bytes:
    # Half a surrogate pair is text to Python, but is not UTF-8.
    for name, value in entry.items():
        if isinstance(value, str) and not value.isascii():
            entry[name] = value.encode("utf-8", "replace").decode()
    line = orjson.dumps(entry, default=str)
    for letter, escape in LINE_ENDS:
        line = line.replace(letter, escape)
    return line


class JsonHandler(logging.Handler):
    """Writes records as JSON lines to a file descriptor, each in one piece: several processes write to the same."""

    def __init__(self, descriptor: int = STANDARD_ERROR) -> None:
        super().__init__()
        self.descriptor = descriptor
        self.formatter: JsonFormatter = JsonFormatter()

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's line. If nobody reads it any more, it is lost: the server continues."""
        line = self.formatter.encode(record) + b"\n"
        with suppress(OSError):
            while line:
                line = line[os.write(self.descriptor, line) :]
