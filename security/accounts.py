"""Accounts: passwords, logins, profiles and the first owner. Rules only: the rows are in database/queries/users.py."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from config import Config
from database import write
from database.queries import sessions, users
from database.queries import workspaces as workspace_queries
from database.queries.audit import NewAuditEntry, differences
from database.queries.locks import lock_names
from errors import BadInput, ConfigError, Conflict, Forbidden, Issue, Unauthenticated
from models import Membership, Session, User, Workspace

from . import login_throttle
from .passwords import find_weakness

log = logging.getLogger("headrace.accounts")

MIN_PASSWORD = 8
WRONG = "Wrong email or password"


@cache
def _get_hasher() -> Any:
    from argon2 import PasswordHasher

    # OWASP's parameters of argon2id for many simultaneous logins: 19 MiB a hash instead of the library's 64.
    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


@cache
def _get_dummy_hash() -> str:
    """Return a hash for unknown addresses, so that checking them takes as long as for known ones."""
    return str(_get_hasher().hash(secrets.token_urlsafe(16)))


def hash_password(password: str, about: Iterable[str] = ()) -> str:
    """Return the argon2id hash. `about` has names that an attacker would try as the password.

    Raises: BadInput if the password is too short or too easy to guess.
    """
    if len(password) < MIN_PASSWORD:
        raise _bad_field("password", f"must have at least {MIN_PASSWORD} characters")
    if (reason := find_weakness(password, about)) is not None:
        raise _bad_field("password", reason)
    return str(_get_hasher().hash(password))


def list_guessable_names(user: User) -> list[str]:
    """Return the names that an attacker would try first as this user's password."""
    return [user.email, user.name, *(workspace.name for workspace in workspace_queries.workspaces_of(user))]


def check_password(user: User | None, password: str) -> bool:
    """Return True if this is the user's password. It takes as long for a missing user."""
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        _get_hasher().verify(user.password_hash if user is not None else _get_dummy_hash(), password)
    except (VerificationError, InvalidHashError):
        return False
    return user is not None


def log_in(
    email: str, password: str, address: str, is_shared: bool, days: int, idle_days: int
) -> tuple[User, Session, str]:
    """Return the user, a new session and its token. The session opens in the user's last workspace.

    `is_shared`: many clients share the address.

    Raises: Unauthenticated for a wrong password or without a workspace; TooMany after many failures.
    """
    account = email.strip().lower()
    user = users.by_email(account)
    made = login_throttle.count_attempt(account, address, user, is_shared)
    if not check_password(user, password) or user is None:
        # Logged for existing accounts only: other input may be a password typed into the wrong field.
        if user is not None:
            with write():
                _begin_entry("session.refused", user, address).about(user).save_new()
        raise Unauthenticated(WRONG)
    workspaces = list(users.roles(user))
    if not workspaces:
        raise Unauthenticated("You are not a member of any workspace; ask for an invitation to one")
    here = user.last_workspace_id if user.last_workspace_id in workspaces else workspaces[0]
    with _begin_entry("session.opened", user, address).written() as entry:
        made.mark_success(user)
        if not users.keeps_password(user):  # changed since it was checked, and the sessions with the old one were ended
            raise Unauthenticated(WRONG)
        session, token = sessions.start(user, here, days, idle_days)
        entry.about(session)
    return user, session, token


def _begin_entry(action: str, user: User, address: str | None = None) -> NewAuditEntry:
    """Return an audit entry of an action by or on a user, in their first workspace."""
    home = next(iter(users.roles(user)), None)
    return NewAuditEntry(action, home, user_id=user.id, user_email=user.email, address=address)


# Passwords and profiles


def confirm_password(user: User, password: str | None, address: str, is_shared: bool = False) -> None:
    """Check the user's password. Wrong ones count as failed logins. Raises: BadInput if it is wrong; TooMany."""
    if password is None:
        raise _bad_field("current_password", "is required to change the address or the password")
    made = login_throttle.count_attempt(user.email, address, user, is_shared)
    if not check_password(user, password):
        raise _bad_field("current_password", "is not your password")
    made.mark_success(user)


