"""Expressions: their preview while they are edited."""

from __future__ import annotations

from typing import Any

import orjson
from marshmallow import ValidationError, validate, validates_schema

import fields
from api.http.auth import find, get_user, require_role
from api.http.json_io import Resource, get_dispatcher
from api.workflows import make_pins_field, parse_pins, read_definition
from database.queries import runs
from database.queries.runs import RunFilters
from dispatch import PREVIEWS
from errors import BadInput
from fields import Json, Out, Strict, text
from models import Run, Workflow
from schemas import DEFINITION

blueprint = Resource("expressions", "Preview of expressions")


MAX_TEMPLATES = 50
MAX_EACH = 20


class PreviewIn(Strict):
    workflow_id = text(64, required=True)
    node_id = text(64, required=True, help="The node of the templates")
    definition = fields.Raw(
        load_default=None, metadata=DEFINITION, help="The definition being edited; default: the flow's"
    )
    run_id = text(64, load_default=None, help="A run of the flow, whose values are used")
    pinned = make_pins_field("Outputs by node id that replace those recorded by the run")
    template = fields.Raw(allow_none=True, help="Any JSON; expressions in its strings are evaluated")
    templates = fields.List(
        fields.Raw(allow_none=True), validate=validate.Length(1, MAX_TEMPLATES), help="Several templates"
    )

    each = fields.Integer(
        load_default=0,
        strict=True,
        validate=validate.Range(0, MAX_EACH),
        help="Evaluate `template` also for this many items of the node's loop; without a loop, with the data of this "
        "many of the flow's last runs",
    )

    @validates_schema
    def has_one_or_several(self, data: dict[str, Any], **kwargs: Any) -> None:
        """Check that exactly one of the two is given."""
        if ("template" in data) == ("templates" in data):
            raise ValidationError("Give either template or templates", "template")
        if data.get("each") and "template" not in data:
            raise ValidationError("Is for a single template; give template instead of templates", "each")


class PreviewedOut(Out):
    ok = fields.Boolean()
    value = Json(allow_none=True, help="The result; if `truncated`, the beginning of the text or of its JSON")
    error = fields.String(allow_none=True)
    truncated = fields.Boolean()


class EachOut(PreviewedOut):
    index = fields.Integer(allow_none=True, help="The place of the item, from 0; null for a run")
    run_id = fields.String(allow_none=True)


class NamesOut(Out):
    top = fields.List(fields.String())
    steps = fields.List(fields.String(), help="The predecessors of this node, in order")


class PreviewOut(Out):
    items = fields.List(fields.Nested(PreviewedOut), help="One per template, in order")
    each = fields.List(fields.Nested(EachOut), help="As asked for by `each`: items in order, or runs, newest first")
    names = fields.Nested(NamesOut, help="Names for completion")


@blueprint.post("/expressions/preview")
@require_role("editor")
@blueprint.arguments(PreviewIn)
@blueprint.response(200, PreviewOut)
def preview(body: dict[str, Any]) -> Any:
    """Evaluate expressions of a node with the data that a run has recorded. Nothing is executed.

    Expressions see the same names as when the node is executed; with `foreach`, the first item. •••• stands for a
    secret. Without a `run_id`, only `pinned` outputs are available.
    """
    from dispatch.expression_preview import ExpressionContext, Preview

    flow = find(Workflow, body["workflow_id"], "editor", "flow")
    run = None if body["run_id"] is None else find(Run, body["run_id"], "viewer", "run")
    if run is not None and run.workflow_id != flow.id:
        raise BadInput("run_id: is not a run of this flow; choose a run of the flow in workflow_id")
    text = read_definition({"definition": body["definition"]}) if body["definition"] is not None else None
    definition = body["definition"] if text is not None else orjson.loads(flow.definition_json)
    place = ExpressionContext(flow, definition, body["node_id"], text is not None, run, parse_pins(body["pinned"]))
    templates = body["templates"] if "templates" in body else [body["template"]]
    with PREVIEWS.taken(get_user().id):
        made = Preview(get_dispatcher().resources, place)
        if made.raw is None:
            raise BadInput(f"node_id: the definition has no node {body['node_id']!r}")
        items = [value._asdict() for value in made.values(templates)]
        each = []
        if body["each"]:
            newest, _ = runs.select_where(RunFilters(flow.workspace_id, workflow_id=flow.id)).page(body["each"], None)
            each = made.each(templates[0], body["each"], newest)
        shown = [{"index": item.place, "run_id": item.run_id, **item.value._asdict()} for item in each]
        return {"items": items, "each": shown, "names": made.names()}
