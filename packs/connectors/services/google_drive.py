"""Google Drive: content of files, searches, and moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from errors import NodeError
from nodes.http.body import FileName, RequestBody
from packs.connectors.operation import ConnectorExchange


def upload(
    x: ConnectorExchange, query: Mapping[str, Any], about: Mapping[str, Any], body: RequestBody
) -> dict[str, Any]:
    """Upload a body to the address of the operation, and return the answer. `about` describes the file."""
    content_type = body.headers["Content-Type"].partition(";")[0]
    headers = {"X-Upload-Content-Type": content_type}
    wanted = {"uploadType": "resumable", **query}
    started = x.send("POST", x.operation["url"], query=wanted, body=about, headers=headers)
    place = started.headers.get("location", "")
    if not place:
        raise NodeError(f"{started.who} gave no address for the upload")
    return dict(x.read(x.send("PUT", place, body=body, part=":content")))


FIELDS = "id,name,mimeType,parents,webViewLink,size,createdTime,modifiedTime"
SHARED = {"supportsAllDrives": "true"}
GOOGLE = "application/vnd.google-apps."
KINDS = {
    **{kind: f"mimeType = '{GOOGLE}{kind}'" for kind in ("folder", "document", "spreadsheet", "presentation")},
    **{kind: f"mimeType contains '{kind}/'" for kind in ("image", "video", "audio")},
    "pdf": "mimeType = 'application/pdf'",
}
OFFICE = "application/vnd.openxmlformats-officedocument."
EXPORTS = {
    "pdf": "application/pdf",
    "docx": f"{OFFICE}wordprocessingml.document",
    "xlsx": f"{OFFICE}spreadsheetml.sheet",
    "pptx": f"{OFFICE}presentationml.presentation",
    "csv": "text/csv",
    "txt": "text/plain",
    "html": "application/zip",
    "md": "text/markdown",
}
ENDS = {"html": "zip"}
USUAL_EXPORTS = {"document": "docx", "spreadsheet": "xlsx", "presentation": "pptx", "drawing": "pdf", "script": "json"}


def upload_file(x: ConnectorExchange) -> dict[str, Any]:
    """Upload a file of the workspace. Return the file in Drive."""
    named = FileName(x.inputs["file"], "file")
    about = {"name": x.inputs.get("name") or named.name, **_parents(x)}
    if "description" in x.inputs:
        about["description"] = x.inputs["description"]
    if kind := x.inputs.get("convert_to"):
        about["mimeType"] = GOOGLE + kind
    return upload(x, {**SHARED, "fields": FIELDS}, about, x.encode(x.inputs["file"], "file"))


def create_from_text(x: ConnectorExchange) -> dict[str, Any]:
    """Create a file with the text. Return the file in Drive."""
    about = {"name": x.inputs["name"], **_parents(x)}
    if x.inputs["google_doc"]:
        about["mimeType"] = f"{GOOGLE}document"
    return upload(x, {**SHARED, "fields": FIELDS}, about, x.encode(x.inputs["text"], "text"))


def _parents(x: ConnectorExchange) -> dict[str, Any]:
    return {"parents": [x.inputs["folder"]]} if "folder" in x.inputs else {}


def download_file(x: ConnectorExchange) -> dict[str, Any]:
    """Save a file, or what Drive makes of a file of Google's own kinds. Return the file with its id."""
    path = "/files/{file}"
    about = x.read(x.send("GET", path, query={**SHARED, "fields": "id,name,mimeType,size"}))
    name, type_ = about["name"], about["mimeType"]
    if not type_.startswith(GOOGLE):
        made = x.download("GET", path, query={**SHARED, "alt": "media"}, name=name)
        return {"id": about["id"], "original_name": name, **made}
    kind = type_.removeprefix(GOOGLE)
    end = x.inputs.get("export_as") or USUAL_EXPORTS.get(kind, "")
    if end not in EXPORTS:
        raise NodeError(f"file: a {kind} of Google cannot be downloaded", permanent=True)
    named = f"{name}.{ENDS.get(end, end)}"
    made = x.download("GET", f"{path}/export", query={"mimeType": EXPORTS[end]}, name=named)
    return {"id": about["id"], "original_name": name, **made}


def search_files(x: ConnectorExchange) -> list[Any]:
    """Return the files that match all settings."""
    given = x.inputs
    parts = [given["query"]] if "query" in given else []
    if "name" in given:
        parts.append(f"name contains {_literal(given['name'])}")
    if "folder" in given:
        parts.append(f"{_literal(given['folder'])} in parents")
    if "kind" in given:
        parts.append(KINDS[given["kind"]])
    if "changed_after" in given:
        parts.append(f"modifiedTime > {_literal(given['changed_after'])}")
    if not ("query" in given and "trashed" in given["query"]):
        parts.append(f"trashed = {'true' if given['trashed'] else 'false'}")
    query = {
        "q": " and ".join(parts), "fields": f"nextPageToken,files({FIELDS})", "orderBy": "modifiedTime desc",
        **SHARED, "includeItemsFromAllDrives": "true", "corpora": "allDrives",
    }  # fmt: skip
    if "fullText" in given.get("query", ""):
        del query["orderBy"]  # which Drive refuses for searches in texts
    return x.items("GET", "/files", query=query, result="files")


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def move_file(x: ConnectorExchange) -> dict[str, Any]:
    """Put a file into another folder. Return the file."""
    path = "/files/{file}"
    above = x.read(x.send("GET", path, query={**SHARED, "fields": "parents"})).get("parents", [])
    query = {**SHARED, "fields": FIELDS, "addParents": x.inputs["folder"]}
    left = [parent for parent in above if parent != x.inputs["folder"]]
    if left:
        query["removeParents"] = ",".join(left)
    return dict(x.read(x.send("PATCH", path, query=query, body={})))
