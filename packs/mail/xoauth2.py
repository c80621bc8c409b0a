"""XOAUTH2: login at a mail server with an access token in place of a password (SASL).

Source: https://developers.google.com/workspace/gmail/imap/xoauth2-protocol, which Microsoft's servers speak too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from constants import TOKEN_TYPES
from errors import NodeError
from nodes.credentials.keyring import DecryptedCredential
from nodes.http.authorization import AccessToken, authorize

if TYPE_CHECKING:
    from nodes.base import Context


class MailToken:
    """The tokens for one mail server, from the credential that `token_from` of its credential names."""

    def __init__(self, server: DecryptedCredential, ctx: Context) -> None:
        source = ctx.credential(server.data["token_from"], *TOKEN_TYPES)
        source.check_host(server.data["host"])
        authorization = authorize(source, ctx)
        assert isinstance(authorization, AccessToken)
        self.server, self.ctx, self.authorization = server, ctx, authorization

    def make_login(self) -> str:
        """Return the text to send, before its encoding in base64. Raises: NodeError if there is no token."""
        self.authorization.prepare()
        login = f"user={self.server.data['username']}\x01auth=Bearer {self.authorization.value}\x01\x01"
        self.ctx.hide(login)
        return login

    def renew(self, is_last: bool) -> bool:
        """Return True if another token can be got than this one, which the server refused, for one more attempt."""
        if is_last:
            self.authorization.note_rejected()
            return False
        return self.authorization.reject()


def find_token(server: DecryptedCredential, ctx: Context) -> MailToken | None:
    """Return the tokens for a mail server; None if it has a password.

    Raises: NodeError if they may not be sent there.
    """
    return MailToken(server, ctx) if server.data.get("token_from") else None


def refusal(where: str, said: str) -> NodeError:
    """Return the error of a login that was refused with a fresh token too."""
    return NodeError(f"{where} rejected the access token: {said}", permanent=True, kind="credential")
