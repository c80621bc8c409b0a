"""LinkedIn: an image is announced, then sent to the address in the answer."""

from __future__ import annotations

from typing import Any

from errors import MalformedData
from nodes.http.response import parse_json
from packs.connectors.exchange import ConnectorExchange


def upload_image(exchange: ConnectorExchange) -> dict[str, str]:
    """Upload the image of `file` for `owner`. Return `{"image": urn}` for a post."""
    asked: dict[str, Any] = {"initializeUploadRequest": {"owner": exchange.inputs["owner"]}}
    made = parse_json(exchange.send("POST", "/rest/images", query={"action": "initializeUpload"}, body=asked))
    place = made.get("value") if isinstance(made, dict) else None
    if not isinstance(place, dict) or not all(isinstance(place.get(key), str) for key in ("uploadUrl", "image")):
        raise MalformedData("LinkedIn gave no address for the upload")
    exchange.send("PUT", place["uploadUrl"], body=exchange.encode(exchange.inputs["file"], "file"), part=":2")
    return {"image": place["image"]}
