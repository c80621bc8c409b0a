"""Calls of web services, as nodes make them: the credential goes along, and a server that asks to wait is waited for.

The client, with its rules about addresses and sizes, is `net/egress.py`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from errors import NodeError
from net.egress import SAFE_HEADERS, Answer, Save, host_of
from nodes.credentials.keyring import Credential, Untested, checks
from nodes.http.body import NOTHING, Body
from nodes.http.oauth2 import OAUTH2, TOKENS, Token, Tokens, token_of
from nodes.http.response import ERROR_BYTES, asked_to_wait, is_permanent, shown

if TYPE_CHECKING:
    from nodes.base import Context

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
CREDENTIALS = ("http_basic", "http_bearer", "http_header", OAUTH2)
# The length and the connection are the client's business: a wrong one would let a request smuggle in another.
REFUSED_HEADERS = {"connection", "content-length", "transfer-encoding", "upgrade"}
PORT = re.compile(r":[0-9]*\Z")
# How often a server that asks to wait is asked again, and how many seconds are waited for it in all. People expect a
# 429 to be waited out, but a thread must not be held for long: beyond this, `retry` waits.
MOST_TRIES, LONGEST_WAIT = 3, 60.0


@dataclass(frozen=True, slots=True)
class Call:
    """One request. With `only_good`, an answer of status 400 or more is a failure, and one that asks to wait is waited
    for. `save` says where the body of the answer goes, None for into memory. `part` tells the idempotency keys of
    several requests of one execution apart.
    """

    method: str
    url: str
    seconds: float
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = NOTHING
    follow_redirects: bool = True
    only_good: bool = True
    save: Save | None = None
    part: str = ""


class Caller:
    """What one execution of a node calls services with. `allow` raises NodeError for a host that may not be asked, also
    where a redirect leads there.
    """

    def __init__(
        self,
        ctx: Context,
        credential: Credential | None = None,
        *,
        patient: bool = True,
        tokens: Tokens = TOKENS,
        allow: Callable[[str], None] | None = None,
    ) -> None:
        self.ctx, self.credential, self.patient, self.tokens, self.allow = ctx, credential, patient, tokens, allow
        self.client = ctx.need_services().http()
        self.clean = str if ctx.keyring is None else ctx.keyring.clean_text
        self.token: Token | None = None

    def answer(self, call: Call) -> Answer:
        """The answer; NodeError where there is none, or where it is a failure."""
        waited, tries = 0.0, 0
        while True:
            answer = self._authorized(call)
            if answer.status < 400 or not call.only_good:
                return answer
            asked = asked_to_wait(answer)
            if not self._may_wait(asked, waited, tries):
                raise self._failure(answer, asked)
            self.ctx.log("info", f"{answer.who} answered {answer.status} and asked to wait {asked:g} s")
            self.ctx.pause(asked or 0.0)
            waited, tries = waited + (asked or 0.0), tries + 1

    def _may_wait(self, asked: float | None, waited: float, tries: int) -> bool:
        if asked is None or not self.patient or tries >= MOST_TRIES:
            return False
        return asked < self.ctx.seconds_left(LONGEST_WAIT - waited)

    def _failure(self, answer: Answer, asked: float | None) -> NodeError:
        text = f"{answer.who} answered {answer.status} {answer.reason}".rstrip()
        if asked is not None:
            text += f" and asked to wait {asked:.12g} s"
        said = shown(answer, self.clean)
        return NodeError(f"{text}: {said}" if said else text, is_permanent(answer.status), asked or 0.0)

    def _authorized(self, call: Call) -> Answer:
        """Send it; a token that is refused is got anew, once."""
        answer = self._send(call)
        if answer.status == 401 and self.token is not None and self.credential is not None:
            self.tokens.forget(self.credential, self.token)
            answer = self._send(call)
        return answer

    def _send(self, call: Call) -> Answer:
        for host in _hosts(call):
            self._check(host, self._texts(call))
        answer: Answer = self.client.fetch(
            call.method,
            call.url,
            headers=self._headers(call),
            seconds=self.ctx.seconds_left(call.seconds),
            content=call.body.content,
            follow_redirects=call.follow_redirects,
            save=call.save,
            error_bytes=ERROR_BYTES if call.only_good else None,
            allow=lambda url, with_body: self._check(host_of(url), self._led_on(call, url, with_body)),
        )
        return answer

    def _check(self, host: str, texts: Iterable[str]) -> None:
        """NodeError for a host that may not be asked, or that may not be told a secret which came by an expression."""
        if self.allow is not None:
            self.allow(host)
        if self.ctx.keyring is not None and self.ctx.keyring.has_shown:
            self.ctx.keyring.check_host(host, texts)

    def _texts(self, call: Call) -> Iterator[str]:
        """What an expression may have put a secret into."""
        yield call.url
        for name, value in (*call.headers.items(), *call.body.headers.items()):
            yield name
            yield value
        yield from call.body.texts

    def _led_on(self, call: Call, url: str, with_body: bool) -> Iterator[str]:
        """What of that goes along to another site, which a redirect leads to: not the headers, but for a few."""
        yield url
        yield from (value for name, value in call.headers.items() if name.lower() in SAFE_HEADERS)
        if with_body:
            yield from (*call.body.headers.values(), *call.body.texts)

    def _headers(self, call: Call) -> list[tuple[str, str]]:
        """The headers: as the call says, then the credential's, then ours where the call has none of that name."""
        sent = [(name, value.strip()) for name, value in call.headers.items()]
        names = {name.lower() for name in call.headers}
        if not names.isdisjoint(REFUSED_HEADERS):
            raise NodeError(f"the header {min(names & REFUSED_HEADERS)} cannot be set", permanent=True)
        if self.credential is not None:
            sent.append(self._proof(self.credential, call, names))
        ours = {"Idempotency-Key": self.ctx.idempotency_key + call.part, **call.body.headers}
        sent += [(name, value) for name, value in ours.items() if name.lower() not in names]
        return sent

    def _proof(self, credential: Credential, call: Call, names: set[str]) -> tuple[str, str]:
        """The header with the credential, if the host may be told."""
        for host in _hosts(call):
            credential.check_host(host)
        name: str = credential.data["name"] if credential.type == "http_header" else "Authorization"
        if name.lower() in names:
            raise NodeError(f"the header {name} is in the headers and in the credential: leave one out", permanent=True)
        if name.lower() in SAFE_HEADERS | REFUSED_HEADERS:
            raise NodeError(f"the header {name} of {credential.label} is no place for a secret", True)
        if name == "Authorization" and has_user(call.url):
            raise NodeError("the address has a user name, and there is a credential: leave one out", permanent=True)
        if credential.type == OAUTH2:
            self.token = token_of(credential, self.ctx, self.tokens)
            return name, f"Bearer {self.token.value}"
        return name, proof_of(credential)


