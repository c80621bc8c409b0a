"""Agent runs, each a part of a run: queries, tasks, and the journal of steps from which they resume."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

import engine
from database import execute, fetch_value
from database.base import Rows, Write, insert, new_id, now_ms
from database.queries import credentials
from database.queries import runs as run_queries
from database.queries.waits import STILL_RUNS
from dispatch.lease import ProcessLease
from dispatch.resources import Task
from dispatch.run_record import AnyRecord, RunTaken
from engine import Plan
from errors import BadInput, NodeError, Unavailable
from models import AgentRun, AgentStep, Run
from nodes.credentials.keyring import Find, Keyring
from packs.agents.definition import AgentDefinition, needs_credentials
from packs.agents.model_choice import Models, NoModel, find_credential, resolve
from packs.agents.runtime.journal import AgentUsage, Entry, sum_usage

ENTRY_COLUMNS = tuple(field.name for field in dataclasses.fields(Entry))
STEP_COLUMNS = ("agent_run_id", *ENTRY_COLUMNS)
# As with the steps of runs: a suspended process whose run was taken over must not write any more.
SAVE_STEP = (
    f"INSERT INTO agent_steps ({', '.join(STEP_COLUMNS)}) SELECT {', '.join('?' * len(STEP_COLUMNS))} "
    f"WHERE {STILL_RUNS} ON CONFLICT (agent_run_id, seq) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in STEP_COLUMNS[2:])
)
BEGIN = (
    " ON CONFLICT (id) DO UPDATE SET status = 'running', task = excluded.task, input = excluded.input, "
    "model = excluded.model, error_text = NULL, finished_at = NULL"
)
MAX_EXAMINED, MAX_TURN = 500, 100_000  # runs; characters of a task and its answer
COUNTS = ("requests", "tool_calls", "input_tokens", "output_tokens")
# The total cost is unknown if that of one response is.
USED = (
    "WITH s AS (SELECT CASE WHEN kind = 'model' AND status = 'success' THEN 1 ELSE 0 END AS asked, "
    "CASE WHEN kind = 'tool' AND status <> 'refused' THEN 1 ELSE 0 END AS called, "
    "input_tokens, output_tokens, cost FROM agent_steps WHERE agent_run_id = ?) "
    "SELECT COALESCE(SUM(asked), 0), COALESCE(SUM(called), 0), "
    "COALESCE(SUM(asked * input_tokens), 0), COALESCE(SUM(asked * output_tokens), 0), "
    "CASE WHEN COALESCE(SUM(CASE WHEN cost IS NULL THEN asked END), 0) = 0 THEN COALESCE(SUM(asked * cost), 0.0) END "
    "FROM s"
)


def of(run_id: str, node_id: str, item_index: int) -> AgentRun | None:
    """Return the agent run at this node of the run, or None."""
    return AgentRun.one("run_id = ? AND node_id = ? AND item_index = ?", run_id, node_id, item_index)


def accepted(run: Run, id_: str, **values: Any) -> Write:
    """Return the write of a new agent run, for a run that consists of one task of an agent."""
    row = {"id": id_, "workspace_id": run.workspace_id, "run_id": run.id, "created_at": run.created_at, **values}
    return insert("agent_runs", {**row, "status": "pending"} | dict.fromkeys(COUNTS, 0))


def begun(run: Run, id_: str, **values: Any) -> Write:
    """Return the write when the agent begins or resumes; effective only for the process that executes the run."""
    row = {
        "id": id_, "workspace_id": run.workspace_id, "run_id": run.id, "status": "running",
        "created_at": now_ms(), **values,
    } | dict.fromkeys(COUNTS, 0)  # fmt: skip
    made = run_queries.while_it_runs(run, insert("agent_runs", row))
    return Write(made.sql + BEGIN, made.params)


def ended(run: Run, id_: str, status: str, **values: Any) -> Write:
    """Return the write when the agent ends or waits; effective only for the process that executes the run."""
    row = {"status": status, **values}
    columns = ", ".join(f"{name} = ?" for name in row)
    sql = f"UPDATE agent_runs SET {columns} WHERE id = ? AND {STILL_RUNS}"
    return Write(sql, (*row.values(), id_, run.id, run.claims))


def select_where(workspace_id: str, agent_id: str | None, session: str | None = None) -> Rows[AgentRun]:
    """Return the workspace's agent runs, filtered by agent and session."""
    return Rows(AgentRun, [("workspace_id = ?", workspace_id), ("agent_id = ?", agent_id), ("session = ?", session)])


