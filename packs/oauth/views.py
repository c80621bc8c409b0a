"""OAuth accounts of credentials: the services that can be connected, connecting, disconnecting, and the page to which
services send people back.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import Response, render_template_string, request
from flask_login import current_user

import fields
from api.audit import begin_entry
from api.http.auth import allow_anyone, get_user, has_role, require_role
from api.http.json_io import Resource, get_config, get_dispatcher, get_server
from api.http.paging import SliceArgs, listed, slice_of
from api.http.request_origin import get_own_origin
from api.http.static_app import hash_inline
from errors import BadInput, Conflict, Forbidden, HeadraceError, NodeError
from fields import Out, Time, visible
from models import Credential
from nodes.credentials.base import is_loopback
from packs.oauth.accounts import Connections, Person
from packs.oauth.settings import providers
from schemas import Error

# Services add parameters of their own to their answers.
callback = Resource("oauth", "The answers of services to people who connect an account", any_query=True)
blueprint = Resource("oauth_accounts", "Accounts that people connect (OAuth2)")
PATH = "/api/oauth/callback"
PAGE = Path(__file__).with_name("callback.html").read_text(encoding="utf-8")
POLICY = f"default-src 'none'; style-src {hash_inline(PAGE, 'style')}; script-src {hash_inline(PAGE, 'script')}"
MAX_PARAMETER = 8_000
STRING = {"schema": {"type": "string"}}
SHOWN = ("id", "name", "instructions", "client_url", "docs_url", "authorization_url", "token_url")
REFUSALS = {
    code: {
        "description": "A page that says why",
        "content": {"text/html": STRING, "application/json": {"schema": Error}},
    }
    for code in ("400", "403", "404", "409", "502", "503")
}
QUERY = {
    "state": "The attempt that is answered",
    "code": "The code that is exchanged for tokens",
    "error": "Why the service refused, instead of a code",
    "error_description": "The same in words",
    "iss": "The service that answers (RFC 9207)",
}


class ScopeOut(Out):
    value = fields.String()
    title = fields.String()
    default = fields.Boolean(help="Requested unless other scopes are chosen")


class ProviderOut(Out):
    id = fields.String()
    name = fields.String()
    instructions = fields.String(help="How to make the client, in a line")
    console = fields.String(help="The name of the place where the client is made")
    client_url = fields.String(help="Where the client is made")
    docs_url = fields.String()
    authorization_url = fields.String()
    token_url = fields.String()
    revocation_url = fields.String(allow_none=True)
    scopes = fields.List(fields.Nested(ScopeOut))
    needs_secret = fields.Boolean()
    hosts = fields.List(fields.String(), help="The hosts that its tokens may be sent to")


class ConnectOut(Out):
    authorization_url = fields.String(help="Open it in the browser of the person who connects the account")
    expires_at = Time()


@blueprint.get("/oauth-providers")
@require_role("viewer")
@blueprint.arguments(SliceArgs, location="query")
@blueprint.response(
    200,
    listed(
        ProviderOut,
        redirect_url=fields.String(allow_none=True, help="The redirect address to enter at the service"),
        redirect_problem=fields.String(allow_none=True, help="The reason why it is null, and how to set it"),
    ),
)
def list_providers(args: dict[str, Any]) -> Any:
    """List the services with ready settings, and the redirect address to enter where their client is made."""
    shown = [
        {name: provider[name] for name in SHOWN}
        | {
            "revocation_url": provider.get("revocation_url"),
            "scopes": [{"default": False, **scope} for scope in provider["scopes"]],
            "hosts": provider["hosts"],
            "console": provider.get("console", provider["name"]),
            "needs_secret": provider.get("auth", "header") != "none",
        }
        for provider in providers().values()
    ]
    try:
        found: dict[str, Any] = {"redirect_url": _get_redirect_url(), "redirect_problem": None}
    except Conflict as error:
        found = {"redirect_url": None, "redirect_problem": error.message}
    return slice_of(shown, args) | found


@blueprint.post("/credentials/<credential>/connect")
@require_role("editor", by_session=True, credential=Credential)
@blueprint.response(200, ConnectOut)
def connect(credential: Credential) -> Any:
    """Begin to connect the account of a credential. The answer is the address of the service's page for consent.

    Open it in the same browser within ten minutes. The service then sends the person back to `/api/oauth/callback`.
    """
    return _get_connections().begin(credential, _get_person(), _get_redirect_url())


@blueprint.post("/credentials/<credential>/disconnect")
@require_role("editor", credential=Credential)
@blueprint.response(204)
def disconnect(credential: Credential) -> None:
    """Delete the tokens of a credential, and revoke them if the service can. Flows that use it fail from then on."""
    _get_connections().disconnect(credential, begin_entry("credential.disconnected"))


@callback.get("/oauth/callback")
@allow_anyone
@callback.doc(
    security=[],
    parameters=[{"in": "query", "name": name, "description": text, **STRING} for name, text in QUERY.items()],
    responses={"200": {"description": "A page with the result", "content": {"text/html": STRING}}, **REFUSALS},
)
def receive() -> Response:
    """Take the answer of a service, and show the result. It is the same page for all services."""
    try:
        if not current_user.is_authenticated or current_user.session is None:
            config = get_config()
            raise BadInput(
                f"You are not logged in here. Open Headrace at {config.base_url}, log in, and connect the account there"
            )
        answer = {name: value for name, value in request.args.items() if len(value) <= MAX_PARAMETER}
        connections = _get_connections()
        attempt = connections.find_attempt(answer.get("state", ""), _get_person())
        if not has_role("editor", attempt.workspace_id):
            raise Forbidden("This needs the role editor in the workspace of the credential")
        entry = begin_entry("credential.connected")
        entry.workspace_id = attempt.workspace_id
        row = connections.finish(attempt, answer, entry)
    except HeadraceError as error:
        return _render_page("The account was not connected", error.message, error.status)
    except NodeError as error:
        return _render_page("The account was not connected", f"The service gave no access: {error.message}.", 502)
    text = f"The account of “{row.name}” is connected. You can close this window."
    return _render_page("Connected", text, 200, row.id)


def _render_page(title: str, text: str, status: int, credential: str = "") -> Response:
    outcome = "ok" if credential else "failed"
    page = render_template_string(PAGE, title=title, text=visible(text), credential=credential, status=outcome)
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
    return Response(page, status, headers, mimetype="text/html")


def _get_connections() -> Connections:
    return Connections(get_server().credentials, get_dispatcher().resources.services)


def _get_person() -> Person:
    return Person(current_user.session.id, get_user().id)


def _get_redirect_url() -> str:
    """Return the address of `receive` for this server. Raises: Conflict if the server does not know its own address."""
    public = get_config().public_url
    if public:
        return public.rstrip("/") + PATH
    own = get_own_origin()
    if own is None or not is_loopback(own.host):
        raise Conflict(
            "This server does not know its public address, to which services send people back. Set HEADRACE_PUBLIC_URL "
            f"to it, such as https://headrace.example.com, and restart the server; the redirect address is then that "
            f"address with {PATH}"
        )
    return f"{own.scheme}://{request.host}{PATH}"
