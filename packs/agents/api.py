"""The API of agents: their definitions, runs and memories."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import orjson
from marshmallow import INCLUDE
from marshmallow.validate import Length, Range

import fields
from api.audit import defer_entry, defer_start_entry, record_change
from api.http.auth import get_user, get_workspace_id, has_role, must_redact_links, require_role
from api.http.json_io import Resource, check_depth, get_config, get_dispatcher, get_server, to_bad_input
from api.http.paging import Cursor, PageArgs, listed
from constants import CHANGED
from database.base import now_ms
from database.queries.audit import differences
from definition import Use
from dispatch import Start
from errors import BadInput, Conflict, Forbidden, Issue, NotFound
from fields import PRECISE, Json, Milliseconds, Out, Resendable, Shape, Strict, Time, Whole, choice, text
from models import Agent, AgentMemory, AgentRun, AgentStep, Run, Wait
from packs.agents import agent_memory, agent_runs, agent_store
from packs.agents import definition as definitions
from packs.agents.agent_memory import MemoryName, MemoryScope
from packs.agents.agent_runs import AgentTask, agent_run_id, check, explain_no_model
from packs.agents.agent_store import find_agent, find_built_in, list_built_in
from packs.agents.model_choice import Models
from schemas import CheckIn, CheckOut, Detail
from security.credentials import check_uses

blueprint = Resource("agents", "Agent definitions")
MAX_ISSUES = 100


READ_ONLY = {"builtin", "created_at", "needs_credentials", "updated_at", "warnings"}
TEXTS = {"type": "array", "items": {"type": "string"}, "maxItems": definitions.MAX_LISTED}
TYPES = {"type": "string", "enum": list(definitions.KINDS)}
TOOL = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": TYPES,
        "approval": {
            "oneOf": [{"type": "boolean"}, TEXTS],
            "description": "Require approval of each call (true), or of calls of the listed tools",
        },
        "credential": {"type": "string", "description": "http, sql, mcp: the name of a credential"},
        "hosts": {
            **TEXTS,
            "description": "http: allowed hosts, `*.example.com` for subdomains; default: all that nodes may reach",
        },
        "methods": {
            "type": "array",
            "items": {"enum": list(definitions.HTTP_METHODS)},
            "description": "http: allowed methods; default: GET",
        },
        "write": {"type": "boolean", "description": "store: allow setting values"},
        "workflows": {**TEXTS, "description": "run_flow: ids of the allowed flows; default: all callable flows"},
        "tools": {**TEXTS, "description": "mcp: allowed tools of the server; default: all"},
    },
}
LIMITS = {
    "type": "object",
    "properties": {
        "steps": {
            "type": "integer",
            "minimum": 1,
            "maximum": definitions.MAX_STEPS,
            "description": "Requests to the model",
        },
        "tokens": {
            "type": "integer",
            "minimum": 1,
            "maximum": definitions.MAX_TOKENS,
            "description": "Input and output tokens together",
        },
        "seconds": {"type": "number", "minimum": 1, "maximum": definitions.MAX_SECONDS},
        "cost": {"type": ["number", "null"], "maximum": definitions.MAX_COST, "description": "US dollars"},
    },
}
APPROVAL = {
    "type": "object",
    "properties": {
        "notify": {
            "type": ["string", "null"],
            "description": "The service_url credential for messages with approval links",
        },
        "timeout": {
            "type": ["number", "null"],
            "minimum": 1,
            "maximum": definitions.MAX_WAIT,
            "description": "Seconds",
        },
    },
}


def _describe_field(type_: str, max_length: int = 0, help: str = "", required: bool = False) -> fields.Raw:
    """Return a field that is described here but validated elsewhere. null means not set, unless it is required."""
    shape = {"type": type_, "maxLength": max_length} if max_length else {"type": type_}
    return fields.Raw(required=required, allow_none=not required, metadata=shape, help=help)


class AgentIn(Resendable):
    """The definition of an agent."""

    class Meta:
        unknown = INCLUDE  # the definition's own validation suggests the likely key
        description = "An agent's definition. Unknown keys are refused."

    read_only = READ_ONLY
    id = _describe_field("string", definitions.MAX_ID, "a-z, 0-9 and single dashes; default: derived from the name")
    name = _describe_field("string", definitions.MAX_NAME, required=True)
    description = _describe_field("string", definitions.MAX_DESCRIPTION)
    instructions = _describe_field("string", definitions.MAX_INSTRUCTIONS, required=True)
    model = _describe_field("string", definitions.MAX_NAME, "provider:name; null: the server's default")
    credential = _describe_field("string", definitions.MAX_NAME, "The name of an llm credential")
    tools = fields.Raw(
        allow_none=True,
        metadata={"type": "array", "items": {"oneOf": [TYPES, TOOL]}, "maxItems": definitions.MAX_TOOLS},
    )
    memory = _describe_field("boolean", help="Add relevant memories to its tasks")
    output_schema = _describe_field("object", help="The JSON Schema of an object; null: the answer is text")
    limits = fields.Raw(allow_none=True, metadata=LIMITS)
    approval = fields.Raw(allow_none=True, metadata=APPROVAL)


class AgentChange(AgentIn):
    """The whole new definition of an agent."""

    read_only = READ_ONLY - {"updated_at"}
    updated_at = Time(load_default=None, help="The `updated_at` that the change is based on; null: any")


class NameCursor(Cursor):
    """Cursor of a list of agents: the last id of the previous page."""

    pattern = definitions.ID


class AgentArgs(PageArgs):
    cursor = NameCursor(load_default=None)


class AgentOut(Out):
    id = fields.String()
    name = fields.String()
    description = fields.String()
    instructions = fields.String()
    model = fields.String(allow_none=True)
    credential = fields.String(allow_none=True)
    tools = fields.List(fields.Dict())
    memory = fields.Boolean()
    output_schema = fields.Dict(allow_none=True)
    limits = fields.Dict()
    approval = fields.Dict(allow_none=True)
    builtin = fields.Boolean(help="True if it is built in")
    needs_credentials = fields.List(
        fields.String(), help="Types of its tools that need a credential named with the task"
    )
    created_at = Time(allow_none=True)
    updated_at = Time(allow_none=True)


NO_MODEL = fields.String(allow_none=True, help="Why agents that name no model cannot work; null: they can")


class SavedAgentOut(AgentOut):
    """An agent that was just saved."""

    warnings = fields.List(fields.Nested(Detail), help="Warnings, such as a missing credential", optional=True)


@blueprint.get("/agents")
@require_role("viewer")
@blueprint.arguments(AgentArgs, location="query")
@blueprint.response(200, listed(AgentOut, no_model=NO_MODEL))
def list_agents(args: dict[str, Any]) -> Any:
    """List the agents by id: built-in ones (`builtin`) and the workspace's own."""
    limit, after = args["limit"], args["cursor"] or ""
    found = {agent["id"]: _show_built_in(agent) for agent in list_built_in() if agent["id"] > after}
    found |= {row.id: _show_own(row) for row in agent_store.of(get_workspace_id(), after, limit + 1)}
    ids = sorted(found)
    return {
        "items": [found[id_] for id_ in ids[:limit]],
        "next_cursor": ids[limit - 1] if len(ids) > limit else None,
        "no_model": explain_no_model(get_workspace_id(), Models.of(get_config())),
    }


