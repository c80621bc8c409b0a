"""The shapes of imports and presets on the wire (see schemas.py)."""

from __future__ import annotations

from marshmallow import fields

from schema_fields import Items, Json, Out, Strict, Time, text
from schemas import PageArgs


class CurlIn(Strict):
    command = text(200_000, required=True)


class SuggestionOut(Out):
    """A credential to make: with the values that `sources` names put into `data`, POST /api/credentials takes it."""

    name = fields.String(required=True)
    type = fields.String(required=True)
    data = fields.Dict(required=True)
    sources = fields.Dict(required=True, metadata={"description": "Where the values stand that are not in `data`"})
    hosts = fields.List(fields.String(), required=True, allow_none=True)


class ImportedOut(Out):
    node = fields.Dict(required=True)
    credentials = fields.List(fields.Nested(SuggestionOut), required=True)
    notes = fields.List(fields.String(), required=True)


class DocumentIn(Strict):
    document = fields.Raw(
        required=True,
        metadata={"type": ["string", "object"], "description": "OpenAPI 3, as an object, or as text: JSON or YAML"},
    )


class PresetArgs(PageArgs):
    search = text(200, 0, is_kept=False, load_default=None)
    source = text(64, load_default=None)


class PresetOut(Out):
    id = fields.String(required=True)
    source = fields.String(required=True)
    title = fields.String(required=True)
    key = fields.String(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True)
    tags = Json(required=True)
    node = Json(required=True, attribute="node_json", metadata={"type": "object"})
    parameters = Json(required=True, attribute="parameters_json", metadata={"type": "object"})
    credential_type = fields.String(required=True, allow_none=True)
    created_at = Time(required=True)


class PaletteOut(Out):
    source = fields.String(required=True)
    title = fields.String(required=True)
    server = fields.String(required=True, allow_none=True)
    count = fields.Integer(required=True)
    credentials = fields.List(fields.Nested(SuggestionOut), required=True)
    notes = fields.List(fields.String(), required=True)
    presets = Items(fields.Nested(PresetOut), required=True)
