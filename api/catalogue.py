"""What there is to build with: node types and templates."""

from __future__ import annotations

from typing import Any

import orjson

import nodes as node_types
import templates as files
from api.access import needs, who, workspace_id
from api.audit import audited
from api.catalogue_schemas import NodeArgs, NodesOut, TemplateOut, UseIn
from api.kept import kept
from api.wire import Resource
from dispatch.references import warned
from errors import NotFound
from models import Workflow
from nodes import plugins
from schemas import SavedOut, SliceArgs, listed, slice_of

blueprint = Resource("catalogue", "Node types and templates to build with")


@blueprint.get("/nodes")
@needs("viewer")
@kept
@blueprint.arguments(NodeArgs, location="query")
@blueprint.response(200, NodesOut)
def nodes(args: dict[str, Any]) -> Any:
    """The node types; `config_schema` is the JSON Schema of their config, `own` marks those of HEADRACE_NODES_DIR.

    `broken` are the files of that folder which could not be loaded at the start.
    """
    found = node_types.search(args["search"], args["category"])
    broken = [broken._asdict() for broken in plugins.BROKEN]
    return {**slice_of(found, args), "categories": node_types.categories(), "broken": broken}


@blueprint.get("/templates")
@needs("viewer")
@kept
@blueprint.arguments(SliceArgs, location="query")
@blueprint.response(200, listed(TemplateOut))
def templates(args: dict[str, Any]) -> Any:
    """The official templates."""
    return slice_of(files.all_templates(), args)


@blueprint.post("/templates/<name>/use")
@needs("editor")
@blueprint.arguments(UseIn, required=False)
@blueprint.response(201, SavedOut)
def use(body: dict[str, str], name: str) -> Any:
    """Make a draft flow of a template."""
    template = files.find_template(name)
    if template is None:
        raise NotFound(f"There is no template {name[:64]!r}")
    text = orjson.dumps(template["definition"]).decode()
    title = body.get("name", template["name"])
    values = {"workspace_id": workspace_id(), "name": title, "status": "draft"}
    with audited("flow.created") as entry:
        flow = Workflow.draft(who().id, definition_json=text, **values)
        entry.about(flow).note(status="draft", template=template["id"])
    return warned(flow)
