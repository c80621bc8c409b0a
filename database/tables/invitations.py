"""Invitations to workspaces, with address, role and expiry."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from peewee import IntegerField, TextField

from database import execute, write

from .base import Base, Expiring, now_ms
from .users import hash_token

# An invitation is valid only while its workspace exists and its inviter is an owner of it.
IS_BACKED = (
    "EXISTS (SELECT 1 FROM workspaces WHERE id = invitations.workspace_id) AND EXISTS (SELECT 1 FROM memberships "
    "WHERE workspace_id = invitations.workspace_id AND user_id = invitations.invited_by AND role = 'owner')"
)


class Invitation(Expiring, Base):
    """An offer of a membership to an address. The database keeps only the hash of its token."""

    prefix = "inv"
    id = TextField(primary_key=True)
    workspace_id = TextField()
    email = TextField()
    role = TextField()
    token_hash = TextField(unique=True)
    invited_by = TextField()
    created_at = IntegerField()
    expires_at = IntegerField()

    @classmethod
    def issue(cls, *, lifetime_ms: int, **values: Any) -> tuple[Invitation, str]:
        """Replace the invitation of an address to a workspace. Return the new one and its token, stored nowhere."""
        token = secrets.token_urlsafe(32)
        with write():
            cls.withdraw(values["workspace_id"], values["email"])
            row = cls.add(token_hash=hash_token(token), expires_at=now_ms() + lifetime_ms, **values)
        return row, token

    @classmethod
    def by_token(cls, token: str) -> Invitation | None:
        """Return the pending invitation with this token, or None."""
        return cls.one(f"token_hash = ? AND expires_at > ? AND {IS_BACKED}", hash_token(token), now_ms())

    @classmethod
    def pending(cls, workspace_id: str) -> Iterator[Invitation]:
        """Return the pending invitations of a workspace, newest first."""
        where = f"workspace_id = ? AND expires_at > ? AND {IS_BACKED} ORDER BY id DESC"
        return cls.each(where, (workspace_id, now_ms()))

    def use(self) -> bool:
        """Delete it. Return False if it is no longer pending: of several concurrent calls, one succeeds."""
        sql = f"DELETE FROM invitations WHERE id = ? AND expires_at > ? AND {IS_BACKED}"
        with write():
            return bool(execute(sql, (self.id, now_ms())).rowcount)

    @classmethod
    def withdraw(cls, workspace_id: str, email: str) -> None:
        """Delete the invitation of this address to this workspace, if there is one."""
        execute("DELETE FROM invitations WHERE workspace_id = ? AND email = ?", (workspace_id, email))
