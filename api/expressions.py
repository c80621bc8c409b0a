"""Expressions, for who writes them."""

from __future__ import annotations

from typing import Any

import orjson
from flask import current_app

from api.access import find, needs, who
from api.preview_schemas import PreviewIn, PreviewOut
from api.run_schemas import pins_of
from api.wire import Resource
from api.workflows import given_definition
from dispatch import PREVIEWS, Place, Preview
from errors import BadInput
from models import Run, Workflow

blueprint = Resource("expressions", "Expressions, to be tried out")


@blueprint.post("/expressions/preview")
@needs("editor")
@blueprint.arguments(PreviewIn)
@blueprint.response(200, PreviewOut)
def preview(body: dict[str, Any]) -> Any:
    """What expressions in a node would come to, against what a run has recorded. Nothing is executed.

    They see what they would when the node is executed: of a node that has `foreach`, the first item. Where a secret
    would stand, there is ••••, whatever is done with it. Without a `run_id` there is what is `pinned`, and no more.
    """
    flow = find(Workflow, body["workflow_id"], "editor", "flow")
    run = None if body["run_id"] is None else find(Run, body["run_id"], "viewer", "run")
    if run is not None and run.workflow_id != flow.id:
        raise BadInput("run_id: is no run of this flow")
    text = given_definition({"definition": body["definition"]}) if body["definition"] is not None else None
    definition = body["definition"] if text is not None else orjson.loads(flow.definition_json)
    place = Place(flow, definition, body["node_id"], text is not None, run, pins_of(body["pinned"]))
    templates = body["templates"] if "templates" in body else [body["template"]]
    with PREVIEWS.taken(who().id):
        made = Preview(current_app.extensions["headrace"].dispatcher, place)
        if not made.has_node:
            raise BadInput(f"node_id: the definition has no node {body['node_id']!r}")
        return {"items": [value._asdict() for value in made.values(templates)], "names": made.names()}
