"""OAuth2 access tokens for requests: from the grant of a credential, or cached until they expire.

A grant is refreshed before its access token ends, once across threads and processes: the holder of its lease asks the
server, outside of a transaction, and stores the new tokens before they are used; all others wait. A process that ends
at any point leaves the old refresh token in place, and the next one tries again with it.
"""

from __future__ import annotations

import hashlib
import json
import math
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from errors import NodeError, TimedOut
from net.egress import get_host
from nodes.credentials.keyring import DecryptedCredential
from nodes.credentials.types import Untested
from nodes.http.authorization import AccessToken
from packs.oauth.settings import ACCOUNT, GRANT_TYPES, REFRESH_TOKEN, SERVICE_ACCOUNT, read_key, settings_of
from packs.oauth.token_requests import (
    MAX_WAIT,
    Issued,
    TokenRefused,
    make_times,
    refresh,
    request_by_assertion,
    request_for_client,
)

if TYPE_CHECKING:
    from nodes.base import Context

MAX_TOKENS = 500
# Of tokens in the cache: lifetime in seconds if the server does not say, and the maximum.
DEFAULT_LIFE, MAX_CACHED_LIFE = 300.0, 86_400.0
# A token in the cache is not used in its last seconds, because it must still be valid on arrival.
CACHE_MARGIN = 30.0
POLL = 0.1  # seconds between two looks at a grant that another thread or process refreshes
# Seconds without another renewal after a service has rejected the token of one, too: that does not help.
USELESS = 30.0
FRESH_MS = 30_000  # age up to which the test of a credential trusts a refresh
AHEAD_MS = 60_000  # by how much the clock may have been set back before a token counts as due
CONNECT_AGAIN = "connect the account again in Credentials"
ENDED = "its access has ended, and the service gave nothing to renew it"


@dataclass(frozen=True, slots=True)
class Grant:
    """The present tokens, as one version of them. Times are in ms since 1970; None: never, or unknown.

    `status` is connected, revoked, or error after a refusal that another attempt may overcome. `refresh_at` is when to
    get a new access token, before `expires_at`. `refreshed_at` is None for tokens that were not got by a refresh.
    """

    version: int
    status: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    obtained_at: int | None = None
    refresh_at: int | None = None
    expires_at: int | None = None
    refreshed_at: int | None = None
    reason: str | None = None


class GrantStore(Protocol):
    """Keeps the grant of one credential. A refresh holds the lease, which only one process and thread has."""

    def read(self) -> Grant | None:
        """Return the present grant, or None if there is none."""

    def claim(self, grant: Grant) -> str | None:
        """Take the lease to refresh this version. Return its id, or None if another has it or was faster."""

    def unsaved(self, grant: Grant) -> Issued | None:
        """Return the tokens that this process received for this version but could not store, or None."""

    def keep(self, lease: str, grant: Grant, issued: Issued, now: int) -> bool:
        """Store new tokens and give up the lease. Return False if the grant was replaced meanwhile.

        Raises: NodeError if they cannot be stored; `unsaved` returns them then.
        """

    def release(self, lease: str) -> None:
        """Give up the lease."""

    def mark(self, lease: str, status: str, reason: str) -> None:
        """Store that the service refused the grant, and give up the lease."""


class MemoryGrants:
    """Keeps a grant in memory, for a credential that brings its refresh token along and has no row. Thread-safe."""

    def __init__(self, refresh_token: str) -> None:
        self._grant = Grant(0, "connected", "", refresh_token)
        self._lease: str | None = None
        self._lock = threading.Lock()

    def read(self) -> Grant | None:
        return self._grant

    def claim(self, grant: Grant) -> str | None:
        with self._lock:
            if self._lease is not None or grant.version != self._grant.version:
                return None
            self._lease = secrets.token_hex(8)
            return self._lease

    def unsaved(self, grant: Grant) -> Issued | None:
        return None

    def keep(self, lease: str, grant: Grant, issued: Issued, now: int) -> bool:
        with self._lock:
            times: dict[str, Any] = make_times(issued, now)
            refresh_token = issued.refresh_token or grant.refresh_token
            self._grant = Grant(
                grant.version + 1, "connected", issued.access_token, refresh_token, refreshed_at=now, **times
            )
            self._lease = None
        return True

    def release(self, lease: str) -> None:
        self._lease = None

    def mark(self, lease: str, status: str, reason: str) -> None:
        self._lease = None


