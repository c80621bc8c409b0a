"""WhatsApp: downloads of files."""

from __future__ import annotations

import mimetypes
from typing import Any

from packs.connectors.exchange import ConnectorExchange


def download_media(x: ConnectorExchange) -> dict[str, Any]:
    """Save a file that somebody sent. Return the file with its id."""
    found = x.read(x.send("GET", "/{media}"))
    type_ = found["mime_type"].partition(";")[0]
    name = found["id"] + (mimetypes.guess_extension(type_) or "")
    made = x.download("GET", found["url"], name=name)
    return {"id": found["id"], "mime_type": found["mime_type"], **made}
