"""Connector from an OpenAPI or Swagger document: the content of one file in HEADRACE_CONNECTORS_DIR."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import urljoin

from errors import BadInput
from importing.connector_inputs import Inputs, make_id, make_title, read_text
from importing.connector_security import find_ways
from importing.json_document import Document, is_name, load_document, read_line, read_list
from importing.notes import Notes, quote_name
from importing.openapi import MAX_PARAMETERS, NO_PARAMETERS, fill_in, get_body_type
from importing.secret_detection import get_hosts
from importing.swagger2 import is_swagger, to_openapi3
from nodes.connectors.file_schema import MAX_OPERATIONS, check
from nodes.fields import TOKEN

MAX_BYTES = 20 * 2**20
MAX_PATH = 400  # characters
VERBS = ("get", "post", "put", "patch", "delete", "head")
COLORS = ("#1a5fb4", "#26734d", "#8a3b12", "#6b2a6b", "#a51d2d", "#3d3846", "#0b6e75", "#5a4a00")
# OpenAPI ignores parameters of the first three names; the node sends the others itself.
# Parameters that count pages, and the parameter with the page's size. Others are ambiguous.
PAGES = {"page": ("per_page", "page_size", "pagesize", "limit", "size"), "offset": ("limit",)}
PAGE_SIZE = 100


class Imported(NamedTuple):
    """The content of a connector's file, and notes for the user."""

    connector: dict[str, Any]
    notes: list[str]


class Found(NamedTuple):
    """An operation of the document."""

    path: str
    item: dict[str, Any]
    verb: str
    told: dict[str, Any]

    @property
    def place(self) -> str:
        """Return the method and the path, for notes."""
        return f"{self.verb.upper()} {self.path[:80]}"


def read(document: bytes, pattern: str = "*", base: str = "", source: str = "") -> Imported:
    """Return the connector of a document, JSON or YAML, with the operations whose id, path or tag matches `pattern`.

    `base` replaces the document's server; `source` is the URL of the document, to which a server may be relative.

    Raises: BadInput if the document is invalid, or nothing of it can be imported; TooLarge.
    """
    root, notes = load_document(document, MAX_BYTES), Notes()
    if is_swagger(root):
        root = to_openapi3(Document(root, notes))
    elif not re.match(r"3\.[012](\.|\Z)", str(root.get("openapi", ""))):
        raise BadInput("The document must be OpenAPI 3.0, 3.1, 3.2 or Swagger 2, and have that in its key openapi")
    return _Reader(Document(root, notes), pattern, base, source).read()


def make_type(title: str) -> str:
    """Return the node type of a connector with this title."""
    return make_id(title, "api")


