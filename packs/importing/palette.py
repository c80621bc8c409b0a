"""Palette of an API document: its operations as presets, `http` nodes that are ready for use with a form for each."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urljoin

import orjson

from constants import HTTP_METHODS
from errors import BadInput, ExpressionError
from expressions import compile_value, escape, quote
from packs.importing.advice import Suggestion, Suggestions, get_hosts, quote_name
from packs.importing.openapi import (
    MAX_URL,
    Body,
    Document,
    OpenApi,
    OpenApiOperation,
    fill_path,
    find_free,
    find_in_path,
    get_schema,
    is_name,
    is_number,
    is_small,
    read_document,
    read_line,
    read_list,
)

MAX_OPERATIONS = 1_000
_IN_PATH = 'urlencode | replace("/", "%2F")'
_BINARY = ("application/octet-stream", "application/pdf", "image/", "audio/", "video/")
_FILE = {"type": "string", "description": "Path in the workspace's files"}
CREDENTIALS = ("http_basic", "http_bearer", "http_header", "http_query", "cookie", "oauth2_client_credentials")
_ELSEWHERE = "see the API's documentation"


@dataclass(frozen=True)
class ImportedPreset:
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
    presets: list[ImportedPreset]
    credentials: list[Suggestion]
    notes: list[str]


def read(document: bytes | dict[str, Any]) -> Palette:
    """Return the presets of a document, JSON or YAML. Notes list the parts that are not imported.

    Raises: BadInput if the document is invalid, TooLarge.
    """
    return _PresetReader(read_document(document)).palette()


def make_slug(title: str) -> str:
    """Return the title as lower-case ASCII letters, digits and dashes."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].strip("-") or "api"


