"""Answers of an HTML form: what a browser sent for each field as values, or as what to do about it."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import parse_qsl

from flask import Request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from api.http.request_origin import get_client
from constants import FORM, MULTIPART
from errors import BadInput, HeadraceError, NodeError, NotJson, TooLarge, TooMany, Unavailable
from nodes.core.waits import EMAIL, MAX_LENGTHS, TIME, get_max_bytes, list_inputs, takes_several
from nodes.files.files import Overfull, OverQuota, WorkspaceFiles
from nodes.files.staged import STAGED_SECONDS, Crowded, UploadSource, discard, staging
from nodes.http.body import to_safe_name
from security.login_throttle import get_network

Item: TypeAlias = Mapping[str, Any]
Texts: TypeAlias = dict[str, list[str]]  # the sent texts, by the name of the field

MAX_PREFILLED = 200  # values of a field in an address
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
IS_EMAIL, IS_TIME = re.compile(EMAIL), re.compile(TIME)
NUMBER = re.compile(r"[+-]?(\d{1,15}(\.\d{0,15})?|\.\d{1,15})\Z")


class InvalidAnswer(Exception):
    """A problem of an answer: a sentence with the correction."""


def make_start_texts(items: Sequence[Item], query: Mapping[str, Sequence[str]]) -> Texts:
    """Return the texts of a form that was just opened: its defaults, and values from the address.

    A value that the field would not accept is left out.
    """
    found = {}
    for item in list_inputs(items):
        if item["kind"] == "file":
            continue
        found[item["name"]] = _write_default(item.get("default"))
        given = list(query.get(item["name"], ()))[:MAX_PREFILLED] if item.get("prefill") else []
        if given:
            with suppress(InvalidAnswer):
                read_answer({**item, "required": False}, given)
                found[item["name"]] = given
    return found


def take_texts(items: Sequence[Item], sent: Mapping[str, Sequence[str]]) -> Texts:
    """Return the sent texts of the form's fields. A hidden field that the address may not fill in keeps its default."""
    found = {}
    for item in list_inputs(items):
        if item["kind"] == "hidden" and not item.get("prefill"):
            found[item["name"]] = _write_default(item.get("default"))
        elif item["kind"] != "file":
            found[item["name"]] = list(sent.get(item["name"], ()))[: len(item.get("options", ())) or 1]
    return found


