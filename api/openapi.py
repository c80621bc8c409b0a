"""Description of the API: the OpenAPI document, with the operation ids and components that the schemas lack.

An operation id is a verb and a resource: `list_runs`, `get_run`, `create_flow`. It is derived from the method and path
unless the route is in IRREGULAR. Generated clients name their functions by it, so it never changes.

`python -m api.openapi` prints the document with all packs, without a server or a database. The browser app's types are
generated from it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from apispec import BasePlugin
from flask import Flask
from flask_smorest import Api, Blueprint
from marshmallow.fields import Field

import api
from api.http import request_origin
from api.webhooks import Slashes
from constants import VERSION
from definition import schema as definition_schema
from registry import registry
from schemas import Error

SETTINGS: dict[str, Any] = {
    "API_TITLE": "Headrace",
    "API_VERSION": VERSION,
    "OPENAPI_VERSION": "3.1.0",
    "API_SPEC_OPTIONS": {
        "info": {"description": "A workflow server that a small team hosts itself."},
        "components": {
            "securitySchemes": {
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": request_origin.COOKIE,
                    "description": f"Over HTTPS it is called {request_origin.SECURE_COOKIE}.",
                },
                "token": {"type": "http", "scheme": "bearer"},
            }
        },
        "security": [{"session": []}, {"token": []}],
    },
}
# The verb for one object; a list has `list` instead of `get`.
ONE = {"get": "get", "put": "update", "patch": "update", "delete": "delete", "post": "create"}
# Path parts that the rest of the API calls by another name.
NAMES = {"workflows": "flows"}
# Routes whose operation id does not follow from the path.
IRREGULAR = {
    "post /api/auth/login": "log_in",
    "get /api/auth/session": "get_session",
    "patch /api/auth/session": "update_session",
    "delete /api/auth/session": "log_out",
    "post /api/members/password": "reset_member_password",
    "post /api/invitations/look": "preview_invitation",
    "get /api/audit": "list_audit_entries",
    "post /api/flows/labels": "label_flows",
    "get /api/files-usage": "get_file_usage",
    "post /api/files-move": "move_file",
    "post /api/files-delete": "delete_files",
    "get /api/store": "list_store_entries",
    "put /api/store/{key}": "update_store_entry",
    "delete /api/store/{key}": "delete_store_entry",
    "put /api/workflows/{flow}/favourite": "mark_favourite",
    "delete /api/workflows/{flow}/favourite": "unmark_favourite",
    "delete /api/workflows/{flow}/publish": "cancel_flow_publish",
    "get /api/runs/{run}/{name}": "get_run_value",
    "get /api/runs/{run}/children": "list_run_children",
    "get /api/runs/{run}/resume": "open_run_question",
    "get /api/dashboard/runs/latest": "list_latest_runs",
    "get /api/logs/{run}": "list_run_logs",
    "get /api/metrics": "get_metrics",
    "get /api/agent/memory": "list_memories",
    "post /api/agent/memory": "create_memory",
    "delete /api/agent/memory": "clear_memories",
    "get /api/agent/memory/{memory}": "get_memory",
    "delete /api/agent/memory/{memory}": "delete_memory",
    "post /api/credentials/test": "test_credential_values",
    "post /api/import/curl": "import_curl",
    "post /api/import/openapi": "import_openapi",
    "delete /api/presets/{source}": "delete_presets",
    **{f"{method} /api/webhooks-test/{{flow}}/{{path}}": f"call_test_webhook_by_{method}" for method in ONE},
    **{f"{method} /api/webhooks/{{path}}": f"call_webhook_by_{method}" for method in ONE},
}


class DescribedApi(Api):
    """flask-smorest with our error body instead of its own."""

    ERROR_SCHEMA = Error


def make_document(blueprints: Sequence[Blueprint]) -> dict[str, Any]:
    """Return the OpenAPI document of the blueprints. It is made on request, since it would slow down every start."""
    app = Flask("description", static_folder=None)
    app.config.update(SETTINGS)
    app.url_map.converters["slashes"] = Slashes
    api = DescribedApi(app, spec_kwargs={"extra_plugins": [OperationIds()]})
    for name, schema in definition_schema.COMPONENTS.items():
        api.spec.components.schema(name, schema)
    api.ma_plugin.converter.add_attribute_function(describe_field)
    for blueprint in blueprints:
        api.register_blueprint(blueprint)
    found: dict[str, Any] = api.spec.to_dict()  # shared with the next call, so it is not changed
    schemas = {name: say_defaults(schema) for name, schema in found["components"]["schemas"].items()}
    return found | {"components": found["components"] | {"schemas": schemas}}


def say_defaults(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object with the defaults of its properties in their descriptions.

    A `default` in a body misleads generators: openapi-typescript makes the property required, and clients of
    openapi-python-client send it. That of a query parameter is harmless: it means the same as its absence.
    """
    if "properties" not in schema:
        return schema
    return schema | {"properties": {name: _say_default(part) for name, part in schema["properties"].items()}}


def _say_default(part: dict[str, Any]) -> dict[str, Any]:
    if "default" not in part:
        return part
    texts = [part["description"]] if "description" in part else []
    texts.append(f"Default: `{json.dumps(part['default'], ensure_ascii=False)}`")
    return {key: value for key, value in part.items() if key != "default"} | {"description": ". ".join(texts)}


def make_operation_id(method: str, path: str) -> str:
    """Return the id of an operation; `method` is in lower case, `path` in OpenAPI's form."""
    named = IRREGULAR.get(f"{method} {path}")
    if named is not None:
        return named
    parts = path.removeprefix("/api/").split("/")
    nouns = [NAMES.get(part, part).replace("-", "_") for part in parts if not part.startswith("{")]
    owners, last = [_make_singular(noun) for noun in nouns[:-1]], nouns[-1]
    if parts[-1].startswith("{"):
        return "_".join([ONE[method], *owners, _make_singular(last)])
    if method == "post" and owners and _make_singular(last) == last:  # an action: /runs/{run}/cancel
        return "_".join([last, *owners])
    is_list = method == "get" and _make_singular(last) != last
    return "_".join(["list", *owners, last] if is_list else [ONE[method], *owners, _make_singular(last)])


def _make_singular(noun: str) -> str:
    return noun[:-1] if noun.endswith("s") else noun


class OperationIds(BasePlugin):
    """apispec plugin that adds operation ids."""

    def operation_helper(self, path: str | None = None, operations: Any = None, **options: Any) -> None:
        for method, operation in (operations or {}).items():
            operation.setdefault("operationId", make_operation_id(method, str(path)))


def describe_field(converter: Any, field: Field[Any], ret: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Change `ret`, the JSON Schema of a field, to a reference to the `component` in its metadata, if any.

    Other objects without properties get `additionalProperties`: code generators would treat them as empty objects.
    A default of null is left out: it means that the field is absent.
    """
    if ret.get("default", ...) is None:
        del ret["default"]
    name = field.metadata.get("component")
    if name is not None:
        reference = {"$ref": definition_schema.REF + name}
        for key in ("type", "additionalProperties"):
            ret.pop(key, None)
        return {"anyOf": [reference, {"type": "null"}]} if field.allow_none else reference
    types = ret.get("type", ())
    if "object" in ([types] if isinstance(types, str) else types) and "properties" not in ret:
        ret.setdefault("additionalProperties", {})
    return {}


def make_text() -> str:
    """Return the OpenAPI document as JSON text, the same for the same code."""
    registry.load()
    return json.dumps(make_document(api.list_blueprints()), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(make_text())
