"""Responses: the body of an HTTP response as data, text, bytes or a file of the workspace."""

from __future__ import annotations

import base64
import email.message
import json
import mimetypes
import re
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate, parsedate_to_datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from errors import ErrorKind, LimitExceeded, MalformedData
from net.egress import HttpResponse, Sink
from nodes.files.files import WorkspaceFiles, describe_file
from nodes.http.body import MEDIA_TYPE
from nodes.limits import has_too_many_parts

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
