"""OpenAPI 3 and Swagger 2 documents: their servers, operations, parameters, bodies and ways to authenticate.

This is the one reader of them, for palette.py and connector.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeGuard
from urllib.parse import unquote, urljoin

import orjson

from constants import FORM, MULTIPART
from errors import BadInput, NodeError, TooLarge
from nodes.fields import TOKEN
from nodes.http.client import REFUSED_HEADERS
from packs.formats import yaml_format
from packs.importing.advice import Notes, quote_name

MAX_BYTES = 5 * 2**20
MAX_DEPTH = 100
MAX_REF = 1_000
MAX_HOPS = 20  # chained `$ref`s


def load_document(document: bytes | dict[str, Any], most: int = MAX_BYTES) -> dict[str, Any]:
    """Return the document, of at most `most` bytes, as JSON data.

    Raises: BadInput if it is neither JSON nor YAML, nested too deeply or expanded by aliases; TooLarge.
    """
    if isinstance(document, bytes):
        if len(document) > most:
            raise TooLarge(f"The document is too large: at most {most:,} bytes can be imported")
        value = _parse_document(document.removeprefix(b"\xef\xbb\xbf"))
    else:
        value = document
    if is_deep(value, MAX_DEPTH):
        raise BadInput(f"The document is nested more than {MAX_DEPTH} levels deep")
    if not isinstance(value, dict):
        raise BadInput("The document must be an object, as in OpenAPI")
    return value


def _parse_document(document: bytes) -> Any:
    try:
        return orjson.loads(document)
    except orjson.JSONDecodeError as error:
        if document.lstrip()[:1] == b"{" and b"\n" not in document:
            raise BadInput(f"The document is not JSON: {error.msg} (column {error.colno})") from None
    try:
        found = yaml_format.parse(document.decode(), several=True)
    except UnicodeDecodeError:
        raise BadInput("The document is not UTF-8 text") from None
    except NodeError as error:
        problem = error.message.removeprefix("data is not YAML: ")
        raise BadInput(f"The document is neither JSON nor YAML: {problem}") from None
    if len(found) > 1:
        raise BadInput("The text contains several YAML documents: import one at a time")
    return found[0] if found else None


def is_deep(value: Any, most: int) -> bool:
    """Return True if the data has more than `most` levels."""
    level = [value]
    for _ in range(most):
        inner = [item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list)]
        level = [child for children in inner for child in children]
        if not level:
            return False
    return True


class Document:
    """A document and the notes on it. Reads return a value of the expected type, or an empty one."""

    def __init__(self, root: dict[str, Any], notes: Notes) -> None:
        self.root, self.notes = root, notes

    def at(self, value: Any, key: str) -> dict[str, Any]:
        """Return the object under this key, with `$ref` resolved; empty if there is none."""
        return self.resolve(value.get(key)) if isinstance(value, dict) else {}

    def each(self, value: Any, key: str) -> Iterator[dict[str, Any]]:
        """Yield the objects of the list under this key, with each `$ref` resolved."""
        for item in read_list(value, key):
            yield self.resolve(item)

    def resolve(self, value: Any) -> dict[str, Any]:
        """Return the object, or the target of its `$ref`. Raises: BadInput if that is outside of the document."""
        for _ in range(MAX_HOPS):
            if not isinstance(value, dict):
                return {}
            ref = value.get("$ref")
            if not isinstance(ref, str):
                return value
            value = self.target(ref)
        self.notes.add("A $ref that refers to itself is ignored")
        return {}

    def target(self, ref: str) -> Any:
        """Return the target of the `$ref` (RFC 6901); an empty object, with a note, if there is none."""
        if len(ref) > MAX_REF:
            self.notes.add(f"A $ref longer than {MAX_REF:,} characters is ignored")
            return {}
        if not ref.startswith("#"):
            raise BadInput(
                f"The $ref {quote_name(ref)} is outside of the document: bundle everything into one file first"
            )
        found: Any = self.root
        for part in ref[1:].split("/")[1:]:
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdecimal() and len(key) < 6 and int(key) < len(found):
                found = found[int(key)]
            else:
                self.notes.add(f"The $ref {quote_name(ref)} has no target, and is ignored")
                return {}
        return found


# Lists are cut, because a list behind a `$ref` may be read again for every operation.
def read_list(value: Any, key: str, most: int = 200) -> list[Any]:
    """Return at most `most` items of the list under this key; empty if there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found[:most] if isinstance(found, list) else []


