"""What agents and MCP clients get of a workspace: a view of its flows and runs, the flows that they can call, services.

The view only reads. Its results are JSON data, limited in size because a language model reads them; cut values are
marked. Raises: NotFound for an id that is not in the workspace, BadInput for a parameter that is not valid.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

import definition as definitions
import nodes
from constants import RUN_STATUSES, WORKFLOW_STATUSES
from database.queries import credentials, logs, runs, steps, workflows
from database.queries.runs import RunFilters
from definition.messages import suggest
from dispatch.lease import ProcessLease
from dispatch.payloads import Kept
from dispatch.process_limits import CHECKS
from dispatch.references import warnings_of
from dispatch.resources import Resources
from dispatch.run_record import AnyRecord
from dispatch.subflows import trigger_of
from errors import BadInput, DefinitionError, NodeError, NotFound
from fields import iso
from models import Run, Step, Workflow
from nodes.base import REGISTRY
from nodes.credentials.keyring import Keyring
from nodes.limits import size_of
from packs.agents import agent_runs
from packs.agents.agent_memory import WorkspaceMemory
from packs.agents.agent_runs import AgentRunJournal
from packs.agents.agent_store import find_agent
from packs.agents.definition import AgentDefinition
from packs.agents.model_choice import Models, find_credential

ROWS, MAX_ROWS = 20, 100  # of a list
# Characters of a text, of a value as JSON, of the outputs of all steps of a run, of a definition.
MAX_TEXT, MAX_VALUE, MAX_OUTPUTS, MAX_DEFINITION = 2_000, 4_000, 60_000, 60_000
MIN_VALUE = 300  # characters of an output, however many steps there are
MAX_STEPS, MAX_NODES, MAX_ISSUES, MAX_ENTRIES = 100, 20, 100, 200
# Columns shown of each row.
FLOW = ("id", "name", "status", "version", "created_at", "updated_at")
RUN = (
    "id", "workflow_id", "workflow_name", "workflow_version", "status", "triggered_by", "waiting", "cancelled",
    "progress", "error_text", "error_node_id", "parent_run_id", "retry_of", "created_at", "started_at", "finished_at",
    "duration_ms",
)  # fmt: skip
STEP = (
    "node_id", "node_type", "node_name", "status", "attempt", "branch", "same_as", "error_text", "started_at",
    "finished_at", "duration_ms",
)  # fmt: skip


class WorkspaceView:
    """Read-only view of one workspace; `resources` has the plans and payload files of the process."""

    def __init__(self, workspace_id: str, resources: Resources) -> None:
        self.workspace_id, self.resources = workspace_id, resources

    # Flows

    def list_flows(
        self, search: str = "", status: str | None = None, limit: int = ROWS, cursor: str | None = None
    ) -> dict[str, Any]:
        """Return `{"flows": […], "next_cursor"}`, newest first, filtered by a part of the name and by status."""
        _check_one_of("status", status, WORKFLOW_STATUSES)
        query = workflows.select_where(self.workspace_id, status, search or None)
        rows, more = query.page(_limit(limit), cursor)
        return {"flows": [_show(row, FLOW) for row in rows], "next_cursor": more}

    def get_flow(self, workflow_id: str) -> dict[str, Any]:
        """Return the flow with its `definition`."""
        flow = self.flow(workflow_id)
        return {**_show(flow, FLOW), "definition": _value(flow.definition_json, MAX_DEFINITION)}

    def flow(self, workflow_id: str) -> Workflow:
        """Return the workspace's flow with this id."""
        flow = Workflow.find(workflow_id)
        if flow is None or flow.workspace_id != self.workspace_id:
            raise NotFound(f"There is no flow {workflow_id[:64]!r}")
        return flow

    def validate_flow(self, definition: Any) -> dict[str, Any]:
        """Return `{"ok", "issues": [{"level", "node_id", "path", "message"}]}`, like POST /api/workflows/validate."""
        config = self.resources.config
        try:
            size_of([definition], "definition", config.max_definition_bytes)
        except NodeError as error:
            raise BadInput(error.message) from None
        with CHECKS.taken(self.workspace_id):
            plan, issues = definitions.check(definition, config.max_nodes)
            found = [*issues, *warnings_of(definition, self.workspace_id, self.resources.find_credential)]
        told: dict[str, Any] = {
            "ok": plan is not None,
            "issues": [{**issue.as_dict(), "message": cut(issue.message)} for issue in found[:MAX_ISSUES]],
        }
        if len(found) > MAX_ISSUES:
            told["more_issues"] = len(found) - MAX_ISSUES
        return told

    # Runs

    def list_runs(
        self, status: str | None = None, workflow_id: str | None = None, limit: int = ROWS, cursor: str | None = None
    ) -> dict[str, Any]:
        """Return `{"runs": […], "next_cursor"}`, newest first, without inputs and outputs."""
        _check_one_of("status", status, RUN_STATUSES)
        filters = RunFilters(self.workspace_id, None if status is None else [status], workflow_id)
        rows, more = runs.select_where(filters).page(_limit(limit), cursor)
        return {"runs": [_show(row, RUN) for row in rows], "next_cursor": more}

    def get_run(self, run_id: str, after: int = -1) -> dict[str, Any]:
        """Return the run with `input`, `output` and the `steps` after number `after`; pass `more_after` for the next.

        The step that failed the run is always included. The input of a step is the outputs of the nodes in `input_of`.
        """
        run = self.run(run_id)
        rows, more = steps.of(run.id, MAX_STEPS, after)
        if (final := steps.ending(run.id)) is not None and final.seq not in {row.seq for row in rows}:
            rows.append(final)
        most = max(MIN_VALUE, min(MAX_VALUE, MAX_OUTPUTS // max(1, len(rows))))
        told = {
            **_show(run, RUN),
            "input": self.value(run.id, "input", Kept(run.input, run.input_bytes)),
            "output": self.value(run.id, "output", Kept(run.output, run.output_bytes)),
            "steps": [self._step(row, most) for row in rows],
        }
        return told if more is None else {**told, "more_after": more}

    def _step(self, row: Step, most: int) -> dict[str, Any]:
        told: dict[str, Any] = {"number": row.seq, **_show(row, STEP)}
        if row.inputs:
            told["input_of"] = orjson.loads(row.inputs)
        if row.item_index is not None:
            told |= {"index": row.item_index, "item": _value(row.item, most)}
        if steps.has_output(row):
            told["output"] = self.value(row.run_id, f"step_{row.seq}", Kept(row.output, row.output_bytes), most)
        return told

    def get_run_log(self, run_id: str, cursor: str | None = None) -> dict[str, Any]:
        """Return `{"entries": […], "next_cursor"}`, oldest first: level, message, node_id, data, created_at of each."""
        rows, more = logs.of(self.run(run_id).id, MAX_ENTRIES, cursor)
        entries = [
            _show(row, ("level", "message", "node_id", "created_at"))
            | ({} if row.data is None else {"data": _value(row.data, MIN_VALUE)})
            for row in rows
        ]
        return {"entries": entries, "next_cursor": more}

    def run(self, run_id: str) -> Run:
        """Return the workspace's run with this id."""
        run = Run.find(run_id)
        if run is None or run.workspace_id != self.workspace_id:
            raise NotFound(f"There is no run {run_id[:64]!r}")
        return run

    def value(self, run_id: str, name: str, kept: Kept, most: int = MAX_VALUE) -> Any:
        """Return a recorded value, or `{"$cut": {"bytes", "start"}}` with its start if it is larger than `most`."""
        if kept.size is None:
            return _value(kept.text, most)
        start = self.resources.payloads.beginning(run_id, name, most)
        return {"$cut": {"bytes": kept.size, "start": start.decode(errors="ignore")}}

    # Node types

    def search_nodes(self, query: str = "", category: str = "") -> dict[str, Any]:
        """Return `{"nodes": [{"type", "name", "category", "description"}]}` by these words, best match first.

        Without words, all nodes of the category. `more_nodes` is the number of nodes left out.
        """
        words = set(query[:MAX_TEXT].lower().split())
        # Shorter words are in every description.
        words = {word for word in words if len(word) > 2} or words
        found = []
        for entry in nodes.search("", category):
            named = f"{entry['type']} {entry['name']}".lower()
            described = f"{entry['category']} {entry['description']}".lower()
            # Words in the type or name count twice.
            matches = sum(2 * (word in named) + (word in described) for word in words)
            if matches or not words:
                found.append((entry, matches))
        best = sorted(found, key=lambda pair: -pair[1])
        shown = ("type", "name", "category", "description")
        most = MAX_NODES if words else MAX_ROWS
        told: dict[str, Any] = {"nodes": [{key: entry[key] for key in shown} for entry, _ in best[:most]]}
        return told | {"more_nodes": len(best) - most} if len(best) > most else told

    def describe_node(self, type: str) -> dict[str, Any]:
        """Return the catalog entry of a node type: `config_schema`, branches, examples and more.

        Of a connector, it has a `config_schema` for each operation.
        """
        found = nodes.describe(type)
        if found is None:
            raise NotFound(f"There is no node type {type[:64]!r}{suggest(type, REGISTRY)}")
        return found


def _show(row: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Return these columns of the row for display, without those that are None or False."""
    found = {name: runs.progress(row) if name == "progress" else getattr(row, name) for name in names}
    return {name: _format(name, value) for name, value in found.items() if value is not None and value is not False}


def _format(name: str, value: Any) -> Any:
    """Return a time as text, a duration in whole milliseconds, and a text at most MAX_TEXT long."""
    if name.endswith("_at"):
        return iso(value)
    if name.endswith("_ms"):
        return round(value)
    return cut(value) if isinstance(value, str) else value


def cut(text: str, most: int = MAX_TEXT) -> str:
    """Return the text, or its start with a note of its length if it is longer than `most`."""
    return text if len(text) <= most else f"{text[:most]}… (cut: {len(text):,} characters)"


def _value(text: str | None, most: int) -> Any:
    """Return JSON text as data, or its start if it is longer than `most`."""
    if text is None or len(text) <= most:
        return None if text is None else orjson.loads(text)
    return {"$cut": {"bytes": len(text.encode()), "start": text[:most]}}


def _check_one_of(name: str, value: str | None, known: tuple[str, ...]) -> None:
    if value is not None and value not in known:
        raise BadInput(f"{name}: must be one of {', '.join(known)}")


def _limit(limit: int) -> int:
    if not 1 <= limit <= MAX_ROWS:
        raise BadInput(f"limit: must be from 1 to {MAX_ROWS}")
    return limit


# Callable workflows: active flows with a `called` trigger that is not disabled. The caller checks roles, and starts the
# run.

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
        plain = unicodedata.normalize("NFKD", title.casefold()).encode("ascii", "ignore").decode()
        slug = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
        # The title alone if no older flow has that name, else with the end of the flow's id.
        most, end = MAX_NAME - len("flow_"), id_[-6:].lower()
        names = [slug[:most].strip("_"), f"{slug[: most - 7].strip('_')}_{end}".strip("_"), id_.lower()]
        name = next(f"flow_{name}" for name in names if name and f"flow_{name}" not in taken)
        taken.add(name)
        if status == "active":
            yield name, id_, title, version


def _tool(resources: Resources, name: str, id_: str, title: str, version: int) -> CallableFlow | None:
    """Return the flow as a tool; None if it has no enabled `called` trigger, was deleted, or is no longer valid."""

    def read_definition() -> str:
        flow = Workflow.find(id_)
        if flow is None:
            raise NotFound(f"There is no flow {id_!r}")
        return str(flow.definition_json)

    try:
        plan = resources.plans.get(id_, version, read_definition)
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
    moved: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "$ref" and base and isinstance(value, str) and LOCAL.match(value):
            moved[key] = base + value[1:]
        elif key in MAPS and isinstance(value, Mapping):
            moved[key] = {name: _move(part, base) for name, part in value.items()}
        elif key != HEADER:
            moved[key] = value if key in DATA else _move(value, base)
    return moved


# The services of a run (`Context.agents`)


class AgentServices:
    """Access of the agents in one run to its workspace and the server's settings."""

    def __init__(self, resources: Resources, lease: ProcessLease, record: AnyRecord, keyring: Keyring) -> None:
        self._resources, self._lease, self._record = resources, lease, record
        self._keyring, self._workspace_id = keyring, record.run.workspace_id
        self.workspace_view = WorkspaceView(self._workspace_id, resources)

    @cached_property
    def memory(self) -> WorkspaceMemory:
        """Return the memory of the workspace's agents."""
        return WorkspaceMemory(self._workspace_id, self._keyring.clean, self._resources.config.memory_entries)

    @cached_property
    def models(self) -> Models:
        """Return the settings of language models."""
        return Models.of(self._resources.config)

    def definition(self, agent_id: str) -> AgentDefinition | None:
        """Return the workspace's or the built-in agent with this id, or None."""
        return find_agent(self._workspace_id, agent_id)

    def find_model_credential(self, name: str | None) -> str | None:
        """Return the name of the credential for a model without a named one; None: the server's settings."""
        return find_credential(self.models, name, lambda: credentials.names_of(self._workspace_id, "llm"))

    def record(self, node_id: str, index: int | None) -> AgentRunJournal:
        """Return the journal of the agent in this node, for this item."""
        return AgentRunJournal(self._record, self._lease, node_id, index)

    def conversation(self, agent_id: str, session: str, most: int) -> list[tuple[str, str]]:
        """Return the last tasks of the session with their answers as text, oldest first."""
        found = agent_runs.conversation(self._workspace_id, agent_id, session, most)
        turns = [(task, orjson.loads(output)) for task, output in found]
        return [
            (task, str(out["text"]) if "text" in out else orjson.dumps(out["data"]).decode()) for task, out in turns
        ]

    def callable_flows(self) -> list[CallableFlow]:
        """Return the workspace's active flows that other flows can call."""
        return callable_flows(self._workspace_id, self._resources)
