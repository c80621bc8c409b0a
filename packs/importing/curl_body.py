"""Body of a cURL command: its options for data, forms and uploads as config."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote_plus

from constants import FORM
from errors import BadInput
from expressions import escape
from nodes.http.body import guess_content_type
from packs.importing.body_fields import NotReproducible, guard_fields, guard_json, guard_text, parse_fields, parse_json
from packs.importing.notes import Notes, quote_name
from packs.importing.secret_detection import Suggestions

JSON = "application/json"
DATA = ("data", "data-ascii", "data-raw", "data-binary", "data-urlencode", "json")
FORMS = ("form", "form-string")

Given = Sequence[tuple[str, str]]


class CurlBody(NamedTuple):
    """The config's `body` and `body_type`, and the Content-Type header; None: the node's default for the type."""

    config: dict[str, Any]
    content_type: str | None = None


class CurlFile(NamedTuple):
    """A file on the machine of the user."""

    path: str

    @property
    def name(self) -> str:
        """Return its name in the workspace's files."""
        return re.split(r"[/\\]", self.path)[-1]


# -d, --json and similar options


def join_data(given: Given, notes: Notes) -> str | CurlFile:
    """Return all data, joined as curl does. A file that is only a part of it is noted and left out."""
    pieces = [(name, _piece(name, value)) for name, value in given]
    if len(pieces) == 1:
        return pieces[0][1]
    joined = ""
    for name, piece in pieces:
        if isinstance(piece, CurlFile):
            notes.add(f"The file {quote_name(piece.name)} is not imported: it is only a part of the body")
            continue
        joined += ("&" if joined and name != "json" else "") + piece
    return joined


def _piece(name: str, value: str) -> str | CurlFile:
    if name == "data-urlencode":
        return encode_content(value)
    if value.startswith("@") and name != "data-raw":
        return CurlFile(value[1:])
    return value


def encode_content(value: str) -> str | CurlFile:
    """Encode `content`, `=content` or `name=content`; return the CurlFile of `@file` or `name@file`."""
    at = value.find("=") if "=" in value else value.find("@")
    if at < 0:
        return quote_plus(value)
    name, content = value[:at], value[at + 1 :]
    if value[at] == "@":
        return CurlFile(content)
    return (f"{name}=" if name else "") + quote_plus(content)


def make_data_body(data: str | CurlFile, content_type: str | None, secrets: Suggestions, notes: Notes) -> CurlBody:
    """Return the config for this data, sent as `content_type`; None: as a form, curl's default."""
    if isinstance(data, CurlFile):
        return make_file_body(data, content_type or FORM, notes)
    media = (content_type or FORM).partition(";")[0].strip().lower()
    if media == JSON or media.endswith("+json"):
        return _json_body(data, content_type or JSON, secrets)
    if media != FORM:
        return CurlBody({"body": escape(data), "body_type": "text"}, content_type)
    if content_type is None and data.lstrip()[:1] in ("{", "["):
        found = _json_body(data, FORM, secrets)
        if found.config["body_type"] == "json":
            notes.add(f"The body is JSON, but curl sends it as {FORM}, and so does the node; is a header missing?")
            return found
    fields = parse_fields(data)
    if fields is None:
        return CurlBody({"body": guard_text(data, secrets), "body_type": "text"}, content_type or FORM)
    config = {"body": guard_fields(fields, secrets), "body_type": "form"}
    return CurlBody(config, None if content_type in (None, FORM) else content_type)


def _json_body(data: str, content_type: str, secrets: Suggestions) -> CurlBody:
    """Return JSON as data; as text if the node would send it differently or not at all, like null."""
    try:
        value = parse_json(data)
        if value is None:
            raise NotReproducible
    except NotReproducible:
        return CurlBody({"body": escape(data), "body_type": "text"}, content_type)
    config = {"body": guard_json(value, secrets), "body_type": "json"}
    return CurlBody(config, None if content_type == JSON else content_type)