@blueprint.post("/agents")
@require_role("editor")
@blueprint.arguments(AgentIn)
@blueprint.response(201, SavedAgentOut)
def create(body: dict[str, Any]) -> Any:
    """Create an agent. The default `id` is derived from its name; 409 if that id exists."""
    agent = _parse(body)
    if find_built_in(agent.id) is not None:
        raise Conflict(f"id: the agent {agent.id!r} is built in; choose another id")
    with record_change("agent.created") as entry:
        entry.target("agent", agent.id, agent.name)
        row = agent_store.keep(get_workspace_id(), agent.id, agent.name, _to_text(agent))
    return _show_saved(row, agent)


@blueprint.post("/agents/validate")
@require_role("viewer")
@blueprint.arguments(CheckIn)
@blueprint.response(200, CheckOut)
def validate(body: dict[str, Any]) -> Any:
    """List the errors of an agent's definition; a `warning` does not prevent saving. Nothing is saved."""
    agent, issues = definitions.check(_add_id(body["definition"]))
    found = issues if agent is None else _find_warnings(agent, get_workspace_id())
    return {"ok": agent is not None, "issues": [issue.as_dict() for issue in found[:MAX_ISSUES]]}


@blueprint.get("/agents/<name>")
@require_role("viewer")
@blueprint.response(200, AgentOut)
def read(name: str) -> Any:
    """Show an agent by its id."""
    row, built_in = agent_store.named(get_workspace_id(), name), find_built_in(name)
    if row is not None:
        return _show_own(row)
    if built_in is None:
        raise NotFound(f"There is no agent {name[:64]!r}")
    return _show_built_in(built_in)


