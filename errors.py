"""Every error that Headrace raises on purpose.

An error that can reach an HTTP client derives from `HeadraceError` and knows its status; the one handler in
`workflow_server.py` turns it into `{"error": …}`. Nothing of ours is imported here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing wrong with a request or a definition.

    `path` is where: `nodes[2].config.url`, `limit`, `definition_json`. `node_id` is set for issues of a node. A
    `warning` does not keep a flow from being activated.
    """

    path: str
    message: str
    node_id: str | None = None
    level: str = "error"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class HeadraceError(Exception):
    """Base of all: a message for people, a status for HTTP and, for validation errors, what is wrong where."""

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
    """A workflow definition that cannot run; `details` has every issue that was found."""

    def __init__(self, details: Sequence[Issue]) -> None:
        shown = "; ".join(str(issue) for issue in details[:5])
        more = f" (and {len(details) - 5} more)" if len(details) > 5 else ""
        super().__init__(f"The definition is not valid: {shown}{more}", details)


class Unauthenticated(HeadraceError):
    """No valid session cookie or API token."""

    status = 401


class Forbidden(HeadraceError):
    """Signed in, but no member of that workspace or without the role that this needs."""

    status = 403


class NotFound(HeadraceError):
    """An id or a path that exists nowhere."""

    status = 404


class Conflict(HeadraceError):
    """The request is well formed but the thing's present state refuses it."""

    status = 409


class TooLarge(HeadraceError):
    """A body or a value over its bound."""

    status = 413


class NotJson(HeadraceError):
    """A body of another content type than application/json."""

    status = 415


class Unprocessable(HeadraceError):
    """An input that the flow, as it says itself, does not take."""

    status = 422


class TooMany(HeadraceError):
    """Throttled; `retry_after` says for how many seconds."""

    status = 429


class Unavailable(HeadraceError):
    """Saturated, or something that this needs is not configured."""

    status = 503


class ConfigError(Exception):
    """A setting with a value that cannot be; the process refuses to start."""


class VaultError(Exception):
    """Something encrypted that the server's key does not open."""


class ExpressionError(Exception):
    """An expression that does not compile, names something that is not there, or exceeds a bound."""


class NodeError(Exception):
    """A node that failed. `permanent` says that another attempt cannot help, so `retry` does not make one.

    `retry_after` is how many seconds whoever answered has asked to wait before another attempt.
    """

    def __init__(self, message: str, permanent: bool = False, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.message = message
        self.permanent = permanent
        self.retry_after = retry_after
