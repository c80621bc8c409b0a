"""Helpers for tests of agent tools: tool specs, and in-memory services for agents."""

from errors import NodeError, NotFound
from packs.agents.definition import ToolSpec
from packs.agents.services import CallableFlow, arguments_schema
from packs.agents.tools.base import find_issues


def Spec(type, options=None, approval=False):
    """Return the spec of some tools, as read from a definition."""
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in (options or {}).items()}
    return ToolSpec(type, approval, **options)


class Memory:
    """Memory in a dict, by agent, session and key."""

    def __init__(self):
        self.entries = {}

    def search(self, agent_id, query, session=None, limit=10):
        found = [
            {"key": key, **entry}
            for (agent, where, key), entry in self.entries.items()
            if agent == agent_id and where in ("", session or "") and query in entry["content"]
        ]
        return found[:limit]

    def write(self, agent_id, key, content, session="", tags=(), expires_in=None):
        entry = {"content": content, "tags": list(tags), "expires_in": expires_in}
        self.entries[agent_id, session, key] = entry
        return {"key": key, "session": session}


class WorkspaceView:
    """Returns the name and arguments of each call."""

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)

        def ask(**arguments):
            if arguments.get("run_id") == "run_none":
                raise NotFound("There is no such run.")
            return {"asked": name, **arguments}

        return ask


class Agents:
    def __init__(self, *flows):
        self.memory, self.workspace_view, self.flows = Memory(), WorkspaceView(), list(flows)

    def callable_flows(self):
        return list(self.flows)


def flow(name="flow_ship", workflow_id="wf_1", takes=None, description="Ships an order."):
    """Return a callable flow, as the workspace lists it; `takes` is the schema of its trigger."""
    schema, wrapped = arguments_schema(takes)
    return CallableFlow(name, "Ship", description, schema, workflow_id, "called", wrapped)


class Flows:
    """Records started flows."""

    def __init__(self, error=""):
        self.started, self.error = [], error

    def start(self, node_id, workflow_id, input, wait):
        if self.error:
            raise NodeError(self.error, permanent=True)
        self.started.append((node_id, workflow_id, input, wait))
        return f"run_{len(self.started)}"


def called(toolbox, name, /, mark="call:1", **arguments):
    """Check the arguments as the agent's loop does, call the tool, and return its result."""
    tool = toolbox[name]
    assert find_issues(tool, arguments) == []
    return tool.call(arguments, mark)
