"""Agent runs, each a part of a run, and the steps from which they resume."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from database import execute, fetch_value
from database.base import Rows, Write, insert, now_ms
from database.queries import runs as run_queries
from database.queries.waits import STILL_RUNS
from models import AgentRun, AgentStep, Run

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
            _tell_end(row, run)
        elif run.status == "pending":
            row.status = "pending" if run.waiting is None or run.started_at is None else "waiting"


def _tell_end(agent_run: AgentRun, run: Run | None) -> None:
    """Set the outcome after the end of the run: that of the agent if it ended meanwhile, else that of the run."""
    present = AgentRun.find(agent_run.id)
    if present is not None and present.finished_at is not None:
        agent_run.__data__.update(present.__data__)
        return
    agent_run.status = "failed"
    agent_run.error_text = (run.error_text if run is not None else None) or "the run ended without it"
    agent_run.finished_at = None if run is None else run.finished_at
    agent_run.duration_ms = (
        None if agent_run.finished_at is None else float(max(0, agent_run.finished_at - agent_run.created_at))
    )


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
