"""Users, workspaces, memberships, sessions and API tokens."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from peewee import BooleanField, CompositeKey, IntegerField, TextField

from database import execute, fetch_value, write
from errors import NotFound

from .base import DAY_MS, LOCKED, Base, Expiring, Rows, Write, now_ms
from .locks import lock_names

TOUCH_MS = 3_600_000  # how often the use of a session is recorded


def hash_token(token: str) -> str:
    """Return the stored hash of a session's or an API token: tokens are random, so one round of SHA-256 is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


class User(Base):
    """A person who can log in. If `set_up` is False, another user chose their password.

    An admin may create workspaces and accounts and reset passwords. The next login opens `last_workspace_id`.
    """

    prefix = "usr"
    id = TextField(primary_key=True)
    email = TextField(unique=True)
    name = TextField()
    password_hash = TextField()
    created_at = IntegerField()
    set_up = BooleanField(default=True)
    is_admin = BooleanField(default=False)
    last_workspace_id = TextField(null=True)

    @classmethod
    def by_email(cls, email: str) -> User | None:
        """Return the user with this address, in any case, or None."""
        found: User | None = cls.get_or_none(cls.email == email.strip().lower())
        return found

    def change(self, **values: Any) -> None:
        """Set these columns only."""
        with write():
            User.update(**values).where(User.id == self.id).execute()
        self.__data__.update(values)

    def keeps_password(self) -> bool:
        """Return True if the password is still that of this object. It stays so until the transaction ends."""
        sql = f"SELECT 1 FROM users WHERE id = ? AND password_hash = ? {LOCKED}"
        return fetch_value(sql, (self.id, self.password_hash)) is not None

    def roles(self) -> dict[str, str]:
        """Return roles by workspace id, oldest workspace first."""
        sql = "SELECT workspace_id, role FROM memberships WHERE user_id = ? ORDER BY workspace_id"
        return dict(execute(sql, (self.id,)).fetchall())

    def change_admin(self, is_admin: bool) -> bool:
        """Grant or revoke the rights of an admin. Return False for the last admin of the server."""
        with write():
            lock_names("admins", ("",))
            if not is_admin and not User.select().where((User.is_admin == 1) & (User.id != self.id)).exists():
                return False
            self.change(is_admin=is_admin)
        return True


UTC = "UTC"  # the time zone of a workspace that has set none


class Workspace(Base):
    prefix = "ws"
    id = TextField(primary_key=True)
    name = TextField()
    created_at = IntegerField()
    founder_id = TextField(null=True)
    timezone = TextField(null=True)

    @property
    def zone(self) -> str:
        """Return the time zone of schedules and flows without one."""
        return str(self.timezone or UTC)

    @property
    def workspace_id(self) -> str:
        """Return its id, for role checks."""
        return str(self.id)

    def rename(self, name: str) -> None:
        """Rename the workspace."""
        with write():
            Workspace.update(name=name).where(Workspace.id == self.id).execute()
        self.name = name

    def set_zone(self, zone: str) -> None:
        """Set the time zone. Call inside a transaction; the schedules without one follow (see Schedule.sync)."""
        Workspace.update(timezone=zone).where(Workspace.id == self.id).execute()
        self.timezone = zone

    @classmethod
    def found(cls, name: str, owner: User) -> Workspace:
        """Insert a new workspace with its owner."""
        with write():
            workspace = cls.add(name=name, founder_id=owner.id)
            Membership.join(workspace.id, owner, "owner")
        return workspace

    @classmethod
    def count_founded_by(cls, user: User) -> int:
        """Return the number of workspaces that the user has created, also if others own them now.

        In a transaction, the user creates no other one until its end.
        """
        lock_names("founder", (user.id,))
        return cls.select().where(cls.founder_id == user.id).count()

    @classmethod
    def of(cls, user: User) -> list[Workspace]:
        """Return the workspaces of the user, with their `role`."""
        roles = user.roles()
        rows = list(cls.select().where(cls.id.in_(list(roles))).order_by(cls.id))
        for row in rows:
            row.role = roles[row.id]
        return rows

    def members(self) -> list[Membership]:
        """Return the memberships with their `user`."""
        rows = list(Membership.select().where(Membership.workspace_id == self.id).order_by(Membership.user_id))
        users = {user.id: user for user in User.select().where(User.id.in_([row.user_id for row in rows]))}
        for row in rows:
            row.user = users[row.user_id]
        return rows


