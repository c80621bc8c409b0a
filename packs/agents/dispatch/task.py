"""Tasks given to an agent directly: each is a run of a flow with one node, made from the task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import engine
from database.base import Write
from database.queries import agent_runs, credentials
from dispatch.resources import Task
from engine import Plan
from errors import BadInput, NodeError, Unavailable
from models import AgentRun, Run
from nodes.credentials.keyring import Find, Keyring
from packs.agents.definition import AgentDefinition, needs_credentials
from packs.agents.runtime.model_choice import Models, NoModel, find_credential, resolve

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
        return [agent_runs.accepted(run, agent_run_id(run), **values)]


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
