"""Invitations to workspaces: an owner creates a single-use link, and its recipient accepts.

The link alone creates a new account: any holder of the link can use it. If the server sends mail, only the mail has the
link, which so checks the address too; if not, the inviter passes it on. The link does not change an existing account:
joining with one takes the link and a login.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from database.base import DAY_MS, now_ms
from database.queries import audit, sessions, users, workspaces
from database.queries.audit import NewAuditEntry
from database.queries.locks import lock_names
from errors import Conflict, NotFound, TooMany
from models import Invitation, Session, User, Workspace

from . import accounts, login_throttle

LIFETIME_MS = 72 * 3_600_000
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
    address, workspace_id = accounts.normalize_address(email), str(entry.workspace_id)
    with entry.note(role=role).written():
        lock_names("members", (workspace_id,))
        if workspaces.has_address(workspace_id, address):
            raise Conflict(f"{address} is a member already")
        if sum(row.email != address for row in workspaces.pending_invitations(workspace_id)) >= MAX_PENDING:
            raise Conflict(f"This workspace has {MAX_PENDING} pending invitations; withdraw some of them first")
        if audit.count_since(workspace_id, "invitation.created", now_ms() - DAY_MS) >= MAX_A_DAY:
            raise TooMany(f"{MAX_A_DAY} invitations were made here within a day; try again later", retry_after=3_600)
        row, token = workspaces.invite(
            workspace_id=workspace_id, email=address, role=role, invited_by=inviter.id, lifetime_ms=LIFETIME_MS
        )
        entry.about(row)
    return row, token


def find(token: str, address: str, is_shared: bool) -> Invitation:
    """Return the pending invitation with this token. `is_shared`: the address may be that of many clients.

    Raises: NotFound if there is none; TooMany after many invalid tokens. A valid one always works: nobody guesses it.
    """
    found = workspaces.invitation_by_token(token)
    if found is None:
        login_throttle.count_bad_link(address, is_shared)
        raise NotFound(GONE)
    return found


def redeem(
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
    is_theirs = accounts.check_password(user, password)
    about = (invitation.email, name or "", Workspace.get_by_id(invitation.workspace_id).name)
    # Always checked: the error for a weak password must not reveal whether there is an account.
    hashed = "" if is_theirs else accounts.hash_password(password, about)
    with _use(invitation, begin) as entry:
        if user is None or made is None or not is_theirs:
            if users.by_email(invitation.email) is not None:
                raise Conflict(f"There is an account for {invitation.email}: log in as {invitation.email} to accept")
            user = accounts.add_user(invitation.email, hashed, name, set_up=True)
            entry.note(new_user=True)
        else:
            made.mark_success(user)
            if not users.keeps_password(user):
                raise Conflict(f"The password of {invitation.email} was changed: log in with the new one to accept")
        _join(invitation, user, entry)
        sessions.end_all(user)
        return user, *sessions.start(user, invitation.workspace_id, *days)


def accept(invitation: Invitation, user: User, session: Session, begin: Begin) -> None:
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

SUBJECT = "An invitation to Headrace"
MAX_SHOWN = 100
TEXT = """\
{name} <{email}> invites you to the workspace "{place}" on Headrace, as {role}.

To accept, open this link within 72 hours. It works once:

{link}

If you do not know what this is about, ignore this mail: nothing happens without the link.
"""


def write_mail(place: str, inviter: User, role: str, link: str) -> str:
    """Return the text of the mail with the link. Names are cut and stay on their line."""
    return TEXT.format(name=_line(inviter.name), email=inviter.email, place=_line(place), role=role, link=link)


def _line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text[:MAX_SHOWN]).strip()
