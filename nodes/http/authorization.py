"""Authorization of HTTP requests: the types of credentials for it besides OAuth2, and how each is put on requests.

A type names its class of authorization. The client in `client.py` checks that the credential may be sent to the host,
and that no header is set twice, before it uses one. The transport signs a request once more after a redirect on the
same site, and never after one to another site.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import posixpath
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote

from marshmallow import ValidationError, fields, validate, validates_schema

from constants import FORM
from errors import NodeError
from net.egress import Certificate, HttpClient, HttpResponse
from nodes.base import Context
from nodes.credentials.base import MAX_KEY, MAX_VALUE, NO_COLON, NO_HOSTS, CredentialType, secret, text
from nodes.credentials.keyring import DecryptedCredential
from nodes.fields import CONTROL, NamedValues, choice, header_name, setting
from nodes.http.body import replace_query
from registry import registry

ONLY_WEBHOOKS = NO_HOSTS + "checking who calls a webhook."
ONLY_FLOWS = "No host is named, so no flow can send it anywhere. Name the hosts that may have it."
NO_QUOTE = validate.ContainsNoneOf('"\\', error="Must not contain quotation marks and backslashes.")
MAX_PAIRS = 20


class Authorization:
    """Adds one credential to the requests of one node. A subclass overrides the methods that its type needs.

    Everything that is derived from the credential, such as a token or a signature, must be redacted: `ctx.hide(value)`,
    or `ctx.hide_once(value)` for one request.
    """

    def __init__(self, credential: DecryptedCredential, ctx: Context) -> None:
        self.credential, self.ctx, self.data = credential, ctx, credential.data

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

    def test(self, has_url: bool) -> str:
        """Test the credential without a request to a service, whose URL may be known. Return what the login gave.

        The result is empty if only a request can test it. Raises: Untested or NodeError.
        """
        return ""


def authorize(credential: DecryptedCredential, ctx: Context) -> Authorization:
    """Return the authorization of one node's requests by a credential of one of `constants.HTTP_CREDENTIALS`."""
    made: Authorization = registry.credential_types[credential.type].authorization(credential, ctx)
    return made


# A user name and a password, a token, or other secrets as they are


class Basic(Authorization):
    """A user name and a password (RFC 7617)."""

    def sign(self, request: Any) -> None:
        request.headers["Authorization"] = make_basic(self.data["username"], self.data["password"])


class HttpBasic(CredentialType):
    """A user name and a password, sent as `Authorization: Basic …`."""

    title = "HTTP basic"
    authorization = Basic
    needs_hosts = True
    without_hosts = ONLY_WEBHOOKS
    login = "{username}:{password}"  # RFC 7617
    username = text("The user name", NO_COLON, required=True, title="User name")
    password = secret("The password", least=0, required=True, title="Password")


