"""Invitations: owners create, list and withdraw them; the invited person previews and redeems them."""

from __future__ import annotations

import pkgutil
from typing import Any

from flask import request
from flask_login import current_user
from marshmallow import validate

import fields
from api.audit import begin_entry, remove
from api.http.auth import allow_anyone, check_page_user, get_user, get_workspace_id, require_role
from api.http.json_io import Resource, dump
from api.http.request_origin import check_origin, get_client
from api.http.server import get_config, get_server
from api.sessions import describe_session, no_store, respond_logged_in
from constants import ROLES
from database.queries import workspaces
from errors import BadInput, Forbidden
from fields import Out, Strict, Time, choice, password, text
from models import Invitation, User, Workspace
from registry import registry
from schemas import SliceArgs, WhoOut, listed, slice_of
from security import accounts

blueprint = Resource("invitations", "Invitations into a workspace")
blueprint.after_request(no_store)


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


@blueprint.get("/invitations")
@require_role("owner", by_session=True)
@blueprint.arguments(SliceArgs, location="query")
@blueprint.response(200, listed(InvitationOut))
def list_invitations(args: dict[str, Any]) -> Any:
    """List the pending invitations of the workspace, newest first."""
    return slice_of([_add_inviter(row) for row in workspaces.pending_invitations(get_workspace_id())], args)


@blueprint.post("/invitations")
@require_role("owner", by_session=True)
@blueprint.arguments(InvitationIn)
@blueprint.response(201, InvitationMade)
def create_invitation(body: dict[str, str]) -> Any:
    """Invite a person by address. Replaces an earlier invitation of that address to this workspace.

    The link works once and for 72 hours. If the server sends mail (HEADRACE_SMTP_URL), only the mail has it: its
    recipient alone learns whether the address has an account, and creates one for it. If not, this answer alone has it.
    The answer is the same whether or not the address has an account. `mailed: false` with a `link` of null: the mail
    server rejected the mail; invite the person again once the reason in the server's log is gone.
    """
    return send_invitation(body["email"], body["role"])


@blueprint.delete("/invitations/<invitation>")
@require_role("owner", by_session=True, invitation=Invitation)
@blueprint.response(204)
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
    body = accounts.write_mail(place, get_user(), row.role, link)
    row.mailed, row.link = False, link
    if server.config.mail_server is not None and registry.send_mail:
        send = pkgutil.resolve_name(registry.send_mail)
        services = server.dispatcher.resources.services
        row.mailed, row.link = send(server.config, services, row.email, accounts.SUBJECT, body, row.id), None
    return _add_inviter(row)


def _add_inviter(row: Invitation) -> Invitation:
    inviter = User.get_by_id(row.invited_by)
    row.invited_by, row.invited_by_email = inviter.name, inviter.email
    return row


# The invited person


@blueprint.post("/invitations/look")
@allow_anyone
@blueprint.doc(security=[])
@blueprint.arguments(InvitationToken)
@blueprint.response(200, InvitationShown)
def preview(body: dict[str, str]) -> Any:
    """Show the invitation of this token, without saying whether the address has an account.

    404 if it was used or revoked, has expired or never existed.
    """
    row = accounts.find(body["token"], *get_client())
    row.workspace_name = Workspace.get_by_id(row.workspace_id).name
    return _add_inviter(row)


@blueprint.post("/invitations/redeem")
@allow_anyone
@blueprint.doc(security=[{}, {"session": []}])
@blueprint.arguments(Redemption)
@blueprint.response(200, WhoOut)
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
    row = accounts.find(body["token"], *get_client())
    if current_user.is_authenticated:
        check_page_user()
        user, session = get_user(), current_user.session
        accounts.accept(row, user, session, begin_entry)
        return dump(WhoOut(), describe_session(user, session, session.workspace_id, row.role))
    if "password" not in body:
        raise BadInput("password: is required for a new account; if you have an account, log in first")
    config = get_config()
    days = config.session_days, config.session_idle_days
    return respond_logged_in(*accounts.redeem(row, body["password"], body.get("name"), get_client(), days, begin_entry))
