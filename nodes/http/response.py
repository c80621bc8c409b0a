"""What an answer over HTTP is to a flow: data, text, the bytes of something else, or a file of the workspace."""

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

from errors import NodeError
from net.egress import Answer, Sink
from nodes.files.files import Files, described
from nodes.http.body import MEDIA_TYPE
from nodes.limits import is_too_fine

KINDS = ("auto", "json", "text", "file")
# Codecs that are no charsets of text, one of them of quadratic cost.
NOT_CHARSETS = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"}
TEXTS = {
    *("application/xml", "application/yaml", "application/x-yaml", "application/javascript", "application/graphql"),
    *("application/x-www-form-urlencoded", "application/x-ndjson", "application/toml", "application/sql"),
}
UNNAMED = {"", "application/octet-stream", "binary/octet-stream"}
RETRY_HELPS = {408, 425, 429}
TOO_BUSY = {429, 503}
SECONDS = re.compile(r"[0-9]{1,12}\Z")
# Of an error's body, how much is read, so that no secret in what is shown of it is cut in two, and how much is shown.
ERROR_BYTES = 64 * 1024
ERROR_SHOWN = 300
TAG = re.compile(r"<[^<>]*>")
NAMELESS = re.compile(r"[\x00-\x1f\x7f/\\:*?\"<>|\ud800-\udfff]+")
EXTENDED_NAME = re.compile(r";\s*filename\*\s*=\s*utf-8'[^';]*'([^\s;]+)", re.IGNORECASE)
LONGEST_NAME, LONGEST_ENDING = 120, 20
LONGEST_HEADER = 2_000
FOLDER = "downloads/"


def media_type(answer: Answer) -> str:
    """The media type that the server names, such as `text/html`; empty where it names none."""
    return answer.headers.get("content-type", "").partition(";")[0].strip().lower()


def is_json(media: str) -> bool:
    """Whether this media type is JSON."""
    return media == "application/json" or media.endswith("+json")


def decoded(answer: Answer, kind: str) -> Any:
    """The body as `kind` says; with auto, as the server does: JSON, text, or `{"content_type", "size", "base64"}`."""
    if kind == "json" or (kind == "auto" and is_json(media_type(answer))):
        return as_json(answer)
    if kind == "text" or not answer.content or is_text(answer):
        return as_text(answer)
    content = answer.content
    return {"content_type": media_type(answer), "size": len(content), "base64": base64.b64encode(content).decode()}


def is_text(answer: Answer) -> bool:
    """Whether the body is text by what the server says of it; where it says nothing, by its bytes."""
    media = media_type(answer)
    if media in UNNAMED and not answer.charset:
        try:
            answer.content.decode()
        except UnicodeDecodeError:
            return False
        return b"\0" not in answer.content
    return bool(answer.charset) or media.startswith("text/") or media.endswith("+xml") or media in TEXTS


def as_json(answer: Answer) -> Any:
    """The body as JSON; null where it is empty."""
    if not answer.content.strip():
        return None
    if is_too_fine(answer.content):
        raise NodeError(f"{answer.who} answered with JSON of more lists and objects than may be read at once", True)
    try:
        return json.loads(answer.content, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise NodeError(f"{answer.who} answered {answer.status} with a body that is not JSON", permanent=True) from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def as_text(answer: Answer) -> str:
    """The body as text, in the charset that the server names if there is such a one, else in UTF-8."""
    charset = (answer.charset or "utf-8").lower().replace("-", "_")
    try:
        return answer.content.decode("utf-8" if charset in NOT_CHARSETS else charset, errors="replace")
    except (LookupError, UnicodeError, ValueError):
        return answer.content.decode("utf-8", errors="replace")


def is_permanent(status: int) -> bool:
    """Whether the same request would get the same answer again."""
    return status < 500 and status not in RETRY_HELPS


def asked_to_wait(answer: Answer) -> float | None:
    """How many seconds a server that is asked too much wants to be left alone; None where it does not say.

    Retry-After (RFC 9110, section 10.2.3) has seconds or a time; that is compared with the server's own clock.
    """
    said = answer.headers.get("retry-after", "").strip()[:LONGEST_HEADER]
    if answer.status not in TOO_BUSY or not said:
        return None
    if SECONDS.match(said):
        return float(said)
    try:
        until = parsedate_to_datetime(said)
        now = parsedate_to_datetime(answer.headers.get("date") or formatdate(usegmt=True))
        return max(0.0, (until - now).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def shown(answer: Answer, clean: Any) -> str:
    """The beginning of an error's body, on one line, after `clean` has struck secrets out of it; empty for no text."""
    media = media_type(answer)
    if not (is_json(media) or is_text(answer)):
        return ""
    text = clean(as_text(answer))
    if "html" in media:
        text = TAG.sub(" ", text)
    line = " ".join(text[: ERROR_SHOWN * 20].split())
    return line if len(line) <= ERROR_SHOWN else line[:ERROR_SHOWN] + "…"


class Download:
    """Where the body of an answer is saved. `made` is then what an output says of the file.

    `save_to` is a path, or a folder with a slash at its end; without it, the file is below `downloads/` under the name
    that the server gives it, or the address does. `prefix` keeps apart what several items would save there.
    """

    def __init__(self, files: Files, save_to: str = "", prefix: str = "") -> None:
        self.files, self.save_to, self.prefix = files, save_to, prefix
        self.made: dict[str, Any] | None = None

    @contextmanager
    def __call__(self, answer: Answer) -> Iterator[Sink]:
        path = self.path(answer)
        with self.files.writing(path) as file:
            yield file
        media = media_type(answer)
        self.made = described(path, file.size) | ({"content_type": media} if MEDIA_TYPE.match(media) else {})

    def path(self, answer: Answer) -> str:
        """The path for this answer."""
        if self.save_to and not self.save_to.endswith("/"):
            return self.save_to
        return (self.save_to or FOLDER) + self.prefix + name_of(answer)


def name_of(answer: Answer) -> str:
    """A plain file name for an answer: what the server says, or the end of the address."""
    for candidate in (_said(answer), unquote(urlsplit(answer.url).path)):
        name = plain(candidate)
        if name:
            return name
    return "download" + (mimetypes.guess_extension(media_type(answer)) or "")


def _said(answer: Answer) -> str:
    """The name in Content-Disposition (RFC 6266): the one in UTF-8 before another."""
    header = answer.headers.get("content-disposition", "")[:LONGEST_HEADER]
    if extended := EXTENDED_NAME.search(header):
        return unquote(extended[1])
    message = email.message.Message()
    message["Content-Disposition"] = header
    try:
        return message.get_filename("")
    except ValueError:  # text that is none in the charset that it claims to be in
        return ""


def plain(name: str) -> str:
    """The last part of what may be a path, bounded, without what a file system or a shell could take for more."""
    clean = NAMELESS.sub("_", name.replace("\\", "/").rpartition("/")[2]).strip(" .")
    stem, dot, end = clean.rpartition(".")
    if not stem or len(end) > LONGEST_ENDING:
        stem, dot, end = clean, "", ""
    room = LONGEST_NAME - len((dot + end).encode())
    return stem.encode()[:room].decode("utf-8", "ignore") + dot + end
