"""Tasks: runs of no stored flow. A pack makes the flow of each from the input of its run (`registry.tasks`).

So a task has the guarantees of a run: it is accepted once on the disk, survives a crash, can wait and be cancelled.
"""

from __future__ import annotations

import pkgutil
from abc import ABC, abstractmethod
from typing import Any

from database.base import Write
from engine import Plan
from errors import Conflict
from models import Run
from registry import explain_off, registry


class Task(ABC):
    """The flow of a task, with the attributes of a `Workflow` needed to run it.

    The `id` is the type of the task, a colon, and what it is about: `agent:researcher`.
    """

    status = "active"
    version = None

    def __init__(self, id: str, workspace_id: str, name: str) -> None:
        self.id, self.workspace_id, self.name = id, workspace_id, name

    @abstractmethod
    def plan(self) -> Plan:
        """Return the plan."""

    def record(self, run: Run) -> list[Write]:
        """Return writes to be committed together with the run."""
        return []


def is_task(workflow_id: str) -> bool:
    """Return True if a run with this id of a flow is a task."""
    return ":" in workflow_id


def make_task(run: Run, input: Any) -> Task:
    """Return the task of a run with this input. Raises: Conflict if the pack that has such tasks is off."""
    type_ = run.workflow_id.partition(":")[0]
    if type_ not in registry.tasks:
        raise Conflict(f"tasks of the type {type_!r} are not available{explain_off()}")
    task: Task = pkgutil.resolve_name(registry.tasks[type_])(run.workspace_id, run.workflow_name, input)
    return task