class _PresetReader:
    """The reading of one document."""

    def __init__(self, document: OpenApi) -> None:
        self.document, self.notes = document, document.notes
        self.title = document.title(200)
        self.source = make_slug(self.title)
        self.server = document.server(document.root)
        self.variable = f"vars.api_{self.source.replace('-', '_')}_url"
        self.secrets = Suggestions(self.source, get_hosts(self.server or ""))
        self.security = Security(document, self.secrets, self.server)
        self.keys: set[str] = set()
        self.cut = 0

    def palette(self) -> Palette:
        servers = read_list(self.document.root, "servers")
        if self.server is None:
            self.notes.add(f"The document names no server: set {self.variable} in the flow's settings to its URL")
        elif len(servers) > 1:
            self.notes.add(f"The document names {len(servers)} servers; the nodes use {quote_name(self.server)}")
        if self.server is not None and any(self.document.at(server, "variables") for server in servers[:1]):
            self.notes.add(f"The server's URL has variables, which have their defaults: {quote_name(self.server)}")
        presets: list[ImportedPreset] = []
        for operation in self.document.operations():
            if len(presets) >= MAX_OPERATIONS:
                self.notes.add(f"Only the first {MAX_OPERATIONS:,} operations are imported")
                break
            if operation.verb.upper() not in HTTP_METHODS or len(operation.path) > MAX_URL:
                self.notes.add(f"{operation.place} is not imported: the method or the URL is not supported")
                continue
            preset = self._preset(operation)
            if preset is not None:
                presets.append(preset)
        if not presets:
            raise BadInput("The document describes no operations")
        if self.cut:
            self.notes.add(f"The forms of {self.cut} operations are incomplete: too large, or recursive")
        found = list(self.secrets.found.values())
        return Palette(self.title, self.source, self.server, presets, found, list(self.notes))

    # Operations

    def _preset(self, operation: OpenApiOperation) -> ImportedPreset | None:
        own, inputs = operation.own, PresetInputs(self.document)
        auth = self.security.choose(own)
        config = {"method": operation.verb.upper(), **self._config(operation, inputs, auth)}
        summary, id_ = read_line(own, "summary", 180), read_line(own, "operationId", 180)
        whole = f"{operation.verb.upper()} {operation.path}"
        name = summary or id_ or whole[:180]
        try:
            compile_value(config)
        except ExpressionError:
            self.notes.add(f"{operation.place} is not imported: it has too many parameters for a node")
            return None
        self.cut += inputs.form.is_cut
        key = find_free(read_line(own, "operationId", 200) or whole[:200], self.keys, " ")
        self.keys.add(key)
        return ImportedPreset(
            key=key,
            name=f"{name} (deprecated)" if own.get("deprecated") is True else name,
            description=read_line(own, "description", 1_000) or read_line(operation.item, "description", 1_000),
            tags=[tag[:100] for tag in read_list(own, "tags", 20) if isinstance(tag, str)],
            node={"type": "http", "name": name, "config": config},
            parameters=inputs.as_schema(),
            credential_type=auth.type,
        )

    def _config(self, operation: OpenApiOperation, inputs: PresetInputs, auth: Authentication) -> dict[str, Any]:
        parameters = self.document.parameters(operation)
        server = self.document.server_of(operation) or self.server
        path = operation.path if operation.path.startswith("/") else f"/{operation.path}"
        found = find_in_path(path, parameters)
        values = {name: inputs.text(parameter, "path", f" | {_IN_PATH}") for name, parameter in found.items()}
        url = (expression(self.variable) if server is None else escape(server)) + fill_path(path, values, escape)
        query: dict[str, str] = {}
        for parameter in parameters:
            if parameter["in"] == "query":
                query.update(inputs.query(parameter))
        headers = self._headers(parameters, inputs, auth)
        body = self.document.body(operation)
        config, content_type = ({}, None) if body is None else self._body(body, inputs)
        if content_type is not None:
            headers["Content-Type"] = content_type
        parts = {"query": {**query, **dict(auth.query)}, "headers": headers, **config, "credential": auth.credential}
        return {"url": url, **{key: value for key, value in parts.items() if value}}

    def _headers(self, parameters: list[dict[str, Any]], inputs: PresetInputs, auth: Authentication) -> dict[str, str]:
        """Return the required headers; optional ones are left out, because a node cannot omit a header by its input."""
        headers: dict[str, str] = {}
        cookies = list(auth.cookies)
        # Headers first, so that their inputs get the names that cookies have too.
        for parameter in sorted(parameters, key=lambda parameter: parameter["in"] == "cookie"):
            name = parameter["name"]
            if parameter["in"] not in ("header", "cookie"):
                continue
            if parameter.get("required") is not True:
                self.notes.add(f"The {parameter['in']} {quote_name(name)} is optional, and not imported")
            elif parameter["in"] == "header":
                headers[name] = inputs.text(parameter, "header")
            else:
                cookies.append(f"{name}={inputs.text(parameter, 'cookie')}")
        return headers | ({"Cookie": "; ".join(cookies)} if cookies else {})

    # Bodies

    def _body(self, body: Body, inputs: PresetInputs) -> tuple[dict[str, Any], str | None]:
        """Return the config's keys, and the Content-Type if it is not the node's default."""
        schema = _FILE if body.type == "file" else self._body_schema(body.content, inputs)
        if body.type == "multipart":
            # An optional file that is missing is left out.
            texts, files = _split(schema)
            found: dict[str, Any] = {}
            if texts["properties"] or not files["properties"]:
                found["body"] = _write_body(texts, body.required and bool(texts["required"]), inputs)
            if files["properties"]:
                key = inputs.add("files", "body", files, bool(files["required"]))
                read = {name: input_path(key, name) for name in files["properties"]}
                found["files"] = {
                    name: expression(text if name in files["required"] else f"{text} | default(none)")
                    for name, text in read.items()
                }
            return {"body_type": body.type, **found}, None
        return {"body_type": body.type, "body": _write_body(schema, body.required, inputs)}, body.content_type

    def _body_schema(self, content: dict[str, Any], inputs: PresetInputs) -> dict[str, Any]:
        schema = inputs.form.schema(content.get("schema"))
        examples = self.document.at(content, "examples")
        first = next((self.document.at(examples, name).get("value") for name in examples), None)
        example = content.get("example", first)
        if example is not None and is_small(example, 2_000):
            schema.setdefault("examples", [example])
        return schema


def _is_file(schema: dict[str, Any]) -> bool:
    return schema.get("format") == "binary" or str(schema.get("contentMediaType")).startswith(_BINARY)