class Membership(Base):
    workspace_id = TextField()
    user_id = TextField()
    role = TextField()
    created_at = IntegerField()

    class Meta:
        primary_key = CompositeKey("workspace_id", "user_id")

    @classmethod
    def role_of(cls, user_id: str, workspace_id: str) -> str | None:
        """Return the user's role in the workspace, or None."""
        row = cls.get_or_none((cls.workspace_id == workspace_id) & (cls.user_id == user_id))
        return None if row is None else row.role

    @classmethod
    def has_address(cls, workspace_id: str, email: str) -> bool:
        """Return True if a member of the workspace has this address."""
        sql = "SELECT 1 FROM memberships JOIN users ON id = user_id WHERE workspace_id = ? AND email = ?"
        return fetch_value(sql, (workspace_id, email)) is not None

    @classmethod
    def join(cls, workspace_id: str, user: User, role: str) -> Membership:
        """Insert a membership, with its `user`. Deletes an invitation of the user's address to this workspace."""
        with write():
            lock_names("members", (workspace_id,))
            execute("DELETE FROM invitations WHERE workspace_id = ? AND email = ?", (workspace_id, user.email))
            row: Membership = cls.create(workspace_id=workspace_id, user_id=user.id, role=role, created_at=now_ms())
        row.user = user
        return row

    @classmethod
    def get_with_user(cls, workspace_id: str, user_id: str) -> Membership | None:
        """Return the membership with its `user`, or None."""
        row: Membership | None = cls.get_or_none(workspace_id=workspace_id, user_id=user_id)
        if row is not None:
            row.user = User.get_by_id(user_id)
        return row

    def is_last_owner(self) -> bool:
        """Return True if the workspace has no other owner."""
        owners = Membership.select().where(
            (Membership.workspace_id == self.workspace_id) & (Membership.role == "owner")
        )
        return self.role == "owner" and owners.count() == 1

    def change_role(self, role: str) -> bool:
        """Change the member's role. Return False for the last owner. Raises: NotFound if the member was removed."""
        with write():
            if not self._lock():
                raise NotFound("The member was removed")
            if role != "owner" and self.is_last_owner():
                return False
            if role != "owner":
                self._withdraw_invitations()
            self.role = role
            self.save()
        return True

    def _lock(self) -> bool:
        """Lock the workspace's members, and read the present role. Return False if the member was removed."""
        lock_names("members", (self.workspace_id,))
        present = Membership.role_of(self.user_id, self.workspace_id)
        self.role = present or self.role
        return present is not None

    def _withdraw_invitations(self) -> None:
        """Revoke the invitations that the member has sent: only owners may invite."""
        execute("DELETE FROM invitations WHERE workspace_id = ? AND invited_by = ?", (self.workspace_id, self.user_id))

    def leave(self) -> bool:
        """Delete the membership, and the member's tokens, invitations, favourites and saved filters.

        Return False for the last owner.
        """
        with write():
            self._lock()
            if self.is_last_owner():
                return False
            self._withdraw_invitations()
            execute("DELETE FROM api_tokens WHERE workspace_id = ? AND user_id = ?", (self.workspace_id, self.user_id))
            flows = "SELECT id FROM workflows WHERE workspace_id = ?"
            own = (self.user_id, self.workspace_id)
            execute(f"DELETE FROM favourites WHERE user_id = ? AND workflow_id IN ({flows})", own)
            execute("DELETE FROM saved_filters WHERE user_id = ? AND workspace_id = ?", own)
            self.delete_instance()
        return True


class Session(Expiring, Base):
    """A login. It ends at `expires_at`, or at the idle timeout `idle_at`, which each use extends."""

    prefix = "ses"
    expired = "CASE WHEN idle_at < expires_at THEN idle_at ELSE expires_at END <= ?"
    id = TextField(primary_key=True)
    token_hash = TextField(unique=True)
    user_id = TextField()
    workspace_id = TextField()
    created_at = IntegerField()
    expires_at = IntegerField()
    idle_at = IntegerField()

    @classmethod
    def start(cls, user: User, workspace_id: str, days: int, idle_days: int = 0) -> tuple[Session, str]:
        """Insert a new session. Return it and its token, which is stored nowhere. `idle_days` 0: no idle timeout."""
        token = secrets.token_urlsafe(32)
        expires = now_ms() + days * DAY_MS
        with write():
            times = {"expires_at": expires, "idle_at": _idle_at(expires, idle_days)}
            row = cls.add(token_hash=hash_token(token), user_id=user.id, workspace_id=workspace_id, **times)
            user.change(last_workspace_id=workspace_id)
        return row, token

    def used(self, idle_days: int) -> Write | None:
        """Return the write that extends the idle timeout; None if it was extended less than TOUCH_MS ago."""
        idle_at = _idle_at(self.expires_at, idle_days)
        if abs(idle_at - self.idle_at) < TOUCH_MS:
            return None
        return Write("UPDATE sessions SET idle_at = ? WHERE id = ?", (idle_at, self.id))

    @classmethod
    def of(cls, user: User) -> Rows[Session]:
        """Return the user's valid sessions."""
        now = now_ms()
        return Rows(cls, [("user_id = ?", user.id), ("expires_at > ?", now), ("idle_at > ?", now)])

    @classmethod
    def end_all(cls, user: User, but: Session | None = None) -> None:
        """Delete all sessions of the user, except `but`."""
        with write():
            cls.delete().where((cls.user_id == user.id) & (cls.id != (None if but is None else but.id))).execute()

    def move(self, workspace_id: str) -> None:
        """Set the session's default workspace."""
        with write():
            # The user first, as in all transactions.
            User.update(last_workspace_id=workspace_id).where(User.id == self.user_id).execute()
            Session.update(workspace_id=workspace_id).where(Session.id == self.id).execute()
        self.workspace_id = workspace_id


def _idle_at(expires: int, idle_days: int) -> int:
    """Return the idle timeout of a session that is used now."""
    return min(expires, now_ms() + idle_days * DAY_MS) if idle_days else expires


class ApiToken(Base):
    prefix = "tok"
    id = TextField(primary_key=True)
    token_hash = TextField(unique=True)
    name = TextField()
    user_id = TextField()
    workspace_id = TextField()
    role = TextField()
    created_at = IntegerField()
    expires_at = IntegerField(null=True)

    @classmethod
    def issue(cls, **values: Any) -> tuple[ApiToken, str]:
        """Insert a new token of a member of a workspace. Return it and its text, which is stored nowhere.

        Raises: NotFound if the member was removed.
        """
        token = "hr_" + secrets.token_urlsafe(32)
        with write():
            lock_names("members", (values["workspace_id"],), shared=True)
            if Membership.role_of(values["user_id"], values["workspace_id"]) is None:
                raise NotFound("You are no longer a member of this workspace")
            return cls.add(token_hash=hash_token(token), **values), token

    @classmethod
    def end_all(cls, user: User) -> int:
        """Delete all API tokens of the user in every workspace. Return their number."""
        with write():
            return int(cls.delete().where(cls.user_id == user.id).execute())
