"""Tasks given to an agent directly: each is a run of a flow with one node, made from the task.

So a task has the guarantees of a run: it is accepted once on the disk, survives a crash, can wait and be cancelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import engine
from agent.definition import AgentDefinition, needs_credentials
from agent.model_choice import Models, NoModel, find_credential, resolve
from engine import Plan
from errors import BadInput, NodeError, Unavailable
from models import AgentRun, Credential, Run, Write
from nodes.credentials.keyring import Find, Keyring

PREFIX = "agent:"  # of the workflow id of such a run
NODE = "agent"
CONFIG = ("agent_id", "model", "credentials", "memory")  # literal settings of the node
DATA = ("task", "input", "session")


class Task:
    """The flow of a task, with the attributes of a `Workflow` needed to run it.

    `body` is the input of the run: `{"agent_id", "task", "input", "session", "memory", "model", "credentials"}`.
    """

    status = "active"
    version = None

    def __init__(self, workspace_id: str, agent_name: str, body: Mapping[str, Any]) -> None:
        self.workspace_id, self.name, self.body = workspace_id, agent_name, body
        self.id = PREFIX + str(body["agent_id"])

    def plan(self) -> Plan:
        """Return the plan of its one node. The text of the task is data, never evaluated as an expression."""
        config = {name: self.body[name] for name in CONFIG if self.body.get(name) not in (None, {})}
        data = {name: f"{{{{ trigger.{name} }}}}" for name in DATA if name == "input" or self.body.get(name)}
        return engine.plan({"nodes": [{"id": NODE, "type": "agent", "config": config | data}]})

    def record(self, run: Run) -> list[Write]:
        """Return the writes of its agent run, to be committed together with the run."""
        text = {name: self.body.get(name) for name in ("agent_id", "task", "model")}
        values = {**text, "session": self.body.get("session") or "", "node_id": NODE, "item_index": -1}
        return [AgentRun.accepted(run, agent_run_id(run), **values)]


def agent_run_id(run: Run) -> str:
    """Return the id of the agent run of a task's run."""
    return f"{AgentRun.prefix}_{str(run.id).partition('_')[2]}"


def is_task(run: Run) -> bool:
    """Return True if the run is a task given to an agent directly."""
    return str(run.workflow_id).startswith(PREFIX)


def explain_no_model(workspace_id: str, models: Models) -> str | None:
    """Return why a task for which no model is named cannot run, and what to do; None if it can."""
    try:
        if find_credential(models, None, lambda: Credential.names_of(workspace_id, "llm")) is None:
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
        name = name or find_credential(models, model, lambda: Credential.names_of(workspace_id, "llm"))
        found = Keyring(find).use(name, "llm") if name else None
        resolve(models, model, None if found is None else found.data, name or "")
    except NoModel as error:
        raise Unavailable(error.message) from None
    except NodeError as error:
        raise BadInput(error.message) from None
