"""Passwords, logging in and the first owner. Rules only: the rows are in models.py."""

from __future__ import annotations

import secrets
from functools import cache
from typing import Any

from config import Config
from database import write
from errors import BadInput, Conflict, TooMany, Unauthenticated
from models import LoginFailure, Membership, Session, User, Workspace

SHORTEST_PASSWORD = 8
WINDOW_MS = 15 * 60_000
FAILURES_ALLOWED = {"account": 10, "address": 50}


@cache
def _hasher() -> Any:
    from argon2 import PasswordHasher

    # OWASP's choice for argon2id where many may log in at once: 19 MiB a hash rather than the library's 64.
    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


@cache
def _hash_of_nobody() -> str:
    """What an unknown address is checked against, so that it takes as long as a known one."""
    return str(_hasher().hash(secrets.token_urlsafe(16)))


def hash_password(password: str) -> str:
    """The argon2id hash; BadInput for a password that is too short."""
    if len(password) < SHORTEST_PASSWORD:
        raise BadInput(f"password: must have at least {SHORTEST_PASSWORD} characters")
    return str(_hasher().hash(password))


def check_password(user: User | None, password: str) -> bool:
    """Whether it is this user's password; takes its time for nobody's too."""
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        _hasher().verify(user.password_hash if user is not None else _hash_of_nobody(), password)
    except (VerificationError, InvalidHashError):
        return False
    return user is not None


def log_in(email: str, password: str, address: str, days: int) -> tuple[User, Session, str]:
    """The user, a new session and its token. Unauthenticated or, after many failures, TooMany."""
    account = email.strip().lower()
    keys = {"account": f"account:{account}", "address": f"address:{address}"}
    waits = [LoginFailure.wait(keys[kind], allowed, WINDOW_MS) for kind, allowed in FAILURES_ALLOWED.items()]
    if max(waits):
        raise TooMany("Too many failed logins; try again later", retry_after=max(waits))
    user = User.by_email(account)
    if not check_password(user, password) or user is None:
        LoginFailure.note(keys.values(), WINDOW_MS)
        raise Unauthenticated("Wrong email or password")
    LoginFailure.forget([keys["account"]])
    workspaces = list(user.roles())
    if not workspaces:
        raise Unauthenticated("This user is a member of no workspace any more")
    session, token = Session.start(user, workspaces[0], days)
    return user, session, token


def set_password(user: User, password: str) -> None:
    """Give the user another password; their sessions end, and failed logins are forgotten."""
    user.password_hash = hash_password(password)
    with write():
        user.save()
        Session.delete().where(Session.user_id == user.id).execute()
        LoginFailure.forget([f"account:{user.email}"])


def add_user(email: str, password: str, name: str | None = None) -> User:
    """A new user without a workspace. BadInput for a bad or taken address."""
    account = email.strip().lower()
    if "@" not in account or len(account) > 254 or any(letter.isspace() for letter in account):
        raise BadInput(f"email: {email[:254]!r} is no e-mail address")
    if User.by_email(account) is not None:
        raise BadInput(f"email: there is a user {account!r} already")
    return User.add(email=account, name=name or account.partition("@")[0], password_hash=hash_password(password))


def add_member(workspace_id: str, email: str, role: str, password: str | None, name: str | None) -> Membership:
    """Make the user of this address a member; one who does not exist yet is made, with this password."""
    with write():
        user = User.by_email(email)
        if user is None:
            if password is None:
                raise BadInput("password: is needed, because there is no user with this address yet")
            user = add_user(email, password, name)
        if Membership.role_of(user.id, workspace_id) is not None:
            raise Conflict("This user is a member already")
        return Membership.join(workspace_id, user, role)


def make_first_owner(config: Config) -> tuple[str, str | None] | None:
    """On an empty database, the owner and a workspace: the address, and the password where it had to be made up."""
    if User.select().exists():
        return None
    password = config.admin_password or secrets.token_urlsafe(12)
    owner = add_user(config.admin_email, password)
    Workspace.found("Main", owner)
    return owner.email, None if config.admin_password else password
