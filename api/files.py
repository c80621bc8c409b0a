"""The workspace's files: list, upload, download, delete. Which paths are allowed is in `nodes/files/files.py`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, Any

from flask import Request, Response, current_app
from marshmallow import fields
from werkzeug.formparser import FormDataParser

from api.audit import begun
from api.http.auth import get_workspace_id, require_role
from api.http.json_io import Resource, get_request, load
from errors import BadInput, Conflict, NodeError, NotFound, NotJson, TooLarge, Unavailable
from nodes.core.output import disposition
from nodes.files.files import Absent, Files, Overfull, Present, Upload, content_type_of
from nodes.http.response import plain
from schema_fields import Cursor, Out, Strict, Time, text
from schemas import Error, PageArgs, listed

blueprint = Resource("files", "Files of the workspace")
PIECE = 64 * 1024
MULTIPART = "multipart/form-data"
ROOM_FOR_FORM = 64 * 1024  # bytes of a request beside the file
MAX_PARTS = 10
# A browser never shows a file as a page of this server, and keeps no copy.
CLOSED = {"Content-Security-Policy": "default-src 'none'; sandbox", "Cache-Control": "no-store"}


class FileCursor(Cursor):
    """The path of the last file on the page before."""

    inside = re.compile(r"\A[^\0]{1,5000}\Z")


class FileArgs(PageArgs):
    prefix = text(1_000, 0, load_default="", metadata={"description": "Beginning of the paths, such as `reports/`"})
    cursor = FileCursor(load_default=None)


class FileOut(Out):
    path = fields.String(required=True)
    name = fields.String(required=True, metadata={"description": "The last part of the path"})
    size = fields.Integer(required=True, metadata={"description": "In bytes"})
    content_type = fields.String(required=True, metadata={"description": "From the ending of the name"})
    modified_at = Time(required=True)


class UploadIn(Strict):
    """The fields of the form beside the file."""

    path = text(
        1_000,
        0,
        load_default="",
        metadata={
            "description": "Path of the file: `reports/may.csv`. With a slash at its end, a folder, in which the file "
            "keeps its name. Empty: its name, in no folder"
        },
    )
    overwrite = fields.Boolean(load_default=False, metadata={"description": "Replace an existing file"})


class UploadForm(UploadIn):
    """The whole form, for the description of the API."""

    file = fields.Raw(
        required=True, metadata={"type": "string", "format": "binary", "description": "The file, with its name"}
    )


UPLOAD = UploadIn()


@blueprint.get("/files")
@require_role("viewer")
@blueprint.arguments(FileArgs, location="query")
@blueprint.response(200, listed(FileOut))
def files(args: dict[str, Any]) -> Any:
    """List the files of the workspace by path, including files in folders."""
    with _refusals():
        found = _files().find(args["prefix"], args["cursor"] or "", args["limit"] + 1)
    items = [_shown(**file) for file in found[: args["limit"]]]
    return {"items": items, "next_cursor": items[-1]["path"] if len(found) > len(items) else None}


@blueprint.post("/files")
@require_role("editor", takes_form=True)
@blueprint.doc(requestBody={"required": True, "content": {MULTIPART: {"schema": UploadForm}}})
@blueprint.response(201, FileOut)
@blueprint.alt_response(409, schema=Error)
@blueprint.alt_response(413, schema=Error)
@blueprint.alt_response(415, schema=Error)
def upload() -> Any:
    """Upload a file of up to `HEADRACE_FILE_MAX_BYTES`, independent of `HEADRACE_MAX_BODY_BYTES`.

    It is written to the disk while it arrives, and appears only when complete. 409 if the file exists, unless
    `overwrite` is true.
    """
    request = get_request()
    if request.mimetype != MULTIPART:
        raise NotJson(f"The body must be a form of the type {MULTIPART}, with the file in the field `file`")
    kept = _files()
    request.max_content_length = kept.max_bytes + ROOM_FOR_FORM
    with _refusals(), kept.uploading(_floor()) as upload:
        form, name = _received(request, upload)
        path = form["path"] + plain(name) if form["path"].endswith("/") or not form["path"] else form["path"]
        with begun("file.uploaded").target("file", None, path).note(size=upload.size).written():
            upload.keep(path, form["overwrite"])
    (file,) = kept.find(path, limit=1)
    return _shown(**file)


@blueprint.get("/files/<path:path>")
@require_role("operator")
@blueprint.response(
    200,
    {"type": "string", "format": "binary"},
    content_type="application/octet-stream",
    description="The file, under its own content type",
)
def download(path: str) -> Response:
    """Download a file under its name.

    Viewers cannot download files: the API hides signatures of answer links from them, and a file may contain such a
    link.
    """
    with _refusals():
        response = stream(_files(), path, content_type_of(path))
    response.headers.update(CLOSED)
    response.headers["Content-Disposition"] = disposition("attachment", path.rpartition("/")[2])
    return response


@blueprint.delete("/files/<path:path>")
@require_role("editor")
@blueprint.response(204)
def delete(path: str) -> None:
    """Delete a file, or an empty folder."""
    with _refusals(), begun("file.deleted").target("file", None, path).written():
        if not _files().delete(path):
            raise NotFound(f"There is no file {path[:200]!r}")


def _files() -> Files:
    files: Files = current_app.extensions["headrace"].dispatcher.files_of(get_workspace_id())
    return files


def _floor() -> int:
    """The bytes of the disk that uploads leave free, as runs do."""
    server = current_app.extensions["headrace"]
    floor: int = server.dispatcher.free_space.floor_at(server.config.data_dir)
    return floor


def _shown(path: str, size: int, modified_at: int) -> dict[str, Any]:
    name = path.rpartition("/")[2]
    type_ = content_type_of(name)
    return {"path": path, "name": name, "size": size, "content_type": type_, "modified_at": modified_at}


def stream(files: Files, path: str, content_type: str, status: int = 200) -> Response:
    """Return an answer that reads the file while it is sent. NodeError if it cannot be read."""
    with ExitStack() as stack:
        file = stack.enter_context(files.reading(path))
        size = file.seek(0, 2)
        file.seek(0)
        response = Response(_pieces(file, size), status, content_type=content_type)
        response.content_length = size
        response.call_on_close(stack.pop_all().close)
    return response


def _pieces(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield the file as it was when its size was taken: others may append to it meanwhile."""
    while size > 0 and (piece := file.read(min(PIECE, size))):
        size -= len(piece)
        yield piece


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn the errors of the workspace's files into errors of the API."""
    try:
        yield
    except Absent as error:
        raise NotFound(error.message) from None
    except Present as error:
        raise Conflict(f"{error.message}; send overwrite=true to replace it") from None
    except Overfull as error:
        raise TooLarge(error.message) from None
    except NodeError as error:
        raise (BadInput if error.permanent else Unavailable)(error.message) from None


# Receiving one


def _received(request: Request, upload: Upload) -> tuple[dict[str, Any], str]:
    """Write the file of a form to the upload; its other fields, and the file's own name. BadInput for another form."""
    sent: list[str] = []

    def begin(*sizes: Any, filename: str | None = None, **more: Any) -> Any:
        sent.append(filename or "")
        if len(sent) > 1:
            raise BadInput("file: one request takes one file")
        return Written(upload)

    parser = FormDataParser(begin, ROOM_FOR_FORM, max_form_parts=MAX_PARTS, silent=False)
    try:
        _, form, uploaded = parser.parse(request.stream, MULTIPART, request.content_length, request.mimetype_params)
    except ValueError as error:
        raise BadInput(f"The body is not a multipart form: {error}") from None
    if list(uploaded) != ["file"]:
        raise BadInput("file: is required, and must be sent as a file")
    return load(UPLOAD, form.to_dict()), sent[0]


class Written:
    """An upload, as the parser of forms writes to it. It is not read again."""

    def __init__(self, upload: Upload) -> None:
        self.write = upload.write

    def seek(self, place: int) -> None:
        """Do nothing: the parser goes back to the beginning for readers."""
