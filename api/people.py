"""People: workspaces, their members and API tokens, and invitations into a workspace."""

from __future__ import annotations

import pkgutil
from typing import Any

from flask import request
from flask_login import current_user
from marshmallow import ValidationError, validate

import fields
from api.audit import begin_entry, record_change, remove
from api.http.auth import (
    allow_anyone,
    check_admin,
    check_page_user,
    check_role,
    get_user,
    get_workspace_id,
    require_role,
)
from api.http.json_io import Resource, dump, get_config, get_server
from api.http.paging import SliceArgs, listed, slice_of
from api.http.request_origin import check_origin, get_client
from api.sessions import describe_session, no_store, respond_logged_in
from constants import ROLES
from database.base import now_ms
from database.queries import sessions, workspaces
from database.queries.audit import differences
from database.queries.locks import lock_names
from definition.schema import is_zone
from dispatch.publishing import change_zone
from errors import BadInput, Conflict, Forbidden, NotFound
from fields import Out, Strict, Time, choice, password, text
from models import ApiToken, Invitation, Membership, User, Workspace
from registry import registry
from schemas import WhoOut, WorkspaceOut
from security import accounts

# Invitations: owners create, list and withdraw them; the invited person previews and redeems them.

invited = Resource("invitations", "Invitations into a workspace")
invited.after_request(no_store)


class InvitationIn(Strict):
    email = fields.Email(required=True, validate=validate.Length(max=254))
    role = choice(ROLES, required=True)


class InvitationOut(Out):
    id = fields.String()
    email = fields.String()
    role = choice(ROLES)
    invited_by = fields.String(help="Name of the inviting owner")
    invited_by_email = fields.String()
    created_at = Time()
    expires_at = Time()


class InvitationMade(InvitationOut):
    link = fields.String(
        allow_none=True, help="Works once; only in the answer to its creation, and null if the server sends mail"
    )
    mailed = fields.Boolean(help="True if the mail server accepted a mail with the link")


class InvitationToken(Strict):
    token = text(200, required=True)


class InvitationShown(Out):
    email = fields.String()
    role = choice(ROLES)
    workspace_name = fields.String()
    invited_by = fields.String()
    invited_by_email = fields.String()
    expires_at = Time()


class Redemption(InvitationToken):
    name = text(200)
    password = password(help="For the new account; not if you are logged in")


# Owners


@invited.get("/invitations")
@require_role("owner", by_session=True)
@invited.arguments(SliceArgs, location="query")
@invited.response(200, listed(InvitationOut))
def list_invitations(args: dict[str, Any]) -> Any:
    """List the pending invitations of the workspace, newest first."""
    return slice_of([_add_inviter(row) for row in workspaces.pending_invitations(get_workspace_id())], args)


@invited.post("/invitations")
@require_role("owner", by_session=True)
@invited.arguments(InvitationIn)
@invited.response(201, InvitationMade)
def create_invitation(body: dict[str, str]) -> Any:
    """Invite a person by address. Replaces an earlier invitation of that address to this workspace.

    The link works once and for 72 hours. If the server sends mail (HEADRACE_SMTP_URL), only the mail has it: its
    recipient alone learns whether the address has an account, and creates one for it. If not, this answer alone has it.
    The answer is the same whether or not the address has an account. `mailed: false` with a `link` of null: the mail
    server rejected the mail; invite the person again once the reason in the server's log is gone.
    """
    return send_invitation(body["email"], body["role"])


@invited.delete("/invitations/<invitation>")
@require_role("owner", by_session=True, invitation=Invitation)
@invited.response(204)
def delete_invitation(invitation: Invitation) -> None:
    """Revoke an invitation. Its link becomes invalid."""
    remove("invitation.withdrawn", invitation)


def send_invitation(email: str, role: str) -> Invitation:
    """Invite a person into this request's workspace. Return the fields of InvitationMade.

    The inviter gets the link only if the server sends no mail: any holder can create an account for the address.
    """
    server = get_server()
    row, token = accounts.invite(begin_entry("invitation.created"), email, role, get_user())
    # In the fragment, so that neither logs nor Referer headers contain it.
    link = f"{server.config.base_url}/invitation#{token}"
    place = Workspace.get_by_id(row.workspace_id).name
    body = accounts.write_invitation(place, get_user(), row.role, link)
    row.mailed, row.link = False, link
    if server.config.mail_server is not None and registry.send_mail:
        send = pkgutil.resolve_name(registry.send_mail)
        services = server.dispatcher.resources.services
        row.mailed, row.link = send(server.config, services, row.email, accounts.INVITATION_SUBJECT, body, row.id), None
    return _add_inviter(row)


def _add_inviter(row: Invitation) -> Invitation:
    inviter = User.get_by_id(row.invited_by)
    row.invited_by, row.invited_by_email = inviter.name, inviter.email
    return row


# The invited person


