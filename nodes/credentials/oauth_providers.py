"""OAuth providers: the services in `connectors_data/oauth_providers.json`, with their addresses, scopes and ways.

`connectors_data/schemas/oauth_providers.json` describes the file. It is read at its first use.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson

FILE = Path(__file__).parents[2] / "connectors_data" / "oauth_providers.json"
CUSTOM = "custom"  # a service that is not in the file
NOTHING: Mapping[str, Any] = {}


@cache
def providers() -> Mapping[str, Mapping[str, Any]]:
    """Return the providers by id, in the order of the file."""
    found: list[dict[str, Any]] = orjson.loads(FILE.read_bytes())["providers"]
    return {provider["id"]: provider for provider in found}


def get_provider(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the provider of a credential with these values; an empty one if it is custom, or not known any more."""
    id_ = data.get("provider", CUSTOM)
    return NOTHING if id_ == CUSTOM else providers().get(id_, NOTHING)
