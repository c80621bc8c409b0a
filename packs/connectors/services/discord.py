"""Discord: pages of messages, which go by the ids of messages, and direct messages."""

from __future__ import annotations

from typing import Any

from packs.connectors.exchange import ConnectorExchange

PAGE = 100


def list_messages(x: ConnectorExchange) -> list[Any]:
    """Return messages of a channel, newest first: the newest, or those next to the given ones."""
    most = x.config["max_items"]
    found: list[Any] = []
    side = "after" if "after" in x.inputs else "before"
    query = {side: x.inputs[side]} if side in x.inputs else {}
    while len(found) < most:
        x.ctx.pause(0)
        size = min(PAGE, most - len(found))
        page = x.read(x.send("GET", "/channels/{channel}/messages", query={**query, "limit": size}))
        found += page
        if len(page) < size:
            break
        ids = [int(message["id"]) for message in page]
        query = {side: str(max(ids) if side == "after" else min(ids))}
    return sorted(found, key=lambda message: int(message["id"]), reverse=True)


def send_direct_message(x: ConnectorExchange) -> dict[str, Any]:
    """Write to a person. Return the message."""
    channel = x.read(x.send("POST", "/users/@me/channels", body={"recipient_id": x.inputs["person"]}, part=":channel"))
    names = {"text": "content", "embeds": "embeds"}
    body = {theirs: x.inputs[ours] for ours, theirs in names.items() if ours in x.inputs}
    path = x.url("/channels/{channel}/messages", {"channel": channel["id"]})
    return dict(x.read(x.send("POST", path, body=body)))
