"""Users: their addresses, names, passwords and rights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from database import execute, fetch_value, write
from database.base import IN_LIST, LOCKED, UNLOCKED_ONLY, encode_list, now_ms
from database.queries.locks import lock_names
from models import LoginAddress, LoginFailure, User


def hash_token(token: str) -> str:
    """Return the stored hash of a session's or an API token: tokens are random, so one round of SHA-256 is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def by_email(email: str) -> User | None:
    """Return the user with this address, in any case, or None."""
    found: User | None = User.get_or_none(User.email == email.strip().lower())
    return found


def change(user: User, **values: Any) -> None:
    """Set these columns only."""
    with write():
        User.update(**values).where(User.id == user.id).execute()
    user.__data__.update(values)


def keeps_password(user: User) -> bool:
    """Return True if the password is still that of this object. It stays so until the transaction ends."""
    sql = f"SELECT 1 FROM users WHERE id = ? AND password_hash = ? {LOCKED}"
    return fetch_value(sql, (user.id, user.password_hash)) is not None


def roles(user: User) -> dict[str, str]:
    """Return roles by workspace id, oldest workspace first."""
    sql = "SELECT workspace_id, role FROM memberships WHERE user_id = ? ORDER BY workspace_id"
    return dict(execute(sql, (user.id,)).fetchall())


def change_admin(user: User, is_admin: bool) -> bool:
    """Grant or revoke the rights of an admin. Return False for the last admin of the server."""
    with write():
        lock_names("admins", ("",))
        if not is_admin and not User.select().where((User.is_admin == 1) & (User.id != user.id)).exists():
            return False
        change(user, is_admin=is_admin)
    return True


def names_of_users(ids: Sequence[str | None]) -> dict[str, str]:
    """Return the names of these users, or their addresses if they have no name."""
    listed = encode_list({id_ for id_ in ids if id_ is not None})
    found = execute(f"SELECT id, name, email FROM users WHERE id {IN_LIST}", (listed,)).fetchall()
    return {id_: name or email for id_, name, email in found}


# Login attempts: recent failures, and the addresses of successful logins.

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
