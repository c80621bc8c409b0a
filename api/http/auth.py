"""Authentication and authorization: one guard before every request, driven by marks on the views. An unmarked view
refuses every request.

A session comes as a cookie, an API token as `Authorization: Bearer …`; flask-login keeps the user for the request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

from flask import Flask, Response, current_app, g, request
from flask_login import LoginManager, UserMixin, current_user

from api.http.caching import respond_if_unchanged
from api.http.json_io import get_config, get_request, get_server, read_body
from api.http.request_origin import SAFE_METHODS, check_origin, get_session_token
from constants import ROLES
from database import commits
from database.queries import sessions
from database.queries.sessions import Caller, forget_session
from database.queries.waits import without_signatures
from errors import Forbidden, HeadraceError, NotFound, Unauthenticated
from models import User, Workspace

ANSWER_ROLE = "operator"  # the lowest role that may answer a waiting run
# Views of a library: the API documentation page, which shows no data.
OPEN_ENDPOINTS = ("swagger_ui.show",)


class Findable(Protocol):
    """A kind of row that a path can name."""

    @classmethod
    def find(cls, id_: str) -> Any: ...


View = TypeVar("View", bound=Callable[..., Any])


class Access(NamedTuple):
    """Access rules of a view: the lowest role (None: public) and the row types that its path names.

    link: takes the path parameters and returns True if the request carries a valid signed link, which replaces a role.
    by_token: only API tokens are accepted, no sessions; the view reads the body itself.
    by_session: only sessions are accepted, no API tokens.
    takes_form: the view reads the body itself, as a form.
    admin: the user must also be an admin of the server.
    only_database: the response depends only on the database, the caller, the URL and the current minute; not on files,
    in-process state or seconds. So a 304 can be decided without running the view.
    """

    role: str | None
    rows: dict[str, type[Findable]]
    link: Callable[[dict[str, Any]], bool] | None = None
    by_token: bool = False
    by_session: bool = False
    takes_form: bool = False
    admin: bool = False
    only_database: bool = False


class Identity(UserMixin, Caller):
    """The user of the request, in the form that flask-login requires."""


def allow_anyone(view: View) -> View:
    """Mark a view as public."""
    view.access = Access(None, {})
    return view


def require_role(
    role: str,
    link: Callable[[dict[str, Any]], bool] | None = None,
    by_token: bool = False,
    by_session: bool = False,
    takes_form: bool = False,
    admin: bool = False,
    only_database: bool = False,
    **rows: type[Findable],
) -> Callable[[View], View]:
    """Mark a view as open to members with at least this role.

    With `flow=Workflow`, the view receives the row for the id in the path parameter `flow`, and the role is checked in
    the row's workspace. The response is 404 if no such row exists and 403 if it belongs to a foreign workspace.
    """

    def mark(view: View) -> View:
        view.access = Access(role, rows, link, by_token, by_session, takes_form, admin, only_database)
        return view

    return mark


def get_workspace_id() -> str:
    """Return the workspace id of this request."""
    return str(g.workspace_id)


def get_user() -> User:
    """Return the user of this request."""
    user: User = current_user.user
    return user


def has_role(role: str, workspace: str) -> bool:
    """Return True if the caller has at least this role in the workspace."""
    own = current_user.roles.get(workspace)
    return own is not None and ROLES.index(own) >= ROLES.index(role)


def must_redact_links() -> bool:
    """Return True if this request read from a workspace where the caller may not answer waiting runs."""
    return bool(g.get("must_redact_links"))


def check_role(workspace: str, role: str) -> None:
    """Check that the caller has at least this role in the workspace. Raises: Forbidden if not."""
    own = current_user.roles.get(workspace)
    if own is None:
        raise Forbidden("You are not a member of this workspace")
    rank = ROLES.index(own)
    if rank < ROLES.index(role):
        raise Forbidden(f"This needs the role {role}; your role is {own}")
    if rank < ROLES.index(ANSWER_ROLE):
        g.must_redact_links = True


def check_admin(subject: str) -> None:
    """Check that the user is an admin of the server. `subject` begins the error text. Raises: Forbidden if not."""
    if not get_user().is_admin:
        raise Forbidden(f"{subject} is for admins of this server; ask one of them")


def find_or_404(model: type[Findable], id_: Any, name: str | None = None) -> Any:
    """Return the row with this id, without checking access. Raises: NotFound if no such row exists."""
    row: Any = model.find(id_)
    if row is None:
        raise NotFound(f"There is no {name or model.__name__.lower()} {str(id_)[:64]!r}")
    return row


def find(model: type[Findable], id_: Any, role: str, name: str | None = None) -> Any:
    """Return the row with this id if the caller has the role in its workspace.

    Raises: NotFound if no such row exists; Forbidden without the role.
    """
    row = find_or_404(model, id_, name)
    check_role(str(row.id) if model is Workspace else row.workspace_id, role)
    return row


def install(app: Flask) -> None:
    """Register the guard before every request."""
    manager = LoginManager()
    manager.session_protection = None
    manager.init_app(app)
    manager.request_loader(_identify)
    app.before_request(_guard)


def _identify(request_: Any) -> Identity | None:
    """Return the user of the request's API token or session cookie, or None."""
    header = request_.headers.get("Authorization", "")
    if header:
        scheme, _, text = header.partition(" ")
        return Identity.of_token(text.strip()) if scheme.lower() == "bearer" else None
    cookie = get_session_token()
    caller = Identity.of_session(cookie) if cookie else None
    session = None if caller is None else caller.session
    if session is not None and (write := sessions.extend(session, get_config().session_idle_days)) is not None:
        # Extend the idle timeout. The write is not awaited, and a failed write does not fail the request.
        get_server().recorder.submit([write])
        forget_session(session)
    return caller


