"""Bodies of requests and responses: encoding, decoding, downloads, and what an error says."""

from __future__ import annotations

import base64
import email.message
import json
import mimetypes
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from email.utils import formatdate, parsedate_to_datetime
from typing import IO, Any, NamedTuple
from urllib.parse import unquote, unquote_plus, urlencode, urlsplit

from constants import FORM
from errors import ErrorKind, LimitExceeded, MalformedData, NodeError
from net.egress import HttpResponse, Sink
from nodes.fields import text_of
from nodes.files.files import WorkspaceFiles, describe_file, guess_content_type
from nodes.limits import has_too_many_parts

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


# Responses: the body of an HTTP response as data, text, bytes or a file of the workspace.

# Python codecs that are not charsets of text; one of them takes quadratic time.
NOT_CHARSETS = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"}
TEXT_TYPES = {
    *("application/xml", "application/yaml", "application/x-yaml", "application/javascript", "application/graphql"),
    *("application/x-www-form-urlencoded", "application/x-ndjson", "application/toml", "application/sql"),
}
UNKNOWN_TYPES = {"", "application/octet-stream", "binary/octet-stream"}
TRANSIENT_STATUSES = {408, 425, 429}
BUSY_STATUSES = {429, 503}
SECONDS = re.compile(r"[0-9]{1,12}\Z")
# Bytes of an error's body to read, so that no secret is cut in two before redaction, and characters to show.
ERROR_BYTES = 64 * 1024
ERROR_SHOWN = 300
TAG = re.compile(r"<[^<>]*>")
UNSAFE_CHARACTERS = re.compile(r"[\x00-\x1f\x7f/\\:*?\"<>|\ud800-\udfff]+")
EXTENDED_NAME = re.compile(r";\s*filename\*\s*=\s*utf-8'[^';]*'([^\s;]+)", re.IGNORECASE)
MAX_NAME, MAX_EXTENSION = 120, 20
MAX_HEADER = 2_000
FOLDER = "downloads/"


def media_type(answer: HttpResponse) -> str:
    """Return the media type of the response, such as `text/html`; empty if it has none."""
    return answer.headers.get("content-type", "").partition(";")[0].strip().lower()


def is_json(media: str) -> bool:
    """Return True if this media type is JSON."""
    return media == "application/json" or media.endswith("+json")


def decode(answer: HttpResponse, kind: str) -> Any:
    """Return the body as `kind`; auto goes by the media type: JSON, text, or `{"content_type", "size", "base64"}`."""
    if kind == "json" or (kind == "auto" and is_json(media_type(answer))):
        return parse_json(answer)
    if kind == "text" or not answer.content or is_text(answer):
        return to_text(answer)
    content = answer.content
    return {"content_type": media_type(answer), "size": len(content), "base64": base64.b64encode(content).decode()}


def is_text(answer: HttpResponse) -> bool:
    """Return True if the body is text by its media type; without one, if its bytes are UTF-8."""
    media = media_type(answer)
    if media in UNKNOWN_TYPES and not answer.charset:
        try:
            answer.content.decode()
        except UnicodeDecodeError:
            return False
        return b"\0" not in answer.content
    return bool(answer.charset) or media.startswith("text/") or media.endswith("+xml") or media in TEXT_TYPES


def parse_json(answer: HttpResponse) -> Any:
    """Return the body as JSON; null if it is empty."""
    if not answer.content.strip():
        return None
    if has_too_many_parts(answer.content):
        raise LimitExceeded(f"{answer.who} returned JSON with too many lists and objects; request less data")
    try:
        return json.loads(answer.content, parse_constant=_reject_constant)
    except (ValueError, RecursionError):
        raise MalformedData(f"{answer.who} answered {answer.status} with a body that is not JSON") from None


def _reject_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def to_text(answer: HttpResponse) -> str:
    """Return the body as text, in its charset if that is known, else in UTF-8."""
    charset = (answer.charset or "utf-8").lower().replace("-", "_")
    try:
        return answer.content.decode("utf-8" if charset in NOT_CHARSETS else charset, errors="replace")
    except (LookupError, UnicodeError, ValueError):
        return answer.content.decode("utf-8", errors="replace")


