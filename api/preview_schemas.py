"""The shapes of previews of expressions on the wire (see schemas.py)."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from api.run_schemas import pins
from schema_fields import Json, Out, Strict, text
from schemas import DEFINITION

MOST_TEMPLATES = 50


class PreviewIn(Strict):
    workflow_id = text(64, required=True)
    node_id = text(64, required=True, metadata={"description": "The node in which the templates stand"})
    definition = fields.Raw(
        load_default=None,
        allow_none=True,
        metadata={**DEFINITION, "description": "The definition as it is being edited; else the flow's"},
    )
    run_id = text(
        64, load_default=None, allow_none=True, metadata={"description": "A run of the flow, whose values are taken"}
    )
    pinned = pins("By node id, what is taken for the outputs of nodes, in place of what the run recorded")
    template = fields.Raw(allow_none=True, metadata={"description": "Any JSON; expressions in its texts are evaluated"})
    templates = fields.List(
        fields.Raw(allow_none=True),
        validate=validate.Length(1, MOST_TEMPLATES),
        metadata={"description": "Several of them"},
    )

    @validates_schema
    def has_one_or_several(self, data: dict[str, Any], **kwargs: Any) -> None:
        """Either of the two."""
        if ("template" in data) == ("templates" in data):
            raise ValidationError("must be given, or templates; not both", "template")


class PreviewedOut(Out):
    ok = fields.Boolean(required=True)
    value = Json(
        required=True,
        allow_none=True,
        metadata={"description": "What it comes to; of a `truncated` one the beginning of the text, or of its JSON"},
    )
    error = fields.String(required=True, allow_none=True)
    truncated = fields.Boolean(required=True)


class NamesOut(Out):
    top = fields.List(fields.String(), required=True)
    steps = fields.List(
        fields.String(), required=True, metadata={"description": "The nodes that lead to this one, in their order"}
    )


class PreviewOut(Out):
    items = fields.List(
        fields.Nested(PreviewedOut), required=True, metadata={"description": "One for each template, in their order"}
    )
    names = fields.Nested(NamesOut, required=True, metadata={"description": "What to offer while one writes"})