def _write_body(schema: dict[str, Any], required: bool, inputs: PresetInputs) -> str:
    """Return the expression of the body; an optional body that is missing becomes null, and is not sent."""
    read = input_path(inputs.add("body", "body", schema, required))
    return expression(read if required else f"{read} | default(none)")


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


# Security


class Authentication(NamedTuple):
    """Authentication of a node: the credential's name and type, or expressions for query and cookies."""

    credential: str | None = None
    type: str | None = None
    query: tuple[tuple[str, str], ...] = ()
    cookies: tuple[str, ...] = ()


class Security:
    """The security schemes of a document. The credential of the first scheme in use is named after the document."""

    def __init__(self, document: OpenApi, secrets: Suggestions, server: str | None) -> None:
        self.document, self.secrets, self.server = document, secrets, server
        self.schemes = document.schemes()
        self.names: dict[str, str] = {}
        self.scopes: dict[str, dict[str, None]] = {}

    def choose(self, operation: dict[str, Any]) -> Authentication:
        """Return the first supported alternative of the operation; empty if authentication is optional."""
        alternatives = self.document.requirements(operation if "security" in operation else self.document.root)
        if not alternatives or {} in alternatives:
            return Authentication()
        pairs = [(one, [name for name in one if self._type(name) in CREDENTIALS]) for one in alternatives]
        usable = [(one, names) for one, names in pairs if names]
        if not usable:
            self._note_ignored(next(iter(alternatives[0])))
            return Authentication()
        one, names = min(usable, key=lambda pair: (len(pair[0]) - len(pair[1]), len(pair[1])))
        for name in one:
            if name != names[0]:
                self._note_ignored(name)
        return self._authenticate(names[0], one[names[0]])

    def _note_ignored(self, name: str) -> None:
        self.document.notes.add(
            f"The security scheme {quote_name(name)} is not imported: a node cannot use it, or only one"
        )

    def _type(self, name: str) -> str | None:
        return self.document.credential_type(self.document.at(self.schemes, name)) if is_name(name) else None

    def _authenticate(self, name: str, scopes: Any) -> Authentication:
        scheme = self.document.at(self.schemes, name)
        type_, key, source = self._type(name), str(scheme.get("name")), f"the API's {quote_name(name)}"
        if type_ == "http_basic":
            return self._credential(name, type_, {}, {"username": source, "password": source})
        if type_ == "http_header":
            return self._credential(name, type_, {"name": key}, {"value": source})
        if type_ in ("http_query", "cookie"):
            expression, place = self.secrets.add_secret(name, source), type_.removeprefix("http_")
            self.document.notes.add(f"The key {quote_name(key)} is sent in the {place}, read by {expression}")
            if place == "query":
                return Authentication(type="secret", query=((key, expression),))
            return Authentication(type="secret", cookies=(f"{key}={expression}",))
        if type_ == "oauth2_client_credentials":
            return self._of_client(name, self.document.client_flow(scheme), scopes, source)
        if scheme["type"] != "http":
            source = _ELSEWHERE
            self.document.notes.add(f"{quote_name(name)} needs an access token, which is expected as a bearer token")
        return self._credential(name, "http_bearer", {}, {"token": source})

    def _credential(
        self, name: str, type_: str, data: dict[str, str], sources: dict[str, str], hosts: tuple[str, ...] = ()
    ) -> Authentication:
        """Suggest one credential for each scheme; all but the first have the scheme in their name."""
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60]
        known = self.names.setdefault(name, f"{self.secrets.base}-{slug}" if self.names else self.secrets.base)
        return Authentication(self.secrets.add(known, type_, data, sources, hosts), type_)

    def _of_client(self, name: str, flow: dict[str, Any], scopes: Any, source: str) -> Authentication:
        """Suggest an OAuth2 client. Its one credential requests the scopes of all operations."""
        asked = self.scopes.setdefault(name, {})
        asked.update(
            dict.fromkeys(scope for scope in scopes if isinstance(scope, str)) if isinstance(scopes, list) else {}
        )
        data, sources = {}, {"client_id": source, "client_secret": source}
        hosts: tuple[str, ...] = ()
        url = _join_url(self.server, flow.get("tokenUrl"))
        if get_hosts(url):
            data["token_url"], hosts = url, get_hosts(url)
        else:
            sources["token_url"] = _ELSEWHERE
        if asked:
            data["scope"] = " ".join(asked)[:1_000]
        return self._credential(name, "oauth2_client_credentials", data, sources, hosts)


