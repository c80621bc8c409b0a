"""Servers of mail: their credential types, connections with limits, and the login with an access token."""

from __future__ import annotations

import io
import re
import socket
import ssl
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from marshmallow import ValidationError, validates_schema

from constants import TOKEN_TYPES
from errors import NodeError
from nodes.credentials.base import CredentialType, check_host, port, secret, text
from nodes.credentials.keyring import DecryptedCredential
from nodes.fields import choice, credential
from nodes.http.authorization import AccessToken, authorize

if TYPE_CHECKING:
    from nodes.base import Context


# Types of credentials of mail servers, mailboxes and services of notices.

PLAIN_LOGIN = "\0{username}\0{password}"  # SASL's PLAIN, RFC 4616


def _security(default: str) -> Any:
    return choice(
        "How to encrypt the connection. Use none only in a trusted network",
        {"tls": "TLS", "starttls": "STARTTLS", "none": "None"},
        literal=False,
        title="Encryption",
        load_default=default,
    )


def _token_from() -> Any:
    return credential(
        "The OAuth2 credential whose access tokens log in, instead of a password. The mail server must be one of its "
        "allowed hosts",
        *TOKEN_TYPES,
        title="Log in with",
    )


def _check_login(data: Mapping[str, Any]) -> None:
    """Require exactly one of a password and a credential with tokens."""
    if data.get("password") and data.get("token_from"):
        raise ValidationError("Set either a password or the credential to log in with, not both.", "password")
    if not data.get("password") and not data.get("token_from"):
        raise ValidationError("A password, or the credential to log in with, is required.", "password")


class Smtp(CredentialType):
    """A server that sends mail."""

    title = "SMTP"
    login = PLAIN_LOGIN
    host = text("The server: smtp.example.com", check_host, required=True, title="Host")
    port = port(587)
    security = _security("starttls")
    username = text("The user name. Without it, the server is used without login", title="User name")
    password = secret("The password", title="Password")
    token_from = _token_from()
    sender = text("The default sender of mails: Shop <shop@example.com>", title="Sender")

    @validates_schema
    def has_both_or_none(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """Require one way to log in if there is a user name, and the user name otherwise."""
        if data.get("username"):
            _check_login(data)
        elif data.get("password") or data.get("token_from"):
            raise ValidationError("A user name is required to log in.", "username")


class Imap(CredentialType):
    """A mailbox."""

    title = "IMAP"
    login = PLAIN_LOGIN
    host = text("The server: imap.example.com", check_host, required=True, title="Host")
    port = port(993)
    security = _security("tls")
    username = text("The user name", required=True, title="User name")
    password = secret("The password", title="Password")
    token_from = _token_from()

    @validates_schema
    def can_log_in(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """Require one way to log in."""
        _check_login(data)


# Services that access this machine, or (the last row) need threads of their own, outside the guard.
LOCAL_SERVICES = {
    *("blink1", "dbus", "exec", "file", "gio", "glib", "gnome", "kde", "macosx", "memory", "qt", "syslog", "windows"),
    *("mqtt", "mqtts", "smpp", "smpps", "xmpp", "xmpps"),
}
# Options of Apprise URLs that are not secret.
OPEN_OPTIONS = {
    *("avatar", "batch", "bcc", "cc", "cto", "emojis", "footer", "format", "from", "image", "lang", "method", "mode"),
    *("name", "optional", "overflow", "priority", "redirect", "region", "retry", "rto", "sound", "store", "tags", "to"),
    *("tts", "tz", "verify", "wait"),
}
# Matches words; text with digits, signs or inner capitals is more likely a key.
WORD = re.compile(r"[A-Za-z]?[a-z]{0,20}\Z|[A-Z]{0,12}\Z")


def check_service(url: str) -> None:
    """Reject text that is not a service URL, and services that access this machine."""
    scheme, colon, rest = url.strip().partition("://")
    if colon and scheme.lower() in LOCAL_SERVICES:
        raise ValidationError(f"{scheme.lower()}:// is not supported.")
    if not colon or not rest or not re.match(r"[A-Za-z][A-Za-z0-9+.-]{0,30}\Z", scheme):
        raise ValidationError("Must be an Apprise URL such as slack://… or https://….")


class ServiceUrl(CredentialType):
    """A notification service as an Apprise URL: slack://…, discord://…, ntfy://…, mailto://… and a hundred more."""

    title = "Notification address"
    main = "url"
    url = secret(
        "The URL of the service. See https://appriseit.com/services/ for the formats",
        check_service,
        required=True,
        title="Service URL",
    )

    @classmethod
    def secrets(cls, data: Mapping[str, Any]) -> list[str]:
        """Return the URL, its password, and parts that look like keys, because only the service knows which are."""
        url = data["url"]
        head, _, query = url.partition("://")[2].partition("?")
        place, _, path = head.partition("/")
        login, _, host = place.rpartition("@")
        name, _, password = login.partition(":")
        options = [pair.partition("=") for pair in query.split("&")]
        values = [value for key, _, value in options if key.lower().lstrip("+-:") not in OPEN_OPTIONS]
        if len(name) >= 8 and not password:
            password = name  # usually a token
        # Some services have keys in place of a host.
        in_host = [] if "." in host or host.startswith("[") else host.split(":")
        keys = [part for part in (name, *in_host, *path.split("/"), *values) if _is_key(unquote(part))]
        return [url, *({form for part in (password, *keys) if part for form in (part, unquote(part))})]


def _is_key(text: str) -> bool:
    text = text.lstrip("#")  # of a channel's name
    return len(text) >= 8 and "@" not in text and WORD.match(text) is None


# Wire: a connection to a mail server, with a deadline for everything and a limit on the data received.

PIECE = 64 * 1024


class TooMuchData(OSError):
    """The server sent more data than permitted."""


class Wire:
    """A connection until `end`, on the clock of `time.monotonic`. Serves as the socket of `smtplib`."""

    def __init__(self, sock: socket.socket, end: float, max_bytes: int) -> None:
        self.sock, self.end, self.max_bytes = sock, end, max_bytes
        self.received = 0

    def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Start TLS with a server that has a certificate for `host`."""
        self._wait()
        self.sock = context.wrap_socket(self.sock, server_hostname=host)

    def sendall(self, data: bytes) -> None:
        """Send all data."""
        for start in range(0, len(data), PIECE):
            self._wait()
            self.sock.sendall(data[start : start + PIECE])

    def receive(self, buffer: Any) -> int:
        """Fill the buffer with received data; return the number of bytes, 0 at the end."""
        self._wait()
        count = self.sock.recv_into(buffer)
        self.received += count
        if self.received > self.max_bytes:
            raise TooMuchData(f"the server sent more than {self.max_bytes:,} bytes")
        return count

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return a reader of the received data, also after TLS is started. Closing it closes nothing else."""
        return io.BufferedReader(_Received(self), PIECE)

    def close(self) -> None:
        """Close the connection."""
        self.sock.close()

    def _wait(self) -> None:
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.sock.settimeout(left)


class _Received(io.RawIOBase):
    """The raw stream behind `Wire.makefile`."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self.wire.receive(buffer)


# XOAUTH2: login at a mail server with an access token in place of a password (SASL).
#
# Source: https://developers.google.com/workspace/gmail/imap/xoauth2-protocol, which Microsoft's servers speak too.


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