@invited.post("/invitations/look")
@allow_anyone
@invited.doc(security=[])
@invited.arguments(InvitationToken)
@invited.response(200, InvitationShown)
def preview(body: dict[str, str]) -> Any:
    """Show the invitation of this token, without saying whether the address has an account.

    404 if it was used or revoked, has expired or never existed.
    """
    row = accounts.find_invitation(body["token"], *get_client())
    row.workspace_name = Workspace.get_by_id(row.workspace_id).name
    return _add_inviter(row)


@invited.post("/invitations/redeem")
@allow_anyone
@invited.doc(security=[{}, {"session": []}])
@invited.arguments(Redemption)
@invited.response(200, WhoOut)
def redeem(body: dict[str, str]) -> Any:
    """Accept an invitation. If you are logged in, you join and your session moves to the workspace.

    Otherwise an account with the chosen `password` is created, and you are logged in. If the address has an account,
    the account stays unchanged: 409, unless the password is that account's, which logs you in and accepts.

    Also 409 if the invitation is for another address than yours, or if you are a member. 404 if it was used or revoked,
    has expired or never existed.
    """
    check_origin()
    if request.headers.get("Authorization"):
        raise Forbidden("API tokens cannot accept invitations; log in with a browser session")
    row = accounts.find_invitation(body["token"], *get_client())
    if current_user.is_authenticated:
        check_page_user()
        user, session = get_user(), current_user.session
        accounts.accept_invitation(row, user, session, begin_entry)
        return dump(WhoOut(), describe_session(user, session, session.workspace_id, row.role))
    if "password" not in body:
        raise BadInput("password: is required for a new account; if you have an account, log in first")
    config = get_config()
    days = config.session_days, config.session_idle_days
    return respond_logged_in(
        *accounts.redeem_invitation(row, body["password"], body.get("name"), get_client(), days, begin_entry)
    )


blueprint = Resource("people", "Workspaces, members and API tokens")
LAST_OWNER = "The workspace needs an owner; make another member an owner first"


class WorkspaceIn(Strict):
    name = text(200, required=True)


def check_zone(value: str) -> None:
    """Reject text that is not the name of a time zone."""
    if not is_zone(value):
        raise ValidationError("must be an IANA time zone such as Europe/Berlin")


class WorkspaceChange(Strict):
    name = text(200)
    timezone = fields.String(validate=check_zone, help="IANA time zone, such as Europe/Berlin")


class MemberIn(Strict):
    email = fields.Email(required=True, validate=validate.Length(max=254))
    role = choice(ROLES, required=True)
    password = password(help="Admins only: create an account with this first password. Without it: invite the person")
    name = text(200, help="Only with a password")


class MemberGone(Strict):
    user_id = text(64, required=True)


class MemberChange(MemberGone):
    role = choice(ROLES, required=True)


class MemberPassword(MemberGone):
    password = password(required=True, help="For the next login, which asks for a new one")


class MemberOut(Out):
    user_id = fields.String()
    email = fields.String(attribute="user.email")
    name = fields.String(attribute="user.name")
    role = choice(ROLES)
    created_at = Time()


class TokenIn(Strict):
    name = text(200, required=True)
    role = choice(ROLES, load_default="operator")
    days = fields.Integer(
        strict=True, load_default=None, validate=validate.Range(1, 3650), help="Days until it expires; default: never"
    )


class TokenOut(Out):
    id = fields.String()
    name = fields.String()
    role = choice(ROLES)
    user_id = fields.String()
    workspace_id = fields.String()
    created_at = Time()
    expires_at = Time(allow_none=True, optional=True)
    token = fields.String(help="Only in the answer to its creation", optional=True)


@blueprint.get("/workspaces")
@require_role("viewer")
@blueprint.arguments(SliceArgs, location="query")
@blueprint.response(200, listed(WorkspaceOut))
def list_workspaces(args: dict[str, Any]) -> Any:
    """List the workspaces that you are a member of."""
    roles = current_user.roles
    return slice_of([row for row in workspaces.workspaces_of(get_user()) if row.id in roles], args)


@blueprint.post("/workspaces")
@require_role("viewer", by_session=True)
@blueprint.arguments(WorkspaceIn)
@blueprint.response(201, WorkspaceOut)
def add_workspace(body: dict[str, str]) -> Any:
    """Create a workspace that you own. Admins only, unless `HEADRACE_WORKSPACES` allows everybody."""
    config = get_config()
    workspace = accounts.create_workspace(begin_entry("workspace.created"), body["name"], get_user(), config)
    workspace.role = "owner"
    return workspace


@blueprint.patch("/workspaces/<workspace>")
@require_role("owner", by_session=True, workspace=Workspace)
@blueprint.arguments(WorkspaceChange)
@blueprint.response(200, WorkspaceOut)
def change_workspace(body: dict[str, str], workspace: Workspace) -> Any:
    """Rename the workspace, or set its time zone: schedules without one of their own move at once."""
    action = "workspace.renamed" if "name" in body else "workspace.changed"
    with record_change(action, workspace) as entry:
        entry.note(**differences({"name": workspace.name, "timezone": workspaces.zone_of(workspace)}, body))
        if "name" in body:
            workspaces.rename(workspace, body["name"])
        if "timezone" in body:
            change_zone(workspace, body["timezone"], get_config().max_nodes)
    workspace.role = "owner"
    return workspace


