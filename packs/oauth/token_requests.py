"""Requests to an authorization server: authorization URLs, tokens, revocation. Authlib makes them, our transport sends
them, so the egress rules hold.

Redirects are not followed: what is sent is for this server alone.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, quote_plus, urlsplit

import orjson

from constants import FORM
from errors import ErrorKind, MalformedData, NodeError
from net.egress import HttpResponse, get_host
from nodes.fields import text_of
from nodes.http.body import get_retry_after, is_permanent, parse_json, quote_body
from packs.oauth.settings import OAuthSettings

if TYPE_CHECKING:
    from nodes.base import Context

MAX_TOKEN, MAX_SCOPE = 20_000, 4_000
MAX_WAIT = 30.0  # seconds, for an answer
REVOCATION_WAIT = 5.0
MARGIN, SHARE = 60.0, 5  # an access token is not used in its last seconds, at most a part of its lifetime
MAX_LIFE = 10 * 365 * 86_400.0
RENEWED_AFTER = 86_400.0  # seconds after which a lasting access token is exchanged for a new one
MAX_DETAIL, MAX_CODE = 1_000, 100
BEARER_TYPES = {"bearer", "bot", "user", "token"}  # Slack says bot and user
ASSERTION = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# Answers that are as if the server were down, whatever their status (RFC 6749, section 4.1.2.1).
TRANSIENT_ERRORS = {"temporarily_unavailable", "server_error", "slow_down", "rate_limited", "ratelimited"}


class Issued(NamedTuple):
    """The answer of a token server. `life` is the lifetime of the access token in seconds; None: it did not say.

    `refresh_token` and `scope` are empty if the answer has none. `details` has other values without secrets.
    `renew_after` is set for an access token that is exchanged for a new one while it is valid: after how many seconds.
    """

    access_token: str
    refresh_token: str = ""
    life: float | None = None
    scope: str = ""
    details: Mapping[str, str] = {}
    renew_after: float | None = None


def make_times(issued: Issued, now: int, is_renewable: bool = True) -> dict[str, int | None]:
    """Return `obtained_at`, `refresh_at` and `expires_at` in ms of tokens that were issued now."""
    # Some services say 0 for a token that never ends.
    if issued.life is None or (issued.life == 0 and not is_renewable):
        return {"obtained_at": now, "refresh_at": None, "expires_at": None}
    life = min(max(issued.life, 0.0), MAX_LIFE)
    ends = now + round(life * 1000)
    due = ends - round(min(MARGIN, life / SHARE) * 1000) if is_renewable else None
    if issued.renew_after is not None:
        due = min(now + round(issued.renew_after * 1000), ends)
    return {"obtained_at": now, "refresh_at": due, "expires_at": ends}


class TokenRefused(NodeError):
    """The server refused a request for tokens, with the error `code`. `is_revoked`: the grant is not valid any more."""

    def __init__(self, message: str, code: str, is_revoked: bool) -> None:
        super().__init__(message, permanent=True, kind="credential")
        self.code, self.is_revoked = code, is_revoked


# Authorization by a person


def make_authorization_url(settings: OAuthSettings, state: str, verifier: str, redirect_url: str) -> str:
    """Return the address at which a person gives their consent."""
    from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
    from authlib.oauth2.rfc7636 import create_s256_code_challenge

    more = dict(settings.parameters)
    if settings.scopes:
        more[settings.scope_parameter] = settings.separator.join(settings.scopes)
    if settings.pkce:
        more |= {"code_challenge": create_s256_code_challenge(verifier), "code_challenge_method": "S256"}
    scope = more.pop("scope", None)
    url: str = prepare_grant_uri(
        settings.authorization_url, settings.client_id, "code", redirect_url, scope, state, **more
    )
    return url


def is_issuer(settings: OAuthSettings, said: str) -> bool:
    """Return True if an answer's `iss` (RFC 9207) is of the server that was asked: an answer of another is a mix-up."""
    if settings.issuer:
        return said == settings.issuer
    known = {urlsplit(url).netloc.lower() for url in (settings.authorization_url, settings.token_url)}
    try:
        return urlsplit(said).netloc.lower() in known
    except ValueError:
        return False


def exchange_code(settings: OAuthSettings, code: str, verifier: str, redirect_url: str, ctx: Context) -> Issued:
    """Return the tokens for the code of an answer."""
    more = {"code_verifier": verifier} if settings.pkce else {}
    issued = _request(settings, "authorization_code", {"code": code, "redirect_uri": redirect_url, **more}, ctx)
    return _exchange_token(settings, issued.access_token, ctx) if settings.longer_grant else issued