def make_file_body(file: CurlFile, content_type: str | None, notes: Notes) -> CurlBody:
    """Return a body that is a file of the workspace; without standard input, which is noted."""
    if file.name in ("", "-", "."):
        notes.add("The body comes from standard input or an empty file name, and is not imported")
        return CurlBody({})
    notes.add(f"The body is the file {quote_name(file.name)}: upload it to the workspace's files")
    return CurlBody({"body": escape(file.name), "body_type": "file"}, content_type)


# -F

_LABEL = re.compile(r"[ \t]*([A-Za-z]+)=")
_QUOTED = r'[ \t]*(?:"((?:[^"\\]|\\.)*)"[^%(end)s]*|([^%(end)s]*))'
_WORD, _WORD_OF_MANY = (re.compile(_QUOTED % {"end": end}, re.DOTALL) for end in (";", ";,"))


def make_form_body(given: Given, notes: Notes) -> CurlBody:
    """Return a multipart body: texts, and files by their names in the workspace's files."""
    texts: dict[str, Any] = {}
    files: dict[str, Any] = {}
    for option, value in given:
        name, equals, content = value.partition("=")
        if not equals:
            raise BadInput("A form field (-F) must have the form name=value")
        if option == "form-string":
            _put(texts, name, escape(content))
        elif content.startswith("@"):
            for file in _files(name, content, notes):
                _put(files, name, file)
        else:
            _put_text(texts, name, content, notes)
    return CurlBody({"body": texts, **({"files": files} if files else {}), "body_type": "multipart"})


def _put(fields: dict[str, Any], name: str, value: Any) -> None:
    """Add a value under the name; several values become a list."""
    if name not in fields:
        fields[name] = value
    elif isinstance(fields[name], list):
        fields[name].append(value)
    else:
        fields[name] = [fields[name], value]


def _put_text(texts: dict[str, Any], name: str, content: str, notes: Notes) -> None:
    if content.startswith("<"):
        notes.add(f"The form field {quote_name(name)} is the content of a file, and is not imported")
        return
    if content[:1] in ("(", ")"):
        raise BadInput("A nested form (-F with parentheses) cannot be imported")
    ((word, more),) = _words(content, _WORD)
    if "type" in more:
        notes.add(f"The form field {quote_name(name)} is sent as plain text, without its type")
    _put(texts, name, escape(word))


def _files(name: str, content: str, notes: Notes) -> Iterator[Any]:
    """Yield the file or files of a field, as in the node's `files`."""
    found, field = _words(content[1:], _WORD_OF_MANY), quote_name(name)
    if len(found) > 1:
        notes.add(f"The form field {field} has several files in one part; the node sends one part for each")
    for path, more in found:
        file = CurlFile(path)
        if file.name in ("", "-"):
            notes.add(f"The form field {field} is standard input or has no file, and is not imported")
            continue
        notes.add(f"The form field {field} is the file {quote_name(file.name)}: upload it to the workspace's files")
        settings = {"content_type": escape(more["type"])} if more.get("type") else {}
        if more.get("filename"):
            # curl derives the type from the file's original name.
            settings = {"name": escape(more["filename"]), "content_type": guess_content_type(file.name), **settings}
        yield {"path": escape(file.name), **settings} if settings else escape(file.name)


def _words(text: str, pattern: re.Pattern[str]) -> list[tuple[str, dict[str, str]]]:
    """Split `"a;b";type=text/plain` into words with their settings; several words if the pattern ends at commas."""
    found: list[tuple[str, dict[str, str]]] = []
    at, begins = 0, True
    while at <= len(text):
        label = None if begins else _LABEL.match(text, at)
        match = pattern.match(text, at if label is None else label.end())
        assert match is not None  # it also matches the empty string
        value = match[2].rstrip(" \t") if match[1] is None else re.sub(r'\\(["\\])', r"\1", match[1])
        if begins:
            found.append((value, {}))
        else:
            settings = found[-1][1]
            name = "" if label is None else label[1].lower()
            if name in ("type", "filename", "encoder", "headers"):
                settings[name] = value
            elif "type" in settings and name:  # a parameter of the type
                settings["type"] += f";{name}={value}"
        begins = text[match.end() : match.end() + 1] == ","
        at = match.end() + 1
    return found
