"""Callers: the users of requests, by session or API token, cached until `settings_commits` changes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Self

from constants import ROLES
from database import settings_commits
from database.changes import QueryCache

from .base import now_ms
from .users import ApiToken, Session, User, hash_token

SECRET = ("password_hash",)  # user columns that are never cached


class _CachedCaller:
    """A user with the session or token of a request. All requests share it, so it has values, not row objects."""

    def __init__(self, user: User, proof: Session | ApiToken) -> None:
        self.user, self.proof, self.kind = user.__data__, proof.__data__, type(proof)
        roles = user.roles()
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
