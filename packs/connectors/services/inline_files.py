"""Files that a service takes within JSON, as base64."""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

from errors import LimitExceeded
from nodes.http.body import FileName
from packs.connectors.exchange import ConnectorExchange


class Content(NamedTuple):
    """The content of a file."""

    content_type: str
    data: bytes

    @property
    def base64(self) -> str:
        """Return the content in base64."""
        return base64.b64encode(self.data).decode()


def read_file(x: ConnectorExchange, value: Any, name: str, most: int) -> Content:
    """Return the content of the file in the input `name`. Raises: NodeError if it has more than `most` bytes."""
    named = FileName(value, name)
    with x.ctx.need_files().reading(named.path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise LimitExceeded(f"{name}: {named.path!r} has more than {most:,} bytes")
    return Content(named.content_type, data)
