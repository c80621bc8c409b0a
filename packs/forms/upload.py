"""Upload of a form: the texts of its body, and its files, which are written to the disk while they arrive.

Everything is bounded. A file that may not be accepted is read and dropped, so that the browser gets a page that says
so beside the field.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from flask import Request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from api.http.request_origin import get_client
from constants import FORM, MULTIPART
from errors import BadInput, HeadraceError, NodeError, NotJson, TooLarge, TooMany, Unavailable
from nodes.core.waits import get_max_bytes, takes_several
from nodes.files.files import Overfull, OverQuota, WorkspaceFiles
from nodes.files.staged import STAGED_SECONDS, Crowded, UploadSource, discard, staging
from nodes.http.response import to_safe_name
from packs.forms.answers import get_label
from security.login_throttle import get_network

log = logging.getLogger("headrace.forms")

READ_BYTES = 64 * 1024
MAX_TEXT_BYTES = 4 * 2**20  # of all texts together
MAX_PARTS = 5_000
# Bytes beyond the limit that are read and dropped, so that the browser shows an answer instead of a lost connection.
SLACK = 64 * 2**20
FULL = "There is no space left for files here, so yours were not stored. Send the form without files, or tell its owner"
CROWDED = "Too many files of unfinished forms are stored here, so yours were not. Try again later"
BROKEN = "Files cannot be stored at the moment; try again later"


class Storage(NamedTuple):
    """Storage of the files of a form before it is sent. `form` names it among all forms of the workspace.

    `admit` is called before a file of a request is stored. It raises TooMany beyond the form's rate limit.
    """

    files: WorkspaceFiles
    min_free: int
    form: str
    admit: Callable[[], None] = lambda: None


@dataclass
class SentForm:
    """A sent form. `files` are `{"key", "name", "size"}` of staged files by field, `problems` the refused files.

    `refused` is the reason why no file of the form could be stored.
    """

    texts: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    refused: HeadraceError | None = None

    def get(self, name: str) -> str:
        """Return the first text of this name; empty if there is none."""
        return self.texts.get(name, [""])[0]


def read_sent(request: Request, items: Sequence[Mapping[str, Any]], storage: Storage) -> SentForm:
    """Return the form in the body of the request; its files are staged.

    Raises: BadInput if it is malformed, NotJson for another content type, RequestEntityTooLarge if it is too large.
    """
    takers = {item["name"]: item for item in items if item.get("kind") == "file"}
    room = sum(get_max_bytes(item, storage.files.max_bytes) * int(item.get("max", 1)) for item in takers.values())
    request.max_content_length = MAX_TEXT_BYTES + room + (SLACK if takers else 0)
    if request.mimetype == FORM:
        return _read_texts(request)
    if request.mimetype != MULTIPART:
        raise NotJson("Send the form with a browser")
    client = get_client()
    network = None if client.is_shared else get_network(client.address)
    reader = _FormReader(takers, storage, UploadSource(storage.form, network, room))
    try:
        reader.read(request)
    except ValueError as error:
        reader.drop()
        raise BadInput(f"The form is malformed: {error}") from None
    except BaseException:
        reader.drop()
        raise
    return reader.sent


def _read_texts(request: Request) -> SentForm:
    request.max_content_length = MAX_TEXT_BYTES
    raw = request.get_data(cache=False)
    try:
        pairs = parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MAX_PARTS)
    except ValueError:
        raise BadInput("The form has too many fields") from None
    sent = SentForm()
    for name, value in pairs:
        sent.texts.setdefault(name, []).append(value)
    return sent


class _FormReader:
    """Reads a multipart body piece by piece."""

    def __init__(self, takers: Mapping[str, Mapping[str, Any]], storage: Storage, source: UploadSource) -> None:
        self.takers, self.storage, self.source = takers, storage, source
        self.files = storage.files
        self.sent = SentForm()
        self.room = MAX_TEXT_BYTES

    def drop(self) -> None:
        """Delete the staged files."""
        discard(self.files, [file["key"] for found in self.sent.files.values() for file in found])
        self.sent.files.clear()

    def read(self, request: Request) -> None:
        boundary = request.mimetype_params.get("boundary", "").encode("ascii", "replace")
        if not 1 <= len(boundary) <= 200:
            raise ValueError("it has no boundary")
        events = _read_events(request, MultipartDecoder(boundary, READ_BYTES * 4, max_parts=MAX_PARTS))
        for event in events:
            if isinstance(event, File):
                self._take_file(str(event.name), str(event.filename or ""), events)
            elif isinstance(event, Field):
                self._take_text(str(event.name), events)

    def _take_text(self, name: str, events: Iterator[Any]) -> None:
        parts = []
        for data in _read_data(events):
            self.room -= len(data)
            if self.room < 0:
                raise RequestEntityTooLarge
            parts.append(data)
        self.sent.texts.setdefault(name, []).append(b"".join(parts).decode("utf-8", "replace"))

    def _take_file(self, field_name: str, filename: str, events: Iterator[Any]) -> None:
        """Stage a file, or drop it with a problem. A file input without a choice sends an empty file without a name."""
        item = self.takers.get(field_name)
        problem = "" if item is None else _refuse(item, filename, len(self.sent.files.get(field_name, ())))
        if item is None or problem or not filename or self.sent.refused is not None:
            for _ in _read_data(events):
                continue
            if problem and filename:
                self.sent.problems[field_name] = problem
            return
        try:
            self._stage(item, filename, events)
        except Overfull:
            most = format_size(get_max_bytes(item, self.files.max_bytes))
            self.sent.problems[field_name] = f"“{filename[:100]}” is larger than {most}; choose another file."
        except (NodeError, TooMany) as error:
            self.drop()
            self.sent.refused = self._explain(error)
        else:
            return
        for _ in _read_data(events):  # so that the browser shows the page instead of a lost connection
            continue

    def _stage(self, item: Mapping[str, Any], filename: str, events: Iterator[Any]) -> None:
        """Store a file. Raises: Overfull, NodeError; TooMany beyond the rate limit."""
        self.storage.admit()
        room = get_max_bytes(item, self.files.max_bytes)
        with staging(self.files, self.source, room, self.storage.min_free) as upload:
            for data in _read_data(events):
                upload.write(data)
        file = {"key": upload.name, "name": to_safe_name(filename), "size": upload.size}
        self.sent.files.setdefault(item["name"], []).append(file)

    def _explain(self, error: NodeError | TooMany) -> HeadraceError:
        """Return the reason for the sender, which says nothing about the workspace, and log the whole one."""
        log.warning("workspace %s: files of a form were refused: %s", self.files.root.name, error)
        if isinstance(error, TooMany):
            return error
        if isinstance(error, OverQuota):
            return TooLarge(FULL)
        if isinstance(error, Crowded):
            return TooMany(CROWDED, retry_after=STAGED_SECONDS)
        return Unavailable(BROKEN, retry_after=60)


def _refuse(item: Mapping[str, Any], filename: str, count: int) -> str:
    """Return why a file is not accepted; empty if it is, as far as its name tells."""
    most, endings = int(item.get("max", 1)), [ending.lower() for ending in item.get("accept", ())]
    if count >= most:
        return f"Choose at most {most} files for “{get_label(item)}”."
    if filename and endings and not filename.lower().endswith(tuple(endings)):
        return f"Choose a file of the type {', '.join(endings)} for “{get_label(item)}”; “{filename[:100]}” is another."
    return ""


def merge_files(
    item: Mapping[str, Any], kept: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the files of a field after a page was sent, and those that are dropped for newer ones."""
    most = int(item.get("max", 1))
    if not takes_several(item):
        return list(new or kept), list(kept) if new else []
    found = [*kept, *new]
    return found[:most], found[most:]


def format_size(size: int) -> str:
    """Return a size for people: `2.5 MB`."""
    if size < 1_000:
        return f"{size} bytes"
    return f"{size / 1e3:.0f} KB" if size < 1e6 else f"{size / 1e6:.1f} MB".replace(".0 ", " ")


def _read_events(request: Request, decoder: MultipartDecoder) -> Iterator[Any]:
    """Yield the events of the body. Raises: ClientDisconnected if it ends too early."""
    while True:
        event = decoder.next_event()
        if isinstance(event, Epilogue):
            return
        if isinstance(event, NeedData):
            data = request.stream.read(READ_BYTES)
            decoder.receive_data(data or None)
            if data:
                continue
            if not isinstance(decoder.next_event(), Epilogue):
                raise ClientDisconnected
            return
        else:
            yield event


def _read_data(events: Iterator[Any]) -> Iterator[bytes]:
    """Yield the data of the present part."""
    for event in events:
        if isinstance(event, Data):
            yield event.data
            if not event.more_data:
                return
