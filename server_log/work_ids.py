"""Ids of the run, the node and the request on which a thread works, for the lines that it writes to the server's log
and for the requests that it sends.

Whoever begins such work sets an attribute of `CURRENT`, and clears it at the end. The ids are read only when a line is
written, so a run costs nothing more.
"""

from __future__ import annotations

import threading
from typing import Any

RUN_IDS = ("run_id", "workflow_id", "workspace_id", "node_id")


class _Work(threading.local):
    """The work of one thread."""

    run: Any = None  # a row, set by the executor: from the claim to the recorded end
    execution: Any = None  # set by the engine while it executes nodes: it has `job` and `context`
    request_id = ""  # set by the HTTP worker, if requests have ids
    traceparent = ""  # of the span of the node that runs, for its requests; set by the executor, if there are traces


CURRENT = _Work()


def read_ids() -> dict[str, str]:
    """Return the ids of this thread's work, by the names that they have in the log."""
    run, execution = CURRENT.run, CURRENT.execution
    ids = {}
    if run is not None:
        ids = {"run_id": run.id, "workflow_id": run.workflow_id, "workspace_id": run.workspace_id}
    if execution is not None:
        job = execution.job
        workflow = job.scope.get("workflow", {}).get("id")
        ids |= {"run_id": job.run_id, "workflow_id": workflow, "node_id": execution.context.node_id}
        ids["workspace_id"] = ids.get("workspace_id") or job.workspace_id
    ids["request_id"] = CURRENT.request_id
    return {name: str(value) for name, value in ids.items() if value}


def copy_work() -> dict[str, Any]:
    """Return this thread's work, for `set_work` in a thread that does a part of it."""
    return dict(CURRENT.__dict__)


def set_work(work: dict[str, Any]) -> None:
    """Make this the work of the calling thread."""
    CURRENT.__dict__.update(work)
