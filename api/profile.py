"""People's own accounts: what they are called, their password and their sessions."""

from __future__ import annotations

from typing import Any

from flask_login import current_user

from api.access import needs, present, who
from api.audit import begun, remove
from api.origins import client
from api.people_schemas import OwnSessionOut, ProfileChange, UserOut
from api.sessions import no_store, person
from api.wire import Resource
from errors import NotFound
from models import Session, User
from schemas import PageArgs, listed
from security import accounts

blueprint = Resource("profile", "Your own account")
blueprint.after_request(no_store)


@blueprint.get("/profile")
@needs("viewer", by_session=True)
@blueprint.response(200, UserOut)
def read() -> Any:
    """You."""
    return person(who())


@blueprint.patch("/profile")
@needs("viewer", by_session=True)
@blueprint.arguments(ProfileChange)
@blueprint.response(200, UserOut)
def change(body: dict[str, Any]) -> Any:
    """Change your name, address or password. The last two need your `current_password`.

    A new password ends your other sessions, and with `end_tokens` your API tokens in all workspaces.
    """
    user = present(User, who().id)  # with the hash of the password
    current, end_tokens = body.pop("current_password", None), body.pop("end_tokens", False)
    if "password" in body or body.get("email", user.email) != user.email:
        accounts.confirm(user, current, *client())
    accounts.change_profile(user, body, current_user.session, lambda action: begun(action).about(user), end_tokens)
    return person(user)


@blueprint.get("/profile/sessions")
@needs("viewer", by_session=True)
@blueprint.arguments(PageArgs, location="query")
@blueprint.response(200, listed(OwnSessionOut))
def sessions(args: dict[str, Any]) -> Any:
    """Your sessions, newest first: where you are logged in."""
    items, cursor = Session.page(Session.of(who()), args["limit"], args["cursor"])
    for row in items:
        row.current = row.id == current_user.session.id
    return {"items": items, "next_cursor": cursor}


@blueprint.delete("/profile/sessions/<session_id>")
@needs("viewer", by_session=True)
@blueprint.response(204)
def end(session_id: str) -> None:
    """End one of your sessions."""
    row = Session.find(session_id)
    if row is None or row.user_id != who().id:
        raise NotFound(f"You have no session {session_id[:64]!r}")
    remove("session.closed", row)
