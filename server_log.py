"""The server's own log: its level, its lines as text or JSON, the ids of the work behind them, and the first message.

Not the log of a run, which is data of its workspace (api/logs.py).
"""

from __future__ import annotations

import atexit
import logging
import os
import socket
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import orjson

from config import Config

# Lines of the log as text. Control characters in outside text, such as paths and names, cannot forge a line.

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


# Ids of the run, the node and the request on which a thread works, for the lines that it writes to the server's log
# and for the requests that it sends.
#
# Whoever begins such work sets an attribute of `CURRENT`, and clears it at the end. The ids are read only when a line
# is written, so a run costs nothing more.

RUN_IDS = ("run_id", "workflow_id", "workspace_id", "node_id")


class _Work(threading.local):
    """The work of one thread."""

    run: Any = None  # a row, set by the executor: from the claim to the recorded end
    execution: Any = None  # set by the engine while it executes nodes: it has `job` and `context`
    request_id = ""  # set by the HTTP worker, if requests have ids
    traceparent = ""  # of the span of the node that runs, for its requests; set by the executor, if there are traces


CURRENT = _Work()


def read_ids() -> dict[str, str]:
    """Return the ids of this thread's work, by the names that they have in the log."""
    run, execution = CURRENT.run, CURRENT.execution
    ids = {}
    if run is not None:
        ids = {"run_id": run.id, "workflow_id": run.workflow_id, "workspace_id": run.workspace_id}
    if execution is not None:
        job = execution.job
        workflow = job.scope.get("workflow", {}).get("id")
        ids |= {"run_id": job.run_id, "workflow_id": workflow, "node_id": execution.context.node_id}
        ids["workspace_id"] = ids.get("workspace_id") or job.workspace_id
    ids["request_id"] = CURRENT.request_id
    return {name: str(value) for name, value in ids.items() if value}


def copy_work() -> dict[str, Any]:
    """Return this thread's work, for `set_work` in a thread that does a part of it."""
    return dict(CURRENT.__dict__)


def set_work(work: dict[str, Any]) -> None:
    """Make this the work of the calling thread."""
    CURRENT.__dict__.update(work)


# Lines of the log as JSON: one object a line, written to standard error in one piece.

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
        try:
            message = record.getMessage()
        except Exception:
            message = f"{record.msg} {record.args!r}"  # the arguments do not fit the message
        message = message.removesuffix(f"\n{error}")
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
            # The end has the exception, so the middle is left out.
            start, end = error[:ERROR_START], error[ERROR_START - MAX_ERROR :]
            entry["error"] = error if len(error) <= MAX_ERROR else f"{start}\n{CUT}\n{end}"
        # Half a surrogate pair is text to Python, but is not UTF-8.
        for name, value in entry.items():
            if isinstance(value, str) and not value.isascii():
                entry[name] = value.encode("utf-8", "replace").decode()
        line = orjson.dumps(entry, default=str)
        for letter, escape in LINE_ENDS:
            line = line.replace(letter, escape)
        return line

    def _format_error(self, record: logging.LogRecord) -> str:
        """Return the record's traceback; empty text if it has none."""
        parts = [str(record.__dict__.get("traceback", ""))]
        if record.exc_info and record.exc_info[0] is not None:
            parts.append(self.formatException(record.exc_info))
        if record.stack_info:
            parts.append(record.stack_info)
        return "\n".join(part for part in parts if part)


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


# Setup of the log by the settings HEADRACE_LOG_FORMAT and HEADRACE_LOG_LEVEL.


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
        # Everything that is logged, warned of or raised without a handler.
        logging.getLogger().handlers[:] = [JsonHandler()]
        logging.captureWarnings(True)
        sys.excepthook = _log_uncaught
        threading.excepthook = _log_end_of_thread
        sys.unraisablehook = _log_unraisable


def write(logger: str, *messages: str) -> None:
    """Write these messages at the level `info`, even if the log has only higher ones: what nobody may miss."""
    target = logging.getLogger(logger)
    for message in messages:
        target.handle(logging.LogRecord(logger, logging.INFO, __file__, 0, message, (), None))


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    log.critical("the process ends because of an error", exc_info=(kind, error, trace))


