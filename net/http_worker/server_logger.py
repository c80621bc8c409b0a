"""gunicorn's logger: queries, which may have tokens and signatures, are hidden; lines are JSON if the server's log is.

The access log has a line for each request, if the setting HEADRACE_ACCESS_LOG or an option of gunicorn turns it on.
"""

from __future__ import annotations

import logging
import os
import re
from datetime import timedelta
from typing import Any

from gunicorn.glogging import Logger

from server_log import CURRENT, JsonFormatter, JsonHandler, TextFormatter

QUERY = re.compile(r"[?#][^\s'\"]*")
HIDDEN = "?..."


def hide_queries(text: str) -> str:
    """Return the text with dots in place of the query and fragment of each URL."""
    return QUERY.sub(HIDDEN, text)


class ServerLogger(Logger):
    """gunicorn's error log and access log."""

    is_json = False
    has_access_log = False
    needs_environ = False  # lines of the access log need the WSGI environment; as JSON they do not

    def setup(self, cfg: Any) -> None:
        """Set up the handlers as gunicorn does, and have them write JSON if the root logger's handler does."""
        super().setup(cfg)
        self.has_access_log = self.access_log_enabled
        self.is_json = any(isinstance(handler, JsonHandler) for handler in logging.getLogger().handlers)
        if self.is_json:
            for logger in (self.error_log, self.access_log):
                for at, handler in enumerate(logger.handlers):
                    if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
                        # In place of a standard stream, one of our own.
                        logger.handlers[at] = made = JsonHandler()
                        made._gunicorn = True  # type: ignore[attr-defined]  # so that a reload replaces it
                    else:
                        handler.setFormatter(JsonFormatter())
        self.needs_environ = self.has_access_log and not self.is_json

    def _set_handler(self, log: Any, output: Any, fmt: logging.Formatter, stream: Any = None) -> None:
        super()._set_handler(log, output, TextFormatter(fmt._fmt, fmt.datefmt), stream)

    def warning(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Log a warning, such as that of an invalid request, without queries."""
        super().warning(_hide(msg), *map(_hide, args), **kwargs)

    def exception(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Log an error with its traceback, such as that of a request, without queries."""
        super().exception(_hide(msg), *map(_hide, args), **kwargs)

    def atoms(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> dict[str, Any]:
        """Return the parts of a line of the access log as text."""
        found: dict[str, Any] = super().atoms(resp, req, environ, request_time)
        hidden = {name: _hide(found[name]) for name in ("r", "f")}
        return {**found, **hidden, "q": "..." if found["q"] else found["q"]}

    def access(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> None:
        """Write the line of a request to the access log."""
        if not self.has_access_log:
            return
        if not self.is_json:
            # Requests that are refused while they are read have no environment.
            version = ".".join(map(str, req.version))
            read = {"REQUEST_METHOD": req.method, "RAW_URI": req.uri, "SERVER_PROTOCOL": f"HTTP/{version}"}
            super().access(resp, req, environ or read, request_time)
        else:
            status = int(str(resp.status).split(None, 1)[0])
            path = hide_queries(req.path or req.uri or "")
            fields = {
                "method": req.method,
                "path": path,
                "status": status,
                "duration_ms": round(request_time.total_seconds() * 1000, 3),
                "bytes": resp.sent,
                "request_id": getattr(req, "request_id", None),
            }
            self.access_log.info("%s %s %d", req.method, path, status, extra=fields)


def _hide(value: Any) -> Any:
    return hide_queries(value) if isinstance(value, str) else value


# Ids of requests, in the lines of the log and in the response's header X-Request-Id.

HEADER = "X-Request-Id"
GIVEN = re.compile(r"[A-Za-z0-9._:=+/@-]{1,128}")


class RequestIds:
    """Gives each request an id: that of a trusted proxy if it is valid, else a new one."""

    def __init__(self, trusts_proxies: bool) -> None:
        self.trusts_proxies = trusts_proxies

    def begin(self, request: Any) -> None:
        """Give the request (gunicorn's) its id, and make it the work of this thread."""
        given = [value for name, value in request.headers if name == HEADER.upper()] if self.trusts_proxies else []
        is_valid = len(given) == 1 and GIVEN.fullmatch(given[0])
        request.request_id = CURRENT.request_id = given[0] if is_valid else os.urandom(12).hex()

    def enter(self, request: Any) -> None:
        """Make this request the work of the calling thread."""
        CURRENT.request_id = request.request_id

    def leave(self) -> None:
        """End this thread's work for a request."""
        CURRENT.request_id = ""

    def add_header(self, exchange: Any) -> None:
        """Add the id to the response's headers, in place of one that the app may have set."""
        response = exchange.response
        others = [header for header in response.headers if header[0].lower() != HEADER.lower()]
        response.headers = [*others, (HEADER, exchange.request.request_id)]