def conversation(workspace_id: str, agent_id: str, session: str, most: int) -> list[tuple[str, str]]:
    """Return the last answered tasks of a session with their answers as JSON, oldest first.

    Only the last MAX_EXAMINED runs are examined, back to the first one longer than MAX_TURN.
    """
    sql = (
        "SELECT task, CASE WHEN length(task) + length(output) <= ? THEN output END FROM ("
        "SELECT task, output, status FROM agent_runs WHERE workspace_id = ? AND agent_id = ? AND session = ? "
        "ORDER BY id DESC LIMIT ?) AS found WHERE status = 'success' LIMIT ?"
    )
    found = execute(sql, (MAX_TURN, workspace_id, agent_id, session, MAX_EXAMINED, most))
    fit = itertools.takewhile(lambda turn: turn[1] is not None, found)
    return [(str(task), str(output)) for task, output in fit][::-1]


def tell_ends(rows: Sequence[AgentRun]) -> None:
    """Set the outcome of unfinished rows from their runs: cancelled, failed elsewhere, waiting, queued."""
    open_ = [row for row in rows if row.finished_at is None]
    runs = {run.id: run for run in Run.select().where(Run.id.in_([row.run_id for row in open_]))} if open_ else {}
    for row in open_:
        run = runs.get(row.run_id)
        if run is None or run.finished_at is not None:
            present = AgentRun.find(row.id)
            if present is not None and present.finished_at is not None:
                row.__data__.update(present.__data__)  # the agent's own outcome, as it ended meanwhile
                continue
            row.status = "failed"
            row.error_text = (run.error_text if run is not None else None) or "the run ended without it"
            row.finished_at = None if run is None else run.finished_at
            row.duration_ms = None if row.finished_at is None else float(max(0, row.finished_at - row.created_at))
        elif run.status == "pending":
            row.status = "pending" if run.waiting is None or run.started_at is None else "waiting"


def save_step(values: Sequence[Any], run: Run) -> Write:
    """Return the write of a step; values in the order of STEP_COLUMNS. Its row count is 0 if the run was taken."""
    return Write(SAVE_STEP, (*values, run.id, run.claims))


def steps_of(agent_run_ids: Iterable[str]) -> dict[str, list[AgentStep]]:
    """Return the steps of these agent runs in order."""
    found: dict[str, list[AgentStep]] = {id_: [] for id_ in agent_run_ids}
    marks = ", ".join("?" * len(found))
    for row in AgentStep.each(f"agent_run_id IN ({marks}) ORDER BY agent_run_id, seq", tuple(found)):
        found[row.agent_run_id].append(row)
    return found


def first_steps(agent_run_id: str, most: int) -> Iterator[AgentStep]:
    """Yield the first `most` steps of this agent run, each read on demand."""
    return AgentStep.each("agent_run_id = ? ORDER BY seq LIMIT ?", (agent_run_id, most))


def count_steps(agent_run_id: str) -> int:
    """Return the number of steps; their numbers have no gaps."""
    last: int | None = fetch_value("SELECT MAX(seq) FROM agent_steps WHERE agent_run_id = ?", (agent_run_id,))
    return 0 if last is None else last + 1


def usage(agent_run_id: str) -> dict[str, Any]:
    """Return the usage so far, by the columns of AgentRun."""
    found = execute(USED, (agent_run_id,)).fetchone()
    return dict(zip((*COUNTS, "cost"), found, strict=True))


def tell_ends_of_steps(run: AgentRun, steps: Sequence[AgentStep]) -> None:
    """Mark unfinished steps as cancelled if the agent run is over."""
    for step in steps if run.finished_at is not None else ():
        if step.status in ("running", "asking", "waiting"):
            step.status, step.finished_at = "failed", run.finished_at
            step.error_text = step.error_text or "the run ended before this did"


# Tasks that are given to an agent directly: each is a run of a flow with one node, made from the task.

NODE = "agent"
CONFIG = ("agent_id", "model", "credentials", "memory")  # literal settings of the node
DATA = ("task", "input", "session")


class AgentTask(Task):
    """A task for an agent.

    `body` is the input of the run: `{"agent_id", "task", "input", "session", "memory", "model", "credentials"}`.
    """

    def __init__(self, workspace_id: str, agent_name: str, body: Mapping[str, Any]) -> None:
        super().__init__(f"agent:{body['agent_id']}", workspace_id, agent_name)
        self.body = body

    def plan(self) -> Plan:
        """Return the plan of its one node. The text of the task is data, never evaluated as an expression."""
        config = {name: self.body[name] for name in CONFIG if self.body.get(name) not in (None, {})}
        data = {name: f"{{{{ trigger.{name} }}}}" for name in DATA if name == "input" or self.body.get(name)}
        return engine.plan({"nodes": [{"id": NODE, "type": "agent", "config": config | data}]})

    def record(self, run: Run) -> list[Write]:
        """Return the writes of its agent run, to be committed together with the run."""
        text = {name: self.body.get(name) for name in ("agent_id", "task", "model")}
        values = {**text, "session": self.body.get("session") or "", "node_id": NODE, "item_index": -1}
        return [accepted(run, agent_run_id(run), **values)]


def agent_run_id(run: Run) -> str:
    """Return the id of the agent run of a task's run."""
    return f"{AgentRun.prefix}_{str(run.id).partition('_')[2]}"


