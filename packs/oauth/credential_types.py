"""Types of credentials with OAuth2: an account that a person connects, and three kinds of clients without a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from marshmallow import ValidationError, fields, validate, validates_schema

from nodes.credentials.base import (
    MAX_KEY,
    CredentialType,
    check_ascii,
    check_secure_url,
    check_url,
    host_of,
    secret,
    text,
)
from nodes.fields import choice, header_value, setting
from packs.oauth.settings import ACCOUNT, CUSTOM, get_provider, providers, read_key, settings_of
from packs.oauth.token_requests import MAX_SCOPE
from packs.oauth.tokens import GrantToken, ServerToken

NO_HOST = "No host is named, so its tokens are sent to the token server alone. Name the hosts of the service."
# Parameters of an authorization request that are ours alone to set.
OWN_PARAMETERS = {
    *("response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method"),
    *("response_mode", "request", "request_uri", "client_secret"),
}


def check_parameters(value: str) -> None:
    """Reject text that is not a query string, and parameters that Headrace sets itself."""
    try:
        found = parse_qsl(value, keep_blank_values=True, strict_parsing=True, max_num_fields=50)
    except ValueError:
        raise ValidationError("Must be parameters such as access_type=offline&prompt=consent.") from None
    if own := OWN_PARAMETERS & {name for name, _ in found}:
        raise ValidationError(f"The parameter {min(own)} is set by Headrace.")


def _scope(help: str, **options: Any) -> Any:
    rules = [validate.Length(1, MAX_SCOPE), header_value]
    return setting(fields.String, help, validate=rules, title="Scopes", **options)


def _url(help: str, title: str, **options: Any) -> Any:
    return text(help, check_secure_url, title=title, **options)


class OAuth2(CredentialType):
    """An account that a person connects: they give their consent on the service's own page (OAuth2)."""

    title = "OAuth2 account"
    authorization = GrantToken
    login = "{client_id}:{client_secret}"
    provider = text("The service: google, or custom for one that is not in the list", title="Service")
    client_id = text("The client's id, from the service's settings for developers", required=True, title="Client ID")
    client_secret = secret("Leave empty only for public clients", check_ascii, title="Client secret")
    scope = _scope("The permissions in the account: scopes, separated by spaces. Default: the scopes of the service")
    authorization_url = _url("The page that asks for consent: https://login.example.com/authorize", "Authorization URL")
    token_url = _url("The URL that issues tokens: https://login.example.com/token", "Token URL")
    revocation_url = _url("The URL that revokes tokens (RFC 7009), if the service has one", "Revocation URL")
    issuer = text(
        "The issuer, if the service names itself in its answers (RFC 9207): answers without it are refused",
        title="Issuer",
    )
    auth = choice(
        "How requests for tokens contain the client's id and secret",
        {"header": "In the header", "body": "In the body", "none": "Only the id, no secret"},
        literal=False,
        title="Send client credentials in",
    )
    pkce = setting(fields.Boolean, "Use PKCE with S256 (RFC 7636). Default: true", title="PKCE")
    separator = choice(
        "The separator between scopes", {"space": "A space", "comma": "A comma"}, literal=False, title="Scope separator"
    )
    token_format = choice(
        "The format of requests for tokens", {"form": "Form", "json": "JSON"}, literal=False, title="Token request"
    )
    parameters = text(
        "More parameters of the authorization URL: access_type=offline&prompt=consent",
        check_parameters,
        title="Extra parameters",
    )

    @classmethod
    def hosts(cls, data: Mapping[str, Any]) -> tuple[str, ...]:
        found = tuple(get_provider(data).get("hosts", ()))
        return found or host_of(settings_of(ACCOUNT, data).token_url)

    @validates_schema
    def is_complete(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """Require the addresses of a custom service, and a secret unless the client is a public one."""
        name = data.get("provider", CUSTOM)
        if name != CUSTOM and name not in providers():
            raise ValidationError(f"Must be {CUSTOM} or one of: {', '.join(providers())}.", "provider")
        for key in ("authorization_url", "token_url"):
            if key not in data and not get_provider(data).get(key):
                raise ValidationError("Is required for a custom service.", key)
        if settings_of(ACCOUNT, data).auth != "none" and not data.get("client_secret"):
            raise ValidationError("Is required, unless auth is none.", "client_secret")


class OAuth2RefreshToken(CredentialType):
    """A refresh token that was made elsewhere, and the client that it was made for."""

    title = "OAuth2 refresh token"
    authorization = GrantToken
    without_hosts = NO_HOST
    url_field = "token_url"
    login = "{client_id}:{client_secret}"
    token_url = _url("The URL that issues tokens: https://login.example.com/token", "Token URL", required=True)
    client_id = text("The client's id", required=True, title="Client ID")
    client_secret = secret("The client's secret, if it has one", check_ascii, title="Client secret")
    refresh_token = secret("The refresh token", check_ascii, required=True, title="Refresh token")
    scope = _scope("The scopes to request, separated by spaces. Default: those of the refresh token")
    auth = choice(
        "How requests for tokens contain the client's id and secret",
        {"header": "In the header", "body": "In the body"},
        literal=False,
        load_default="header",
        title="Send client credentials in",
    )


class OAuth2ClientCredentials(CredentialType):
    """A client id and its secret, exchanged for access tokens (RFC 6749, section 4.4)."""

    title = "OAuth2 client credentials"
    authorization = ServerToken
    without_hosts = NO_HOST
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
        "Where the token request contains the client's ID and secret",
        {"header": "Header", "body": "Body"},
        literal=False,
        load_default="header",
        title="Send client credentials in",
    )


class GoogleServiceAccount(CredentialType):
    """A Google service account: a robot's account with a key file, without a person's consent."""

    title = "Google service account"
    authorization = ServerToken
    key = secret(
        "The content of the JSON key file, or enter the fields below",
        most=MAX_KEY,
        lines=True,
        title="Key file",
    )
    key.metadata["x-multiline"] = True
    client_email = text("The account's address: robot@project.iam.gserviceaccount.com", title="Client email")
    private_key = secret("-----BEGIN PRIVATE KEY-----…", most=MAX_KEY, lines=True, title="Private key")
    private_key.metadata["x-multiline"] = True
    scope = _scope(
        "The permissions: scopes, separated by spaces, such as https://www.googleapis.com/auth/spreadsheets",
        required=True,
    )
    subject = text("The user to act for, if the domain has delegated that to the account", title="Act as user")

    @classmethod
    def hosts(cls, data: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(providers()["google"]["hosts"])

    @classmethod
    def secrets(cls, data: Mapping[str, Any]) -> list[str]:
        key = read_key(data)["private_key"]
        return list(dict.fromkeys([*super().secrets(data), *([key] if key else [])]))

    @validates_schema
    def has_a_key(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """Require the key file, or address and private key."""
        read = read_key(data)
        if "key" in data and not (read["client_email"] and read["private_key"]):
            raise ValidationError("Must be the JSON key file of a service account, with its private_key.", "key")
        for name in ("client_email", "private_key"):
            if not read[name]:
                raise ValidationError("Is required without a key file.", name)
        try:
            check_secure_url(read["token_url"])
        except ValidationError:
            raise ValidationError("Its token_uri must start with https://.", "key") from None
