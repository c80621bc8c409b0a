"""Passwords, logging in, people's own accounts and the first owner. Rules only: the rows are in models.py."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from config import Config
from database import write
from errors import BadInput, ConfigError, Conflict, Forbidden, Issue, Unauthenticated
from models import ApiToken, AuditEntry, LoginAddress, Membership, Session, User, Workspace, differences

from . import login_throttle
from .passwords import weakness

log = logging.getLogger("headrace.accounts")

SHORTEST_PASSWORD = 8


@cache
def _hasher() -> Any:
    from argon2 import PasswordHasher

    # OWASP's choice for argon2id where many may log in at once: 19 MiB a hash rather than the library's 64.
    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


@cache
def _hash_of_nobody() -> str:
    """What an unknown address is checked against, so that it takes as long as a known one."""
    return str(_hasher().hash(secrets.token_urlsafe(16)))


def hash_password(password: str, about: Iterable[str] = ()) -> str:
    """Return the argon2id hash. `about` are names that somebody who guesses would try.

    Raises: BadInput if the password is too short or too easy to guess.
    """
    if len(password) < SHORTEST_PASSWORD:
        raise _wrong("password", f"must have at least {SHORTEST_PASSWORD} characters")
    if (reason := weakness(password, about)) is not None:
        raise _wrong("password", reason)
    return str(_hasher().hash(password))


def names_of(user: User) -> list[str]:
    """Return the names that an attacker would try first as this user's password."""
    return [user.email, user.name, *(workspace.name for workspace in Workspace.of(user))]


def check_password(user: User | None, password: str) -> bool:
    """Whether it is this user's password; takes its time for nobody's too."""
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        _hasher().verify(user.password_hash if user is not None else _hash_of_nobody(), password)
    except (VerificationError, InvalidHashError):
        return False
    return user is not None


def log_in(
    email: str, password: str, address: str, is_shared: bool, days: int, idle_days: int
) -> tuple[User, Session, str]:
    """The user, a new session and its token, in the workspace that the user was in last.

    `is_shared`: the address stands for many clients.

    Raises: Unauthenticated, or TooMany after many failures.
    """
    account = email.strip().lower()
    user = User.by_email(account)
    made = login_throttle.take(account, address, user, is_shared)
    if not check_password(user, password) or user is None:
        # Of accounts that are there only: what else is typed in may be a password in the wrong field.
        if user is not None:
            with write():
                _entry_of("session.refused", user, address).about(user).save_new()
        raise Unauthenticated("Wrong email or password")
    workspaces = list(user.roles())
    if not workspaces:
        raise Unauthenticated("This user is not a member of any workspace; an invitation into one can be accepted")
    here = user.last_workspace_id if user.last_workspace_id in workspaces else workspaces[0]
    with _entry_of("session.opened", user, address).written() as entry:
        made.worked(user)
        session, token = Session.start(user, here, days, idle_days)
        entry.about(session)
    return user, session, token


def _entry_of(action: str, user: User, address: str | None = None) -> AuditEntry:
    """An entry of what a user does, or what is done to them, in their first workspace."""
    home = next(iter(user.roles()), None)
    return AuditEntry.begin(action, home, user_id=user.id, user_email=user.email, address=address)


# Passwords and profiles


def confirm(user: User, password: str | None, address: str, is_shared: bool = False) -> None:
    """BadInput unless this is the user's password. Wrong ones are counted as those of logins: TooMany."""
    if password is None:
        raise _wrong("current_password", "is needed to change the address or the password")
    made = login_throttle.take(user.email, address, user, is_shared)
    if not check_password(user, password):
        raise _wrong("current_password", "is not your password")
    made.worked(user)


def change_profile(
    user: User, given: Mapping[str, str], session: Session, begin: Callable[[str], AuditEntry], end_tokens: bool = False
) -> None:
    """Change what is given of `name`, `email` and `password`; with the last, the user's other sessions end.

    `end_tokens` ends the user's API tokens too, with a new password alone. `begin(action)` makes the entries for the
    audit trail.

    Raises: BadInput for a value that cannot be, Conflict for a taken address.
    """
    if end_tokens and "password" not in given:
        raise _wrong("end_tokens", "goes with a new password")
    hashed = None if "password" not in given else _own_hash(user, given["password"])
    before = {"name": user.name, "email": user.email}
    after = {name: given[name] for name in before if name in given}
    if "email" in after:
        after["email"] = address_of(after["email"])
    changes = differences(before, after)
    with write():
        if changes:
            with begin("profile.changed").note(**changes).written():
                if "email" in changes and User.by_email(after["email"]) is not None:
                    raise Conflict(f"email: there is a user {after['email']!r} already")
                user.change(**after)
        if hashed is not None:
            with begin("password.changed").written() as entry:
                _set_hash(user, hashed, True, session)
                if end_tokens:
                    entry.note(tokens_ended=ApiToken.end_all(user))


def set_password(user: User, password: str, set_up: bool = False, entry: AuditEntry | None = None) -> None:
    """Give the user another password; their sessions and API tokens end, and failed logins are forgotten.

    `set_up`: it is of their own choice. Else they should choose one when they log in. `entry` tells of it, by default
    as the command line does.
    """
    hashed = hash_password(password, names_of(user))
    entry = entry or AuditEntry.begin("password.changed", next(iter(user.roles()), None))
    with entry.about(user).written():
        _set_hash(user, hashed, set_up)
        # Whoever knew the password before is a stranger now, also where the logins came from.
        LoginAddress.forget(user.id)
        entry.note(tokens_ended=ApiToken.end_all(user))


