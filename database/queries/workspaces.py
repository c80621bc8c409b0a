"""Workspaces, their members, and invitations to them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from database import execute, fetch_value, write
from database.base import now_ms
from database.queries import users as user_queries
from database.queries.locks import lock_names
from database.queries.users import hash_token
from errors import NotFound
from models import Invitation, Membership, User, Workspace

UTC = "UTC"  # the time zone of a workspace that has set none


def zone_of(workspace: Workspace) -> str:
    """Return the time zone of schedules and flows without one."""
    return str(workspace.timezone or UTC)


def rename(workspace: Workspace, name: str) -> None:
    """Rename the workspace."""
    with write():
        Workspace.update(name=name).where(Workspace.id == workspace.id).execute()
    workspace.name = name


def set_zone(workspace: Workspace, zone: str) -> None:
    """Set the time zone. Call inside a transaction; the schedules without one follow (see schedules.sync)."""
    Workspace.update(timezone=zone).where(Workspace.id == workspace.id).execute()
    workspace.timezone = zone


def found(name: str, owner: User) -> Workspace:
    """Insert a new workspace with its owner."""
    with write():
        workspace = Workspace.add(name=name, founder_id=owner.id)
        join(workspace.id, owner, "owner")
    return workspace


def count_founded_by(user: User) -> int:
    """Return the number of workspaces that the user has created, also if others own them now.

    In a transaction, the user creates no other one until its end.
    """
    lock_names("founder", (user.id,))
    return Workspace.select().where(Workspace.founder_id == user.id).count()


def workspaces_of(user: User) -> list[Workspace]:
    """Return the workspaces of the user, with their `role`."""
    roles = user_queries.roles(user)
    rows = list(Workspace.select().where(Workspace.id.in_(list(roles))).order_by(Workspace.id))
    for row in rows:
        row.role = roles[row.id]
    return rows


def members_of(workspace: Workspace) -> list[Membership]:
    """Return the memberships with their `user`."""
    rows = list(Membership.select().where(Membership.workspace_id == workspace.id).order_by(Membership.user_id))
    users = {user.id: user for user in User.select().where(User.id.in_([row.user_id for row in rows]))}
    for row in rows:
        row.user = users[row.user_id]
    return rows


def role_of(user_id: str, workspace_id: str) -> str | None:
    """Return the user's role in the workspace, or None."""
    row = Membership.get_or_none((Membership.workspace_id == workspace_id) & (Membership.user_id == user_id))
    return None if row is None else row.role


def has_address(workspace_id: str, email: str) -> bool:
    """Return True if a member of the workspace has this address."""
    sql = "SELECT 1 FROM memberships JOIN users ON id = user_id WHERE workspace_id = ? AND email = ?"
    return fetch_value(sql, (workspace_id, email)) is not None


def join(workspace_id: str, user: User, role: str) -> Membership:
    """Insert a membership, with its `user`. Deletes an invitation of the user's address to this workspace."""
    with write():
        lock_names("members", (workspace_id,))
        execute("DELETE FROM invitations WHERE workspace_id = ? AND email = ?", (workspace_id, user.email))
        row: Membership = Membership.create(workspace_id=workspace_id, user_id=user.id, role=role, created_at=now_ms())
    row.user = user
    return row


def get_member(workspace_id: str, user_id: str) -> Membership | None:
    """Return the membership with its `user`, or None."""
    row: Membership | None = Membership.get_or_none(workspace_id=workspace_id, user_id=user_id)
    if row is not None:
        row.user = User.get_by_id(user_id)
    return row


def is_last_owner(member: Membership) -> bool:
    """Return True if the workspace has no other owner."""
    owners = Membership.select().where((Membership.workspace_id == member.workspace_id) & (Membership.role == "owner"))
    return member.role == "owner" and owners.count() == 1


def change_role(member: Membership, role: str) -> bool:
    """Change the member's role. Return False for the last owner. Raises: NotFound if the member was removed."""
    with write():
        if not _lock(member):
            raise NotFound("The member was removed")
        if role != "owner" and is_last_owner(member):
            return False
        if role != "owner":
            _withdraw_invitations(member)
        member.role = role
        member.save()
    return True


def _lock(member: Membership) -> bool:
    """Lock the workspace's members, and read the present role. Return False if the member was removed."""
    lock_names("members", (member.workspace_id,))
    present = role_of(member.user_id, member.workspace_id)
    member.role = present or member.role
    return present is not None


def _withdraw_invitations(member: Membership) -> None:
    """Revoke the invitations that the member has sent: only owners may invite."""
    execute("DELETE FROM invitations WHERE workspace_id = ? AND invited_by = ?", (member.workspace_id, member.user_id))


def leave(member: Membership) -> bool:
    """Delete the membership, and the member's tokens, invitations, favourites and saved filters.

    Return False for the last owner.
    """
    with write():
        _lock(member)
        if is_last_owner(member):
            return False
        _withdraw_invitations(member)
        execute("DELETE FROM api_tokens WHERE workspace_id = ? AND user_id = ?", (member.workspace_id, member.user_id))
        flows = "SELECT id FROM workflows WHERE workspace_id = ?"
        own = (member.user_id, member.workspace_id)
        execute(f"DELETE FROM favourites WHERE user_id = ? AND workflow_id IN ({flows})", own)
        execute("DELETE FROM saved_filters WHERE user_id = ? AND workspace_id = ?", own)
        member.delete_instance()
    return True


# An invitation is valid only while its workspace exists and its inviter is an owner of it.
IS_BACKED = (
    "EXISTS (SELECT 1 FROM workspaces WHERE id = invitations.workspace_id) AND EXISTS (SELECT 1 FROM memberships "
    "WHERE workspace_id = invitations.workspace_id AND user_id = invitations.invited_by AND role = 'owner')"
)


def invite(*, lifetime_ms: int, **values: Any) -> tuple[Invitation, str]:
    """Replace the invitation of an address to a workspace. Return the new one and its token, stored nowhere."""
    token = secrets.token_urlsafe(32)
    with write():
        withdraw_invitation(values["workspace_id"], values["email"])
        row = Invitation.add(token_hash=hash_token(token), expires_at=now_ms() + lifetime_ms, **values)
    return row, token


def invitation_by_token(token: str) -> Invitation | None:
    """Return the pending invitation with this token, or None."""
    return Invitation.one(f"token_hash = ? AND expires_at > ? AND {IS_BACKED}", hash_token(token), now_ms())


def pending_invitations(workspace_id: str) -> Iterator[Invitation]:
    """Return the pending invitations of a workspace, newest first."""
    where = f"workspace_id = ? AND expires_at > ? AND {IS_BACKED} ORDER BY id DESC"
    return Invitation.each(where, (workspace_id, now_ms()))


def use_invitation(invitation: Invitation) -> bool:
    """Delete it. Return False if it is no longer pending: of several concurrent calls, one succeeds."""
    sql = f"DELETE FROM invitations WHERE id = ? AND expires_at > ? AND {IS_BACKED}"
    with write():
        return bool(execute(sql, (invitation.id, now_ms())).rowcount)


def withdraw_invitation(workspace_id: str, email: str) -> None:
    """Delete the invitation of this address to this workspace, if there is one."""
    execute("DELETE FROM invitations WHERE workspace_id = ? AND email = ?", (workspace_id, email))