@blueprint.get("/members")
@require_role("viewer", by_session=True)
@blueprint.arguments(SliceArgs, location="query")
@blueprint.response(200, listed(MemberOut))
def list_members(args: dict[str, Any]) -> Any:
    """List the members of the workspace."""
    return slice_of(workspaces.members_of(Workspace.get_by_id(get_workspace_id())), args)


@blueprint.post("/members")
@require_role("owner", by_session=True)
@blueprint.arguments(MemberIn)
@blueprint.response(201, MemberOut)
@blueprint.alt_response(202, schema=InvitationMade)
def add_member(body: dict[str, str]) -> Any:
    """Invite a person by address: 202 with the invitation, whether or not the address has an account.

    With a `password`, create an account for an unused address. Admins only. The password is for the first login. Until
    the user chooses another, `set_up` is false: the app asks for one, and the API works.
    """
    if "password" in body:
        check_admin("Setting a first password")
        given = body["email"], body["role"], body["password"], body.get("name")
        return accounts.add_member(begin_entry("member.added"), *given)
    if "name" in body:
        raise BadInput("name: needs a password; people who accept an invitation choose their own name")
    return dump(InvitationMade(), send_invitation(body["email"], body["role"])), 202


@blueprint.patch("/members")
@require_role("owner", by_session=True)
@blueprint.arguments(MemberChange)
@blueprint.response(200, MemberOut)
def change_member(body: dict[str, str]) -> Any:
    """Change the role of a member."""
    with record_change("member.changed") as entry:
        row, role = _find_member(body["user_id"]), body["role"]
        entry.target("member", row.user_id, row.user.email).note(**differences({"role": row.role}, {"role": role}))
        if not workspaces.change_role(row, role):
            raise Conflict(LAST_OWNER)
    return row


@blueprint.delete("/members")
@require_role("owner", by_session=True)
@blueprint.arguments(MemberGone)
@blueprint.response(204)
def remove_member(body: dict[str, str]) -> None:
    """Remove a member from the workspace. Their API tokens for it end too."""
    with record_change("member.removed") as entry:
        row = _find_member(body["user_id"])
        entry.target("member", row.user_id, row.user.email).note(role=row.role)
        if not workspaces.leave(row):
            raise Conflict(LAST_OWNER)


@blueprint.post("/members/password")
@require_role("viewer", by_session=True, admin=True)
@blueprint.arguments(MemberPassword)
@blueprint.response(204)
def reset_password(body: dict[str, str]) -> None:
    """Set a user's password for the next login. Admins only. Ends the user's sessions and API tokens.

    409 for your own password: use `PATCH /api/profile`.
    """
    user = User.find(body["user_id"])
    if user is None:
        raise NotFound(f"There is no user {body['user_id']!r}")
    if user.id == get_user().id:
        raise Conflict("Change your own password in your profile")
    accounts.set_password(user, body["password"], entry=begin_entry("password.reset"))


def _find_member(user_id: str) -> Membership:
    """Return the member of the request's workspace, unchanged until the transaction ends. Raises: NotFound."""
    lock_names("members", (get_workspace_id(),))
    row = workspaces.get_member(get_workspace_id(), user_id)
    if row is None:
        raise NotFound(f"There is no member {user_id!r} in this workspace")
    return row


@blueprint.get("/tokens")
@require_role("viewer", by_session=True)
@blueprint.arguments(SliceArgs, location="query")
@blueprint.response(200, listed(TokenOut))
def list_tokens(args: dict[str, Any]) -> Any:
    """List your API tokens for this workspace; an owner sees all members' tokens."""
    query = ApiToken.select().where(ApiToken.workspace_id == get_workspace_id())
    if current_user.roles[get_workspace_id()] != "owner":
        query = query.where(ApiToken.user_id == get_user().id)
    return slice_of(list(query.order_by(ApiToken.id.desc())), args)


@blueprint.post("/tokens")
@require_role("viewer", by_session=True)
@blueprint.arguments(TokenIn)
@blueprint.response(201, TokenOut)
def add_token(body: dict[str, Any]) -> Any:
    """Create an API token for this workspace, with at most your own role. Only this answer has its text."""
    check_role(get_workspace_id(), body["role"])
    days = body.pop("days")
    expires = None if days is None else now_ms() + days * 86_400_000
    with record_change("token.created") as entry:
        row, text = sessions.issue_token(
            user_id=get_user().id, workspace_id=get_workspace_id(), expires_at=expires, **body
        )
        entry.about(row).note(role=row.role, days=days)
    row.token = text
    return row


@blueprint.delete("/tokens/<token>")
@require_role("viewer", token=ApiToken)
@blueprint.response(204)
def remove_token(token: ApiToken) -> None:
    """Revoke a token: your own, or as an owner any member's. An API token can only revoke itself."""
    if current_user.token is not None and current_user.token.id != token.id:
        raise Forbidden("An API token can only revoke itself; log in to revoke others")
    if token.user_id != get_user().id:
        check_role(token.workspace_id, "owner")
    remove("token.withdrawn", token)
