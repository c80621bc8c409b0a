"""Import of an OpenAPI 3 document as presets: `http` nodes that are ready for use, with a form for each."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson

from constants import FORM, HTTP_METHODS, MULTIPART
from errors import BadInput, ExpressionError
from expressions import compile_value, escape
from importing.json_document import Document, is_name, is_small, load_document, read_line, read_list
from importing.notes import Notes, quote_name
from importing.preset_inputs import Inputs, expression, input_path
from importing.secret_detection import Suggestion, Suggestions, get_hosts
from importing.security_schemes import Authentication, Security
from nodes.fields import TOKEN
from nodes.http.client import REFUSED_HEADERS

MAX_OPERATIONS = 1_000
MAX_PARAMETERS = 100  # of one operation
MAX_PATH = 2_000  # characters, also of a server's URL
_VERSION = re.compile(r"3\.[012](\.|\Z)")
_VERBS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
# OpenAPI ignores parameters of the first three names; the node sends the last one itself.
NO_PARAMETERS = {"accept", "content-type", "authorization", "idempotency-key", *REFUSED_HEADERS}
_IN_PATH = 'urlencode | replace("/", "%2F")'
_BINARY = ("application/octet-stream", "application/pdf", "image/", "audio/", "video/")
_FILE = {"type": "string", "description": "Path in the workspace's files"}


@dataclass(frozen=True)
class Preset:
    """A node ready for use. `parameters` is the JSON Schema of the input that its expressions read."""

    key: str
    name: str
    description: str
    tags: list[str]
    node: dict[str, Any]
    parameters: dict[str, Any]
    credential_type: str | None

    def as_row(self) -> dict[str, Any]:
        """Return the preset as a table row, with JSON as text."""
        kept = {name: getattr(self, name) for name in ("key", "name", "description", "credential_type")}
        parts = {"tags": self.tags, "node_json": self.node, "parameters_json": self.parameters}
        return {**kept, **{name: orjson.dumps(part).decode() for name, part in parts.items()}}


@dataclass(frozen=True)
class Palette:
    """All presets of a document. `source` is the slug of its title; `server` is None if it names none."""

    title: str
    source: str
    server: str | None
    presets: list[Preset]
    credentials: list[Suggestion]
    notes: list[str]


def is_openapi(file: bytes) -> bool:
    """Return True if the file declares itself an OpenAPI document, of a supported version or not."""
    if file.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"{":
        return re.search(rb"^(?:\xef\xbb\xbf)?[\"']?(?:openapi|swagger)[\"']?[ \t]*:", file, re.MULTILINE) is not None
    try:
        value = orjson.loads(file.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        return False
    return "openapi" in value or "swagger" in value


def read(document: bytes | dict[str, Any]) -> Palette:
    """Return the presets of a document, JSON or YAML. Notes list the parts that are not imported.

    Raises: BadInput if the document is invalid, TooLarge.
    """
    root, notes = load_document(document), Notes()
    _check_version(root)
    return _Reader(Document(root, notes)).palette()


def _check_version(root: dict[str, Any]) -> None:
    if "swagger" in root:
        raise BadInput(
            "This is a Swagger 2 document; convert it to OpenAPI 3 first, for example with https://converter.swagger.io"
        )
    version = str(root.get("openapi", ""))
    if "openapi" not in root:
        raise BadInput('The document is not OpenAPI: it has no key "openapi" with a version')
    if not _VERSION.match(version):
        raise BadInput(f"OpenAPI version {quote_name(version)} is not supported; it must be 3.0, 3.1 or 3.2")


def make_slug(title: str) -> str:
    """Return the title as lower-case ASCII letters, digits and dashes."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].strip("-") or "api"


