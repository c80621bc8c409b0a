"""Workspaces, their members and API tokens."""

from __future__ import annotations

from typing import Any

from flask_login import current_user

import accounts
from api.access import check_role, needs, who, workspace_id
from api.audit import audited, begun, remove
from api.people_schemas import (
    MemberChange,
    MemberGone,
    MemberIn,
    MemberOut,
    MemberPassword,
    TokenIn,
    TokenOut,
    WorkspaceIn,
    WorkspaceOut,
)
from api.wire import Resource
from errors import BadInput, Conflict, NotFound
from models import ApiToken, Membership, Workspace, differences, now_ms
from schemas import listed

blueprint = Resource("people", "Workspaces, members and API tokens")
LAST_OWNER = "The workspace needs an owner; make somebody else one first"


@blueprint.get("/workspaces")
@needs("viewer")
@blueprint.response(200, listed(WorkspaceOut))
def workspaces() -> Any:
    """The workspaces that you are a member of."""
    roles = current_user.roles
    return {"items": [row for row in Workspace.of(who()) if row.id in roles], "next_cursor": None}


@blueprint.post("/workspaces")
@needs("viewer")
@blueprint.arguments(WorkspaceIn)
@blueprint.response(201, WorkspaceOut)
def add_workspace(body: dict[str, str]) -> Any:
    """A new workspace, yours."""
    if current_user.token is not None:
        raise BadInput("An API token belongs to one workspace; log in to make another")
    with audited("workspace.created") as entry:
        workspace = Workspace.found(body["name"], who())
        entry.about(workspace)
    workspace.role = "owner"
    return workspace


@blueprint.patch("/workspaces/<workspace>")
@needs("owner", workspace=Workspace)
@blueprint.arguments(WorkspaceIn)
@blueprint.response(200, WorkspaceOut)
def rename_workspace(body: dict[str, str], workspace: Workspace) -> Any:
    """Give the workspace another name."""
    with audited("workspace.renamed", workspace) as entry:
        entry.note(**differences({"name": workspace.name}, body))
        workspace.rename(body["name"])
    workspace.role = "owner"
    return workspace


@blueprint.get("/members")
@needs("viewer")
@blueprint.response(200, listed(MemberOut))
def members() -> Any:
    """The members of the workspace."""
    return {"items": Workspace.get_by_id(workspace_id()).members(), "next_cursor": None}


@blueprint.post("/members")
@needs("owner")
@blueprint.arguments(MemberIn)
@blueprint.response(201, MemberOut)
def add_member(body: dict[str, str]) -> Any:
    """Add the user of this address, or make one with this password, which is for the first login.

    Until they choose their own, they are not `set_up`: the app leads them to it, the API lets them work.
    """
    given = body["email"], body["role"], body.get("password"), body.get("name")
    return accounts.add_member(begun("member.added"), *given)


@blueprint.patch("/members")
@needs("owner")
@blueprint.arguments(MemberChange)
@blueprint.response(200, MemberOut)
def change_member(body: dict[str, str]) -> Any:
    """Give a member another role."""
    with audited("member.changed") as entry:
        row, role = _member(body["user_id"]), body["role"]
        entry.target("member", row.user_id, row.user.email).note(**differences({"role": row.role}, {"role": role}))
        if not row.change_role(role):
            raise Conflict(LAST_OWNER)
    return row


@blueprint.delete("/members")
@needs("owner")
@blueprint.arguments(MemberGone)
@blueprint.response(204)
def remove_member(body: dict[str, str]) -> None:
    """Take a member out of the workspace; their API tokens for it end too."""
    with audited("member.removed") as entry:
        row = _member(body["user_id"])
        entry.target("member", row.user_id, row.user.email).note(role=row.role)
        if not row.leave():
            raise Conflict(LAST_OWNER)


@blueprint.post("/members/password")
@needs("owner")
@blueprint.arguments(MemberPassword)
@blueprint.response(204)
def reset_password(body: dict[str, str]) -> None:
    """Give a member who forgot theirs a password for the next login. It ends their sessions; API tokens stay.

    403 for who is in a workspace that you do not own too, 409 for your own, which `PATCH /api/profile` changes.
    """
    user = _member(body["user_id"]).user
    if user.id == who().id:
        raise Conflict("Your own password is changed in your profile")
    owned = [id_ for id_, role in current_user.roles.items() if role == "owner"]
    accounts.reset_password(begun("password.reset"), user, body["password"], owned)


def _member(user_id: str) -> Membership:
    row = Membership.get_with_user(workspace_id(), user_id)
    if row is None:
        raise NotFound(f"There is no member {user_id!r} in this workspace")
    return row


@blueprint.get("/tokens")
@needs("viewer")
@blueprint.response(200, listed(TokenOut))
def tokens() -> Any:
    """Your API tokens for this workspace; an owner sees everybody's."""
    query = ApiToken.select().where(ApiToken.workspace_id == workspace_id())
    if current_user.roles[workspace_id()] != "owner":
        query = query.where(ApiToken.user_id == who().id)
    return {"items": list(query.order_by(ApiToken.id.desc())), "next_cursor": None}


@blueprint.post("/tokens")
@needs("viewer")
@blueprint.arguments(TokenIn)
@blueprint.response(201, TokenOut)
def add_token(body: dict[str, Any]) -> Any:
    """A new API token of yours for this workspace, with at most your own role. Only this answer has its text."""
    check_role(workspace_id(), body["role"])
    days = body.pop("days")
    expires = None if days is None else now_ms() + days * 86_400_000
    with audited("token.created") as entry:
        row, text = ApiToken.issue(user_id=who().id, workspace_id=workspace_id(), expires_at=expires, **body)
        entry.about(row).note(role=row.role, days=days)
    row.token = text
    return row


@blueprint.delete("/tokens/<token>")
@needs("viewer", token=ApiToken)
@blueprint.response(204)
def remove_token(token: ApiToken) -> None:
    """Withdraw a token: your own, or as an owner anybody's."""
    if token.user_id != who().id:
        check_role(token.workspace_id, "owner")
    remove("token.withdrawn", token)
