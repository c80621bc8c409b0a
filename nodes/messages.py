"""Messages of brokers and databases that send bytes: their values, and the keys by which they are recognized."""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import Any

import orjson

from nodes.data.jmespath_query import search
from nodes.fields import kind_of, text_of
from nodes.limits import has_too_many_parts


def read_payload(payload: bytes) -> Any:
    """Return a message as JSON if it is valid, else as text, else as `{"base64": …}`."""
    with suppress(orjson.JSONDecodeError):  # most messages are not JSON
        if not has_too_many_parts(payload):
            return orjson.loads(payload)
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(payload).decode()}


def make_key(path: str | None, value: Any) -> str:
    """Return the key of a message by this JMESPath; empty if it has none."""
    found = None if path is None else search(path, value)
    return "" if found is None or found == "" else f"{kind_of(found)} {text_of(found)}"