# Without a person


def refresh(settings: OAuthSettings, refresh_token: str, ctx: Context) -> Issued:
    """Return new tokens. Raises: TokenRefused; NodeError if another attempt may help.

    `refresh_token` is a valid access token for services that exchange these.
    """
    if settings.longer_grant:
        return _exchange_token(settings, refresh_token, ctx)
    ctx.hide(refresh_token)
    # Without a page of consent, the scopes are those that the credential names, if any; else those of the grant.
    scope = "" if settings.authorization_url else settings.separator.join(settings.scopes)
    return _request(settings, "refresh_token", {"refresh_token": refresh_token, "scope": scope}, ctx)


def _exchange_token(settings: OAuthSettings, token: str, ctx: Context) -> Issued:
    """Return a lasting access token for a valid one, which may be a lasting one, too."""
    ctx.hide(token)
    issued = _request(settings, settings.longer_grant, {settings.longer_grant: token}, ctx)
    # An expired one cannot be exchanged. So each use renews it anew, at most once a day.
    renew_after = min(RENEWED_AFTER, issued.life / SHARE) if issued.life else None
    return issued._replace(renew_after=renew_after)


def request_for_client(settings: OAuthSettings, audience: str, ctx: Context) -> Issued:
    """Return a token by client credentials (RFC 6749, section 4.4)."""
    asked = {"scope": " ".join(settings.scopes), "audience": audience}
    return _request(settings, "client_credentials", asked, ctx)


def request_by_assertion(key: Mapping[str, str], scope: str, subject: str, now: int, ctx: Context) -> Issued:
    """Return a token for an assertion signed with the key of a service account (RFC 7523). `now` is in seconds."""
    from authlib.oauth2.rfc7523.assertion import sign_jwt_bearer_assertion
    from joserfc.errors import JoseError
    from joserfc.jwk import RSAKey

    header = {"kid": key["private_key_id"]} if key["private_key_id"] else {}
    claims = {"scope": " ".join(scope.split())}
    try:
        signing_key, names = RSAKey.import_key(key["private_key"]), (key["client_email"], key["token_url"])
        assertion = sign_jwt_bearer_assertion(
            signing_key, *names, subject or None, now, alg="RS256", header=header, claims=claims
        )
    except (ValueError, TypeError, JoseError):
        raise NodeError("its private key is not one in PEM format", True, kind="credential") from None
    assertion = assertion.decode() if isinstance(assertion, bytes) else assertion
    ctx.hide(assertion)
    settings = OAuthSettings("", "", (), key["token_url"], auth="assertion")
    return _request(settings, ASSERTION, {"assertion": assertion}, ctx)


def revoke(settings: OAuthSettings, token: str, hint: str, ctx: Context) -> None:
    """Revoke a token (RFC 7009). Raises: NodeError if the server did not."""
    from authlib.oauth2.rfc7009 import prepare_revoke_token_request

    ctx.hide(token)
    body, headers = prepare_revoke_token_request(token, hint, "", {"Accept": "application/json"})
    answer = _post(settings, settings.revocation_url, headers, body, ctx, REVOCATION_WAIT)
    if answer.status >= 400:
        raise NodeError(f"{get_host(settings.revocation_url)} answered {answer.status}", is_permanent(answer.status))


# Requests


def _request(settings: OAuthSettings, grant_type: str, given: Mapping[str, str], ctx: Context) -> Issued:
    from authlib.oauth2.rfc6749.parameters import prepare_token_request

    redirect_url = given.get("redirect_uri")
    rest = {name: value for name, value in given.items() if name != "redirect_uri"}
    body = prepare_token_request(grant_type, "", redirect_url, **rest)
    headers = {"Accept": "application/json", "Content-Type": FORM}
    answer = _post(settings, settings.token_url, headers, body, ctx, MAX_WAIT)
    return _read(settings, answer, ctx)


def _post(
    settings: OAuthSettings, url: str, headers: dict[str, str], body: str, ctx: Context, seconds: float
) -> HttpResponse:
    """Send a form, or the same as JSON, with the client's authentication."""
    from authlib.oauth2.auth import ClientAuth

    if settings.auth != "assertion":
        methods = {"header": _basic, "body": "client_secret_post", "none": "none"}
        client = ClientAuth(settings.client_id, settings.client_secret, methods[settings.auth])
        url, headers, body = client.prepare("POST", url, headers, body)
    ctx.hide(headers.get("Authorization", "").removeprefix("Basic "))
    content = body.encode()
    if settings.token_format == "json":
        headers["Content-Type"] = "application/json"
        content = orjson.dumps(dict(parse_qsl(body, keep_blank_values=True)))
    fetch, left = ctx.need_services().http().fetch, ctx.seconds_left(seconds)
    answer: HttpResponse = fetch(
        "POST", url, seconds=left, headers=list(headers.items()), content=content, follow_redirects=False
    )
    return answer


