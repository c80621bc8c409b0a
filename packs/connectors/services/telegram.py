"""Telegram: downloads of files."""

from __future__ import annotations

from typing import Any

from errors import NodeError
from packs.connectors.exchange import ConnectorExchange


def download_file(x: ConnectorExchange) -> dict[str, Any]:
    """Save a file that was sent to the bot. Return the file with its id."""
    found = x.read(x.send("POST", "/getFile", body={"file_id": x.inputs["file_id"]}))["result"]
    if "file_path" not in found:
        raise NodeError("file_id: Telegram does not offer this file; bots can download up to 20 MB", permanent=True)
    path = found["file_path"]
    base = x.config.get("address") or x.connector["base"]
    place = x.url(f"{base.replace('/bot{credential}', '/file/bot{credential}')}/{{+path}}", {"path": path})
    made = x.download("GET", place, name=path.rpartition("/")[2])
    return {"file_id": found["file_id"], "file_path": path, **made}
