"""Callable workflows: tools for agents and MCP clients. Active flows with a `called` trigger that is not disabled.

Only data lives here: the caller checks roles and starts the run.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from database.queries import workflows
from dispatch.resources import Resources
from dispatch.subflows import trigger_of
from errors import DefinitionError, NodeError, NotFound
from models import Workflow

MAX_FLOWS = 1_000
# Clients put the server's name before the tool's, and some models accept at most 64 characters for both.
MAX_NAME = 48
MAX_DESCRIPTION, MAX_SCHEMA = 1_000, 20_000  # characters; bytes of JSON
# Keywords of JSON Schema whose value maps names to schemas, and keywords whose value is data, not a schema.
MAPS = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
DATA = {"const", "enum", "default", "examples"}
# This keyword would make a client repeat an argument in an HTTP header, visible to proxies.
HEADER = "x-mcp-header"
LOCAL = re.compile(r"#(/|\Z)")  # a reference to a part of the same schema
ANYTHING: dict[str, Any] = {"type": "object"}


@dataclass(frozen=True, slots=True)
class CallableFlow:
    """A flow as a tool. `name` is unique in the workspace, and consists of a-z, 0-9 and `_`.

    `input_schema` is the JSON Schema of the tool's arguments, always an object. If `wrapped`, the flow's input is the
    argument `input`, since the flow may accept other types than objects.
    """

    name: str
    title: str
    description: str
    input_schema: dict[str, Any]
    workflow_id: str
    trigger_node: str
    wrapped: bool = False

    def input_of(self, arguments: Mapping[str, Any]) -> Any:
        """Return the flow's input, not validated. Raises: NodeError if wrapped arguments have other keys."""
        if self.wrapped and set(arguments) != {"input"}:
            raise NodeError("the arguments must be an object with the key input, and no other", permanent=True)
        return arguments["input"] if self.wrapped else dict(arguments)


def callable_flows(workspace_id: str, resources: Resources) -> list[CallableFlow]:
    """Return the callable flows among the workspace's MAX_FLOWS oldest with a `called` trigger, oldest first."""
    tools = (_tool(resources, *flow) for flow in _active(workspace_id))
    return [tool for tool in tools if tool is not None]


def callable_flow(workspace_id: str, resources: Resources, name: str) -> CallableFlow | None:
    """Return the callable flow with this name, or None. Cheaper than `callable_flows`: only one plan is made."""
    flow = next((flow for flow in _active(workspace_id) if flow[0] == name), None)
    return None if flow is None else _tool(resources, *flow)


def _active(workspace_id: str) -> Iterator[tuple[str, str, str, int]]:
    """Yield the tool name, id, name and version of each active flow that may be callable."""
    taken: set[str] = set()
    # Inactive flows keep their names: clients remember a name, so it must not pass to another flow.
    for id_, title, status, version in workflows.find_mentioning(workspace_id, '"called"', MAX_FLOWS):
        name = _make_name(id_, title, taken)
        taken.add(name)
        if status == "active":
            yield name, id_, title, version


def _make_name(id_: str, title: str, taken: set[str]) -> str:
    """Return a unique name: from the title alone if no older flow has that name, else with the end of the flow's id."""
    plain = unicodedata.normalize("NFKD", title.casefold()).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    most, end = MAX_NAME - len("flow_"), id_[-6:].lower()
    names = [slug[:most].strip("_"), f"{slug[: most - 7].strip('_')}_{end}".strip("_"), id_.lower()]
    return next(f"flow_{name}" for name in names if name and f"flow_{name}" not in taken)


def _tool(resources: Resources, name: str, id_: str, title: str, version: int) -> CallableFlow | None:
    """Return the flow as a tool; None if it has no enabled `called` trigger, was deleted, or is no longer valid."""
    try:
        plan = resources.plans.get(id_, version, lambda: _read_definition(id_))
    except (DefinitionError, NotFound):
        return None
    trigger = trigger_of(plan, "called")
    if trigger is None:
        return None
    config = plan.by_id[trigger].config.static
    takes: Mapping[str, Any] | None = config.get("input_schema")
    schema, wrapped = arguments_schema(takes)
    described = config.get("description") or (takes or {}).get("description") or f"Runs the workflow {title!r}."
    if len(orjson.dumps(schema)) > MAX_SCHEMA:
        schema = _wrap({}) if wrapped else ANYTHING
        described = f"{described} (The schema of its input is too large to be shown here.)"
    return CallableFlow(name, title, described[:MAX_DESCRIPTION], schema, id_, trigger, wrapped)


def _read_definition(id_: str) -> str:
    flow = Workflow.find(id_)
    if flow is None:
        raise NotFound(f"There is no flow {id_!r}")
    return str(flow.definition_json)


def arguments_schema(takes: Mapping[str, Any] | None) -> tuple[dict[str, Any], bool]:
    """Return the JSON Schema of a tool's arguments, and whether they wrap the flow's input in the key `input`."""
    if not takes:
        return ANYTHING, False
    if takes.get("type") == "object" or ("type" not in takes and {"properties", "required"} & takes.keys()):
        return {**_move(takes, ""), "type": "object"}, False
    inner = _move(takes, "" if "$id" in takes else "#/properties/input")
    dialect = {"$schema": inner.pop("$schema")} if "$schema" in inner else {}
    return {**dialect, **_wrap(inner)}, True


def _wrap(inner: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"input": inner}, "required": ["input"], "additionalProperties": False}


def _move(schema: Any, base: str) -> Any:
    """Return the schema without HEADER, moved to the path `base` (empty: not moved): local references are adapted."""
    if isinstance(schema, list):
        return [_move(part, base) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {key: _move_part(key, value, base) for key, value in schema.items() if key != HEADER}


def _move_part(key: str, value: Any, base: str) -> Any:
    if key in MAPS and isinstance(value, Mapping):
        return {name: _move(part, base) for name, part in value.items()}
    if key == "$ref" and base and isinstance(value, str) and LOCAL.match(value):
        return base + value[1:]
    return value if key in DATA else _move(value, base)
