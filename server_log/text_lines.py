"""Lines of the log as text. Control characters in outside text, such as paths and names, cannot forge a line."""

from __future__ import annotations

import logging
from typing import Any

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
LINE_END = "\n"


def escape(text: str, kept: str = "") -> str:
    """Return the text with escapes in place of characters that cannot be printed, except those in `kept`."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in kept else one.encode("unicode_escape").decode() for one in text)


class TextFormatter(logging.Formatter):
    """Formats a record as one line, and its traceback as further lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line, without its end, and the traceback that a message may end with."""
        line, trace = super().formatMessage(record), str(record.__dict__.get("traceback", ""))
        if not trace:
            return escape(line)
        return f"{escape(line.removesuffix(trace).removesuffix(LINE_END))}{LINE_END}{escape(trace, LINE_END)}"

    def formatException(self, ei: Any) -> str:
        """Return the traceback."""
        return escape(super().formatException(ei), LINE_END)

    def formatStack(self, stack_info: str) -> str:
        """Return the stack."""
        return escape(stack_info, LINE_END)


def make_handler() -> logging.Handler:
    """Return a handler that writes the server's lines to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter(FORMAT))
    return handler
