"""Accounts: passwords, logins, profiles and the first owner. Rules only: the rows are in database/queries/users.py."""

from __future__ import annotations

import logging
import secrets
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from config import Config
from database import write
from database.base import DAY_MS, now_ms
from database.queries import audit, sessions, users, workspaces
from database.queries import workspaces as workspace_queries
from database.queries.audit import NewAuditEntry, differences
from database.queries.locks import lock_names
from errors import BadInput, ConfigError, Conflict, Forbidden, Issue, NotFound, TooMany, Unauthenticated
from models import Invitation, Membership, Session, User, Workspace

from . import login_throttle

# Passwords that are too easy to guess: little is left of them without common words, names and sequences.
#
# The word list is short and our own. A list of leaked passwords would find more, but be larger than all other code
# for accounts; the login throttle (`security/login_throttle.py`) limits guesses at the rest.

MIN_DISTINCT = 5  # different characters
MIN_REST = 4  # letters that must be left; twice as many digits and symbols
MIN_RUN = 3  # characters of a sequence, or equal ones, that count as one
MIN_NAME = 4  # characters of a name to look for

# The first words of common guessing lists, in the languages of most attacks, and the name of this server.
WORDS = [
    *("password", "passwort", "passwd", "passphrase", "motdepasse", "contraseña", "contrasena", "senha"),
    *("parola", "wachtwoord", "haslo", "пароль", "geheim", "secret", "letmein", "welcome", "willkommen"),
    *("bienvenue", "bienvenido", "changeme", "changeit", "change", "default", "master", "administrator", "admin"),
    *("root", "superuser", "sysadmin", "operator", "guest", "user", "username", "login", "logon", "access"),
    *("account", "iloveyou", "iloveu", "loveyou", "lovely", "love", "forever", "princess", "prince", "sunshine"),
    *("sunflower", "flower", "butterfly", "angel", "angels", "babygirl", "football", "baseball", "basketball"),
    *("soccer", "hockey", "liverpool", "chelsea", "arsenal", "barcelona", "juventus", "monkey", "dragon"),
    *("tiger", "eagle", "horse", "shadow", "ninja", "mustang", "ferrari", "porsche", "mercedes", "batman"),
    *("superman", "spiderman", "starwars", "pokemon", "pikachu", "naruto", "minecraft", "matrix", "killer"),
    *("hunter", "ranger", "trustno", "summer", "winter", "spring", "autumn", "monday", "friday", "january"),
    *("december", "computer", "internet", "server", "system", "service", "database", "network", "google"),
    *("facebook", "microsoft", "windows", "android", "samsung", "apple", "cookie", "chocolate", "banana"),
    *("cheese", "pepper", "ginger", "freedom", "whatever", "nothing", "something", "hello", "secure", "security"),
    *("private", "test", "testing", "tester", "demo", "example", "sample", "temp", "temporary", "company"),
    *("office", "business", "charlie", "michael", "jordan", "jennifer", "michelle", "jessica", "ashley"),
    *("daniel", "thomas", "robert", "andrew", "joshua", "matthew", "nicole", "headrace", "workflow"),
    *("automation", "n8n"),
]
# Rows and columns of keyboards, and sequences; each is looked for backwards too.
ROWS = [
    *("01234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "yxcvbnm"),
    *("azertyuiop", "qsdfghjklm", "wxcvbn", "!@#$%^&*()", '!"§$%&/()=', "1q2w3e4r5t6y7u8i9o0p", "1qaz2wsx3edc4rfv5tgb"),
    *("qazwsxedcrfvtgbyhnujmikolp", "q1w2e3r4t5y6u7i8o9p0"),
]
SEQUENCES = [row[::step] for row in ROWS for step in (1, -1)]
# Symbols and digits that stand for letters; 1 is read as i and as l.
READINGS = [str.maketrans("4@8301$57!9", f"aabeo{one}sst{one}g") for one in "il"]

HINT = "choose a longer one, for example several unrelated words"


def find_weakness(password: str, about: Iterable[str] = ()) -> str | None:
    """Return why the password is easy to guess, to follow the word "password", or None if it is not.

    `about` has names that an attacker knows: the address, the person's name, the workspaces'.
    """
    text = unicodedata.normalize("NFKC", password).casefold()
    if len(set(text)) < MIN_DISTINCT:
        return f"has fewer than {MIN_DISTINCT} different characters; {HINT}"
    names = {part for name in about for part in _split_name(name.casefold()) if len(part) >= MIN_NAME}
    words = sorted({*WORDS, *names}, key=len, reverse=True)
    text = text[: (text + text).find(text, 1)]  # the part that the whole text repeats, or the text
    rests = [_strip(reading, words) for reading in _list_readings(text)]
    if any(sum(1 if letter.isalpha() else 0.5 for letter in rest) < MIN_REST for rest in rests):
        return f"is little more than a common word, a name or a sequence; {HINT}"
    return None


def _split_name(name: str) -> Iterator[str]:
    """Yield the words of a name or an address, then all of them joined."""
    words = "".join(letter if letter.isalnum() else " " for letter in name).split()
    yield from words
    yield "".join(words)


def _list_readings(text: str) -> Iterator[str]:
    """Yield the text, with and without years and sequences, and its readings with symbols as letters."""
    for read in (text, _remove_runs(_remove_years(text))):
        yield from (read, *(read.translate(reading) for reading in READINGS))


def _strip(text: str, words: Iterable[str]) -> str:
    """Return the text without common words. Separators are removed first, so that `pass-word` is found."""
    text = "".join(letter for letter in text if not letter.isspace() and letter not in "-_.,")
    for word in words:
        text = text.replace(word, "")
    return _remove_runs(_remove_years(text))


def _remove_years(text: str) -> str:
    for century in ("19", "20"):
        while (at := text.find(century)) >= 0 and text[at : at + 4].isdecimal() and len(text[at : at + 4]) == 4:
            text = text[:at] + text[at + 4 :]
    return text


def _remove_runs(text: str) -> str:
    """Return the text without sequences and repetitions of at least MIN_RUN characters."""
    kept, at = "", 0
    while at < len(text):
        length = len(text) - at - len(text[at:].lstrip(text[at]))  # of the repetition that begins here
        for sequence in SEQUENCES:
            while at + length < len(text) and text[at : at + length + 1] in sequence:
                length += 1
        if length < MIN_RUN:
            kept, length = kept + text[at], 1
        at += length
    return kept


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
    hashed = None
    if "password" in given:
        hashed = hash_password(given["password"], list_guessable_names(user))
        if not user.set_up and check_password(user, given["password"]):
            raise _bad_field("password", "must differ from the one that you were given")
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


# Invitations to workspaces: an owner creates a single-use link, and its recipient accepts.
#
# The link alone creates a new account: any holder of the link can use it. If the server sends mail, only the mail has
# the link, which so checks the address too; if not, the inviter passes it on. The link does not change an existing
# account: joining with one takes the link and a login.

INVITATION_MS = 72 * 3_600_000
MAX_PENDING = 100
MAX_A_DAY = 200
# One error for unknown, used, revoked and expired links: it does not reveal which invitations existed.
GONE = "This invitation is not valid. It was used or revoked, or its 72 hours are over; ask for a new one"

Begin = Callable[[str], NewAuditEntry]


def invite(entry: NewAuditEntry, email: str, role: str, inviter: User) -> tuple[Invitation, str]:
    """Create an invitation to the entry's workspace, replacing an earlier one for the address. Return it and its token.

    An existing account makes no difference.

    Raises: BadInput for an invalid address; Conflict for a member, or with MAX_PENDING others; TooMany after MAX_A_DAY.
    """
    address, workspace_id = normalize_address(email), str(entry.workspace_id)
    with entry.note(role=role).written():
        lock_names("members", (workspace_id,))
        if workspaces.has_address(workspace_id, address):
            raise Conflict(f"{address} is a member already")
        if sum(row.email != address for row in workspaces.pending_invitations(workspace_id)) >= MAX_PENDING:
            raise Conflict(f"This workspace has {MAX_PENDING} pending invitations; withdraw some of them first")
        if audit.count_since(workspace_id, "invitation.created", now_ms() - DAY_MS) >= MAX_A_DAY:
            raise TooMany(f"{MAX_A_DAY} invitations were made here within a day; try again later", retry_after=3_600)
        row, token = workspaces.invite(
            workspace_id=workspace_id, email=address, role=role, invited_by=inviter.id, lifetime_ms=INVITATION_MS
        )
        entry.about(row)
    return row, token


def find_invitation(token: str, address: str, is_shared: bool) -> Invitation:
    """Return the pending invitation with this token. `is_shared`: the address may be that of many clients.

    Raises: NotFound if there is none; TooMany after many invalid tokens. A valid one always works: nobody guesses it.
    """
    found = workspaces.invitation_by_token(token)
    if found is None:
        login_throttle.count_bad_link(address, is_shared)
        raise NotFound(GONE)
    return found


def redeem_invitation(
    invitation: Invitation,
    password: str,
    name: str | None,
    client: tuple[str, bool],
    days: tuple[int, int],
    begin: Begin,
) -> tuple[User, Session, str]:
    """Create an account with this password for the invitation's address. Return it, a new session and its token.

    An existing account is not changed: with its password, its user logs in and becomes a member. That is how a person
    without a workspace comes back. `client` is their address, and True if many clients share it; `days` are the
    session's lifetime and idle timeout.

    Raises: BadInput for a weak password; Conflict if it is not the account's; NotFound if the invitation is gone.
    """
    user, (address, is_shared) = users.by_email(invitation.email), client
    made = None if user is None else login_throttle.count_attempt(user.email, address, user, is_shared)
    is_theirs = check_password(user, password)
    about = (invitation.email, name or "", Workspace.get_by_id(invitation.workspace_id).name)
    # Always checked: the error for a weak password must not reveal whether there is an account.
    hashed = "" if is_theirs else hash_password(password, about)
    with _use(invitation, begin) as entry:
        if user is None or made is None or not is_theirs:
            if users.by_email(invitation.email) is not None:
                raise Conflict(f"There is an account for {invitation.email}: log in as {invitation.email} to accept")
            user = add_user(invitation.email, hashed, name, set_up=True)
            entry.note(new_user=True)
        else:
            made.mark_success(user)
            if not users.keeps_password(user):
                raise Conflict(f"The password of {invitation.email} was changed: log in with the new one to accept")
        _join(invitation, user, entry)
        sessions.end_all(user)
        return user, *sessions.start(user, invitation.workspace_id, *days)


def accept_invitation(invitation: Invitation, user: User, session: Session, begin: Begin) -> None:
    """Make the user a member, move their session to the workspace, and end their other sessions.

    Raises: Conflict if the invitation is for another address or the user is a member; NotFound if it is gone.
    """
    with _use(invitation, begin) as entry:
        email = User.get_by_id(user.id).email
        if email != invitation.email:
            raise Conflict(f"This invitation is for {invitation.email}, and you are logged in as {email}")
        _join(invitation, user, entry)
        sessions.end_all(user, session)
        sessions.move(session, invitation.workspace_id)


@contextmanager
def _use(invitation: Invitation, begin: Begin) -> Iterator[NewAuditEntry]:
    """Return a transaction that uses the invitation up, unless it raises. Refusals are in the audit log too."""
    try:
        with begin("invitation.accepted").about(invitation).written() as entry:
            lock_names("address", (invitation.email,))
            lock_names("members", (invitation.workspace_id,))
            if not workspaces.use_invitation(invitation):
                raise NotFound(GONE)
            yield entry
    except Conflict as error:
        login_throttle.count_refusal(str(invitation.id))
        begin("invitation.refused").about(invitation).note(reason=error.message).save_new()
        raise


def _join(invitation: Invitation, user: User, entry: NewAuditEntry) -> None:
    if workspaces.role_of(user.id, invitation.workspace_id) is not None:
        raise Conflict("You are a member of this workspace already")
    workspaces.join(invitation.workspace_id, user, invitation.role)
    entry.user_id, entry.user_email = user.id, user.email
    entry.target("member", user.id, user.email).note(role=invitation.role, invited_by=invitation.invited_by)


# The mail

INVITATION_SUBJECT = "An invitation to Headrace"
MAX_SHOWN = 100
INVITATION_TEXT = """\
{name} <{email}> invites you to the workspace "{place}" on Headrace, as {role}.

To accept, open this link within 72 hours. It works once:

{link}

If you do not know what this is about, ignore this mail: nothing happens without the link.
"""


def write_invitation(place: str, inviter: User, role: str, link: str) -> str:
    """Return the text of the mail with the link. Names are cut and stay on their line."""
    return INVITATION_TEXT.format(
        name=_line(inviter.name), email=inviter.email, place=_line(place), role=role, link=link
    )


def _line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text[:MAX_SHOWN]).strip()
