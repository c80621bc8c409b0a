"""Catalog of building blocks: node types and templates."""

from __future__ import annotations

from typing import Any

import orjson
from marshmallow import fields

import nodes as node_types
import templates as files
from api.audit import record_change
from api.http.auth import get_user, get_workspace_id, require_role
from api.http.caching import cache_response
from api.http.json_io import Resource
from dispatch.references import warned
from errors import NotFound
from models import Workflow
from nodes import plugins
from schema_fields import Cursor, Items, Out, Strict, text
from schemas import DEFINITION, SavedOut, SliceArgs, listed, slice_of

blueprint = Resource("catalogue", "Node types and templates to build with")


class NodeOut(Out):
    type = fields.String(required=True)
    name = fields.String(required=True)
    also = fields.List(fields.String(), required=True, metadata={"description": "Other search words"})
    icon = fields.String(
        required=True, metadata={"description": "The name of a Tabler icon; empty: its category's icon"}
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
    categories = Items(fields.Nested(CategoryOut), required=True, metadata={"description": "In order"})
    broken = Items(fields.Nested(BrokenOut), required=True)


class NodeArgs(SliceArgs):
    search = text(200, 0, is_kept=False, load_default="")
    category = text(50, 0, load_default="")


class NeededOut(Out):
    name = fields.String(required=True, metadata={"description": "Its name in the flow"})
    type = fields.String(required=True)
    purpose = fields.String(required=True, data_key="for", attribute="for")


class TemplateOut(Out):
    id = fields.String(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True)
    category = fields.String(required=True)
    tags = fields.List(fields.String(), required=True)
    credentials = fields.List(fields.Nested(NeededOut), required=True)
    needs = fields.List(fields.String(), metadata={"description": "Requirements, such as internet"})
    sample_input = fields.Raw(required=True, allow_none=True)
    expected_output = fields.Raw(allow_none=True)
    definition = fields.Raw(required=True, metadata=DEFINITION)


class UseIn(Strict):
    name = text(200)


@blueprint.get("/nodes")
@require_role("viewer")
@cache_response
@blueprint.arguments(NodeArgs, location="query")
@blueprint.response(200, NodesOut)
def list_nodes(args: dict[str, Any]) -> Any:
    """List the node types. `config_schema` is their config's JSON Schema; `own` marks types of HEADRACE_NODES_DIR.

    `broken` lists files of that folder that could not be loaded at the start.
    """
    found = node_types.search(args["search"], args["category"])
    broken = [broken._asdict() for broken in plugins.BROKEN]
    return {**slice_of(found, args), "categories": node_types.categories(), "broken": broken}


@blueprint.get("/templates")
@require_role("viewer")
@cache_response
@blueprint.arguments(SliceArgs, location="query")
@blueprint.response(200, listed(TemplateOut))
def list_templates(args: dict[str, Any]) -> Any:
    """List the official templates."""
    return slice_of(files.list_templates(), args)


@blueprint.post("/templates/<name>/use")
@require_role("editor")
@blueprint.arguments(UseIn, required=False)
@blueprint.response(201, SavedOut)
def use(body: dict[str, str], name: str) -> Any:
    """Create a draft flow from a template."""
    template = files.find_template(name)
    if template is None:
        raise NotFound(f"There is no template {name[:64]!r}")
    text = orjson.dumps(template["definition"]).decode()
    title = body.get("name", template["name"])
    values = {"workspace_id": get_workspace_id(), "name": title, "status": "draft"}
    with record_change("flow.created") as entry:
        flow = Workflow.draft(get_user().id, definition_json=text, **values)
        entry.about(flow).note(status="draft", template=template["id"])
    return warned(flow)
