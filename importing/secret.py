"""What looks like a secret, and what stands in a node in its place: a credential to make, or an expression."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_HEADERS = {"authorization", "proxyauthorization", "cookie", "xsessionid", "sessionid", "xauth"}
_NO_SECRETS = {"idempotencykey", "xidempotencykey", "secwebsocketkey"}
_HEADER_ENDS = ("key", "token", "secret", "password", "passwd", "signature", "credential", "credentials", "jwt")
_FIELD_ENDS = (
    *("apikey", "accesskey", "secretkey", "privatekey", "accesstoken", "refreshtoken", "authtoken", "sessiontoken"),
    *("apitoken", "bearertoken", "securitytoken", "password", "passwd", "secret"),
)
# In a query these are; in a body they may be anything's.
_QUERY = {"key", "token", "sig", "signature", "appid", "auth"}


@dataclass(frozen=True)
class Suggestion:
    """A credential to make: `data` is what is known of it and no secret, `secrets` says where each secret stands."""

    name: str
    type: str
    data: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        return {"name": self.name, "type": self.type, "data": dict(self.data), "secrets": dict(self.secrets)}


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def is_secret_header(name: str) -> bool:
    """Whether a header of this name carries what nobody else should know."""
    bare = _bare(name)
    return bare not in _NO_SECRETS and (bare in _HEADERS or bare.endswith(_HEADER_ENDS))


def is_secret_field(name: str, in_query: bool = False) -> bool:
    """Whether a field of a body, or a parameter of a query, does."""
    bare = _bare(name)
    return bare.endswith(_FIELD_ENDS) or (in_query and bare in _QUERY)


def stand_in(name: str) -> str:
    """The expression that a secret of this name is read with: `{{ secrets.api_key }}`."""
    slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return f"{{{{ secrets.{slug if slug[:1].isalpha() else 'secret'} }}}}"