def change_profile(
    user: User,
    given: Mapping[str, str],
    session: Session,
    begin: Callable[[str], NewAuditEntry],
    end_tokens: bool = False,
) -> None:
    """Change the given `name`, `email` and `password`; a new password ends the user's other sessions.

    `end_tokens` also ends the user's API tokens, only with a new password. `begin(action)` returns an audit entry.

    Raises: BadInput for an invalid value, or if the password was changed meanwhile; Conflict for a taken address.
    """
    if end_tokens and "password" not in given:
        raise _bad_field("end_tokens", "needs a new password")
    hashed = None if "password" not in given else _hash_chosen_password(user, given["password"])
    before = {"name": user.name, "email": user.email}
    after = {name: given[name] for name in before if name in given}
    if "email" in after:
        after["email"] = normalize_address(after["email"])
    changes = differences(before, after)
    with write():
        if "email" in changes:
            lock_names("address", (after["email"],))
        if hashed is not None:
            login_throttle.lock(user.email, after.get("email", user.email))
        if (hashed is not None or "email" in changes) and not users.keeps_password(user):
            raise _bad_field("current_password", "is not your password any more")
        if changes:
            with begin("profile.changed").note(**changes).written():
                if "email" in changes and users.by_email(after["email"]) is not None:
                    raise Conflict(f"email: {after['email']!r} is taken by another user; choose another address")
                users.change(user, **after)
        if hashed is not None:
            with begin("password.changed").written() as entry:
                _set_hash(user, hashed, True, session)
                if end_tokens:
                    entry.note(tokens_ended=sessions.end_all_tokens(user))


def set_password(user: User, password: str, set_up: bool = False, entry: NewAuditEntry | None = None) -> None:
    """Set a user's password, end their sessions and API tokens, and forget failed logins.

    `set_up`: the user chose it; otherwise the app asks for another one at the next login. `entry` is the audit entry,
    by default that of the command line.
    """
    hashed = hash_password(password, list_guessable_names(user))
    entry = entry or NewAuditEntry("password.changed", next(iter(users.roles(user)), None))
    with entry.about(user).written():
        _set_hash(user, hashed, set_up)
        # The old password may be known to others, so the addresses of earlier logins are not trusted either.
        users.forget_addresses(user.id)
        entry.note(tokens_ended=sessions.end_all_tokens(user))


def _hash_chosen_password(user: User, password: str) -> str:
    """Return the hash of a password that the user chose. Raises: BadInput if it is the one that they were given."""
    hashed = hash_password(password, list_guessable_names(user))
    if not user.set_up and check_password(user, password):
        raise _bad_field("password", "must differ from the one that you were given")
    return hashed


def _set_hash(user: User, hashed: str, set_up: bool, but: Session | None = None) -> None:
    login_throttle.forget(user.email)
    users.change(user, password_hash=hashed, set_up=set_up)
    sessions.end_all(user, but)


def normalize_address(email: str) -> str:
    """Return the address as it is stored. Raises: BadInput if it is not an e-mail address."""
    account = email.strip().lower()
    if "@" not in account or len(account) > 254 or any(letter.isspace() for letter in account):
        raise _bad_field("email", f"{email[:254]!r} is not an e-mail address")
    return account


def _bad_field(field: str, message: str) -> BadInput:
    return BadInput(f"{field}: {message}", [Issue(field, message)])


# New users


def add_user(email: str, hashed: str, name: str | None = None, set_up: bool = False) -> User:
    """Create and return a user without a workspace, with this password hash.

    `set_up`: the user chose the password.

    Raises: BadInput for an invalid address; Conflict for a taken one.
    """
    account = normalize_address(email)
    with write():
        lock_names("address", (account,))
        if users.by_email(account) is not None:
            raise Conflict(f"email: {account!r} is taken by another user; choose another address")
        return User.add(email=account, name=name or account.partition("@")[0], password_hash=hashed, set_up=set_up)