class _Reader:
    """The reading of one document."""

    def __init__(self, document: Document, pattern: str, base: str, source: str) -> None:
        self.document, self.notes, self.pattern, self.source = document, document.notes, pattern, source
        info = document.at(document.root, "info")
        self.title = read_line(info, "title", 100) or "API"
        self.about = read_line(info, "summary", 300) or read_text(info, 300)
        self.base = (base or self._server(document.root) or "").rstrip("/")
        if not get_hosts(self.base):
            raise BadInput("The document names no server with a host: give the API's address with --base")
        self.hosts = list(get_hosts(self.base))
        self.ids: set[str] = set()

    def read(self) -> Imported:
        """Return the connector. Raises: BadInput if no operation can be imported."""
        ways, is_optional = find_ways(self.document, self.hosts)
        operations = list(self._operations())
        if not operations:
            raise BadInput(f"No operation of the document can be imported: {'; '.join(self.notes) or 'it has none'}")
        if self.hosts != list(get_hosts(self.base)):
            for way in ways:
                way["hosts"] = self.hosts
        letters = re.sub(r"[^A-Za-z]", "", self.title) or "A"
        initials = "".join(word[0] for word in re.findall(r"[A-Z][a-z]+|[A-Z]+", self.title)[:2])
        if not ways:
            self.notes.add('The document names no way to authenticate: if the API needs one, add "auth" to the file')
        made: dict[str, Any] = {
            "name": self.title,
            "description": self.about or f"Calls the operations of {self.title}.",
            "category": "developer",
            "icon": {
                "text": (initials or letters[:2].capitalize())[:3],
                "color": COLORS[sum(map(ord, self.title)) % len(COLORS)],
            },
            **({"docs": docs} if (docs := self._docs(self.document.root)) else {}),
            "base": self.base,
            **({"auth": ways} if ways else {}),
            **({"auth_optional": True} if ways and is_optional else {}),
            "operations": operations,
        }
        try:
            check(made)
        except ValueError as error:
            raise BadInput(f"The document cannot be imported: {error}") from None
        return Imported(made, list(self.notes))

    # Servers

    def _server(self, holder: dict[str, Any]) -> str | None:
        """Return the first URL with a host, with its variables at their defaults."""
        for server in read_list(holder, "servers", 20):
            url = fill_in(read_line(server, "url", 500), self.document.at(server, "variables"))
            try:
                url = urljoin(self.source, url)
            except ValueError:
                continue
            if re.fullmatch(r"https?://[^\s/?#{}@\[\]]+(?:/[^\s?#{}]*)?", url):
                return url.rstrip("/")
        return None

    def _docs(self, holder: dict[str, Any]) -> str:
        url = read_line(self.document.at(holder, "externalDocs"), "url", 500)
        return url if re.fullmatch(r"https?://\S+", url) else ""

    # Operations

    def _found(self) -> Iterator[Found]:
        """Yield the operations that match the pattern and are not deprecated."""
        deprecated = 0
        for path, value in self.document.at(self.document.root, "paths").items():
            if path.startswith("x-"):
                continue
            item = self.document.resolve(value)
            for verb, told in islice(item.items(), 100):
                if verb not in (*VERBS, "options", "trace") or not isinstance(told, dict):
                    continue
                found = Found(path, item, verb, told)
                if not self._is_wanted(found):
                    continue
                if told.get("deprecated") is True:
                    deprecated += 1
                else:
                    yield found
        if deprecated:
            self.notes.add(f"{deprecated} deprecated operations are left out")

    def _is_wanted(self, found: Found) -> bool:
        tags = [tag for tag in read_list(found.told, "tags", 20) if isinstance(tag, str)]
        names = (read_line(found.told, "operationId", 200), found.path, found.place, *tags)
        return any(fnmatchcase(name.lower(), self.pattern.lower()) for name in names if name)

    def _operations(self) -> Iterator[dict[str, Any]]:
        made = left = 0
        for found in self._found():
            if made >= MAX_OPERATIONS:
                left += 1
                continue
            try:
                operation = self._operation(found)
            except BadInput as error:  # it refers to another document
                self.notes.add(f"{found.place} is left out: {error}")
                continue
            if operation is not None:
                made += 1
                yield operation
        if left:
            self.notes.add(
                f"{left} operations are left out: at most {MAX_OPERATIONS} are imported; choose them with --operations"
            )

    def _operation(self, found: Found) -> dict[str, Any] | None:
        """Return an operation in the form of a connector's file; None, with a note, if it is not supported."""
        if found.verb not in VERBS or len(found.path) > MAX_PATH or not found.path.startswith("/"):
            self.notes.add(f"{found.place} is left out: its method or its path is not supported")
            return None
        inputs = Inputs(self.document, found.place)
        path = self._path(found, inputs)
        parameters = self._parameters(found)
        answer = self._answer(found.told)
        pages, counted = _find_pages(parameters, answer)
        for parameter in parameters:
            if parameter["in"] in ("query", "header") and parameter["name"] not in counted:
                inputs.add_parameter(parameter)
        body = self._body(found, inputs)
        if path is None:
            return None
        made = {
            **self._texts(found),
            "method": found.verb.upper(),
            **self._address(found, path),
            **({"inputs": told} if (told := inputs.fold()) else {}),
            **body,
            **answer,
            **({"pagination": pages} if pages and answer.get("list") else {}),
        }
        return made if self._is_valid(found, made) else None

    def _is_valid(self, found: Found, operation: dict[str, Any]) -> bool:
        """Return True if a connector may have the operation; else note why not."""
        around = {"name": "A", "description": "A", "category": "developer", "icon": {"text": "A", "color": COLORS[0]}}
        try:
            check({**around, "base": self.base, "operations": [operation]})
        except ValueError as error:
            self.notes.add(f"{found.place} is left out: {error}")
            return False
        return True

    def _texts(self, found: Found) -> dict[str, Any]:
        told = found.told
        named = read_line(told, "operationId", 200)
        id_ = self._free_id(make_id(named or found.place, "operation"))
        name = read_line(told, "summary", 100).rstrip(".") or make_title(named or found.place)
        about = read_text(told, 300) or read_text(found.item, 300) or f"{name}."
        groups = [tag[:50] for tag in read_list(told, "tags", 1) if isinstance(tag, str) and tag.strip()]
        docs = self._docs(told)
        return {
            "id": id_, "name": name, **({"group": groups[0][:1].upper() + groups[0][1:]} if groups else {}),
            "description": about, **({"docs": docs} if docs else {}),
        }  # fmt: skip

    def _free_id(self, wanted: str) -> str:
        id_, number = wanted, 1
        while id_ in self.ids:
            number += 1
            id_ = f"{wanted}_{number}"
        self.ids.add(id_)
        return id_

    def _address(self, found: Found, path: str) -> dict[str, str]:
        """Return the path, or the URL if the operation has a server of its own."""
        server = self._server(found.told) or self._server(found.item)
        if server is None or server == self.base:
            return {"path": path}
        self.hosts += [host for host in get_hosts(server) if host not in self.hosts]
        return {"url": server + path}

    def _parameters(self, found: Found) -> list[dict[str, Any]]:
        """Return the parameters of the path and of the operation, which take precedence, without unusable ones."""
        all_of_them: dict[tuple[str, str], dict[str, Any]] = {}
        for parameter in (*self.document.each(found.item, "parameters"), *self.document.each(found.told, "parameters")):
            name, place = parameter.get("name"), parameter.get("in")
            if not is_name(name) or not isinstance(place, str):
                continue
            if place == "header" and (name.lower() in NO_PARAMETERS or not TOKEN.match(name)):
                continue
            if place == "cookie":
                self.notes.add(f"{found.place}: the cookie {quote_name(name)} is left out")
                continue
            all_of_them[place, name] = parameter
        return list(all_of_them.values())[:MAX_PARAMETERS]

    def _path(self, found: Found, inputs: Inputs) -> str | None:
        """Return the path with the ids of its inputs in braces; None, with a note, if it cannot be written so."""
        known = {one["name"]: one for one in self._parameters(found) if one["in"] == "path"}
        parts: list[str] = re.split(r"\{([^{}]+)\}", found.path)
        written: dict[str, str] = {}
        for name in parts[1::2]:
            if name not in written:
                given = known.get(name, {"name": name, "in": "path", "schema": {"type": "string"}})
                id_ = inputs.add_parameter(given)
                if id_ is None:
                    return None
                written[name] = f"{{{id_}}}"
        parts[1::2] = [written[name] for name in parts[1::2]]
        parts[0::2] = [text.replace(" ", "%20") for text in parts[0::2]]
        path = "".join(parts)
        if re.search(r"[?#\s]", path):
            self.notes.add(f"{found.place} is left out: its path has a query")
            return None
        return path

    # Bodies

    def _body(self, found: Found, inputs: Inputs) -> dict[str, Any]:
        """Return the keys of the body, and add its inputs."""
        body = self.document.at(found.told, "requestBody")
        content = self.document.at(body, "content")
        if not content or found.verb in ("get", "head"):
            return {}
        order = ("json", "form", "multipart", "file", "text")
        kinds = [(media, get_body_type(media)) for media in islice(content, 50)]
        media, kind = min(kinds, key=lambda pair: order.index(pair[1]))
        schema = inputs.resolve(self.document.resolve(content[media]).get("schema"))
        required = body.get("required") is True
        if kind == "file":
            inputs.add("file", "body", {"title": "File", "type": "file", **({"required": True} if required else {})})
            return {"body_type": "file", **_content_type(media, "file")}
        keys: dict[str, Any] = {} if kind == "json" else {"body_type": kind}
        if kind == "form" and _has_brackets(self.document.resolve(content[media])):
            keys["brackets"] = True
        if kind != "text" and ("properties" in schema or (schema.get("type") == "object" and kind != "json")):
            # An optional body with required fields: the service tells if one is missing.
            inputs.add_body(schema, required or kind != "json", kind == "multipart")
            return {**keys, **_content_type(media, kind)}
        told = inputs.describe("body", schema, required, schema) | {"title": "Body", "in": "none"}
        if kind == "text":
            told["type"] = "text"
        id_ = inputs.add("body", "body", told)
        return {**keys, "body": id_, **_content_type(media, kind)}

    # Answers

    def _answer(self, told: dict[str, Any]) -> dict[str, Any]:
        """Return the kind of the answer: a list, text, a file or nothing; JSON if the document does not say."""
        responses = self.document.at(told, "responses")
        good = sorted(status for status in map(str, responses) if status.startswith("2")) or ["default"]
        by_status = {str(status): answer for status, answer in responses.items()}
        answer = self.document.resolve(by_status.get(good[0]))
        content = self.document.at(answer, "content")
        if not content:
            return {"response": "none"} if good[0] in ("204", "205") else {}
        kinds = {get_body_type(media): media for media in islice(content, 20)}
        if "json" not in kinds:
            return {"response": "text" if "text" in kinds else "file"}
        schema = self.document.resolve(self.document.resolve(content[kinds["json"]]).get("schema"))
        if schema.get("type") != "array":
            return {}
        item = self.document.resolve(schema.get("items"))
        has_id = "id" in self.document.at(item, "properties")
        return {"list": True, "pagination": None, **({"poll": {"key": "id"}} if has_id else {})}


