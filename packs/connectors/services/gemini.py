"""Gemini: files in and images out, as base64."""

from __future__ import annotations

import base64
import mimetypes
from typing import Any

from errors import MalformedData, NodeError
from nodes.files.files import guess_content_type
from packs.connectors.operation import ConnectorExchange

MODEL = "/models/{model}:generateContent"
MAX_FILE = 14 * 2**20  # with base64, a request of 20 MB


def analyze_file(x: ConnectorExchange) -> dict[str, Any]:
    """Answer a question about files. Return `{"text", "finish_reason", "usage"}`."""
    parts = [_inline(x)] if "file" in x.inputs else []
    for address in x.inputs.get("addresses", []):
        parts.append({"fileData": {"mimeType": guess_content_type(address.partition("?")[0]), "fileUri": address}})
    if not parts:
        raise NodeError("file: give a file or an address", permanent=True)
    body: dict[str, Any] = {"contents": [{"role": "user", "parts": [*parts, {"text": x.inputs["question"]}]}]}
    if "max_tokens" in x.inputs:
        body["generationConfig"] = {"maxOutputTokens": x.inputs["max_tokens"]}
    return _summarize(x.read(x.send("POST", MODEL, body=body)))


def create_image(x: ConnectorExchange) -> dict[str, Any]:
    """Make or change an image. Return the first as a file, with all of them in `files`, and the model's text."""
    parts = [{"text": x.inputs["prompt"]}, *([_inline(x)] if "file" in x.inputs else [])]
    wanted: dict[str, Any] = {"responseModalities": ["TEXT", "IMAGE"]}
    if "shape" in x.inputs:
        wanted["imageConfig"] = {"aspectRatio": x.inputs["shape"]}
    body = {"contents": [{"role": "user", "parts": parts}], "generationConfig": wanted}
    answer = x.read(x.send("POST", MODEL, body=body))
    found = [part["inlineData"] for part in _parts(answer) if "inlineData" in part]
    if not found:
        text = _summarize(answer)["text"] or "no reason was given"
        raise NodeError(f"the model made no image: {text[:300]}", permanent=True)
    files = [_save(x, image, number) for number, image in enumerate(found)]
    return {**files[0], "files": files, "text": _summarize(answer)["text"]}


def _inline(x: ConnectorExchange) -> dict[str, Any]:
    content_type, content = x.read_file("file", MAX_FILE)
    return {"inlineData": {"mimeType": content_type, "data": base64.b64encode(content).decode()}}


def _save(x: ConnectorExchange, image: dict[str, Any], number: int) -> dict[str, Any]:
    try:
        content = base64.b64decode(image["data"])
    except ValueError:
        raise MalformedData("the model answered with an image that is not base64") from None
    return x.save(content, "image" + (mimetypes.guess_extension(image.get("mimeType", "")) or ".png"), number)


def _parts(answer: dict[str, Any]) -> list[dict[str, Any]]:
    candidates = answer.get("candidates") or [{}]
    return list(candidates[0].get("content", {}).get("parts", []))


def _summarize(answer: dict[str, Any]) -> dict[str, Any]:
    candidates = answer.get("candidates") or [{}]
    text = "".join(part.get("text", "") for part in _parts(answer))
    return {"text": text, "finish_reason": candidates[0].get("finishReason"), "usage": answer.get("usageMetadata")}