def _guard() -> Response | None:
    """Enforce the view's access rules. Return a 304 if the response is known to be unchanged."""
    asked = get_request()
    if asked.routing_exception is not None or asked.endpoint in OPEN_ENDPOINTS:
        return None
    view = current_app.view_functions[str(asked.endpoint)]
    view = getattr(getattr(view, "view_class", None), asked.method.lower(), view)
    access: Access | None = getattr(view, "access", None)
    if access is None:
        raise HeadraceError(f"The view {asked.endpoint} has no access rules")
    if access.role is None:
        return None
    path: dict[str, Any] = asked.view_args or {}
    if access.link is not None and access.link(path):
        path.update({name: find_or_404(model, path[name], name) for name, model in access.rows.items()})
        return None
    count = commits()  # before anything is read
    caller: Any = current_user._get_current_object()  # the proxy looks it up again at each access
    if access.by_token and not (caller.is_authenticated and caller.is_by_token):
        raise Unauthenticated("There is no valid API token: send one in the header Authorization: Bearer …")
    if not caller.is_authenticated:
        raise Unauthenticated("Sign in first: there is no valid session cookie or API token")
    if access.by_session and caller.is_by_token:
        raise Forbidden("API tokens cannot do this; log in with a browser session")
    if access.admin:
        check_admin("This")
    if access.by_token or not caller.is_by_token:
        check_origin()
        check_page_user()
    # The one that the request names, else the session's; else any, if the user has left that one.
    chosen = asked.headers.get("X-Workspace-Id") or (asked.query_string and asked.args.get("workspace_id"))
    usual, roles = caller.workspace_id, caller.roles
    g.workspace_id = workspace = str(chosen or (usual if usual in roles else next(iter(roles), usual)))
    if access.only_database and asked.method in SAFE_METHODS:
        # The caller's roles were checked when the body was made, and a change of them is a commit too.
        known = respond_if_unchanged(
            count, caller.proof_id, workspace, asked.path, asked.query_string.decode("latin-1")
        )
        if known is not None:
            return known
    if not access.rows:
        check_role(workspace, access.role)
    elif workspace not in caller.roles:
        raise Forbidden("You are not a member of this workspace")
    for name, model in access.rows.items():
        path[name] = find(model, path[name], access.role, name)
    if asked.method not in SAFE_METHODS and not (access.by_token or access.takes_form):
        # A view without a body must still reject a malformed one, and a form posted from another site.
        read_body()
    return None


def check_page_user() -> None:
    """Check that the page was made for the user who is logged in: all tabs of a browser share one cookie, and someone
    else may have logged in in another tab.

    Raises: Forbidden if the header X-User-Id names another user.
    """
    believed = request.headers.get("X-User-Id")
    if believed is not None and believed != current_user.get_id():
        raise Forbidden("A different user has logged in in this browser since; reload the page (X-User-Id)")


def redact_links(response: Response) -> Response:
    """Replace the signature of every link in the response by dots if the caller may not answer runs.

    A waiting step is shown to them without its links (see api/runs.py); a flow may put one into any message or log
    entry, which all members may read.
    """
    if not must_redact_links() or response.is_streamed or "Content-Encoding" in response.headers:
        return response  # compressed bodies are cached and public
    text = response.get_data()
    if (hidden := without_signatures(text)) != text:
        response.set_data(hidden)
    return response
