"""Grants: the tokens of a credential that change while it is used, and the store that keeps them.

The store of a server is in `security/oauth_grants.py`; a process without stored credentials has one in memory.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol


class Issued(NamedTuple):
    """The answer of a token server. `life` is the lifetime of the access token in seconds; None: it did not say.

    `refresh_token` and `scope` are empty if the answer has none. `details` has other values without secrets.
    `renew_after` is set for an access token that is exchanged for a new one while it is valid: after how many seconds.
    """

    access_token: str
    refresh_token: str = ""
    life: float | None = None
    scope: str = ""
    details: Mapping[str, str] = {}
    renew_after: float | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """The present tokens, as one version of them. Times are in ms since 1970; None: never, or unknown.

    `status` is connected, revoked, or error after a refusal that another attempt may overcome. `refresh_at` is when to
    get a new access token, before `expires_at`. `refreshed_at` is None for tokens that were not got by a refresh.
    """

    version: int
    status: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    obtained_at: int | None = None
    refresh_at: int | None = None
    expires_at: int | None = None
    refreshed_at: int | None = None
    reason: str | None = None


class GrantStore(Protocol):
    """Keeps the grant of one credential. A refresh holds the lease, which only one process and thread has."""

    def read(self) -> Grant | None:
        """Return the present grant, or None if there is none."""

    def claim(self, grant: Grant) -> str | None:
        """Take the lease to refresh this version. Return its id, or None if another has it or was faster."""

    def unsaved(self, grant: Grant) -> Issued | None:
        """Return the tokens that this process received for this version but could not store, or None."""

    def keep(self, lease: str, grant: Grant, issued: Issued, now: int) -> bool:
        """Store new tokens and give up the lease. Return False if the grant was replaced meanwhile.

        Raises: NodeError if they cannot be stored; `unsaved` returns them then.
        """

    def release(self, lease: str) -> None:
        """Give up the lease."""

    def mark(self, lease: str, status: str, reason: str) -> None:
        """Store that the service refused the grant, and give up the lease."""


ENDED = "its access has ended, and the service gave nothing to renew it"
MARGIN, SHARE = 60.0, 5  # an access token is not used in its last seconds, at most a part of its lifetime
MAX_LIFE = 10 * 365 * 86_400.0


def make_times(issued: Issued, now: int, is_renewable: bool = True) -> dict[str, int | None]:
    """Return `obtained_at`, `refresh_at` and `expires_at` in ms of tokens that were issued now."""
    # Some services say 0 for a token that never ends.
    if issued.life is None or (issued.life == 0 and not is_renewable):
        return {"obtained_at": now, "refresh_at": None, "expires_at": None}
    life = min(max(issued.life, 0.0), MAX_LIFE)
    ends = now + round(life * 1000)
    due = ends - round(min(MARGIN, life / SHARE) * 1000) if is_renewable else None
    if issued.renew_after is not None:
        due = min(now + round(issued.renew_after * 1000), ends)
    return {"obtained_at": now, "refresh_at": due, "expires_at": ends}


class MemoryGrants:
    """Keeps a grant in memory, for a credential that brings its refresh token along and has no row. Thread-safe."""

    def __init__(self, refresh_token: str) -> None:
        self._grant = Grant(0, "connected", "", refresh_token)
        self._lease: str | None = None
        self._lock = threading.Lock()

    def read(self) -> Grant | None:
        return self._grant

    def claim(self, grant: Grant) -> str | None:
        with self._lock:
            if self._lease is not None or grant.version != self._grant.version:
                return None
            self._lease = secrets.token_hex(8)
            return self._lease

    def unsaved(self, grant: Grant) -> Issued | None:
        return None

    def keep(self, lease: str, grant: Grant, issued: Issued, now: int) -> bool:
        with self._lock:
            times: dict[str, Any] = make_times(issued, now)
            refresh_token = issued.refresh_token or grant.refresh_token
            self._grant = Grant(
                grant.version + 1, "connected", issued.access_token, refresh_token, refreshed_at=now, **times
            )
            self._lease = None
        return True

    def release(self, lease: str) -> None:
        self._lease = None

    def mark(self, lease: str, status: str, reason: str) -> None:
        self._lease = None
