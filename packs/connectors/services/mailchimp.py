"""Mailchimp: tags are given by the hash of a member's address, where other operations also take the address."""

from __future__ import annotations

import hashlib
from typing import Any

from packs.connectors.exchange import ConnectorExchange


def tag_member(exchange: ConnectorExchange) -> dict[str, Any]:
    """Add tags to a member. Return `{"ok": true}`."""
    address = exchange.inputs["email"].strip().lower()
    member = hashlib.md5(address.encode(), usedforsecurity=False).hexdigest() if "@" in address else address
    tags = [{"name": tag, "status": "active"} for tag in exchange.inputs["tags"]]
    path = exchange.url("/lists/{audience}/members/{member}/tags", {**exchange.inputs, "member": member})
    exchange.send("POST", path, body={"tags": tags})
    return {"ok": True}