def _content_type(media: str, kind: str) -> dict[str, Any]:
    """Return the header of a media type that the node would not send by itself."""
    named = re.fullmatch(r"[\w.+-]{1,100}/[\w.+-]{1,100}", media, re.ASCII)
    own = kind in ("form", "multipart") or media == "application/json" or not named
    return {} if own else {"headers": {"Content-Type": media}}


def _has_brackets(content: dict[str, Any]) -> bool:
    """Return True if a form writes nested values as `a[b]=c`."""
    encoding = content.get("encoding")
    found = encoding.values() if isinstance(encoding, dict) else ()
    return any(isinstance(one, dict) and one.get("style") == "deepObject" for one in found)


def _find_pages(parameters: list[dict[str, Any]], answer: dict[str, Any]) -> tuple[dict[str, Any] | None, set[str]]:
    """Return the pagination of a list and the parameters that it sends; None if the names are ambiguous."""
    if not answer.get("list"):
        return None, set()
    query = {one["name"].lower(): one for one in parameters if one["in"] == "query"}
    for param, sizes in PAGES.items():
        size = next((name for name in sizes if name in query), None)
        if param in query and size is not None and _is_count(query[param]) and _is_count(query[size]):
            most = query[size]["schema"].get("maximum", PAGE_SIZE)
            names = {query[param]["name"], query[size]["name"]}
            pages = {"type": param, "param": query[param]["name"], "size_param": query[size]["name"]}
            if param == "page" and query[param]["schema"].get("minimum", query[param]["schema"].get("default")) == 0:
                pages["start"] = 0
            return {**pages, "size": max(1, min(int(most), PAGE_SIZE))}, names
    return None, set()


def _is_count(parameter: dict[str, Any]) -> bool:
    schema = parameter.get("schema")
    most = schema.get("maximum", 1) if isinstance(schema, dict) else None
    return isinstance(schema, dict) and schema.get("type") in ("integer", "number") and isinstance(most, int | float)
