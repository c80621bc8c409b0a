"""GitHub: files, whose content is base64, and whose changes need the sha that they replace."""

from __future__ import annotations

import base64
from typing import Any

from errors import MalformedData, NodeError
from packs.connectors.operation import ConnectorExchange

PLACE = "/repos/{owner}/{repo}/contents/{+path}"
MAX_FILE = 50 * 2**20


def get_file(x: ConnectorExchange) -> dict[str, Any]:
    """Return a file as text with its sha; with `save_to`, save it and return the file."""
    found = _read(x)
    about = {key: found[key] for key in ("path", "name", "sha", "size")}
    if found.get("encoding") != "base64":
        raise NodeError(f"path: {found['path']!r} is too large; GitHub gives files of up to 1 MB", permanent=True)
    try:
        content = base64.b64decode(found["content"])
    except ValueError:
        raise MalformedData("GitHub answered with a file that is not base64") from None
    if x.config.get("save_to"):
        return {**about, **x.save(content, found["name"])}
    try:
        return {**about, "text": content.decode()}
    except UnicodeDecodeError:
        raise NodeError(f"path: {found['path']!r} is not text; set where to save it", permanent=True) from None


def create_file(x: ConnectorExchange) -> dict[str, Any]:
    """Add a file with a commit. Return `{"path", "sha", "commit", "url"}`."""
    return _put(x, "Create", None)


def edit_file(x: ConnectorExchange) -> dict[str, Any]:
    """Replace a file with a commit. Return `{"path", "sha", "commit", "url"}`."""
    return _put(x, "Update", _find_sha(x, x.inputs["create"]))


def delete_file(x: ConnectorExchange) -> dict[str, Any]:
    """Delete a file with a commit. Return `{"path", "commit"}`."""
    body = {**_commit(x, "Delete"), "sha": _find_sha(x, False)}
    found = x.read(x.send("DELETE", PLACE, body=body))
    return {"path": x.inputs["path"], "commit": found["commit"]["sha"]}


def _put(x: ConnectorExchange, verb: str, sha: str | None) -> dict[str, Any]:
    if "file" in x.inputs:
        _, content = x.read_file("file", MAX_FILE)
    else:
        content = x.inputs.get("text", "").encode()
    body = {**_commit(x, verb), "content": base64.b64encode(content).decode(), **({"sha": sha} if sha else {})}
    found = x.read(x.send("PUT", PLACE, body=body))
    made = found["content"]
    return {"path": made["path"], "sha": made["sha"], "commit": found["commit"]["sha"], "url": made.get("html_url")}


def _commit(x: ConnectorExchange, verb: str) -> dict[str, Any]:
    branch = {"branch": x.inputs["branch"]} if "branch" in x.inputs else {}
    return {"message": x.inputs.get("message") or f"{verb} {x.inputs['path']}", **branch}


def _find_sha(x: ConnectorExchange, may_be_absent: bool) -> str | None:
    """Return the sha of the file; None if it does not exist and need not."""
    try:
        return str(_read(x)["sha"])
    except NodeError as error:
        if may_be_absent and " 404 " in f"{error.message} ":
            return None
        raise


def _read(x: ConnectorExchange) -> dict[str, Any]:
    ref = x.inputs.get("ref") or x.inputs.get("branch")
    found = x.read(x.send("GET", PLACE, query={"ref": ref} if ref else {}))
    if not isinstance(found, dict):
        raise NodeError(f"path: {x.inputs['path']!r} is a folder", permanent=True)
    return found
