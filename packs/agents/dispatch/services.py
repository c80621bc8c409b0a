"""Services of a run for agents, and for the nodes that run them (`Context.agents`)."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import orjson

from database.queries import credentials
from dispatch.lease import ProcessLease
from dispatch.resources import Resources
from dispatch.run_record import AnyRecord
from nodes.credentials.keyring import Keyring
from packs.agents import agent_runs
from packs.agents.agent_memory import WorkspaceMemory
from packs.agents.agent_runs import AgentRunJournal
from packs.agents.agent_store import find_agent
from packs.agents.definition import AgentDefinition
from packs.agents.dispatch.callable_workflows import CallableFlow, callable_flows
from packs.agents.dispatch.workspace_view import WorkspaceView
from packs.agents.runtime.model_choice import Models, find_credential


class AgentServices:
    """Access of the agents in one run to its workspace and the server's settings."""

    def __init__(self, resources: Resources, lease: ProcessLease, record: AnyRecord, keyring: Keyring) -> None:
        self._resources, self._lease, self._record = resources, lease, record
        self._workspace_id = record.run.workspace_id
        self.memory = WorkspaceMemory(self._workspace_id, keyring.clean, resources.config.memory_entries)
        self.workspace_view = WorkspaceView(self._workspace_id, resources)

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
        return [(task, _said(orjson.loads(output))) for task, output in found]

    def callable_flows(self) -> list[CallableFlow]:
        """Return the workspace's active flows that other flows can call."""
        return callable_flows(self._workspace_id, self._resources)


def _said(output: dict[str, Any]) -> str:
    return str(output["text"]) if "text" in output else orjson.dumps(output["data"]).decode()
