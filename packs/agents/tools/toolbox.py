"""The toolbox of an agent: its tools by the types in its definition, with the types that come with this pack.

The description and the results of a tool are text for a model. A tool never receives or returns a secret: it uses
credentials internally. Results and running times are limited.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from constants import RUN_STATUSES, WORKFLOW_STATUSES
from errors import LimitExceeded, NodeError
from nodes.base import CATEGORIES, Store
from nodes.core.store import MAX_KEY, MAX_VALUE
from nodes.limits import size_of
from packs.agents.definition import ToolSpec
from packs.agents.runtime.types import PendingResult, Tool
from packs.agents.tools import http
from packs.agents.tools.base import MAX_DESCRIPTION, MAX_NAME, ToolContext, text
from registry import registry

SECONDS, MEMORY_MB, MAX_CODE = 20.0, 128, 50_000


def code_tools(spec: ToolSpec, tool_ctx: ToolContext) -> list[Tool]:
    """Return the tool `run_code`."""
    properties = {
        "code": text("The Python source.", MAX_CODE),
        "input": {"description": "The value of the name input in the code. Default: the input of this task."},
    }
    description = (
        "Run Python in a sandbox without files, network or packages (json, math, re, datetime and a few others are "
        "available). result is the value of the last expression, which must be JSON; printed is the printed text. No "
        f"state is kept between calls. Limits: {SECONDS:g} seconds and {MEMORY_MB} MB."
    )

    def call(arguments: dict[str, Any], key: str) -> Any:
        ctx = tool_ctx.ctx
        if ctx.services is None:
            raise NodeError("the sandbox is not available here", permanent=True)
        printed: list[str] = []
        given, left = {"input": arguments.get("input", tool_ctx.input)}, ctx.seconds_left(SECONDS)
        result = ctx.services.sandbox().run(arguments["code"], given, left, MEMORY_MB, printed.append)
        return {"result": result, "printed": "\n".join(printed)}

    return [tool_ctx.tool("run_code", description, properties, call, required=["code"], repeatable=True)]


# The workspace's store, and the agent's own memory

MAX_LISTED = 100
MAX_EXPIRY = 3_660 * 86_400
SHOWN = ("key", "content", "tags", "updated_at")  # of a memory
MAX_FOUND, MAX_QUERY, MAX_CONTENT, MAX_TAGS = 50, 500, 10_000, 20


def seconds(help: str) -> dict[str, Any]:
    """Return the schema of a time in seconds."""
    return {"type": "number", "minimum": 1, "maximum": MAX_EXPIRY, "description": help}


def store_tools(spec: ToolSpec, tool_ctx: ToolContext) -> list[Tool]:
    """Return the tools `store_get`, `store_list` and, unless the spec is read-only, `store_set`."""

    def place() -> Store:
        if tool_ctx.ctx.store is None:
            raise NodeError("the store is not available here", permanent=True)
        return tool_ctx.ctx.store

    def get(arguments: dict[str, Any], key: str) -> Any:
        return {"key": arguments["key"], "value": place().get(arguments["key"])}

    def list_(arguments: dict[str, Any], key: str) -> Any:
        return {"entries": place().list(arguments.get("prefix", ""), MAX_LISTED)}

    def set_(arguments: dict[str, Any], key: str) -> Any:
        size_of(arguments["value"], "value", MAX_VALUE)
        place().set(arguments["key"], arguments["value"], arguments.get("ttl"))
        return {"key": arguments["key"], "kept": True}

    what = "Read a value of the store shared by all flows of this workspace; null if there is none."
    one = {"key": text("The key.", MAX_KEY)}
    made = [tool_ctx.tool("store_get", what, one, get, required=["key"], repeatable=True)]
    what = f"List the first {MAX_LISTED} keys and values of the store, sorted by key."
    prefix = {"prefix": text("The prefix of the keys.", MAX_KEY, least=0)}
    made.append(tool_ctx.tool("store_list", what, prefix, list_, repeatable=True))
    if spec.options.get("write", True):
        what = "Store a value for later runs, in the store shared by all flows of this workspace."
        properties = {
            "key": text("The key; an existing value is replaced.", MAX_KEY),
            "value": {"description": "The value to store, as JSON."},
            "ttl": seconds("Seconds until the value is deleted. Default: never."),
        }
        made.append(tool_ctx.tool("store_set", what, properties, set_, required=["key", "value"], repeatable=True))
    return made


def memory_tools(spec: ToolSpec, tool_ctx: ToolContext) -> list[Tool]:
    """Return the tools `memory_search` and `memory_write`."""

    def search(arguments: dict[str, Any], key: str) -> Any:
        found = tool_ctx.agents.memory.search(
            tool_ctx.agent_id, arguments["query"], session=tool_ctx.session, limit=arguments.get("limit", 10)
        )
        return {"found": [{key: entry[key] for key in SHOWN if key in entry} for entry in found]}

    def write(arguments: dict[str, Any], key: str) -> Any:
        tags, expires_in = tuple(arguments.get("tags", ())), arguments.get("expires_in")
        entry = tool_ctx.agents.memory.write(
            tool_ctx.agent_id, arguments["key"], arguments["content"], tool_ctx.session, tags, expires_in
        )
        return {"key": entry["key"], "kept": True}

    what = "Search your memories from before: those with these words, best matches first."
    limit = {"type": "integer", "minimum": 1, "maximum": MAX_FOUND, "description": "Maximum number. Default: 10."}
    properties = {"query": text("Words to search for.", MAX_QUERY), "limit": limit}
    made = [tool_ctx.tool("memory_search", what, properties, search, required=["query"], repeatable=True)]
    what = "Remember something for later: a fact, a decision, a preference. Do not put passwords or keys there."
    tag = {"type": "string", "minLength": 1, "maxLength": 100}
    properties = {
        "key": text("A short name, such as user/language; an existing memory of this name is replaced.", MAX_KEY),
        "content": text("The text to remember.", MAX_CONTENT),
        "tags": {"type": "array", "items": tag, "maxItems": MAX_TAGS, "description": "Additional words to find it by."},
        "expires_in": seconds("Seconds until the memory is deleted. Default: never."),
    }
    return [*made, tool_ctx.tool("memory_write", what, properties, write, required=["key", "content"], repeatable=True)]


# Flows of the workspace that can be called: one tool runs each of them

FLOWS = "flows"  # key in the listings


def flow_tools(spec: ToolSpec, tool_ctx: ToolContext) -> list[Tool]:
    """Return a tool for each callable flow, or for those in `workflows`."""
    if tool_ctx.ctx.flows is None:
        raise NodeError("the tool run_flow: flows cannot be run here", permanent=True)
    wanted = spec.options.get("workflows")
    if FLOWS not in tool_ctx.listings:
        listed = [
            {
                "name": flow.name,
                "title": flow.title,
                "description": flow.description[:MAX_DESCRIPTION],
                "input_schema": flow.input_schema,
                "workflow_id": flow.workflow_id,
                "wrapped": flow.wrapped,
            }
            for flow in tool_ctx.agents.callable_flows()
        ]
        if wanted is not None:
            by_id = {flow["workflow_id"]: flow for flow in listed}
            missing = [id_ for id_ in wanted if id_ not in by_id]
            if missing:
                raise NodeError(f"the tool run_flow: {missing[0]!r} is not an active flow with a called trigger", True)
            listed = [by_id[id_] for id_ in wanted]
        tool_ctx.listings[FLOWS] = listed
    return [_flow_tool(flow, tool_ctx) for flow in tool_ctx.listings[FLOWS]]


def _flow_tool(flow: Mapping[str, Any], tool_ctx: ToolContext) -> Tool:
    title = flow["title"]

    def call(arguments: dict[str, Any], key: str) -> PendingResult:
        flows = tool_ctx.ctx.flows
        if flows is None:
            raise NodeError("flows cannot be run here", permanent=True)
        if all(known.workflow_id != flow["workflow_id"] for known in tool_ctx.agents.callable_flows()):
            raise NodeError(f"the flow {title!r} cannot be called any more: it was deactivated or deleted", True)
        given = arguments["input"] if flow["wrapped"] else arguments
        run_id = flows.start(tool_ctx.ctx.node_id, flow["workflow_id"], given, True)
        return PendingResult(f"the run {run_id} of {title}", run_id)

    def resume(ended: dict[str, Any]) -> Any:
        if ended["status"] != "success":
            text = f"the run {ended['run_id']} of {title} failed: {ended['error_text']}"
            raise NodeError(text, kind=ended["error_kind"])
        return ended["output"]

    description = f"Run the flow {title!r} and wait for its output. {flow['description']}".strip()
    # The run is committed together with the waiting step, so it never starts twice.
    return tool_ctx.foreign_tool(flow["name"], description, flow["input_schema"], call, repeatable=True, resume=resume)


# Inspection of a workspace by agents and MCP clients: its flows, its runs and the node types

MAX_SHOWN = 40_000  # characters: runs and flows are limited where they are read, and half a JSON text is useless


def _status(*names: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(names), "description": "Only this status"}


FLOW_ID = text("The id of a flow: wf_…", 64)
RUN_ID = text("The id of a run: run_…", 64)
LIMIT = {"type": "integer", "minimum": 1, "maximum": 100, "description": "Maximum number; 20 by default"}
CURSOR = text("next_cursor of the page before", 500, least=0)
AFTER = {"type": "integer", "minimum": 0, "description": "more_after of the previous page of steps"}
DEFINITION = {"type": "object", "description": "{nodes: [{id, type, config}], edges: [[from, to]]}"}


class View(NamedTuple):
    """A tool that only reads: the method with its name of `WorkspaceView`, and the JSON Schemas of its arguments."""

    name: str
    title: str
    description: str
    properties: Mapping[str, Any]
    required: tuple[str, ...] = ()


RUN_VIEWS = (
    View(
        "list_runs",
        "List runs",
        "Lists the workspace's runs, newest first: status, times, and why they failed.",
        {
            "status": _status(*RUN_STATUSES),
            "workflow_id": {**FLOW_ID, "description": "Only runs of this flow: wf_…"},
            "limit": LIMIT,
            "cursor": CURSOR,
        },
    ),
    View(
        "get_run",
        "Get a run",
        "Returns a run with its input, output and steps: each node's output or error. Long values are cut with a note.",
        {"run_id": RUN_ID, "after": AFTER},
        ("run_id",),
    ),
    View(
        "get_run_log",
        "Get the log of a run",
        "Returns the log entries of a run's nodes, oldest first.",
        {"run_id": RUN_ID, "cursor": CURSOR},
        ("run_id",),
    ),
)
FLOW_VIEWS = (
    View(
        "list_flows",
        "List flows",
        "Lists the workspace's flows, newest first: id, name, status and version.",
        {
            "search": text("Part of the name", 200, least=0),
            "status": _status(*WORKFLOW_STATUSES),
            "limit": LIMIT,
            "cursor": CURSOR,
        },
    ),
    View(
        "get_flow",
        "Get a flow",
        "Returns a flow with its definition: nodes with their config, edges, settings.",
        {"workflow_id": FLOW_ID},
        ("workflow_id",),
    ),
    View(
        "search_nodes",
        "Search node types",
        "Finds node types for building a flow by words that describe them.",
        {
            "query": text("Words, such as: send an email", 200, least=0),
            "category": {"type": "string", "enum": list(CATEGORIES), "description": "Only this category"},
        },
    ),
    View(
        "describe_node",
        "Describe a node type",
        "Returns the JSON Schema of a node type's config, its branches and examples.",
        {"type": text("The type, such as: http", 64)},
        ("type",),
    ),
    View(
        "validate_flow",
        "Check a definition",
        "Lists the issues of a flow's definition, with their places. Nothing is stored.",
        {"definition": DEFINITION},
        ("definition",),
    ),
)


def run_views(spec: ToolSpec, tool_ctx: ToolContext) -> list[Tool]:
    """Return the tools `list_runs`, `get_run` and `get_run_log`."""
    return [_view_tool(view, tool_ctx) for view in RUN_VIEWS]


def flow_views(spec: ToolSpec, tool_ctx: ToolContext) -> list[Tool]:
    """Return the tools `list_flows`, `get_flow`, `search_nodes`, `describe_node` and `validate_flow`."""
    return [_view_tool(view, tool_ctx) for view in FLOW_VIEWS]


def _view_tool(view: View, tool_ctx: ToolContext) -> Tool:
    ask: Callable[..., Any] = getattr(tool_ctx.agents.workspace_view, view.name)
    return tool_ctx.tool(
        view.name,
        view.description,
        view.properties,
        lambda arguments, key: ask(**arguments),
        required=view.required,
        repeatable=True,
        most=MAX_SHOWN,
    )


# The tools of an agent

Family: TypeAlias = Callable[[ToolSpec, ToolContext], list[Tool]]
FAMILIES: dict[str, Family] = {
    "http": http.tools,
    "code": code_tools,
    "store": store_tools,
    "memory": memory_tools,
    "run_flow": flow_tools,
    "runs": run_views,
    "flows": flow_views,
}
NAME = re.compile(rf"[a-zA-Z0-9_-]{{1,{MAX_NAME}}}\Z")
# Limit of the language models' APIs.
MAX_TOOLS = 128


def build(specs: Sequence[ToolSpec], tool_ctx: ToolContext) -> dict[str, Tool]:
    """Return the tools of these specs by name, in their order. Raises: NodeError naming a tool that is not possible."""
    found: dict[str, Tool] = {}
    family_of: dict[str, str] = {}
    for spec in specs:
        family = FAMILIES.get(spec.type)
        if family is None and spec.type in registry.agent_tools:
            family = pkgutil.resolve_name(registry.agent_tools[spec.type])  # a pack's, imported at its first use
        if family is None:
            known = ", ".join([*FAMILIES, *registry.agent_tools])
            raise NodeError(f"there is no tool of the type {spec.type[:50]!r}; known types: {known}", permanent=True)
        for tool in _set_approval(spec, family(spec, tool_ctx), tool_ctx.aliases):
            if not NAME.match(tool.name):
                raise NodeError(f"the tool {spec.type}: {tool.name[:100]!r} is not a valid tool name", permanent=True)
            if tool.name in found:
                families = f"one of {family_of[tool.name]} and one of {spec.type}"
                raise NodeError(f"two tools are named {tool.name}: {families}", permanent=True)
            found[tool.name], family_of[tool.name] = tool, spec.type
    if len(found) > MAX_TOOLS:
        raise LimitExceeded(f"the agent has {len(found)} tools; the limit is {MAX_TOOLS}")
    return found


def _set_approval(spec: ToolSpec, made: Sequence[Tool], aliases: Mapping[str, str]) -> list[Tool]:
    """Return the tools with `approval` set on those that need it."""
    if isinstance(spec.approval, bool):
        return [tool._replace(approval=spec.approval) for tool in made]
    names = {tool.name for tool in made}
    wanted = {name: name if name in names else aliases.get(name, "") for name in spec.approval}
    unknown = [name for name, meant in wanted.items() if meant not in names]
    if unknown:
        there = ", ".join(sorted(names))[:500] or "none"
        raise NodeError(f"approval: {spec.type} has no tool {unknown[0][:100]!r}; known tools: {there}", permanent=True)
    return [tool._replace(approval=tool.name in wanted.values()) for tool in made]
