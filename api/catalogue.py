"""Catalog of building blocks: node types and templates."""

from __future__ import annotations

import pkgutil
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import orjson

import fields
import nodes as node_types
from api.audit import record_change
from api.http.auth import get_user, get_workspace_id, require_role
from api.http.caching import cache_response
from api.http.json_io import Resource, get_server
from api.http.paging import Cursor, PageArgs, SliceArgs, listed, slice_of
from database.queries import workflows
from definition.schema import MAX_DESCRIPTION
from dispatch.references import warned
from errors import NotFound, Unavailable
from fields import Items, Out, Strict, text
from nodes import plugins
from nodes.base import REGISTRY
from registry import registry
from schemas import DEFINITION, MarkOut, SavedOut, ServiceOut

# The templates that come with the server, each a file named after its id, are read at first use and shared: copy them
# before changing them.
FOLDER = Path(__file__).parents[1] / "templates_data"


@cache
def read_templates() -> tuple[dict[str, Any], ...]:
    """Return the templates whose nodes this server has, by category and name.

    Each has `id`, `name`, `description`, `category`, `tags`, `credentials` (`{"name", "type", "for"}` each), `needs`,
    `sample_input`, `definition`, `choose` (settings by node), and `expected_output`, where `…` stands for any text.
    `trial` defines a test against local servers (tests/support/stage.py). If these are down, none may end in the bare
    error of its HTTP node.
    """
    found = [{"needs": [], **orjson.loads(path.read_bytes())} for path in FOLDER.glob("*.json")]
    found += [template for name in registry.templates for template in pkgutil.resolve_name(name)()]
    if registry.off:
        found = [one for one in found if all(REGISTRY.get(node["type"]) for node in one["definition"]["nodes"])]
    return tuple(sorted(found, key=lambda template: (template["category"], template["name"])))


def find_template(id_: str) -> dict[str, Any] | None:
    """Return the template with this id, or None."""
    return next((template for template in read_templates() if template["id"] == id_), None)


blueprint = Resource("catalogue", "Node types and templates to build with")


class OperationNameOut(Out):
    id = fields.String()
    name = fields.String()
    group = fields.String()
    also = fields.List(fields.String(), help="Other search words")


class NodeOut(Out):
    type = fields.String()
    name = fields.String()
    also = fields.List(fields.String(), help="Other search words")
    icon = fields.String(help="The name of a Tabler icon; empty: its category's icon")
    category = fields.String()
    description = fields.String()
    branches = fields.List(fields.String())
    trigger = fields.Boolean()
    collects = fields.Boolean(help="True if the node may have `debounce`")
    pure = fields.Boolean()
    own = fields.Boolean()
    config_schema = fields.Dict()
    examples = fields.List(fields.Dict())
    extra = fields.String(allow_none=True)
    install = fields.String(allow_none=True)
    mark = fields.Nested(MarkOut, allow_none=True, help="Of a connector, in place of an icon")
    service = fields.Nested(ServiceOut, allow_none=True, help="Of a connector or its trigger: the service")
    operations = fields.List(
        fields.Nested(OperationNameOut), allow_none=True, help="The operations of a connector; null for other types"
    )


class BrokenOut(Out):
    file = fields.String()
    reason = fields.String()


class CategoryOut(Out):
    category = fields.String()
    name = fields.String()
    icon = fields.String()


class NodesOut(Out):
    items = Items(fields.Nested(NodeOut))
    next_cursor = Cursor(allow_none=True, optional=True)
    categories = Items(fields.Nested(CategoryOut), help="In order")
    broken = Items(fields.Nested(BrokenOut))


class NodeArgs(SliceArgs):
    search = text(200, 0, is_stored=False, load_default="")
    category = text(50, 0, load_default="")


class NeededOut(Out):
    name = fields.String(help="Its name in the flow")
    type = fields.String()
    purpose = fields.String(data_key="for", attribute="for")


class TemplateOut(Out):
    id = fields.String()
    name = fields.String()
    description = fields.String()
    category = fields.String()
    tags = fields.List(fields.String())
    credentials = fields.List(fields.Nested(NeededOut))
    needs = fields.List(fields.String(), help="Requirements, such as internet", optional=True)
    choose = fields.Dict(help="The settings that every user chooses, by node", optional=True)
    sample_input = fields.Raw(allow_none=True)
    expected_output = fields.Raw(allow_none=True, optional=True)
    definition = fields.Raw(metadata=DEFINITION)


class UseIn(Strict):
    name = text(200)


class NoAgentArgs(PageArgs):
    agent_id = text(64, load_default=None)
    session = text(200, 0, load_default=None)
    search = text(200, 0, is_stored=False, load_default=None)


class NoAgentOut(Out):
    """An agent, a run or a memory of one: there are none."""


@blueprint.get("/nodes")
@require_role("viewer")
@cache_response
@blueprint.arguments(NodeArgs, location="query")
@blueprint.response(200, NodesOut)
def list_nodes(args: dict[str, Any]) -> Any:
    """List the node types. `config_schema` is their config's JSON Schema; `own` marks types of HEADRACE_NODES_DIR.

    `broken` lists files of that folder, and of HEADRACE_CONNECTORS_DIR, that could not be loaded at the start. A
    connector's `config_schema` has the settings that its operations share; GET `/api/connectors/{type}` shows the rest.
    """
    found = node_types.search(args["search"], args["category"])
    broken = [*plugins.BROKEN, *(file for finder in registry.node_finders for file in finder.list_broken())]
    return {**slice_of(found, args), "categories": node_types.categories(), "broken": broken}


@blueprint.get("/templates")
@require_role("viewer")
@cache_response
@blueprint.arguments(SliceArgs, location="query")
@blueprint.response(200, listed(TemplateOut))
def list_templates(args: dict[str, Any]) -> Any:
    """List the official templates."""
    return slice_of(read_templates(), args)


@blueprint.post("/templates/<name>/use")
@require_role("editor")
@blueprint.arguments(UseIn, required=False)
@blueprint.response(201, SavedOut)
def use(body: dict[str, str], name: str) -> Any:
    """Create a draft flow from a template. Its settings name the template, and have its description."""
    template = find_template(name)
    if template is None:
        raise NotFound(f"There is no template {name[:64]!r}")
    known = {"description": template["description"][:MAX_DESCRIPTION], "template": template["id"]}
    settings = {**known, **(template["definition"].get("settings") or {})}
    text = orjson.dumps({**template["definition"], "settings": settings}).decode()
    values = {"workspace_id": get_workspace_id(), "name": body.get("name", template["name"]), "status": "draft"}
    with record_change("flow.created") as entry:
        flow = workflows.draft(get_user().id, definition_json=text, **values)
        entry.about(flow).note(status="draft", template=template["id"])
    return warned(flow, get_server().credentials.find)


# The resources of agents while their pack is off: the lists are empty, and nothing can be run or remembered.

no_agents = Resource("no_agents", "Agents, whose pack is off")


@no_agents.get("/agents")
@no_agents.get("/agent/logs")
@no_agents.get("/agent/memory")
@require_role("viewer")
@no_agents.arguments(NoAgentArgs, location="query")
@no_agents.response(200, listed(NoAgentOut))
def list_nothing(args: dict[str, Any]) -> Any:
    """Answer an empty list."""
    return {"items": [], "next_cursor": None}


@no_agents.post("/agent/run")
@no_agents.post("/agent/memory")
@require_role("operator")
def refuse() -> NoReturn:
    """Answer 503."""
    raise Unavailable("This server has no agents: HEADRACE_PACKS leaves out the pack agents")
