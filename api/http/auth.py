"""Who asks, and whether they may. One guard before every request, driven by the marks on the views; no mark, no access.

A session comes as a cookie, an API token as `Authorization: Bearer …`; flask-login holds who it is for the request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from flask import Flask, Request, Response, current_app, g, request
from flask_login import LoginManager, UserMixin, current_user

from api.http.caching import unchanged
from api.http.json_io import read_body, this_request
from api.http.request_origin import SAFE_METHODS, check_origin, session_token
from errors import Forbidden, HeadraceError, NotFound, Unauthenticated
from models import ROLES, Caller, Session, User, commits, look_up_anew

ANSWERS = "operator"  # the least role that may answer a run that waits
# The view of a library: the page about the API, which shows no data.
OPEN_ENDPOINTS = ("swagger_ui.show",)


class Findable(Protocol):
    """A kind of row that a path can name."""

    @classmethod
    def find(cls, id_: str) -> Any: ...


View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Access:
    """The mark of a view: the least role, None for everybody, the rows that its path names, and what stands for a role.

    `link(path)` says whether the request comes by a signed link for what the path names. `by_token` is for programs: a
    session does not count there, and the view reads the body itself. `by_session` is for people: no token counts there.
    With `takes_form` the view reads the body itself, which is a form.
    `admin`: the user must be an admin of the server besides.
    `only_database`: what the view answers hangs on the database, the caller, the URL and the minute, and on nothing
    else: neither on files, nor on what this process does, nor on the second. So it can be known to be unchanged.
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
    """The user who sends the request, as flask-login wants one."""


def everybody(view: View) -> View:
    """Mark a view as open to all."""
    view.access = Access(None, {})
    return view


