"""Settings of the requests to a service: the values of a credential over those of the service that it names.

The services are in `providers.json`, with their addresses, scopes and ways; `providers.schema.json` describes the file,
which is read at its first use. A team's own are in `oauth_providers.json` in HEADRACE_CONNECTORS_DIR: a server of its
own, or other addresses for one of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import orjson

from parsers.json_schema import issues_of

ACCOUNT, REFRESH_TOKEN, SERVICE_ACCOUNT = "oauth2", "oauth2_refresh_token", "google_service_account"
CLIENT_CREDENTIALS = "oauth2_client_credentials"
# The types whose tokens are kept in a grant; a user connects an ACCOUNT.
GRANT_TYPES = (ACCOUNT, REFRESH_TOKEN)
GOOGLE_TOKEN_URL = "https://oauth2.googleapis.com/token"
FILE = Path(__file__).with_name("providers.json")
SCHEMA = FILE.with_suffix(".schema.json")
MAX_SHOWN = 5  # issues of a file in a message
CUSTOM = "custom"  # a service that is not in the file
NOTHING: Mapping[str, Any] = {}


_own: list[dict[str, Any]] = []


def load_own(path: Path | None) -> None:
    """Replace the team's providers by those of a file (None: remove them).

    Raises: ValueError with what is wrong and where; OSError.
    """
    _own.clear()
    providers.cache_clear()
    if path is None:
        return
    try:
        data, schema = orjson.loads(path.read_bytes()), orjson.loads(SCHEMA.read_bytes())
    except orjson.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    issues = issues_of(schema, data)
    if issues:
        raise ValueError("; ".join(f"{issue['path']}: {issue['message']}" for issue in issues[:MAX_SHOWN]))
    _own.extend(data["providers"])


@cache
def providers() -> Mapping[str, Mapping[str, Any]]:
    """Return the providers by id, in the order of the file; a team's own replace ours of the same id."""
    found: list[dict[str, Any]] = orjson.loads(FILE.read_bytes())["providers"]
    return {provider["id"]: provider for provider in [*found, *_own]}


def get_provider(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the provider of a credential with these values; an empty one if it is custom, or not known any more."""
    id_ = data.get("provider", CUSTOM)
    return NOTHING if id_ == CUSTOM else providers().get(id_, NOTHING)


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


# The values to which a grant is bound: if one differs, the tokens are of another account or another server.
BINDING = (*("provider", "client_id", "authorization_url", "token_url", "revocation_url", "issuer", "refresh_token"),)


def bind(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that a grant is bound to."""
    return {name: data[name] for name in BINDING if name in data}


def is_same_account(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Return True if a grant for the values `before` is one for `after`, such as with a new secret or other scopes."""
    return bind(before) == bind(after)
