"""Rows of runs and steps, created without the engine."""

from database import write
from database.base import now_ms
from database.queries import runs, steps
from database.queries.runs import execute_units
from database.queries.steps import STEP_COLUMNS
from models import Step


def accept(made, **values):
    """Insert a run and return it."""
    run = runs.accept(made, **{"triggered_by": "manual", **values})
    do([runs.insertion(run)])
    return run


def running(made, **values):
    return accept(made, status="running", lease_owner="me", claims=1, started_at=now_ms(), **values)


def do(writes):
    """Execute the writes and return their row counts."""
    with write():
        return execute_units([writes])[0]


def add_step(run, seq, **values):
    row = {
        **dict.fromkeys(STEP_COLUMNS), "run_id": run.id, "seq": seq, "node_id": f"n{seq}", "node_type": "noop",
        "node_name": "N", "status": "success", "attempt": 1, "started_at": 1, "final": False, **values,
    }  # fmt: skip
    do(steps.insertions([list(row.values())]))
    return Step.one("run_id = ? AND seq = ?", run.id, seq)