def needs(
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

    With `flow=Workflow`, the id that the path calls `flow` becomes the row, the role is needed in that row's workspace,
    and the view gets the row: 404 for an id that exists nowhere, 403 for one of a foreign workspace.
    """

    def mark(view: View) -> View:
        view.access = Access(role, rows, link, by_token, by_session, takes_form, admin, only_database)
        return view

    return mark


def workspace_id() -> str:
    """The workspace of this request."""
    return str(g.workspace_id)


def who() -> User:
    """The user who asks."""
    user: User = current_user.user
    return user


def may(role: str, workspace: str) -> bool:
    """Whether who asks has at least this role there."""
    own = current_user.roles.get(workspace)
    return own is not None and ROLES.index(own) >= ROLES.index(role)


def only_looks() -> bool:
    """Whether something in this request is of a workspace where who asks may not answer runs that wait."""
    return bool(g.get("only_looks"))


def check_role(workspace: str, role: str) -> None:
    """Forbidden unless who asks has at least this role there."""
    _check_role(_caller(), workspace, role)


def _check_role(caller: Caller, workspace: str, role: str) -> None:
    own = caller.roles.get(workspace)
    if own is None:
        raise Forbidden("You are no member of this workspace")
    rank = ROLES.index(own)
    if rank < ROLES.index(role):
        raise Forbidden(f"This needs the role {role}; yours is {own}")
    if rank < ROLES.index(ANSWERS):
        g.only_looks = True


def _caller() -> Any:
    """`current_user` itself, which looks for it anew whenever it is asked for anything."""
    return current_user._get_current_object()


def check_admin(what: str) -> None:
    """Forbidden unless the user is an admin of the server."""
    if not who().is_admin:
        raise Forbidden(f"{what} is for admins of this server; ask one of them")


def present(model: type[Findable], id_: Any, name: str | None = None) -> Any:
    """The row of this id, whoever asks."""
    row: Any = model.find(id_)
    if row is None:
        raise NotFound(f"There is no {name or model.__name__.lower()} {str(id_)[:64]!r}")
    return row


def find(model: type[Findable], id_: Any, role: str, name: str | None = None) -> Any:
    """The row of this id, provided that who asks has the role in its workspace."""
    row = present(model, id_, name)
    check_role(row.workspace_id, role)
    return row


def install(app: Flask) -> None:
    """Put the guard before every request."""
    manager = LoginManager()
    manager.session_protection = None
    manager.init_app(app)
    manager.request_loader(_identify)
    app.before_request(_guard)


def _identify(request_: Any) -> Identity | None:
    """The user of the request's API token, else of its session cookie."""
    header = request_.headers.get("Authorization", "")
    if header:
        scheme, _, text = header.partition(" ")
        return Identity.of_token(text.strip()) if scheme.lower() == "bearer" else None
    cookie = session_token()
    caller = Identity.of_session(cookie) if cookie else None
    if caller is not None and caller.session is not None:
        _note_use(caller.session)
    return caller


def _note_use(session: Session) -> None:
    """Put the session's idle end off. Nobody waits for that, and what keeps it from being written refuses nothing."""
    server = current_app.extensions["headrace"]
    if (write := session.used(server.config.session_idle_days)) is not None:
        server.recorder.submit([write])
        look_up_anew(session)


def _guard() -> Response | None:
    """Let through what the view's mark allows, or return a 304 if it is known that nothing has changed."""
    asked = this_request()
    if asked.routing_exception is not None or asked.endpoint in OPEN_ENDPOINTS:
        return None
    access = _access_of(asked)
    if access.role is None:
        return None
    path: dict[str, Any] = asked.view_args or {}
    if access.link is not None and access.link(path):
        path.update({name: present(model, path[name], name) for name, model in access.rows.items()})
        return None
    count = commits()  # before anything is read
    caller = _caller()
    if access.by_token and not (caller.is_authenticated and caller.is_by_token):
        raise Unauthenticated("There is no valid API token: send one in the header Authorization: Bearer …")
    if not caller.is_authenticated:
        raise Unauthenticated("Sign in first: there is no valid session cookie or API token")
    if access.by_session and caller.is_by_token:
        raise Forbidden("This is for people who are logged in; an API token cannot do it")
    if access.admin:
        check_admin("This")
    if access.by_token or not caller.is_by_token:
        check_origin()
        check_believed()
    g.workspace_id = workspace = _chosen_workspace(caller, asked)
    if access.only_database and asked.method in SAFE_METHODS:
        # What the caller may was checked when the body was made, and is in the database too.
        known = unchanged(count, caller.proof_id, workspace, asked.path, asked.query_string.decode("latin-1"))
        if known is not None:
            return known
    if not access.rows:
        _check_role(caller, workspace, access.role)
    elif workspace not in caller.roles:
        raise Forbidden("You are no member of this workspace")
    for name, model in access.rows.items():
        path[name] = find(model, path[name], access.role, name)
    if asked.method not in SAFE_METHODS and not (access.by_token or access.takes_form):
        # Views that take no body must not swallow a malformed one, nor a form from another site.
        read_body()
    return None


def _access_of(asked: Request) -> Access:
    view = current_app.view_functions[str(asked.endpoint)]
    view = getattr(getattr(view, "view_class", None), asked.method.lower(), view)
    access = getattr(view, "access", None)
    if access is None:
        raise HeadraceError(f"The view {asked.endpoint} says nothing about who may use it")
    found: Access = access
    return found


def _chosen_workspace(caller: Caller, asked: Request) -> str:
    """The one that the request names, else the session's, or another where the user has left that one."""
    chosen = asked.headers.get("X-Workspace-Id") or (asked.query_string and asked.args.get("workspace_id"))
    if chosen:
        return str(chosen)
    usual, roles = caller.workspace_id, caller.roles
    return usual if usual in roles else next(iter(roles), usual)


def check_believed() -> None:
    """A page says whom it was made for: all tabs of a browser share one cookie, and in another somebody else may have
    logged in since. Nothing of one is done as the other.
    """
    believed = request.headers.get("X-User-Id")
    if believed is not None and believed != current_user.get_id():
        raise Forbidden("Somebody else has logged in in this browser since; load the page again (X-User-Id)")
