"""The users who send requests, looked up by their session or API token, and remembered until anything but a run is
written (see database/changes.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Self

from database import settings_commits
from database.changes import Memory

from .base import now_ms
from .users import ROLES, ApiToken, Session, User, hash_token

SECRET = ("password_hash",)  # columns of a user that no memory holds


class _Found:
    """A user with the session or token that they came by, as the database had them: values, since a row can be changed.

    It is shared by all requests, so it is read only.
    """

    def __init__(self, user: User, proof: Session | ApiToken) -> None:
        self.user, self.proof, self.kind = user.__data__, proof.__data__, type(proof)
        roles = user.roles()
        if isinstance(proof, ApiToken):
            own = roles.get(proof.workspace_id)
            roles = {} if own is None else {proof.workspace_id: min(own, proof.role, key=ROLES.index)}
        self.roles = MappingProxyType(roles)

    def ends_at(self) -> int | None:
        """The time from which on the session or token counts no more, in milliseconds; None for never."""
        expires, idle = self.proof["expires_at"], self.proof.get("idle_at")
        return expires if idle is None else min(expires, idle)

    def is_over(self) -> bool:
        """Return True if the session or token has expired by now."""
        ends = self.ends_at()
        return ends is not None and ends <= now_ms()


_memory: Memory[tuple[type[Session] | type[ApiToken], str], _Found | None] = Memory(settings_commits)


def _look_up(kind: type[Session] | type[ApiToken], hashed: str) -> _Found | None:
    def query() -> _Found | None:
        proof = kind.one("token_hash = ?", hashed)
        user = None if proof is None else next(User.each("id = ?", (proof.user_id,), SECRET), None)
        return None if proof is None or user is None else _Found(user, proof)

    return _memory.get((kind, hashed), query)


def look_up_anew(session: Session) -> None:
    """Ask the database for this session at the next request: the recorder changes it, which ends no memory."""
    _memory.forget((Session, session.token_hash))


class Caller:
    """The user of one request. `user`, `session` and `token` are rows of this request's own.

    The rows are of the moment when they were looked up, and `user` lacks the hash of the password. `proof_id` is the id
    of the session or token.
    """

    def __init__(self, found: _Found) -> None:
        self._found = found
        self.id: str = found.user["id"]
        self.is_by_token = found.kind is ApiToken
        self.proof_id: str = found.proof["id"]
        self.workspace_id: str = found.proof["workspace_id"]  # where the request names none

    @classmethod
    def of_token(cls, text: str) -> Self | None:
        """Return the user of this API token; None if the token is unknown or has expired."""
        found = _look_up(ApiToken, hash_token(text))
        return None if found is None or found.is_over() else cls(found)

    @classmethod
    def of_session(cls, text: str) -> Self | None:
        """Return the user of the session with this token; None if the session is unknown or has expired."""
        hashed = hash_token(text)
        found = _look_up(Session, hashed)
        if found is not None and found.is_over():
            # The recorder puts the idle end off, which ends no memory: it may be later by now.
            _memory.forget((Session, hashed))
            found = _look_up(Session, hashed)
        return None if found is None or found.is_over() else cls(found)

    @property
    def roles(self) -> Mapping[str, str]:
        """Workspace id to role, oldest first; a token has one workspace and no more than its own role there."""
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