def _log_end_of_thread(given: threading.ExceptHookArgs) -> None:
    if given.exc_value is not None and not isinstance(given.exc_value, SystemExit):
        name = given.thread.name if given.thread else "?"
        log.critical("the thread %s ends because of an error", name, exc_info=given.exc_value)


def _log_unraisable(given: Any) -> None:
    log.error("%s", given.err_msg or "an error that cannot be raised", exc_info=given.exc_value)


# Startup message: the server's address and the first login, printed when the server is ready.
#
# It is printed last, after gunicorn's messages, by the worker that becomes ready last; earlier it would be
# overlooked. If no worker becomes ready, the master process reports at its end whether the port is the reason, and
# the first owner's generated password, which is stored nowhere else.

Login = tuple[str, str]  # address and generated password
HIDDEN_CLIENTS = (
    "HEADRACE_PUBLIC_URL is https, but HEADRACE_TRUSTED_PROXIES is 0, so all clients count as one address in limits "
    "and logs; set it to the number of proxies in front"
)


def warn_local_links(config: Config) -> str:
    """Return a warning if links work only on this machine; else empty text."""
    if not config.has_local_links:
        return ""
    return (
        f"Warning: links for approvals and invitations lead to {config.base_url}, which only this machine can open,\n"
        f"because HOST is {config.host} and HEADRACE_PUBLIC_URL is not set. Set HEADRACE_PUBLIC_URL to the address at\n"
        "which people reach the server.\n\n"
    )


def warn_hidden_clients(config: Config) -> str:
    """Return a warning if all clients appear to have the address of a proxy; else empty text."""
    return f"Warning: {HIDDEN_CLIENTS}.\n\n" if config.hides_clients else ""


def format_first_login(login: Login) -> str:
    """Return the line with the generated password."""
    return f"First login:        {login[0]}  /  {login[1]}\n"


class StartupMessage:
    """Created in the process that forks the workers; `login` is None if no password was generated.

    A pipe counts the workers: it holds a byte for each, and the worker that reads the last byte is the last one.
    """

    def __init__(self, config: Config, workers: int, login: Login | None) -> None:
        self.config, self.login = config, login
        self._made_by = os.getpid()
        self._counter, filled = os.pipe()
        os.write(filled, bytes(workers - 1) + b"\1")
        os.close(filled)
        atexit.register(self._report_failure)

    def count_ready_worker(self) -> None:
        """Count a ready worker. Replacements of workers are not counted: the pipe is empty then."""
        if os.read(self._counter, 1) == b"\1":
            login = format_first_login(self.login) if self.login else ""
            warnings = warn_local_links(self.config), warn_hidden_clients(self.config)
            self._tell(*warnings, f"Headrace is ready:  {self.config.base_url}\n", login)

    def _report_failure(self) -> None:
        # Called in forked processes too.
        if os.getpid() != self._made_by or not os.read(self._counter, 1):
            return
        if why := find_problem(self.config):
            self._tell(f"{why}\n")
        if self.login:
            login = format_first_login(self.login)
            self._tell(f"Headrace ended before it was ready, but created its first owner.\n{login}")

    def _tell(self, *parts: str) -> None:
        if self.config.log_format == "json":
            write("headrace", *[" ".join(part.split()) for part in parts if part])
        else:
            # In one piece: several processes write to the same terminal.
            sys.stderr.flush()
            os.write(sys.stderr.fileno(), ("\n" + "".join(parts)).encode())


def find_problem(config: Config) -> str | None:
    """Return the reason why the configured address cannot be listened on, or None."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((config.host, config.port))
        except OSError as error:
            other = config.port + 1 if 1024 < config.port < 65535 else 8000
            told = f"Headrace cannot listen on port {config.port} of {config.host}: {error.strerror}."
            return f"{told}\nChange the settings HOST and PORT, for example: PORT={other} make run"
    return None
