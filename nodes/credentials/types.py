"""Credential types: the values of each. All values are secret: no message may repeat one.

A type is one schema. It defines which fields are secret, which hosts the values name, and the value of `secrets.<name>`
in expressions. The test of a type, which asks a service whether it accepts a credential, is in its family of nodes.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from nodes.base import Context
from nodes.credentials.base import MAX_KEY, NO_HOSTS, CredentialType, check_secure_url, secret, text
from nodes.credentials.keyring import DecryptedCredential
from nodes.fields import choice, header_name, header_value, setting, to_json_schema, whole
from nodes.http.authorization import (
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
from registry import registry

PUBLIC_KEY = re.compile(r"-----BEGIN PUBLIC KEY-----[A-Za-z0-9+/=\s]{1,20000}-----END PUBLIC KEY-----\Z")


class Secret(CredentialType):
    """Any secret text, available in expressions as `secrets.<name>`, for example for a key in a URL."""

    main = "value"
    needs_hosts = True
    without_hosts = NO_HOSTS + "what stays in the flow."
    value = secret("The secret value", most=MAX_KEY, lines=True, required=True, title="Value")


class Hmac(CredentialType):
    """A secret that signs request bodies, and the format of the signature.

    GitHub's format is `X-Hub-Signature-256: sha256=<hex>`, Stripe's `Stripe-Signature: t=<seconds>,v1=<hex>` over
    `t.body`; plain is any header with the signature, optionally after a prefix.
    """

    title = "Signing secret"
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
            "schema": to_json_schema(kind),
            "needs_hosts": kind.needs_hosts,
        }
        for type_, kind in TYPES.items()
    ]


# Tests


class Untested(Exception):
    """The credential was not tested, because no request was made; the message names the missing value."""


# Tests a credential of a type, and returns a message about the response. Raises NodeError if the test fails, Untested
# if no request was made.
Check = Callable[[DecryptedCredential, Context, Mapping[str, Any]], str]
CHECKS: dict[str, Check] = {}


def checks(*types: str) -> Callable[[Check], Check]:
    """Register a function that tests credentials of these types. It also receives the caller's parameters."""

    def note(check: Check) -> Check:
        CHECKS.update(dict.fromkeys(types, check))
        return check

    return note