class IssuedToken(NamedTuple):
    """A token and the end of its use, on the cache's clock; `life` is the server's value."""

    value: str
    ends: float
    life: float


class _CachedToken:
    """The cached token of one credential; the holder of the lock requests a new one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.token: IssuedToken | None = None
        self.grants: GrantStore | None = None
        self.useless_until = -math.inf  # of renewals, on the cache's clock


class Tokens:
    """The token cache of a process, evicting the least recently used. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = MAX_TOKENS) -> None:
        self.clock, self.most = clock, most
        self._entries: OrderedDict[bytes, _CachedToken] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, credential: DecryptedCredential, ask: Callable[[], tuple[str, float]], seconds: float) -> IssuedToken:
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
                entry.token = token = IssuedToken(value, self.clock() + life - min(CACHE_MARGIN, life / 10), life)
            return token
        finally:
            entry.lock.release()

    def forget(self, credential: DecryptedCredential, token: IssuedToken) -> None:
        """Remove this token from the cache, but not a newer one."""
        entry = self._entry(credential)
        if entry.token is token:
            entry.token = None

    def note_useless(self, credential: DecryptedCredential) -> None:
        """Note that the service has rejected a token that was got because it had rejected the one before."""
        self._entry(credential).useless_until = self.clock() + USELESS

    def may_help(self, credential: DecryptedCredential) -> bool:
        """Return True if a renewal may help: the last one was not useless, or some time has passed."""
        return self.clock() >= self._entry(credential).useless_until

    def grants(self, credential: DecryptedCredential) -> GrantStore:
        """Return the grant in memory of a credential that brings its refresh token along, and has no row."""
        entry = self._entry(credential)
        with entry.lock:
            if entry.grants is None:
                entry.grants = MemoryGrants(credential.data["refresh_token"])
            return entry.grants

    def _entry(self, credential: DecryptedCredential) -> _CachedToken:
        values = json.dumps([credential.type, dict(credential.data)], sort_keys=True).encode()
        key = hashlib.sha256(values).digest()
        with self._lock:
            entry = self._entries.setdefault(key, _CachedToken())
            self._entries.move_to_end(key)
            if len(self._entries) > self.most:
                self._entries.popitem(last=False)
        return entry


TOKENS = Tokens()


def get_token(
    credential: DecryptedCredential, ctx: Context, tokens: Tokens = TOKENS, rejected: str = ""
) -> IssuedToken:
    """Return a token for the credential, which is redacted in the run.

    `rejected` is an access token of a grant that the service does not accept any more: another one is got.
    """
    if credential.type in GRANT_TYPES:
        token = _get_grant_token(credential, ctx, tokens, rejected)
    else:
        token = tokens.get(credential, lambda: _request_token(credential, ctx), ctx.seconds_left(MAX_WAIT))
    ctx.hide(token.value)
    return token


def _request_token(credential: DecryptedCredential, ctx: Context) -> tuple[str, float]:
    """Return a new token and its lifetime in seconds."""
    data = credential.data
    try:
        if credential.type == SERVICE_ACCOUNT:
            now = ctx.now_ms() // 1000
            issued = request_by_assertion(read_key(data), data["scope"], data.get("subject", ""), now, ctx)
        else:
            issued = request_for_client(settings_of(credential.type, data), data.get("audience", ""), ctx)
    except NodeError as error:
        raise error.at(f"{credential.label} got no token") from None
    return issued.access_token, DEFAULT_LIFE if issued.life is None else min(issued.life, MAX_CACHED_LIFE)


def get_token_host(credential: DecryptedCredential) -> str:
    """Return the host of the server that issues the tokens of the credential."""
    data = credential.data
    if credential.type == SERVICE_ACCOUNT:
        return get_host(read_key(data)["token_url"])
    return get_host(settings_of(credential.type, data).token_url)