def make_basic(username: str, password: str) -> str:
    """Return the value of Authorization for a user name and a password (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


class Bearer(Authorization):
    """A fixed token (RFC 6750)."""

    def sign(self, request: Any) -> None:
        request.headers["Authorization"] = f"Bearer {self.data['token'].strip()}"


class HttpBearer(CredentialType):
    """A token, sent as `Authorization: Bearer …`."""

    title = "HTTP bearer token"
    authorization = Bearer
    without_hosts = ONLY_WEBHOOKS
    main = "token"
    needs_hosts = True
    token = secret("Paste the token here", required=True, title="Token")


class HeaderAuthorization(Authorization):
    """A secret in a header with a name of its own."""

    def header_names(self) -> tuple[str, ...]:
        return (self.data["name"],)

    def sign(self, request: Any) -> None:
        request.headers[self.data["name"]] = self.data["value"].strip()


class HttpHeader(CredentialType):
    """A secret, sent in a custom header."""

    title = "HTTP header"
    authorization = HeaderAuthorization
    without_hosts = ONLY_WEBHOOKS
    main = "value"
    needs_hosts = True
    name = setting(
        fields.String(required=True, validate=header_name), "The name of the header: X-Api-Key", title="Header name"
    )
    value = secret("The value of the header", required=True, title="Value")


def _pairs(help: str, name: Any, value: Any, title: str) -> Any:
    """Return a field with secret values by name."""
    value.metadata["x-secret"] = True
    kind = NamedValues(keys=name, values=value, required=True, validate=validate.Length(1, MAX_PAIRS))
    return setting(kind, help, title=title, metadata={"x-secret": True})


class Headers(Authorization):
    """Secrets in several headers."""

    def header_names(self) -> tuple[str, ...]:
        return tuple(self.data["headers"])

    def sign(self, request: Any) -> None:
        for name, value in self.data["headers"].items():
            request.headers[name] = value.strip()


class HttpHeaders(CredentialType):
    """Several secrets, each sent in a header, such as an application's id and its key."""

    title = "HTTP headers (several)"
    authorization = Headers
    without_hosts = ONLY_FLOWS
    needs_hosts = True
    headers = _pairs(
        "The headers and their values: X-App-Id and X-App-Key",
        fields.String(validate=header_name),
        secret("The value", least=1, most=MAX_VALUE),
        "Headers",
    )

    @validates_schema
    def has_distinct_names(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """Reject names that differ in their case only: they are one header."""
        names = [name.lower() for name in data.get("headers", ())]
        if len(set(names)) < len(names):
            raise ValidationError("Must not contain a header twice.", "headers")


class Query(Authorization):
    """Secrets as parameters of the URL, in place of parameters with the same names."""

    def header_names(self) -> tuple[str, ...]:
        return ()

    def sign(self, request: Any) -> None:
        request.url = type(request.url)(replace_query(str(request.url), self.data["parameters"]))


def _parameter(name: str) -> None:
    if not 0 < len(name) <= 200 or CONTROL.search(name):
        raise ValidationError("Must be the name of a parameter: api_key.")


class HttpQuery(CredentialType):
    """Secrets sent as parameters of the URL, such as `?api_key=…`."""

    title = "Query parameter (API key)"
    authorization = Query
    without_hosts = ONLY_FLOWS
    needs_hosts = True
    parameters = _pairs(
        "The parameters and their values: api_key",
        fields.String(validate=_parameter),
        secret("The value", least=1, most=MAX_VALUE),
        "Parameters",
    )


# A client certificate


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


def _pem(what: str) -> Any:
    def check(value: str) -> None:
        if "-----BEGIN " not in value or f"{what}-----" not in value or not value.isascii():
            raise ValidationError(f"Must be PEM: the lines from BEGIN {what} to END {what}.")

    return check


class ClientCertificateCredential(CredentialType):
    """A client certificate for TLS (mTLS), optionally with a token or a login."""

    title = "Client certificate (mTLS)"
    authorization = ClientCertificateAuthorization
    without_hosts = ONLY_FLOWS
    needs_hosts = True
    certificate = setting(
        fields.String,
        "The certificate and those between it and its authority, as PEM: -----BEGIN CERTIFICATE-----",
        required=True,
        lines="",
        validate=[validate.Length(1, 5 * MAX_KEY), _pem("CERTIFICATE")],
        title="Certificate",
    )
    private_key = secret(
        "Its private key as PEM", _pem("PRIVATE KEY"), most=MAX_KEY, lines=True, required=True, title="Private key"
    )
    private_key.metadata["x-multiline"] = True
    passphrase = secret("The passphrase of the private key", title="Passphrase")
    token = secret("A bearer token to send as well", title="Token")
    username = text("A user name to send as well, as basic authentication", NO_COLON, title="User name")
    password = secret("The password of the user name", title="Password")

    @classmethod
    def secrets(cls, data: Mapping[str, Any]) -> list[str]:
        pair = f"{data.get('username')}:{data.get('password')}"
        login = [base64.b64encode(pair.encode()).decode()] if data.get("username") else []
        return [*super().secrets(data), *login]

    @validates_schema
    def has_one_login(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """Require a password with a user name, and reject a token beside them."""
        if bool(data.get("username")) != bool(data.get("password")):
            raise ValidationError("A user name and a password must be set together.", "password")
        if data.get("username") and data.get("token"):
            raise ValidationError("Set either a token or a user name, not both.", "token")


# A token of a server


class AccessToken(Authorization):
    """A token that a server issues for the credential; a new one if the service rejects it before it expires.

    It is sent as `Authorization: Bearer …`, or alone in the header `token_header` of a service that wants that.
    Abstract: a type of a pack gets the token.
    """

    value = ""

    def get_value(self) -> str:
        """Return a valid token, which is redacted. Raises: NodeError if there is none."""
        raise NotImplementedError

    def reject(self) -> bool:
        """Return True if there can be another token than this one, which the service rejects."""
        raise NotImplementedError

    def header_names(self) -> tuple[str, ...]:
        return (self.data.get("token_header", "Authorization"),)

    def prepare(self) -> None:
        self.value = self.get_value()

    def sign(self, request: Any) -> None:
        (name,) = self.header_names()
        request.headers[name] = self.value if "token_header" in self.data else f"Bearer {self.value}"

    def renew(self, answer: HttpResponse) -> bool:
        return self.reject()


# A digest (RFC 7616)


class Digest(Authorization):
    """A digest of the password with the server's challenge, by httpx2.

    The first request has none and is refused. Later ones reuse the challenge, with a higher count, until it is stale.
    """

    def __init__(self, credential: DecryptedCredential, ctx: Context) -> None:
        import httpx2

        super().__init__(credential, ctx)
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
        for challenge in parse_challenges(request.headers.get("Authorization", "")):
            self.ctx.hide_once(challenge.get("response"))

    def renew(self, answer: HttpResponse) -> bool:
        import httpx2

        challenge = choose_challenge(answer.headers.get("www-authenticate", ""))
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


class HttpDigest(CredentialType):
    """A user name and a password, of which only a digest with the server's challenge is sent (RFC 7616)."""

    title = "HTTP digest"
    authorization = Digest
    without_hosts = ONLY_FLOWS
    needs_hosts = True
    username = text("The user name", NO_COLON, NO_QUOTE, required=True, title="User name")
    password = secret("The password", required=True, title="Password")


MAX_HEADER = 8_000
# A parameter in WWW-Authenticate, after the scheme if it is the first one of a challenge: Digest realm="shop", qop=auth
PARAMETER = re.compile(r'(?:([\w-]{1,40})[ \t]+)?([\w-]{1,40})[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^\s,"]*)')
ALGORITHMS = {"MD5", "MD5-SESS", "SHA-256", "SHA-256-SESS", "SHA-512", "SHA-512-SESS"}


class Challenge(NamedTuple):
    """A challenge: its scheme in lower case, and its parameters as written, with quotation marks."""

    scheme: str
    parameters: dict[str, str]

    def get(self, name: str) -> str:
        """Return a parameter without quotation marks; empty if there is none."""
        return self.parameters.get(name, "").strip('"')


def parse_challenges(header: str) -> Iterator[Challenge]:
    """Yield the challenges of one or several joined headers WWW-Authenticate."""
    challenge = None
    for scheme, name, value in PARAMETER.findall(header[:MAX_HEADER]):
        if scheme:
            if challenge is not None:
                yield challenge
            challenge = Challenge(scheme.lower(), {})
        if challenge is not None:
            challenge.parameters[name.lower()] = value
    if challenge is not None:
        yield challenge


def choose_challenge(header: str) -> str | None:
    """Return the first challenge that can be answered, which the server prefers; None if there is none."""
    for challenge in parse_challenges(header):
        algorithm = challenge.get("algorithm").upper() or "MD5"
        qops = {word.strip().lower() for word in challenge.get("qop").split(",")} - {""}
        if challenge.scheme == "digest" and algorithm in ALGORITHMS and (not qops or "auth" in qops):
            return "Digest " + ", ".join(f"{name}={value}" for name, value in challenge.parameters.items())
    return None


# A signature of OAuth 1.0a (RFC 5849)


class OAuth1Authorization(Authorization):
    """A signature with the keys of an application and of a user (RFC 5849), by oauthlib."""

    def __init__(self, credential: DecryptedCredential, ctx: Context) -> None:
        from oauthlib import oauth1

        logging.getLogger("oauthlib").setLevel(logging.WARNING)  # it logs the signed texts
        super().__init__(credential, ctx)
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


class OAuth1Credential(CredentialType):
    """Keys of OAuth 1.0a, which sign each request (RFC 5849)."""

    title = "OAuth1"
    authorization = OAuth1Authorization
    without_hosts = ONLY_FLOWS
    needs_hosts = True
    consumer_key = text("The key of the application, also called API key", required=True, title="Consumer key")
    consumer_secret = secret("The secret of the application", required=True, title="Consumer secret")
    token = text("The access token of the user's account", title="Access token")
    token_secret = secret("The secret of the access token", title="Access token secret")
    signature = choice(
        "How requests are signed",
        {"HMAC-SHA1": "HMAC-SHA1", "HMAC-SHA256": "HMAC-SHA256"},
        literal=False,
        load_default="HMAC-SHA1",
        title="Signature method",
    )
    realm = text("The realm, if the service requires one", NO_QUOTE, title="Realm")

    @validates_schema
    def has_both_or_none(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """Require the secret if there is a token, and vice versa."""
        if bool(data.get("token")) != bool(data.get("token_secret")):
            raise ValidationError("An access token and its secret must be set together.", "token_secret")


# A signature of AWS (version 4)
# Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

AWS_METHOD = "AWS4-HMAC-SHA256"
UNRESERVED = "-_.~"
# The service and the region in a host name: dynamodb.eu-central-1.amazonaws.com, iam.amazonaws.com.
SERVICE = r"(?:[a-z0-9.-]{1,200}\.)?([a-z0-9-]{1,60})"
REGIONAL = re.compile(SERVICE + r"\.([a-z]{2}(?:-[a-z]{1,12}){1,3}-\d)\.amazonaws\.com\Z")
GLOBAL = re.compile(SERVICE + r"\.amazonaws\.com\Z")
GLOBAL_REGION = "us-east-1"
# Headers that are signed, besides those of AWS itself. A proxy may change others.
AWS_SIGNED = {"host", "content-type"}


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
        host = request.url.host
        found = find_aws_scope(host)
        region = self.data.get("region") or (found and found.region)
        service = self.data.get("service") or (found and found.service)
        if not region or not service:
            label = self.credential.label
            raise NodeError(f"{label} needs a region and a service, which the name of {host} does not tell", True)
        value = sign_for_aws(
            request.method,
            path,
            query,
            signed,
            body.hexdigest(),
            AwsScope(region, service),
            (self.data["access_key"], self.data["secret_key"]),
        )
        request.headers["Authorization"] = value
        self.ctx.hide_once(value.rpartition("=")[2])


class AwsCredential(CredentialType):
    """An access key of AWS, which signs each request (signature version 4)."""

    title = "AWS"
    authorization = AwsAuthorization
    access_key = text("The id of the access key: AKIA…", required=True, title="Access key ID")
    secret_key = secret("The secret of the access key", required=True, title="Secret access key")
    session_token = secret("The session token, if the access key is temporary", title="Session token")
    region = text("The region: eu-central-1. Default: the one in the host name", title="Region")
    service = text(
        "The service's name in signatures: execute-api, ses. Default: the one in the host name", title="Service"
    )

    @classmethod
    def hosts(cls, data: Mapping[str, Any]) -> tuple[str, ...]:
        return ("*.amazonaws.com",)


class AwsScope(NamedTuple):
    """The region and the service that a signature is for."""

    region: str
    service: str


def find_aws_scope(host: str) -> AwsScope | None:
    """Return the scope that the name of one of AWS's hosts tells; None for other hosts."""
    host = host.lower()
    if found := REGIONAL.match(host):
        return AwsScope(found[2], found[1])
    found = GLOBAL.match(host)
    return AwsScope(GLOBAL_REGION, found[1]) if found else None


def encode_query(query: str) -> str:
    """Return the parameters of a URL in the form that is signed: sorted, and escaped as RFC 3986 does."""
    pairs = [(quote(name, UNRESERVED), quote(value, UNRESERVED)) for name, value in parse_qsl(query, True)]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def encode_path(path: str, service: str) -> str:
    """Return the path in the form that is signed. It is the escaped path of a URL: all services but S3 escape twice."""
    if service == "s3":
        return path or "/"
    normal = posixpath.normpath("/" + path.lstrip("/"))
    return quote(normal + ("/" if path.endswith("/") and normal != "/" else ""), "/" + UNRESERVED)


def sign_for_aws(
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body_hash: str,
    scope: AwsScope,
    keys: tuple[str, str],
) -> str:
    """Return the value of the header Authorization.

    `path` and `query` are those of the encoded URL, the latter by `encode_query`. All `headers` are signed; they
    include Host and X-Amz-Date. `keys` are the id of the access key, and its secret.
    """
    lines = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    names, time = ";".join(sorted(lines)), lines["x-amz-date"]
    listed = "".join(f"{name}:{lines[name]}\n" for name in sorted(lines))
    request = "\n".join((method.upper(), encode_path(path, scope.service), query, listed, names, body_hash))
    place = f"{time[:8]}/{scope.region}/{scope.service}/aws4_request"
    text = f"{AWS_METHOD}\n{time}\n{place}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{keys[1]}".encode()
    for part in place.split("/"):
        key = _digest(key, part)
    return f"{AWS_METHOD} Credential={keys[0]}/{place}, SignedHeaders={names}, Signature={_digest(key, text).hex()}"


def _digest(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def _normalize_query(request: Any) -> None:
    """Escape the parameters of the URL as RFC 3986 does, since they are signed in this form."""
    if request.url.query:
        request.url = request.url.copy_with(query=encode_query(request.url.query.decode()).encode())
