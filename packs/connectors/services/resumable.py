"""Resumable uploads to Google, in two requests: the first gives the address to which the second sends the content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from errors import NodeError
from nodes.http.body import RequestBody
from packs.connectors.exchange import ConnectorExchange


def upload(
    x: ConnectorExchange, query: Mapping[str, Any], about: Mapping[str, Any], body: RequestBody
) -> dict[str, Any]:
    """Upload a body to the address of the operation, and return the answer. `about` describes the file."""
    content_type = body.headers["Content-Type"].partition(";")[0]
    headers = {"X-Upload-Content-Type": content_type}
    wanted = {"uploadType": "resumable", **query}
    started = x.send("POST", x.operation["url"], query=wanted, body=about, headers=headers)
    place = started.headers.get("location", "")
    if not place:
        raise NodeError(f"{started.who} gave no address for the upload")
    return dict(x.read(x.send("PUT", place, body=body, part=":content")))
