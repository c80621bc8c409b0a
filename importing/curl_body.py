"""What the options for data, forms and uploads make of a request's body and query."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote_plus

from errors import BadInput
from expressions import escape
from importing.body_fields import NotTheSame, fields_of, guarded_fields, guarded_json, guarded_text, json_of
from importing.notes import Notes, shown
from importing.secret_detection import Suggestions
from nodes.http.body import content_type_of

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
        return Body({"body": escape(data), "body_type": "text"}, content_type)
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
        return Body({"body": escape(data), "body_type": "text"}, content_type)
    config = {"body": guarded_json(value, secrets), "body_type": "json"}
    return Body(config, None if content_type == JSON else content_type)


def _body_of_file(file: File, content_type: str | None, notes: Notes) -> Body:
    if file.name in ("", "-", "."):
        notes.add("The body comes from standard input, or from no file: the node has none")
        return Body({})
    notes.add(f"The body is the file {shown(file.name)}: put it into the workspace's files")
    return Body({"body": escape(file.name), "body_type": "file"}, content_type)


def body_of_upload(path: str, content_type: str | None, notes: Notes) -> Body:
    """The body of -T."""
    return _body_of_file(File(path), content_type, notes)


# -F

_LABEL = re.compile(r"[ \t]*([A-Za-z]+)=")
_QUOTED = r'[ \t]*(?:"((?:[^"\\]|\\.)*)"[^%(end)s]*|([^%(end)s]*))'
_WORD, _WORD_OF_MANY = (re.compile(_QUOTED % {"end": end}, re.DOTALL) for end in (";", ";,"))


def body_of_form(given: Given, notes: Notes) -> Body:
    """A body of several parts: texts, and files by the names that they should have in the workspace."""
    texts: dict[str, Any] = {}
    files: dict[str, Any] = {}
    for option, value in given:
        name, equals, content = value.partition("=")
        if not equals:
            raise BadInput("A form's field has no =")
        if option == "form-string":
            _put(texts, name, escape(content))
        elif content.startswith("@"):
            for file in _files(name, content, notes):
                _put(files, name, file)
        else:
            _put_text(texts, name, content, notes)
    return Body({"body": texts, **({"files": files} if files else {}), "body_type": "multipart"})


def _put(fields: dict[str, Any], name: str, value: Any) -> None:
    """One more value of this name; several are a list."""
    if name not in fields:
        fields[name] = value
    elif isinstance(fields[name], list):
        fields[name].append(value)
    else:
        fields[name] = [fields[name], value]


def _put_text(texts: dict[str, Any], name: str, content: str, notes: Notes) -> None:
    if content.startswith("<"):
        notes.add(f"The form's {shown(name)} is the content of a file, which is not known here: it is left out")
        return
    if content[:1] in ("(", ")"):
        raise BadInput("A form within a form cannot be imported")
    ((word, more),) = _words(content, _WORD)
    if "type" in more:
        notes.add(f"The form's {shown(name)} is sent as plain text, without its type")
    _put(texts, name, escape(word))


def _files(name: str, content: str, notes: Notes) -> Iterator[Any]:
    """The file or files behind an @, as `files` of the node has them."""
    found = _words(content[1:], _WORD_OF_MANY)
    if len(found) > 1:
        notes.add(f"The form's {shown(name)} has several files in one part, which the node sends in one each")
    for path, more in found:
        file = File(path)
        if file.name in ("", "-"):
            notes.add(f"The form's {shown(name)} is no file, or standard input: it is left out")
            continue
        notes.add(f"The form's {shown(name)} is the file {shown(file.name)}: put it into the workspace's files")
        settings = {"content_type": escape(more["type"])} if more.get("type") else {}
        if more.get("filename"):
            # Of which type it is, curl concludes from the file's own name.
            settings = {"name": escape(more["filename"]), "content_type": content_type_of(file.name), **settings}
        yield {"path": escape(file.name), **settings} if settings else escape(file.name)


def _words(text: str, pattern: re.Pattern[str]) -> list[tuple[str, dict[str, str]]]:
    """`"a;b";type=text/plain` as words, each with the settings behind it; several where the pattern ends at commas."""
    found: list[tuple[str, dict[str, str]]] = []
    at, begins = 0, True
    while at <= len(text):
        label = None if begins else _LABEL.match(text, at)
        match = pattern.match(text, at if label is None else label.end())
        assert match is not None  # it takes nothing, too
        value = match[2].rstrip(" \t") if match[1] is None else re.sub(r'\\(["\\])', r"\1", match[1])
        if begins:
            found.append((value, {}))
        else:
            _set(found[-1][1], "" if label is None else label[1].lower(), value)
        begins = text[match.end() : match.end() + 1] == ","
        at = match.end() + 1
    return found


def _set(settings: dict[str, str], name: str, value: str) -> None:
    """Note a setting; what curl does not know behind a type is a parameter of that."""
    if name in ("type", "filename", "encoder", "headers"):
        settings[name] = value
    elif "type" in settings and name:
        settings["type"] += f";{name}={value}"
