"""Sessions: log in, log out and change the workspace; and the profile of the logged-in user."""

from __future__ import annotations

from typing import Any

from flask import Response
from flask_login import current_user
from marshmallow import validate

import fields
from api.audit import begin_entry, record_change, remove
from api.http.auth import allow_anyone, check_role, find_or_404, get_user, get_workspace_id, require_role
from api.http.json_io import Resource, dump, get_config
from api.http.paging import PageArgs, listed
from api.http.request_origin import check_origin, clear_session_cookie, get_client, set_session_cookie
from database.queries import sessions, users, workspaces
from errors import Forbidden, NotFound
from fields import Out, Strict, Time, password, text
from models import Session, User
from schemas import Login, UserOut, WhoOut
from security import accounts

blueprint = Resource("auth", "Logging in and out")


class SessionChange(Strict):
    workspace_id = text(64, required=True)


def describe_session(user: User, session: Any, workspace: str, role: str) -> dict[str, Any]:
    """Return the response that describes the logged-in user, the session and the workspace."""
    shown = {"id": session.id, "workspace_id": workspace, "role": role}
    shown |= {"created_at": session.created_at, "expires_at": session.expires_at}
    return {"session": shown, "user": describe_user(user)}


def describe_user(user: User) -> dict[str, Any]:
    """Return a user as shown to themselves."""
    shown = {name: getattr(user, name) for name in ("id", "email", "name", "created_at", "set_up")}
    may_found = accounts.may_create_workspace(user, get_config())
    rights = {"admin": user.is_admin, "may_found_workspaces": may_found}
    return {**shown, **rights, "workspaces": workspaces.workspaces_of(user)}


def respond_logged_in(user: User, session: Session, token: str) -> Response:
    """Return the response to a new login, which sets the session cookie."""
    config = get_config()
    answer = describe_session(user, session, session.workspace_id, users.roles(user)[session.workspace_id])
    response = dump(WhoOut(), answer)
    set_session_cookie(response, token, config.session_days)
    return response


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


@blueprint.post("/auth/login")
@allow_anyone
@blueprint.doc(security=[])
@blueprint.arguments(Login)
@blueprint.response(200, WhoOut)
def log_in(body: dict[str, str]) -> Any:
    """Log in. The answer sets the session cookie."""
    check_origin()
    config = get_config()
    days = config.session_days, config.session_idle_days
    return respond_logged_in(*accounts.log_in(body["email"], body["password"], *get_client(), *days))


@blueprint.get("/auth/session")
@require_role("viewer")
@blueprint.response(200, WhoOut)
def read() -> Any:
    """Show the logged-in user and the current workspace."""
    here = get_workspace_id()
    return describe_session(
        current_user.user, current_user.session or current_user.token, here, current_user.roles[here]
    )


@blueprint.patch("/auth/session")
@require_role("viewer", by_session=True)
@blueprint.arguments(SessionChange)
@blueprint.response(200, WhoOut)
def move(body: dict[str, str]) -> Any:
    """Set the session's default workspace."""
    check_role(body["workspace_id"], "viewer")
    session = current_user.session
    with record_change("session.moved") as entry:
        sessions.move(session, body["workspace_id"])
        entry.about(session)
    return describe_session(current_user.user, session, session.workspace_id, current_user.roles[session.workspace_id])


@blueprint.delete("/auth/session")
@require_role("viewer")
@blueprint.response(204)
def log_out() -> Any:
    """End the session. An API token has no session, so this refuses it: DELETE /api/tokens/:id revokes a token."""
    token = current_user.token
    if token is not None:
        raise Forbidden(f"An API token has no session to end; revoke the token with DELETE /api/tokens/{token.id}")
    remove("session.closed", current_user.session)
    response = Response(status=204)
    clear_session_cookie(response)
    return response


@blueprint.after_request
def no_store(response: Response) -> Response:
    """Forbid caching of session data."""
    response.headers["Cache-Control"] = "no-store"
    return response


# Profile of the logged-in user: name, address, password and sessions.

profile = Resource("profile", "Your own account")
profile.after_request(no_store)


@profile.get("/profile")
@require_role("viewer", by_session=True)
@profile.response(200, UserOut)
def show_profile() -> Any:
    """Show your account."""
    return describe_user(get_user())


@profile.patch("/profile")
@require_role("viewer", by_session=True)
@profile.arguments(ProfileChange)
@profile.response(200, UserOut)
def change_profile(body: dict[str, Any]) -> Any:
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


@profile.get("/profile/sessions")
@require_role("viewer", by_session=True)
@profile.arguments(PageArgs, location="query")
@profile.response(200, listed(OwnSessionOut))
def list_sessions(args: dict[str, Any]) -> Any:
    """List your sessions, newest first."""
    items, cursor = sessions.of(get_user()).page(args["limit"], args["cursor"])
    for row in items:
        row.current = row.id == current_user.session.id
    return {"items": items, "next_cursor": cursor}


@profile.delete("/profile/sessions/<session_id>")
@require_role("viewer", by_session=True)
@profile.response(204)
def end_session(session_id: str) -> None:
    """End one of your sessions."""
    row = Session.find(session_id)
    if row is None or row.user_id != get_user().id:
        raise NotFound(f"You have no session {session_id[:64]!r}")
    remove("session.closed", row)
