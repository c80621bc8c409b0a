"""Authorization of HTTP requests: how a credential of each type is put on the requests of a node.

There is one class a type. The client in `client.py` checks that the credential may be sent to the host, and that no
header is set twice, before it uses one. The transport signs a request once more after a redirect on the same site, and
never after one to another site.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from constants import FORM
from errors import NodeError
from net.egress import Certificate, HttpClient, HttpResponse
from nodes.credentials.keyring import DecryptedCredential
from nodes.credentials.oauth_types import ACCOUNT, CLIENT_CREDENTIALS, REFRESH_TOKEN, SERVICE_ACCOUNT
from nodes.http import aws, digest
from nodes.http.body import replace_query
from nodes.http.oauth2 import IssuedToken, Tokens, get_token, may_renew

if TYPE_CHECKING:
    from nodes.base import Context


# Headers that are signed, besides those of AWS itself. A proxy may change others.
AWS_SIGNED = {"host", "content-type"}


class Authorization:
    """Adds one credential to the requests of one node. A subclass overrides the methods that its type needs.

    Everything that is derived from the credential, such as a token or a signature, must be redacted: `ctx.hide(value)`,
    or `ctx.hide_once(value)` for one request.
    """

    def __init__(self, credential: DecryptedCredential, ctx: Context, tokens: Tokens) -> None:
        self.credential, self.ctx, self.tokens, self.data = credential, ctx, tokens, credential.data

    def header_names(self) -> tuple[str, ...]:
        """Return the names of the headers that it sets, which the request must not set too."""
        return ("Authorization",)

    def open(self, client: HttpClient) -> AbstractContextManager[HttpClient]:
        """Return a context with the client to send the request with."""
        return nullcontext(client)

    def prepare(self) -> None:
        """Get the values for the request, such as a token. Called before each request, outside of its time limit."""

    def sign(self, request: Any) -> None:
        """Add headers or query parameters to an `httpx2.Request`, or sign it: nothing else changes it afterwards."""

    def renew(self, answer: HttpResponse) -> bool:
        """Return True if the request must be sent once more, for example with a new token.

        Called with a response whose status is 401, at most once for each request.
        """
        return False

    def note_rejected(self) -> None:
        """Note that the request was rejected after `renew`, too."""


class Basic(Authorization):
    """A user name and a password (RFC 7617)."""

    def sign(self, request: Any) -> None:
        request.headers["Authorization"] = make_basic(self.data["username"], self.data["password"])


class Bearer(Authorization):
    """A fixed token (RFC 6750)."""

    def sign(self, request: Any) -> None:
        request.headers["Authorization"] = f"Bearer {self.data['token'].strip()}"


class HeaderAuthorization(Authorization):
    """A secret in a header with a name of its own."""

    def header_names(self) -> tuple[str, ...]:
        return (self.data["name"],)

    def sign(self, request: Any) -> None:
        request.headers[self.data["name"]] = self.data["value"].strip()


class Headers(Authorization):
    """Secrets in several headers."""

    def header_names(self) -> tuple[str, ...]:
        return tuple(self.data["headers"])

    def sign(self, request: Any) -> None:
        for name, value in self.data["headers"].items():
            request.headers[name] = value.strip()


class Query(Authorization):
    """Secrets as parameters of the URL, in place of parameters with the same names."""

    def header_names(self) -> tuple[str, ...]:
        return ()

    def sign(self, request: Any) -> None:
        request.url = type(request.url)(replace_query(str(request.url), self.data["parameters"]))


class Digest(Authorization):
    """A digest of the password with the server's challenge, by httpx2.

    The first request has none and is refused. Later ones reuse the challenge, with a higher count, until it is stale.
    """

    def __init__(self, credential: DecryptedCredential, ctx: Context, tokens: Tokens) -> None:
        import httpx2

        super().__init__(credential, ctx, tokens)
        self.auth = httpx2.DigestAuth(self.data["username"], self.data["password"])
        self.flow: Any = None
        self.request: Any = None
        self.is_answered = False

    def sign(self, request: Any) -> None:
        before, was_answered = self.request, self.is_answered
        self.request, self.flow, self.is_answered = request, self.auth.auth_flow(request), False
        if was_answered and (before.method, before.url) == (request.method, request.url):
            request.headers["Authorization"] = before.headers["Authorization"]  # a count must not be left out
        else:
            next(self.flow)
        for challenge in digest.parse(request.headers.get("Authorization", "")):
            self.ctx.hide_once(challenge.get("response"))

    def renew(self, answer: HttpResponse) -> bool:
        import httpx2

        challenge = digest.choose(answer.headers.get("www-authenticate", ""))
        if challenge is None or self.flow is None:
            return False
        try:
            self.flow.send(httpx2.Response(401, headers={"WWW-Authenticate": challenge}, request=self.request))
        except (httpx2.ProtocolError, UnicodeError):
            raise NodeError(f"{answer.who}: its challenge for digest authentication is not valid", True) from None
        except StopIteration:
            return False
        self.is_answered = True
        return True


class OAuth1Authorization(Authorization):
    """A signature with the keys of an application and of a user (RFC 5849), by oauthlib."""

    def __init__(self, credential: DecryptedCredential, ctx: Context, tokens: Tokens) -> None:
        from oauthlib import oauth1

        logging.getLogger("oauthlib").setLevel(logging.WARNING)  # it logs the signed texts
        super().__init__(credential, ctx, tokens)
        data = self.data
        self.client = oauth1.Client(
            data["consumer_key"],
            data["consumer_secret"],
            data.get("token"),
            data.get("token_secret"),
            signature_method=data["signature"],
            realm=data.get("realm"),
        )

    def sign(self, request: Any) -> None:
        _normalize_query(request)
        form = request.headers.get("Content-Type", "").partition(";")[0].strip().lower() == FORM
        body = b"".join(request.stream).decode() if form else ""
        sent = {"Host": request.headers["Host"], **({"Content-Type": FORM} if body else {})}
        try:
            _, headers, _ = self.client.sign(str(request.url), request.method, body or None, sent)
        except ValueError:
            raise NodeError("the form in the body cannot be signed; GET and HEAD must have none", True) from None
        request.headers["Authorization"] = headers["Authorization"]
        signature = headers["Authorization"].partition('oauth_signature="')[2].partition('"')[0]
        self.ctx.hide_once(unquote(signature))


class AwsAuthorization(Authorization):
    """A signature with an access key of AWS."""

    def header_names(self) -> tuple[str, ...]:
        return ("Authorization", "X-Amz-Date", "X-Amz-Content-Sha256", "X-Amz-Security-Token")

    def sign(self, request: Any) -> None:
        _normalize_query(request)
        body = hashlib.sha256()
        for piece in request.stream:
            body.update(piece)
        request.headers["X-Amz-Content-Sha256"] = body.hexdigest()
        request.headers["X-Amz-Date"] = datetime.fromtimestamp(self.ctx.now_ms() / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
        if token := self.data.get("session_token"):
            request.headers["X-Amz-Security-Token"] = token
        signed = {name: value for name, value in request.headers.items() if name in AWS_SIGNED or name[:6] == "x-amz-"}
        path, _, query = request.url.raw_path.decode().partition("?")
        value = aws.sign(
            request.method,
            path,
            query,
            signed,
            body.hexdigest(),
            self._scope(request.url.host),
            (self.data["access_key"], self.data["secret_key"]),
        )
        request.headers["Authorization"] = value
        self.ctx.hide_once(value.rpartition("=")[2])

    def _scope(self, host: str) -> aws.Scope:
        found = aws.find_scope(host)
        region = self.data.get("region") or (found and found.region)
        service = self.data.get("service") or (found and found.service)
        if not region or not service:
            label = self.credential.label
            raise NodeError(f"{label} needs a region and a service, which the name of {host} does not tell", True)
        return aws.Scope(region, service)


class ClientCertificateAuthorization(Authorization):
    """A certificate in the handshake of TLS, and perhaps a token or a password in a header."""

    def header_names(self) -> tuple[str, ...]:
        return ("Authorization",) if self._header() else ()

    def open(self, client: HttpClient) -> AbstractContextManager[HttpClient]:
        data = self.data
        return client.with_certificate(
            Certificate(data["certificate"], data["private_key"], data.get("passphrase") or "")
        )

    def sign(self, request: Any) -> None:
        if request.url.scheme != "https":
            raise NodeError(f"{self.credential.label} has a certificate, which needs https://", permanent=True)
        if header := self._header():
            request.headers["Authorization"] = header

    def _header(self) -> str:
        if self.data.get("token"):
            return f"Bearer {self.data['token'].strip()}"
        return make_basic(self.data["username"], self.data["password"]) if self.data.get("username") else ""


class AccessToken(Authorization):
    """A token that a server issues for the credential; a new one if the service rejects it before it expires.

    It is sent as `Authorization: Bearer …`, or alone in the header `token_header` of a service that wants that.
    """

    token: IssuedToken | None = None

    def header_names(self) -> tuple[str, ...]:
        return (self.data.get("token_header", "Authorization"),)

    def prepare(self) -> None:
        self.token = self.get_token()

    def get_token(self) -> IssuedToken:
        """Return a valid token, which is redacted. Raises: NodeError if there is none."""
        return get_token(self.credential, self.ctx, self.tokens)

    def sign(self, request: Any) -> None:
        assert self.token is not None
        (name,) = self.header_names()
        request.headers[name] = self.token.value if "token_header" in self.data else f"Bearer {self.token.value}"

    def renew(self, answer: HttpResponse) -> bool:
        return self.reject()

    def reject(self) -> bool:
        """Return True if there can be another token than this one, which the service rejects."""
        if self.token is not None:
            self.tokens.forget(self.credential, self.token)
        return True


class GrantToken(AccessToken):
    """A token of a grant, which is refreshed once for all threads and processes if the service rejects it."""

    rejected = ""

    def get_token(self) -> IssuedToken:
        return get_token(self.credential, self.ctx, self.tokens, self.rejected)

    def reject(self) -> bool:
        if self.token is None or not may_renew(self.credential, self.token, self.ctx, self.tokens):
            return False
        self.rejected = self.token.value
        return True

    def note_rejected(self) -> None:
        self.tokens.note_useless(self.credential)


# The types of credentials that HTTP requests accept. `constants.HTTP_CREDENTIALS` names the same.
AUTHORIZATIONS: dict[str, type[Authorization]] = {
    "http_basic": Basic,
    "http_bearer": Bearer,
    "http_header": HeaderAuthorization,
    "http_headers": Headers,
    "http_query": Query,
    "http_digest": Digest,
    "oauth1": OAuth1Authorization,
    "aws": AwsAuthorization,
    "mtls": ClientCertificateAuthorization,
    CLIENT_CREDENTIALS: AccessToken,
    ACCOUNT: GrantToken,
    REFRESH_TOKEN: GrantToken,
    SERVICE_ACCOUNT: AccessToken,
}
CREDENTIALS = tuple(AUTHORIZATIONS)


def authorize(credential: DecryptedCredential, ctx: Context, tokens: Tokens) -> Authorization:
    """Return the authorization of the requests of one node by the credential, which is of one of `CREDENTIALS`."""
    return AUTHORIZATIONS[credential.type](credential, ctx, tokens)


def make_basic(username: str, password: str) -> str:
    """Return the value of Authorization for a user name and a password (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def _normalize_query(request: Any) -> None:
    """Escape the parameters of the URL as RFC 3986 does, since they are signed in this form."""
    if request.url.query:
        request.url = request.url.copy_with(query=aws.encode_query(request.url.query.decode()).encode())
