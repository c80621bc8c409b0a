"""Types of credentials for requests over HTTP, besides OAuth2. How each is sent is in `nodes/http/authorization.py`."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from nodes.credentials.base import MAX_KEY, MAX_VALUE, NO_COLON, NO_HOSTS, CredentialType, secret, text
from nodes.fields import CONTROL, NamedValues, choice, header_name, setting

ONLY_WEBHOOKS = NO_HOSTS + "checking who calls a webhook."
ONLY_FLOWS = "No host is named, so no flow can send it anywhere. Name the hosts that may have it."
NO_QUOTE = validate.ContainsNoneOf('"\\', error="Must not contain quotation marks and backslashes.")
MAX_PAIRS = 20


def _pairs(help: str, name: Any, value: Any, title: str) -> Any:
    """Return a field with secret values by name."""
    value.metadata["x-secret"] = True
    kind = NamedValues(keys=name, values=value, required=True, validate=validate.Length(1, MAX_PAIRS))
    return setting(kind, help, title=title, metadata={"x-secret": True})


class HttpBasic(CredentialType):
    """A user name and a password, sent as `Authorization: Basic …`."""

    title = "HTTP basic"
    needs_hosts = True
    without_hosts = ONLY_WEBHOOKS
    login = "{username}:{password}"  # RFC 7617
    username = text("The user name", NO_COLON, required=True, title="User name")
    password = secret("The password", least=0, required=True, title="Password")


class HttpHeader(CredentialType):
    """A secret, sent in a custom header."""

    title = "HTTP header"
    without_hosts = ONLY_WEBHOOKS
    main = "value"
    needs_hosts = True
    name = setting(
        fields.String(required=True, validate=header_name), "The name of the header: X-Api-Key", title="Header name"
    )
    value = secret("The value of the header", required=True, title="Value")


class HttpBearer(CredentialType):
    """A token, sent as `Authorization: Bearer …`."""

    title = "HTTP bearer token"
    without_hosts = ONLY_WEBHOOKS
    main = "token"
    needs_hosts = True
    token = secret("The bearer token", required=True, title="Token")


class HttpHeaders(CredentialType):
    """Several secrets, each sent in a header, such as an application's id and its key."""

    title = "HTTP headers (several)"
    without_hosts = ONLY_FLOWS
    needs_hosts = True
    headers = _pairs(
        "The headers and their values: X-App-Id and X-App-Key",
        fields.String(validate=header_name),
        secret("The value", least=1, most=MAX_VALUE),
        "Headers",
    )

    @validates_schema
    def has_distinct_names(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """Reject names that differ in their case only: they are one header."""
        names = [name.lower() for name in data.get("headers", ())]
        if len(set(names)) < len(names):
            raise ValidationError("Must not contain a header twice.", "headers")


def _parameter(name: str) -> None:
    if not 0 < len(name) <= 200 or CONTROL.search(name):
        raise ValidationError("Must be the name of a parameter: api_key.")


class HttpQuery(CredentialType):
    """Secrets sent as parameters of the URL, such as `?api_key=…`."""

    title = "Query parameter (API key)"
    without_hosts = ONLY_FLOWS
    needs_hosts = True
    parameters = _pairs(
        "The parameters and their values: api_key",
        fields.String(validate=_parameter),
        secret("The value", least=1, most=MAX_VALUE),
        "Parameters",
    )


class HttpDigest(CredentialType):
    """A user name and a password, of which only a digest with the server's challenge is sent (RFC 7616)."""

    title = "HTTP digest"
    without_hosts = ONLY_FLOWS
    needs_hosts = True
    username = text("The user name", NO_COLON, NO_QUOTE, required=True, title="User name")
    password = secret("The password", required=True, title="Password")


class OAuth1Credential(CredentialType):
    """Keys of OAuth 1.0a, which sign each request (RFC 5849)."""

    title = "OAuth1"
    without_hosts = ONLY_FLOWS
    needs_hosts = True
    consumer_key = text("The key of the application, also called API key", required=True, title="Consumer key")
    consumer_secret = secret("The secret of the application", required=True, title="Consumer secret")
    token = text("The access token of the user's account", title="Access token")
    token_secret = secret("The secret of the access token", title="Access token secret")
    signature = choice(
        "How requests are signed",
        {"HMAC-SHA1": "HMAC-SHA1", "HMAC-SHA256": "HMAC-SHA256"},
        literal=False,
        load_default="HMAC-SHA1",
        title="Signature method",
    )
    realm = text("The realm, if the service requires one", NO_QUOTE, title="Realm")

    @validates_schema
    def has_both_or_none(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """Require the secret if there is a token, and vice versa."""
        if bool(data.get("token")) != bool(data.get("token_secret")):
            raise ValidationError("An access token and its secret must be set together.", "token_secret")


class AwsCredential(CredentialType):
    """An access key of AWS, which signs each request (signature version 4)."""

    title = "AWS"
    access_key = text("The id of the access key: AKIA…", required=True, title="Access key ID")
    secret_key = secret("The secret of the access key", required=True, title="Secret access key")
    session_token = secret("The session token, if the access key is temporary", title="Session token")
    region = text("The region: eu-central-1. Default: the one in the host name", title="Region")
    service = text(
        "The service's name in signatures: execute-api, ses. Default: the one in the host name", title="Service"
    )

    @classmethod
    def hosts(cls, data: Mapping[str, Any]) -> tuple[str, ...]:
        return ("*.amazonaws.com",)


def _pem(what: str) -> Any:
    def check(value: str) -> None:
        if "-----BEGIN " not in value or f"{what}-----" not in value or not value.isascii():
            raise ValidationError(f"Must be PEM: the lines from BEGIN {what} to END {what}.")

    return check


class ClientCertificateCredential(CredentialType):
    """A client certificate for TLS (mTLS), optionally with a token or a login."""

    title = "Client certificate (mTLS)"
    without_hosts = ONLY_FLOWS
    needs_hosts = True
    certificate = setting(
        fields.String,
        "The certificate and those between it and its authority, as PEM: -----BEGIN CERTIFICATE-----",
        required=True,
        lines="",
        validate=[validate.Length(1, 5 * MAX_KEY), _pem("CERTIFICATE")],
        title="Certificate",
    )
    private_key = secret(
        "Its private key as PEM", _pem("PRIVATE KEY"), most=MAX_KEY, lines=True, required=True, title="Private key"
    )
    private_key.metadata["x-multiline"] = True
    passphrase = secret("The passphrase of the private key", title="Passphrase")
    token = secret("A bearer token to send as well", title="Token")
    username = text("A user name to send as well, as basic authentication", NO_COLON, title="User name")
    password = secret("The password of the user name", title="Password")

    @classmethod
    def secrets(cls, data: Mapping[str, Any]) -> list[str]:
        pair = f"{data.get('username')}:{data.get('password')}"
        login = [base64.b64encode(pair.encode()).decode()] if data.get("username") else []
        return [*super().secrets(data), *login]

    @validates_schema
    def has_one_login(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """Require a password with a user name, and reject a token beside them."""
        if bool(data.get("username")) != bool(data.get("password")):
            raise ValidationError("A user name and a password must be set together.", "password")
        if data.get("username") and data.get("token"):
            raise ValidationError("Set either a token or a user name, not both.", "token")
