"""Use a server through its generated client: `use.py URL EMAIL PASSWORD`. Print what lists it got, as JSON by path."""

import json
import sys
from typing import Any

from headrace_client import Client
from headrace_client.api.auth import get_session, log_in
from headrace_client.api.catalogue import list_nodes
from headrace_client.api.logs import list_run_logs
from headrace_client.api.runs import get_run, list_run_steps, list_runs
from headrace_client.api.workflows import create_flow, list_flows, run_flow
from headrace_client.models import (
    Error,
    FlowIn,
    FlowItemOutList,
    Login,
    LogOutList,
    NodesOut,
    RunItemOutFoundList,
    RunOut,
    RunWholeOut,
    SavedOut,
    StartIn,
    StepOutList,
    WhoOut,
    WorkflowDefinition,
    WorkflowEdge,
    WorkflowNode,
    WorkflowNodeConfig,
)


def main(url: str, email: str, password: str) -> dict[str, Any]:
    client = Client(base_url=url)
    with client:
        refused = log_in.sync(client=client, body=Login(email=email, password="not this one"))
        assert isinstance(refused, Error) and refused.error, refused
        who = log_in.sync(client=client, body=Login(email=email, password=password))
        assert isinstance(who, WhoOut) and who.user.email == email, who
        assert isinstance(get_session.sync(client=client), WhoOut)

        say = WorkflowNodeConfig.from_dict({"message": "Hello, {{ input.name }}"})
        nodes = [WorkflowNode(id="start", type_="manual"), WorkflowNode(id="say", type_="log", config=say)]
        definition = WorkflowDefinition(nodes=nodes, edges=[WorkflowEdge(from_="start", to="say"), ["start", "end"]])
        wrong = create_flow.sync(client=client, body=FlowIn(name="Wrong", definition=definition))
        assert isinstance(wrong, Error) and "'end'" in wrong.error, wrong
        nodes.append(WorkflowNode(id="end", type_="noop"))
        flow = create_flow.sync(client=client, body=FlowIn(name="Hello", definition=definition))
        assert isinstance(flow, SavedOut) and flow.version == 1, flow

        run = run_flow.sync(flow.id, client=client, body=StartIn(input_={"name": "Ada"}), wait=20.0)
        assert isinstance(run, RunOut) and run.status == "success", run
        whole = get_run.sync(run.id, client=client)
        assert isinstance(whole, RunWholeOut) and whole.output == {"say": {"name": "Ada"}, "end": {"name": "Ada"}}, (
            whole
        )
        steps = list_run_steps.sync(run.id, client=client)
        assert isinstance(steps, StepOutList) and [step.node_id for step in steps.items] == ["start", "say", "end"], (
            steps
        )
        logs = list_run_logs.sync(run.id, client=client)
        assert isinstance(logs, LogOutList) and [entry.message for entry in logs.items] == ["Hello, Ada"], logs
        runs = list_runs.sync(client=client, limit=5, workflow_id=flow.id)
        assert isinstance(runs, RunItemOutFoundList) and [item.id for item in runs.items] == [run.id], runs
        flows = list_flows.sync(client=client)
        assert isinstance(flows, FlowItemOutList) and flow.id in [item.id for item in flows.items], flows
        types = list_nodes.sync(client=client)
        assert isinstance(types, NodesOut), types
        return {
            "/api/flows": flows.to_dict(),
            f"/api/runs?limit=5&workflow_id={flow.id}": runs.to_dict(),
            f"/api/runs/{run.id}/steps": steps.to_dict(),
            f"/api/logs/{run.id}": logs.to_dict(),
            "/api/nodes": types.to_dict(),
        }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))  # noqa: T201
