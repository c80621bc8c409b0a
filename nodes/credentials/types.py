"""Credential types: the values of each. All values are secret: no message may repeat one.

A type is one schema. It defines which fields are secret, which hosts the values name, and the value of `secrets.<name>`
in expressions. The test of a type is in its family of nodes (see `checks`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from marshmallow import ValidationError, fields, validate, validates_schema

from nodes.catalogue_schema import json_schema
from nodes.credentials.base import (
    MAX_KEY,
    NO_HOSTS,
    CredentialType,
    check_host,
    check_url,
    port,
    secret,
    text,
)
from nodes.credentials.http_types import (
    AwsCredential,
    ClientCertificateCredential,
    HttpBasic,
    HttpBearer,
    HttpDigest,
    HttpHeader,
    HttpHeaders,
    HttpQuery,
    OAuth1Credential,
)
from nodes.credentials.oauth_types import (
    TOKEN_TYPES,
    GoogleServiceAccount,
    OAuth2,
    OAuth2RefreshToken,
    check_secure_url,
)
from nodes.fields import choice, credential, header_name, header_value, setting, whole
from registry import registry

PUBLIC_KEY = re.compile(r"-----BEGIN PUBLIC KEY-----[A-Za-z0-9+/=\s]{1,20000}-----END PUBLIC KEY-----\Z")


def _security(default: str) -> Any:
    return choice(
        "How to encrypt the connection. Use none only in a trusted network",
        {"tls": "TLS", "starttls": "STARTTLS", "none": "None"},
        literal=False,
        title="Encryption",
        load_default=default,
    )


class Secret(CredentialType):
    """Any secret text, available in expressions as `secrets.<name>`, for example for a key in a URL."""

    main = "value"
    needs_hosts = True
    without_hosts = NO_HOSTS + "what stays in the flow."
    value = secret("The secret value", most=MAX_KEY, lines=True, required=True, title="Value")


class OAuth2ClientCredentials(CredentialType):
    """A client id and its secret, exchanged for access tokens (RFC 6749, section 4.4)."""

    title = "OAuth2 client credentials"
    without_hosts = "No host is named, so its tokens are sent to the token server alone. Name the hosts of the service."
    url_field = "token_url"
    login = "{client_id}:{client_secret}"
    token_url = text(
        "The URL that issues tokens: https://login.example.com/oauth2/token",
        check_url,
        required=True,
        title="Token URL",
    )
    client_id = text("The client's id", required=True, title="Client ID")
    client_secret = secret("The client's secret", required=True, title="Client secret")
    scope = text("The requested scopes, separated by spaces", title="Scope")
    audience = text("The audience, if the server requires one", title="Audience")
    auth = choice(
        "Whether the token request contains id and secret in its header or its body",
        {"header": "Header", "body": "Body"},
        literal=False,
        load_default="header",
        title="Send client credentials in",
    )


PLAIN_LOGIN = "\0{username}\0{password}"  # SASL's PLAIN, RFC 4616


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
        keys = [part for part in (name, *_parts_of(host), *path.split("/"), *values) if _is_key(unquote(part))]
        return [url, *({form for part in (password, *keys) if part for form in (part, unquote(part))})]


def _parts_of(host: str) -> list[str]:
    """Return possible keys in place of a host; none if it is a host name."""
    return [] if "." in host or host.startswith("[") else host.split(":")


def _is_key(text: str) -> bool:
    text = text.lstrip("#")  # of a channel's name
    return len(text) >= 8 and "@" not in text and WORD.match(text) is None


class Hmac(CredentialType):
    """A secret that signs request bodies, and the format of the signature.

    GitHub's format is `X-Hub-Signature-256: sha256=<hex>`, Stripe's `Stripe-Signature: t=<seconds>,v1=<hex>` over
    `t.body`; plain is any header with the signature, optionally after a prefix.
    """

    title = "Signature (HMAC)"
    main = "secret"
    secret = secret("The shared secret", lines=True, required=True, title="Secret")
    style = choice(
        "How the sender signs the body",
        {"github": "GitHub", "stripe": "Stripe", "plain": "Plain HMAC"},
        literal=False,
        required=True,
        title="Signature format",
    )
    header = setting(
        fields.String(validate=header_name),
        "The header with the signature. GitHub and Stripe have their own",
        title="Signature header",
    )
    algorithm = choice(
        "The hash algorithm of a plain signature; other formats use sha256",
        {"sha256": "SHA-256", "sha1": "SHA-1", "sha512": "SHA-512"},
        literal=False,
        load_default="sha256",
        title="Hash algorithm",
    )
    encoding = choice(
        "The encoding of a plain signature; other formats use hex",
        {"hex": "Hex", "base64": "Base64"},
        literal=False,
        load_default="hex",
        title="Encoding",
    )
    prefix = setting(
        fields.String(validate=[validate.Length(max=100), header_value]),
        "Text before a plain signature: sha256=",
        title="Prefix",
    )
    tolerance = whole(
        "Maximum age of a Stripe signature in seconds",
        1,
        86_400,
        literal=False,
        load_default=300,
        title="Tolerance (seconds)",
    )

    @validates_schema
    def fits_its_style(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """Reject settings that the style would ignore, and require the header for plain."""
        if data.get("style") == "plain":
            if "header" not in data:
                raise ValidationError("Is required for the style plain.", "header")
        elif data.get("algorithm") != "sha256" or data.get("encoding") != "hex" or "prefix" in data:
            raise ValidationError("Only the style plain supports algorithm, encoding and prefix.", "style")


def check_public_key(text: str) -> None:
    """Reject text that is not a public key in PEM."""
    if "PRIVATE KEY" in text:
        raise ValidationError("Must be the public key: a private key stays with the issuer of the tokens.")
    if not PUBLIC_KEY.match(text.strip()):
        raise ValidationError("Must be a public key in PEM: -----BEGIN PUBLIC KEY----- …")


class Jwt(CredentialType):
    """The key that signs the tokens (JWT) of callers: a shared secret, a public key, or an address with public keys."""

    title = "Token (JWT)"
    needs_hosts = True
    without_hosts = NO_HOSTS + "checking who calls a webhook."
    secret = secret("The shared secret, if the issuer signs with one (HS256)", lines=True, least=32, title="Secret")
    algorithm = choice(
        "The algorithm of a shared secret. Public keys have their own",
        {"HS256": "HS256", "HS384": "HS384", "HS512": "HS512"},
        literal=False,
        load_default="HS256",
        title="Algorithm",
    )
    public_key = setting(
        fields.String,
        "The public key of the issuer in PEM: RSA, elliptic curve or Ed25519",
        validate=[validate.Length(1, MAX_KEY), check_public_key],
        lines="",
        title="Public key",
    )
    jwks_url = text(
        "The address of the issuer's public keys: https://login.example.com/.well-known/jwks.json",
        check_secure_url,
        title="JWKS URL",
    )
    issuer = text("The issuer (iss) that a token must name", title="Issuer")
    audience = text("The audience (aud) that a token must name", title="Audience")
    leeway = whole(
        "Seconds by which the clocks of the issuer and of this server may differ",
        0,
        600,
        literal=False,
        load_default=60,
        title="Leeway (seconds)",
    )

    @validates_schema
    def has_one_key(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """Require exactly one kind of key."""
        if len([name for name in ("secret", "public_key", "jwks_url") if data.get(name)]) != 1:
            raise ValidationError("Set either a secret, a public key or a JWKS URL.", "secret")


TYPES: dict[str, CredentialType] = registry.credential_types
TYPES |= {
    "http_basic": HttpBasic(),
    "http_bearer": HttpBearer(),
    "http_header": HttpHeader(),
    "http_headers": HttpHeaders(),
    "http_query": HttpQuery(),
    "http_digest": HttpDigest(),
    "oauth1": OAuth1Credential(),
    "aws": AwsCredential(),
    "mtls": ClientCertificateCredential(),
    "oauth2_client_credentials": OAuth2ClientCredentials(),
    "oauth2": OAuth2(),
    "oauth2_refresh_token": OAuth2RefreshToken(),
    "google_service_account": GoogleServiceAccount(),
    "smtp": Smtp(),
    "imap": Imap(),
    "service_url": ServiceUrl(),
    "hmac": Hmac(),
    "jwt": Jwt(),
    "secret": Secret(),
}


def catalogue() -> list[dict[str, Any]]:
    """Return the types for the API: `{type, name, description, schema, needs_hosts}`.

    In the schema, `x-secret` marks secret fields.
    """
    return [
        {
            "type": type_,
            "name": kind.title or type_.capitalize(),
            "description": " ".join((inspect.getdoc(kind) or "").split()),
            "schema": json_schema(kind),
            "needs_hosts": kind.needs_hosts,
        }
        for type_, kind in TYPES.items()
    ]
