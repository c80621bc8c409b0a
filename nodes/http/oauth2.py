"""Tokens of OAuth2 for clients (RFC 6749, section 4.4), kept for as long as they are good.

They are kept by process, under the values of the credential: whoever changes one of these gets a new token.
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

from errors import NodeError
from net.egress import Answer, host_of
from nodes.credentials.keyring import Credential
from nodes.http.response import as_json, asked_to_wait, is_permanent, shown

if TYPE_CHECKING:
    from nodes.base import Context

OAUTH2 = "oauth2_client_credentials"
MOST_TOKENS = 500
LONGEST_TOKEN = 20_000
# Seconds that a token is kept where nobody says for how long it is good, and at most.
USUAL_LIFE, LONGEST_LIFE = 300.0, 86_400.0
# A token is not used in the last of its time, for it has to arrive while it is good.
MARGIN = 30.0
PATIENCE = 30.0


class Token(NamedTuple):
    """A token, and until when it is used, by the clock of whoever keeps it; `life` is what the server said."""

    value: str
    ends: float
    life: float


class _Place:
    """Where one credential's token is kept; whoever holds the lock is asking for a new one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.token: Token | None = None


class Tokens:
    """The tokens of a process, up to so many; those that were not used for the longest time go first. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = MOST_TOKENS) -> None:
        self.clock, self.most = clock, most
        self._places: OrderedDict[bytes, _Place] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, credential: Credential, ask: Callable[[], tuple[str, float]], seconds: float) -> Token:
        """The token of the credential; where there is none, `ask` gives one and for how long it is good.

        One thread asks, others wait for it, up to so many seconds.
        """
        place = self._place(credential)
        token = place.token
        if token is not None and self.clock() < token.ends:
            return token
        if not place.lock.acquire(timeout=seconds):
            raise NodeError(f"{credential.label}: no token within {seconds:.3g} s")
        try:
            token = place.token
            if token is None or self.clock() >= token.ends:
                value, life = ask()
                place.token = token = Token(value, self.clock() + life - min(MARGIN, life / 10), life)
            return token
        finally:
            place.lock.release()

    def forget(self, credential: Credential, token: Token) -> None:
        """Do not use this token any more; one that was got meanwhile stays."""
        place = self._place(credential)
        if place.token is token:
            place.token = None

    def _place(self, credential: Credential) -> _Place:
        values = json.dumps(dict(credential.data), sort_keys=True).encode()
        key = hashlib.sha256(values).digest()
        with self._lock:
            place = self._places.setdefault(key, _Place())
            self._places.move_to_end(key)
            if len(self._places) > self.most:
                self._places.popitem(last=False)
        return place


TOKENS = Tokens()


def token_of(credential: Credential, ctx: Context, tokens: Tokens = TOKENS) -> Token:
    """A token for the credential, which the run strikes out of its record."""
    token = tokens.get(credential, lambda: _ask(credential, ctx), ctx.seconds_left(PATIENCE))
    if ctx.keyring is not None:
        ctx.keyring.hide(token.value)
    return token


def _ask(credential: Credential, ctx: Context) -> tuple[str, float]:
    """Ask the token server. The request is not led elsewhere: what is in it is for that server alone."""
    data = credential.data
    url = data["token_url"]
    headers, form = _request(data)
    if ctx.keyring is not None:
        ctx.keyring.hide(headers.get("Authorization", "").removeprefix("Basic "))
    try:
        answer: Answer = (
            ctx.need_services()
            .http()
            .fetch(
                "POST",
                url,
                seconds=ctx.seconds_left(PATIENCE),
                headers=list(headers.items()),
                content=urlencode(form).encode(),
                follow_redirects=False,
            )
        )
    except NodeError as error:
        raise NodeError(f"{_who(credential)}: {error.message}", error.permanent) from None
    return _read(credential, answer, ctx)


def _request(data: Any) -> tuple[dict[str, str], dict[str, str]]:
    """The headers and the form of the request for a token."""
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    form = {"grant_type": "client_credentials"}
    form |= {name: data[name] for name in ("scope", "audience") if data.get(name)}
    if data["auth"] == "body":
        form |= {"client_id": data["client_id"], "client_secret": data["client_secret"]}
    else:
        # RFC 6749, section 2.3.1: both are written as in a form before they are joined.
        pair = f"{quote_plus(data['client_id'])}:{quote_plus(data['client_secret'])}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return headers, form


def _who(credential: Credential) -> str:
    return f"{credential.label} got no token"


def _read(credential: Credential, answer: Answer, ctx: Context) -> tuple[str, float]:
    """The token of an answer, and for how many seconds it is good."""
    server = host_of(credential.data["token_url"])
    if not 200 <= answer.status < 300:
        said = shown(answer, ctx.keyring.clean_text if ctx.keyring is not None else str)
        text = f"{_who(credential)}: {server} answered {answer.status}" + (f": {said}" if said else "")
        raise NodeError(text, is_permanent(answer.status), asked_to_wait(answer) or 0.0)
    given = _json(credential, answer)
    value = given.get("access_token") if isinstance(given, dict) else None
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TOKEN or not value.isascii() or " " in value:
        raise NodeError(f"{_who(credential)}: there is none in what {server} answered", permanent=True)
    if not value.isprintable() or str(given.get("token_type", "bearer")).lower() != "bearer":
        raise NodeError(f"{_who(credential)}: {server} gave one that is no bearer token", permanent=True)
    return value, _life(given.get("expires_in"))


def _json(credential: Credential, answer: Answer) -> Any:
    try:
        return as_json(answer)
    except NodeError as error:
        raise NodeError(f"{_who(credential)}: {error.message}", permanent=True) from None


def _life(said: Any) -> float:
    """For how many seconds a token is good, some servers say it as text; as usual where it is not said."""
    try:
        life = float(said)
    except (TypeError, ValueError, OverflowError):
        return USUAL_LIFE
    return min(life, LONGEST_LIFE) if life > 0 else 0.0