def explain_no_model(workspace_id: str, models: Models) -> str | None:
    """Return why a task for which no model is named cannot run, and what to do; None if it can."""
    try:
        if find_credential(models, None, lambda: credentials.names_of(workspace_id, "llm")) is None:
            resolve(models)
    except NoModel as error:
        return error.message
    return None


def check(agent: AgentDefinition, body: Mapping[str, Any], models: Models, find: Find, workspace_id: str) -> None:
    """Check that the agent can run the task. `find` opens a credential of the workspace.

    Raises: Unavailable without a model, BadInput if a credential or the model's name is not valid.
    """
    given = body["credentials"]
    for type_ in needs_credentials(agent):
        if type_ not in given:
            raise BadInput(f"credentials.{type_}: {agent.id} needs a credential for its tool {type_}; name one here")
    model, name = body["model"] or agent.model, given.get("llm") or agent.credential
    try:
        name = name or find_credential(models, model, lambda: credentials.names_of(workspace_id, "llm"))
        found = Keyring(find).use(name, "llm") if name else None
        resolve(models, model, None if found is None else found.data, name or "")
    except NoModel as error:
        raise Unavailable(error.message) from None
    except NodeError as error:
        raise BadInput(error.message) from None


# Journal of an agent in a node of a run, written as the agent works, from which it resumes.

NO_ITEM = -1  # item index of an agent that does not work on an item of a list
MAX_INPUT = 50_000  # characters of JSON, for display only


class AgentRunJournal:
    """An `agent.journal.Journal` in the database, for one agent run. Entry 0 is the start of the run.

    Writes take effect only while this process executes the run; otherwise `begin`, `keep_start` and `write` raise
    RunTaken.
    """

    def __init__(self, record: AnyRecord, lease: ProcessLease, node_id: str, index: int | None) -> None:
        self.record, self.run, self.lease = record, record.run, lease
        self.node_id, self.item_index = node_id, NO_ITEM if index is None else index
        row = of(self.run.id, node_id, self.item_index)
        self.id = new_id(AgentRun.prefix) if row is None else str(row.id)
        found = [] if row is None else [_entry(step) for step in steps_of([self.id])[self.id]]
        self.start: Any = found[0].request if found else None
        self.entries: Sequence[Entry] = found[1:]
        self._now = {entry.seq: entry for entry in self.entries}
        self._since = now_ms() if row is None else row.created_at

    def begin(self, agent_id: str, task: str, input: Any, session: str, model: str) -> None:
        """Record that the agent starts or resumes."""
        written = _json(input)
        if written is not None and len(written) > MAX_INPUT:
            # Only its start: the whole text is the input of the run or of the node.
            written = _json({"$cut": {"bytes": len(written.encode()), "start": written[:MAX_INPUT]}})
        self._write(
            begun(
                self.run, self.id, agent_id=agent_id, node_id=self.node_id, item_index=self.item_index, task=task,
                input=written, session=session, model=model,
            )
        )  # fmt: skip

    def keep_start(self, start: Any) -> None:
        """Record the agent's start as JSON, before it does anything."""
        self.start = start
        entry = Entry(0, "start", start["agent"]["id"], "success", start, finished_at=now_ms(), duration_ms=0.0)
        self._write(self._saved(entry))

    def write(self, entry: Entry) -> None:
        self._now[entry.seq] = entry
        self._write(self._saved(entry))

    def note(self, entry: Entry) -> None:
        self._now[entry.seq] = entry
        self.record.add(self._saved(entry))

    def usage(self) -> AgentUsage:
        """Return the usage so far."""
        return sum_usage(list(self._now.values()))

    def calls(self) -> list[Entry]:
        """Return the tool calls so far in order, without refused ones."""
        return [entry for _, entry in sorted(self._now.items()) if entry.kind == "tool" and entry.status != "refused"]

    def end(self, status: str, output: Any = None, error_text: str | None = None) -> None:
        """Record the end of the agent run, or its wait, together with the next recorded step."""
        values = {**self.usage()._asdict(), "output": _json(output), "error_text": error_text}
        if status != "waiting":
            now = now_ms()
            values |= {"finished_at": now, "duration_ms": float(max(0, now - self._since))}
        self.record.add(ended(self.run, self.id, status, **values))

    def _saved(self, entry: Entry) -> Any:
        values = {name: getattr(entry, name) for name in ENTRY_COLUMNS}
        values |= {"request": _json(entry.request), "result": _json(entry.result)}
        return save_step((self.id, *values.values()), self.run)

    def _write(self, *writes: Any) -> None:
        counts = self.record.flush(*writes).result()
        if not all(counts[-len(writes) :]):
            raise RunTaken
        self.lease.check(self.run)


def _json(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def _entry(row: AgentStep) -> Entry:
    request, result = (None if text is None else orjson.loads(text) for text in (row.request, row.result))
    return Entry(**{name: getattr(row, name) for name in ENTRY_COLUMNS} | {"request": request, "result": result})
