"""OAuth2 access tokens by client credentials (RFC 6749, section 4.4), cached until they expire.

Each process caches them under the values of the credential, so a changed credential gets a new token.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote_plus, urlencode

from errors import ErrorKind, MalformedData, NodeError, TimedOut
from net.egress import Answer, get_host
from nodes.credentials.keyring import Credential
from nodes.http.response import get_retry_after, is_permanent, parse_json, quote_body

if TYPE_CHECKING:
    from nodes.base import Context

OAUTH2 = "oauth2_client_credentials"
MAX_TOKENS = 500
MAX_TOKEN = 20_000
# Lifetime in seconds if the server does not say, and the maximum.
DEFAULT_LIFE, MAX_LIFE = 300.0, 86_400.0
# Not used in its last seconds, because it must still be valid on arrival.
MARGIN = 30.0
MAX_WAIT = 30.0  # seconds, for a token


class Token(NamedTuple):
    """A token and the end of its use, on the cache's clock; `life` is the server's value."""

    value: str
    ends: float
    life: float


class _Entry:
    """The cached token of one credential; the holder of the lock requests a new one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.token: Token | None = None


class Tokens:
    """The token cache of a process, evicting the least recently used. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = MAX_TOKENS) -> None:
        self.clock, self.most = clock, most
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, credential: Credential, ask: Callable[[], tuple[str, float]], seconds: float) -> Token:
        """Return the token of the credential. Without a valid one, `ask` returns a token and its lifetime.

        One thread asks; others wait for it, up to `seconds`.
        """
        entry = self._entry(credential)
        token = entry.token
        if token is not None and self.clock() < token.ends:
            return token
        if not entry.lock.acquire(timeout=seconds):
            raise TimedOut(f"{credential.label} got no token within {seconds:.3g} s")
        try:
            token = entry.token
            if token is None or self.clock() >= token.ends:
                value, life = ask()
                entry.token = token = Token(value, self.clock() + life - min(MARGIN, life / 10), life)
            return token
        finally:
            entry.lock.release()

    def forget(self, credential: Credential, token: Token) -> None:
        """Remove this token from the cache, but not a newer one."""
        entry = self._entry(credential)
        if entry.token is token:
            entry.token = None

    def _entry(self, credential: Credential) -> _Entry:
        values = json.dumps(dict(credential.data), sort_keys=True).encode()
        key = hashlib.sha256(values).digest()
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            if len(self._entries) > self.most:
                self._entries.popitem(last=False)
        return entry


TOKENS = Tokens()


def get_token(credential: Credential, ctx: Context, tokens: Tokens = TOKENS) -> Token:
    """Return a token for the credential, which is redacted in the run."""
    token = tokens.get(credential, lambda: _request_token(credential, ctx), ctx.seconds_left(MAX_WAIT))
    ctx.hide(token.value)
    return token


def _request_token(credential: Credential, ctx: Context) -> tuple[str, float]:
    """Return a new token and its lifetime in seconds. Redirects are not followed: the credential is for this server."""
    headers, form = _make_request(credential.data)
    ctx.hide(headers.get("Authorization", "").removeprefix("Basic "))
    url, content, sent = credential.data["token_url"], urlencode(form).encode(), list(headers.items())
    try:
        fetch, left = ctx.need_services().http().fetch, ctx.seconds_left(MAX_WAIT)
        answer = fetch("POST", url, seconds=left, headers=sent, content=content, follow_redirects=False)
        return _read(get_host(url), answer, ctx)
    except NodeError as error:
        raise error.at(f"{credential.label} got no token") from None


def _make_request(data: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Return the headers and the form of a token request."""
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    form = {"grant_type": "client_credentials"}
    form |= {name: data[name] for name in ("scope", "audience") if data.get(name)}
    if data["auth"] == "body":
        form |= {"client_id": data["client_id"], "client_secret": data["client_secret"]}
    else:
        # RFC 6749, section 2.3.1: both are form-encoded before they are joined.
        pair = f"{quote_plus(data['client_id'])}:{quote_plus(data['client_secret'])}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return headers, form


def _read(server: str, answer: Answer, ctx: Context) -> tuple[str, float]:
    """Return the token of a response, and its lifetime in seconds."""
    if not 200 <= answer.status < 300:
        said = quote_body(answer, ctx.clean)
        text = f"{server} answered {answer.status}" + (f": {said}" if said else "")
        kind: ErrorKind = "credential" if is_permanent(answer.status) else "remote"
        raise NodeError(text, is_permanent(answer.status), get_retry_after(answer) or 0.0, kind)
    given = parse_json(answer)
    value = given.get("access_token") if isinstance(given, dict) else None
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TOKEN or not value.isascii() or " " in value:
        raise MalformedData(f"the response of {server} has no valid access_token")
    if not value.isprintable() or str(given.get("token_type", "bearer")).lower() != "bearer":
        raise MalformedData(f"the token of {server} is not a bearer token")
    return value, _life(given.get("expires_in"))


def _life(said: Any) -> float:
    """Return the lifetime of a token in seconds, which some servers send as text; a default if it is missing."""
    try:
        life = float(said)
    except (TypeError, ValueError, OverflowError):
        return DEFAULT_LIFE
    return min(life, MAX_LIFE) if life > 0 else 0.0