def is_permanent(status: int) -> bool:
    """Return True if a retry would get the same response."""
    return status < 500 and status not in TRANSIENT_STATUSES


def kind_of_status(status: int) -> ErrorKind:
    """Return the kind of error that a response with this status from 400 on is."""
    return "credential" if status in (401, 407) else "refused" if is_permanent(status) else "remote"


def get_retry_after(answer: HttpResponse) -> float | None:
    """Return the seconds to wait by Retry-After of an overloaded server; None if there is none.

    Retry-After (RFC 9110, section 10.2.3) has seconds or a time, which is compared with the server's own clock.
    """
    said = answer.headers.get("retry-after", "").strip()[:MAX_HEADER]
    if answer.status not in BUSY_STATUSES or not said:
        return None
    if SECONDS.match(said):
        return float(said)
    try:
        until = parsedate_to_datetime(said)
        now = parsedate_to_datetime(answer.headers.get("date") or formatdate(usegmt=True))
        return max(0.0, (until - now).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def quote_body(answer: HttpResponse, clean: Any) -> str:
    """Return the beginning of an error's body, redacted by `clean`, in one line; empty if it is not text."""
    media = media_type(answer)
    if not (is_json(media) or is_text(answer)):
        return ""
    text = clean(to_text(answer))
    if "html" in media:
        text = TAG.sub(" ", text)
    line = " ".join(text[: ERROR_SHOWN * 20].split())
    return line if len(line) <= ERROR_SHOWN else line[:ERROR_SHOWN] + "…"


class Download:
    """A download: where to save the body of a response. `made` then describes the file for the output.

    `save_to` is a path, or a folder with a slash at the end; by default, the file is saved in `downloads/` with the
    name in the response or the URL, or `name` if it is given. `prefix` distinguishes the files of several items.
    """

    def __init__(self, files: WorkspaceFiles, save_to: str = "", prefix: str = "", name: str = "") -> None:
        self.files, self.save_to, self.prefix, self.name = files, save_to, prefix, name
        self.made: dict[str, Any] | None = None

    @contextmanager
    def __call__(self, answer: HttpResponse) -> Iterator[Sink]:
        path = self.path(answer)
        with self.files.writing(path) as file:
            yield file
        media = media_type(answer)
        self.made = describe_file(path, file.size) | ({"content_type": media} if MEDIA_TYPE.match(media) else {})

    def path(self, answer: HttpResponse) -> str:
        """Return the path for this response."""
        return self.path_of(to_safe_name(self.name) or make_file_name(answer))

    def path_of(self, name: str) -> str:
        """Return the path for a file of this name."""
        if self.save_to and not self.save_to.endswith("/"):
            return self.save_to
        return (self.save_to or FOLDER) + self.prefix + (to_safe_name(name) or "download")


def make_file_name(answer: HttpResponse) -> str:
    """Return a safe file name for a response, from its headers or the end of its URL."""
    name = to_safe_name(_header_name(answer)) or to_safe_name(unquote(urlsplit(answer.url).path))
    return name or "download" + (mimetypes.guess_extension(media_type(answer)) or "")


def _header_name(answer: HttpResponse) -> str:
    """Return the name in Content-Disposition (RFC 6266), preferably the one in UTF-8."""
    header = answer.headers.get("content-disposition", "")[:MAX_HEADER]
    if extended := EXTENDED_NAME.search(header):
        return unquote(extended[1])
    message = email.message.Message()
    message["Content-Disposition"] = header
    try:
        return message.get_filename("")
    except ValueError:  # the text does not match its charset
        return ""


def to_safe_name(name: str) -> str:
    """Return the last part of a path, limited, without characters special to file systems and shells."""
    clean = UNSAFE_CHARACTERS.sub("_", name.replace("\\", "/").rpartition("/")[2]).strip(" .")
    stem, dot, end = clean.rpartition(".")
    if not stem or len(end) > MAX_EXTENSION:
        stem, dot, end = clean, "", ""
    room = MAX_NAME - len((dot + end).encode())
    return stem.encode()[:room].decode("utf-8", "ignore") + dot + end
