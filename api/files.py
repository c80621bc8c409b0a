"""Files of a workspace: list, upload, download, delete. `nodes/files/files.py` has the rules for paths."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import SimpleNamespace
from typing import IO, Any

from flask import Request, Response
from marshmallow.validate import Length
from werkzeug.formparser import MultiPartParser

import fields
from api.audit import begin_entry
from api.http.auth import get_workspace_id, require_role
from api.http.json_io import Resource, get_config, get_dispatcher, get_request, load
from api.http.paging import Cursor, PageArgs, listed
from constants import MULTIPART
from database.queries.locks import lock_names
from errors import BadInput, Conflict, NodeError, NotFound, NotJson, TooLarge, Unavailable
from fields import Out, Shape, Strict, Time, choice, text
from nodes.core.logic import disposition
from nodes.files.files import Absent, FileAlreadyExists, Overfull, OverQuota, WorkspaceFiles, guess_content_type
from nodes.files.staged import count_staged
from nodes.http.body import to_safe_name
from schemas import Error

blueprint = Resource("files", "Files of the workspace")
CHUNK = 64 * 1024
MAX_FORM = 64 * 1024  # bytes of a request besides the file
MAX_PARTS = 10
MAX_CHANGED = 200  # paths of a request
# Types that a browser may show instead of saving. Text is sent as plain text; SVG can contain scripts.
SHOWN = ("image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf")
# A browser must never show a file as a page of this server, nor cache it.
DOWNLOAD_HEADERS = {"Content-Security-Policy": "default-src 'none'; sandbox", "Cache-Control": "no-store"}


class FileCursor(Cursor):
    """Cursor of a list of files: the last path of the previous page."""

    pattern = re.compile(r"\A[^\0]{1,5000}\Z")


class FileArgs(PageArgs):
    prefix = text(1_000, 0, load_default="", help="Beginning of the paths, such as `reports/`")
    folder = text(
        1_000,
        0,
        load_default=None,
        metadata={"allowEmptyValue": True},
        help="Instead of `prefix`: list this folder only, with its folders; empty: the topmost one",
    )
    cursor = FileCursor(load_default=None)


class FileOut(Out):
    path = fields.String(help="That of a folder ends with a slash")
    name = fields.String(help="The last part of the path")
    type = choice(("file", "folder"))
    size = fields.Integer(help="In bytes")
    content_type = fields.String(help="From the ending of the name")
    modified_at = Time()


class FilesUsageOut(Out):
    used = fields.Integer(help="Bytes of all files; counted at most ten minutes ago")
    staged = fields.Integer(help="Bytes of files of forms that are not sent yet")
    quota = fields.Integer(allow_none=True, help="`HEADRACE_FILES_QUOTA`; null: no limit")
    max_file_bytes = fields.Integer(help="`HEADRACE_FILE_MAX_BYTES`, the limit of each file")


class DownloadArgs(Shape):
    inline = fields.Boolean(load_default=False, help="Let a browser show text, images and PDF instead of saving them")


class MoveIn(Strict):
    path = text(1_000, required=True)
    to = text(1_000, required=True, help="A path that does not exist")


class PathsIn(Strict):
    paths = fields.List(
        text(1_000), required=True, validate=Length(1, MAX_CHANGED), help="A folder's path ends with a slash"
    )


class DeletedFiles(Out):
    deleted = fields.Integer(help="Number of files")


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
    """List the files of the workspace by path, including files in folders, or the files and folders of one folder."""
    files, after, limit = _get_files(), args["cursor"] or "", args["limit"] + 1
    found: Sequence[dict[str, Any]]
    with _translate_errors():
        if args["folder"] is None:
            found = files.find(args["prefix"], after, limit)
        else:
            found = files.page(args["folder"], after, limit)
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


@blueprint.get("/files-usage")
@require_role("viewer")
@blueprint.response(200, FilesUsageOut)
def get_usage() -> Any:
    """Show how many bytes the files take, and the limits."""
    files = _get_files()
    with _translate_errors():
        used, staged = files.usage(), count_staged(files)
    return {"used": used, "staged": staged, "quota": files.quota or None, "max_file_bytes": files.max_bytes}


@blueprint.post("/files-move")
@require_role("editor")
@blueprint.arguments(MoveIn)
@blueprint.response(204)
@blueprint.alt_response(409, schema=Error)
def move(body: dict[str, Any]) -> None:
    """Rename or move a file or a folder. 409 if something exists at the new path."""
    path, to = body["path"], body["to"]
    with _translate_errors(), begin_entry("file.moved").target("file", None, path).note(to=to[:200]).written():
        lock_names("files", (get_workspace_id(),))
        _get_files().rename(path, to)


@blueprint.post("/files-delete")
@require_role("editor")
@blueprint.arguments(PathsIn)
@blueprint.response(200, DeletedFiles)
def delete_many(body: dict[str, Any]) -> Any:
    """Delete files, and folders with up to 10,000 files in them each. Paths that do not exist are ignored."""
    files, paths, deleted = _get_files(), body["paths"], 0
    with _translate_errors(), begin_entry("file.deleted").target("file", None, paths[0]).written() as entry:
        for path in dict.fromkeys(paths):
            with suppress(Absent):
                deleted += files.delete_folder(path) if path.endswith("/") else files.delete(path)
        entry.note(paths=len(paths), files=deleted)
    return {"deleted": deleted}


@blueprint.get("/files/<path:path>")
@require_role("operator")
@blueprint.arguments(DownloadArgs, location="query")
@blueprint.response(
    200,
    {"type": "string", "format": "binary"},
    content_type="application/octet-stream",
    description="The file with its own content type",
)
def download(args: dict[str, Any], path: str) -> Response:
    """Download a file under its name, or a part of it by a header `Range`.

    Viewers cannot download files: the API hides signatures of answer links from them, and a file may contain such a
    link.
    """
    type_ = guess_content_type(path)
    shown = None  # the type with which a browser may show it; None if it must save it
    if args["inline"]:
        is_text = type_.startswith("text/") or type_ in ("application/json", "application/xml")
        shown = type_ if type_ in SHOWN else "text/plain; charset=utf-8" if is_text else None
    with _translate_errors():
        response = stream(_get_files(), path, shown or type_)
    response.headers.update(DOWNLOAD_HEADERS)
    if shown == "application/pdf":  # browsers show no PDF in a sandbox; it has no access to the page's origin
        response.headers["Content-Security-Policy"] = "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'"
    name = path.rpartition("/")[2]
    response.headers["Content-Disposition"] = disposition("attachment" if shown is None else "inline", name)
    return response


@blueprint.delete("/files/<path:path>")
@require_role("editor")
@blueprint.response(204)
def delete(path: str) -> None:
    """Delete a file, or an empty folder."""
    with _translate_errors(), begin_entry("file.deleted").target("file", None, path).written():
        if not _get_files().delete(path):
            raise NotFound(f"There is no file {path[:200]!r}")


def _get_files() -> WorkspaceFiles:
    return get_dispatcher().resources.files_of(get_workspace_id())


def _show(path: str, size: int, modified_at: int) -> dict[str, Any]:
    is_folder = path.endswith("/")
    name = path.rstrip("/").rpartition("/")[2]
    return {
        "path": path,
        "name": name,
        "type": "folder" if is_folder else "file",
        "size": size,
        "content_type": "" if is_folder else guess_content_type(name),
        "modified_at": modified_at,
    }


def stream(files: WorkspaceFiles, path: str, content_type: str, status: int = 200) -> Response:
    """Return a response that reads the file while it is sent. Raises: NodeError if it cannot be read."""
    request = get_request()
    with ExitStack() as stack:
        file = stack.enter_context(files.reading(path))
        size = file.seek(0, 2)
        start, stop = 0, size
        if status == 200 and size and request.method in ("GET", "HEAD") and request.range is not None:
            # Several ranges count as all.
            start, stop = request.range.range_for_length(size) or (0, size)
        file.seek(start)
        if stop - start < size:
            status = 206
        response = Response(_read_chunks(file, stop - start), status, content_type=content_type)
        response.content_length = stop - start
        if status == 206:
            response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        if status < 300:
            response.headers["Accept-Ranges"] = "bytes"
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
    except FileAlreadyExists as error:
        raise Conflict(f"{error.message}; send overwrite=true to replace it") from None
    except (Overfull, OverQuota) as error:
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

    boundary = request.mimetype_params.get("boundary", "").encode("ascii", "replace")
    if not boundary:
        raise BadInput("The body is not a multipart form: it has no boundary")
    # The rest of one piece counts with the next one against the limit, also within a file.
    parser = MultiPartParser(begin, max_form_memory_size=MAX_FORM, buffer_size=MAX_FORM // 2, max_form_parts=MAX_PARTS)
    try:
        form, uploaded = parser.parse(request.stream, boundary, request.content_length)
    except ValueError as error:
        raise BadInput(f"The body is not a multipart form: {error}") from None
    if list(uploaded) != ["file"]:
        raise BadInput("file: is required; send it as a file of the multipart form")
    return load(shape, form.to_dict()), sent[0]
