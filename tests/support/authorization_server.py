"""A real OAuth2 authorization server on 127.0.0.1, made of Authlib's own, and an API that takes its tokens.

How to use it:

    with authorization_server() as server:
        data = server.credential()       # values of a credential of type oauth2 for it
        server.consent(url)              # what a person does in a browser: open the page, and press Allow
        server.life = 60                 # seconds that the next access tokens live
        server.rotates = False           # refresh tokens stay the same
        server.is_strict = True          # a refresh token is used up at once; else it lives until its successor is used
        server.fail(503, {"Retry-After": "7"})  # the next token request gets this answer
        server.revoke_all()              # as if the person had withdrawn their consent
        with server.held("rotated") as gate: gate.reached.wait()  # a refresh waits before its answer is sent
        server.refreshes, server.asked   # the number of refreshes that arrived, and all token requests

Pages: `/authorize` (consent, with the buttons Allow and Deny), `/token`, `/revoke`, `/api/me` (401 without a valid
token), `/robot` for assertions of service accounts (`server.robot_key` is the key file). A stub of a service is added
before the start, by `authorization_server(extend)`, where `extend(server)` adds routes to `server.app`;
`server.needs_token(view)` protects a view, which receives the `scopes` of the token.
"""

import json
import os
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from http.client import HTTPConnection
from urllib.parse import parse_qs, urlencode, urlsplit

from authlib.common.security import generate_token
from authlib.integrations.flask_oauth2 import AuthorizationServer as Protocol
from authlib.integrations.flask_oauth2.authorization_server import create_token_generator
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin, grants
from authlib.oauth2.rfc6749.errors import AccessDeniedError, InvalidGrantError, OAuth2Error
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7523 import JWTBearerGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from flask import Flask, Response, jsonify, redirect, request
from werkzeug.serving import WSGIRequestHandler, make_server

CLIENT, SECRET = "headrace-client", "the-secret-of-the-client"
PATIENCE = 60
METHODS = ["client_secret_basic", "client_secret_post", "none"]
CONSENT = """<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>Consent</title>
<body style="font: 16px system-ui; max-width: 30rem; margin: 10vh auto"><h1>Example accounts</h1>
<p>Headrace wants to use your account: <b>{scope}</b></p>
<form method="post"><button name="answer" value="allow">Allow</button> <button name="answer" value="deny">Deny</button>
</form></body></html>"""


class Silent(WSGIRequestHandler):
    """Logs nothing: codes and states are in the addresses."""

    def log(self, *args, **kwargs):
        pass


class Gate:
    """A place where a request waits: `reached` is set by it, and `go` lets it pass."""

    def __init__(self):
        self.reached, self.go = threading.Event(), threading.Event()


@dataclass
class Client(ClientMixin):
    """The only client; any redirect address of this machine, or of an example, is its own."""

    client_id: str = CLIENT
    secret: str = SECRET

    def get_client_id(self):
        return self.client_id

    def get_default_redirect_uri(self):
        return None

    def get_allowed_scope(self, scope):
        return scope or ""

    def check_redirect_uri(self, redirect_uri):
        return urlsplit(redirect_uri).hostname in ("127.0.0.1", "localhost", "flows.example.com")

    def check_client_secret(self, client_secret):
        return client_secret == self.secret

    def check_endpoint_auth_method(self, method, endpoint):
        return method in METHODS

    def check_response_type(self, response_type):
        return response_type == "code"

    def check_grant_type(self, grant_type):
        return True


@dataclass(eq=False)
class Token(TokenMixin):
    """An access token and a refresh token; `parent` is the one that it was got with."""

    values: dict
    ends: float
    scope: str
    parent: "Token | None" = None
    is_revoked: bool = False  # the access token
    is_used_up: bool = False  # the refresh token
    family: list = field(default_factory=list)

    def check_client(self, client):
        return True

    def get_scope(self):
        return self.scope

    def get_expires_in(self):
        return self.values["expires_in"]

    def is_expired(self):
        return time.time() >= self.ends


