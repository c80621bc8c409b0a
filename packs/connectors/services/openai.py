"""OpenAI: images, which come and go as base64."""

from __future__ import annotations

import base64
from typing import Any

from errors import MalformedData, NodeError
from packs.connectors.operation import ConnectorExchange

OPTIONS = ("size", "quality", "n", "background", "output_format")
MAX_IMAGE = 20 * 2**20


def create_image(x: ConnectorExchange) -> dict[str, Any]:
    """Make images. Return the first as a file, with all of them in `files`."""
    return _save(x, x.read(x.send("POST", "/images/generations", body=_wanted(x))))


def edit_image(x: ConnectorExchange) -> dict[str, Any]:
    """Change an image. Return the new one as a file, also in `files`."""
    files: dict[str, Any] = {name: x.inputs[name] for name in ("image", "mask") if name in x.inputs}
    return _save(x, x.read(x.send("POST", "/images/edits", body=x.encode(_wanted(x), "multipart", files))))


def _wanted(x: ConnectorExchange) -> dict[str, Any]:
    model = x.inputs["model"]
    body = {"model": model, "prompt": x.inputs["prompt"]}
    body |= {name: x.inputs[name] for name in OPTIONS if name in x.inputs}
    if model.startswith("dall-e"):  # which otherwise answer with an address
        body["response_format"] = "b64_json"
    return body


def _save(x: ConnectorExchange, answer: dict[str, Any]) -> dict[str, Any]:
    end = x.inputs.get("output_format", "png")
    files = []
    for number, image in enumerate(answer["data"]):
        try:
            content = base64.b64decode(image["b64_json"])
        except (KeyError, ValueError):
            raise MalformedData("OpenAI answered without an image") from None
        files.append(x.save(content, f"image.{end}", number))
    return {**files[0], "files": files, "usage": answer.get("usage")}


def analyze_image(x: ConnectorExchange) -> dict[str, Any]:
    """Answer a question about images. Return `{"text", "model", "usage"}`."""
    addresses = list(x.inputs.get("images", []))
    if "file" in x.inputs:
        content_type, data = x.read_file("file", MAX_IMAGE)
        addresses.append(f"data:{content_type};base64,{base64.b64encode(data).decode()}")
    if not addresses:
        raise NodeError("images: give an address or a file", permanent=True)
    detail = {"detail": x.inputs["detail"]} if "detail" in x.inputs else {}
    content = [{"type": "input_text", "text": x.inputs["question"]}]
    content += [{"type": "input_image", "image_url": address, **detail} for address in addresses]
    body = {"model": x.inputs["model"], "input": [{"role": "user", "content": content}]}
    if "max_tokens" in x.inputs:
        body["max_output_tokens"] = x.inputs["max_tokens"]
    answer = x.read(x.send("POST", "/responses", body=body))
    parts = [part for item in answer["output"] for part in item.get("content") or []]
    text = "".join(part.get("text", "") for part in parts if part.get("type") == "output_text")
    return {"text": text, "model": answer.get("model"), "usage": answer.get("usage")}
