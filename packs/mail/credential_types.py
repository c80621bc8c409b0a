"""Types of credentials of mail servers, mailboxes and services of notices."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from marshmallow import ValidationError, validates_schema

from constants import TOKEN_TYPES
from nodes.credentials.base import CredentialType, check_host, port, secret, text
from nodes.fields import choice, credential

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

    title = "Notification service"
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
