"""Agent runs, each a part of a run, and the steps from which they resume."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from peewee import CompositeKey, FloatField, IntegerField, TextField

from database import execute, fetch_value

from .base import Base, Rows, Timed, Write, insert, now_ms
from .runs import STILL_RUNS, Run

STEP_COLUMNS = (
    "agent_run_id", "seq", "kind", "name", "status", "request", "result", "error_text", "prompt_chars", "input_tokens",
    "output_tokens", "cost", "started_at", "finished_at", "duration_ms",
)  # fmt: skip
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


class AgentRun(Timed, Base):
    """A task of an agent and its result, at a node (and item) of the run `run_id`.

    `output` is JSON: `{"text"}` or `{"data"}`. `cost` is in US dollars, None if the model's price is unknown.
    `item_index` is -1 unless the node is mapped over a list.
    """

    prefix = "arun"
    id = TextField(primary_key=True)
    workspace_id = TextField()
    agent_id = TextField()
    run_id = TextField()
    node_id = TextField()
    item_index = IntegerField()
    task = TextField()
    input = TextField(null=True)
    session = TextField(default="")
    model = TextField(null=True)
    status = TextField()
    output = TextField(null=True)
    error_text = TextField(null=True)
    requests = IntegerField(default=0)
    tool_calls = IntegerField(default=0)
    input_tokens = IntegerField(default=0)
    output_tokens = IntegerField(default=0)
    cost = FloatField(null=True)
    created_at = IntegerField()
    finished_at = IntegerField(null=True)
    duration_ms = FloatField(null=True)

    @classmethod
    def of(cls, run_id: str, node_id: str, item_index: int) -> AgentRun | None:
        """Return the agent run at this node of the run, or None."""
        return cls.one("run_id = ? AND node_id = ? AND item_index = ?", run_id, node_id, item_index)

    @classmethod
    def accepted(cls, run: Run, id_: str, **values: Any) -> Write:
        """Return the write of a new agent run, for a run that consists of one task of an agent."""
        row = {"id": id_, "workspace_id": run.workspace_id, "run_id": run.id, "created_at": run.created_at, **values}
        return insert("agent_runs", {**row, "status": "pending"} | dict.fromkeys(COUNTS, 0))

    @classmethod
    def begun(cls, run: Run, id_: str, **values: Any) -> Write:
        """Return the write when the agent begins or resumes; effective only for the process that executes the run."""
        row = {
            "id": id_, "workspace_id": run.workspace_id, "run_id": run.id, "status": "running",
            "created_at": now_ms(), **values,
        } | dict.fromkeys(COUNTS, 0)  # fmt: skip
        made = run.while_it_runs(insert("agent_runs", row))
        return Write(made.sql + BEGIN, made.params)

    @classmethod
    def ended(cls, run: Run, id_: str, status: str, **values: Any) -> Write:
        """Return the write when the agent ends or waits; effective only for the process that executes the run."""
        row = {"status": status, **values}
        columns = ", ".join(f"{name} = ?" for name in row)
        sql = f"UPDATE agent_runs SET {columns} WHERE id = ? AND {STILL_RUNS}"
        return Write(sql, (*row.values(), id_, run.id, run.claims))

    @classmethod
    def select_where(cls, workspace_id: str, agent_id: str | None, session: str | None = None) -> Rows[AgentRun]:
        """Return the workspace's agent runs, filtered by agent and session."""
        return Rows(cls, [("workspace_id = ?", workspace_id), ("agent_id = ?", agent_id), ("session = ?", session)])

    @classmethod
    def conversation(cls, workspace_id: str, agent_id: str, session: str, most: int) -> list[tuple[str, str]]:
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

    @classmethod
    def tell_ends(cls, rows: Sequence[AgentRun]) -> None:
        """Set the outcome of unfinished rows from their runs: cancelled, failed elsewhere, waiting, queued."""
        open_ = [row for row in rows if row.finished_at is None]
        runs = {run.id: run for run in Run.select().where(Run.id.in_([row.run_id for row in open_]))} if open_ else {}
        for row in open_:
            run = runs.get(row.run_id)
            if run is None or run.finished_at is not None:
                row._tell_end(run)
            elif run.status == "pending":
                row.status = "pending" if run.waiting is None or run.started_at is None else "waiting"

    def _tell_end(self, run: Run | None) -> None:
        """Set the outcome after the end of the run: that of the agent if it ended meanwhile, else that of the run."""
        present = AgentRun.find(self.id)
        if present is not None and present.finished_at is not None:
            self.__data__.update(present.__data__)
            return
        self.status = "failed"
        self.error_text = (run.error_text if run is not None else None) or "the run ended without it"
        self.finished_at = None if run is None else run.finished_at
        self.duration_ms = None if self.finished_at is None else float(max(0, self.finished_at - self.created_at))


class AgentStep(Timed, Base):
    """A step of an agent: `kind` is start, model or tool. `seq` orders the steps of an agent run.

    `request` and `result` are JSON without secrets; a model's can be replayed after a crash.
    """

    agent_run_id = TextField()
    seq = IntegerField()
    kind = TextField()
    name = TextField()
    status = TextField()
    request = TextField(null=True)
    result = TextField(null=True)
    error_text = TextField(null=True)
    prompt_chars = IntegerField(null=True)
    input_tokens = IntegerField(null=True)
    output_tokens = IntegerField(null=True)
    cost = FloatField(null=True)
    started_at = IntegerField()
    finished_at = IntegerField(null=True)
    duration_ms = FloatField(null=True)

    class Meta:
        primary_key = CompositeKey("agent_run_id", "seq")

    @classmethod
    def save_one(cls, values: Sequence[Any], run: Run) -> Write:
        """Return the write of a step; values in the order of STEP_COLUMNS. Its row count is 0 if the run was taken."""
        return Write(SAVE_STEP, (*values, run.id, run.claims))

    @classmethod
    def of(cls, agent_run_ids: Iterable[str]) -> dict[str, list[AgentStep]]:
        """Return the steps of these agent runs in order."""
        found: dict[str, list[AgentStep]] = {id_: [] for id_ in agent_run_ids}
        marks = ", ".join("?" * len(found))
        for row in cls.each(f"agent_run_id IN ({marks}) ORDER BY agent_run_id, seq", tuple(found)):
            found[row.agent_run_id].append(row)
        return found

    @classmethod
    def first(cls, agent_run_id: str, most: int) -> Iterator[AgentStep]:
        """Yield the first `most` steps of this agent run, each read on demand."""
        return cls.each("agent_run_id = ? ORDER BY seq LIMIT ?", (agent_run_id, most))

    @classmethod
    def count(cls, agent_run_id: str) -> int:
        """Return the number of steps; their numbers have no gaps."""
        last: int | None = fetch_value("SELECT MAX(seq) FROM agent_steps WHERE agent_run_id = ?", (agent_run_id,))
        return 0 if last is None else last + 1

    @classmethod
    def used(cls, agent_run_id: str) -> dict[str, Any]:
        """Return the usage so far, by the columns of AgentRun."""
        found = execute(USED, (agent_run_id,)).fetchone()
        return dict(zip((*COUNTS, "cost"), found, strict=True))

    @staticmethod
    def tell_ends(run: AgentRun, steps: Sequence[AgentStep]) -> None:
        """Mark unfinished steps as cancelled if the agent run is over."""
        for step in steps if run.finished_at is not None else ():
            if step.status in ("running", "asking", "waiting"):
                step.status, step.finished_at = "failed", run.finished_at
                step.error_text = step.error_text or "the run ended before this did"