@dataclass
class Code:
    code: str
    redirect_uri: str
    scope: str
    code_challenge: str | None
    code_challenge_method: str | None

    def get_redirect_uri(self):
        return self.redirect_uri

    def get_scope(self):
        return self.scope


# What Authlib asks; `there` is the server.


class CodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def save_authorization_code(self, code, request):
        data = request.payload.data
        challenge = data.get("code_challenge"), data.get("code_challenge_method")
        self.there.codes[code] = Code(code, request.payload.redirect_uri, request.payload.scope, *challenge)

    def query_authorization_code(self, code, client):
        return self.there.codes.get(code)

    def delete_authorization_code(self, code):
        self.there.codes.pop(code.code, None)

    def authenticate_user(self, code):
        return "zoe"


class RefreshGrant(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    @property
    def INCLUDE_NEW_REFRESH_TOKEN(self):  # noqa: N802
        return self.there.rotates

    def authenticate_refresh_token(self, refresh_token):
        return self.there._use(refresh_token)

    def authenticate_user(self, token):
        return "zoe"

    def revoke_old_credential(self, token):
        token.is_used_up = self.there.rotates and self.there.is_strict


class Robot(JWTBearerGrant):
    def get_audiences(self):
        return [f"{self.there.url}/robot"]

    def resolve_issuer_client(self, issuer):
        return Client(issuer) if self.there.robot_key and issuer == self.there.robot_key["client_email"] else None

    def resolve_client_public_key(self, client):
        from joserfc.jwk import RSAKey

        return RSAKey.import_key(self.there.robot_key["private_key"])

    def authenticate_user(self, subject):
        return subject

    def has_granted_permission(self, client, user):
        return True


class Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS = METHODS

    def query_token(self, text, hint):
        return next((token for token in self.there.tokens if text in token.values.values()), None)

    def revoke_token(self, token, request):
        self.there.revocations += 1
        for one in self.there.tokens:
            one.is_revoked = one.is_used_up = True


class ExchangeGrant(grants.BaseGrant, grants.TokenEndpointMixin):
    """Facebook's own: a valid access token is exchanged for another one, without refresh tokens."""

    GRANT_TYPE = "fb_exchange_token"
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def validate_token_request(self):
        self.request.client = self.authenticate_token_endpoint_client()
        given = self.request.payload.data.get(self.GRANT_TYPE)
        found = next((one for one in self.there.tokens if one.values["access_token"] == given), None)
        if found is None or found.is_revoked or found.is_expired():
            raise InvalidGrantError("Error validating access token")
        self.request.user = "zoe"

    def create_token_response(self):
        token = self.generate_token(user=self.request.user, scope="read", include_refresh_token=False)
        self.save_token(token)
        return 200, token, self.TOKEN_RESPONSE_HEADER


def _bind(kind, server):
    """Return the class for this server: Authlib makes an object of it for each request."""
    return type(kind.__name__, (kind,), {"there": server})


class AuthorizationServer:
    """See the module. All state is in memory and may be looked at and changed by a test."""

    def __init__(self):
        self.life, self.rotates, self.is_strict, self.gives_refresh_token = 3600, True, False, True
        self.names_issuer, self.issuer = False, None
        self.extra = {}  # values that every answer with tokens has besides
        self.asked, self.refreshes, self.revocations = [], 0, 0
        self.codes, self.tokens = {}, []
        self._failures, self._gates = [], {}
        self._lock = threading.RLock()
        self.app = Flask("authorization_server")
        self.protocol = self._make_protocol()
        self._add_routes()
        self._http = make_server("127.0.0.1", 0, self.app, threaded=True, request_handler=Silent)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self.robot_key = None

    # What a test does

    def credential(self, **values):
        """Return the values of a credential of type oauth2."""
        urls = {"authorization_url": f"{self.url}/authorize", "token_url": f"{self.url}/token"}
        known = {"client_id": CLIENT, "client_secret": SECRET, "revocation_url": f"{self.url}/revoke", "scope": "read"}
        return {**urls, **known, **values}

    def brought_along(self, **values):
        """Return the values of a credential of type oauth2_refresh_token, with a new grant."""
        token = self.grant()
        data = {"token_url": f"{self.url}/token", "client_id": CLIENT, "client_secret": SECRET}
        return {**data, "refresh_token": token.values["refresh_token"], **values}

    def grant(self, scope="read"):
        """Issue tokens without a person. Return them."""
        values = {"access_token": generate_token(42), "refresh_token": generate_token(48), "expires_in": self.life}
        return self._remember(Token(values, time.time() + self.life, scope))

    def robot(self, **values):
        """Return the values of a credential of type google_service_account."""
        if self.robot_key is None:
            self.robot_key = _make_key_file(f"{self.url}/robot")
        return {"key": json.dumps(self.robot_key), "scope": "read write", **values}

    def consent(self, url, answer="allow"):
        """Open the page as a browser does and press a button. Return the address that it leads to."""
        parts = urlsplit(url)
        assert f"{parts.scheme}://{parts.netloc}" == self.url, url
        status, headers, body = self.send("GET", f"{parts.path}?{parts.query}")
        assert status == 200 and "wants to use your account" in body, (status, headers, body)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        status, headers, body = self.send("POST", f"{parts.path}?{parts.query}", urlencode({"answer": answer}), form)
        assert status == 302, (status, body)
        return headers["Location"]

    def send(self, method, path, body=None, headers=None):
        """Send a request to the server. Return status, headers and body."""
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            connection.close()

    def fail(self, status, headers=None, body="busy", times=1):
        """Answer the next token requests with this, and change nothing."""
        self._failures += [(status, headers or {}, body)] * times

    def revoke_all(self):
        """Revoke everything, as if the person had withdrawn their consent."""
        with self._lock:
            for token in self.tokens:
                token.is_revoked = token.is_used_up = True

    def reject_access(self):
        """Revoke the access tokens alone."""
        for token in self.tokens:
            token.is_revoked = True

    @contextmanager
    def held(self, place):
        """Let the next refresh wait at `arrived` (nothing has changed) or `rotated` (the answer is not sent)."""
        gate = self._gates[place] = Gate()
        try:
            yield gate
        finally:
            self._gates.pop(place, None)
            gate.go.set()

    def needs_token(self, view):
        """Return the view, which answers 401 without a valid access token. It receives the token's scopes."""

        @wraps(view)
        def protected(*args, **kwargs):
            given = request.headers.get("Authorization", "").removeprefix("Bearer ")
            for token in self.tokens:
                if token.values["access_token"] == given and not token.is_revoked and not token.is_expired():
                    return view(*args, scopes=token.scope.split(), **kwargs)
            return jsonify(error="invalid_token"), 401

        return protected

    # Its parts

    def _remember(self, token):
        with self._lock:
            self.tokens.append(token)
        return token

    def _pass(self, place):
        gate = self._gates.pop(place, None)
        if gate is not None:
            gate.reached.set()
            gate.go.wait(PATIENCE)

    def _make_protocol(self):
        self.app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = lambda *a, **k: (
            create_token_generator(True, 48)() if self.gives_refresh_token else None
        )
        protocol = Protocol(self.app, lambda id_: Client() if id_ == CLIENT else None, self._save_token)
        protocol.register_grant(_bind(CodeGrant, self), [CodeChallenge(required=True)])
        protocol.register_grant(_bind(RefreshGrant, self))
        protocol.register_grant(_bind(ExchangeGrant, self))
        protocol.register_grant(_bind(Robot, self))
        protocol.register_grant(grants.ClientCredentialsGrant)
        protocol.register_endpoint(_bind(Revocation, self))
        return protocol

    def _use(self, refresh_token):
        """Return the token that is refreshed, or None if it is not valid. A used one revokes all of its family."""
        with self._lock:
            found = next((one for one in self.tokens if one.values.get("refresh_token") == refresh_token), None)
            if found is None or found.is_used_up:
                if found is not None:
                    self.revoke_all()
                return None
            if found.parent is not None:
                found.parent.is_used_up = True
            return found

    def _save_token(self, values, request):
        values["expires_in"] = self.life
        if self.life is None:
            del values["expires_in"]
        parent = getattr(request, "refresh_token", None)
        scope = parent.scope if parent is not None else values.get("scope", "")
        kept = {"refresh_token": parent.values["refresh_token"]} if parent is not None and not self.rotates else {}
        self._remember(Token({**kept, **values}, time.time() + (self.life or 3600), scope, parent))
        values.update(self.extra)

    def _add_routes(self):
        self.app.add_url_rule("/authorize", "authorize", self._authorize, methods=["GET", "POST"])
        self.app.add_url_rule("/token", "token", self._token, methods=["POST"])
        self.app.add_url_rule("/robot", "robot", self._token, methods=["POST"])
        self.app.add_url_rule("/revoke", "revoke", self._revoke, methods=["POST"])
        me = self.needs_token(lambda scopes: jsonify(name="Zoë", scopes=scopes))
        self.app.add_url_rule("/api/me", "me", me)

    def _authorize(self):
        try:
            grant = self.protocol.get_consent_grant(end_user="zoe")
        except OAuth2Error as error:
            return Response(f"{error.error}: {error.description}", 400)
        if request.method == "GET":
            return CONSENT.format(scope=re.sub(r"[^\w .:/-]", "", grant.request.payload.scope or ""))
        is_allowed = request.form.get("answer") == "allow"
        if is_allowed:
            answer = self.protocol.create_authorization_response(grant=grant, grant_user="zoe")
            location = answer.headers["Location"]
        else:
            error = AccessDeniedError(redirect_uri=grant.request.payload.redirect_uri)
            more = {"error": error.error, "error_description": "<b>no</b>", "state": request.args.get("state", "")}
            location = f"{grant.request.payload.redirect_uri}?{urlencode(more)}"
        if self.names_issuer:
            location += "&" + urlencode({"iss": self.issuer or self.url})
        return redirect(location, 302)

    def _token(self):
        form = {name: values[0] for name, values in parse_qs(request.get_data(as_text=True)).items()}
        self.asked.append({"form": form, "authorization": request.headers.get("Authorization", "")})
        is_refresh = form.get("grant_type") == "refresh_token"
        if is_refresh:
            self.refreshes += 1
            self._pass("arrived")
        if self._failures:
            status, headers, body = self._failures.pop(0)
            return Response(body, status, headers)
        answer = self.protocol.create_token_response()
        if form.get("grant_type") == ExchangeGrant.GRANT_TYPE and answer.status_code >= 400:
            told = {"message": answer.get_json()["error"], "type": "OAuthException", "code": 190}
            return jsonify(error=told), 400
        if is_refresh:
            self._pass("rotated")
        return answer

    def _revoke(self):
        return self.protocol.create_endpoint_response("revocation")

    def start(self):
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self):
        for gate in self._gates.values():
            gate.go.set()
        self._http.shutdown()
        self._thread.join(PATIENCE)
        self._http.server_close()


def _make_key_file(token_url):
    from joserfc.jwk import RSAKey

    key = RSAKey.generate_key(2048)
    return {
        "type": "service_account",
        "client_email": "robot@project.iam.gserviceaccount.com",
        "private_key_id": "key-1",
        "private_key": key.as_pem(private=True).decode(),
        "token_uri": token_url,
    }


@contextmanager
def authorization_server(extend=None):
    """Start a server, for the block. `extend(server)` may add routes to its app before."""
    before = os.environ.get("AUTHLIB_INSECURE_TRANSPORT")
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # Authlib's server insists on TLS
    server = AuthorizationServer()
    if extend is not None:
        extend(server)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        if before is None:
            del os.environ["AUTHLIB_INSECURE_TRANSPORT"]
