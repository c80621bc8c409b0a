"""Profile of the logged-in user: name, address, password and sessions."""

from __future__ import annotations

from typing import Any

from flask_login import current_user
from marshmallow import validate

import fields
from api.audit import begin_entry, remove
from api.http.auth import find_or_404, get_user, require_role
from api.http.json_io import Resource
from api.http.request_origin import get_client
from api.sessions import describe_user, no_store
from database.queries import sessions
from errors import NotFound
from fields import Out, Strict, Time, password, text
from models import Session, User
from schemas import PageArgs, UserOut, listed
from security import accounts

blueprint = Resource("profile", "Your own account")
blueprint.after_request(no_store)


class OwnSessionOut(Out):
    id = fields.String()
    workspace_id = fields.String()
    created_at = Time()
    expires_at = Time()
    current = fields.Boolean(help="True for the session of this request")


class ProfileChange(Strict):
    name = text(200)
    email = fields.Email(validate=validate.Length(max=254))
    password = password(help="A new password; ends your other sessions")
    end_tokens = fields.Boolean(
        truthy={True}, falsy={False}, help="Only with a new password: also end all your API tokens"
    )
    current_password = fields.String(
        validate=validate.Length(1, 1000),
        metadata={"format": "password"},
        help="Required to change the address or the password",
    )


@blueprint.get("/profile")
@require_role("viewer", by_session=True)
@blueprint.response(200, UserOut)
def read() -> Any:
    """Show your account."""
    return describe_user(get_user())


@blueprint.patch("/profile")
@require_role("viewer", by_session=True)
@blueprint.arguments(ProfileChange)
@blueprint.response(200, UserOut)
def change(body: dict[str, Any]) -> Any:
    """Change your name, address or password. The last two require your `current_password`.

    A new password ends your other sessions, and with `end_tokens` your API tokens in all workspaces.
    """
    user = find_or_404(User, get_user().id)  # includes the password hash
    current, end_tokens = body.pop("current_password", None), body.pop("end_tokens", False)
    if "password" in body or body.get("email", user.email) != user.email:
        accounts.confirm_password(user, current, *get_client())
    accounts.change_profile(
        user, body, current_user.session, lambda action: begin_entry(action).about(user), end_tokens
    )
    return describe_user(user)


@blueprint.get("/profile/sessions")
@require_role("viewer", by_session=True)
@blueprint.arguments(PageArgs, location="query")
@blueprint.response(200, listed(OwnSessionOut))
def list_sessions(args: dict[str, Any]) -> Any:
    """List your sessions, newest first."""
    items, cursor = sessions.of(get_user()).page(args["limit"], args["cursor"])
    for row in items:
        row.current = row.id == current_user.session.id
    return {"items": items, "next_cursor": cursor}


@blueprint.delete("/profile/sessions/<session_id>")
@require_role("viewer", by_session=True)
@blueprint.response(204)
def end_session(session_id: str) -> None:
    """End one of your sessions."""
    row = Session.find(session_id)
    if row is None or row.user_id != get_user().id:
        raise NotFound(f"You have no session {session_id[:64]!r}")
    remove("session.closed", row)