# Grants


def find_grants(credential: DecryptedCredential, tokens: Tokens = TOKENS) -> GrantStore:
    """Return the store of the credential's grant. Raises: NodeError if it can have none here."""
    if credential.grants is not None:
        return credential.grants
    if credential.type == REFRESH_TOKEN:
        return tokens.grants(credential)
    raise NodeError(
        f"{credential.label} is an account that a person connects in the app; it is not connected here",
        permanent=True,
        kind="credential",
    )


def _get_grant_token(credential: DecryptedCredential, ctx: Context, tokens: Tokens, rejected: str) -> IssuedToken:
    store, seconds = find_grants(credential, tokens), ctx.seconds_left(MAX_WAIT)
    deadline = time.monotonic() + seconds
    while True:
        grant = _read(credential, store)
        now = ctx.now_ms()
        is_valid = _is_valid(grant, now) and grant.access_token != rejected
        renewal = _find_renewal(credential, grant, now)
        if is_valid and not (renewal and _is_due(grant, now)):
            return _make_token(grant, now)
        if not renewal and not is_valid:
            if (last := store.claim(grant)) is not None:
                store.mark(last, "revoked", ENDED)
            raise NodeError(f"{credential.label}: {ENDED}; {CONNECT_AGAIN}", permanent=True, kind="credential")
        lease = store.claim(grant) if renewal else None
        if lease is not None:
            renewed = _refresh(credential, store, replace(grant, refresh_token=renewal), lease, ctx, is_valid)
            if renewed is not None:
                return renewed
        elif is_valid:  # another one is refreshing it, and it can be used meanwhile
            return _make_token(grant, now)
        elif time.monotonic() >= deadline:
            raise TimedOut(f"{credential.label} got no token within {seconds:.3g} s: another process is refreshing it")
        else:
            ctx.pause(POLL)


def _read(credential: DecryptedCredential, store: GrantStore) -> Grant:
    """Return the grant. Raises: NodeError if there is none, or the service has revoked it."""
    grant = store.read()
    if grant is None:
        text = f"{credential.label} is not connected: connect the account in Credentials"
    elif grant.status == "revoked":
        text = f"{credential.label} is not connected any more ({grant.reason or 'revoked'}): {CONNECT_AGAIN}"
    else:
        return grant
    raise NodeError(text, permanent=True, kind="credential")


def _is_valid(grant: Grant, now: int) -> bool:
    """Return True if the access token can be used, as far as its times tell."""
    return bool(grant.access_token) and (grant.expires_at is None or now < grant.expires_at)


def _find_renewal(credential: DecryptedCredential, grant: Grant, now: int) -> str:
    """Return the token that gets new ones: the refresh token, or a valid access token if the service exchanges it."""
    if grant.refresh_token or not settings_of(credential.type, credential.data).longer_grant:
        return grant.refresh_token
    return grant.access_token if grant.expires_at is not None and _is_valid(grant, now) else ""


def _is_due(grant: Grant, now: int) -> bool:
    """Return True if it is time for a new access token, or the clock was set back so far that nobody knows."""
    if grant.refresh_at is None:  # nothing renewed it so far
        return not grant.refresh_token and grant.expires_at is not None
    return now >= grant.refresh_at or (grant.obtained_at is not None and now < grant.obtained_at - AHEAD_MS)


def _make_token(grant: Grant, now: int) -> IssuedToken:
    life = float("inf") if grant.expires_at is None else (grant.expires_at - now) / 1000
    return IssuedToken(grant.access_token, life, life)


