"""YouTube: uploads of videos, and own playlists."""

from __future__ import annotations

from typing import Any

from packs.connectors.exchange import ConnectorExchange
from packs.connectors.services.resumable import upload


def upload_video(x: ConnectorExchange) -> dict[str, Any]:
    """Upload a video. Return `{"id", "title", "url"}`."""
    given = x.inputs
    snippet = {"title": given["title"], "categoryId": given["category"]}
    snippet |= {name: given[name] for name in ("description", "tags") if name in given}
    status = {"privacyStatus": given["privacy"], "selfDeclaredMadeForKids": given["for_kids"]}
    if "publish_at" in given:
        status["publishAt"] = given["publish_at"]
    query = {"part": "snippet,status", **({"notifySubscribers": given["notify"]} if "notify" in given else {})}
    about = {"snippet": snippet, "status": status}
    made = upload(x, query, about, x.encode(given["file"], "file"))
    title = made.get("snippet", {}).get("title", given["title"])
    return {"id": made["id"], "title": title, "url": f"https://www.youtube.com/watch?v={made['id']}"}


def list_playlists(x: ConnectorExchange) -> list[Any]:
    """Return the playlists of a channel, or one's own."""
    whose = {"channelId": x.inputs["channel"]} if "channel" in x.inputs else {"mine": "true"}
    query = {"part": "snippet,contentDetails,status", **whose}
    return x.items("GET", "/playlists", query=query, result="items")
