"""Credential types of OAuth2 accounts, and their settings: the values of a credential over those of its provider."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import orjson
from marshmallow import ValidationError, fields, validate, validates_schema

from nodes.credentials.base import MAX_KEY, CredentialType, check_ascii, check_url, host_of, secret, text
from nodes.credentials.oauth_providers import CUSTOM, get_provider, providers
from nodes.fields import choice, header_value, setting

ACCOUNT, REFRESH_TOKEN, SERVICE_ACCOUNT = "oauth2", "oauth2_refresh_token", "google_service_account"
CLIENT_CREDENTIALS = "oauth2_client_credentials"
# The types whose tokens are kept in a grant; a user connects an ACCOUNT.
GRANT_TYPES = (ACCOUNT, REFRESH_TOKEN)
# The types with access tokens.
TOKEN_TYPES = (ACCOUNT, REFRESH_TOKEN, CLIENT_CREDENTIALS, SERVICE_ACCOUNT)
GOOGLE_TOKEN_URL = "https://oauth2.googleapis.com/token"
MAX_SCOPE = 4_000
# Parameters of an authorization request that are ours alone to set.
OWN_PARAMETERS = {
    *("response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method"),
    *("response_mode", "request", "request_uri", "client_secret"),
}


def is_loopback(host: str | None) -> bool:
    """Return True if the host is this machine by name or address."""
    if not host:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_secure_url(value: str) -> None:
    """Reject an address that others on the way can read or change: only https, except on this machine."""
    check_url(value)
    parts = urlsplit(value)
    if parts.scheme != "https" and not is_loopback(parts.hostname):
        raise ValidationError("Must start with https://.")
    if parts.fragment:
        raise ValidationError("Must not contain #.")


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
    login = "{client_id}:{client_secret}"
    provider = text("The service: google, or custom for one that is not in the list", title="Service")
    client_id = text("The client's id, from the service's settings for developers", required=True, title="Client ID")
    client_secret = secret(
        "The client's secret. Without it, the client is a public one", check_ascii, title="Client secret"
    )
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
    pkce = setting(fields.Boolean, "Whether to use PKCE with S256 (RFC 7636). Default: true", title="PKCE")
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
    without_hosts = "No host is named, so its tokens are sent to the token server alone. Name the hosts of the service."
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


class GoogleServiceAccount(CredentialType):
    """A Google service account: a robot's account with a key file, without a person's consent."""

    title = "Google service account"
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


def read_key(data: Mapping[str, Any]) -> dict[str, str]:
    """Return client_email, private_key, private_key_id and token_url of a service account; empty if missing."""
    try:
        found = orjson.loads(data["key"]) if "key" in data else data
    except ValueError:
        found = {}
    known = found if isinstance(found, Mapping) else {}
    names = {"client_email": "client_email", "private_key": "private_key", "private_key_id": "private_key_id"}
    read = {ours: value if isinstance(value := known.get(name), str) else "" for ours, name in names.items()}
    url = known.get("token_uri")
    return read | {"token_url": url if isinstance(url, str) and url else GOOGLE_TOKEN_URL}


class OAuthSettings(NamedTuple):
    """Settings of the requests to a service. `scopes` are the requested ones, `kept` the values of answers to keep.

    `token_path` leads to the tokens within an answer. `revoked_errors` are errors that mean invalid_grant.
    `longer_grant` is a grant that makes a lasting token of a valid one, which is its parameter of the same name.
    """

    client_id: str
    client_secret: str
    scopes: tuple[str, ...]
    token_url: str
    authorization_url: str = ""
    revocation_url: str = ""
    issuer: str = ""
    auth: str = "header"
    pkce: bool = True
    separator: str = " "
    token_format: str = "form"
    parameters: tuple[tuple[str, str], ...] = ()
    token_path: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    callback_kept: tuple[str, ...] = ()
    instance_field: str = "instance_url"
    instance_hosts: tuple[str, ...] = ()
    revoked_errors: tuple[str, ...] = ()
    scope_parameter: str = "scope"
    longer_grant: str = ""


def settings_of(type_: str, data: Mapping[str, Any]) -> OAuthSettings:
    """Return the settings of a credential of one of GRANT_TYPES, or of client credentials."""
    provider = get_provider(data)

    def read(name: str, default: Any = "") -> Any:
        return data.get(name, provider.get(name, default))

    usual = [scope["value"] for scope in provider.get("scopes", ()) if scope.get("default")]
    scopes = data["scope"].split() if data.get("scope") else usual if type_ == ACCOUNT else []
    client_secret = data.get("client_secret", "")
    parameters = parse_qsl(data["parameters"]) if "parameters" in data else provider.get("parameters", {}).items()
    return OAuthSettings(
        client_id=data["client_id"],
        client_secret=client_secret,
        scopes=tuple(dict.fromkeys(scopes)),
        token_url=read("token_url"),
        authorization_url=read("authorization_url"),
        revocation_url=read("revocation_url"),
        issuer=read("issuer"),
        auth=read("auth", "header") if client_secret or type_ == ACCOUNT else "none",
        pkce=read("pkce", True),
        separator="," if read("separator", "space") == "comma" else " ",
        token_format=read("token_format", "form"),
        parameters=tuple(parameters),
        token_path=tuple(provider.get("token_path", ())),
        kept=tuple(provider.get("token_details", ())),
        callback_kept=tuple(provider.get("callback_details", ("realmId",))),
        instance_field=provider.get("instance_field", "instance_url"),
        instance_hosts=tuple(provider.get("instance_hosts", ())),
        revoked_errors=tuple(provider.get("revoked_errors", ())),
        scope_parameter=provider.get("scope_parameter", "scope"),
        longer_grant=provider.get("longer_grant", ""),
    )


# The values to which a grant is bound: if one differs, the tokens are of another account or another server.
BINDING = (*("provider", "client_id", "authorization_url", "token_url", "revocation_url", "issuer", "refresh_token"),)


def bind(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that a grant is bound to."""
    return {name: data[name] for name in BINDING if name in data}


def is_same_account(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Return True if a grant for the values `before` is one for `after`, such as with a new secret or other scopes."""
    return bind(before) == bind(after)
