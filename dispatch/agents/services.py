"""What a run lends to agents and to the nodes that serve them (`nodes.base.Agents`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from agent.definition import Agent
from dispatch.recorder import RunRecord
from models import AgentRun, Run
from nodes.credentials.keyring import Keyring

from .callable_workflows import CallableFlow, callable_flows
from .definitions import find_agent
from .journal import AgentRecord
from .memory import Memory
from .workspace_view import Inspection

if TYPE_CHECKING:
    from dispatch.executor import Executor


class AgentServices:
    """What agents have of the workspace of one run, and of the server's settings."""

    def __init__(self, executor: Executor, run: Run, record: RunRecord, keyring: Keyring) -> None:
        self._executor, self._run, self._record = executor, run, record
        self.memory = Memory(run.workspace_id, keyring.clean, executor.config.memory_entries)
        self.models = executor.models

    @property
    def inspection(self) -> Inspection:
        """What there is to be looked at in the workspace."""
        return Inspection(self._run.workspace_id, self._executor)

    def definition(self, agent_id: str) -> Agent | None:
        """The workspace's agent of this id, or the one that everybody has."""
        return find_agent(self._run.workspace_id, agent_id)

    def record(self, node_id: str, index: int | None) -> AgentRecord:
        """What is on record of the agent in this node, of this item."""
        return AgentRecord(self._record, node_id, index)

    def conversation(self, agent_id: str, session: str, most: int) -> list[tuple[str, str]]:
        """The last tasks of the session, each with its answer as text, the oldest first."""
        found = AgentRun.conversation(self._run.workspace_id, agent_id, session, most)
        return [(task, _said(orjson.loads(output))) for task, output in found]

    def callable_flows(self) -> list[CallableFlow]:
        """The active flows of the workspace that other flows can call."""
        return callable_flows(self._run.workspace_id, self._executor)


def _said(output: dict[str, Any]) -> str:
    return str(output["text"]) if "text" in output else orjson.dumps(output["data"]).decode()