def _hosts(call: Call) -> Iterator[str]:
    """Who is asked: the host of the address and, where a server has several sites, the one that a header names."""
    yield host_of(call.url)
    for name, value in call.headers.items():
        if name.lower() == "host":
            yield PORT.sub("", value.strip()).strip("[]")


def proof_of(credential: Credential) -> str:
    """The header's value for a credential whose own values are sent."""
    data = credential.data
    if credential.type == "http_basic":
        pair = f"{data['username']}:{data['password']}".encode()
        return "Basic " + base64.b64encode(pair).decode()
    if credential.type == "http_bearer":
        return f"Bearer {data['token'].strip()}"
    value: str = data["value"]
    return value.strip()


def has_user(url: str) -> bool:
    """Whether the address has a user name in it."""
    import httpx

    return bool(httpx.URL(url).userinfo)


@checks(*CREDENTIALS)
def try_out(credential: Credential, ctx: Context, asked: Mapping[str, Any]) -> str:
    """Get a token where the credential is for that, and ask for `url` with the credential where one is given."""
    url, tokens, found = asked.get("url"), Tokens(), []
    if credential.type == OAUTH2:
        token = token_of(credential, ctx, tokens)
        found.append(f"{host_of(credential.data['token_url'])} gave a token that is good for {token.life:g} s")
    if isinstance(url, str) and url.strip():
        caller = Caller(ctx, credential, patient=False, tokens=tokens)
        answer = caller.answer(Call("GET", url.strip(), ctx.seconds_left(15)))
        found.append(f"{host_of(url.strip())} answered {answer.status} {answer.reason}".rstrip())
    if not found:
        raise Untested("Enter a URL to test against")
    return "; ".join(found)
