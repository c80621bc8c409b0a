"""Connector from an API document: the content of one file in HEADRACE_CONNECTORS_DIR."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any, NamedTuple

from errors import BadInput
from packs.connectors.file_schema import MAX_INPUTS, MAX_OPERATIONS, check
from packs.connectors.inputs import RESERVED
from packs.importing.advice import get_hosts, quote_name
from packs.importing.openapi import (
    BODY_TYPES,
    Document,
    OpenApi,
    OpenApiOperation,
    fill_path,
    find_free,
    find_in_path,
    get_body_type,
    get_schema,
    is_name,
    is_number,
    is_small,
    read_document,
    read_line,
    read_list,
)

MAX_BYTES = 20 * 2**20
MAX_PATH = 400  # characters
VERBS = ("get", "post", "put", "patch", "delete", "head")
COLORS = ("#1a5fb4", "#26734d", "#8a3b12", "#6b2a6b", "#a51d2d", "#3d3846", "#0b6e75", "#5a4a00")
# Parameters that count pages, and the parameter with the page's size. Others are ambiguous.
PAGES = {"page": ("per_page", "page_size", "pagesize", "limit", "size"), "offset": ("limit",)}
PAGE_SIZE = 100
MAX_WAYS = 10
MAX_WAY_HELP = 400


class ImportedConnector(NamedTuple):
    """The content of a connector's file, and notes for the user."""

    connector: dict[str, Any]
    notes: list[str]


def read(document: bytes, pattern: str = "*", base: str = "", source: str = "") -> ImportedConnector:
    """Return the connector of a document, JSON or YAML, with the operations whose id, path or tag matches `pattern`.

    `base` replaces the document's server; `source` is the URL of the document, to which a server may be relative.

    Raises: BadInput if the document is invalid, or nothing of it can be imported; TooLarge.
    """
    return _ConnectorReader(read_document(document, MAX_BYTES, source), pattern, base).read()


def make_type(title: str) -> str:
    """Return the node type of a connector with this title."""
    return make_id(title, "api")