class _Reader:
    """The reading of one document."""

    def __init__(self, document: Document) -> None:
        self.document, self.notes = document, document.notes
        self.title = read_line(document.at(document.root, "info"), "title", 200) or "API"
        self.source = make_slug(self.title)
        self.server = self._server(document.root)
        self.variable = f"vars.api_{self.source.replace('-', '_')}_url"
        self.secrets = Suggestions(self.source, get_hosts(self.server or ""))
        self.security = Security(document, self.secrets, self.server)
        self.keys: set[str] = set()
        self.cut = 0

    def palette(self) -> Palette:
        self._note_servers()
        presets: list[Preset] = []
        for path, item, verb, operation in self._operations():
            if len(presets) >= MAX_OPERATIONS:
                self.notes.add(f"Only the first {MAX_OPERATIONS:,} operations are imported")
                break
            if verb.upper() not in HTTP_METHODS or len(path) > MAX_PATH:
                self.notes.add(f"{verb.upper()} {path[:100]} is not imported: the method or the URL is not supported")
                continue
            preset = self._preset(path, item, verb, operation)
            if preset is not None:
                presets.append(preset)
        if not presets:
            raise BadInput("The document describes no operations")
        if self.cut:
            self.notes.add(f"The forms of {self.cut} operations are incomplete: too large, or recursive")
        found = list(self.secrets.found.values())
        return Palette(self.title, self.source, self.server, presets, found, list(self.notes))

    def _operations(self) -> Iterator[tuple[str, dict[str, Any], str, dict[str, Any]]]:
        paths = self.document.at(self.document.root, "paths")
        for path, value in paths.items():
            if path.startswith("x-"):
                continue
            item = self.document.resolve(value)
            for verb, operation in islice(item.items(), 100):
                if verb in _VERBS and isinstance(operation, dict):
                    yield path, item, verb, operation

    # Servers

    def _server(self, holder: dict[str, Any]) -> str | None:
        """Return the first URL with a host, with its variables at their defaults."""
        for server in read_list(holder, "servers", 20):
            url = fill_in(read_line(server, "url", MAX_PATH), self.document.at(server, "variables"))
            if len(url) <= MAX_PATH and re.fullmatch(r"https?://[^\s/?#{}@\[\]]+(?:/[^\s?#{}]*)?", url):
                return url.rstrip("/")
        return None

    def _note_servers(self) -> None:
        servers = read_list(self.document.root, "servers")
        if self.server is None:
            self.notes.add(f"The document names no server: set {self.variable} in the flow's settings to its URL")
        elif len(servers) > 1:
            self.notes.add(f"The document names {len(servers)} servers; the nodes use {quote_name(self.server)}")
        if self.server is not None and any(self.document.at(server, "variables") for server in servers[:1]):
            self.notes.add(f"The server's URL has variables, which have their defaults: {quote_name(self.server)}")

    # Operations

    def _preset(self, path: str, item: dict[str, Any], verb: str, operation: dict[str, Any]) -> Preset | None:
        method, inputs = verb.upper(), Inputs(self.document)
        auth = self.security.choose(operation)
        config = {"method": method, **self._config(path, item, operation, inputs, auth)}
        summary, id_ = read_line(operation, "summary", 180), read_line(operation, "operationId", 180)
        name = summary or id_ or f"{method} {path}"[:180]
        try:
            compile_value(config)
        except ExpressionError:
            self.notes.add(f"{method} {path[:100]} is not imported: it has too many parameters for a node")
            return None
        self.cut += inputs.form.is_cut
        return Preset(
            key=self._key(f"{method} {path}", operation),
            name=f"{name} (deprecated)" if operation.get("deprecated") is True else name,
            description=read_line(operation, "description", 1_000) or read_line(item, "description", 1_000),
            tags=[tag[:100] for tag in read_list(operation, "tags", 20) if isinstance(tag, str)],
            node={"type": "http", "name": name, "config": config},
            parameters=inputs.as_schema(),
            credential_type=auth.type,
        )

    def _key(self, place: str, operation: dict[str, Any]) -> str:
        key = wanted = read_line(operation, "operationId", 200) or place[:200]
        number = 1
        while key in self.keys:
            number += 1
            key = f"{wanted} {number}"
        self.keys.add(key)
        return key

    def _config(
        self, path: str, item: dict[str, Any], operation: dict[str, Any], inputs: Inputs, auth: Authentication
    ) -> dict[str, Any]:
        parameters = self._parameters(item, operation)
        server = self._server(operation) or self._server(item) or self.server
        url = self._url(server, path, parameters, inputs)
        query: dict[str, str] = {}
        for parameter in _select(parameters, "query"):
            query.update(inputs.query(parameter))
        headers = self._headers(parameters, inputs, auth)
        body, content_type = self._body(operation, inputs)
        if content_type is not None:
            headers["Content-Type"] = content_type
        parts = {"query": {**query, **dict(auth.query)}, "headers": headers, **body, "credential": auth.credential}
        return {"url": url, **{key: value for key, value in parts.items() if value}}

    def _parameters(self, item: dict[str, Any], operation: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the parameters of the path and of the operation, which take precedence."""
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for parameter in (*self.document.each(item, "parameters"), *self.document.each(operation, "parameters")):
            name, place = parameter.get("name"), parameter.get("in")
            if is_name(name) and isinstance(place, str):
                found[place, name] = parameter
        return list(found.values())[:MAX_PARAMETERS]

    def _url(self, server: str | None, path: str, parameters: list[dict[str, Any]], inputs: Inputs) -> str:
        known = {parameter["name"]: parameter for parameter in _select(parameters, "path")}
        parts: list[str] = re.split(r"\{([^{}]+)\}", path if path.startswith("/") else f"/{path}")
        written: dict[str, str] = {}
        for name in parts[1::2]:
            if name not in written:
                parameter = known.get(name, {"name": name, "schema": {"type": "string"}})
                written[name] = inputs.text(parameter, "path", f" | {_IN_PATH}")
        parts[1::2] = [written[name] for name in parts[1::2]]
        parts[0::2] = [escape(text.replace(" ", "%20")) for text in parts[0::2]]
        return (expression(self.variable) if server is None else escape(server)) + "".join(parts)

    def _headers(self, parameters: list[dict[str, Any]], inputs: Inputs, auth: Authentication) -> dict[str, str]:
        """Return the required headers; optional ones are left out, because a node cannot omit a header by its input."""
        headers: dict[str, str] = {}
        cookies = list(auth.cookies)
        for parameter in (*_select(parameters, "header"), *_select(parameters, "cookie")):
            name = parameter["name"]
            if name.lower() in NO_PARAMETERS or not TOKEN.match(name):
                continue
            if parameter.get("required") is not True:
                self.notes.add(f"The {parameter['in']} {quote_name(name)} is optional, and not imported")
            elif parameter["in"] == "header":
                headers[name] = inputs.text(parameter, "header")
            else:
                cookies.append(f"{name}={inputs.text(parameter, 'cookie')}")
        return headers | ({"Cookie": "; ".join(cookies)} if cookies else {})

    # Bodies

    def _body(self, operation: dict[str, Any], inputs: Inputs) -> tuple[dict[str, Any], str | None]:
        """Return the config's keys, and the Content-Type if it is not the node's default."""
        body = self.document.at(operation, "requestBody")
        content = self.document.at(body, "content")
        if not content:
            return {}, None
        kinds = ((media, get_body_type(media)) for media in islice(content, 50))
        media, kind = min(kinds, key=lambda found: _BODY_TYPES.index(found[1]))
        schema = _FILE if kind == "file" else self._body_schema(content[media], inputs)
        required = body.get("required") is True
        if kind == "multipart":
            return {"body_type": kind, **_write_parts(schema, required, inputs)}, None
        named = re.fullmatch(r"[\w.+-]{1,100}/[\w.+-]{1,100}", media, re.ASCII)
        own = kind == "form" or media == "application/json" or not named
        return {"body_type": kind, "body": _write_body(schema, required, inputs)}, None if own else media

    def _body_schema(self, holder: Any, inputs: Inputs) -> dict[str, Any]:
        found = self.document.resolve(holder)
        schema = inputs.form.schema(found.get("schema"))
        examples = self.document.at(found, "examples")
        example = found.get("example", next((self.document.at(examples, name).get("value") for name in examples), None))
        if example is not None and is_small(example, 2_000):
            schema.setdefault("examples", [example])
        return schema


# From the most to the least descriptive.
_BODY_TYPES = ("json", "form", "multipart", "text", "file")


def get_body_type(media: str) -> str:
    """Return the node's `body_type` for a media type."""
    name = media.partition(";")[0].strip().lower()
    if name in ("application/json", "*/*", "application/*") or name.endswith("+json"):
        return "json"
    if name == FORM:
        return "form"
    if name == MULTIPART:
        return "multipart"
    return "text" if name.startswith("text/") or name.endswith(("/xml", "+xml", "/graphql", "yaml")) else "file"


def _is_file(schema: dict[str, Any]) -> bool:
    return schema.get("format") == "binary" or str(schema.get("contentMediaType")).startswith(_BINARY)


def _write_body(schema: dict[str, Any], required: bool, inputs: Inputs) -> str:
    """Return the expression of the body; an optional body that is missing becomes null, and is not sent."""
    read = input_path(inputs.add("body", "body", schema, required))
    return expression(read if required else f"{read} | default(none)")


def _write_parts(schema: dict[str, Any], required: bool, inputs: Inputs) -> dict[str, Any]:
    """Return the texts and files of a multipart body. An optional file that is missing is left out."""
    texts, files = _split(schema)
    found: dict[str, Any] = {}
    if texts["properties"] or not files["properties"]:
        found["body"] = _write_body(texts, required and bool(texts["required"]), inputs)
    if files["properties"]:
        key = inputs.add("files", "body", files, bool(files["required"]))
        read = {name: input_path(key, name) for name in files["properties"]}
        found["files"] = {
            name: expression(text if name in files["required"] else f"{text} | default(none)")
            for name, text in read.items()
        }
    return found


def _split(schema: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split the schema of a multipart body into one of its texts and one of its files."""
    files: dict[str, Any] = {}
    texts: dict[str, Any] = {}
    for name, part in schema.get("properties", {}).items():
        if _is_file(part):
            files[name] = _FILE
        elif _is_file(part.get("items", {})):
            files[name] = {"type": "array", "items": _FILE}
        else:
            texts[name] = part
    return _select_properties(schema, texts), _select_properties(schema, files)


def _select_properties(schema: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    needed = [name for name in read_list(schema, "required") if name in parts]
    return {"type": "object", "properties": parts, "required": needed}


def fill_in(template: str, variables: dict[str, Any]) -> str:
    """Fill in the defaults of the variables; a variable without a default stays."""

    def default(match: re.Match[str]) -> str:
        variable = variables.get(match[1])
        found = variable.get("default") if isinstance(variable, dict) else None
        return str(found) if isinstance(found, str | int | float) else match[0]

    return re.sub(r"\{([^{}]*)\}", default, template)


def _select(parameters: list[dict[str, Any]], place: str) -> list[dict[str, Any]]:
    return [parameter for parameter in parameters if parameter["in"] == place]