@blueprint.put("/agents/<name>")
@require_role("editor")
@blueprint.arguments(AgentChange)
@blueprint.response(200, SavedAgentOut)
def change(body: dict[str, Any], name: str) -> Any:
    """Replace the definition of one of the workspace's own agents. An old `updated_at` is refused.

    Started runs continue with the definition that they began with.
    """
    row, expected = _find_changeable(name, "changed"), body.pop("updated_at")
    if body.get("id") is None:
        body["id"] = name
    agent = _parse(body)
    if agent.id != name:
        raise BadInput(f"id: must be {name!r}, since an agent's id cannot be changed; POST it to create another agent")
    before, after = orjson.loads(row.definition), orjson.loads(_to_text(agent))
    shown = {name: differences(before, {name: after.get(name)}) for name in ("name", "model")}
    changed = [name for name, value in after.items() if value != before.get(name) and name not in shown]
    with record_change("agent.updated") as entry:
        entry.target("agent", row.id, row.name)
        entry.note(**shown["name"], **shown["model"], **dict.fromkeys(changed, CHANGED))
        if not agent_store.change(row, agent.name, _to_text(agent), expected):
            raise Conflict("updated_at: the agent has changed since; read it again and repeat your change")
    return _show_saved(row, agent)


@blueprint.delete("/agents/<name>")
@require_role("editor")
@blueprint.response(204)
def delete(name: str) -> None:
    """Delete one of the workspace's own agents. Its runs and its memory are kept.

    Flows still name it: their runs fail at that node until an agent of that id exists again.
    """
    row = _find_changeable(name, "deleted")
    with record_change("agent.deleted") as entry:
        entry.target("agent", row.id, row.name)
        if not row.remove():
            raise NotFound(f"There is no agent {name[:64]!r}")


def _find_changeable(name: str, done: str) -> Agent:
    row = agent_store.named(get_workspace_id(), name)
    if row is not None:
        return row
    if find_built_in(name) is None:
        raise NotFound(f"There is no agent {name[:64]!r}")
    raise Conflict(f"The agent {name!r} is built in and cannot be {done}; POST it under another id to make your own")


def _add_id(definition: Any) -> Any:
    """Return the definition with an id derived from its name, if it has none."""
    if not isinstance(definition, dict) or definition.get("id") is not None:
        return definition
    name = definition.get("name")
    made = definitions.slug(name[: definitions.MAX_NAME]) if isinstance(name, str) else ""
    return {**definition, "id": made} if made else definition


def _parse(body: dict[str, Any]) -> definitions.AgentDefinition:
    agent, issues = definitions.check(_add_id(body))
    if agent is None:
        raise to_bad_input(issues)
    return agent


