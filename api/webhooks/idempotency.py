"""Idempotency keys of webhook calls: the header that has one, the caller who has it, and the hash of its request.

Callers choose keys, and often easy ones. So a key counts for its caller only, and for one request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson
from flask import Request

from errors import BadInput

MAX_KEY_LENGTH = 200
USUAL_HEADER = "Idempotency-Key"
# Claims that differ in each token of a person, and claims that are the same for all people.
OF_A_TOKEN = {"exp", "iat", "nbf", "jti", "auth_time"}
OF_ALL = {"iss", "aud"}


class CallKey(NamedTuple):
    """The idempotency key of a call and the hash of its request; both None if it has no key."""

    key: str | None = None
    request_hash: str | None = None


def read_key(request: Request, node_id: str, config: Mapping[str, Any], value: Mapping[str, Any]) -> CallKey:
    """Return the idempotency key of a call of this node. `value` is the run's input.

    Without authentication, only the header that the node names has a key: everybody can send everybody's key.

    Raises: BadInput if it is empty or too long.
    """
    names = [config["dedupe_header"]] if "dedupe_header" in config else []
    if config["auth"] != "none":
        names.append(USUAL_HEADER)
    name = next((name for name in names if name in request.headers), None)
    if name is None:
        return CallKey()
    given = request.headers[name]
    if not 0 < len(given) <= MAX_KEY_LENGTH:
        raise BadInput(f"{name}: must have 1 to {MAX_KEY_LENGTH} characters")
    caller = "" if "jwt" not in value else f"{_identify(value['jwt'], request.headers['Authorization'])}:"
    return CallKey(f"hook:{node_id}:{caller}{given}", _hash([value["method"], value["path"], value["body"]]))


def _identify(claims: Mapping[str, Any], token: str) -> str:
    """Return a hash of the person whom the claims of a token name, or of the token if they name nobody."""
    if claims.get("sub"):
        return _hash([claims.get("iss"), claims["sub"]])
    stable = {name: value for name, value in claims.items() if name not in OF_A_TOKEN}
    return _hash(stable if stable.keys() - OF_ALL else token)


def _hash(data: Any) -> str:
    return hashlib.sha256(orjson.dumps(data, option=orjson.OPT_SORT_KEYS)).hexdigest()