def _refresh(
    credential: DecryptedCredential, store: GrantStore, grant: Grant, lease: str, ctx: Context, is_valid: bool
) -> IssuedToken | None:
    """Refresh the grant, whose lease this thread has, and return its new token; None if it was replaced meanwhile.

    If the present token `is_valid`, it is used once more after a failure that may pass.
    """
    try:
        issued = store.unsaved(grant)
        if issued is None:
            issued = refresh(settings_of(credential.type, credential.data), grant.refresh_token, ctx)
        now = ctx.now_ms()
        ctx.hide(issued.access_token, issued.refresh_token)
        return _make_issued(issued) if store.keep(lease, grant, issued, now) else None
    except TokenRefused as error:
        store.mark(lease, "revoked" if error.is_revoked else "error", ctx.clean(error.message))
        if is_valid and not error.is_revoked:
            return _use_once_more(credential, grant, ctx, error)
        advice = f"; {CONNECT_AGAIN}" if error.is_revoked and credential.type == ACCOUNT else ""
        text = f"{credential.label} got no token: {error.message}{advice}"
        raise NodeError(text, permanent=True, kind="credential") from None
    except NodeError as error:
        store.release(lease)
        if is_valid and error.kind != "storage":
            return _use_once_more(credential, grant, ctx, error)
        raise error.at(f"{credential.label} got no token") from None
    except BaseException:
        store.release(lease)
        raise


def _use_once_more(credential: DecryptedCredential, grant: Grant, ctx: Context, error: NodeError) -> IssuedToken:
    ctx.log("warning", f"{credential.label} could not be refreshed yet: {error.message}")
    return _make_token(grant, ctx.now_ms())


def _make_issued(issued: Issued) -> IssuedToken:
    life = float("inf") if issued.life is None else issued.life
    return IssuedToken(issued.access_token, life, life)


def may_renew(credential: DecryptedCredential, token: IssuedToken, ctx: Context, tokens: Tokens = TOKENS) -> bool:
    """Return True if a token that the service rejects can be replaced by another one."""
    grant = find_grants(credential, tokens).read()
    if grant is None or grant.status == "revoked":
        return False
    if grant.access_token != token.value:
        return True
    return bool(_find_renewal(credential, grant, ctx.now_ms())) and tokens.may_help(credential)


def check_grant(credential: DecryptedCredential, ctx: Context) -> str:
    """Return a message about the answer of the token server to a refresh, or about the end of the access.

    Raises: NodeError if it refuses; Untested for tokens that cannot be refreshed, or could not be stored.
    """
    if credential.grants is None:
        raise Untested("Save the credential first, and connect the account if it is one: a test may change its tokens")
    server, token = get_token_host(credential), get_token(credential, ctx)
    grant = credential.grants.read()
    at = None if grant is None else grant.refreshed_at
    if (at is None or not 0 <= ctx.now_ms() - at < FRESH_MS) and may_renew(credential, token, ctx):
        token = get_token(credential, ctx, rejected=token.value)
        grant = credential.grants.read()
    if grant is None or grant.refreshed_at is None:
        raise Untested(f"The account is connected; {server} gives no way to test that without an address. Enter a URL")
    return f"{server} issued a token" + ("" if token.life == float("inf") else f" valid for {token.life:.6g} s")


# Requests


class ServerToken(AccessToken):
    """A token that a server issues to the client itself, kept in the cache until it ends."""

    tokens = TOKENS
    token: IssuedToken | None = None
    rejected = ""

    def get_value(self) -> str:
        self.token = get_token(self.credential, self.ctx, self.tokens, self.rejected)
        return self.token.value

    def reject(self) -> bool:
        if self.token is not None:
            self.tokens.forget(self.credential, self.token)
        return True

    def test(self, has_url: bool) -> str:
        self.tokens = Tokens()  # a test gets a token of its own
        token = get_token(self.credential, self.ctx, self.tokens)
        return f"{get_token_host(self.credential)} issued a token valid for {token.life:g} s"


class GrantToken(ServerToken):
    """A token of a grant, which is refreshed once for all threads and processes if the service rejects it."""

    def reject(self) -> bool:
        if self.token is None or not may_renew(self.credential, self.token, self.ctx, self.tokens):
            return False
        self.rejected = self.token.value
        return True

    def note_rejected(self) -> None:
        self.tokens.note_useless(self.credential)

    def test(self, has_url: bool) -> str:
        if not has_url:
            return check_grant(self.credential, self.ctx)
        self.tokens = Tokens()
        return ""
