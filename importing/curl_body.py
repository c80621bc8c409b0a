"""What the options for data, forms and uploads make of a request's body and query."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import quote_plus

from errors import BadInput
from expressions import literal
from importing.fields import NotTheSame, fields_of, guarded_fields, guarded_json, guarded_text, json_of
from importing.notes import Notes, shown
from importing.secret import Suggestions

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
DATA = ("data", "data-ascii", "data-raw", "data-binary", "data-urlencode", "json")
FORMS = ("form", "form-string")

Given = Sequence[tuple[str, str]]


class Body(NamedTuple):
    """The config's `body` and `body_type`, and the Content-Type to set; None: the one that the node sends by itself."""

    config: dict[str, Any]
    content_type: str | None = None


class File(NamedTuple):
    """What stands in a file of whoever ran the command."""

    path: str

    @property
    def name(self) -> str:
        """The name that it should have among the workspace's files."""
        return re.split(r"[/\\]", self.path)[-1]


# -d, --json and their like


def data_of(given: Given, notes: Notes) -> str | File:
    """All data as curl joins it. A file that is not all of it is noted and left out."""
    pieces = [(name, _piece(name, value)) for name, value in given]
    if len(pieces) == 1:
        return pieces[0][1]
    joined = ""
    for name, piece in pieces:
        if isinstance(piece, File):
            notes.add(f"The content of the file {shown(piece.name)} is left out: it is only a part of the body")
            continue
        joined += ("&" if joined and name != "json" else "") + piece
    return joined


def _piece(name: str, value: str) -> str | File:
    if name == "data-urlencode":
        return encoded(value)
    if value.startswith("@") and name != "data-raw":
        return File(value[1:])
    return value


def encoded(value: str) -> str | File:
    """`content`, `=content`, `name=content`, `@file` or `name@file`, of which the content is yet to be encoded."""
    at = value.find("=") if "=" in value else value.find("@")
    if at < 0:
        return quote_plus(value)
    name, content = value[:at], value[at + 1 :]
    if value[at] == "@":
        return File(content)
    return (f"{name}=" if name else "") + quote_plus(content)


def body_of_data(data: str | File, content_type: str | None, secrets: Suggestions, notes: Notes) -> Body:
    """The body that is this data, sent as `content_type`; None: as curl does by itself, as a form."""
    if isinstance(data, File):
        return _body_of_file(data, content_type or FORM, notes)
    media = (content_type or FORM).partition(";")[0].strip().lower()
    if media == JSON or media.endswith("+json"):
        return _json_body(data, content_type or JSON, secrets)
    if media != FORM:
        return Body({"body": literal(data), "body_type": "text"}, content_type)
    if content_type is None and data.lstrip()[:1] in ("{", "["):
        found = _json_body(data, FORM, secrets)
        if found.config["body_type"] == "json":
            notes.add(f"The body is JSON, but curl calls it {FORM}, and so does the node; was a header forgotten?")
            return found
    fields = fields_of(data)
    if fields is None:
        return Body({"body": guarded_text(data, secrets), "body_type": "text"}, content_type or FORM)
    config = {"body": guarded_fields(fields, secrets), "body_type": "form"}
    return Body(config, None if content_type in (None, FORM) else content_type)


def _json_body(data: str, content_type: str, secrets: Suggestions) -> Body:
    """JSON as data; as text where the node would send other data, or nothing, as it does for null."""
    try:
        value = json_of(data)
        if value is None:
            raise NotTheSame
    except NotTheSame:
        return Body({"body": literal(data), "body_type": "text"}, content_type)
    config = {"body": guarded_json(value, secrets), "body_type": "json"}
    return Body(config, None if content_type == JSON else content_type)


def _body_of_file(file: File, content_type: str | None, notes: Notes) -> Body:
    if file.name in ("", "-", "."):
        notes.add("The body comes from standard input, or from no file: the node has none")
        return Body({})
    notes.add(f"The body is the file {shown(file.name)}: put it into the workspace's files")
    return Body({"body": literal(file.name), "body_type": "file"}, content_type)


def body_of_upload(path: str, content_type: str | None, notes: Notes) -> Body:
    """The body of -T."""
    return _body_of_file(File(path), content_type, notes)


# -F

_WORD = re.compile(r'\s*"((?:[^"\\]|\\.)*)"\s*(?=;|\Z)|([^;]*)', re.DOTALL)


def body_of_form(given: Given, notes: Notes) -> Body:
    """A body of several parts. The node has each name once and writes no type beside a text: that is noted."""
    parts: dict[str, Any] = {}
    for option, value in given:
        name, equals, content = value.partition("=")
        if not equals:
            raise BadInput("A form's field has no =")
        part = literal(content) if option == "form-string" else _part(name, content, notes)
        if name in parts:
            notes.add(f"The form has {shown(name)} several times, which the node cannot send: the first is kept")
        elif part is not None:
            parts[name] = part
    return Body({"body": parts, "body_type": "multipart"})


def _part(name: str, content: str, notes: Notes) -> Any:
    if content.startswith("<"):
        notes.add(f"The form's {shown(name)} is the content of a file, which is not known here: it is left out")
        return None
    if content[:1] in ("(", ")"):
        raise BadInput("A form within a form cannot be imported")
    word, more = _words(content.removeprefix("@"))
    if not content.startswith("@"):
        if "type" in more:
            notes.add(f"The form's {shown(name)} is sent as plain text, without its type")
        return literal(word)
    if "," in word and not content.startswith('@"'):
        notes.add(f"The form's {shown(name)} has several files, of which the node sends the first")
        word = word.partition(",")[0]
    file = File(word)
    notes.add(f"The form's {shown(name)} is the file {shown(file.name)}: put it into the workspace's files")
    names = {"filename": "filename", "type": "content_type"}
    return {"file": literal(file.name), **{names[key]: literal(more[key]) for key in names if key in more}}


def _words(text: str) -> tuple[str, dict[str, str]]:
    """`"a;b";type=text/plain` as its first word and the settings behind it."""
    words: list[str] = []
    at = 0
    while at <= len(text):
        match = _WORD.match(text, at)
        assert match is not None  # its last alternative takes nothing too
        words.append(match[2] if match[1] is None else re.sub(r'\\(["\\])', r"\1", match[1]))
        at = match.end() + 1
    settings = (word.strip().partition("=") for word in words[1:])
    return words[0], {name.lower(): value.strip('"') for name, _, value in settings}
