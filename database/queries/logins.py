"""Login attempts: recent failures, and the addresses of successful logins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from database import execute, fetch_value, write
from database.base import UNLOCKED_ONLY, now_ms
from models import LoginAddress, LoginFailure

KNOWN_MS = LoginAddress.kept_ms
NOTE = (
    "INSERT INTO login_failures (key, count, since, last) VALUES (?1, 1, ?2, ?2) ON CONFLICT (key) DO UPDATE SET "
    "count = CASE WHEN login_failures.since > ?3 THEN login_failures.count + 1 ELSE 1 END, "
    "since = CASE WHEN login_failures.since > ?3 THEN login_failures.since ELSE excluded.since END, "
    "last = excluded.last"
)
PRUNE = f"DELETE FROM login_failures WHERE key IN (SELECT key FROM login_failures WHERE since <= ? {UNLOCKED_ONLY})"


def recent_failures(key: str, window_ms: int) -> LoginFailure | None:
    """Return the failures under this key; None if there are none or their window has passed."""
    row = LoginFailure.find(key)
    return row if row is not None and row.since + window_ms > now_ms() else None


def note_failures(keys: Iterable[str], window_ms: int) -> None:
    """Count a failure for each key, and delete counts whose window has passed."""
    now = now_ms()
    begun = now - window_ms
    with write():
        for key in sorted(keys):
            execute(NOTE, (key, now, begun))
        # The last statement waits for no row, so that no two attempts wait for each other.
        execute(PRUNE, (begun,))


def uncount_failure(key: str) -> None:
    """Subtract one failure."""
    with write():
        execute("UPDATE login_failures SET count = count - 1 WHERE key = ? AND count > 0", (key,))


def forget_failures(keys: Sequence[str]) -> None:
    """Delete the counts of these keys."""
    with write():
        LoginFailure.delete().where(LoginFailure.key.in_(keys)).execute()


def forget_all_failures(beginning: str) -> None:
    """Delete the counts of keys with this beginning."""
    after = beginning[:-1] + chr(ord(beginning[-1]) + 1)
    with write():
        execute("DELETE FROM login_failures WHERE key >= ? AND key < ?", (beginning, after))


def is_known_address(user_id: str, address: str) -> bool:
    """Return True if the user has logged in from this address within KNOWN_MS."""
    sql = "SELECT 1 FROM login_addresses WHERE user_id = ? AND address = ? AND at > ?"
    return fetch_value(sql, (user_id, address, now_ms() - KNOWN_MS)) is not None


def note_address(user_id: str, address: str) -> None:
    """Record a login of the user from this address."""
    sql = (
        "INSERT INTO login_addresses (user_id, address, at) VALUES (?, ?, ?) "
        "ON CONFLICT (user_id, address) DO UPDATE SET at = excluded.at"
    )
    with write():
        execute(sql, (user_id, address, now_ms()))


def forget_addresses(user_id: str) -> None:
    """Delete this user's addresses."""
    with write():
        LoginAddress.delete().where(LoginAddress.user_id == user_id).execute()