class _ConnectorReader:
    """The reading of one document."""

    def __init__(self, document: OpenApi, pattern: str, base: str) -> None:
        self.document, self.notes, self.pattern = document, document.notes, pattern
        info = document.at(document.root, "info")
        self.title = document.title(100)
        self.about = read_line(info, "summary", 300) or read_text(info, 300)
        self.base = (base or document.server(document.root) or "").rstrip("/")
        if not get_hosts(self.base):
            raise BadInput("The document names no server with a host: give the API's address with --base")
        self.hosts = list(get_hosts(self.base))
        self.ids: set[str] = set()

    def read(self) -> ImportedConnector:
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
        return ImportedConnector(made, list(self.notes))

    def _docs(self, holder: dict[str, Any]) -> str:
        url = read_line(self.document.at(holder, "externalDocs"), "url", 500)
        return url if re.fullmatch(r"https?://\S+", url) else ""

    # Operations

    def _is_wanted(self, found: OpenApiOperation) -> bool:
        tags = [tag for tag in read_list(found.own, "tags", 20) if isinstance(tag, str)]
        names = (read_line(found.own, "operationId", 200), found.path, found.place, *tags)
        return any(fnmatchcase(name.lower(), self.pattern.lower()) for name in names if name)

    def _operations(self) -> Iterator[dict[str, Any]]:
        made = left = deprecated = 0
        for found in filter(self._is_wanted, self.document.operations()):
            if found.own.get("deprecated") is True:
                deprecated += 1
                continue
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
        if deprecated:
            self.notes.add(f"{deprecated} deprecated operations are left out")
        if left:
            self.notes.add(
                f"{left} operations are left out: at most {MAX_OPERATIONS} are imported; choose them with --operations"
            )

    def _operation(self, found: OpenApiOperation) -> dict[str, Any] | None:
        """Return an operation in the form of a connector's file; None, with a note, if it is not supported."""
        if found.verb not in VERBS or len(found.path) > MAX_PATH or not found.path.startswith("/"):
            self.notes.add(f"{found.place} is left out: its method or its path is not supported")
            return None
        inputs, parameters = ConnectorInputs(self.document, found.place), self.document.parameters(found)
        path = self._path(found, parameters, inputs)
        answer = self._answer(found)
        pages, counted = _find_pages(parameters, answer)
        for parameter in parameters:
            if parameter["in"] == "cookie":
                self.notes.add(f"{found.place}: the cookie {quote_name(parameter['name'])} is left out")
            elif parameter["in"] in ("query", "header") and parameter["name"] not in counted:
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

    def _is_valid(self, found: OpenApiOperation, operation: dict[str, Any]) -> bool:
        """Return True if a connector may have the operation; else note why not."""
        around = {"name": "A", "description": "A", "category": "developer", "icon": {"text": "A", "color": COLORS[0]}}
        try:
            check({**around, "base": self.base, "operations": [operation]})
        except ValueError as error:
            self.notes.add(f"{found.place} is left out: {error}")
            return False
        return True

    def _texts(self, found: OpenApiOperation) -> dict[str, Any]:
        own = found.own
        named = read_line(own, "operationId", 200)
        id_ = find_free(make_id(named or found.place, "operation"), self.ids)
        self.ids.add(id_)
        name = read_line(own, "summary", 100).rstrip(".") or make_title(named or found.place)
        about = read_text(own, 300) or read_text(found.item, 300) or f"{name}."
        groups = [tag[:50] for tag in read_list(own, "tags", 1) if isinstance(tag, str) and tag.strip()]
        docs = self._docs(own)
        return {
            "id": id_, "name": name, **({"group": groups[0][:1].upper() + groups[0][1:]} if groups else {}),
            "description": about, **({"docs": docs} if docs else {}),
        }  # fmt: skip

    def _address(self, found: OpenApiOperation, path: str) -> dict[str, str]:
        """Return the path, or the URL if the operation has a server of its own."""
        server = self.document.server_of(found)
        if server is None or server == self.base:
            return {"path": path}
        self.hosts += [host for host in get_hosts(server) if host not in self.hosts]
        return {"url": server + path}

    def _path(self, found: OpenApiOperation, parameters: list[dict[str, Any]], inputs: ConnectorInputs) -> str | None:
        """Return the path with the ids of its inputs in braces; None, with a note, if it cannot be written so."""
        ids = {name: inputs.add_parameter(one) for name, one in find_in_path(found.path, parameters).items()}
        if None in ids.values():
            return None
        path = fill_path(found.path, {name: f"{{{id_}}}" for name, id_ in ids.items()})
        if re.search(r"[?#\s]", path):
            self.notes.add(f"{found.place} is left out: its path has a query")
            return None
        return path

    # Bodies

    def _body(self, found: OpenApiOperation, inputs: ConnectorInputs) -> dict[str, Any]:
        """Return the keys of the body, and add its inputs."""
        body = None if found.verb in ("get", "head") else self.document.body(found, (*BODY_TYPES[:3], "file", "text"))
        if body is None:
            return {}
        kind, headers = body.type, {"headers": {"Content-Type": body.content_type}} if body.content_type else {}
        schema = inputs.resolve(body.content.get("schema"))
        if kind == "file":
            needed = {"required": True} if body.required else {}
            inputs.add("file", "body", {"title": "File", "type": "file", **needed})
            return {"body_type": "file", **headers}
        keys: dict[str, Any] = {} if kind == "json" else {"body_type": kind}
        if kind == "form" and _has_brackets(body.content):
            keys["brackets"] = True
        if kind != "text" and ("properties" in schema or (schema.get("type") == "object" and kind != "json")):
            # An optional body with required fields: the service tells if one is missing.
            inputs.add_body(schema, body.required or kind != "json", kind == "multipart")
            return {**keys, **headers}
        told = inputs.describe("body", schema, body.required, schema) | {"title": "Body", "in": "none"}
        if kind == "text":
            told["type"] = "text"
        return {**keys, "body": inputs.add("body", "body", told), **headers}

    # Answers

    def _answer(self, found: OpenApiOperation) -> dict[str, Any]:
        """Return the kind of the answer: a list, text, a file or nothing; JSON if the document does not say."""
        status, content = self.document.success(found)
        if not content:
            return {"response": "none"} if status in ("204", "205") else {}
        kinds = {get_body_type(media): media for media in islice(content, 20)}
        if "json" not in kinds:
            return {"response": "text" if "text" in kinds else "file"}
        schema = self.document.resolve(self.document.resolve(content[kinds["json"]]).get("schema"))
        if schema.get("type") != "array":
            return {}
        item = self.document.resolve(schema.get("items"))
        has_id = "id" in self.document.at(item, "properties")
        return {"list": True, "pagination": None, **({"poll": {"key": "id"}} if has_id else {})}


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