def add_member(
    entry: NewAuditEntry, email: str, role: str, password: str | None, name: str | None = None, set_up: bool = False
) -> Membership:
    """Make a new user with this password a member. Without a password: an existing user, whose sessions end.

    The latter is for the command line only: everyone else invites (see invitations.py). `entry` is the audit entry and
    names the workspace. `set_up` is as for `add_user`.

    Raises: BadInput for an invalid address or password; Conflict for a user who has an account or is a member already.
    """
    workspace_id = str(entry.workspace_id)
    about = (email, name or "", Workspace.get_by_id(workspace_id).name)
    hashed = None if password is None else hash_password(password, about)
    with entry.note(role=role).written():
        if hashed is not None:
            lock_names("address", (normalize_address(email),))
        lock_names("members", (workspace_id,))
        if hashed is None:
            user = users.by_email(email)
            if user is None:
                raise BadInput("password: is required, since no user has this address yet")
            sessions.end_all(user)
        else:
            user = add_user(email, hashed, name, set_up)
            users.change(user, last_workspace_id=workspace_id)
            entry.note(new_user=True)
        if workspace_queries.role_of(user.id, workspace_id) is not None:
            raise Conflict("This user is a member already")
        entry.target("member", user.id, user.email)
        return workspace_queries.join(workspace_id, user, role)


# Admins


def change_admin(user: User, is_admin: bool) -> None:
    """Make the user an admin of the server, or withdraw it. Raises: Conflict for the last admin."""
    action = "user.promoted" if is_admin else "user.demoted"
    with NewAuditEntry(action, next(iter(users.roles(user)), None)).about(user).written():
        if not users.change_admin(user, is_admin):
            raise Conflict("The server needs an admin; promote another user first")


def may_create_workspace(user: User, config: Config) -> bool:
    """Return True if HEADRACE_WORKSPACES allows the user to create workspaces."""
    return user.is_admin or config.workspaces == "everybody"


def create_workspace(entry: NewAuditEntry, name: str, user: User, config: Config) -> Workspace:
    """Create a workspace owned by the user.

    Raises: Forbidden if the user may not; Conflict if they have created HEADRACE_MAX_WORKSPACES already.
    """
    if not may_create_workspace(user, config):
        raise Forbidden("Only admins of this server create workspaces; ask one of them (HEADRACE_WORKSPACES is admins)")
    with entry.written():
        if workspace_queries.count_founded_by(user) >= (most := config.max_workspaces):
            raise Conflict(f"You have created {most} workspaces, the maximum for one person (HEADRACE_MAX_WORKSPACES)")
        workspace = workspace_queries.found(name, user)
        entry.about(workspace)
    return workspace


def make_first_owner(config: Config) -> tuple[str, str] | None:
    """Create an owner of a workspace, who is an admin, in an empty database.

    Return the address and the password if it was generated, else None. An easy password from the settings is accepted,
    so that a trial needs no more than one line, but it does not count as the owner's choice: the app asks for another
    one at the first login.
    """
    if User.select().exists():
        return None
    if 0 < len(config.admin_password) < MIN_PASSWORD:
        raise ConfigError(f"HEADRACE_ADMIN_PASSWORD must have at least {MIN_PASSWORD} characters")
    password = config.admin_password or secrets.token_urlsafe(12)
    reason = find_weakness(password, [config.admin_email])
    if reason is not None:
        log.warning("HEADRACE_ADMIN_PASSWORD %s; the app asks for another one at the first login", reason)
    hashed = str(_get_hasher().hash(password))
    owner = add_user(config.admin_email, hashed, set_up=bool(config.admin_password) and reason is None)
    workspace_queries.found("Main", owner)
    users.change(owner, is_admin=True)
    return None if config.admin_password else (owner.email, password)
