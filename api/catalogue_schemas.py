"""The shapes of node types and templates (see schemas.py)."""

from __future__ import annotations

from marshmallow import fields

from schema_fields import Cursor, Items, Out, Strict, text
from schemas import DEFINITION, SliceArgs


class NodeOut(Out):
    type = fields.String(required=True)
    name = fields.String(required=True)
    also = fields.List(
        fields.String(), required=True, metadata={"description": "Other words by which people look for it"}
    )
    icon = fields.String(
        required=True, metadata={"description": "The name of a Tabler icon; empty: that of its category"}
    )
    category = fields.String(required=True)
    description = fields.String(required=True)
    branches = fields.List(fields.String(), required=True)
    trigger = fields.Boolean(required=True)
    pure = fields.Boolean(required=True)
    own = fields.Boolean(required=True)
    config_schema = fields.Dict(required=True)
    examples = fields.List(fields.Dict(), required=True)
    extra = fields.String(required=True, allow_none=True)
    install = fields.String(required=True, allow_none=True)


class BrokenOut(Out):
    file = fields.String(required=True)
    reason = fields.String(required=True)


class CategoryOut(Out):
    category = fields.String(required=True)
    name = fields.String(required=True)
    icon = fields.String(required=True)


class NodesOut(Out):
    items = Items(fields.Nested(NodeOut), required=True)
    next_cursor = Cursor(allow_none=True)
    categories = Items(fields.Nested(CategoryOut), required=True, metadata={"description": "In their order"})
    broken = Items(fields.Nested(BrokenOut), required=True)


class NodeArgs(SliceArgs):
    search = text(200, 0, is_kept=False, load_default="")
    category = text(50, 0, load_default="")


class NeededOut(Out):
    name = fields.String(required=True, metadata={"description": "The name by which the flow knows it"})
    type = fields.String(required=True)
    purpose = fields.String(required=True, data_key="for", attribute="for")


class TemplateOut(Out):
    id = fields.String(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True)
    category = fields.String(required=True)
    tags = fields.List(fields.String(), required=True)
    credentials = fields.List(fields.Nested(NeededOut), required=True)
    needs = fields.List(fields.String(), metadata={"description": "What it cannot do without, such as internet"})
    sample_input = fields.Raw(required=True, allow_none=True)
    expected_output = fields.Raw(allow_none=True)
    definition = fields.Raw(required=True, metadata=DEFINITION)


class UseIn(Strict):
    name = text(200)