# Security


def find_ways(document: OpenApi, hosts: list[str]) -> tuple[list[dict[str, Any]], bool]:
    """Return the ways, first those of the whole document, and True if some operation needs none of them."""
    schemes = document.schemes()
    # The schemes that requirements name, in order; one of these may allow to use none.
    names: dict[str, None] = {}
    optional = False
    holders = [document.root]
    for item in document.at(document.root, "paths").values():
        holders += [one for one in islice(document.resolve(item).values(), 100) if isinstance(one, dict)]
    for holder in holders:
        if not isinstance(holder.get("security"), list):
            continue
        listed = document.requirements(holder)
        optional = optional or not listed or {} in listed
        for one in listed:
            names.update(dict.fromkeys(one))
    ways: dict[tuple[Any, ...], dict[str, Any]] = {}
    for name in [name for name in names if name in schemes] or list(islice(schemes, MAX_WAYS)):
        if (way := _way(document, name, document.resolve(schemes[name]))) is not None:
            # Ways that need the same credential are one, even if their names differ.
            ways.setdefault((way["type"], way.get("header"), *way.get("names", ())), {**way, "hosts": hosts})
    return list(ways.values())[:MAX_WAYS], optional or not names


def _way(document: OpenApi, name: str, scheme: dict[str, Any]) -> dict[str, Any] | None:
    """Return the way of a scheme; None, with a note, if no credential has it."""
    told = {"title": make_title(name)}
    if help_ := read_line(scheme, "description", MAX_WAY_HELP):
        told["help"] = help_
    type_ = document.credential_type(scheme)
    if type_ is None or type_ == "cookie":
        document.notes.add(f"The security scheme {quote_name(name)} is left out: no credential has it")
        return None
    if type_ == "http_bearer" and scheme["type"] != "http":
        document.notes.add(
            f"{quote_name(name)} needs a log-in at the service: it is imported as an access token, to be made there"
        )
    if type_ == "http_header":
        return {"type": type_, "header": scheme["name"], **told}
    if type_ == "http_query":
        return {"type": type_, "names": [scheme["name"]], **told}
    scopes = [str(scope)[:300] for scope in islice(document.at(document.client_flow(scheme), "scopes"), 50)]
    return {"type": type_, **told, **({"scopes": scopes} if type_ == "oauth2_client_credentials" and scopes else {})}


# Inputs of an operation, made from its parameters and its body

MAX_SHOWN = 8  # optional inputs beyond these are below "More settings"
MAX_HELP, MAX_TITLE, MAX_CHOICES = 300, 100, 300
LONG_TEXT = 500  # characters: a text that may be longer has several lines
SEVERAL_LINES = {"body", "content", "description", "message", "notes", "text", "comment"}
FORMATS = {"date": "date", "date-time": "datetime", "binary": "file"}
SIMPLE = {"integer": "integer", "number": "number", "boolean": "boolean", "object": "object"}
MORE = "more_fields"