def read_line(value: Any, key: str, most: int) -> str:
    """Return the text under this key in one line of at most `most` characters; empty if there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, str):
        return ""
    line = " ".join("".join(char if char.isprintable() else " " for char in found[: 4 * most]).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def is_name(value: Any) -> TypeGuard[str]:
    """Return True if the value can be stored as a name: text of 1 to 200 characters, as every operation has a copy."""
    return isinstance(value, str) and 0 < len(value) <= 200


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_small(value: Any, most: int) -> bool:
    """Return True if the value has at most about `most` characters; stops early for a large one."""
    left, stack = most, [value]
    while stack:
        item = stack.pop()
        left -= len(item) + 2 if isinstance(item, str | list | dict) else 4
        if left < 0:
            return False
        if isinstance(item, dict):
            stack += (*item, *item.values())
        elif isinstance(item, list):
            stack += item
    return True


# OpenAPI 3

MAX_PARAMETERS = 100  # of one operation
MAX_URL = 2_000  # characters
VERBS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
# OpenAPI ignores parameters of the first three names; the node sends the others itself.
NO_PARAMETERS = {"accept", "content-type", "authorization", "idempotency-key", *REFUSED_HEADERS}
BODY_TYPES = ("json", "form", "multipart", "text", "file")  # from the most to the least descriptive
EXPECTED = "the document must be OpenAPI 3.0, 3.1, 3.2 or Swagger 2"
HTTP_SCHEMES = {"basic": "http_basic", "bearer": "http_bearer", "digest": "http_digest"}
IN_BRACES = re.compile(r"\{([^{}]+)\}")


class OpenApiOperation(NamedTuple):
    """An operation of a document: its own parts, and those of its path, which apply to it too."""

    path: str
    item: dict[str, Any]
    verb: str
    own: dict[str, Any]

    @property
    def place(self) -> str:
        """Return the method and the path, for notes."""
        return f"{self.verb.upper()} {self.path[:100]}"


class Body(NamedTuple):
    """The body of a request. `content` is the description of the media type; `type` is the node's `body_type`."""

    media: str
    type: str
    content: dict[str, Any]
    required: bool

    @property
    def content_type(self) -> str | None:
        """Return the Content-Type if it is not the one that the node sends by itself."""
        named = re.fullmatch(r"[\w.+-]{1,100}/[\w.+-]{1,100}", self.media, re.ASCII)
        own = self.type in ("form", "multipart") or self.media == "application/json" or not named
        return None if own else self.media


