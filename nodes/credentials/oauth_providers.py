"""OAuth providers: the services in `oauth_providers.json`, with their addresses, scopes and ways.

`oauth_providers.schema.json` describes the file. It is read at its first use. A team's own are in a
file of the same name in HEADRACE_CONNECTORS_DIR: a server of its own, or other addresses for one of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from parsers.json_schema import issues_of

FILE = Path(__file__).with_suffix(".json")
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