def _basic(client: Any, method: str, url: str, headers: dict[str, str], body: str) -> tuple[str, dict[str, str], str]:
    """Authenticate in the header. RFC 6749, section 2.3.1: id and secret are form-encoded before they are joined."""
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return url, headers, body


# Answers


def _read(settings: OAuthSettings, answer: HttpResponse, ctx: Context) -> Issued:
    """Return the tokens of an answer. Raises: TokenRefused; NodeError if another attempt may help."""
    server = get_host(settings.token_url)
    if answer.status >= 500 or not is_permanent(answer.status):
        raise _make_failure(server, answer, ctx)
    given = _parse(answer)
    error = given.get("error")
    code = text_of(error.get("code", "unknown")) if isinstance(error, dict) else error if isinstance(error, str) else ""
    if code in TRANSIENT_ERRORS or (isinstance(error, dict) and error.get("is_transient") is True):
        raise _make_failure(server, answer, ctx, permanent=False)
    if code or given.get("ok") is False:  # some services answer 200 with an error
        raise _make_refusal(settings, server, answer, code or "unknown", given, ctx)
    if not 200 <= answer.status < 300:
        raise _make_failure(server, answer, ctx)
    tokens: Any = given
    for name in settings.token_path:
        tokens = tokens.get(name) if isinstance(tokens, dict) else None
    tokens = tokens if isinstance(tokens, dict) else {}
    access_token = _read_token(tokens, "access_token")
    if not access_token:
        raise MalformedData(f"the response of {server} has no valid access_token")
    if str(tokens.get("token_type") or "bearer").lower() not in BEARER_TYPES:
        raise MalformedData(f"the token of {server} is not a bearer token")
    details = {name: value for name in settings.kept if (value := _read_text(given, name, MAX_DETAIL))}
    scope = " ".join(_read_text(tokens, "scope", MAX_SCOPE).replace(",", " ").split())
    return Issued(
        access_token, _read_token(tokens, "refresh_token"), read_life(tokens.get("expires_in")), scope, details
    )


def _parse(answer: HttpResponse) -> Mapping[str, Any]:
    """Return the answer as an object; an empty one for a refusal that is not JSON."""
    try:
        given = parse_json(answer)
    except MalformedData:
        if answer.status < 400:
            raise
        given = None
    return given if isinstance(given, dict) else {}


def _read_token(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    good = isinstance(value, str) and 0 < len(value) <= MAX_TOKEN and value.isascii() and value.isprintable()
    return value if isinstance(value, str) and good and " " not in value else ""


def _read_text(given: Mapping[str, Any], name: str, most: int) -> str:
    value = given.get(name)
    return value if isinstance(value, str) and len(value) <= most and value.isprintable() else ""


def read_life(said: Any) -> float | None:
    """Return the lifetime of a token in seconds, which some servers send as text; None if it is missing."""
    try:
        life = float(said)
    except (TypeError, ValueError, OverflowError):
        return None
    return life if life > 0 else 0.0


def _make_failure(server: str, answer: HttpResponse, ctx: Context, permanent: bool | None = None) -> NodeError:
    said = quote_body(answer, ctx.clean)
    text = f"{server} answered {answer.status}" + (f": {said}" if said else "")
    lasting = is_permanent(answer.status) if permanent is None else permanent
    kind: ErrorKind = "credential" if lasting else "remote"
    return NodeError(text, lasting, get_retry_after(answer) or 0.0, kind)


def _make_refusal(
    settings: OAuthSettings, server: str, answer: HttpResponse, code: str, given: Mapping[str, Any], ctx: Context
) -> TokenRefused:
    is_revoked = code == "invalid_grant" or code in settings.revoked_errors
    said = quote_body(answer, ctx.clean)
    status = f"{answer.status}" if answer.status >= 400 else "with an error"
    text = f"{server} answered {status}" + (f": {said}" if said else "")
    return TokenRefused(text, code[:MAX_CODE], is_revoked)


def describe_refusal(code: str, description: str) -> str:
    """Return the service's description of an error as one short line of printable characters."""
    plain = ["".join(letter if letter.isprintable() else " " for letter in part[:300]) for part in (code, description)]
    return ": ".join(" ".join(part.split()) for part in plain if part.strip())
