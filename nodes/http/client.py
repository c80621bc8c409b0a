"""HTTP client of nodes: sends the credential to its hosts only, and waits if a server asks for it (Retry-After).

How a credential of each type is put on a request is in `authorization.py`; the transport, with its rules about
addresses and sizes, is `net/egress.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

from constants import HTTP_CREDENTIALS
from errors import ErrorKind, NodeError
from net.egress import SAFE_HEADERS, HttpClient, HttpResponse, RequestOptions, Save, get_host
from nodes.base import Context
from nodes.credentials.keyring import DecryptedCredential
from nodes.credentials.redaction import is_in
from nodes.credentials.types import TYPES, Untested, checks
from nodes.http.authorization import Authorization, authorize
from nodes.http.body import ERROR_BYTES, NO_BODY, RequestBody, get_retry_after, is_permanent, kind_of_status, quote_body
from server_log import CURRENT

# Controlled by the transport: a wrong value would allow request smuggling.
REFUSED_HEADERS = {"connection", "content-length", "transfer-encoding", "upgrade"}
PORT = re.compile(r":[0-9]*\Z")
# Limits on waiting for Retry-After: attempts, and seconds in total. Users expect a 429 to be waited out, but a thread
# must not be held for long: beyond this, `retry` waits.
MAX_TRIES, MAX_WAIT = 3, 60.0


class HttpRequest(NamedTuple):
    """A request. With `fail_on_error`, a response with status 400 or higher is an error, after waiting for Retry-After.
    `save` stores the response body, None keeps it in memory. `part` distinguishes the idempotency keys of several
    requests of one execution.
    """

    method: str
    url: str
    seconds: float
    headers: Mapping[str, str] = {}
    body: RequestBody = NO_BODY
    follow_redirects: bool = True
    fail_on_error: bool = True
    save: Save | None = None
    part: str = ""


class ErrorText(NamedTuple):
    """The error text in a response, and the kind of the error if it differs from that of the status."""

    text: str
    kind: ErrorKind | None = None


class HTTPClient:
    """Sends the requests of one execution. `allow` raises NodeError for a host that may not be called, also after a
    redirect. `explain` reads the body of an error; None: its beginning is shown as it is. `authorization` is that of
    the credential, if there is one already.
    """

    def __init__(
        self,
        ctx: Context,
        credential: DecryptedCredential | None = None,
        *,
        may_wait: bool = True,
        authorization: Authorization | None = None,
        allow: Callable[[str], None] | None = None,
        explain: Callable[[HttpResponse], ErrorText | None] = lambda answer: None,
    ) -> None:
        self.ctx, self.credential, self.may_wait, self.allow = ctx, credential, may_wait, allow
        self.explain = explain
        self.egress_client = ctx.need_services().http()
        self.authorization = authorization or (None if credential is None else authorize(credential, ctx))

    def answer(self, call: HttpRequest) -> HttpResponse:
        """Return the response. Raises: NodeError if there is none, or it is an error."""
        waited, tries = 0.0, 0
        while True:
            answer = self._send_authorized(call)
            if answer.status < 400 or not call.fail_on_error:
                return answer
            asked = get_retry_after(answer)
            may_wait = asked is not None and self.may_wait and tries < MAX_TRIES
            if asked is None or not may_wait or asked >= self.ctx.seconds_left(MAX_WAIT - waited):
                text = f"{answer.who} answered {answer.status} {answer.reason}".rstrip()
                if asked is not None:
                    text += f" and asks to wait {asked:.12g} s"
                error = self.explain(answer) or ErrorText(quote_body(answer, self.ctx.clean))
                text = f"{text}: {error.text}" if error.text else text
                kind = error.kind or kind_of_status(answer.status)
                raise NodeError(
                    text, is_permanent(answer.status) if error.kind is None else kind != "remote", asked or 0.0, kind
                )
            self.ctx.log("info", f"{answer.who} answered {answer.status}; waiting {asked:g} s as it asks (Retry-After)")
            self.ctx.pause(asked)
            waited, tries = waited + asked, tries + 1

    def _send_authorized(self, call: HttpRequest) -> HttpResponse:
        """Send the request; once again if it is refused and can be authorized anew."""
        answer = self._send(call)
        if answer.status != 401 or self.authorization is None or self.credential is None:
            return answer
        # A redirect may have led to another site, which must not choose the challenge.
        is_ours = self.credential.may_go_to(get_host(answer.url))
        if not is_ours or not self.authorization.renew(answer):
            return answer
        answer = self._send(call)
        if answer.status == 401:
            self.authorization.note_rejected()
        return answer

    def _send(self, call: HttpRequest) -> HttpResponse:
        named = [text for pair in (*call.headers.items(), *call.body.headers.items()) for text in pair]
        for host in _hosts(call):
            self._check(host, chain([call.url], named, call.body.texts()))  # into which expressions may put a secret
        # The headers of the call, and our own if the call does not set them.
        headers = [(name, value.strip()) for name, value in call.headers.items()]
        names = {name.lower() for name in call.headers}
        if refused := names & REFUSED_HEADERS:
            raise NodeError(f"the header {min(refused)} cannot be set; remove it", permanent=True)
        ours = {"Idempotency-Key": self.ctx.idempotency_key + call.part, **call.body.headers}
        if CURRENT.traceparent:
            ours["traceparent"] = CURRENT.traceparent
        headers += [(name, value) for name, value in ours.items() if name.lower() not in names]
        if self.authorization is None:
            return self._fetch(self.egress_client, call, headers)
        self._check_authorization(call)
        self.authorization.prepare()
        with self.authorization.open(self.egress_client) as client:
            return self._fetch(client, call, headers)

    def _fetch(self, client: HttpClient, call: HttpRequest, headers: list[tuple[str, str]]) -> HttpResponse:
        return client.fetch(
            call.method,
            call.url,
            headers=headers,
            seconds=self.ctx.seconds_left(call.seconds),
            content=call.body.content,
            follow_redirects=call.follow_redirects,
            options=RequestOptions(
                call.save,
                ERROR_BYTES if call.fail_on_error else None,
                lambda url, with_body: self._check_redirect(call, url, with_body),
                None if self.authorization is None else self.authorization.sign,
            ),
        )

    def _check_redirect(self, call: HttpRequest, url: str, with_body: bool) -> None:
        """Raise NodeError if a redirect to another site is not allowed, or would send a secret there."""
        host = get_host(url)
        # Only a few headers follow, and the body if it is kept.
        texts = [url, *(value for name, value in call.headers.items() if name.lower() in SAFE_HEADERS)]
        if with_body:
            texts += [*call.body.headers.values(), *call.body.texts()]
        self._check(host, texts)
        if self.credential is not None:
            # A server may repeat the query of the first URL in the address of the redirect.
            secrets = TYPES[self.credential.type].secrets(self.credential.data)
            if any(is_in(value, url) for value in secrets):
                self.credential.check_host(host)

    def _check(self, host: str, texts: Iterable[str]) -> None:
        """Raise NodeError if the host may not be called, or may not receive a secret in the texts."""
        if self.allow is not None:
            self.allow(host)
        self.ctx.check_secrets(host, texts)

    def _check_authorization(self, call: HttpRequest) -> None:
        """Raise NodeError if the host may not receive the credential, or the call sets the same header."""
        assert self.credential is not None and self.authorization is not None
        for host in _hosts(call):
            self.credential.check_host(host)
        given = {name.lower() for name in call.headers}
        for name in self.authorization.header_names():
            if name.lower() in given:
                raise NodeError(f"the header {name} is set by headers and by the credential; remove one", True)
            if name.lower() in SAFE_HEADERS | REFUSED_HEADERS:
                label = self.credential.label
                raise NodeError(f"the header {name} of {label} must not carry a secret; use another", True)
            if name == "Authorization" and has_user(call.url):
                raise NodeError("the URL has a user name, and a credential is set; remove one", permanent=True)


def _hosts(call: HttpRequest) -> Iterator[str]:
    """Yield the hosts of the call: that of the URL, and that in a Host header."""
    yield get_host(call.url)
    for name, value in call.headers.items():
        if name.lower() == "host":
            yield PORT.sub("", value.strip()).strip("[]")


def has_user(url: str) -> bool:
    """Return True if the URL has a user name."""
    import httpx2

    return bool(httpx2.URL(url).userinfo)


@checks(*HTTP_CREDENTIALS)
def check_credential(credential: DecryptedCredential, ctx: Context, asked: Mapping[str, Any]) -> str:
    """Test the login of the type, such as getting a token, and request `url` with the credential if it is given."""
    url = asked.get("url")
    url = url.strip() if isinstance(url, str) else ""
    authorization = authorize(credential, ctx)
    found = authorization.test(bool(url))
    if not url:
        if not found:
            raise Untested("Enter a URL to test against")
        return found
    client = HTTPClient(ctx, credential, may_wait=False, authorization=authorization)
    answer = client.answer(HttpRequest("GET", url, ctx.seconds_left(15)))
    answered = f"{get_host(url)} answered {answer.status} {answer.reason}".rstrip()
    return f"{found}; {answered}" if found else answered
