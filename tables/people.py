"""Who may do what: users, workspaces, memberships, sessions, API tokens and failed logins."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from typing import Any

from peewee import BooleanField, CompositeKey, IntegerField, ModelSelect, TextField

from database import execute, write
from tables.base import DAY_MS, Base, now_ms

ROLES = ("viewer", "operator", "editor", "owner")


def hash_token(token: str) -> str:
    """What the database keeps of a session's or an API token: tokens are random, so one round of SHA-256 is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


class User(Base):
    """Somebody who can log in. Until they are `set_up`, their password is not of their own choice."""

    prefix = "usr"
    id = TextField(primary_key=True)
    email = TextField(unique=True)
    name = TextField()
    password_hash = TextField()
    created_at = IntegerField()
    set_up = BooleanField(default=True)

    class Meta:
        table_name = "users"

    @classmethod
    def by_email(cls, email: str) -> User | None:
        """The user with this address, whatever its case."""
        found: User | None = cls.get_or_none(cls.email == email.strip().lower())
        return found

    def change(self, **values: Any) -> None:
        """Set these columns, and no others."""
        with write():
            User.update(**values).where(User.id == self.id).execute()
        self.__data__.update(values)

    def roles(self) -> dict[str, str]:
        """Workspace id to role, oldest workspace first."""
        sql = "SELECT workspace_id, role FROM memberships WHERE user_id = ? ORDER BY workspace_id"
        return dict(execute(sql, (self.id,)).fetchall())


class Workspace(Base):
    prefix = "ws"
    id = TextField(primary_key=True)
    name = TextField()
    created_at = IntegerField()

    class Meta:
        table_name = "workspaces"

    @property
    def workspace_id(self) -> str:
        """Its own id: where a role is needed for it."""
        return str(self.id)

    def rename(self, name: str) -> None:
        """Give it another name."""
        with write():
            Workspace.update(name=name).where(Workspace.id == self.id).execute()
        self.name = name

    @classmethod
    def found(cls, name: str, owner: User) -> Workspace:
        """A new workspace with its owner."""
        with write():
            workspace = cls.add(name=name)
            Membership.join(workspace.id, owner, "owner")
        return workspace

    @classmethod
    def of(cls, user: User) -> list[Workspace]:
        """The workspaces that the user is a member of, with their `role`."""
        roles = user.roles()
        rows = list(cls.select().where(cls.id.in_(list(roles))).order_by(cls.id))
        for row in rows:
            row.role = roles[row.id]
        return rows

    def members(self) -> list[Membership]:
        """The memberships with their `user`."""
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
        table_name = "memberships"
        primary_key = CompositeKey("workspace_id", "user_id")

    @classmethod
    def role_of(cls, user_id: str, workspace_id: str) -> str | None:
        """The user's role there, None for no member."""
        row = cls.get_or_none((cls.workspace_id == workspace_id) & (cls.user_id == user_id))
        return None if row is None else row.role

    @classmethod
    def join(cls, workspace_id: str, user: User, role: str) -> Membership:
        """A new membership, with its `user`."""
        with write():
            row: Membership = cls.create(workspace_id=workspace_id, user_id=user.id, role=role, created_at=now_ms())
        row.user = user
        return row

    @classmethod
    def get_with_user(cls, workspace_id: str, user_id: str) -> Membership | None:
        """The membership with its `user`, None for no member."""
        row: Membership | None = cls.get_or_none(workspace_id=workspace_id, user_id=user_id)
        if row is not None:
            row.user = User.get_by_id(user_id)
        return row

    def is_last_owner(self) -> bool:
        """Whether the workspace would be left without an owner."""
        owners = Membership.select().where(
            (Membership.workspace_id == self.workspace_id) & (Membership.role == "owner")
        )
        return self.role == "owner" and owners.count() == 1

    def change_role(self, role: str) -> bool:
        """Give the member another role; False where that would leave the workspace without an owner."""
        with write():
            if role != "owner" and self.is_last_owner():
                return False
            self.role = role
            self.save()
        return True

    def leave(self) -> bool:
        """End the membership and the user's API tokens for the workspace; False for the last owner."""
        with write():
            if self.is_last_owner():
                return False
            execute("DELETE FROM api_tokens WHERE workspace_id = ? AND user_id = ?", (self.workspace_id, self.user_id))
            self.delete_instance()
        return True