def _join_url(server: str | None, url: Any) -> str:
    """Return the URL, resolved against the server's; empty if it is invalid."""
    if not isinstance(url, str) or len(url) > 1_000:
        return ""
    try:
        return urljoin(f"{server}/" if server else "", url)
    except ValueError:
        return ""


# Inputs of a preset: each a property of a JSON Schema, and the expression that reads it from the input

MAX_PROPERTIES = 50  # of an object written to the query
_PLAIN = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]*\Z")
_SEPARATORS = {"form": ",", "simple": ",", "spaceDelimited": " ", "pipeDelimited": "|"}
MAX_SIZE = 12_000  # characters of one form, estimated
MAX_LEVELS = 8
MAX_TEXT = 300
MAX_NAMES = 200  # properties of an object

_NUMBERS = ("minimum", "maximum", "multipleOf")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_TYPES = ("string", "number", "integer", "boolean", "array", "object", "null")


def input_path(*keys: str) -> str:
    """Return the path `input.a.b`, or `input["a-b"]` for a key that is not an identifier."""
    return "input" + "".join(f".{key}" if _PLAIN.match(key) else f"[{quote(key)}]" for key in keys)


def expression(text: str) -> str:
    """Return `{{ text }}`."""
    return f"{{{{ {text} }}}}"


class PresetInputs:
    """The properties added so far, and which of them are required."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.form = FormSchema(document)
        self.properties: dict[str, Any] = {}
        self.required: list[str] = []

    def add(self, name: str, where: str, schema: dict[str, Any], required: bool) -> str:
        """Add a property; return its key in the input, which differs from `name` if that is taken."""
        key, number = name, 1
        while key in self.properties or (key == "body" and where != "body"):
            key = f"{where}_{name}" if number == 1 else f"{where}_{name}_{number}"
            number += 1
        self.properties[key] = {**schema, "x-in": where}
        if required:
            self.required.append(key)
        return key

    def add_parameter(self, parameter: dict[str, Any], where: str, required: bool) -> tuple[str, dict[str, Any]]:
        """Add a parameter of the document; return its key and its schema."""
        schema = self.form.schema(get_schema(parameter))
        if description := read_line(parameter, "description", 300):
            schema.setdefault("description", description)
        if "example" in parameter and is_small(parameter["example"], 300):
            schema.setdefault("examples", [parameter["example"]])
        return self.add(str(parameter["name"]), where, schema, required), schema

    def as_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of all properties."""
        return {"type": "object", "properties": self.properties, "required": self.required}

    # Serialization of a parameter (OpenAPI 3.1, 4.8.12)

    def text(self, parameter: dict[str, Any], where: str, filters: str = "") -> str:
        """Return the expression of a required parameter serialized as one text."""
        key, schema = self.add_parameter(parameter, where, required=True)
        joined = ' | join(",")' if _has_type(schema, "array") else ""
        return expression(f"{input_path(key)}{joined}{filters}")

    def query(self, parameter: dict[str, Any]) -> dict[str, str]:
        """Return the query keys of a parameter; an optional one that is missing becomes null, and is not sent."""
        required = parameter.get("required") is True
        name, style = str(parameter["name"]), read_line(parameter, "style", 20) or "form"
        explode = parameter.get("explode", style in ("form", "deepObject"))
        key, schema = self.add_parameter(parameter, "query", required)
        read = input_path(key)
        if "content" in parameter:
            return {name: _with_filter(read, "tojson", required)}
        if _has_type(schema, "object"):
            names = list(schema.get("properties", {}))[:MAX_PROPERTIES]
            if not names or explode is not True:
                self.document.notes.add(
                    f"The query parameter {quote_name(name)} is an object the node cannot serialize"
                )
                del self.properties[key]
                self.required = [other for other in self.required if other != key]
                return {}
            return {
                f"{name}[{part}]" if style == "deepObject" else part: expression(
                    f"{input_path(key, part)} | default(none)"
                )
                for part in names
            }
        if _has_type(schema, "array") and not explode:
            return {name: _with_filter(read, f"join({quote(_SEPARATORS.get(style, ','))})", required)}
        return {name: expression(read if required else f"{read} | default(none)")}


