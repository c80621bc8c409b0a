"""Conversion of marshmallow schemas to JSON Schema, for the forms of the catalog."""

from __future__ import annotations

from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema


def json_schema(schema: Schema) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the data that the schema loads, with the metadata of its fields."""
    plugin = MarshmallowPlugin(schema_name_resolver=lambda schema: "")
    APISpec(title="", version="", openapi_version="3.1.0", plugins=[plugin])
    assert plugin.converter is not None
    made = plugin.converter.schema2jsonschema(schema)
    return {"type": "object", "properties": {}, **made, "additionalProperties": False}
