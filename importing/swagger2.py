"""Swagger 2 documents in the form of OpenAPI 3: servers, security schemes, and parameters with schemas and bodies."""

from __future__ import annotations

from typing import Any

from constants import FORM, MULTIPART
from importing.json_document import Document, read_line, read_list

SCHEMES = ("https", "http")
VERBS = ("get", "put", "post", "delete", "options", "head", "patch")
# Keywords that Swagger 2 has in the parameter itself, and OpenAPI 3 in its schema.
IN_SCHEMA = (
    *("type", "format", "items", "enum", "default", "minimum", "maximum", "minLength", "maxLength"),
    *("title", "x-example", "description"),
)
FLOWS = {"accessCode": "authorizationCode", "application": "clientCredentials"}


def is_swagger(root: dict[str, Any]) -> bool:
    """Return True if the document is Swagger 2."""
    return str(root.get("swagger", "")).startswith("2")


def to_openapi3(document: Document) -> dict[str, Any]:
    """Return the document as OpenAPI 3. Its references stay valid, because every part of the original stays too."""
    root = document.root
    schemes = root.get("securityDefinitions")
    named = schemes if isinstance(schemes, dict) else {}
    made = {name: _security_scheme(document.resolve(value)) for name, value in named.items()}
    paths = document.at(root, "paths")
    return {
        **root,
        "openapi": "3.0.0",
        "servers": _servers(root),
        "components": {"securitySchemes": made},
        "paths": {path: _item(document, document.resolve(value)) for path, value in paths.items()},
    }


def _servers(root: dict[str, Any]) -> list[dict[str, str]]:
    host, path = read_line(root, "host", 300), read_line(root, "basePath", 500)
    if not host:
        return [{"url": path}] if path else []
    given = [scheme for scheme in SCHEMES if scheme in read_list(root, "schemes", 10)]
    return [{"url": f"{given[0] if given else 'https'}://{host}{path}"}]


def _security_scheme(scheme: dict[str, Any]) -> dict[str, Any]:
    type_ = scheme.get("type")
    if type_ == "basic":
        return {**scheme, "type": "http", "scheme": "basic"}
    if type_ != "oauth2":
        return scheme
    flow = str(scheme.get("flow"))
    told = {"tokenUrl": scheme.get("tokenUrl"), "scopes": scheme.get("scopes")}
    return {**scheme, "flows": {FLOWS.get(flow, flow): told}}


def _item(document: Document, item: dict[str, Any]) -> dict[str, Any]:
    shared = list(document.each(item, "parameters"))
    verbs = {
        verb: _operation(document, shared, operation)
        for verb, operation in item.items()
        if verb in VERBS and isinstance(operation, dict)
    }
    return {**verbs, "parameters": []}


def _operation(document: Document, shared: list[dict[str, Any]], operation: dict[str, Any]) -> dict[str, Any]:
    own = list(document.each(operation, "parameters"))
    replaced = {(one.get("in"), one.get("name")) for one in own}
    parameters = [one for one in shared if (one.get("in"), one.get("name")) not in replaced] + own
    consumes = read_list(operation, "consumes", 20) or read_list(document.root, "consumes", 20)
    made = {
        **operation,
        "parameters": [_parameter(one) for one in parameters if one.get("in") not in ("body", "formData")],
    }
    if body := _body(parameters, consumes):
        made["requestBody"] = body
    produces = read_list(operation, "produces", 20) or read_list(document.root, "produces", 20) or ["application/json"]
    made["responses"] = {
        status: _response(document.resolve(answer), produces)
        for status, answer in document.at(operation, "responses").items()
    }
    return made


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    schema = {key: parameter[key] for key in IN_SCHEMA if key in parameter}
    if parameter.get("type") != "array":
        return {**parameter, "schema": schema}
    joined = str(parameter.get("collectionFormat", "csv"))
    style = "pipeDelimited" if joined in ("ssv", "tsv", "pipes") else "form"
    return {**parameter, "schema": schema, "style": style, "explode": joined == "multi"}


def _body(parameters: list[dict[str, Any]], consumes: list[Any]) -> dict[str, Any] | None:
    for one in parameters:
        if one.get("in") == "body":
            media = next((kind for kind in consumes if isinstance(kind, str)), "application/json")
            return {"required": one.get("required") is True, "content": {media: {"schema": one.get("schema")}}}
    fields = {str(one.get("name")): one for one in parameters if one.get("in") == "formData"}
    if not fields:
        return None
    files = any(one.get("type") == "file" for one in fields.values())
    media = MULTIPART if files or MULTIPART in consumes else FORM
    schema = {
        "type": "object",
        "properties": {name: _field(one) for name, one in fields.items()},
        "required": [name for name, one in fields.items() if one.get("required") is True],
    }
    return {"required": bool(schema["required"]), "content": {media: {"schema": schema}}}


def _field(parameter: dict[str, Any]) -> dict[str, Any]:
    schema = {key: parameter[key] for key in IN_SCHEMA if key in parameter}
    return {**schema, "type": "string", "format": "binary"} if parameter.get("type") == "file" else schema


def _response(answer: dict[str, Any], produces: list[Any]) -> dict[str, Any]:
    schema = answer.get("schema")
    if not isinstance(schema, dict):
        return answer
    media = next((kind for kind in produces if isinstance(kind, str) and "json" in kind), str(produces[0]))
    return {**answer, "content": {media: {"schema": schema}}}