class OpenApi(Document):
    """A document of OpenAPI 3. A server may be relative to `source`, the URL of the document."""

    def __init__(self, root: dict[str, Any], source: str = "") -> None:
        super().__init__(root, Notes())
        self.source = source

    def title(self, most: int) -> str:
        """Return the API's name."""
        return read_line(self.at(self.root, "info"), "title", most) or "API"

    def server(self, holder: dict[str, Any]) -> str | None:
        """Return the first URL with a host, with its variables at their defaults."""
        for server in read_list(holder, "servers", 20):
            url = _fill_in(read_line(server, "url", MAX_URL), self.at(server, "variables"))
            try:
                url = urljoin(self.source, url)
            except ValueError:
                continue
            if len(url) <= MAX_URL and re.fullmatch(r"https?://[^\s/?#{}@\[\]]+(?:/[^\s?#{}]*)?", url):
                return url.rstrip("/")
        return None

    def server_of(self, operation: OpenApiOperation) -> str | None:
        """Return the server of the operation or its path; None if it has that of the document."""
        return self.server(operation.own) or self.server(operation.item)

    def operations(self) -> Iterator[OpenApiOperation]:
        """Yield all operations, with methods that a node may not support."""
        for path, value in self.at(self.root, "paths").items():
            if not path.startswith("x-"):
                item = self.resolve(value)
                for verb, own in islice(item.items(), 100):
                    if verb in VERBS and isinstance(own, dict):
                        yield OpenApiOperation(path, item, verb, own)

    def parameters(self, operation: OpenApiOperation) -> list[dict[str, Any]]:
        """Return the parameters of the operation and of its path, without those that the node sends itself."""
        return [one for one in self._merge_parameters(operation) if _can_be_sent(one)][:MAX_PARAMETERS]

    def _merge_parameters(self, operation: OpenApiOperation) -> list[dict[str, Any]]:
        """Return the parameters of the path and of the operation, which take precedence."""
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for parameter in (*self.each(operation.item, "parameters"), *self.each(operation.own, "parameters")):
            name, place = parameter.get("name"), parameter.get("in")
            if is_name(name) and isinstance(place, str):
                found[place, name] = parameter
        return list(found.values())

    def body(self, operation: OpenApiOperation, order: Sequence[str] = BODY_TYPES) -> Body | None:
        """Return the body in the media type whose `body_type` comes first in the order."""
        body = self._request_body(operation)
        content = self.at(body, "content")
        if not content:
            return None
        kinds = ((media, get_body_type(media)) for media in islice(content, 50))
        media, kind = min(kinds, key=lambda pair: order.index(pair[1]))
        return Body(media, kind, self.resolve(content[media]), body.get("required") is True)

    def _request_body(self, operation: OpenApiOperation) -> dict[str, Any]:
        return self.at(operation.own, "requestBody")

    def success(self, operation: OpenApiOperation) -> tuple[str, dict[str, Any]]:
        """Return the status of a successful response, and its content by media type."""
        responses = self.at(operation.own, "responses")
        by_status = {str(status): response for status, response in responses.items()}
        status = min((status for status in by_status if status.startswith("2")), default="default")
        return status, self._content(operation, self.resolve(by_status.get(status)))

    def _content(self, operation: OpenApiOperation, response: dict[str, Any]) -> dict[str, Any]:
        return self.at(response, "content")

    # Security

    def schemes(self) -> dict[str, Any]:
        """Return the security schemes by name."""
        return self.at(self.at(self.root, "components"), "securitySchemes")

    def requirements(self, holder: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the alternatives of security schemes: each the scopes by name, empty if none is needed."""
        listed = read_list(holder, "security", 20)
        return [dict(islice(one.items(), 20)) for one in listed if isinstance(one, dict)]

    def client_flow(self, scheme: dict[str, Any]) -> dict[str, Any]:
        """Return the OAuth2 flow of a scheme that needs no user; empty if it has none."""
        return self.at(self.at(scheme, "flows"), "clientCredentials")

    def credential_type(self, scheme: dict[str, Any]) -> str | None:
        """Return the type of credential for a scheme, "cookie" for a key in a cookie; None if there is none."""
        type_, key, way = scheme.get("type"), scheme.get("name"), scheme.get("scheme")
        if type_ == "http":
            return HTTP_SCHEMES.get(way.lower()) if is_name(way) else None
        if type_ == "apiKey" and is_name(key):
            place = scheme.get("in")
            if place == "query" or (place in ("header", "cookie") and TOKEN.match(key)):
                return "cookie" if place == "cookie" else f"http_{place}"
            return None
        if type_ == "oauth2" and self.client_flow(scheme):
            return "oauth2_client_credentials"
        if type_ in ("oauth2", "openIdConnect"):
            return "http_bearer"  # a user gets the token
        return "mtls" if type_ == "mutualTLS" else None


def read_document(document: bytes | dict[str, Any], most: int = MAX_BYTES, source: str = "") -> OpenApi:
    """Return a document of at most `most` bytes, JSON or YAML.

    Raises: BadInput if it is not OpenAPI 3 or Swagger 2; TooLarge.
    """
    root = load_document(document, most)
    if str(root.get("swagger", "")).startswith("2"):
        return Swagger(root, source)
    if "openapi" not in root:
        raise BadInput(f'The document has no key "openapi" with a version: {EXPECTED}')
    version = str(root["openapi"])
    if not re.match(r"3\.[012](\.|\Z)", version):
        raise BadInput(f"The version {quote_name(version)} is not supported: {EXPECTED}")
    return OpenApi(root, source)


def _can_be_sent(parameter: dict[str, Any]) -> bool:
    name: str = parameter["name"]
    return parameter["in"] not in ("header", "cookie") or (
        name.lower() not in NO_PARAMETERS and bool(TOKEN.match(name))
    )


def get_schema(parameter: dict[str, Any]) -> Any:
    """Return the schema of a parameter, which may be that of its content."""
    content = parameter.get("content")
    holder = next(iter(content.values()), {}) if isinstance(content, dict) and content else parameter
    return holder.get("schema") if isinstance(holder, dict) else None


def find_in_path(path: str, parameters: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the parameters in a path by name, in its order. A parameter without a description is text."""
    known = {parameter["name"]: parameter for parameter in parameters if parameter["in"] == "path"}
    return {
        name: known.get(name, {"name": name, "in": "path", "schema": {"type": "string"}})
        for name in IN_BRACES.findall(path)
    }


def fill_path(path: str, values: dict[str, str], write: Callable[[str], str] = str) -> str:
    """Return the path with these values in place of its parameters; `write` writes the texts between them."""
    parts = IN_BRACES.split(path)
    parts[0::2] = [write(text.replace(" ", "%20")) for text in parts[0::2]]
    parts[1::2] = [values[name] for name in parts[1::2]]
    return "".join(parts)


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


def find_free(wanted: str, taken: Any, separator: str = "_") -> str:
    """Return the wanted name, with the first number that makes it unique if it is taken."""
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}{separator}{number}"
    return name