def _own_hash(user: User, password: str) -> str:
    """The hash of a password that the user chose. BadInput for that which somebody else has given them."""
    hashed = hash_password(password, names_of(user))
    if not user.set_up and check_password(user, password):
        raise _wrong("password", "must be another than the one that you were given")
    return hashed


def _set_hash(user: User, hashed: str, set_up: bool, but: Session | None = None) -> None:
    user.change(password_hash=hashed, set_up=set_up)
    Session.end_all(user, but)
    login_throttle.forget(user.email)


def address_of(email: str) -> str:
    """Return the address as it is stored. Raises: BadInput if it is not an e-mail address."""
    account = email.strip().lower()
    if "@" not in account or len(account) > 254 or any(letter.isspace() for letter in account):
        raise _wrong("email", f"{email[:254]!r} is no e-mail address")
    return account


def _wrong(field: str, message: str) -> BadInput:
    return BadInput(f"{field}: {message}", [Issue(field, message)])


# New users


def add_user(email: str, hashed: str, name: str | None = None, set_up: bool = False) -> User:
    """A new user without a workspace, whose password has this hash.

    `set_up`: the password is of their own choice.

    Raises: BadInput for a bad address, Conflict for a taken one.
    """
    account = address_of(email)
    if User.by_email(account) is not None:
        raise Conflict(f"email: there is a user {account!r} already")
    return User.add(email=account, name=name or account.partition("@")[0], password_hash=hashed, set_up=set_up)


def add_member(
    entry: AuditEntry, email: str, role: str, password: str | None, name: str | None = None, set_up: bool = False
) -> Membership:
    """Make a new user with this password a member. Without a password, an existing user, whose sessions end.

    Only those who run the server may do the latter: everybody else invites (see invitations.py). `entry` goes into the
    audit trail, and says which workspace it is. `set_up` is as for `add_user`.

    Raises: BadInput for a bad address or password, Conflict for a user who has an account or is a member already.
    """
    workspace_id = str(entry.workspace_id)
    about = (email, name or "", Workspace.get_by_id(workspace_id).name)
    hashed = None if password is None else hash_password(password, about)
    with entry.note(role=role).written():
        if hashed is None:
            user = User.by_email(email)
            if user is None:
                raise BadInput("password: is needed, because there is no user with this address yet")
            Session.end_all(user)
        else:
            user = add_user(email, hashed, name, set_up)
            user.change(last_workspace_id=workspace_id)
            entry.note(new_user=True)
        if Membership.role_of(user.id, workspace_id) is not None:
            raise Conflict("This user is a member already")
        entry.target("member", user.id, user.email)
        return Membership.join(workspace_id, user, role)


# Admins


def change_admin(user: User, is_admin: bool) -> None:
    """Make the user an admin of the server, or take that away. Raises: Conflict for the last admin."""
    action = "user.promoted" if is_admin else "user.demoted"
    with AuditEntry.begin(action, next(iter(user.roles()), None)).about(user).written():
        if not user.change_admin(is_admin):
            raise Conflict("The server needs an admin; promote another user first")


def may_found(user: User, config: Config) -> bool:
    """Return True if HEADRACE_WORKSPACES lets the user found workspaces."""
    return user.is_admin or config.workspaces == "everybody"


def found_workspace(entry: AuditEntry, name: str, user: User, config: Config) -> Workspace:
    """Found a workspace, whose owner the user is.

    Raises: Forbidden if the user may not, Conflict if they have founded HEADRACE_MAX_WORKSPACES already.
    """
    if not may_found(user, config):
        raise Forbidden("Only admins of this server found workspaces; ask one of them (HEADRACE_WORKSPACES is admins)")
    with entry.written():
        if Workspace.founded_by(user) >= config.max_workspaces:
            raise Conflict(
                f"You have founded {config.max_workspaces} workspaces, the most that a person may found "
                "(HEADRACE_MAX_WORKSPACES)"
            )
        workspace = Workspace.found(name, user)
        entry.about(workspace)
    return workspace


def make_first_owner(config: Config) -> tuple[str, str | None] | None:
    """On an empty database, make an owner of a workspace, who is the admin.

    Return the address, and the password if it had to be made up. A password of the settings that is easy to guess is
    taken, so that trying Headrace out stays one line, but is not the owner's own choice then: the app leads to another
    at the first login.
    """
    if User.select().exists():
        return None
    if 0 < len(config.admin_password) < SHORTEST_PASSWORD:
        raise ConfigError(f"HEADRACE_ADMIN_PASSWORD must have at least {SHORTEST_PASSWORD} characters")
    password = config.admin_password or secrets.token_urlsafe(12)
    reason = weakness(password, [config.admin_email])
    if reason is not None:
        log.warning("HEADRACE_ADMIN_PASSWORD %s; the app asks for another at the first login", reason)
    hashed = str(_hasher().hash(password))
    owner = add_user(config.admin_email, hashed, set_up=bool(config.admin_password) and reason is None)
    Workspace.found("Main", owner)
    owner.change(is_admin=True)
    return owner.email, None if config.admin_password else password
