"""A task that is given to an agent by itself: a run of a flow with one node, which is made of the task.

So what holds for runs holds for it: it is accepted when it is on the disk, survives a crash, can wait and be cancelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import engine
from engine import Plan
from models import AgentRun, Run, Write

PREFIX = "agent:"  # of what such a run has for the id of its flow
NODE = "agent"
CONFIG = ("agent_id", "model", "credentials")  # taken as they are written
DATA = ("task", "input", "session")


class Task:
    """The flow of a task: as much of a `Workflow` as it takes to run it.

    `body` is the input of the run: `{"agent_id", "task", "input", "session", "model", "credentials"}`.
    """

    status = "active"
    version = None

    def __init__(self, workspace_id: str, agent_name: str, body: Mapping[str, Any]) -> None:
        self.workspace_id, self.name, self.body = workspace_id, agent_name, body
        self.id = PREFIX + str(body["agent_id"])

    def plan(self) -> Plan:
        """The plan of its one node; what the task says is data to it, and no expression."""
        config = {name: self.body[name] for name in CONFIG if self.body.get(name)}
        data = {name: f"{{{{ trigger.{name} }}}}" for name in DATA if name == "input" or self.body.get(name)}
        return engine.plan({"nodes": [{"id": NODE, "type": "agent", "config": config | data}]})

    def record(self, run: Run) -> list[Write]:
        """The writes that put it among the runs of agents, together with its run."""
        text = {name: self.body.get(name) for name in ("agent_id", "task", "model")}
        values = {**text, "session": self.body.get("session") or "", "node_id": NODE, "item_index": -1}
        return [AgentRun.accepted(run, agent_run_id(run), **values)]


def agent_run_id(run: Run) -> str:
    """The id of the agent's run that is the whole of this run."""
    return f"{AgentRun.prefix}_{str(run.id).partition('_')[2]}"


def is_task(run: Run) -> bool:
    """Whether the run is a task that was given to an agent by itself."""
    return str(run.workflow_id).startswith(PREFIX)