def _fill_in(template: str, variables: dict[str, Any]) -> str:
    """Fill in the defaults of the variables; a variable without a default stays."""

    def default(match: re.Match[str]) -> str:
        variable = variables.get(match[1])
        found = variable.get("default") if isinstance(variable, dict) else None
        return str(found) if isinstance(found, str | int | float) else match[0]

    return re.sub(r"\{([^{}]*)\}", default, template)


# Swagger 2

# Keywords that Swagger 2 has in the parameter itself, and OpenAPI 3 in its schema.
IN_SCHEMA = (
    *("type", "format", "items", "enum", "default", "minimum", "maximum", "minLength", "maxLength"),
    *("title", "x-example", "description"),
)
FLOWS = {"accessCode": "authorizationCode", "application": "clientCredentials"}
IN_BODY = ("body", "formData")
FILE = {"type": "string", "format": "binary"}


class Swagger(OpenApi):
    """A document of Swagger 2, whose parts are read in the form of OpenAPI 3."""

    def __init__(self, root: dict[str, Any], source: str = "") -> None:
        super().__init__({**root, "servers": _servers(root)}, source)
        schemes = root.get("securityDefinitions")
        named = schemes if isinstance(schemes, dict) else {}
        self._schemes = {name: _security_scheme(self.resolve(value)) for name, value in named.items()}

    def schemes(self) -> dict[str, Any]:
        """Return the security schemes by name."""
        return self._schemes

    def parameters(self, operation: OpenApiOperation) -> list[dict[str, Any]]:
        """Return the parameters that are not part of the body."""
        return [_with_schema(one) for one in super().parameters(operation) if one["in"] not in IN_BODY]

    def _request_body(self, operation: OpenApiOperation) -> dict[str, Any]:
        parts = [one for one in self._merge_parameters(operation) if one["in"] in IN_BODY]
        consumes = self._media(operation, "consumes")
        for one in parts:
            if one["in"] == "body":
                media = next(iter(consumes), "application/json")
                return {"required": one.get("required") is True, "content": {media: {"schema": one.get("schema")}}}
        is_file = {one["name"]: one.get("type") == "file" for one in parts}
        schema = {
            "type": "object",
            "properties": {
                one["name"]: {**_get_own_schema(one), **(FILE if is_file[one["name"]] else {})} for one in parts
            },
            "required": [one["name"] for one in parts if one.get("required") is True],
        }
        media = MULTIPART if any(is_file.values()) or MULTIPART in consumes else FORM
        return {"required": bool(schema["required"]), "content": {media: {"schema": schema}}} if parts else {}

    def _content(self, operation: OpenApiOperation, response: dict[str, Any]) -> dict[str, Any]:
        schema, produces = response.get("schema"), self._media(operation, "produces") or ["application/json"]
        media = next((kind for kind in produces if "json" in kind), produces[0])
        return {media: {"schema": schema}} if isinstance(schema, dict) else {}

    def _media(self, operation: OpenApiOperation, key: str) -> list[str]:
        listed = read_list(operation.own, key, 20) or read_list(self.root, key, 20)
        return [kind for kind in listed if isinstance(kind, str)]


def _servers(root: dict[str, Any]) -> list[dict[str, str]]:
    host, path = read_line(root, "host", 300), read_line(root, "basePath", 500)
    if not host:
        return [{"url": path}] if path else []
    schemes = read_list(root, "schemes", 10)
    return [{"url": f"{'http' if 'http' in schemes and 'https' not in schemes else 'https'}://{host}{path}"}]


def _security_scheme(scheme: dict[str, Any]) -> dict[str, Any]:
    type_ = scheme.get("type")
    if type_ == "basic":
        return {**scheme, "type": "http", "scheme": "basic"}
    if type_ != "oauth2":
        return scheme
    flow = str(scheme.get("flow"))
    parts = {"tokenUrl": scheme.get("tokenUrl"), "scopes": scheme.get("scopes")}
    return {**scheme, "flows": {FLOWS.get(flow, flow): parts}}


def _with_schema(parameter: dict[str, Any]) -> dict[str, Any]:
    schema = _get_own_schema(parameter)
    if parameter.get("type") != "array":
        return {**parameter, "schema": schema}
    joined = str(parameter.get("collectionFormat", "csv"))
    style = "pipeDelimited" if joined in ("ssv", "tsv", "pipes") else "form"
    return {**parameter, "schema": schema, "style": style, "explode": joined == "multi"}


def _get_own_schema(parameter: dict[str, Any]) -> dict[str, Any]:
    return {key: parameter[key] for key in IN_SCHEMA if key in parameter}
