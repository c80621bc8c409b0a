"""Authorization of HTTP requests: how a credential of each type is put on the requests of a node.

There is one class a type. The caller in `client.py` checks that the credential may be sent to the host, and that no
header is set twice, before it uses one. The transport signs a request once more after a redirect on the same site, and
never after one to another site.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from net.egress import Answer
from nodes.credentials.keyring import Credential
from nodes.http.oauth2 import OAUTH2, Token, Tokens, get_token

if TYPE_CHECKING:
    from nodes.base import Context


class Authorization:
    """Puts one credential on the requests of one node. A type overrides what it needs.

    Everything that is derived from the credential, such as a token or a signature, must be redacted: `ctx.hide(value)`.
    """

    def __init__(self, credential: Credential, ctx: Context, tokens: Tokens) -> None:
        self.credential, self.ctx, self.tokens, self.data = credential, ctx, tokens, credential.data

    def header_names(self) -> tuple[str, ...]:
        """Return the names of the headers that it sets, which the request must not set too."""
        return ("Authorization",)

    def prepare(self) -> None:
        """Get what the request needs, such as a token. Called before each request, outside of its time limit."""

    def sign(self, request: Any) -> None:
        """Add headers or query parameters to an `httpx.Request`, or sign it: nothing else of it changes afterwards."""

    def renew(self, answer: Answer) -> bool:
        """Return True if the request must be sent once more, for example with a new token.

        Called with a response whose status is 401, at most once for each request.
        """
        return False


class Basic(Authorization):
    """A user name and a password (RFC 7617)."""

    def sign(self, request: Any) -> None:
        pair = f"{self.data['username']}:{self.data['password']}".encode()
        request.headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()


class Bearer(Authorization):
    """A fixed token (RFC 6750)."""

    def sign(self, request: Any) -> None:
        request.headers["Authorization"] = f"Bearer {self.data['token'].strip()}"


class Header(Authorization):
    """A secret in a header with a name of its own."""

    def header_names(self) -> tuple[str, ...]:
        return (self.data["name"],)

    def sign(self, request: Any) -> None:
        request.headers[self.data["name"]] = self.data["value"].strip()


class AccessToken(Authorization):
    """A token that a server issues for the credential; a new one if the service rejects it before it expires."""

    token: Token | None = None

    def prepare(self) -> None:
        self.token = self.get_token()

    def get_token(self) -> Token:
        """Return a valid token, which is redacted. Raises: NodeError if there is none."""
        return get_token(self.credential, self.ctx, self.tokens)

    def sign(self, request: Any) -> None:
        assert self.token is not None
        request.headers["Authorization"] = f"Bearer {self.token.value}"

    def renew(self, answer: Answer) -> bool:
        if self.token is not None:
            self.tokens.forget(self.credential, self.token)
        return True


# The types of credentials that HTTP requests accept. `constants.HTTP_CREDENTIALS` names the same.
AUTHORIZATIONS: dict[str, type[Authorization]] = {
    "http_basic": Basic,
    "http_bearer": Bearer,
    "http_header": Header,
    OAUTH2: AccessToken,
}
CREDENTIALS = tuple(AUTHORIZATIONS)


def authorize(credential: Credential, ctx: Context, tokens: Tokens) -> Authorization:
    """Return the authorization of the requests of one node by the credential, which is of one of `CREDENTIALS`."""
    return AUTHORIZATIONS[credential.type](credential, ctx, tokens)
