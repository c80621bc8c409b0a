"""Sessions and API tokens, and the callers of requests whom they identify, cached until `settings_commits` changes."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self

from constants import ROLES
from database import execute, settings_commits, write
from database.base import DAY_MS, LOCKED, Rows, Write, now_ms
from database.queries import users, workspaces
from database.queries.locks import lock_names
from database.queries.users import hash_token
from database.shared import QueryCache
from errors import NotFound
from models import ApiToken, Session, User

TOUCH_MS = 3_600_000  # how often the use of a session is recorded


def start(user: User, workspace_id: str, days: int, idle_days: int = 0) -> tuple[Session, str]:
    """Insert a new session. Return it and its token, which is stored nowhere. `idle_days` 0: no idle timeout."""
    token = secrets.token_urlsafe(32)
    expires = now_ms() + days * DAY_MS
    with write():
        times = {"expires_at": expires, "idle_at": _idle_at(expires, idle_days)}
        row = Session.add(token_hash=hash_token(token), user_id=user.id, workspace_id=workspace_id, **times)
        users.change(user, last_workspace_id=workspace_id)
    return row, token


def extend(session: Session, idle_days: int) -> Write | None:
    """Return the write that extends the idle timeout; None if it was extended less than TOUCH_MS ago."""
    idle_at = _idle_at(session.expires_at, idle_days)
    if abs(idle_at - session.idle_at) < TOUCH_MS:
        return None
    return Write("UPDATE sessions SET idle_at = ? WHERE id = ?", (idle_at, session.id))


def of(user: User) -> Rows[Session]:
    """Return the user's valid sessions."""
    now = now_ms()
    return Rows(Session, [("user_id = ?", user.id), ("expires_at > ?", now), ("idle_at > ?", now)])


def end_all(user: User, but: Session | None = None) -> None:
    """Delete all sessions of the user, except `but`."""
    with write():
        # The user first, as in all transactions: others delete and move these sessions too.
        execute(f"SELECT 1 FROM users WHERE id = ? {LOCKED}", (user.id,))
        Session.delete().where(
            (Session.user_id == user.id) & (Session.id != (None if but is None else but.id))
        ).execute()


def move(session: Session, workspace_id: str) -> None:
    """Set the session's default workspace."""
    with write():
        # The user first, as in all transactions.
        User.update(last_workspace_id=workspace_id).where(User.id == session.user_id).execute()
        Session.update(workspace_id=workspace_id).where(Session.id == session.id).execute()
    session.workspace_id = workspace_id


def _idle_at(expires: int, idle_days: int) -> int:
    """Return the idle timeout of a session that is used now."""
    return min(expires, now_ms() + idle_days * DAY_MS) if idle_days else expires


def issue_token(**values: Any) -> tuple[ApiToken, str]:
    """Insert a new token of a member of a workspace. Return it and its text, which is stored nowhere.

    Raises: NotFound if the member was removed.
    """
    token = "hr_" + secrets.token_urlsafe(32)
    with write():
        lock_names("members", (values["workspace_id"],), shared=True)
        if workspaces.role_of(values["user_id"], values["workspace_id"]) is None:
            raise NotFound("You are no longer a member of this workspace")
        return ApiToken.add(token_hash=hash_token(token), **values), token


def end_all_tokens(user: User) -> int:
    """Delete all API tokens of the user in every workspace. Return their number."""
    with write():
        return int(ApiToken.delete().where(ApiToken.user_id == user.id).execute())


SECRET = ("password_hash",)  # user columns that are never cached


class _CachedCaller:
    """A user with the session or token of a request. All requests share it, so it has values, not row objects."""

    def __init__(self, user: User, proof: Session | ApiToken) -> None:
        self.user, self.proof, self.kind = user.__data__, proof.__data__, type(proof)
        roles = users.roles(user)
        if isinstance(proof, ApiToken):
            own = roles.get(proof.workspace_id)
            roles = {} if own is None else {proof.workspace_id: min(own, proof.role, key=ROLES.index)}
        self.roles = MappingProxyType(roles)

    def ends_at(self) -> int | None:
        """Return when the session or token expires, in milliseconds; None for never."""
        expires, idle = self.proof["expires_at"], self.proof.get("idle_at")
        return expires if idle is None else min(expires, idle)

    def is_over(self) -> bool:
        """Return True if the session or token has expired."""
        ends = self.ends_at()
        return ends is not None and ends <= now_ms()


_cache: QueryCache[tuple[type[Session] | type[ApiToken], str], _CachedCaller | None] = QueryCache(settings_commits)


def _look_up(kind: type[Session] | type[ApiToken], hashed: str) -> _CachedCaller | None:
    def query() -> _CachedCaller | None:
        proof = kind.one("token_hash = ?", hashed)
        user = None if proof is None else next(User.each("id = ?", (proof.user_id,), SECRET), None)
        return None if proof is None or user is None else _CachedCaller(user, proof)

    return _cache.get((kind, hashed), query)


def forget_session(session: Session) -> None:
    """Drop this session from the cache: the recorder changes it by a commit that does not clear the cache."""
    _cache.drop((Session, session.token_hash))


class Caller:
    """The user of one request. `user`, `session` and `token` are row objects of this request.

    The rows are as of their lookup, and `user` lacks the password hash. `proof_id` is the id of the session or token.
    """

    def __init__(self, found: _CachedCaller) -> None:
        self._found = found
        self.id: str = found.user["id"]
        self.is_by_token = found.kind is ApiToken
        self.proof_id: str = found.proof["id"]
        self.workspace_id: str = found.proof["workspace_id"]  # the default workspace

    @classmethod
    def of_token(cls, text: str) -> Self | None:
        """Return the user of this API token; None if it is unknown or has expired."""
        found = _look_up(ApiToken, hash_token(text))
        return None if found is None or found.is_over() else cls(found)

    @classmethod
    def of_session(cls, text: str) -> Self | None:
        """Return the user of the session with this token; None if it is unknown or has expired."""
        hashed = hash_token(text)
        found = _look_up(Session, hashed)
        if found is not None and found.is_over():
            # The recorder may have extended the idle timeout without clearing the cache.
            _cache.drop((Session, hashed))
            found = _look_up(Session, hashed)
        return None if found is None or found.is_over() else cls(found)

    @property
    def roles(self) -> Mapping[str, str]:
        """Return roles by workspace id, oldest first; a token has one workspace and at most the user's role there."""
        return self._found.roles

    @cached_property
    def user(self) -> User:
        return User.fresh(dict(self._found.user))

    @cached_property
    def session(self) -> Session | None:
        return None if self.is_by_token else Session.fresh(dict(self._found.proof))

    @cached_property
    def token(self) -> ApiToken | None:
        return ApiToken.fresh(dict(self._found.proof)) if self.is_by_token else None
