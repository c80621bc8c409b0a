"""Request bodies: JSON, forms, text, and files, which are streamed from disk."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import IO, Any, NamedTuple
from urllib.parse import unquote_plus, urlencode

from constants import FORM
from errors import LimitExceeded, NodeError
from nodes.fields import text_of
from nodes.files.files import WorkspaceFiles, guess_content_type

PIECE = 64 * 1024
MAX_FIELDS = 1_000
MAX_FILES = 20
MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]{1,100}/[\w!#$&^.+-]{1,100}(;[\x20-\x7e]{1,200})?\Z", re.ASCII)
CONTENT_TYPES = {
    "json": "application/json",
    "form": FORM,
    "text": "text/plain; charset=utf-8",
}


class RequestBody(NamedTuple):
    """A body and its headers. `content` can be iterated again for a retry; `parts` are the texts of a multipart one."""

    content: bytes | Iterable[bytes] | None = None
    headers: Mapping[str, str] = {}
    parts: Sequence[str] = ()

    def texts(self) -> Iterator[str]:
        """Yield the texts that may come from expressions."""
        if isinstance(self.content, bytes):
            yield self.content.decode()
        yield from self.parts


NO_BODY = RequestBody()


class FileStream:
    """An open file to send: from the start for each iteration, with its size at the time of opening."""

    def __init__(self, file: IO[bytes], path: str) -> None:
        self.file, self.path = file, path
        self.size = os.fstat(file.fileno()).st_size

    def __iter__(self) -> Iterator[bytes]:
        self.file.seek(0)
        while piece := self._piece(PIECE):
            yield piece

    def _piece(self, most: int) -> bytes:
        left = self.size - self.file.tell()
        piece = self.file.read(min(most, left))
        if left and not piece:
            raise NodeError(f"{self.path!r} was truncated while it was sent")
        return piece


class FilePart(FileStream):
    """A file as a part of a multipart body, which httpx2 reads like a file."""

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(self.size if whence == os.SEEK_END else offset)

    def tell(self) -> int:
        return self.file.tell()

    def read(self, most: int) -> bytes:
        return self._piece(most)


class FileName:
    """A file in a config: a path, or the output of another node, `{"path", "name"?, "content_type"?}`."""

    def __init__(self, value: Any, where: str) -> None:
        given = {"path": value} if isinstance(value, str) else value
        if not isinstance(given, dict) or not isinstance(given.get("path"), str) or not given["path"]:
            raise NodeError(f"{where}: must be a path such as reports/today.csv, or a file from another node", True)
        self.path: str = given["path"]
        self.name = str(given.get("name") or self.path.rpartition("/")[2])
        self.content_type = str(given.get("content_type") or guess_content_type(self.name))
        if not MEDIA_TYPE.match(self.content_type):
            raise NodeError(f"{where}: {self.content_type[:100]!r} is not a content type", permanent=True)


def encode(
    body: Any, kind: str, uploads: Mapping[str, Any], files: WorkspaceFiles | None, stack: ExitStack
) -> RequestBody:
    """Return the encoded body; its files stay open until `stack` is closed.

    Raises: NodeError if the body cannot be encoded as `kind`.
    """
    if uploads and kind != "multipart":
        raise NodeError("files: set the body type to multipart, or remove the files", permanent=True)
    if kind == "multipart":
        return _multipart(body, uploads, files, stack)
    if body is None:
        return NO_BODY
    if kind == "file":
        named = FileName(body, "body")
        sent = FileStream(_open(named, files, stack), named.path)
        return RequestBody(sent, {"Content-Type": named.content_type, "Content-Length": str(sent.size)})
    return encode_data(body, kind)


def encode_data(body: Any, kind: str) -> RequestBody:
    """Return the body encoded as json, text or form. Raises: NodeError if that is not possible."""
    try:
        if kind == "json":
            content = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        elif kind == "text":
            content = text_of(body).encode()
        elif isinstance(body, dict):
            content = urlencode(pairs(body)).encode()
        else:
            raise NodeError("the body of a form must be an object", permanent=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise NodeError(f"the body cannot be encoded as {kind}: {error}", permanent=True) from None
    return RequestBody(content, {"Content-Type": CONTENT_TYPES[kind]})


def _open(named: FileName, files: WorkspaceFiles | None, stack: ExitStack) -> IO[bytes]:
    if files is None:
        raise NodeError("files are not available here", permanent=True)
    return stack.enter_context(files.reading(named.path))


def _multipart(body: Any, uploads: Mapping[str, Any], files: WorkspaceFiles | None, stack: ExitStack) -> RequestBody:
    """Encode text fields, then files (RFC 7578). httpx2 escapes names; the boundary is random."""
    import httpx2

    if not isinstance(body, dict | None):
        raise NodeError("the body of a multipart form must be an object", permanent=True)
    fields = pairs(body or {})
    named = [(name, FileName(item, f"files.{name}")) for name, item in _items(uploads)]
    if not fields and not named:
        raise NodeError("a multipart form must have at least one field or file", permanent=True)
    if len(fields) > MAX_FIELDS or len(named) > MAX_FILES:
        raise LimitExceeded(f"a multipart form must have at most {MAX_FIELDS} fields and {MAX_FILES} files")
    parts: list[tuple[str, Any]] = []
    try:
        parts += [(name, (None, value.encode())) for name, value in fields]
        for name, file in named:
            part = FilePart(_open(file, files, stack), file.path)
            parts.append((name, (file.name, part, file.content_type)))
        made = httpx2.Request("POST", "http://multipart", files=parts)
    except UnicodeError as error:
        raise NodeError(f"the body cannot be encoded as multipart: {error}", permanent=True) from None
    headers = {name: made.headers[name] for name in ("Content-Type", "Content-Length")}
    assert isinstance(made.stream, httpx2.SyncByteStream)
    about = [text for name, file in named for text in (name, file.name, file.content_type)]
    return RequestBody(made.stream, headers, [*about, *(text for pair in fields for text in pair)])


def pairs(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return names with texts. Null omits a name, a list repeats it."""
    return [(name, text_of(item)) for name, item in _items(values)]


def _items(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        yield from ((name, item) for item in (value if isinstance(value, list) else [value]) if item is not None)


def append_query(url: str, query: Mapping[str, Any]) -> str:
    """Append `query` to the URL, encoded by `pairs`; the URL's own query stays."""
    found = pairs(query)
    if not found:
        return url
    base, hash_, fragment = url.partition("#")
    joint = "" if base.endswith(("?", "&")) else "&" if "?" in base else "?"
    try:
        return base + joint + urlencode(found) + hash_ + fragment
    except UnicodeError:
        raise NodeError("query: contains text that is not valid Unicode", permanent=True) from None


def replace_query(url: str, query: Mapping[str, Any]) -> str:
    """Append `query` to the URL, in place of its parameters with the same names; the others stay as written."""
    base, hash_, fragment = url.partition("#")
    path, mark, old = base.partition("?")
    kept = [part for part in old.split("&") if unquote_plus(part.partition("=")[0]) not in query]
    return append_query(path + (mark and mark + "&".join(kept)) + hash_ + fragment, query)
