"""Login attempts: recent failures, and the addresses of successful logins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from peewee import CompositeKey, IntegerField, TextField

from database import execute, fetch_value, write

from .base import DAY_MS, UNLOCKED_ONLY, Base, Expiring, now_ms

KNOWN_MS = 30 * DAY_MS
NOTE = (
    "INSERT INTO login_failures (key, count, since, last) VALUES (?1, 1, ?2, ?2) ON CONFLICT (key) DO UPDATE SET "
    "count = CASE WHEN login_failures.since > ?3 THEN login_failures.count + 1 ELSE 1 END, "
    "since = CASE WHEN login_failures.since > ?3 THEN login_failures.since ELSE excluded.since END, "
    "last = excluded.last"
)
PRUNE = f"DELETE FROM login_failures WHERE key IN (SELECT key FROM login_failures WHERE since <= ? {UNLOCKED_ONLY})"


class LoginFailure(Base):
    """Number of failed logins under one key since `since`, and the last one. An attempt counts before it is checked."""

    key = TextField(primary_key=True)
    count = IntegerField()
    since = IntegerField()
    last = IntegerField()

    @classmethod
    def recent(cls, key: str, window_ms: int) -> LoginFailure | None:
        """Return the failures under this key; None if there are none or their window has passed."""
        row = cls.find(key)
        return row if row is not None and row.since + window_ms > now_ms() else None

    @classmethod
    def note(cls, keys: Iterable[str], window_ms: int) -> None:
        """Count a failure for each key, and delete counts whose window has passed."""
        now = now_ms()
        begun = now - window_ms
        with write():
            for key in sorted(keys):
                execute(NOTE, (key, now, begun))
            # The last statement waits for no row, so that no two attempts wait for each other.
            execute(PRUNE, (begun,))

    @classmethod
    def uncount(cls, key: str) -> None:
        """Subtract one failure."""
        with write():
            execute("UPDATE login_failures SET count = count - 1 WHERE key = ? AND count > 0", (key,))

    @classmethod
    def forget(cls, keys: Sequence[str]) -> None:
        """Delete the counts of these keys."""
        with write():
            cls.delete().where(cls.key.in_(keys)).execute()

    @classmethod
    def forget_all(cls, beginning: str) -> None:
        """Delete the counts of keys with this beginning."""
        after = beginning[:-1] + chr(ord(beginning[-1]) + 1)
        with write():
            execute("DELETE FROM login_failures WHERE key >= ? AND key < ?", (beginning, after))


class LoginAddress(Expiring, Base):
    """An address from which a user has logged in, and when last."""

    expired, kept_ms = "at <= ?", KNOWN_MS
    user_id = TextField()
    address = TextField()
    at = IntegerField()

    class Meta:
        table_name = "login_addresses"
        primary_key = CompositeKey("user_id", "address")

    @classmethod
    def is_known(cls, user_id: str, address: str) -> bool:
        """Return True if the user has logged in from this address within KNOWN_MS."""
        sql = "SELECT 1 FROM login_addresses WHERE user_id = ? AND address = ? AND at > ?"
        return fetch_value(sql, (user_id, address, now_ms() - KNOWN_MS)) is not None

    @classmethod
    def note(cls, user_id: str, address: str) -> None:
        """Record a login of the user from this address."""
        sql = (
            "INSERT INTO login_addresses (user_id, address, at) VALUES (?, ?, ?) "
            "ON CONFLICT (user_id, address) DO UPDATE SET at = excluded.at"
        )
        with write():
            execute(sql, (user_id, address, now_ms()))

    @classmethod
    def forget(cls, user_id: str) -> None:
        """Delete this user's addresses."""
        with write():
            cls.delete().where(cls.user_id == user_id).execute()