class Session(Base):
    prefix = "ses"
    id = TextField(primary_key=True)
    token_hash = TextField(unique=True)
    user_id = TextField(index=True)
    workspace_id = TextField()
    created_at = IntegerField()
    expires_at = IntegerField()

    class Meta:
        table_name = "sessions"

    @classmethod
    def start(cls, user: User, workspace_id: str, days: int) -> tuple[Session, str]:
        """A new session and its token, which is nowhere else."""
        token = secrets.token_urlsafe(32)
        expires = now_ms() + days * DAY_MS
        row = cls.add(token_hash=hash_token(token), user_id=user.id, workspace_id=workspace_id, expires_at=expires)
        return row, token

    @classmethod
    def by_token(cls, token: str) -> Session | None:
        """The live session of this token."""
        row = cls.one("token_hash = ?", hash_token(token))
        return row if row is not None and row.expires_at > now_ms() else None

    @classmethod
    def of(cls, user: User) -> ModelSelect:
        """The live sessions of the user."""
        return cls.select().where((cls.user_id == user.id) & (cls.expires_at > now_ms()))

    @classmethod
    def end_all(cls, user: User, but: Session | None = None) -> None:
        """End the sessions of the user, all or all but one."""
        with write():
            cls.delete().where((cls.user_id == user.id) & (cls.id != (None if but is None else but.id))).execute()

    def move(self, workspace_id: str) -> None:
        """Make this the workspace that is meant where a request names none."""
        with write():
            Session.update(workspace_id=workspace_id).where(Session.id == self.id).execute()
        self.workspace_id = workspace_id

    @classmethod
    def prune(cls) -> int:
        """Delete the expired ones."""
        return cls.drop_old("expires_at <= ?", now_ms())


class ApiToken(Base):
    prefix = "tok"
    id = TextField(primary_key=True)
    token_hash = TextField(unique=True)
    name = TextField()
    user_id = TextField()
    workspace_id = TextField(index=True)
    role = TextField()
    created_at = IntegerField()
    expires_at = IntegerField(null=True)

    class Meta:
        table_name = "api_tokens"

    @classmethod
    def issue(cls, **values: Any) -> tuple[ApiToken, str]:
        """A new token of a user for one workspace and the text that stands for it, which is nowhere else."""
        token = "hr_" + secrets.token_urlsafe(32)
        return cls.add(token_hash=hash_token(token), **values), token

    @classmethod
    def by_token(cls, token: str) -> ApiToken | None:
        """The live token of this text."""
        row = cls.one("token_hash = ?", hash_token(token))
        return row if row is not None and (row.expires_at is None or row.expires_at > now_ms()) else None


class LoginFailure(Base):
    """How often logging in has failed for one address or account since `since`."""

    key = TextField(primary_key=True)
    count = IntegerField()
    since = IntegerField()

    class Meta:
        table_name = "login_failures"

    @classmethod
    def wait(cls, key: str, allowed: int, window_ms: int) -> int:
        """Seconds until another try is allowed; 0 for now."""
        row = cls.find(key)
        if row is None or row.count < allowed:
            return 0
        return max(0, -(-(row.since + window_ms - now_ms()) // 1000))

    @classmethod
    def note(cls, keys: Iterable[str], window_ms: int) -> None:
        """One more failure for each key; a window that has passed starts anew."""
        now = now_ms()
        sql = (
            "INSERT INTO login_failures (key, count, since) VALUES (?, 1, ?) ON CONFLICT (key) DO UPDATE SET "
            "count = CASE WHEN since < ? THEN 1 ELSE count + 1 END, since = CASE WHEN since < ? THEN ? ELSE since END"
        )
        with write():
            cls.delete().where(cls.since < now - DAY_MS).execute()
            for key in keys:
                execute(sql, (key, now, now - window_ms, now - window_ms, now))

    @classmethod
    def forget(cls, keys: Sequence[str]) -> None:
        """A login that worked clears the account's count."""
        with write():
            cls.delete().where(cls.key.in_(keys)).execute()
