"""Users: their addresses, names, passwords and rights."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from database import execute, fetch_value, write
from database.base import IN_LIST, LOCKED, encode_list
from database.queries.locks import lock_names
from models import User


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