def _with_filter(read: str, filter_: str, required: bool) -> str:
    if required:
        return expression(f"{read} | {filter_}")
    return expression(f"{read} | {filter_} if {read} is defined and {read} else none")


def _has_type(schema: dict[str, Any], type_: str) -> bool:
    types = schema.get("type")
    return types == type_ or type_ in read_list(schema, "type")


# Schemas


class FormSchema:
    """A form. Parts beyond the limits become `{}`, which accepts anything, and `is_cut` is set."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.left = MAX_SIZE
        self.is_cut = False

    def schema(self, value: Any, inside: tuple[int, ...] = ()) -> dict[str, Any]:
        """Return the schema with its `$ref`s resolved. `inside` has the ids of the schemas around it."""
        found = self.document.resolve(value)
        own = id(found)
        self.left -= 20 + len(found)
        if self.left <= 0 or len(inside) >= MAX_LEVELS or own in inside:
            self.is_cut = True
            return {}
        if isinstance(value, dict) and "$ref" in value:
            found = {**found, **{key: item for key, item in value.items() if key != "$ref"}}
        named = [name for name in (read_list(found, "type", 7) or [found.get("type")]) if name in _TYPES]
        # OpenAPI 3.0 allows null by a separate key.
        if named and found.get("nullable") is True and "null" not in named:
            named.append("null")
        made = {
            **({"type": named[0] if len(named) == 1 else named} if named else {}),
            **_texts(found),
            **_limits(found),
            **_values(found),
        }
        self.left -= len(orjson.dumps(made))
        for key, part in self._parts(found, (*inside, own)):
            made[key] = part
        return made

    def _parts(self, found: dict[str, Any], inside: tuple[int, ...]) -> Any:
        properties = found.get("properties")
        if isinstance(properties, dict):
            # Only writable properties: `readOnly` ones come only from the server.
            made: dict[str, Any] = {}
            for name, inner in properties.items():
                self.left -= 10
                if self.left <= 0 or len(made) >= MAX_NAMES:
                    self.is_cut = True
                    break
                if is_name(name) and not self.document.resolve(inner).get("readOnly"):
                    self.left -= len(name)
                    made[name] = self.schema(inner, inside)
            yield "properties", made
            if needed := [name for name in read_list(found, "required") if isinstance(name, str) and name in made]:
                yield "required", needed
        if isinstance(found.get("items"), dict):
            yield "items", self.schema(found["items"], inside)
        if isinstance(found.get("additionalProperties"), dict):
            yield "additionalProperties", self.schema(found["additionalProperties"], inside)
        elif found.get("additionalProperties") is False:
            yield "additionalProperties", False
        for key in ("allOf", "anyOf", "oneOf"):
            if parts := read_list(found, key, 20):
                yield key, [self.schema(part, inside) for part in parts]


def _texts(found: dict[str, Any]) -> dict[str, Any]:
    texts = {
        key: read_line(found, key, MAX_TEXT)
        for key in ("title", "description", "format", "pattern", "contentMediaType")
    }
    if texts["pattern"] != found.get("pattern"):
        del texts["pattern"]  # a truncated pattern would reject valid values
    return {key: text for key, text in texts.items() if text}


def _limits(found: dict[str, Any]) -> dict[str, Any]:
    limits = {key: found[key] for key in (*_NUMBERS, *_COUNTS) if is_number(found.get(key))}
    for key, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if is_number(found.get(key)):
            limits[key] = found[key]
        elif found.get(key) is True and bound in limits:  # the form of OpenAPI 3.0
            limits[key] = limits.pop(bound)
    return limits | ({"uniqueItems": True} if found.get("uniqueItems") is True else {})


def _values(found: dict[str, Any]) -> dict[str, Any]:
    """Return small enums, defaults and examples."""
    values: dict[str, Any] = {key: found[key] for key in ("const", "default") if key in found}
    if isinstance(found.get("enum"), list):
        values["enum"] = found["enum"]
    examples = read_list(found, "examples", 3) or ([found["example"]] if "example" in found else [])
    if examples:
        values["examples"] = examples
    return {key: value for key, value in values.items() if is_small(value, 2_000)}
