"""Slack: uploads of files."""

from __future__ import annotations

from typing import Any

from errors import NodeError
from nodes.http.body import FileName
from packs.connectors.exchange import ConnectorExchange

GIVEN = {"channel": "channel_id", "comment": "initial_comment", "thread": "thread_ts"}


def upload_file(x: ConnectorExchange) -> dict[str, Any]:
    """Upload a file in three steps: get an address, send the content there, share the file. Return the file."""
    named = FileName(x.inputs["file"], "file")
    about = {"filename": named.name, "length": x.ctx.need_files().size(named.path)}
    place = x.read(x.send("GET", "/files.getUploadURLExternal", query=about))
    x.send("POST", place["upload_url"], body=x.encode(x.inputs["file"], "file"), part=":content")
    body = {"files": [{"id": place["file_id"], "title": x.inputs.get("title") or named.name}]}
    body |= {theirs: x.inputs[ours] for ours, theirs in GIVEN.items() if ours in x.inputs}
    files = x.read(x.send("POST", "/files.completeUploadExternal", body=body, part=":share")).get("files")
    if not files:
        raise NodeError("Slack did not confirm the upload")
    return dict(files[0])
