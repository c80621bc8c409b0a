"""Errors that Headrace raises on purpose.

An error that can reach an HTTP client derives from `HeadraceError` and has a status; the error handler in
`api/http/json_io.py` turns it into `{"error": …}`. This module imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

# Why a node or a run failed, so that a list can be filtered by it, without reading texts:
#   config       a setting, or the data it was given, does not fit; the node or its package is not usable here
#   expression   an expression failed
#   data         a file, an answer or a text could not be read: it is malformed, or not of the expected form
#   credential   a credential is missing or locked, may not be sent there, or was rejected
#   egress       the server's rules do not permit the address
#   refused      the remote service rejected the request; a retry will not help
#   remote       the remote service could not be reached, or failed; a retry may help
#   timeout      a node's, a flow's or the server's time was up
#   limit        more values, bytes, steps, calls or cost than permitted
#   code         the flow's own code or a plugin failed
#   stop         a Stop node ended the run
#   cancelled    a person, or the run that started it, stopped the run
#   interrupted  the server stopped, and the node must not be repeated
#   storage      the disk or the database did not take a value
#   bug          an error of Headrace itself; the server's log has the traceback
ErrorKind = Literal[
    "config", "expression", "data", "credential", "egress", "refused", "remote", "timeout", "limit", "code", "stop",
    "cancelled", "interrupted", "storage", "bug",
]  # fmt: skip
ERROR_KINDS: tuple[ErrorKind, ...] = get_args(ErrorKind)


class Issue(NamedTuple):
    """One problem of a request or a definition.

    `path` is the place: `nodes[2].config.url`, `limit`, `definition_json`. `node_id` is set for issues of a node. A
    `warning` does not prevent activation of a flow.
    """

    path: str
    message: str
    node_id: str | None = None
    level: str = "error"

    def as_dict(self) -> dict[str, Any]:
        return self._asdict()

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class HeadraceError(Exception):
    """Base of all errors: a message for people, an HTTP status and, for validation errors, issues with paths."""

    status = 500

    def __init__(self, message: str, details: Sequence[Issue] = (), retry_after: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = list(details)
        self.retry_after = retry_after


class BadInput(HeadraceError):
    """A missing, malformed or impossible field, parameter or body."""

    status = 400


class DefinitionError(BadInput):
    """A workflow definition that cannot run; `details` has every issue found."""

    def __init__(self, details: Sequence[Issue]) -> None:
        shown = "; ".join(str(issue) for issue in details[:5])
        more = f" (and {len(details) - 5} more)" if len(details) > 5 else ""
        super().__init__(f"The definition is not valid: {shown}{more}", details)


class Unauthenticated(HeadraceError):
    """No valid session cookie or API token was sent."""

    status = 401


class Forbidden(HeadraceError):
    """The user is not a member of the workspace or lacks the required role."""

    status = 403


class NotFound(HeadraceError):
    """No row or path with this name exists."""

    status = 404


class Conflict(HeadraceError):
    """The request is valid, but the present state of the resource forbids it."""

    status = 409


class TooLarge(HeadraceError):
    """A body or a value exceeds its limit."""

    status = 413


class NotJson(HeadraceError):
    """The body has another content type than application/json."""

    status = 415


class Unprocessable(HeadraceError):
    """The input does not match the flow's input schema, or not the request whose idempotency key it repeats."""

    status = 422


class TooMany(HeadraceError):
    """The rate limit is exceeded; `retry_after` is in seconds."""

    status = 429


class Unavailable(HeadraceError):
    """The server is saturated, or something that this needs is not configured."""

    status = 503


class DatabaseLost(Exception):
    """The database cannot be reached. A run that needs it stays as it is recorded, and is continued later."""


class ConfigError(Exception):
    """A setting has an invalid value; the process refuses to start."""


class VaultError(Exception):
    """The server's key cannot decrypt a value."""


class ExpressionError(Exception):
    """An expression does not compile, names something unknown, or exceeds a limit."""


class NodeError(Exception):
    """A node failed. `permanent`: another attempt cannot help, so `retry` makes none.

    `retry_after` is the delay in seconds that the remote service asks for before another attempt. Without a `kind`, a
    permanent error is one of the configuration, any other one of the remote service.
    """

    def __init__(
        self, message: str, permanent: bool = False, retry_after: float = 0.0, kind: ErrorKind | None = None
    ) -> None:
        super().__init__(message)
        self.kind: ErrorKind = kind or ("config" if permanent else "remote")
        self.message = message
        self.permanent = permanent
        self.retry_after = retry_after

    def at(self, place: str) -> NodeError:
        """Return this error with the place before its message."""
        return NodeError(f"{place}: {self.message}", self.permanent, self.retry_after, self.kind)


class LimitExceeded(NodeError):
    """More values, bytes, calls or cost than permitted."""

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=True, kind="limit")


class MalformedData(NodeError):
    """A file, an answer or a text that is malformed, or not of the expected form."""

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=True, kind="data")


class TimedOut(NodeError):
    """The time for an attempt was up; another attempt may be faster."""

    def __init__(self, message: str) -> None:
        super().__init__(message, kind="timeout")