def make_id(name: str, fallback: str = "input") -> str:
    """Return the name in our form: `petId` and `Pet-Id` become `pet_id`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", plain)
    made = re.sub(r"[^a-z0-9]+", "_", split.lower()).strip("_")[:60].strip("_")
    return made if made[:1].isalpha() else f"{fallback}_{made}".strip("_")


def make_title(name: str) -> str:
    """Return the name as words: `petId` becomes `Pet id`."""
    words = make_id(name, "").strip("_").replace("_", " ")
    return (words[:1].upper() + words[1:])[:MAX_TITLE] or name[:MAX_TITLE]


def read_text(value: Any, most: int) -> str:
    """Return the description under this value as plain text: its first sentences, without the marks of Markdown."""
    line = read_line(value, "description", 4 * most)
    line = re.sub(r"\[([^\[\]]{1,200})\]\([^()\s]{1,500}\)", r"\1", line).replace("**", "")
    if len(line) <= most:
        return line
    end = max(line.rfind(mark, 0, most) for mark in (". ", "! ", "? "))
    return line[: end + 1] if end > 0 else f"{line[: most - 1]}…"


class ConnectorInputs:
    """The inputs of one operation, in order. Unsupported parameters are left out, with a note."""

    def __init__(self, document: Document, place: str) -> None:
        self.document, self.notes, self.place = document, document.notes, place
        self.found: dict[str, dict[str, Any]] = {}

    def add(self, name: str, place: str, told: dict[str, Any]) -> str | None:
        """Add an input for the service's `name`; return its id, or None if there are too many already."""
        if len(self.found) >= MAX_INPUTS - 1:
            self.notes.add(f"{self.place}: only the first {MAX_INPUTS - 1} inputs are imported")
            return None
        id_ = make_id(name)
        id_ = find_free(f"{place}_{id_}" if id_ in (*RESERVED, MORE) else id_, self.found)
        if id_ != name and place != "path":
            told["name"] = name
        self.found[id_] = told
        return id_

    def add_parameter(self, parameter: dict[str, Any]) -> str | None:
        """Add a parameter in the path, query or headers; return its id, or None if it is left out."""
        name, place = str(parameter["name"]), str(parameter["in"])
        schema = self.resolve(get_schema(parameter))
        required = parameter.get("required") is True or place == "path"
        told = self.describe(name, schema, required, parameter)
        if place == "header":
            told["in"] = "header"
        elif place == "query":
            if not self._fits_query(name, told, parameter):
                return None
            told["in"] = "query"
        elif told.get("type") in ("list", "items", "object", "any"):
            told.pop("type")  # a part of the path is text
        return self.add(name, place, told)

    def _fits_query(self, name: str, told: dict[str, Any], parameter: dict[str, Any]) -> bool:
        type_ = told.get("type")
        if type_ in ("object", "items") or (type_ == "any" and "content" in parameter):
            self.notes.add(f"{self.place}: the query parameter {quote_name(name)} is an object, and left out")
            return False
        style = read_line(parameter, "style", 20) or "form"
        if type_ == "list" and (style != "form" or parameter.get("explode") is False):
            if style in ("spaceDelimited", "pipeDelimited"):
                self.notes.add(
                    f"{self.place}: the query parameter {quote_name(name)} has another style, and is left out"
                )
                return False
            told["style"] = "comma"
        return True

    def add_body(self, schema: dict[str, Any], required: bool, allows_files: bool) -> None:
        """Add the writable properties of a body, each as an input; those beyond the limit as one object."""
        needed = set(map(str, read_list(schema, "required"))) if required else set()
        properties = self.document.at(schema, "properties")
        left = False
        for name, value in properties.items():
            inner = self.resolve(value)
            if not is_name(name) or inner.get("readOnly") is True:
                continue
            if "." in name or len(self.found) >= MAX_INPUTS - 1:
                left = True
                continue
            told = self.describe(name, inner, name in needed, inner)
            if told.get("type") == "file":
                if not allows_files:
                    told["type"] = "string"
            else:
                told["in"] = "body"
            self.add(name, "body", told)
        if left or schema.get("additionalProperties") not in (None, False):
            help_ = "Other fields of the body, with their names in the API"
            self.found[MORE] = {
                "title": "More fields", "type": "object", "help": help_, "name": "", "in": "body", "advanced": True,
            }  # fmt: skip

    def fold(self) -> dict[str, dict[str, Any]]:
        """Return the inputs; optional ones beyond the first are marked as advanced."""
        shown = 0
        for told in self.found.values():
            if told.get("required"):
                continue
            shown += 1
            if shown > MAX_SHOWN or told.get("in") == "header":
                told["advanced"] = True
        return self.found

    # Schemas

    def resolve(self, value: Any) -> dict[str, Any]:
        """Return a schema with its reference resolved and the parts of its `allOf` merged, one level deep."""
        found = self.document.resolve(value)
        parts = read_list(found, "allOf", 20)
        if not parts:
            return found
        merged = {key: item for key, item in found.items() if key != "allOf"}
        properties: dict[str, Any] = {}
        required: list[Any] = []
        for part in parts:
            inner = self.document.resolve(part)
            # One more level, because schemas often extend a schema that extends another.
            for each in (inner, *(self.document.resolve(deep) for deep in read_list(inner, "allOf", 20))):
                properties.update(self.document.at(each, "properties"))
                required += read_list(each, "required")
                merged = {**{key: item for key, item in each.items() if key != "allOf"}, **merged}
        if properties:
            properties.update(self.document.at(found, "properties"))
            merged |= {"properties": properties, "required": required + read_list(found, "required")}
        return merged

    def describe(self, name: str, schema: dict[str, Any], required: bool, told_by: dict[str, Any]) -> dict[str, Any]:
        """Return an input in the form of a connector's file. `told_by` has the description and the example."""
        told: dict[str, Any] = {"title": read_line(schema, "title", MAX_TITLE) or make_title(name)}
        told |= self._type_of(name, schema)
        if required:
            told["required"] = True
        text = read_text(told_by, MAX_HELP - 60) or read_text(schema, MAX_HELP - 60)
        default = schema.get("default")
        if isinstance(default, str | int | float) and default != "" and len(str(default)) <= 40:
            text = f"{text.rstrip('.')}. Default: {default}" if text else f"Default: {default}"
        if text:
            told["help"] = text
        for example in (told_by.get("example"), schema.get("example"), *read_list(schema, "examples", 1)):
            if example is not None and is_small(example, 150):
                told["example"] = example
                break
        return told

    def _type_of(self, name: str, schema: dict[str, Any]) -> dict[str, Any]:
        choices = self._choices(schema)
        if choices is not None:
            return {"type": "choice", "choices": choices}
        type_ = self._plain_type(schema)
        if type_ == "array":
            item = self.resolve(schema.get("items"))
            if (choices := self._choices(item)) is not None:
                return {"type": "list", "choices": choices}
            if item.get("format") == "binary":
                return {"type": "any"}
            return {"type": "list" if self._plain_type(item) in ("string", "integer", "number", "boolean") else "items"}
        if type_ in SIMPLE:
            limits = {
                ours: schema[theirs]
                for ours, theirs in (("min", "minimum"), ("max", "maximum"))
                if is_number(schema.get(theirs))
            }
            return {"type": SIMPLE[type_], **(limits if type_ in ("integer", "number") else {})}
        if type_ == "string":
            if found := FORMATS.get(str(schema.get("format"))):
                return {"type": found}
            longest = schema.get("maxLength")
            is_long = name.lower() in SEVERAL_LINES or (isinstance(longest, int) and longest > LONG_TEXT)
            return {"type": "text"} if is_long else {}
        return {"type": "object"} if "properties" in schema else {"type": "any"}

    def _plain_type(self, schema: dict[str, Any]) -> str | None:
        """Return the type, without null; None if there are several. Of alternatives, the one that all have."""
        named = [name for name in (read_list(schema, "type", 7) or [schema.get("type")]) if isinstance(name, str)]
        found = {name for name in named if name != "null"}
        if not found:
            alternatives = (*read_list(schema, "anyOf", 20), *read_list(schema, "oneOf", 20))
            found = {str(self.document.resolve(one).get("type")) for one in alternatives} - {"null"}
        if found <= {"string", "integer", "number"} and "string" in found:
            return "string"  # typed text stands for either
        return found.pop() if len(found) == 1 else None

    def _choices(self, schema: dict[str, Any]) -> dict[str, str] | None:
        """Return the values of an enumeration of texts with their labels; None if it is not one."""
        listed = [schema["const"]] if "const" in schema else read_list(schema, "enum", MAX_CHOICES + 1)
        values = [value for value in listed if value is not None]
        if not values or len(values) > MAX_CHOICES:
            return None
        if not all(isinstance(value, str) and 0 < len(value) <= 100 for value in values):
            return None
        return {value: value.replace("_", " ").capitalize() if value.islower() else value for value in values}
