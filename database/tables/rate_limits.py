"""Rate limits of nodes, shared by all processes and machines of a workspace.

The algorithm is GCRA, as in api/webhooks/rate_limit.py: one number for each limit, the time at which its bucket is
empty again. A node over the limit need not ask again: it reserves the next free time and waits for it.
"""

from __future__ import annotations

from peewee import CompositeKey, IntegerField, TextField

from database import execute, write

from .base import Base, Expiring, now_ms
from .locks import lock_names

KEEP = (
    "INSERT INTO rate_limits (workspace_id, key, empty_at) VALUES (?, ?, ?) "
    "ON CONFLICT (workspace_id, key) DO UPDATE SET empty_at = excluded.empty_at"
)


class RateLimit(Expiring, Base):
    """`empty_at` is the time at which the bucket is empty again, in microseconds since 1970."""

    expired = "empty_at <= ? * 1000"
    workspace_id = TextField()
    key = TextField()
    empty_at = IntegerField()

    class Meta:
        table_name = "rate_limits"
        primary_key = CompositeKey("workspace_id", "key")

    @classmethod
    def take(cls, workspace_id: str, key: str, calls: float, per: float) -> float:
        """Take a call of a limit of `calls` in `per` seconds. Return the seconds to wait before it.

        After `per` seconds without calls, all `calls` may be made at once.
        """
        window = int(per * 1_000_000)
        with write():
            lock_names("rate", (f"{workspace_id} {key}",))
            found = execute(
                "SELECT empty_at FROM rate_limits WHERE workspace_id = ? AND key = ?", (workspace_id, key)
            ).fetchone()
            now = now_ms() * 1000
            empty_at = max(now, now if found is None else int(found[0])) + int(window / calls)
            execute(KEEP, (workspace_id, key, empty_at))
        return max(0.0, (empty_at - now - window) / 1e6)
