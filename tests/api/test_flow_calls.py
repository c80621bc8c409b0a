"""Calls between flows: a called flow cannot be deleted, and a missing one is a warning."""

import pytest
from error_shape import check_shape

from models import Workflow

AGENT = {"id": "caller", "name": "Caller", "instructions": "Do.", "model": "test"}


def calls(workflow_id, **node):
    config = {"workflow_id": workflow_id}
    return {"nodes": [{"id": "call", "type": "subflow", "config": config, **node}], "edges": []}


def tells(workflow_id):
    nodes = [{"id": "start", "type": "manual"}]
    return {"nodes": nodes, "edges": [], "settings": {"error_workflow_id": workflow_id}}


ERROR = {"nodes": [{"id": "failed", "type": "error"}], "edges": []}


def warning(path, message, node_id=None):
    return {"path": path, "message": message, "node_id": node_id, "level": "warning"}


def delete(owner, flow):
    return owner.delete(f"/api/workflows/{flow['id']}")


# Deleting


@pytest.mark.parametrize("definition", [calls, tells])
def test_a_flow_that_an_active_flow_calls_is_not_deleted(owner, make_flow, flow, definition):
    caller = make_flow(definition(flow["id"]), status="active", name="Orders")
    assert "called by the active flow 'Orders'" in check_shape(delete(owner, flow), 409)
    assert Workflow.find(flow["id"]) is not None
    owner.put(f"/api/workflows/{caller['id']}", {"status": "draft"})
    assert delete(owner, flow).status_code == 204


def test_a_flow_that_an_agent_may_run_is_not_deleted(owner, flow):
    tools = [{"type": "run_flow", "workflows": [flow["id"]]}]
    assert owner.post("/api/agents", {**AGENT, "tools": tools}).status_code == 201
    assert "the agent 'Caller'" in check_shape(delete(owner, flow), 409)
    owner.put("/api/agents/caller", AGENT)
    assert delete(owner, flow).status_code == 204


def test_the_first_callers_are_named(owner, make_flow, flow):
    for number in range(7):
        make_flow(calls(flow["id"]), status="active", name=f"Orders {number}")
    message = check_shape(delete(owner, flow), 409)
    assert message.count("the active flow") == 5 and message.endswith(" and others")


def test_only_active_callers_of_the_workspace_prevent_a_deletion(owner, other, make_flow, flow):
    make_flow(calls(flow["id"]), name="A draft")
    make_flow(calls(flow["id"], disabled=True), status="active", name="Switched off")
    text = {"nodes": [{"id": "a", "type": "log", "config": {"message": flow["id"]}}], "edges": []}
    make_flow(text, status="active", name="Only mentions it")
    make_flow(calls(flow["id"]), who=other, status="active", name="Elsewhere")
    assert delete(owner, flow).status_code == 204


def test_a_flow_that_calls_itself_can_be_deleted(owner, flow):
    path = f"/api/workflows/{flow['id']}"
    assert owner.put(path, {"definition": calls(flow["id"]), "status": "active"}).status_code == 200
    assert owner.delete(path).status_code == 204


# Naming one that is not there


def test_checking_saving_and_activating_a_flow_warn_of_flows_that_are_missing(owner, make_flow):
    definition = calls("wf_nobody") | {"settings": {"error_workflow_id": "wf_none"}}
    warnings = [
        warning("nodes[0].config.workflow_id", "there is no flow 'wf_nobody' in this workspace", "call"),
        warning("settings.error_workflow_id", "there is no flow 'wf_none' in this workspace"),
    ]
    checked = owner.post("/api/workflows/validate", {"definition": definition}).json
    assert (checked["ok"], checked["issues"]) == (True, warnings)
    saved = make_flow(definition)
    assert saved["warnings"] == warnings
    answer = owner.put(f"/api/workflows/{saved['id']}", {"status": "active"})
    assert answer.status_code == 200 and answer.json["warnings"] == warnings


def test_a_flow_of_another_workspace_is_not_found(owner, other, make_flow):
    theirs = make_flow(who=other)
    (found,) = make_flow(calls(theirs["id"]))["warnings"]
    assert "there is no flow" in found["message"] and "Echo" not in found["message"]


def test_one_that_cannot_be_started_is_warned_of_by_its_name(owner, make_flow):
    archived, draft = make_flow(name="Old"), make_flow(ERROR, name="Told")
    owner.put(f"/api/workflows/{archived['id']}", {"status": "archived"})
    (called,) = make_flow(calls(archived["id"]))["warnings"]
    assert called["message"] == "the flow 'Old' is archived and cannot be called"
    (told,) = make_flow(tells(draft["id"]))["warnings"]
    assert told["message"].startswith("the flow 'Told' is not active")


def test_calls_of_existing_flows_cause_no_warning(owner, make_flow, flow):
    told = make_flow(ERROR, status="active")
    assert "warnings" not in make_flow(calls(flow["id"]) | {"settings": {"error_workflow_id": told["id"]}})