def read_answers(items: Sequence[Item], texts: Texts) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the answers by the name of the field, without files, and the problems by name."""
    answers, problems = {}, {}
    for item in list_inputs(items):
        if item["kind"] == "file":
            continue
        try:
            answers[item["name"]] = read_answer(item, texts.get(item["name"], []))
        except InvalidAnswer as problem:
            problems[item["name"]] = str(problem)
    return answers, problems


def read_answer(item: Item, texts: Sequence[str]) -> Any:
    """Return the answer to one field: None if it was left empty. Raises: InvalidAnswer."""
    kind = item["kind"]
    if kind == "checkbox":
        is_checked = texts[:1] == ["true"]
        if item.get("required") and not is_checked:
            raise InvalidAnswer(f"Check “{get_label(item)}” to go on.")
        return is_checked
    if kind == "choices":
        return _read_choices(item, texts)
    text = CONTROL.sub("", (texts[0] if texts else "").replace("\r\n", "\n").replace("\r", "\n")).strip()
    if not text:
        if item.get("required"):
            verb = "Choose an answer for" if kind == "choice" else "Fill in"
            raise InvalidAnswer(f"{verb} “{get_label(item)}”.")
        return None
    return READERS[kind](item, text)


def get_label(item: Item) -> str:
    """Return the label of a field."""
    return str(item.get("title") or item["name"])


def _write_default(value: Any) -> list[str]:
    """Return the texts of a default, as a browser would send them."""
    if value is None or value is False:
        return []
    if isinstance(value, list):
        return [str(one) for one in value]
    if isinstance(value, float) and value.is_integer():
        return [str(int(value))]
    return ["true" if value is True else str(value)]


def _read_choices(item: Item, texts: Sequence[str]) -> list[str]:
    chosen = [option for option in item["options"] if option in texts]
    fewest, most = int(item.get("min", 0)), int(item.get("max", len(item["options"])))
    if not chosen and item.get("required"):
        raise InvalidAnswer(f"Choose at least one answer for “{get_label(item)}”.")
    if chosen and len(chosen) < fewest:
        raise InvalidAnswer(f"Choose at least {fewest} answers for “{get_label(item)}”.")
    if len(chosen) > most:
        raise InvalidAnswer(f"Choose at most {most} {'answer' if most == 1 else 'answers'} for “{get_label(item)}”.")
    return chosen


def _read_text(item: Item, text: str) -> str:
    least, most = int(item.get("min", 0)), int(item.get("max", MAX_LENGTHS[item["kind"]]))
    if len(text) > most:
        raise InvalidAnswer(f"Shorten “{get_label(item)}” to {most:,} characters; it has {len(text):,}.")
    if len(text) < least:
        raise InvalidAnswer(f"Write at least {least:,} characters for “{get_label(item)}”.")
    return text


def _read_email(item: Item, text: str) -> str:
    if len(text) > MAX_LENGTHS["email"] or not IS_EMAIL.match(text):
        raise InvalidAnswer(f"Enter an e-mail address such as name@example.com for “{get_label(item)}”.")
    return text


def _read_number(item: Item, text: str) -> float:
    if not NUMBER.match(text):
        example = "12" if item.get("integer") else "12 or 12.5"
        raise InvalidAnswer(f"Enter a number such as {example} for “{get_label(item)}”.")
    number = float(text)
    if item.get("integer") and not number.is_integer():
        raise InvalidAnswer(f"Enter a whole number for “{get_label(item)}”.")
    least, most = item.get("min", -math.inf), item.get("max", math.inf)
    if number < least:
        raise InvalidAnswer(f"Enter {least:g} or more for “{get_label(item)}”.")
    if number > most:
        raise InvalidAnswer(f"Enter {most:g} or less for “{get_label(item)}”.")
    return int(number) if number.is_integer() else number


def _read_date(item: Item, text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise InvalidAnswer(f"Enter a date such as 2026-01-31 for “{get_label(item)}”.") from None


def _read_time(item: Item, text: str) -> str:
    if not IS_TIME.match(text[:5]):
        raise InvalidAnswer(f"Enter a time such as 14:30 for “{get_label(item)}”.")
    return text[:5]


def _read_moment(item: Item, text: str) -> str:
    try:
        return datetime.fromisoformat(text[:16]).strftime("%Y-%m-%dT%H:%M")
    except ValueError:
        raise InvalidAnswer(f"Enter a date and a time such as 2026-01-31T14:30 for “{get_label(item)}”.") from None


def _read_choice(item: Item, text: str) -> str:
    if text not in item["options"]:
        raise InvalidAnswer(f"Choose one of the answers for “{get_label(item)}”.")
    return text


READERS: dict[str, Callable[[Item, str], Any]] = {
    "text": _read_text,
    "long_text": _read_text,
    "hidden": _read_text,
    "email": _read_email,
    "number": _read_number,
    "date": _read_date,
    "time": _read_time,
    "datetime": _read_moment,
    "choice": _read_choice,
}


# The upload: the texts of its body, and its files, which are written to the disk while they arrive.
#
# Everything is bounded. A file that may not be accepted is read and dropped, so that the browser gets a page that
# says so beside the field.

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
        problem = ""
        if item is not None:
            most, endings = int(item.get("max", 1)), [ending.lower() for ending in item.get("accept", ())]
            if len(self.sent.files.get(field_name, ())) >= most:
                problem = f"Choose at most {most} files for “{get_label(item)}”."
            elif filename and endings and not filename.lower().endswith(tuple(endings)):
                kinds = ", ".join(endings)
                problem = f"Choose a file of the type {kinds} for “{get_label(item)}”; “{filename[:100]}” is another."
        if item is None or problem or not filename or self.sent.refused is not None:
            for _ in _read_data(events):
                continue
            if problem and filename:
                self.sent.problems[field_name] = problem
            return
        room = get_max_bytes(item, self.files.max_bytes)
        try:
            self.storage.admit()
            with staging(self.files, self.source, room, self.storage.min_free) as upload:
                for data in _read_data(events):
                    upload.write(data)
            file = {"key": upload.name, "name": to_safe_name(filename), "size": upload.size}
            self.sent.files.setdefault(field_name, []).append(file)
        except Overfull:
            text = f"“{filename[:100]}” is larger than {format_size(room)}; choose another file."
            self.sent.problems[field_name] = text
        except (NodeError, TooMany) as error:
            self.drop()
            self.sent.refused = self._explain(error)
        else:
            return
        for _ in _read_data(events):  # so that the browser shows the page instead of a lost connection
            continue

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
