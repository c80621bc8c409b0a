"""Files of a workspace: list, upload, download, delete. `nodes/files/files.py` has the rules for paths."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import IO, Any

from flask import Request, Response
from werkzeug.formparser import FormDataParser

from api.audit import begin_entry
from api.http.auth import get_workspace_id, require_role
from api.http.json_io import Resource, get_request, load
from api.http.server import get_config, get_dispatcher
from errors import BadInput, Conflict, NodeError, NotFound, NotJson, TooLarge, Unavailable
from models import lock_names
from nodes.core.output import disposition
from nodes.files.files import Absent, Files, Overfull, Present, guess_content_type
from nodes.http.response import to_safe_name
from schema_fields import Cursor, Out, Strict, Time, fields, text
from schemas import Error, PageArgs, listed

blueprint = Resource("files", "Files of the workspace")
CHUNK = 64 * 1024
MULTIPART = "multipart/form-data"
MAX_FORM = 64 * 1024  # bytes of a request besides the file
MAX_PARTS = 10
# A browser must never show a file as a page of this server, nor cache it.
DOWNLOAD_HEADERS = {"Content-Security-Policy": "default-src 'none'; sandbox", "Cache-Control": "no-store"}


class FileCursor(Cursor):
    """Cursor of a list of files: the last path of the previous page."""

    pattern = re.compile(r"\A[^\0]{1,5000}\Z")


class FileArgs(PageArgs):
    prefix = text(1_000, 0, load_default="", help="Beginning of the paths, such as `reports/`")
    cursor = FileCursor(load_default=None)


class FileOut(Out):
    path = fields.String()
    name = fields.String(help="The last part of the path")
    size = fields.Integer(help="In bytes")
    content_type = fields.String(help="From the ending of the name")
    modified_at = Time()


class UploadIn(Strict):
    """The form fields besides the file."""

    path = text(
        1_000,
        0,
        load_default="",
        help="Path of the file: `reports/may.csv`. With a slash at its end, a folder, in which the file "
        "keeps its name. Empty: its name, in no folder",
    )
    overwrite = fields.Boolean(load_default=False, help="Replace an existing file")


class UploadForm(UploadIn):
    """The whole form, for the OpenAPI document."""

    file = fields.Raw(required=True, metadata={"type": "string", "format": "binary"}, help="The file, with its name")


UPLOAD = UploadIn()


@blueprint.get("/files")
@require_role("viewer")
@blueprint.arguments(FileArgs, location="query")
@blueprint.response(200, listed(FileOut))
def list_files(args: dict[str, Any]) -> Any:
    """List the files of the workspace by path, including files in folders."""
    with _translate_errors():
        found = _get_files().find(args["prefix"], args["cursor"] or "", args["limit"] + 1)
    items = [_show(**file) for file in found[: args["limit"]]]
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
    files = _get_files()
    request.max_content_length = files.max_bytes + MAX_FORM
    # Uploads leave as much disk space free as runs do.
    floor = get_dispatcher().free_space.floor_at(get_config().data_dir)
    with _translate_errors(), files.uploading(floor) as upload:
        form, name = receive(request, upload.write, UPLOAD)
        path = form["path"] + to_safe_name(name) if form["path"].endswith("/") or not form["path"] else form["path"]
        with begin_entry("file.uploaded").target("file", None, path).note(size=upload.size).written():
            lock_names("files", (get_workspace_id(),))
            upload.keep(path, form["overwrite"])
    (file,) = files.find(path, limit=1)
    return _show(**file)


@blueprint.get("/files/<path:path>")
@require_role("operator")
@blueprint.response(
    200,
    {"type": "string", "format": "binary"},
    content_type="application/octet-stream",
    description="The file with its own content type",
)
def download(path: str) -> Response:
    """Download a file under its name.

    Viewers cannot download files: the API hides signatures of answer links from them, and a file may contain such a
    link.
    """
    with _translate_errors():
        response = stream(_get_files(), path, guess_content_type(path))
    response.headers.update(DOWNLOAD_HEADERS)
    response.headers["Content-Disposition"] = disposition("attachment", path.rpartition("/")[2])
    return response


@blueprint.delete("/files/<path:path>")
@require_role("editor")
@blueprint.response(204)
def delete(path: str) -> None:
    """Delete a file, or an empty folder."""
    with _translate_errors(), begin_entry("file.deleted").target("file", None, path).written():
        if not _get_files().delete(path):
            raise NotFound(f"There is no file {path[:200]!r}")


def _get_files() -> Files:
    return get_dispatcher().resources.files_of(get_workspace_id())


def _show(path: str, size: int, modified_at: int) -> dict[str, Any]:
    name = path.rpartition("/")[2]
    type_ = guess_content_type(name)
    return {"path": path, "name": name, "size": size, "content_type": type_, "modified_at": modified_at}


def stream(files: Files, path: str, content_type: str, status: int = 200) -> Response:
    """Return a response that reads the file while it is sent. Raises: NodeError if it cannot be read."""
    with ExitStack() as stack:
        file = stack.enter_context(files.reading(path))
        size = file.seek(0, 2)
        file.seek(0)
        response = Response(_read_chunks(file, size), status, content_type=content_type)
        response.content_length = size
        response.call_on_close(stack.pop_all().close)
    return response


def _read_chunks(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield the file up to the size when it was measured: it may grow meanwhile."""
    while size > 0 and (piece := file.read(min(CHUNK, size))):
        size -= len(piece)
        yield piece


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Turn the errors of workspace files into API errors."""
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


# Uploads


def receive(request: Request, write: Callable[[bytes], int], shape: Strict) -> tuple[dict[str, Any], str]:
    """Pass the file of a form to `write`, in pieces. Return the other fields, of this shape, and the file's name.

    Raises: BadInput if the form is malformed or has not exactly one file.
    """
    sent: list[str] = []

    def begin(*sizes: Any, filename: str | None = None, **more: Any) -> Any:
        sent.append(filename or "")
        if len(sent) > 1:
            raise BadInput("file: send exactly one file in a request")
        return SimpleNamespace(write=write, seek=lambda place: None)  # the parser rewinds it for readers

    parser = FormDataParser(begin, MAX_FORM, max_form_parts=MAX_PARTS, silent=False)
    try:
        _, form, uploaded = parser.parse(request.stream, MULTIPART, request.content_length, request.mimetype_params)
    except ValueError as error:
        raise BadInput(f"The body is not a multipart form: {error}") from None
    if list(uploaded) != ["file"]:
        raise BadInput("file: is required; send it as a file of the multipart form")
    return load(shape, form.to_dict()), sent[0]