def _find_warnings(agent: definitions.AgentDefinition, workspace_id: str) -> list[Issue]:
    """Return a warning for each credential that the agent names and that is missing or not connected."""
    uses = [Use(None, *named) for named in definitions.find_credentials(agent)]
    return check_uses(uses, workspace_id, get_server().credentials.find)


def _to_text(agent: definitions.AgentDefinition) -> str:
    return orjson.dumps(agent.snapshot()).decode()


# Responses


def _show_built_in(definition: dict[str, Any]) -> dict[str, Any]:
    return _show(definition, builtin=True, created_at=None, updated_at=None)


def _show_own(row: Agent) -> dict[str, Any]:
    return _show(orjson.loads(row.definition), builtin=False, created_at=row.created_at, updated_at=row.updated_at)


def _show(definition: dict[str, Any], **more: Any) -> dict[str, Any]:
    needed = definitions.needs_credentials(definitions.restore(definition))
    return {**definition, "needs_credentials": needed, **more}


def _show_saved(row: Agent, agent: definitions.AgentDefinition) -> dict[str, Any]:
    """Return the agent that was just saved, with warnings if there are any."""
    warnings: list[Issue] = _find_warnings(agent, row.workspace_id)
    return {**_show_own(row), **({"warnings": warnings} if warnings else {})}


# Agent runs as JSON, with their steps and limited in size.
#
# Models and tools return values of any shape, so everything becomes JSON text here.

RUN_FIELDS = (
    "id", "agent_id", "run_id", "node_id", "status", "session", "model", "created_at", "finished_at", "duration_ms",
    "duration_us",
)  # fmt: skip
STEP_FIELDS = (
    "seq", "kind", "name", "status", "prompt_chars", "input_tokens", "output_tokens", "cost", "started_at",
    "finished_at", "duration_ms", "duration_us",
)  # fmt: skip
MIN_CHARACTERS = 200
MAX_NAME = 200


class SizeLimits(NamedTuple):
    """Size limits: characters of one value, steps of one run, and approximate characters of all of these steps."""

    value: int
    steps: int
    all: int

    def per_value(self, count: int) -> int:
        """Return the limit in characters of one value if there are `count` steps."""
        return min(self.value, max(MIN_CHARACTERS, self.all // max(1, count)))


LIST_LIMITS = SizeLimits(1_000, 100, 100_000)
RUN_LIMITS = SizeLimits(2_000_000, 4_000, 8_000_000)
MAX_PAGE = 4_000_000  # approximate characters of a list


def make_page(rows: Sequence[AgentRun]) -> list[dict[str, Any]]:
    """Return the first of these runs with their `steps`: all runs, or as many as fit into a response."""
    agent_runs.tell_ends(rows)
    found: list[dict[str, Any]] = []
    left = MAX_PAGE
    for row in rows:
        made = _show_run(row, LIST_LIMITS)
        found.append(made)
        parts = (made, *made["steps"], *made["tool_calls"])
        # Texts count as they are, other values as 20 characters.
        left -= sum(len(value) if isinstance(value, str) else 20 for part in parts for value in part.values())
        if left < 0:
            break
    return found


def show_run(row: AgentRun) -> dict[str, Any]:
    """Return one run with all of its `steps`; only very long values are cut."""
    agent_runs.tell_ends([row])
    return _show_run(row, RUN_LIMITS)


def _show_run(row: AgentRun, limits: SizeLimits) -> dict[str, Any]:
    total = agent_runs.count_steps(row.id)
    limit = limits.per_value(min(total, limits.steps))
    rows = list(agent_runs.first_steps(row.id, limits.steps))
    agent_runs.tell_ends_of_steps(row, rows)
    steps = [_show_step(step, limit) for step in rows]
    output = {} if row.output is None else orjson.loads(row.output)
    # The reason why its node waits, and the open question, if any.
    wait = Wait.one("run_id = ? AND node_id = ?", row.run_id, row.node_id) if row.status == "waiting" else None
    return {
        **{name: getattr(row, name) for name in RUN_FIELDS},
        "item_index": None if row.item_index < 0 else row.item_index,
        "task": _cut(row.task, limits.value),
        "input": _cut_json(row.input, limits.value),
        "text": _cut(output.get("text"), limits.value),
        "data": None if output.get("data") is None else _to_json(output["data"], limits.value),
        "error_text": _cut(row.error_text, limits.value),
        "tool_calls": [step for step in steps if step["kind"] == "tool" and step["status"] != "refused"],
        "usage": agent_runs.usage(row.id),
        "steps": steps,
        "more_steps": max(0, total - len(steps)),
        **({} if wait is None else {"waiting": wait.reason, "question": wait.question}),
    }


# Steps


def _show_step(row: AgentStep, limit: int) -> dict[str, Any]:
    # A call that awaits approval is never cut: no one should approve arguments that they cannot see.
    limit = RUN_LIMITS.value if row.status == "asking" else limit
    common = {name: getattr(row, name) for name in STEP_FIELDS}
    common["error_text"] = _cut(row.error_text, limit)
    if row.kind == "start":
        start = orjson.loads(row.request or "null")
        size = len(start["prompt"]) + len(start["instructions"]) + sum(map(len, sum(start["history"], [])))
        return common | {"text": _cut(start["prompt"], limit), "prompt_chars": size}
    if row.kind == "model":
        parts = [] if row.result is None else orjson.loads(row.result)["parts"]
        calls = [part for part in parts if "args" in part]
        each = limit // max(1, len(calls))
        shown = [{"name": _cut(part["tool_name"], MAX_NAME)} | _show_arguments(part["args"], each) for part in calls]
        return common | {
            "text": _cut("".join(part["content"] for part in parts if part["part_kind"] == "text"), limit) or None,
            "tool_calls": orjson.dumps(shown).decode(),
            "prompt_messages": None if row.request is None else orjson.loads(row.request).get("messages"),
        }
    return common | {"arguments": _cut_json(row.request, limit), "result": _cut_json(row.result, limit)}


def _show_arguments(given: Any, limit: int) -> dict[str, Any]:
    """Return a call's arguments as JSON. A model's text may be malformed or too deeply nested: then it stays text."""
    try:
        found = orjson.loads(given) if isinstance(given, str) else given
        check_depth(found, "arguments")
    except (ValueError, BadInput):
        found = given if isinstance(given, str) else orjson.dumps(given).decode()
    return {"arguments": orjson.Fragment(_to_json(found, limit))}


# Values


def _cut(value: str | None, limit: int) -> str | None:
    """Return the text, or its beginning."""
    return value if value is None or len(value) <= limit else f"{value[:limit]}… ({len(value):,} characters)"


def _to_json(value: Any, limit: int) -> str:
    """Return the value as JSON text, or its beginning."""
    return str(_cut_json(orjson.dumps(value).decode(), limit))


def _cut_json(written: str | None, limit: int) -> str | None:
    """Return the JSON text, or its beginning as a JSON string."""
    if written is None or len(written) <= limit:
        return written
    return orjson.dumps(_cut(written, limit)).decode()


# Agent runs: start, list and cancel them.

run_blueprint = Resource("agent", "Agent runs")


# An empty value is not the same as a missing one: it selects the entries without a session.
SESSION = {"allowEmptyValue": True, "description": "A session; empty: entries without a session; omitted: all"}


class TaskIn(Strict):
    agent_id = text(64, required=True)
    task = text(100_000, required=True)
    input = fields.Raw(load_default=None, help="The material of the task, as data")
    session = text(200, 0, load_default=None)
    memory = fields.Boolean(load_default=None, help="Add memories to the task; default: as the agent defines")
    model = text(200, load_default=None, help="Such as openai:gpt-5")
    credentials = fields.Dict(
        keys=text(64),
        values=text(200),
        load_default=dict,
        validate=Length(max=20),
        help="By type of tool, for tools that name none; `llm` is for the model",
    )
    wait = fields.Float(load_default=30.0, validate=Range(0, 60), help="Seconds")


class UsageOut(Out):
    requests = fields.Integer()
    tool_calls = fields.Integer()
    input_tokens = fields.Integer()
    output_tokens = fields.Integer()
    cost = fields.Float(allow_none=True, help="US dollars; null: unknown")


class AgentStepOut(Out):
    """One step of an agent: its `start`, a request to the `model`, or a call of a `tool`."""

    seq = fields.Integer()
    kind = choice(("start", "model", "tool"))
    name = fields.String()
    status = choice(("running", "success", "failed", "refused", "asking", "waiting"))
    arguments = Json(allow_none=True, help="Of a tool call", optional=True)
    result = Json(allow_none=True, help="For a tool: the text for the model", optional=True)
    text = fields.String(allow_none=True, help="The model's text; for the start, its prompt", optional=True)
    tool_calls = Json(allow_none=True, help="The model's tool calls: `[{name, arguments}]`", optional=True)
    error_text = fields.String(allow_none=True)
    prompt_chars = fields.Integer(allow_none=True, optional=True)
    prompt_messages = fields.Integer(allow_none=True, optional=True)
    input_tokens = fields.Integer(allow_none=True, optional=True)
    output_tokens = fields.Integer(allow_none=True, optional=True)
    cost = fields.Float(allow_none=True, optional=True)
    started_at = Time()
    finished_at = Time(allow_none=True)
    duration_ms = Milliseconds(allow_none=True)
    duration_us = fields.Integer(allow_none=True, help=PRECISE)


class ToolCallOut(Out):
    name = fields.String()
    arguments = Json(allow_none=True)
    status = fields.String()
    error_text = fields.String(allow_none=True)


class AgentRunOut(Out):
    id = fields.String()
    agent_id = fields.String()
    run_id = fields.String(help="The run that this task is a step of")
    node_id = fields.String()
    item_index = fields.Integer(allow_none=True, optional=True)
    status = choice(("pending", "running", "waiting", "success", "failed"))
    task = fields.String()
    input = Json(allow_none=True, optional=True)
    session = fields.String(allow_none=True, optional=True)
    model = fields.String(allow_none=True, optional=True)
    text = fields.String(allow_none=True, optional=True)
    data = Json(allow_none=True, help="The answer, if the agent has an output_schema", optional=True)
    tool_calls = fields.List(fields.Nested(ToolCallOut))
    usage = fields.Nested(UsageOut)
    error_text = fields.String(allow_none=True)
    waiting = fields.String(allow_none=True, help="The reason for waiting", optional=True)
    question = fields.String(allow_none=True, help="The question to name in POST /api/runs/:id/resume", optional=True)
    created_at = Time()
    finished_at = Time(allow_none=True)
    duration_ms = Milliseconds(allow_none=True)
    duration_us = fields.Integer(allow_none=True, help=PRECISE)


class AgentLogOut(AgentRunOut):
    steps = fields.List(fields.Nested(AgentStepOut))
    more_steps = fields.Integer(help="In a list: number of omitted steps")


class AgentRunArgs(Shape):
    wait = fields.Float(load_default=0.0, validate=Range(0, 60), help="Seconds")


class AgentLogArgs(PageArgs):
    agent_id = text(64, load_default=None)
    session = text(200, 0, load_default=None, metadata=SESSION)
    limit = Whole(load_default=20, validate=Range(1, 100))


@run_blueprint.post("/agent/run")
@require_role("operator")
@run_blueprint.arguments(TaskIn)
@run_blueprint.response(200, AgentRunOut)
@run_blueprint.alt_response(202, schema=AgentRunOut)
def run(body: dict[str, Any]) -> Any:
    """Run an agent. Waits up to `wait` seconds: 200 with the answer, otherwise 202 with the unfinished run.

    It is a run like those of flows: it survives a restart of the server, and waits if a tool needs approval. 503 while
    no model is configured.
    """
    dispatcher = get_dispatcher()
    # Only editors decide which services an agent can reach.
    others = sorted(body["credentials"].keys() - {"llm"})
    if others and not has_role("editor", get_workspace_id()):
        raise Forbidden(
            f"credentials: naming one for {others[0]!r} needs the role editor; an operator may name one for llm only"
        )
    check_depth(body["input"], "input")
    wait = body.pop("wait")
    agent = find_agent(get_workspace_id(), body["agent_id"])
    if agent is None:
        raise BadInput(f"agent_id: there is no agent {body['agent_id']!r}; GET /api/agents lists them")
    workspace_id, resources = get_workspace_id(), dispatcher.resources
    check(agent, body, Models.of(resources.config), partial(resources.find_credential, workspace_id), workspace_id)
    task = AgentTask(workspace_id, agent.name, body)
    ticket = dispatcher.submit(Start(task, body, "manual", note=defer_start_entry(), is_awaited=wait > 0))
    finished = dispatcher.waiting.wait_for_agent(ticket, wait)
    return show_run(AgentRun.get_by_id(agent_run_id(finished))), 200 if finished.finished_at is not None else 202


@run_blueprint.get("/agent/logs")
@require_role("viewer", only_database=True)
@run_blueprint.arguments(AgentLogArgs, location="query")
@run_blueprint.response(200, listed(AgentLogOut))
def list_logs(args: dict[str, Any]) -> Any:
    """List the runs of agents, newest first, with their steps: prompt sizes, tool calls, tokens, times.

    Long values are truncated, and long runs have only their first steps; GET /api/agent/runs/:id has everything. A
    large page may have fewer than `limit`.
    """
    query = agent_runs.select_where(get_workspace_id(), args["agent_id"], args["session"])
    rows, cursor = query.page(args["limit"], args["cursor"])
    items = make_page(rows)
    return {"items": items, "next_cursor": cursor if len(items) == len(rows) else items[-1]["id"]}


@run_blueprint.get("/agent/runs/<agent_run>")
@require_role("viewer", agent_run=AgentRun)
@run_blueprint.arguments(AgentRunArgs, location="query")
@run_blueprint.response(200, AgentLogOut)
def get_run(args: dict[str, Any], agent_run: AgentRun) -> Any:
    """Show a run of an agent with its steps so far.

    With `wait`, the answer comes when the run has ended, must wait, or that many seconds have passed.
    """
    found = Run.find(agent_run.run_id)
    if args["wait"] and found is not None and found.finished_at is None:
        dispatcher = get_dispatcher()
        dispatcher.waiting.wait_for_agent(dispatcher.ticket_of(found), args["wait"])
    return show_run(AgentRun.get_by_id(agent_run.id))


@run_blueprint.post("/agent/runs/<agent_run>/cancel")
@require_role("operator", agent_run=AgentRun)
@run_blueprint.response(200, AgentRunOut)
def cancel(agent_run: AgentRun) -> Any:
    """Cancel the run of an agent. It is `failed` at once, and the agent takes no further step."""
    found = Run.find(agent_run.run_id)
    if found is None:
        raise Conflict("The run has already finished")
    get_dispatcher().cancel(found, get_user().email, defer_entry("run.cancelled"))
    return show_run(AgentRun.get_by_id(agent_run.id))


# Agent memory: list, write and delete entries.

memory_blueprint = Resource("memory", "Memories of agents")
PAUSE_SECONDS = 0.005  # in which others get to write


class MemoryIn(Strict):
    agent_id = text(64, required=True)
    key = text(200, required=True)
    content = text(100_000, 0, required=True)
    session = text(200, 0, load_default="", allow_none=True)
    tags = fields.List(text(100), load_default=list, validate=Length(max=50))
    expires_in = fields.Integer(
        strict=True,
        load_default=None,
        validate=Range(1, 3_660 * 86_400),
        help="Seconds until it expires; default: never",
    )


class MemoryArgs(PageArgs):
    agent_id = text(64, load_default=None)
    session = text(200, 0, load_default=None, metadata=SESSION)
    search = text(200, 0, is_stored=False, load_default=None)


class ForgetArgs(Shape):
    agent_id = text(64, required=True)
    session = text(200, 0, load_default=None, metadata=SESSION)


class ForgottenOut(Out):
    deleted = fields.Integer(help="Number of deleted entries")


class MemoryOut(Out):
    id = fields.String()
    agent_id = fields.String()
    session = fields.String()
    key = fields.String()
    content = fields.String()
    tags = Json()
    expires_at = Time(allow_none=True)
    created_at = Time()
    updated_at = Time()


@memory_blueprint.get("/agent/memory")
@require_role("viewer")
@memory_blueprint.arguments(MemoryArgs, location="query")
@memory_blueprint.response(200, listed(MemoryOut))
def list_memories(args: dict[str, Any]) -> Any:
    """List memories of agents, newest first. `search` matches word beginnings in key, content and tags."""
    scope = _make_scope(args)
    search = args["search"] or ""
    items, cursor = agent_memory.listed(scope, search, args["limit"], args["cursor"])
    if must_redact_links():
        items = [item for item in items if agent_memory.shows(item, search)]
    return {"items": items, "next_cursor": cursor}


@memory_blueprint.post("/agent/memory")
@require_role("operator")
@memory_blueprint.arguments(MemoryIn)
@memory_blueprint.response(201, MemoryOut)
def remember(body: dict[str, Any]) -> Any:
    """Write a memory. It overwrites a memory with the same agent, session and key."""
    now, seconds = now_ms(), body["expires_in"]
    name = MemoryName(get_workspace_id(), body["agent_id"], body["session"] or "", body["key"])
    with record_change("memory.written") as entry:
        row = agent_memory.put(
            name,
            content=body["content"],
            tags=orjson.dumps(body["tags"]).decode(),
            expires_at=None if seconds is None else now + seconds * 1000,
            most=get_config().memory_entries,
            now=now,
        )
        entry.about(row).note(agent_id=row.agent_id)
    return row


@memory_blueprint.get("/agent/memory/<memory>")
@require_role("viewer", memory=agent_memory.LiveMemory)
@memory_blueprint.response(200, MemoryOut)
def get_memory(memory: AgentMemory) -> Any:
    """Show a memory."""
    return memory


@memory_blueprint.delete("/agent/memory/<memory>")
@require_role("operator", memory=agent_memory.LiveMemory)
@memory_blueprint.response(204)
def forget(memory: AgentMemory) -> None:
    """Delete a memory entry."""
    with record_change("memory.deleted", memory) as entry:
        entry.note(agent_id=memory.agent_id)
        if not memory.remove():
            raise NotFound(f"There is no memory {memory.id!r}")


@memory_blueprint.delete("/agent/memory")
@require_role("operator")
@memory_blueprint.arguments(ForgetArgs, location="query")
@memory_blueprint.response(200, ForgottenOut)
def forget_all(args: dict[str, Any]) -> Any:
    """Delete all memories of an agent, or of one session."""
    forgetting = agent_memory.forget(_make_scope(args))
    with record_change("memory.cleared") as entry:
        entry.target("agent", args["agent_id"], None).note(session=args["session"])
        deleted = next(forgetting, 0)
    for gone in forgetting:
        time.sleep(PAUSE_SECONDS)
        deleted += gone
    return {"deleted": deleted}


def _make_scope(args: dict[str, Any]) -> MemoryScope:
    """Return the scope of a query: the workspace, and the agent and session that it names."""
    sessions = None if args["session"] is None else (args["session"],)
    return MemoryScope(get_workspace_id(), args["agent_id"], sessions, now_ms())
